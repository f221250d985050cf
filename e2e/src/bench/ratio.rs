//! How another world's figures stand to the sandbox's: a step that takes longer with the same requests is the servers', one
//! with more requests is ours.

use serde::Serialize;

use super::report::{Phase, Size};

/// One figure in both worlds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// In the sandbox.
    pub sandbox: f64,
    /// In the other world.
    pub other: f64,
    /// The other's as a multiple of the sandbox's; none where that is nothing.
    pub ratio: Option<f64>,
}

impl Pair {
    fn of(sandbox: f64, other: f64) -> Self {
        Pair { sandbox, other, ratio: (sandbox > 0.0).then(|| other / sandbox) }
    }
}

/// A duration in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// How many applications.
    pub apps: usize,
    /// The action, or what else was measured.
    pub phase: String,
    /// Until what.
    pub until: String,
    /// The middle.
    pub p50: Pair,
    /// All but one in a hundred.
    pub p99: Pair,
}

/// What an action takes per application. None: not counted in one of the worlds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// How many applications.
    pub apps: usize,
    /// The action.
    pub phase: String,
    /// API reads of hub and spokes.
    pub reads: Option<Pair>,
    /// API writes of hub and spokes.
    pub writes: Option<Pair>,
    /// S3 requests.
    pub s3: Option<Pair>,
    /// Processor time of the hub operator, in milliseconds. In the sandbox its threads also carry out the API servers'
    /// part of its requests.
    pub hub_cpu_ms: Option<Pair>,
    /// That of the spoke operators.
    pub spokes_cpu_ms: Option<Pair>,
}

/// All figures that both worlds have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratios {
    /// What is compared to the sandbox.
    pub world: String,
    /// One request of an API server at rest, first; then the actions.
    pub steps: Vec<Step>,
    /// What the actions take.
    pub costs: Vec<Cost>,
}

impl Ratios {
    /// Of the sizes that both have.
    #[must_use]
    pub fn of(sandbox: &[Size], world: &str, other: &[Size]) -> Self {
        let mut ratios = Ratios { world: world.to_owned(), steps: Vec::new(), costs: Vec::new() };
        for other in other {
            let Some(sandbox) = sandbox.iter().find(|size| size.apps == other.apps) else { continue };
            ratios.size(sandbox, other);
        }
        ratios
    }

    fn size(&mut self, sandbox: &Size, other: &Size) {
        let apps = other.apps;
        let requests = [
            ("one read", &sandbox.server.read, &other.server.read),
            ("one write", &sandbox.server.write, &other.server.write),
        ];
        for (until, sandbox, other) in requests {
            let (p50, p99) = (Pair::of(sandbox.p50, other.p50), Pair::of(sandbox.p99, other.p99));
            self.steps.push(Step { apps, phase: "the hub's API server".to_owned(), until: until.to_owned(), p50, p99 });
        }
        for phase in &other.phases {
            let Some(sandbox) = sandbox.phase(&phase.name) else { continue };
            self.phase(apps, sandbox, phase);
        }
    }

    fn phase(&mut self, apps: usize, sandbox: &Phase, other: &Phase) {
        let each = |sandbox: u64, other: u64| Pair::of(sandbox as f64 / apps as f64, other as f64 / apps as f64);
        for (until, took) in &other.took {
            let Some(before) = sandbox.took(until) else { continue };
            let (p50, p99) = (Pair::of(before.p50, took.p50), Pair::of(before.p99, took.p99));
            self.steps.push(Step { apps, phase: other.name.clone(), until: until.clone(), p50, p99 });
        }
        let calls = sandbox.requests.as_ref().zip(other.requests.as_ref());
        let ours = calls.map(|(sandbox, other)| (sandbox.ours(), other.ours()));
        self.costs.push(Cost {
            apps,
            phase: other.name.clone(),
            reads: ours.as_ref().map(|(sandbox, other)| each(sandbox.reads, other.reads)),
            writes: ours.as_ref().map(|(sandbox, other)| each(sandbox.writes, other.writes)),
            s3: sandbox.s3().zip(other.s3()).map(|(sandbox, other)| each(sandbox, other)),
            hub_cpu_ms: sandbox.cpu.hub().zip(other.cpu.hub()).map(|(sandbox, other)| each(sandbox, other)),
            spokes_cpu_ms: sandbox.cpu.spokes().zip(other.cpu.spokes()).map(|(sandbox, other)| each(sandbox, other)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_multiple() {
        assert_eq!(Pair::of(2.0, 5.0).ratio, Some(2.5));
        assert_eq!(Pair::of(0.0, 5.0).ratio, None);
    }
}
