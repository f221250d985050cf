//! Worlds, and applications that are protected in them.
//!
//! A scenario asks here for its world, and does not know which one it gets: the sandbox's, in virtual time; where it
//! runs inside of [`on_real_ground`], one of real parts, in real time; where it runs inside of [`on_a_visit`], one that
//! it shares with other scenarios: of real parts, or on clusters that belong to somebody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use kaedama_sandbox::workload::Audit;
use kaedama_sandbox::world::app::{App, Writers};
use kaedama_sandbox::world::ground::{Ground, Parts};
use kaedama_sandbox::world::{Options, Replication, World};
use kaedama_shared::api::{DRPlacementControl, DRState, parse_scheduling_interval};
use kaedama_shared::clock::Clock;

use crate::ground::RealGround;
use crate::real::Real;

/// When every world of the sandbox begins. The world's time; it has nothing to do with the machine's.
const BEGINNING: &str = "2026-03-01T03:00:00Z";

/// How often the storage of a real world ships its changes; in virtual time it is every minute.
pub(crate) const SHIP_EVERY: Duration = Duration::from_secs(5);
/// So many seconds of [`pass`] are real ones in a real world. Those beyond are worth as much as they are to the storage: a
/// twelfth, where that ships twelve times as often, and a lost cluster is noticed in a quarter of the time.
const REAL_SECONDS: u64 = 5;
/// How often the storage of the world ships that scenarios have in mind.
const A_MINUTE: Duration = Duration::from_secs(60);

tokio::task_local! {
    static REAL: (Arc<Real>, Parts);
    static VISIT: Arc<Visit>;
}

