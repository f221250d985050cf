//! Wrong setups, refusals, lost answers and lost contact: what the status says, and that it heals.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_sandbox::storage::{
    Code, StorageError,
    fabric::{Fault, Operation},
};
use kaedama_shared::api::csiaddons::VolumeReplication;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::time::sleep;

use super::world::*;

const FAILED_TO_PROMOTE: [&str; 4] = [
    "Completed=False FailedToPromote",
    "Degraded=True Error",
    "Resyncing=False NotResyncing",
    "Validated=True PrerequisiteMet",
];
const PRIMARY: [&str; 5] = [
    "Completed=True Promoted",
    "Degraded=False Healthy",
    "Replicating=True Replicating",
    "Resyncing=False NotResyncing",
    "Validated=True PrerequisiteMet",
];

fn fault(operation: Operation, code: Code, times: u32, after: bool) -> Fault {
    Fault { array: None, operation, error: StorageError::new(code, "on purpose"), times, after }
}

#[tokio::test(start_paused = true)]
async fn a_replication_without_its_claim_says_so_and_goes_on_when_it_comes() {
    let pair = Pair::start().await;
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &FAILED_TO_PROMOTE).await;
    let message = pair.dr1.vr("data").await.unwrap().status.unwrap().message;
    assert!(message.contains("PersistentVolumeClaim shop/data not found"), "{message}");
    pair.dr1.claim("data", "fast").await;
    pair.dr1.conditions("data", &PRIMARY).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_class_is_reported_for_the_wanted_state() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1
        .apply::<VolumeReplication>(json!({
            "metadata": {"name": "data", "namespace": NS},
            "spec": {
                "volumeReplicationClass": "later", "replicationState": "secondary", "autoResync": false,
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "data"}
            }
        }))
        .await;
    let failed = ["Completed=False FailedToDemote", "Degraded=True Error", "Resyncing=False NotResyncing"];
    pair.dr1.conditions("data", &failed).await;
    pair.dr1.class("later", json!({"schedulingInterval": "5m"})).await;
    // Now the storage is asked, and refuses to demote what is not replicated.
    until("the storage is asked", || async {
        let message = pair.dr1.vr("data").await.unwrap().status.unwrap().message;
        if message.contains("not enabled") { Ok(()) } else { Err(message) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_prerequisite_is_not_validated_until_it_is_met() {
    let pair = Pair::start().await;
    pair.fabric.inject(fault(Operation::Enable, Code::FailedPrecondition, 1, false));
    pair.dr1.claim("data", "fast").await;
    pair.dr1.bound("data").await;
    pair.dr1.replicate("data", "primary", false).await;
    let refused = [
        "Completed=False FailedToPromote",
        "Degraded=True Error",
        "Resyncing=False NotResyncing",
        "Validated=False PrerequisiteNotMet",
    ];
    pair.dr1.conditions("data", &refused).await;
    pair.dr1.conditions("data", &PRIMARY).await;
}

#[tokio::test(start_paused = true)]
async fn lost_answers_do_no_harm() {
    let pair = Pair::start().await;
    for operation in [Operation::CreateVolume, Operation::Enable, Operation::Promote, Operation::Demote] {
        pair.fabric.inject(fault(operation, Code::Unavailable, 2, true));
    }
    pair.dr1.claim("data", "fast").await;
    let (pv, _) = pair.dr1.bound("data").await;
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &PRIMARY).await;
    pair.dr1.driver.write(&handle(&pv), "data".into()).unwrap();
    pair.dr1.replicate("data", "secondary", false).await;
    let in_sync = ["Completed=True Demoted", "Degraded=False Healthy", "Resyncing=False NotResyncing"];
    pair.dr1.conditions("data", &in_sync).await;
    assert_eq!(pair.fabric.with(|arrays, _| arrays.volumes(&"a".into())).len(), 1);
    assert_eq!(bytes(&pair.fabric, "b", &handle(&pv)).unwrap(), b"data");
}

#[tokio::test(start_paused = true)]
async fn the_volume_of_a_replica_is_not_deleted_before_it_follows_a_primary() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    let (pv, pvc) = pair.dr1.bound("data").await;
    let name = pv.metadata.name.clone().unwrap();
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &PRIMARY).await;
    pair.dr1.driver.write(&handle(&pv), "data".into()).unwrap();
    pair.dr1.replicate("data", "secondary", false).await;
    let in_sync = ["Completed=True Demoted", "Degraded=False Healthy", "Resyncing=False NotResyncing"];
    pair.dr1.conditions("data", &in_sync).await;
    pair.dr1.within::<VolumeReplication>().delete("data", &DeleteParams::default()).await.unwrap();
    pair.dr1.within::<PersistentVolumeClaim>().delete("data", &DeleteParams::default()).await.unwrap();
    pair.dr1.gone(pair.dr1.within::<PersistentVolumeClaim>(), "data").await;
    // Both copies are demoted: neither may go.
    sleep(10 * MINUTE).await;
    assert_eq!(pair.dr1.pv_phase(&name).await.as_deref(), Some("Released"));
    assert_eq!(bytes(&pair.fabric, "a", &handle(&pv)).unwrap(), b"data");

    pair.restore("data", &pv, &pvc).await;
    pair.dr2.replicate("data", "primary", false).await;
    pair.dr2.conditions("data", &PRIMARY).await;
    pair.dr1.gone(pair.dr1.all::<PersistentVolume>(), &name).await;
    for array in ["a", "b"] {
        assert_eq!(bytes(&pair.fabric, array, &handle(&pv)).unwrap(), b"data");
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_that_never_forces_waits_for_the_demotion() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    let (pv, pvc) = pair.dr1.bound("data").await;
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &PRIMARY).await;
    pair.restore("data", &pv, &pvc).await;
    let parameters = json!({"schedulingInterval": "5m", "replication.unified.io/force-promote": "never"});
    pair.dr2.class("careful", parameters).await;
    pair.dr2
        .apply::<VolumeReplication>(json!({
            "metadata": {"name": "data", "namespace": NS},
            "spec": {
                "volumeReplicationClass": "careful", "replicationState": "primary", "autoResync": false,
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "data"}
            }
        }))
        .await;
    pair.dr2.conditions("data", &FAILED_TO_PROMOTE).await;
    let message = pair.dr2.vr("data").await.unwrap().status.unwrap().message;
    assert!(message.contains("force required:"), "{message}");
    sleep(10 * MINUTE).await;
    pair.dr1.replicate("data", "secondary", false).await;
    pair.dr2.conditions("data", &PRIMARY).await;
}

