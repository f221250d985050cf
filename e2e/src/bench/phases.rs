//! One world and its applications through all actions.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::options::Runtimes;
use kaedama_sandbox::world::{Options, Replication, World};
use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::clock::Clock;
use tokio::time::Instant;

use super::report::{Phase, Rest, Size};
use super::requests::Requests;
use super::timeline::{Mark, Timeline};
use super::usage::{self, Cpu};

/// What one world is measured with.
pub struct Plan {
    /// How many applications.
    pub apps: usize,
    /// How many claims each.
    pub claims: usize,
    /// How long requests are counted at rest.
    pub rest: Duration,
    /// Between two synchronisations of the storage.
    pub sync_every: Duration,
    /// Where the operators run.
    pub runtimes: Runtimes,
}

/// The most that an action of all applications may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(900);
/// After an action, until everything that follows from it has come to rest.
const SETTLE: Duration = Duration::from_secs(3);
const HOME: &str = "dr1";
const PEER: &str = "dr2";

/// Runs all phases.
pub async fn run(plan: Plan) -> anyhow::Result<Size> {
    usage::reset_peak();
    let started = Instant::now();
    let mut options = Options::regional(Clock::system());
    options.replication = Replication::Regional { interval: "1h".to_owned(), every: plan.sync_every };
    options.runtimes = plan.runtimes.clone();
    let world = World::start(options).await?;
    let apps = (0..plan.apps)
        .map(|n| App { records_per_second: 1, ..App::new(&format!("app-{n:03}"), HOME).claims(plan.claims) });
    let mut bench =
        Bench { timeline: Timeline::start(&world), apps: apps.collect(), world, cpu: Cpu::now(), phases: Vec::new() };
    let world_ready = started.elapsed();
    eprintln!("{} applications: the world is up after {:.1} s", plan.apps, world_ready.as_secs_f64());
    tokio::time::sleep(SETTLE).await;
    bench.drop_counts();

    bench.begin(DRState::Deployed, HOME);
    try_join_all(bench.apps.iter().map(|app| bench.world.protect(app))).await?;
    bench.end("protect", Mark::Protected).await?;

    let rest = bench.rest(plan.rest).await;

    bench.order(DRAction::Failover, DRState::FailedOver, PEER).await?;
    bench.end("failover, source alive", Mark::Completed).await?;
    bench.order(DRAction::Relocate, DRState::Relocated, HOME).await?;
    bench.end("relocate back", Mark::Completed).await?;

    bench.world.kill(HOME)?;
    bench.order(DRAction::Failover, DRState::FailedOver, PEER).await?;
    bench.end("failover, source dead", Mark::Placed).await?;
    bench.world.revive(HOME)?;
    bench.again(DRState::FailedOver, PEER);
    bench.end("source comes back", Mark::Completed).await?;
    bench.order(DRAction::Relocate, DRState::Relocated, HOME).await?;
    bench.end("relocate after it", Mark::Completed).await?;

    bench.begin(DRState::Deleting, HOME);
    try_join_all(bench.apps.iter().map(|app| bench.world.unprotect(app))).await?;
    bench.end("unprotect", Mark::Gone).await?;

    let (_, peak_kib) = usage::memory();
    Ok(Size { apps: plan.apps, phases: bench.phases, rest, peak_mib: peak_kib / 1024 })
}

struct Bench {
    world: World,
    timeline: Timeline,
    apps: Vec<App>,
    cpu: Cpu,
    phases: Vec<Phase>,
}

impl Bench {
    fn begin(&self, phase: DRState, to: &str) {
        for app in &self.apps {
            self.timeline.begin(&app.name, phase.clone(), to);
        }
    }

    /// Goes on waiting for what was ordered before: no new generation will come.
    fn again(&self, phase: DRState, to: &str) {
        for app in &self.apps {
            self.timeline.go_on(&app.name, phase.clone(), to);
        }
    }

    async fn order(&self, action: DRAction, phase: DRState, to: &str) -> anyhow::Result<()> {
        try_join_all(self.apps.iter().map(|app| {
            self.timeline.begin(&app.name, phase.clone(), to);
            self.world.order(app, action.clone(), to)
        }))
        .await?;
        Ok(())
    }

    /// Waits for the end of an action, lets everything settle, and notes what it took.
    async fn end(&mut self, name: &str, last: Mark) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.timeline.all(last, PATIENCE).await?;
        let wall = begun.elapsed();
        tokio::time::sleep(SETTLE).await;
        let requests = Requests::take(&self.world);
        let cpu = Cpu::now();
        let phase = Phase::new(name, self.timeline.durations(), &requests, self.take_s3(), cpu.since(&self.cpu));
        eprintln!("{} applications: {name}: {:.1} s", self.apps.len(), wall.as_secs_f64());
        self.phases.push(phase);
        self.cpu = cpu;
        Ok(())
    }

    async fn rest(&mut self, window: Duration) -> Rest {
        self.drop_counts();
        tokio::time::sleep(window).await;
        let requests = Requests::take(&self.world);
        let cpu = Cpu::now();
        let rest = Rest {
            seconds: window.as_secs(),
            agents: requests.by_agent(),
            lines: requests.lines(),
            s3: self.take_s3().values().sum(),
            cpu: cpu.since(&self.cpu),
        };
        self.cpu = cpu;
        rest
    }

    fn drop_counts(&mut self) {
        drop(Requests::take(&self.world));
        self.take_s3();
        self.cpu = Cpu::now();
    }

    /// Requests to all stores by operation, and back to nothing.
    fn take_s3(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for store in self.world.clusters().iter().filter_map(|cluster| self.world.store(cluster)) {
            for (operation, count) in store.requests() {
                *all.entry(operation.to_owned()).or_default() += count;
            }
            store.reset_requests();
        }
        all
    }
}
