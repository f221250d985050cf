//! S3 servers that fail while something is being stored.

use std::time::Duration;

use kaedama_e2e::bytes::{audit_at_home, keys, stored, volumes};
use kaedama_e2e::objects::{site, until_site};
use kaedama_e2e::real::{Part, Process, Real};
use kaedama_e2e::start::{app, deployed, dr1, pass, real, regional, writes};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::{DRAction, DRState};
use tokio::time::sleep;

const MANIFEST: &str = "kaedama/v1/manifest";

/// Protects an application, and returns as soon as something of it is in the store of dr2.
async fn storing(world: &World) -> anyhow::Result<App> {
    let app = app("web", dr1()).claims(8);
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

pub async fn a_store_whose_disk_is_full_in_a_capture_holds_nothing_that_is_half() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    // Room for a few of its objects: each takes a page of 4 KiB at least.
    real.put_store_on_disk("dr2", 48 << 10).await?;
    let app = storing(&world).await?;
    named(&world, &app).await?;
    // Each object is whole or not there, and the manifest does not promise more than there is.
    for key in keys(&world, "dr2", &app) {
        let object = stored(&world, "dr2", &app, &key)?;
        assert_ne!(object["content"]["layoutComplete"], true, "{key} promises what did not fit: {object:#}");
    }
    real.enlarge_store_disk("dr2", 64 << 20).await?;
    complete(&world, &app).await
}

pub async fn a_store_that_dies_in_a_restore_holds_it_up_and_nothing_else() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(3)).await?;
    pass(100).await;
    world.kill("dr1")?;
    let replicas = volumes(&world, "dr2", &app)?;

    // It takes requests and answers none; and then it dies over them.
    store(&real)?.pause().await;
    world.order(&app, DRAction::Failover, "dr2").await?;
    until_site(&world, "dr2", &app, "the store of dr2 is missed", |site| {
        let said = site.condition("ClusterDataReady");
        said.starts_with("False/") && said.contains("s3-dr2")
    })
    .await?;
    let held_up = site(&world, "dr2", &app).await?;
    assert!(held_up.claims.is_empty() && held_up.volumes.is_empty(), "{held_up:#?}");
    store(&real)?.kill().await;
    store(&real)?.start().await?;
    real.ready("dr2", Part::S3).await?;

    world.placed(&app, DRState::FailedOver).await?;
    let before = audit_at_home(&world, &app)?.acknowledged;
    writes(&world, &app, "dr2", before + 20).await;
    let after = audit_at_home(&world, &app)?;
    assert!(after.acknowledged > before + 20, "it does not write: {after:#?}");
    assert_eq!((after.cluster.as_str(), after.damaged, after.out_of_order), ("dr2", 0, 0), "{after:#?}");
    for (claim, bytes) in volumes(&world, "dr2", &app)? {
        assert!(bytes.starts_with(&replicas[&claim]), "{claim} lost what it had");
    }
    Ok(())
}
