//! API servers and etcd.

use std::time::Duration;

use kaedama_e2e::objects::stage;
use kaedama_e2e::real::{HUB, Part};
use kaedama_e2e::start::{app, deployed, dr1, drpc, real, regional};
use kaedama_shared::api::DRAction;
use tokio::time::sleep;

use super::moved;

pub async fn an_api_server_that_dies_in_a_relocate_holds_it_up_and_nothing_else() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    for (cluster, to) in [("dr1", "dr2"), ("dr2", "dr1"), (HUB, "dr2")] {
        world.order(&app, DRAction::Relocate, to).await?;
        world.until_drpc(&app, "Relocating", |drpc| stage(drpc).starts_with("Relocating/")).await?;
        real.process(cluster, Part::ApiServer)?.kill().await;
        // Longer than a lost cluster takes to be called so.
        sleep(Duration::from_secs(8)).await;
        real.process(cluster, Part::ApiServer)?.start().await?;
        real.ready(cluster, Part::ApiServer).await?;
        moved(&world, &app, to).await?;
    }
    Ok(())
}

pub async fn every_etcd_is_killed_in_a_relocate_and_nothing_is_lost() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    for cluster in ["dr1", "dr2", HUB] {
        let etcd = real.process(cluster, Part::Etcd)?;
        etcd.kill().await;
        sleep(Duration::from_millis(700)).await;
        etcd.start().await?;
        real.ready(cluster, Part::Etcd).await?;
    }
    moved(&world, &app, "dr2").await?;
    assert_eq!(stage(&drpc(&world, &app).await?), "Relocated/Completed");
    Ok(())
}

pub async fn every_certificate_is_renewed_in_a_relocate_and_nothing_is_lost() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    for cluster in ["dr2", HUB, "dr1"] {
        real.renew_certificate(cluster).await?;
    }
    moved(&world, &app, "dr2").await
}
