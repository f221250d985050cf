//! Builders of snapshots, from the smallest thing that is valid.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::{Condition, ConditionStatus, VolumeReplicationGroup};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use kube::core::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::vrg::evidence::{self, Proven};
use crate::vrg::order::{Order, Settings};
use crate::vrg::owner::{self, Owner};
use crate::vrg::plan::{Action, Plan, VolumePlan};
use crate::vrg::recovery;
use crate::vrg::snapshot::{
    Classes, EpochClaim, Holdings, ObjectId, Recovery, Replication, ReplicationClass, Snapshot, StoreRead, StoreView,
    StoredSet, Volume,
};
use kaedama_shared::seen::Seen;

pub fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Writes `with` into `base`, member by member.
fn overlay(base: &mut Value, with: Value) {
    match (base, with) {
        (Value::Object(base), Value::Object(with)) => {
            with.into_iter().for_each(|(key, value)| overlay(base.entry(key).or_insert(Value::Null), value));
        }
        (base, with) => *base = with,
    }
}

pub fn group(with: Value) -> VolumeReplicationGroup {
    let mut base = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "VolumeReplicationGroup",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "g", "resourceVersion": "1", "generation": 2,
            "finalizers": [names::VRG_FINALIZER],
        },
        "spec": {
            "pvcSelector": {"matchLabels": {"app": "web"}},
            "replicationState": "primary",
            "s3Profiles": ["s1", "s2"],
            "async": {"schedulingInterval": "5m"},
        },
    });
    overlay(&mut base, with);
    from(base)
}

pub fn settings() -> Settings {
    Settings { ops_namespace: "ramen-ops".into(), unprotection: true, kube_objects_disabled: false }
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("shop", name)
}

pub fn claim(name: &str, with: Value) -> PersistentVolumeClaim {
    let mut base = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("c-{name}"), "resourceVersion": "1", "labels": {"app": "web"}},
        "spec": {
            "storageClassName": "rbd", "volumeName": format!("pv-{name}"), "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem",
        },
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    });
    overlay(&mut base, with);
    from(base)
}

/// What makes a claim a protected one.
pub fn protected() -> Value {
    json!({"metadata": {
        "finalizers": [names::PVC_VR_FINALIZER],
        "labels": owner::labels(&key("web")),
        "annotations": {names::VR_PROTECTED: names::PROTECTED},
    }})
}

pub fn deleting() -> Value {
    json!({"metadata": {"deletionTimestamp": "2026-03-01T00:00:00Z"}})
}

