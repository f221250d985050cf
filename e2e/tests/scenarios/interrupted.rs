//! Actions that are interrupted: the hub restarts, clusters die in the middle, the storage refuses.

use std::time::Duration;

use kaedama_e2e::bytes::{audit, audit_at_home, last_syncs, records, volumes};
use kaedama_e2e::objects::{decisions, message, site_now, stage};
use kaedama_e2e::start::{app, deployed, dr1, dr2, drpc, either, pass, regional, writes};
use kaedama_sandbox::storage::array::{Code, StorageError};
use kaedama_sandbox::storage::fabric::{Fault, Operation};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{World, array};
use kaedama_shared::api::{DRAction, DRPlacementControl, DRState, ReplicationState, VolumeReplicationGroup};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

pub async fn a_hub_that_restarts_in_the_middle_of_a_relocate_finishes_it_without_loss() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    for (round, millis) in
        either(vec![0, 20, 100, 400, 1_000, 2_500, 5_000], vec![0, 400, 2_500]).into_iter().enumerate()
    {
        let to = if round % 2 == 0 { "dr2" } else { "dr1" };
        world.order(&app, DRAction::Relocate, to).await?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let at = stage(&drpc(&world, &app).await?);
        world.restart_hub();
        world
            .until_drpc(&app, to, |drpc| stage(drpc) == "Relocated/Completed" && drpc.spec.preferred_cluster == to)
            .await?;
        while decisions(&world, &app).await? != [to] {
            pass(1).await;
        }
        world.completed(&app, DRState::Relocated).await?;
        world.protected(&app).await?;
        pass(5).await;
        let now = audit_at_home(&world, &app)?;
        assert!(now.is_clean() && now.cluster == to, "restarted after {millis} ms at {at}: {now:#?}");
    }
    Ok(())
}

pub async fn a_hub_that_restarts_in_the_middle_of_a_failover_finishes_it() -> anyhow::Result<()> {
    // A world for each; real clusters are for one.
    for millis in either(vec![0, 50, 500, 2_000], vec![500]) {
        let world = regional().await?;
        let app = deployed(&world, app("web", dr1()).claims(2)).await?;
        pass(70).await;
        world.kill("dr1")?;
        let (written, syncs) = (records(&world, "dr1", &app)?, last_syncs(&world, &app)?);
        world.order(&app, DRAction::Failover, "dr2").await?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        world.restart_hub();
        world.placed(&app, DRState::FailedOver).await?;
        pass(5).await;
        let now = audit(&world, "dr2", &app)?;
        for (claim, all) in &written {
            let late = all.iter().filter(|record| record.at > syncs[claim].at).count() as u64;
            // In real time a record that was begun before the snapshot may be written after it: one, for they come in turn.
            let (lost, most) = (now.volumes[claim].lost, late + either(0, 1));
            assert!((late..=most).contains(&lost), "{claim}, restarted after {millis} ms: {lost}, not {late}");
        }
        world.revive("dr1")?;
        world.restart_hub();
        world.completed(&app, DRState::FailedOver).await?;
        assert_eq!(decisions(&world, &app).await?, ["dr2"]);
    }
    Ok(())
}

/// Orders a relocate to dr2 whose source is demoted, and whose last sync does not arrive: until the link between the two is
/// mended, nothing is promoted.
async fn held_before_the_last_sync(world: &World, app: &App) -> anyhow::Result<()> {
    world.set_replication_link("dr1", "dr2", false);
    world.order(app, DRAction::Relocate, "dr2").await?;
    let demoted = |drpc: &DRPlacementControl| stage(drpc) == "Relocating/EnsuringVolumesAreSecondary";
    world.until_drpc(app, "the source to be demoted", demoted).await?;
    Ok(())
}

/// Orders a relocate to dr2 and returns as soon as its record has come to this step.
async fn relocating(world: &World, app: &App, step: Step) -> anyhow::Result<()> {
    world.order(app, DRAction::Relocate, "dr2").await?;
    let reached = |drpc: &DRPlacementControl| {
        let annotations = drpc.metadata.annotations.clone().unwrap_or_default();
        let record = ActionRecord::from_annotations(&annotations).ok().flatten();
        record.is_some_and(|record| record.kind == ActionKind::Relocate && record.step == step)
    };
    world.until_drpc(app, &format!("a relocate at step {step:?}"), reached).await?;
    Ok(())
}

