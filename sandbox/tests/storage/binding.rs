//! Volumes: made, bound, protected, released, reclaimed.

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::VolumeAttachment,
};
use kaedama_sandbox::storage::DEFAULT_DRIVER;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tokio::time::sleep;

use super::world::*;

#[tokio::test(start_paused = true)]
async fn an_application_gets_a_volume_and_writes_a_record_a_second() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    let (pv, pvc) = pair.dr1.bound("data").await;
    let spec = pv.spec.clone().unwrap();
    assert_eq!(spec.csi.as_ref().unwrap().driver, DEFAULT_DRIVER);
    assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
    assert_eq!(spec.claim_ref.unwrap().uid, pvc.metadata.uid);
    let annotations = pvc.metadata.annotations.unwrap();
    assert_eq!(annotations.get("pv.kubernetes.io/bind-completed").map(String::as_str), Some("yes"));
    assert_eq!(pvc.status.unwrap().capacity.unwrap()["storage"].0, (1u64 << 30).to_string());
    let pods = pair.dr1.within::<Pod>().list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.items.len(), 1);
    let attachments = pair.dr1.all::<VolumeAttachment>().list(&ListParams::default()).await.unwrap();
    assert_eq!(attachments.items[0].spec.source.persistent_volume_name, pv.metadata.name);

    let before = pair.ledger.acknowledged(&pair.app());
    sleep(2 * MINUTE).await;
    assert_eq!(pair.ledger.acknowledged(&pair.app()), before + 120);
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.present, audit.acknowledged);

    pair.dr1.undeploy().await;
    let pod = pods.items[0].metadata.name.clone().unwrap();
    pair.dr1.gone(pair.dr1.within::<Pod>(), &pod).await;
    let written = pair.ledger.acknowledged(&pair.app());
    sleep(MINUTE).await;
    assert_eq!(pair.ledger.acknowledged(&pair.app()), written);
    assert_eq!(pair.dr1.all::<VolumeAttachment>().list(&ListParams::default()).await.unwrap().items, []);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_died_while_an_application_ended_attaches_none_of_its_volumes_when_it_is_back() {
    let mut pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    pair.dr1.power_off().await;
    pair.dr1.undeploy().await;
    let pods = pair.dr1.within::<Pod>();
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        pods.delete(&pod.metadata.name.unwrap(), &DeleteParams::default().grace_period(0)).await.unwrap();
    }
    let attachments = pair.dr1.all::<VolumeAttachment>();
    assert_eq!(attachments.list(&ListParams::default()).await.unwrap().items.len(), 1);
    pair.dr1.power_on();
    sleep(MINUTE).await;
    assert_eq!(attachments.list(&ListParams::default()).await.unwrap().items, []);
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_use_stays_and_what_is_deleted_is_really_deleted() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "fast").await;
    pair.dr1.deploy(&["data"]).await;
    pair.dr1.available(1).await;
    let (pv, _) = pair.dr1.bound("data").await;
    let claims = pair.dr1.within::<PersistentVolumeClaim>();
    claims.delete("data", &DeleteParams::default()).await.unwrap();
    sleep(MINUTE).await;
    assert!(claims.get("data").await.unwrap().metadata.deletion_timestamp.is_some());
    assert!(pair.ledger.audit(&pair.app()).unwrap().present > 60, "it goes on writing");

    pair.dr1.undeploy().await;
    pair.dr1.gone(claims, "data").await;
    pair.dr1.gone(pair.dr1.all::<PersistentVolume>(), pv.metadata.name.as_deref().unwrap()).await;
    assert_eq!(bytes(&pair.fabric, "a", &handle(&pv)), None);
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert_eq!((audit.lost, audit.present), (audit.acknowledged, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retained_volume_is_released_with_its_bytes_and_can_be_bound_again() {
    let pair = Pair::start().await;
    pair.dr1.claim("data", "kept").await;
    let (pv, _) = pair.dr1.bound("data").await;
    let name = pv.metadata.name.clone().unwrap();
    pair.dr1.driver.write(&handle(&pv), "bytes".into()).unwrap();
    pair.dr1.within::<PersistentVolumeClaim>().delete("data", &DeleteParams::default()).await.unwrap();
    until("the volume is released", || async {
        match pair.dr1.pv_phase(&name).await.as_deref() {
            Some("Released") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    sleep(10 * MINUTE).await;
    assert_eq!(bytes(&pair.fabric, "a", &handle(&pv)).unwrap(), b"bytes");
    // A new claim of that name is another claim: the volume stays released, and it gets one of its own.
    pair.dr1.claim("data", "kept").await;
    let (other, _) = pair.dr1.bound("data").await;
    assert_ne!(other.metadata.name, pv.metadata.name);
    assert_eq!(pair.dr1.pv_phase(&name).await.as_deref(), Some("Released"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_the_volume_that_it_names_and_is_lost_without_it() {
    let pair = Pair::start().await;
    let site = &pair.dr1;
    site.apply::<PersistentVolumeClaim>(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": NS},
        "spec": {
            "storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "volumeName": "given",
            "resources": {"requests": {"storage": "1Gi"}}
        }
    }))
    .await;
    site.claim_phase("data", "Pending").await;
    sleep(MINUTE).await;
    assert_eq!(site.all::<PersistentVolume>().list(&ListParams::default()).await.unwrap().items, []);
    site.apply::<PersistentVolume>(json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "given"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "persistentVolumeReclaimPolicy": "Retain", "csi": {"driver": DEFAULT_DRIVER, "volumeHandle": "h"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": NS, "name": "data"}
        }
    }))
    .await;
    let (pv, _) = site.bound("data").await;
    // The user chose both sides.
    let marked = |key: &str| pv.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(key));
    assert!(!marked("pv.kubernetes.io/bound-by-controller"));
    // Deleted by force: protection and all.
    let clear = json!({"metadata": {"finalizers": null}});
    let params = kube::api::PatchParams::default();
    site.all::<PersistentVolume>().delete("given", &DeleteParams::default()).await.unwrap();
    sleep(MINUTE).await;
    assert_eq!(site.pv_phase("given").await.as_deref(), Some("Bound"), "a bound volume is protected");
    site.all::<PersistentVolume>().patch("given", &params, &kube::api::Patch::Merge(clear)).await.unwrap();
    site.claim_phase("data", "Lost").await;
}