#[tokio::test(start_paused = true)]
async fn controllers_rest_when_nothing_happens() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.bound("data").await;
    sleep(MINUTE).await;
    let requests = || -> u64 {
        let ours = pair.dr1.server.accounting().take().into_iter();
        ours.filter(|(key, _)| key.user_agent == "storage" && key.verb != "watch").map(|(_, count)| count).sum()
    };
    requests();
    sleep(120 * MINUTE).await;
    assert_eq!(requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_api_server_was_away_is_done_soon_after() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    let written = pair.ledger.acknowledged(&pair.app());
    pair.dr1.link.set_up(false);
    sleep(10 * MINUTE).await;
    // The application needs its storage, and no API server.
    assert_eq!(pair.ledger.acknowledged(&pair.app()), written + 600);
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.claim("more", "fast").await;
    sleep(MINUTE).await;
    assert_eq!(pair.dr1.vr("data").await.unwrap().status, None);
    pair.dr1.link.set_up(true);
    sleep(Duration::from_secs(3)).await;
    let vr = pair.dr1.vr("data").await.unwrap();
    assert_eq!(vr.status.unwrap().state.as_str(), "Primary");
    let claim = pair.dr1.within::<PersistentVolumeClaim>().get("more").await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));
    // Watches that the server ends are nothing to speak of.
    pair.dr1.server.end_watches();
    pair.dr1.replicate("data", "secondary", false).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(pair.dr1.vr("data").await.unwrap().status.unwrap().state.as_str(), "Secondary");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_token_ends_everything_and_the_application_at_once() {
    let mut pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    pair.dr1.stop.cancel();
    pair.dr1.ended().await;
    let written = pair.ledger.acknowledged(&pair.app());
    sleep(MINUTE).await;
    assert_eq!(pair.ledger.acknowledged(&pair.app()), written);
}