pub async fn a_source_that_dies_while_it_comes_to_rest_can_be_failed_over() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(75).await;
    relocating(&world, &app, Step::Quiescing).await?;
    let stops = |group: VolumeReplicationGroup| {
        group.spec.run_final_sync || group.spec.replication_state == ReplicationState::Secondary
    };
    while !site_now(&world, "dr1", &app).await?.vrg.is_some_and(stops) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.kill("dr1")?;
    let (written, kept) = (volumes(&world, "dr1", &app)?, volumes(&world, "dr2", &app)?);
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert!(stage(&waits).starts_with("Relocating/"), "{}", stage(&waits));
    assert!(message(&waits, "Available").contains("dr1"), "{}", message(&waits, "Available"));
    assert_eq!(
        (volumes(&world, "dr1", &app)?, volumes(&world, "dr2", &app)?),
        (written, kept.clone()),
        "bytes are gone"
    );

    world.order(&app, DRAction::Failover, "dr2").await?;
    world.placed(&app, DRState::FailedOver).await?;
    pass(10).await;
    for (claim, bytes) in volumes(&world, "dr2", &app)? {
        assert!(bytes.starts_with(&kept[&claim]) && bytes.len() > kept[&claim].len(), "{claim} lost what it had");
    }
    world.revive("dr1")?;
    world.completed(&app, DRState::FailedOver).await?;
    assert_eq!(decisions(&world, &app).await?, ["dr2"]);
    Ok(())
}

/// The target of a relocate restores from the newest data only, so it waits for every store: also for one that is lost.
pub async fn a_source_that_dies_with_its_store_while_the_target_is_promoted_can_be_failed_over() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    held_before_the_last_sync(&world, &app).await?;
    world.set_store_down("dr1", true);
    world.set_replication_link("dr1", "dr2", true);
    let restoring = |drpc: &DRPlacementControl| message(drpc, "Available").contains("not every store could be read");
    let waits = world.until_drpc(&app, "the target to miss a store", restoring).await?;
    assert_eq!(stage(&waits), "Relocating/WaitingForResourceRestore");
    world.kill("dr1")?;
    pass(60).await;
    assert_eq!(stage(&drpc(&world, &app).await?), "Relocating/WaitingForResourceRestore");

    world.order(&app, DRAction::Failover, "dr2").await?;
    world.placed(&app, DRState::FailedOver).await?;
    writes(&world, &app, "dr2", 0).await;
    let now = audit(&world, "dr2", &app)?;
    assert!(now.is_clean() && now.cluster == "dr2", "the source had come to rest: {now:#?}");
    world.revive("dr1")?;
    world.completed(&app, DRState::FailedOver).await?;
    assert_eq!(decisions(&world, &app).await?, ["dr2"]);
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == "dr2", "{now:#?}");
    Ok(())
}

pub async fn a_target_that_dies_while_it_is_promoted_leaves_everything_at_the_source() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    relocating(&world, &app, Step::Promoting).await?;
    world.kill("dr2")?;
    let written = volumes(&world, "dr1", &app)?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert!(stage(&waits).starts_with("Relocating/"), "{}", stage(&waits));
    assert!(message(&waits, "Available").contains("dr2"), "{}", message(&waits, "Available"));
    assert_eq!(volumes(&world, "dr1", &app)?, written, "bytes are gone");

    world.order(&app, DRAction::Failover, "dr1").await?;
    world.placed(&app, DRState::FailedOver).await?;
    writes(&world, &app, "dr1", 0).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == "dr1", "{now:#?}");
    world.revive("dr2")?;
    world.completed(&app, DRState::FailedOver).await?;
    let now = audit_at_home(&world, &app)?;
    assert_eq!((now.lost, now.cluster.as_str()), (0, "dr1"), "{now:#?}");
    Ok(())
}

pub async fn a_target_that_dies_before_the_last_sync_arrives_does_not_keep_the_application_from_home()
-> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    held_before_the_last_sync(&world, &app).await?;
    pass(20).await;
    world.kill("dr2")?;
    let written = volumes(&world, "dr1", &app)?;

    // A Relocate back would keep the peer's copy, and waits for it; the admin is told how to give it up.
    world.order(&app, DRAction::Relocate, "dr1").await?;
    let told = |drpc: &DRPlacementControl| message(drpc, "Available").contains("spec.failoverCluster to dr1");
    world.until_drpc(&app, "the way to give dr2 up", told).await?;
    assert_eq!(volumes(&world, "dr1", &app)?, written, "bytes are gone");

    world.order(&app, DRAction::Failover, "dr1").await?;
    world.placed(&app, DRState::FailedOver).await?;
    writes(&world, &app, "dr1", 0).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == "dr1", "{now:#?}");
    for (claim, bytes) in volumes(&world, "dr1", &app)? {
        assert!(bytes.starts_with(&written[&claim]) && bytes.len() > written[&claim].len(), "{claim}");
    }
    world.revive("dr2")?;
    world.set_replication_link("dr1", "dr2", true);
    world.completed(&app, DRState::FailedOver).await?;
    world.protected(&app).await?;
    let now = audit_at_home(&world, &app)?;
    assert_eq!((now.lost, now.cluster.as_str()), (0, "dr1"), "{now:#?}");
    Ok(())
}

