//! One world and its applications through all actions.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::ground::Ground;
use kaedama_shared::api::{DRAction, DRState};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use super::meter::Meter;
use super::report::{Memory, Percentiles, Phase, Rest, Server, Size};
use super::timeline::{Mark, Timeline};
use super::usage::Sample;
use crate::start::app;

/// What one world is measured with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many applications.
    pub apps: usize,
    /// How many claims each.
    pub claims: usize,
    /// How long requests are counted at rest.
    pub rest: Duration,
    /// Between two synchronisations of the storage.
    pub sync_every: Duration,
}

/// A world that is up, without applications.
pub struct Stage {
    /// What it is called.
    pub name: &'static str,
    /// It.
    pub world: World,
    /// Who counts there.
    pub meter: Meter,
    /// How long it took until it was up.
    pub up: Duration,
}

/// The most that an action of all applications may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(900);
/// After an action, until everything that follows from it has come to rest.
const SETTLE: Duration = Duration::from_secs(3);
/// How often one request is made to say how long one takes.
const ROUNDS: usize = 200;

/// Runs all phases.
pub async fn run(plan: &Plan, stage: Stage) -> anyhow::Result<Size> {
    let Stage { name, world, meter, up } = stage;
    let [home, peer] = [0, 1].map(|at: usize| world.clusters()[at].clone());
    let (home, peer) = (home.as_str(), peer.as_str());
    let apps =
        (0..plan.apps).map(|n| App { records_per_second: 1, ..app(&format!("app-{n:03}"), home).claims(plan.claims) });
    let title = format!("{name}, {} application{}", plan.apps, if plan.apps == 1 { "" } else { "s" });
    eprintln!("{title}: the world is up after {:.1} s", up.as_secs_f64());
    let mut bench = Bench {
        timeline: Timeline::start(&world)?,
        apps: apps.collect(),
        title,
        world,
        meter,
        before: Sample::default(),
        peaks_kib: BTreeMap::new(),
        phases: Vec::new(),
    };
    tokio::time::sleep(SETTLE).await;
    bench.drop_counts().await?;

    bench.begin(DRState::Deployed, home);
    try_join_all(bench.apps.iter().map(|app| bench.world.protect(app))).await?;
    bench.end("protect", Mark::Protected).await?;

    let server = bench.server().await?;
    let rest = bench.rest(plan.rest).await?;

    bench.order(DRAction::Failover, DRState::FailedOver, peer).await?;
    bench.end("failover, source alive", Mark::Completed).await?;
    bench.order(DRAction::Relocate, DRState::Relocated, home).await?;
    bench.end("relocate back", Mark::Completed).await?;

    if may_kill(&bench.world, home) {
        bench.world.kill(home)?;
        bench.order(DRAction::Failover, DRState::FailedOver, peer).await?;
        bench.end("failover, source dead", Mark::Placed).await?;
        // Counted from when all programs there run again: how long a machine takes to start is not ours.
        bench.world.revive(home)?;
        bench.again(DRState::FailedOver, peer);
        bench.end("source comes back", Mark::Completed).await?;
        bench.order(DRAction::Relocate, DRState::Relocated, home).await?;
        bench.end("relocate after it", Mark::Completed).await?;
    }

    bench.begin(DRState::Deleting, home);
    try_join_all(bench.apps.iter().map(|app| bench.world.unprotect(app))).await?;
    bench.end("unprotect", Mark::Gone).await?;

    let memory =
        bench.peaks_kib.iter().map(|(name, kib)| Memory { name: name.clone(), peak_mib: *kib as f64 / 1024.0 });
    Ok(Size { apps: plan.apps, up_s: up.as_secs_f64(), server, memory: memory.collect(), phases: bench.phases, rest })
}

/// Whether a cluster is ours to kill.
fn may_kill(world: &World, cluster: &str) -> bool {
    match &world.options().ground {
        Ground::Embedded => true,
        Ground::Given(given) => given.may_break(cluster).is_ok(),
    }
}

struct Bench {
    title: String,
    world: World,
    meter: Meter,
    timeline: Timeline,
    apps: Vec<App>,
    before: Sample,
    /// The highest of all samples: what is killed takes its own with it.
    peaks_kib: BTreeMap<String, u64>,
    phases: Vec<Phase>,
}

impl Bench {
    fn begin(&self, phase: DRState, to: &str) {
        for app in &self.apps {
            self.timeline.begin(&app.namespace, phase.clone(), to);
        }
    }

    /// Goes on waiting for what was ordered before: no new generation will come.
    fn again(&self, phase: DRState, to: &str) {
        for app in &self.apps {
            self.timeline.go_on(&app.namespace, phase.clone(), to, Mark::Completed);
        }
    }

    async fn order(&self, action: DRAction, phase: DRState, to: &str) -> anyhow::Result<()> {
        try_join_all(self.apps.iter().map(|app| {
            self.timeline.begin(&app.namespace, phase.clone(), to);
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
        let (requests, s3) = (self.meter.requests(&self.world)?, self.meter.s3(&self.world)?);
        let took = self.timeline.durations();
        let took = took.iter().map(|(mark, took)| (mark.name().to_owned(), Percentiles::of(took))).collect();
        eprintln!("{}: {name}: {:.1} s", self.title, wall.as_secs_f64());
        let sample = self.sample().await;
        let cpu = sample.since(&self.before);
        self.before = sample;
        let (name, wall_s) = (name.to_owned(), wall.as_secs_f64());
        self.phases.push(Phase { name, took, requests: requests.map(Into::into), s3, wall_s, cpu });
        Ok(())
    }

    async fn rest(&mut self, window: Duration) -> anyhow::Result<Rest> {
        self.drop_counts().await?;
        tokio::time::sleep(window).await;
        let (requests, s3) = (self.meter.requests(&self.world)?, self.meter.s3(&self.world)?);
        let sample = self.sample().await;
        let cpu = sample.since(&self.before);
        self.before = sample;
        let s3 = s3.map(|s3| s3.values().sum());
        Ok(Rest { seconds: window.as_secs(), requests: requests.map(Into::into), s3, cpu })
    }

    async fn drop_counts(&mut self) -> anyhow::Result<()> {
        drop(self.meter.requests(&self.world)?);
        drop(self.meter.s3(&self.world)?);
        self.before = self.sample().await;
        Ok(())
    }

    async fn sample(&mut self) -> Sample {
        let sample = self.meter.usage().await;
        for (name, kib) in &sample.peaks_kib {
            let peak = self.peaks_kib.entry(name.clone()).or_default();
            *peak = (*peak).max(*kib);
        }
        sample
    }

    /// How long one read and one write of the hub take while nothing else happens: a server's share of every step.
    async fn server(&self) -> anyhow::Result<Server> {
        let Some(app) = self.apps.first() else { anyhow::bail!("there is no application") };
        let maps: Api<ConfigMap> = Api::namespaced(self.world.hub(), &app.namespace);
        let name = "kaedama-bench";
        let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        maps.create(&PostParams::default(), &map).await?;
        // Connections are open from here on.
        maps.get(name).await?;
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let began = Instant::now();
            maps.get(name).await?;
            reads.push(began.elapsed());
            let began = Instant::now();
            let patch = Patch::Merge(json!({ "data": { "round": round.to_string() } }));
            maps.patch(name, &PatchParams::default(), &patch).await?;
            writes.push(began.elapsed());
        }
        maps.delete(name, &DeleteParams::default()).await?;
        reads.sort();
        writes.sort();
        Ok(Server { read: Percentiles::of(&reads), write: Percentiles::of(&writes) })
    }
}
