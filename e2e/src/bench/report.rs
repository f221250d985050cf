//! The figures, and how they stand to the targets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

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
    fn of(sorted: &[Duration]) -> Self {
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
            sorted.get(rank - 1).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
        };
        Percentiles { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// One action on all applications at the same time.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What it was.
    pub name: String,
    /// How long until what, in the order in which it comes.
    pub took: Vec<(String, Percentiles)>,
    /// API requests by agent, over all applications.
    pub agents: BTreeMap<String, Count>,
    /// The same by verb, resource and answer.
    pub lines: Vec<Line>,
    /// S3 requests by operation.
    pub s3: BTreeMap<String, u64>,
    /// Processor time.
    pub cpu: Cpu,
}

impl Phase {
    /// From what was measured.
    pub fn new(
        name: &str,
        took: BTreeMap<Mark, Vec<Duration>>,
        requests: &Requests,
        s3: BTreeMap<String, u64>,
        cpu: Cpu,
    ) -> Self {
        Phase {
            name: name.to_owned(),
            took: took.iter().map(|(mark, took)| (mark.name().to_owned(), Percentiles::of(took))).collect(),
            agents: requests.by_agent(),
            lines: requests.lines(),
            s3,
            cpu,
        }
    }

    /// Of hub and spokes.
    pub fn ours(&self) -> Count {
        sum(&self.agents, |agent| OURS.contains(&agent))
    }

    /// Of everything else in the world.
    pub fn others(&self) -> Count {
        sum(&self.agents, |agent| !OURS.contains(&agent))
    }

    fn p50(&self, mark: Mark) -> f64 {
        self.took.iter().find(|(name, _)| name == mark.name()).map_or(f64::INFINITY, |(_, took)| took.p50)
    }
}

/// A while in which nothing is ordered.
#[derive(Clone, Debug, Serialize)]
pub struct Rest {
    /// How long.
    pub seconds: u64,
    /// API requests by agent.
    pub agents: BTreeMap<String, Count>,
    /// The same by verb, resource and answer.
    pub lines: Vec<Line>,
    /// S3 requests.
    pub s3: u64,
    /// Processor time.
    pub cpu: Cpu,
}

impl Rest {
    /// Requests of hub and spokes that are neither watches nor about leases.
    fn ours(&self) -> u64 {
        let ours = sum(&self.agents, |agent| OURS.contains(&agent));
        ours.reads + ours.writes
    }
}

/// One world.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// How many applications.
    pub apps: usize,
    /// The actions, in order.
    pub phases: Vec<Phase>,
    /// At rest.
    pub rest: Rest,
    /// Peak of the process's resident memory, with everything that is in it.
    pub peak_mib: u64,
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

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Claims per application.
    pub claims: usize,
    /// Processors that this machine offers.
    pub processors: usize,
    /// A world each.
    pub sizes: Vec<Size>,
    /// How the figures stand to the targets.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Judges the sizes.
    pub fn new(claims: usize, sizes: Vec<Size>) -> Self {
        let verdicts = sizes.iter().flat_map(|size| verdicts(claims, size, sizes.first().unwrap_or(size))).collect();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Report { claims, processors, sizes, verdicts }
    }
}

fn verdicts(claims: usize, size: &Size, smallest: &Size) -> Vec<Verdict> {
    let apps = size.apps as f64;
    let mut all = Vec::new();
    let mut judge = |what: String, value: f64, target: f64| {
        all.push(Verdict { apps: size.apps, what, value, target, met: value <= target });
    };
    for phase in size.phases.iter().filter(|phase| phase.name.starts_with("failover")) {
        let ours = phase.ours();
        judge(format!("{}: p50 to placed, ms", phase.name), phase.p50(Mark::Placed), FAILOVER_P50_MS);
        judge(
            format!("{}: writes of hub and spokes per app", phase.name),
            ours.writes as f64 / apps,
            failover_writes(claims),
        );
        judge(format!("{}: reads of hub and spokes per app", phase.name), ours.reads as f64 / apps, FAILOVER_READS);
        if let Some(base) =
            smallest.phases.iter().find(|base| base.name == phase.name).filter(|_| size.apps != smallest.apps)
        {
            let (writes, base) = (ours.writes as f64 / apps, base.ours().writes as f64 / smallest.apps as f64);
            judge(format!("{}: the same writes as at {}", phase.name, smallest.apps), writes, base * SAME);
        }
        if claims == 3 {
            let s3: u64 = phase.s3.values().sum();
            judge(format!("{}: S3 requests per app", phase.name), s3 as f64 / apps, FAILOVER_S3);
        }
    }
    judge("at rest: requests of hub and spokes, no watch or lease".into(), size.rest.ours() as f64, 0.0);
    judge("at rest: S3 requests".into(), size.rest.s3 as f64, 0.0);
    all
}
