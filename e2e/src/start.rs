//! Worlds, and applications that are protected in them.

use std::time::Duration;

use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{Options, World};
use kaedama_shared::api::{DRPlacementControl, DRState};
use kaedama_shared::clock::Clock;

/// When every world begins. The world's time; it has nothing to do with the machine's.
const BEGINNING: &str = "2026-03-01T03:00:00Z";

fn clock() -> anyhow::Result<Clock> {
    // Only the first of several tests in a process gets to set this up.
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().try_init();
    Ok(Clock::starting_at(BEGINNING.parse()?))
}

/// Two clusters, `dr1` and `dr2`, with storage of their own that is replicated every minute.
///
/// # Errors
/// The world does not come up.
pub async fn regional() -> anyhow::Result<World> {
    Ok(World::start(Options::regional(clock()?)).await?)
}

/// Two clusters, `dr1` and `dr2`, on one storage system.
///
/// # Errors
/// The world does not come up.
pub async fn metro() -> anyhow::Result<World> {
    Ok(World::start(Options::metro(clock()?)).await?)
}

/// Deploys an application under protection, and waits until all of it is protected.
///
/// # Errors
/// That does not happen.
pub async fn deployed(world: &World, app: App) -> anyhow::Result<App> {
    world.protect(&app).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    Ok(app)
}

/// Lets so many seconds of the world's time pass.
pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Reads an application's DRPlacementControl.
///
/// # Errors
/// It is not there.
pub async fn drpc(world: &World, app: &App) -> anyhow::Result<DRPlacementControl> {
    Ok(world.drpcs(&app.namespace).get(&app.name).await?)
}
