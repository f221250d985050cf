//! The figures, and how they stand to the targets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::ratio::Ratios;
use super::requests::{Count, Line, OURS, Requests, sum};
use super::timeline::Mark;
use super::usage::Cpu;

/// The longest that the middle failover may take, in milliseconds.
const FAILOVER_P50_MS: f64 = 500.0;
/// The most API reads of hub and spokes for one failover.
const FAILOVER_READS: f64 = 20.0;
/// The most S3 requests for one failover of an application with three claims.
const FAILOVER_S3: f64 = 8.0;
/// How much more than at the smallest size counts as the same.
const SAME: f64 = 1.1;

/// The most API writes of hub and spokes for one failover.
fn failover_writes(claims: usize) -> f64 {
    1.2 * (9.0 + 10.0 * claims as f64)
}

/// Milliseconds from an edit to a mark, over all applications.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The middle.
    pub p50: f64,
    /// All but one in a hundred; with fewer than a hundred applications the slowest.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Percentiles {
    /// Of durations in order, by nearest rank.
    #[must_use]
    pub fn of(sorted: &[Duration]) -> Self {
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
            sorted.get(rank - 1).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
        };
        Percentiles { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// API requests, of all clusters together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    /// By agent, over all applications.
    pub agents: BTreeMap<String, Count>,
    /// The same by verb, resource and answer.
    pub lines: Vec<Line>,
}

impl From<Requests> for Calls {
    fn from(requests: Requests) -> Self {
        Calls { agents: requests.by_agent(), lines: requests.lines() }
    }
}

impl Calls {
    /// Of hub and spokes.
    #[must_use]
    pub fn ours(&self) -> Count {
        sum(&self.agents, |agent| OURS.contains(&agent))
    }

    /// Of everything else in the world.
    #[must_use]
    pub fn others(&self) -> Count {
        sum(&self.agents, |agent| !OURS.contains(&agent))
    }

    /// Of one agent.
    #[must_use]
    pub fn of(&self, agent: &str) -> Count {
        self.agents.get(agent).cloned().unwrap_or_default()
    }
}

/// One action on all applications at the same time.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What it was.
    pub name: String,
    /// How long until what, in the order in which it comes.
    pub took: Vec<(String, Percentiles)>,
    /// API requests; none where nobody counts them.
    pub requests: Option<Calls>,
    /// S3 requests by operation; none where nobody counts them.
    pub s3: Option<BTreeMap<String, u64>>,
    /// Seconds from the orders to the last mark of the last application.
    pub wall_s: f64,
    /// Processor time.
    pub cpu: Cpu,
}

impl Phase {
    /// Which share of so many processors was at work until the last mark: at 1 nothing waits, and only more of them, or
    /// less to do, is faster. (What follows the last mark counts too: a little more than 1 is possible.)
    #[must_use]
    pub fn busy(&self, processors: usize) -> Option<f64> {
        let all = self.wall_s * 1000.0 * processors as f64;
        (all > 0.0).then(|| self.cpu.all_ms as f64 / all)
    }

    /// How long until a mark.
    #[must_use]
    pub fn took(&self, mark: &str) -> Option<&Percentiles> {
        self.took.iter().find(|(name, _)| name == mark).map(|(_, took)| took)
    }

    /// S3 requests.
    #[must_use]
    pub fn s3(&self) -> Option<u64> {
        self.s3.as_ref().map(|operations| operations.values().sum())
    }
}

/// A while in which nothing is ordered.
#[derive(Clone, Debug, Serialize)]
pub struct Rest {
    /// How long.
    pub seconds: u64,
    /// API requests; none where nobody counts them.
    pub requests: Option<Calls>,
    /// S3 requests; none where nobody counts them.
    pub s3: Option<u64>,
    /// Processor time.
    pub cpu: Cpu,
}

/// How long one request takes, in milliseconds, while nothing else happens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Server {
    /// Reading an object of the hub.
    pub read: Percentiles,
    /// Changing it.
    pub write: Percentiles,
}

/// The most memory that something used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// What: one process, or several that are summed up.
    pub name: String,
    /// Peak of resident memory; of several the sum of their peaks.
    pub peak_mib: f64,
}

