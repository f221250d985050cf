//! Replication, relocation, failover, the way back, split-brain, metro: asserted on bytes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::csiaddons::{NetworkFence, VolumeReplication};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use super::world::*;

const PRIMARY: [&str; 5] = [
    "Completed=True Promoted",
    "Degraded=False Healthy",
    "Replicating=True Replicating",
    "Resyncing=False NotResyncing",
    "Validated=True PrerequisiteMet",
];
const IN_SYNC: [&str; 3] = ["Completed=True Demoted", "Degraded=False Healthy", "Resyncing=False NotResyncing"];

/// `db` runs on dr1 and its claim `data` is replicated.
async fn protected() -> (Pair, PersistentVolume, PersistentVolumeClaim) {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &PRIMARY).await;
    let (pv, pvc) = pair.dr1.bound("data").await;
    (pair, pv, pvc)
}

#[tokio::test(start_paused = true)]
async fn a_primary_reports_each_sync_when_it_completes() {
    let (pair, _, _) = protected().await;
    let vr = pair.dr1.vr("data").await.unwrap();
    assert!(vr.metadata.finalizers.unwrap().contains(&"replication.storage.openshift.io".to_owned()));
    let claim = pair.dr1.within::<PersistentVolumeClaim>().get("data").await.unwrap();
    let finalizer = "replication.storage.openshift.io/pvc-protection".to_owned();
    assert!(claim.metadata.finalizers.unwrap().contains(&finalizer));
    let owner = &claim.metadata.annotations.unwrap()["replication.storage.openshift.io/volume-replication-name"];
    assert_eq!(owner, "data");
    let first = vr.status.unwrap();
    assert_eq!(first.state.as_str(), "Primary");
    let synced = first.last_sync_time.clone().unwrap().0;
    for syncs in 1..=3 {
        sleep(5 * MINUTE).await;
        let status = pair.dr1.vr("data").await.unwrap().status.unwrap();
        let passed = status.last_sync_time.unwrap().0.duration_since(synced);
        assert_eq!(passed.as_secs(), syncs * 300);
        assert!(status.last_sync_bytes.unwrap() > 0);
        assert_eq!(status.last_completion_time, first.last_completion_time);
    }
}

