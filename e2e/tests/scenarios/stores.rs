//! Stores come and go: what is protected where is told, a store that returns is filled up, and one store is enough.

use anyhow::Context as _;
use kaedama_e2e::bytes::{audit_at_home, keys, stored};
use kaedama_e2e::objects::{conditions, message, site, stage, until_site};
use kaedama_e2e::start::{app, deployed, dr1, drpc, pass, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::{DRAction, DRPlacementControl, DRState, VolumeReplicationGroup};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

const MANIFEST: &str = "kaedama/v1/manifest";

pub async fn a_store_that_is_away_is_named_and_filled_up_when_it_returns() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = app("web", dr1()).claims(2);
    world.set_store_down("dr1", true);
    world.protect(&app).await?;
    world.completed(&app, DRState::Deployed).await?;
    pass(30).await;

    let home = site(&world, "dr1", &app).await?;
    let said = home.condition("ClusterDataProtected");
    assert!(said.starts_with("False/") && said.contains("s3-dr1") && !said.contains("s3-dr2"), "{said}");
    let seen = drpc(&world, &app).await?;
    assert!(conditions(&seen)[2].starts_with("Protected=False/"), "{:?}", conditions(&seen));
    assert!(message(&seen, "Protected").contains("s3-dr1"), "{}", message(&seen, "Protected"));
    assert!(keys(&world, "dr1", &app).is_empty());
    let there = keys(&world, "dr2", &app);
    assert!(
        there.iter().any(|key| key.starts_with("v1.PersistentVolume/")),
        "the store that is there has nothing: {there:?}"
    );

    world.set_store_down("dr1", false);
    world.protected(&app).await?;
    assert_eq!(keys(&world, "dr1", &app), keys(&world, "dr2", &app));
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean(), "{now:#?}");
    Ok(())
}

pub async fn a_failover_restores_from_the_store_that_is_left_and_says_which_was_not_read() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(70).await;
    world.kill("dr1")?;
    world.order(&app, DRAction::Failover, "dr2").await?;
    world.placed(&app, DRState::FailedOver).await?;
    pass(20).await;
    let there = site(&world, "dr2", &app).await?;
    assert_eq!((there.claims.len(), there.volumes.len()), (2, 2));
    let said = there.condition("ClusterDataReady");
    assert!(
        said.starts_with("True/Restored") && said.contains("s3-dr2") && said.contains("Not read: s3-dr1"),
        "{said}"
    );
    let said = there.condition("ClusterDataProtected");
    assert!(said.starts_with("False/") && said.contains("s3-dr1"), "{said}");

    // The store alone returns, and is told who is primary now.
    world.set_store_down("dr1", false);
    until_site(&world, "dr2", &app, "stored everywhere", |site| {
        site.condition("ClusterDataProtected").starts_with("True/")
    })
    .await?;
    assert_eq!(stored(&world, "dr1", &app, "kaedama/v1/manifest")?["writer"]["cluster"], "dr2");
    let (here, there) = (stored(&world, "dr1", &app, MANIFEST)?, stored(&world, "dr2", &app, MANIFEST)?);
    assert_eq!(here["writer"]["cluster"], "dr2", "{here}");
    assert_eq!((&here["writer"], &here["counts"]), (&there["writer"], &there["counts"]));
    Ok(())
}

pub async fn a_failover_without_any_store_waits_and_promotes_nothing() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(70).await;
    world.kill("dr1")?;
    world.set_store_down("dr2", true);
    world.order(&app, DRAction::Failover, "dr2").await?;
    let named = |drpc: &DRPlacementControl| {
        let said = message(drpc, "Available");
        said.contains("s3-dr1") && said.contains("s3-dr2")
    };
    world.until_drpc(&app, "both stores named", named).await?;
    pass(60).await;
    assert_eq!(stage(&drpc(&world, &app).await?), "FailingOver/WaitingForResourceRestore");
    let there = site(&world, "dr2", &app).await?;
    assert!(there.claims.is_empty() && there.replications.is_empty(), "{there:#?}");

    world.set_store_down("dr2", false);
    world.placed(&app, DRState::FailedOver).await?;
    pass(5).await;
    assert_eq!(audit_at_home(&world, &app)?.cluster, "dr2");
    Ok(())
}

/// Takes everything of an application away from a store that is in this process.
fn empty(world: &World, cluster: &str, app: &App) -> anyhow::Result<()> {
    let store = world.store(cluster).context("the store is not in this process")?;
    for key in keys(world, cluster, app) {
        let key = format!("{}/{}/{key}", app.namespace, app.name);
        anyhow::ensure!(store.remove(&world.store_access(cluster)?.bucket, &key), "{key} is not there");
    }
    Ok(())
}

pub async fn a_store_that_dies_or_is_emptied_while_nothing_happens_is_noticed_and_filled() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(5).await;
    let before = keys(&world, "dr2", &app);
    empty(&world, "dr2", &app)?;
    pass(16 * 60).await;
    assert_eq!(keys(&world, "dr2", &app), before);
    world.protected(&app).await?;

    world.set_store_down("dr2", true);
    pass(16 * 60).await;
    let seen = drpc(&world, &app).await?;
    assert!(conditions(&seen)[2].starts_with("Protected=False/"), "{:?}", conditions(&seen));
    assert!(message(&seen, "Protected").contains("s3-dr2"), "{}", message(&seen, "Protected"));
    world.set_store_down("dr2", false);
    world.protected(&app).await?;
    assert_eq!(keys(&world, "dr2", &app), before);
    Ok(())
}

pub async fn a_failover_from_stores_that_were_emptied_starts_nothing_until_somebody_says_so() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(70).await;
    world.kill("dr1")?;
    empty(&world, "dr2", &app)?;
    world.set_store_down("dr1", false);
    empty(&world, "dr1", &app)?;
    world.order(&app, DRAction::Failover, "dr2").await?;
    const CONSENT: &str = "kaedama.dev/accept-empty-stores=";
    let told = |drpc: &DRPlacementControl| message(drpc, "Available").contains(CONSENT);
    let told = message(&world.until_drpc(&app, "what the stores lack", told).await?, "Available");
    let action = told.split(CONSENT).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    pass(60).await;
    let there = site(&world, "dr2", &app).await?;
    assert!(there.claims.is_empty() && there.replications.is_empty(), "{there:#?}");

    let groups: Api<VolumeReplicationGroup> = Api::namespaced(world.cluster("dr2")?, &app.namespace);
    let consent = json!({ "metadata": { "annotations": { "kaedama.dev/accept-empty-stores": action } } });
    groups.patch(&app.name, &PatchParams::default(), &Patch::Merge(&consent)).await?;
    world.placed(&app, DRState::FailedOver).await?;
    Ok(())
}