/// One size, in a world of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// How many applications.
    pub apps: usize,
    /// Until the world was up, in seconds.
    pub up_s: f64,
    /// What a request of the hub takes.
    pub server: Server,
    /// The actions, in order.
    pub phases: Vec<Phase>,
    /// At rest.
    pub rest: Rest,
    /// Peaks of memory.
    pub memory: Vec<Memory>,
}

impl Size {
    /// An action by its name.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}

/// A figure that has a target.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// How many applications.
    pub apps: usize,
    /// What was measured.
    pub what: String,
    /// What it came to.
    pub value: f64,
    /// The most that it should be.
    pub target: f64,
    /// Whether it is.
    pub met: bool,
}

/// One sort of world.
#[derive(Clone, Debug, Serialize)]
pub struct WorldReport {
    /// What it is called.
    pub world: String,
    /// All sizes.
    pub sizes: Vec<Size>,
    /// How the figures stand to the targets.
    pub verdicts: Vec<Verdict>,
}

impl WorldReport {
    /// Judges the sizes.
    #[must_use]
    pub fn new(world: &str, claims: usize, sizes: Vec<Size>) -> Self {
        let verdicts = sizes.iter().flat_map(|size| verdicts(claims, size, sizes.first().unwrap_or(size))).collect();
        WorldReport { world: world.to_owned(), sizes, verdicts }
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Claims per application.
    pub claims: usize,
    /// Processors that this machine offers.
    pub processors: usize,
    /// Whether all was built without optimisation: then durations say little.
    pub debug_build: bool,
    /// How often a second each work agent may ask an API server, where that was chosen.
    pub agent_qps: Option<u32>,
    /// The sandbox, then the world that was asked for, if that is another.
    pub worlds: Vec<WorldReport>,
    /// How the other world stands to the sandbox.
    pub ratios: Option<Ratios>,
}

impl Report {
    /// Compares the worlds, the sandbox first.
    #[must_use]
    pub fn new(claims: usize, worlds: Vec<WorldReport>) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let ratios = match worlds.as_slice() {
            [sandbox, other] => Some(Ratios::of(&sandbox.sizes, &other.world, &other.sizes)),
            _ => None,
        };
        Report { claims, processors, debug_build: cfg!(debug_assertions), agent_qps: None, worlds, ratios }
    }
}

fn verdicts(claims: usize, size: &Size, smallest: &Size) -> Vec<Verdict> {
    let apps = size.apps as f64;
    let mut all = Vec::new();
    let mut judge = |what: String, value: f64, target: f64| {
        all.push(Verdict { apps: size.apps, what, value, target, met: value <= target });
    };
    for phase in size.phases.iter().filter(|phase| phase.name.starts_with("failover")) {
        let name = &phase.name;
        if let Some(placed) = phase.took(Mark::Placed.name()) {
            judge(format!("{name}: p50 to placed, ms"), placed.p50, FAILOVER_P50_MS);
        }
        if let Some(calls) = &phase.requests {
            let (ours, before) = (calls.ours(), smallest.phase(name).filter(|_| size.apps != smallest.apps));
            let (reads, writes) = (ours.reads as f64 / apps, ours.writes as f64 / apps);
            judge(format!("{name}: writes of hub and spokes per app"), writes, failover_writes(claims));
            judge(format!("{name}: reads of hub and spokes per app"), reads, FAILOVER_READS);
            if let Some(base) = before.and_then(|phase| phase.requests.as_ref()) {
                let base = base.ours().writes as f64 / smallest.apps as f64;
                judge(format!("{name}: the same writes as at {}", smallest.apps), writes, base * SAME);
            }
        }
        if let Some(s3) = phase.s3().filter(|_| claims == 3) {
            judge(format!("{name}: S3 requests per app"), s3 as f64 / apps, FAILOVER_S3);
        }
    }
    // In no time nothing happens, which is no merit.
    if size.rest.seconds > 0 {
        if let Some(calls) = &size.rest.requests {
            let ours = calls.ours();
            let what = "at rest: requests of hub and spokes, no watch or lease";
            judge(what.into(), (ours.reads + ours.writes) as f64, 0.0);
        }
        if let Some(s3) = size.rest.s3 {
            judge("at rest: S3 requests".into(), s3 as f64, 0.0);
        }
    }
    all
}
