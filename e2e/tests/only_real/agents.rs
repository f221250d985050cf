//! The work agent, and the operators.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use kaedama_e2e::bytes::audit_at_home;
use kaedama_e2e::objects::{decisions, message, stage};
use kaedama_e2e::real::{HUB, Part};
use kaedama_e2e::start::{app, deployed, dr1, drpc, real, regional, writes};
use kaedama_shared::api::DRAction;
use tokio::time::sleep;

use super::moved;

pub async fn a_work_agent_that_is_away_holds_an_order_up_and_nothing_else() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    let agent = real.process("dr1", Part::WorkAgent)?;
    agent.stop().await;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    world.until_drpc(&app, "Relocating", |drpc| stage(drpc).starts_with("Relocating/")).await?;
    sleep(Duration::from_secs(10)).await;
    let waits = drpc(&world, &app).await?;
    assert!(stage(&waits).starts_with("Relocating/"), "{}", stage(&waits));
    assert!(message(&waits, "Available").contains("dr1"), "{}", message(&waits, "Available"));
    assert_eq!(decisions(&world, &app).await?, ["dr1"]);
    let before = audit_at_home(&world, &app)?;
    writes(&world, &app, "dr1", before.acknowledged + 20).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.acknowledged > before.acknowledged + 20 && now.cluster == "dr1", "{now:#?}");
    agent.start().await?;
    real.ready("dr1", Part::WorkAgent).await?;
    moved(&world, &app, "dr2").await
}

pub async fn an_operator_that_is_killed_at_any_moment_of_a_relocate_finishes_it_without_loss() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    for (round, cluster) in [HUB, "dr1", "dr2"].into_iter().enumerate() {
        let to = if round % 2 == 0 { "dr2" } else { "dr1" };
        world.order(&app, DRAction::Relocate, to).await?;
        // A relocate takes some three seconds. Not the same moment each time: it is said where it was.
        let millis = RandomState::new().hash_one(round) % 3_000;
        sleep(Duration::from_millis(millis)).await;
        let at = stage(&drpc(&world, &app).await?);
        eprintln!("the operator of {cluster} is killed {millis} ms after the order, at {at}");
        // Its pod is made anew: the next one waits for the lease.
        real.replace_operator(cluster).await?;
        moved(&world, &app, to).await?;
    }
    Ok(())
}

/// A process that stands still for longer than its lease lasts must not go on as if nothing had happened.
pub async fn a_standing_still_operator_of_the_hub_does_nothing_twice() -> anyhow::Result<()> {
    let (world, real) = (regional().await?, real()?);
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    world.until_drpc(&app, "Relocating", |drpc| stage(drpc).starts_with("Relocating/")).await?;
    let operator = real.process(HUB, Part::Operator)?;
    operator.pause().await;
    sleep(Duration::from_secs(20)).await;
    operator.resume().await;
    moved(&world, &app, "dr2").await
}