#[tokio::test(start_paused = true)]
async fn a_relocation_loses_nothing() {
    let (pair, pv, pvc) = protected().await;
    sleep(7 * MINUTE).await;
    pair.dr1.undeploy().await;
    let claims = pair.dr1.within::<PersistentVolumeClaim>();
    claims.delete("data", &DeleteParams::default()).await.unwrap();
    pair.dr1.replicate("data", "secondary", false).await;
    pair.dr1.conditions("data", &IN_SYNC).await;
    assert_eq!(pair.dr1.vr("data").await.unwrap().status.unwrap().last_sync_time, None);

    pair.restore("data", &pv, &pvc).await;
    pair.dr2.replicate("data", "primary", false).await;
    pair.dr2.conditions("data", &PRIMARY).await;
    pair.dr2.deploy(&["data"]).await;
    pair.dr2.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!((audit.cluster.as_str(), audit.writers.join(" ")), ("dr2", "dr1 dr2".to_owned()));
    assert!(audit.present > 7 * 60);

    // The old side is taken down; the bytes of the replica stay.
    pair.dr1.within::<VolumeReplication>().delete("data", &DeleteParams::default()).await.unwrap();
    pair.dr1.gone(pair.dr1.within::<VolumeReplication>(), "data").await;
    pair.dr1.gone(claims, "data").await;
    pair.dr1.gone(pair.dr1.all::<PersistentVolume>(), pv.metadata.name.as_deref().unwrap()).await;
    sleep(10 * MINUTE).await;
    let (a, b) = (bytes(&pair.fabric, "a", &handle(&pv)), bytes(&pair.fabric, "b", &handle(&pv)).unwrap());
    assert!(b.starts_with(&a.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_failover_loses_what_came_after_the_last_sync_and_the_old_side_gives_way() {
    let (mut pair, pv, pvc) = protected().await;
    sleep(7 * MINUTE).await;
    let synced = pair.dr1.vr("data").await.unwrap().status.unwrap().last_sync_time.unwrap().0;
    pair.dr1.power_off().await;
    pair.fabric.set_alive(&"a".into(), false);
    let died = pair.clock.now();

    pair.restore("data", &pv, &pvc).await;
    pair.dr2.replicate("data", "primary", false).await;
    // Promoted; that nobody follows shows in Replicating, which knows nothing before the first sync of its own.
    until("dr2 is primary", || async {
        let status = pair.dr2.vr("data").await.unwrap().status.unwrap_or_default();
        if status.state.as_str() == "Primary" { Ok(()) } else { Err(status.message) }
    })
    .await;
    pair.dr2.deploy(&["data"]).await;
    pair.dr2.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    let exposed = died.duration_since(synced).as_secs_f64();
    assert!(audit.lost > 100 && audit.lost_seconds <= exposed + 1.0, "{audit:?}, {exposed} s exposed");
    assert!(audit.first_lost.unwrap() >= synced);
    assert_eq!((audit.duplicated, audit.out_of_order, audit.concurrent_seconds), (0, 0, 0.0));

    // dr1 is back with its old content, and is told to give way.
    pair.fabric.set_alive(&"a".into(), true);
    pair.dr1.undeploy().await;
    pair.dr1.replicate("data", "secondary", true).await;
    pair.dr1.power_on();
    let following = ["Completed=True Demoted", "Degraded=True VolumeDegraded", "Resyncing=True ResyncTriggered"];
    pair.dr1.conditions("data", &following).await;
    pair.dr2.conditions("data", &PRIMARY).await;
    sleep(6 * MINUTE).await;
    let (a, b) = (bytes(&pair.fabric, "a", &handle(&pv)).unwrap(), bytes(&pair.fabric, "b", &handle(&pv)).unwrap());
    assert!(b.starts_with(&a) && a.len() > b.len() / 2);

    // And back again, planned: nothing more is lost.
    let lost = pair.ledger.audit(&pair.app()).unwrap().lost;
    pair.dr2.undeploy().await;
    pair.dr2.replicate("data", "secondary", false).await;
    pair.dr2.conditions("data", &IN_SYNC).await;
    pair.dr1.replicate("data", "primary", false).await;
    pair.dr1.conditions("data", &PRIMARY).await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert_eq!((audit.cluster.as_str(), audit.lost, audit.concurrent_seconds), ("dr1", lost, 0.0));
}

#[tokio::test(start_paused = true)]
async fn split_brain_is_seen_and_its_data_kept_until_somebody_gives_it_up() {
    let (pair, pv, pvc) = protected().await;
    pair.restore("data", &pv, &pvc).await;
    pair.dr2.replicate("data", "primary", false).await;
    until("dr2 is primary", || async {
        let vr = pair.dr2.vr("data").await.unwrap();
        if vr.status.unwrap_or_default().state.as_str() == "Primary" { Ok(()) } else { Err("not yet") }
    })
    .await;
    pair.dr2.deploy(&["data"]).await;
    pair.dr2.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.concurrent_seconds >= 59.0, "{audit:?}");
    let vr = pair.dr1.vr("data").await.unwrap().status.unwrap();
    let shown = vr.conditions.iter().find(|c| c.type_ == "Replicating").unwrap();
    assert_eq!((shown.status.as_str(), shown.reason.as_str()), ("False", "NotReplicating"));

    pair.dr1.undeploy().await;
    pair.dr1.replicate("data", "secondary", false).await;
    let refused = ["Completed=False FailedToResync", "Degraded=True Error", "Resyncing=False FailedToResync"];
    pair.dr1.conditions("data", &refused).await;
    let kept = bytes(&pair.fabric, "a", &handle(&pv)).unwrap();
    sleep(10 * MINUTE).await;
    assert_eq!(bytes(&pair.fabric, "a", &handle(&pv)).unwrap(), kept);
    pair.dr1.replicate("data", "secondary", true).await;
    until("dr1 follows dr2", || async {
        let (a, b) = (bytes(&pair.fabric, "a", &handle(&pv)).unwrap(), bytes(&pair.fabric, "b", &handle(&pv)).unwrap());
        if b.starts_with(&a) { Ok(()) } else { Err("diverged") }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn deleting_the_replication_of_a_primary_leaves_its_data_and_removes_the_replica() {
    let (pair, pv, _) = protected().await;
    sleep(6 * MINUTE).await;
    assert!(bytes(&pair.fabric, "b", &handle(&pv)).is_some());
    pair.dr1.within::<VolumeReplication>().delete("data", &DeleteParams::default()).await.unwrap();
    pair.dr1.gone(pair.dr1.within::<VolumeReplication>(), "data").await;
    assert_eq!(bytes(&pair.fabric, "b", &handle(&pv)), None);
    let claim = pair.dr1.within::<PersistentVolumeClaim>().get("data").await.unwrap();
    assert_eq!(claim.metadata.finalizers.unwrap(), ["kubernetes.io/pvc-protection"]);
    assert!(pair.ledger.audit(&pair.app()).unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_metro_failover_behind_a_fence_loses_nothing() {
    let pair = Pair::metro().await;
    pair.dr1.claim("data", "kept").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    let (pv, pvc) = pair.dr1.bound("data").await;
    sleep(MINUTE).await;
    pair.dr2
        .apply::<NetworkFence>(json!({
            "metadata": {"name": "fence-dr1"},
            "spec": {
                "driver": kaedama_sandbox::storage::DEFAULT_DRIVER, "cidrs": ["10.1.0.0/16"], "fenceState": "Fenced",
                "secret": {"name": "s", "namespace": "n"}
            }
        }))
        .await;
    let succeeded = |state: &'static str| {
        let api = pair.dr2.all::<NetworkFence>();
        async move {
            until("the fence is done", || async {
                let fence = api.get("fence-dr1").await.unwrap();
                let result = fence.status.unwrap_or_default().result;
                let done = result == "Succeeded" && fence.spec.fence_state.as_str() == state;
                if done { Ok(()) } else { Err(result) }
            })
            .await;
        }
    };
    succeeded("Fenced").await;
    // The application on dr1 still runs, and cannot write any more.
    pair.dr1.available(0).await;
    let fenced_at = pair.ledger.acknowledged(&pair.app());
    pair.restore("data", &pv, &pvc).await;
    pair.dr2.deploy(&["data"]).await;
    pair.dr2.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.is_clean() && audit.acknowledged > fenced_at, "{audit:?}");
    assert_eq!(audit.writers, ["dr1", "dr2"]);

    let unfence = json!({"spec": {"fenceState": "Unfenced"}});
    let api = pair.dr2.all::<NetworkFence>();
    api.patch("fence-dr1", &PatchParams::default(), &Patch::Merge(unfence)).await.unwrap();
    sleep(MINUTE).await;
    succeeded("Unfenced").await;
    // Now both write to one volume: the audit says so.
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.concurrent_seconds > 0.0 && audit.duplicated > 0, "{audit:?}");
}