pub fn pv(claim: &str, with: Value) -> PersistentVolume {
    let mut base = json!({
        "metadata": {"name": format!("pv-{claim}"), "uid": format!("p-{claim}"), "resourceVersion": "1",
                     "annotations": {names::VR_RETAINED: names::RETAINED}},
        "spec": {
            "storageClassName": "rbd", "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain", "capacity": {"storage": "1Gi"},
            "csi": {"driver": "csi", "volumeHandle": format!("h-{claim}"), "fsType": "ext4"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": claim, "uid": format!("c-{claim}")},
        },
        "status": {"phase": "Bound"},
    });
    overlay(&mut base, with);
    from(base)
}

/// A bound claim `name` with its volume; `with` goes into the claim.
pub fn volume(name: &str, with: Value) -> Volume {
    let claim = claim(name, with);
    let meta = claim.metadata.clone();
    Volume {
        pv: Some(Arc::new(pv(name, json!({})))),
        replication: None,
        selected: meta.labels.as_ref().is_some_and(|labels| labels.get("app").is_some_and(|app| app == "web")),
        owner: owner::of(&key("web"), &meta),
        users: Vec::new(),
        unused: Proven::NotAsked,
        let_go: Proven::NotAsked,
        claim: Arc::new(claim),
    }
}

/// A protected claim with this replication.
pub fn replicated(name: &str, replication: Replication) -> Volume {
    Volume { replication: Some(Replication { id: id(name), ..replication }), ..volume(name, protected()) }
}

impl Volume {
    pub(super) fn letting(self, with: Value) -> Self {
        let mut value = serde_json::to_value(&*self.claim).unwrap();
        overlay(&mut value, with);
        let claim: PersistentVolumeClaim = from(value);
        Self { owner: owner::of(&key("web"), &claim.metadata), claim: Arc::new(claim), ..self }
    }

    pub(super) fn proven_unused(self) -> Self {
        let unused = evidence::not_in_use(&self.claim, &Seen::Present(Vec::new()), &Seen::Present(Vec::new()));
        assert!(matches!(unused, Proven::Yes(_)));
        Self { unused, ..self }
    }

    pub(super) fn proven_gone(self) -> Self {
        let let_go = evidence::replication_gone(self.key(), &Seen::<()>::Absent);
        Self { let_go, replication: None, ..self }
    }
}

pub fn id(name: &str) -> ObjectId {
    ObjectId { key: key(name), uid: format!("r-{name}"), resource_version: "1".into() }
}

pub fn said(type_: &str, status: &str, reason: &str) -> Condition {
    Condition::new(type_, ConditionStatus::from(status), reason, "", 1)
}

/// A VolumeReplication that has reached `state`.
pub fn reached(state: &str, resyncing: bool, degraded: bool) -> Replication {
    let text = |value: bool| if value { "True" } else { "False" };
    Replication {
        generation: 1,
        observed_generation: 1,
        ours: true,
        wanted: state.to_lowercase(),
        state: state.to_owned(),
        conditions: vec![
            said("Completed", "True", "Done"),
            said("Resyncing", text(resyncing), "R"),
            said("Degraded", text(degraded), if degraded { "VolumeDegraded" } else { "Healthy" }),
        ],
        ..Replication::default()
    }
}

/// One that the storage promotes only by force.
pub fn refused() -> Replication {
    let mut failed = said("Completed", "False", "FailedToPromote");
    failed.message = "force required: peer is primary".into();
    Replication { state: "Secondary".into(), conditions: vec![failed], ..reached("Primary", false, false) }
}

pub fn replication_class(name: &str, interval: &str, with: &[(&str, &str)]) -> ReplicationClass {
    ReplicationClass {
        name: name.into(),
        provisioner: "csi".into(),
        parameters: [("schedulingInterval".to_owned(), interval.to_owned())].into(),
        labels: with.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        default: false,
    }
}

pub fn classes() -> Classes {
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some("rbd".into()),
            labels: Some(
                [(names::STORAGE_ID.to_owned(), "st".to_owned()), (names::REPLICATION_ID.to_owned(), "re".to_owned())]
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        provisioner: "csi".into(),
        ..StorageClass::default()
    };
    Classes {
        storage: [("rbd".to_owned(), Arc::new(class))].into(),
        replication: vec![replication_class("vrc", "5m", &[])],
    }
}

pub fn store(name: &str) -> StoreView {
    StoreView { profile: name.into(), fingerprint: name.into(), ..StoreView::default() }
}

/// A store that holds these claims as they are.
pub fn holding(name: &str, volumes: &[&Volume]) -> StoreView {
    let mut parts = BTreeMap::new();
    for volume in volumes {
        let pv = volume.pv.as_ref().unwrap();
        parts.insert(recovery::PartKey::Volume(volume.pv_name().to_owned()), recovery::store_volume(pv).digest);
        parts.insert(recovery::PartKey::Claim(volume.key()), recovery::store_claim(&volume.claim).digest);
    }
    StoreView { holds: Some(Holdings { parts, group: "g".into() }), ..store(name) }
}

pub fn snapshot(vrg: VolumeReplicationGroup, volumes: Vec<Volume>) -> Snapshot {
    Snapshot {
        now: "2026-03-01T00:00:00Z".parse().unwrap(),
        order: Order::of(&vrg, &settings()),
        settings: Ok(settings()),
        volumes,
        classes: classes(),
        stores: vrg.spec.s3_profiles.iter().map(|name| store(name)).collect(),
        recovery: None,
        nothing_held: Proven::NotAsked,
        purged: None,
        vrg: Arc::new(vrg),
    }
}

/// The status member of a group whose cluster data was restored.
pub fn restored() -> Value {
    json!({"status": {"conditions": [{
        "type": "ClusterDataReady", "status": "True", "reason": "Restored", "message": "restored",
        "observedGeneration": 2, "lastTransitionTime": "2026-03-01T00:00:00Z",
    }]}})
}

/// A primary whose cluster data is there.
pub fn settled_primary(volumes: Vec<Volume>) -> Snapshot {
    snapshot(group(restored()), volumes)
}

pub fn secondary(action: Option<&str>, volumes: Vec<Volume>) -> Snapshot {
    snapshot(group(json!({"spec": {"replicationState": "secondary", "action": action}})), volumes)
}

/// Makes the group's action a relocation that was called off: it leads back to the cluster that it never left.
pub fn returning(vrg: &mut VolumeReplicationGroup) {
    let now = "2026-03-01T03:00:00Z".parse().unwrap();
    let back = ActionRecord::accept("u", 2, ActionKind::Relocate, "dr2", "dr2", 5, now);
    vrg.metadata.annotations.get_or_insert_default().extend([
        (names::DESTINATION_CLUSTER.to_owned(), "dr2".to_owned()),
        (names::ACTION_RECORD.to_owned(), back.to_annotation()),
    ]);
}

/// A label of a consistency group.
pub fn grouped() -> Value {
    json!({"metadata": {"labels": {names::CONSISTENCY_GROUP: "cg"}}})
}

pub fn set(volumes: &[&str]) -> StoredSet {
    StoredSet {
        capture: Some((1, 1)),
        cluster: "dr1".into(),
        volumes: volumes.iter().map(|name| pv(name, json!({}))).collect(),
        claims: volumes.iter().map(|name| claim(name, json!({}))).collect(),
        ..StoredSet::default()
    }
}

pub fn recovery(stores: Vec<(&str, StoreRead)>) -> Recovery {
    Recovery {
        stores: stores.into_iter().map(|(name, read)| (name.to_owned(), read)).collect(),
        live_volumes: BTreeMap::new(),
        live_claims: BTreeMap::new(),
        claim: EpochClaim::Open,
    }
}

pub fn read(set: StoredSet) -> StoreRead {
    StoreRead::Set(Box::new(set))
}

pub fn unreadable() -> StoreRead {
    StoreRead::Unreadable("time-out".into())
}

/// The names of a plan's actions for one claim.
pub fn actions(plan: &Plan, name: &str) -> Vec<&'static str> {
    of(plan, name).map(|volume| volume.actions.iter().map(Action::name).collect()).unwrap_or_default()
}

pub fn of<'a>(plan: &'a Plan, name: &str) -> Option<&'a VolumePlan> {
    plan.volumes.iter().find(|volume| volume.claim == key(name))
}

/// Status, reason and message of a claim's condition.
pub fn verdict(plan: &Plan, name: &str, type_: &str) -> (String, &'static str, String) {
    let verdict = &of(plan, name).unwrap().entry.as_ref().unwrap().verdicts[type_];
    (verdict.status.to_string(), verdict.reason, verdict.message.clone())
}

pub fn others(owner: &str) -> Value {
    json!({"metadata": {"labels": {names::OWNER_NAMESPACE: "shop", names::OWNER_NAME: owner}}})
}

pub fn is_foreign(volume: &Volume) -> bool {
    matches!(volume.owner, Owner::Other(_))
}