/// A scenario's stay on clusters that it shares with others before and after it: its applications have namespaces of
/// their own there.
pub struct Visit {
    /// The world, with everything installed.
    pub world: World,
    /// Names of the managed clusters.
    pub clusters: [&'static str; 2],
    /// What its namespaces begin with.
    pub prefix: String,
    /// Its applications so far.
    apps: Mutex<Vec<App>>,
}

impl Visit {
    /// A stay that has not begun.
    #[must_use]
    pub fn new(world: World, clusters: [&'static str; 2], prefix: String) -> Self {
        Self { world, clusters, prefix, apps: Mutex::default() }
    }

    /// The applications of the scenario.
    #[must_use]
    pub fn apps(&self) -> Vec<App> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a scenario on clusters that it shares.
pub async fn on_a_visit<T>(visit: Arc<Visit>, scenario: impl Future<Output = T>) -> T {
    VISIT.scope(visit, scenario).await
}

/// The world of a visit, if this is one.
fn visited() -> Option<World> {
    VISIT.try_with(|visit| visit.world.clone()).ok()
}

/// The first managed cluster.
#[must_use]
pub fn dr1() -> &'static str {
    VISIT.try_with(|visit| visit.clusters[0]).unwrap_or("dr1")
}

/// The second managed cluster.
#[must_use]
pub fn dr2() -> &'static str {
    VISIT.try_with(|visit| visit.clusters[1]).unwrap_or("dr2")
}

/// An application with one claim and ten records a second: in a namespace of its name or, on a visit, in one that is
/// nobody else's.
#[must_use]
pub fn app(name: &str, home: &str) -> App {
    let app = App::new(name, home);
    let visiting = VISIT.try_with(|visit| {
        let writers = visit.world.options().writers.clone();
        let app = App { namespace: format!("{}-{name}", visit.prefix), writers, ..app.clone() };
        visit.apps.lock().unwrap_or_else(PoisonError::into_inner).push(app.clone());
        app
    });
    visiting.unwrap_or(app)
}

/// That a scenario is not on a visit, where what it asks for is not to be had.
fn at_home(what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(VISIT.try_with(|_| ()).is_err(), "these clusters are shared: there is no {what} here");
    Ok(())
}

/// Runs a scenario on real clusters, which have these parts.
pub async fn on_real_ground<T>(real: Arc<Real>, parts: Parts, scenario: impl Future<Output = T>) -> T {
    REAL.scope((real, parts), scenario).await
}

/// The real clusters that this scenario runs on.
///
/// # Errors
/// It does not run inside of [`on_real_ground`].
pub fn real() -> anyhow::Result<Arc<Real>> {
    REAL.try_with(|(real, _)| real.clone()).context("this scenario runs on real clusters only")
}

/// A bound of the sandbox's world, or that of a real one: where programs start, elect leaders and read what is there,
/// things take seconds that take none in virtual time.
#[must_use]
pub fn either<T>(sandbox: T, on_real_clusters: T) -> T {
    if in_real_time() { on_real_clusters } else { sandbox }
}

/// Whether this is no world of the sandbox, with its virtual time.
fn in_real_time() -> bool {
    real().is_ok() || VISIT.try_with(|_| ()).is_ok()
}

async fn options(make: impl Fn(Clock) -> Options) -> anyhow::Result<Options> {
    // Only the first of several tests in a process gets to set this up.
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().try_init();
    let Ok((real, parts)) = REAL.try_with(Clone::clone) else {
        return Ok(make(Clock::starting_at(BEGINNING.parse()?)));
    };
    let mut options = make(Clock::system());
    options.ground = Ground::Given(Arc::new(RealGround::new(real, parts).await?));
    options.lease_seconds = 1;
    if let Replication::Regional { every, .. } = &mut options.replication {
        *every = SHIP_EVERY;
    }
    Ok(options)
}

/// Two clusters, `dr1` and `dr2`, with storage of their own that is replicated every minute.
///
/// # Errors
/// The world does not come up.
pub async fn regional() -> anyhow::Result<World> {
    if let Some(world) = visited() {
        return Ok(world);
    }
    Ok(World::start(options(Options::regional).await?).await?)
}

/// As [`regional`], without a DRPolicy.
///
/// # Errors
/// The world does not come up.
pub async fn without_policy() -> anyhow::Result<World> {
    at_home("world without a policy")?;
    let options = Options { policy: String::new(), ..options(Options::regional).await? };
    Ok(World::start(options).await?)
}

/// Two clusters, `dr1` and `dr2`, on one storage system.
///
/// # Errors
/// The world does not come up.
pub async fn metro() -> anyhow::Result<World> {
    if let Some(world) = visited().filter(|world| world.options().replication == Replication::Metro) {
        return Ok(world);
    }
    at_home("storage system under both clusters")?;
    Ok(World::start(options(Options::metro).await?).await?)
}

/// Deploys an application under protection, and waits until all of it is protected.
///
/// # Errors
/// That does not happen.
pub async fn deployed(world: &World, app: App) -> anyhow::Result<App> {
    world.protect(&app).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    // A pod may have to wait for its image.
    let until = tokio::time::Instant::now() + world.patience();
    while world.audit(&app).is_none() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(app)
}

/// How often the storage of a world ships its changes.
#[must_use]
pub fn ships_every(world: &World) -> Duration {
    match world.options().replication {
        Replication::Regional { every, .. } => every,
        Replication::Metro => Duration::ZERO,
    }
}

/// So many seconds of [`pass`] are longer than [`most_lost`], in the sandbox and on storage of others: a replica that gets
/// nothing of them is found out. The sandbox's storage on real clusters ships more often than its policy says; there the
/// bytes are compared.
pub const AT_STAKE: u64 = 160;

/// Seconds of work that a failover cost and that were done before it was ordered. What the old home writes until it is
/// stopped nobody can bring across.
#[must_use]
pub fn lost_before(order: &Audit, after: &Audit) -> f64 {
    let (Some(first), Some(last)) = (after.first_lost, order.last_written) else { return 0.0 };
    last.duration_since(first).as_secs_f64().max(0.0)
}

/// The most seconds of work that a failover may cost: what two intervals of the policy take, and some more.
#[must_use]
pub fn most_lost(world: &World) -> f64 {
    let interval = match &world.options().replication {
        Replication::Regional { interval, .. } => parse_scheduling_interval(interval).unwrap_or(0),
        Replication::Metro => 0,
    };
    (2 * interval + 10) as f64
}

/// Lets so many seconds of the world's time pass. In a real world it takes as much less, or more, as the storage ships
/// more or less often than every minute.
pub async fn pass(seconds: u64) {
    // Storage under both clusters ships nothing.
    let every = visited().map(|world| ships_every(&world)).filter(|every| !every.is_zero());
    tokio::time::sleep(real_time(seconds, every)).await;
}

/// What seconds of the world's time take where this runs; on a visit, the storage ships so often.
fn real_time(seconds: u64, every: Option<Duration>) -> Duration {
    if !in_real_time() || seconds <= REAL_SECONDS {
        return Duration::from_secs(seconds);
    }
    at_interval(seconds, every.unwrap_or(SHIP_EVERY))
}

/// What more than a few seconds of the world's time take in real time, where the storage ships so often.
fn at_interval(seconds: u64, every: Duration) -> Duration {
    let beyond = Duration::from_secs(seconds - REAL_SECONDS);
    Duration::from_secs(REAL_SECONDS) + beyond.mul_f64(every.div_duration_f64(A_MINUTE))
}

/// Reads an application's DRPlacementControl.
///
/// # Errors
/// It is not there.
pub async fn drpc(world: &World, app: &App) -> anyhow::Result<DRPlacementControl> {
    Ok(world.drpcs(&app.namespace).get(&app.name).await?)
}

/// Waits until an application runs on a cluster, goes on writing there, and has written so many records altogether. Where
/// it does not, what it has written after a time that is more than enough is for the caller to see.
pub async fn writes(world: &World, app: &App, cluster: &str, records: u64) {
    // A pod may have to wait for its image.
    let seconds = match world.options().writers {
        Writers::Simulated => 60,
        Writers::Pods(_) => world.patience().as_secs(),
    };
    let mut first = None;
    for _ in 0..seconds {
        if let Some(audit) = world.audit(app).filter(|audit| audit.cluster == cluster)
            && audit.acknowledged > *first.get_or_insert(audit.acknowledged)
            && audit.acknowledged > records
        {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the sandbox a scenario has seconds; on storage of others as many, or a multiple of its interval.
    #[test]
    fn a_storage_that_never_ships_again_is_found_out_at_every_interval() {
        let most = |interval: u64| Duration::from_secs(2 * interval + 10);
        assert!(real_time(AT_STAKE, None) > most(60));
        for minutes in [1, 5, 60, 24 * 60] {
            let interval = Duration::from_secs(60 * minutes);
            assert!(at_interval(AT_STAKE, interval) > most(60 * minutes), "{minutes} m");
        }
    }
}
