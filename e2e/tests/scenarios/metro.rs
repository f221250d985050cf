//! One storage for both clusters: who may write is decided by fences, and nothing is ever lost.

use kaedama_e2e::bytes::audit_at_home;
use kaedama_e2e::objects::{conditions, decisions, message, site, stage};
use kaedama_e2e::start::{app, deployed, drpc, metro, pass, writes};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::{DRAction, DRCluster, DRState};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// From where dr1 reaches the storage.
const NETWORK: &str = "10.1.0.0/16";

/// What an administrator does to a cluster that is to be fenced by hand: the storage does not let it in any more.
fn shut_out(world: &World, shut: bool) {
    world.fabric().set_addresses("dr1", vec![NETWORK.to_owned()]);
    world.fabric().with(|arrays, now| arrays.fence(&"metro".into(), NETWORK, shut, now)).expect("the storage is there");
}

async fn fence(world: &World, cluster: &str, how: &str) -> anyhow::Result<()> {
    let api: Api<DRCluster> = Api::all(world.hub());
    let patch = Patch::Merge(json!({ "spec": { "clusterFence": how } }));
    api.patch(cluster, &PatchParams::default(), &patch).await?;
    Ok(())
}

pub async fn a_failover_waits_for_the_fence_and_loses_nothing() -> anyhow::Result<()> {
    let world = metro().await?;
    let app = deployed(&world, app("web", "dr1").claims(2)).await?;
    pass(20).await;
    world.kill("dr1")?;
    world.order(&app, DRAction::Failover, "dr2").await?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert_eq!(stage(&waits), "FailingOver/WaitForFencing");
    let said = message(&waits, "Available");
    assert!(said.contains("dr1 must be fenced") && said.contains("ManuallyFenced"), "{said}");
    assert_eq!(decisions(&world, &app).await?, ["dr1"]);
    assert_eq!(site(&world, "dr2", &app).await?.role(), "secondary/Secondary");

    shut_out(&world, true);
    fence(&world, "dr1", "ManuallyFenced").await?;
    world.placed(&app, DRState::FailedOver).await?;
    writes(&world, &app, "dr2", 0).await;
    let there = audit_at_home(&world, &app)?;
    assert!(there.is_clean() && there.cluster == "dr2", "{there:#?}");

    // The cluster comes back, is a secondary, and may be used again.
    world.revive("dr1")?;
    let seen = world.completed(&app, DRState::FailedOver).await?;
    assert!(site(&world, "dr1", &app).await?.deployments.is_empty(), "the application is still deployed on dr1");
    shut_out(&world, false);
    fence(&world, "dr1", "ManuallyUnfenced").await?;
    assert_eq!(conditions(&seen)[..2], ["Available=True/FailedOver", "PeerReady=True/Success"]);
    assert_eq!(decisions(&world, &app).await?, ["dr2"]);
    let back = audit_at_home(&world, &app)?;
    assert!(back.is_clean(), "the old primary wrote: {back:#?}");

    world.order(&app, DRAction::Relocate, "dr1").await?;
    world.completed(&app, DRState::Relocated).await?;
    writes(&world, &app, "dr1", 0).await;
    let home = audit_at_home(&world, &app)?;
    assert!(home.is_clean() && home.cluster == "dr1", "{home:#?}");
    assert_eq!(decisions(&world, &app).await?, ["dr1"]);
    Ok(())
}

pub async fn a_relocate_to_a_fenced_cluster_is_refused_until_it_is_unfenced() -> anyhow::Result<()> {
    let world = metro().await?;
    let app = deployed(&world, app("web", "dr1").claims(2)).await?;
    fence(&world, "dr2", "ManuallyFenced").await?;
    pass(5).await;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    let said = message(&waits, "Available");
    assert!(said.contains("dr2 is fenced") && said.contains("ManuallyUnfenced"), "{said}");
    assert_eq!(decisions(&world, &app).await?, ["dr1"]);
    let before = audit_at_home(&world, &app)?;
    assert!(before.is_clean() && before.cluster == "dr1", "{before:#?}");

    fence(&world, "dr2", "ManuallyUnfenced").await?;
    world.completed(&app, DRState::Relocated).await?;
    writes(&world, &app, "dr2", 0).await;
    let after = audit_at_home(&world, &app)?;
    assert!(after.is_clean() && after.cluster == "dr2", "{after:#?}");
    assert!(after.acknowledged > before.acknowledged);
    Ok(())
}

pub async fn a_relocate_there_and_back_loses_nothing() -> anyhow::Result<()> {
    let world = metro().await?;
    let app = deployed(&world, App { records_per_second: 50, ..app("web", "dr1").claims(2) }).await?;
    for to in ["dr2", "dr1", "dr2"] {
        pass(5).await;
        world.order(&app, DRAction::Relocate, to).await?;
        world.completed(&app, DRState::Relocated).await?;
        pass(5).await;
        let now = audit_at_home(&world, &app)?;
        assert!(now.is_clean() && now.cluster == to, "{to}: {now:#?}");
    }
    Ok(())
}
