//! S3 servers that fail while something is being stored.

use std::time::Duration;

use kaedama_e2e::bytes::{keys, stored};
use kaedama_e2e::objects::until_site;
use kaedama_e2e::real::{Part, Process, Real};
use kaedama_e2e::start::{real, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::DRState;
use tokio::time::sleep;

const MANIFEST: &str = "kaedama/v1/manifest";

/// Protects an application, and returns as soon as something of it is in the store of dr2.
async fn storing(world: &World) -> anyhow::Result<App> {
    let app = App::new("web", "dr1").claims(8);
    world.protect(&app).await?;
    for _ in 0..60_000 {
        if !keys(world, "dr2", &app).is_empty() {
            return Ok(app);
        }
        sleep(Duration::from_millis(1)).await;
    }
    anyhow::bail!("nothing is stored")
}

/// Both stores hold the same, complete.
async fn complete(world: &World, app: &App) -> anyhow::Result<()> {
    world.completed(app, DRState::Deployed).await?;
    world.protected(app).await?;
    let (here, there) = (stored(world, "dr1", app, MANIFEST)?, stored(world, "dr2", app, MANIFEST)?);
    assert_eq!((&here["writer"], &here["counts"]), (&there["writer"], &there["counts"]));
    let claims = keys(world, "dr2", app).iter().filter(|key| key.starts_with("v1.PersistentVolumeClaim/")).count();
    assert_eq!(claims, 8);
    Ok(())
}

/// The group says that the store of dr2 is not there, while the other has everything.
async fn named(world: &World, app: &App) -> anyhow::Result<()> {
    until_site(world, "dr1", app, "the store of dr2 is missed", |site| {
        let said = site.condition("ClusterDataProtected");
        said.starts_with("False/") && said.contains("s3-dr2") && !said.contains("s3-dr1")
    })
    .await?;
    Ok(())
}

fn store(real: &Real) -> anyhow::Result<&Process> {
    Ok(real.process("dr2", Part::S3)?)
}

pub async fn a_store_that_stands_still_in_a_capture_is_named_and_filled_up_later() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = storing(&world).await?;
    store(&real)?.pause().await;
    named(&world, &app).await?;
    store(&real)?.resume().await;
    complete(&world, &app).await
}

pub async fn a_store_that_dies_in_a_capture_holds_nothing_that_is_half() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = storing(&world).await?;
    store(&real)?.kill().await;
    // What it kept can be read, each object whole.
    for key in keys(&world, "dr2", &app) {
        stored(&world, "dr2", &app, &key)?;
    }
    named(&world, &app).await?;
    store(&real)?.start().await?;
    real.ready("dr2", Part::S3).await?;
    complete(&world, &app).await
}