pub async fn a_target_that_dies_right_after_a_relocate_can_be_failed_over_from() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    world.order(&app, DRAction::Relocate, "dr2").await?;
    world.placed(&app, DRState::Relocated).await?;
    world.kill("dr2")?;
    let kept = records(&world, "dr1", &app)?;
    world.order(&app, DRAction::Failover, "dr1").await?;
    world.placed(&app, DRState::FailedOver).await?;
    writes(&world, &app, "dr1", 0).await;
    let now = audit_at_home(&world, &app)?;
    assert_eq!((now.cluster.as_str(), now.damaged, now.out_of_order), ("dr1", 0, 0), "{now:#?}");
    for (claim, home) in records(&world, "dr1", &app)? {
        assert!(home.starts_with(&kept[&claim]), "{claim} lost what dr1 had");
    }
    Ok(())
}

pub async fn a_failover_whose_target_dies_is_turned_to_the_cluster_that_came_back() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(75).await;
    world.kill("dr1")?;
    refuse(&world, "dr2", Operation::Promote);
    world.order(&app, DRAction::Failover, "dr2").await?;
    world.until_drpc(&app, "FailingOver", |drpc| stage(drpc) == "FailingOver/WaitForReadiness").await?;
    world.kill("dr2")?;
    world.fabric().clear_faults();
    world.revive("dr1")?;
    pass(30).await;
    world.order(&app, DRAction::Failover, "dr1").await?;
    world.placed(&app, DRState::FailedOver).await?;
    pass(10).await;
    assert_eq!(decisions(&world, &app).await?.last().map(String::as_str), Some("dr1"));
    let now = audit(&world, "dr1", &app)?;
    assert_eq!((now.lost, now.damaged), (0, 0), "dr1 had everything: {now:#?}");
    assert_eq!(now.writers, ["dr1"]);
    Ok(())
}

/// The storage answers with an error from now on.
fn refuse(world: &World, cluster: &str, operation: Operation) {
    let error = StorageError::new(Code::Internal, "the controller lost its cache battery");
    world.fabric().inject(Fault { array: Some(array(cluster)), operation, error, times: u32::MAX, after: false });
}

/// Waits until the admin reads what the storage said, and on which cluster.
async fn told_in_its_words(world: &World, app: &App, cluster: &str) -> anyhow::Result<()> {
    let said = |drpc: &DRPlacementControl| {
        let said = message(drpc, "Available");
        said.contains(cluster) && said.contains("cache battery")
    };
    world.until_drpc(app, "the storage's words", said).await?;
    Ok(())
}

pub async fn a_promotion_that_the_storage_refuses_is_told_in_the_storages_words() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(70).await;
    world.kill("dr1")?;
    refuse(&world, "dr2", Operation::Promote);
    world.order(&app, DRAction::Failover, "dr2").await?;
    told_in_its_words(&world, &app, "dr2").await?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert_eq!(stage(&waits), "FailingOver/WaitForReadiness");
    // No decision names a cluster whose volumes are not promoted.
    assert_eq!(decisions(&world, &app).await?, ["dr1 (retained)"]);
    world.fabric().clear_faults();
    world.placed(&app, DRState::FailedOver).await?;
    Ok(())
}

pub async fn a_demotion_that_the_storage_refuses_holds_the_relocate_up() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    refuse(&world, dr1(), Operation::Demote);
    world.order(&app, DRAction::Relocate, dr2()).await?;
    told_in_its_words(&world, &app, dr1()).await?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert!(stage(&waits).starts_with("Relocating/"), "{}", stage(&waits));
    world.fabric().clear_faults();
    world.completed(&app, DRState::Relocated).await?;
    pass(5).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == dr2(), "{now:#?}");
    Ok(())
}
