//! The stored form of volumes, claims and the group, and how a stored object is made fit for this cluster. Pure.
//!
//! What is stored leaves out what only means something on the cluster that wrote it (uid, versions, finalizers,
//! markers of controllers). So a volume that was restored and did not change has the digest of its stored copy, and is
//! not stored again. Readers of Ramen's layout clear these fields themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus, PersistentVolumeStatus,
    SecretReference,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::{VolumeReplicationGroup, VolumeReplicationGroupStatus, conditions};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::record::ActionRecord;
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::owner::hex;

/// Identity of a stored volume or claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKey {
    /// A PersistentVolume by name.
    Volume(String),
    /// A PersistentVolumeClaim.
    Claim(ObjectKey),
}

impl fmt::Display for PartKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(name) => write!(out, "PersistentVolume {name}"),
            Self::Claim(key) => write!(out, "PersistentVolumeClaim {key}"),
        }
    }
}

/// What every store of a group is to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    /// The protected volumes and claims.
    pub parts: BTreeMap<PartKey, Stored>,
    /// Volumes and claims that are let go: they must be gone from every store before.
    pub forget: BTreeSet<PartKey>,
    /// The group; none while it is not fit to be recovered from.
    pub group: Option<Stored>,
}

/// An object in its stored form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Digest of what matters.
    pub digest: String,
    /// The JSON.
    pub object: Value,
}

impl Stored {
    fn whole(object: Value) -> Self {
        Self { digest: digest(&object), object }
    }
}

/// Hexadecimal SHA-256 of the canonical JSON: sorted keys, no white space.
#[must_use]
pub fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string().as_bytes()))
}

/// Annotations of a claim that only mean something on the cluster that wrote them.
const OF_THE_CLUSTER: [&str; 5] = [
    "pv.kubernetes.io",
    "volume.kubernetes.io",
    "replication.storage.openshift.io",
    "volumereplicationgroups.ramendr.openshift.io",
    "volsync.backube",
];

fn of_the_cluster(key: &str) -> bool {
    OF_THE_CLUSTER.iter().any(|prefix| key.starts_with(prefix))
}

fn stored_meta(meta: &ObjectMeta, keep: impl Fn(&str) -> bool) -> ObjectMeta {
    let kept = meta.annotations.iter().flatten().filter(|(key, _)| keep(key));
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        labels: meta.labels.clone(),
        annotations: Some(kept.map(|(key, value)| (key.clone(), value.clone())).collect()),
        ..ObjectMeta::default()
    }
}

/// The stored form of a volume.
#[must_use]
pub fn store_volume(volume: &PersistentVolume) -> Stored {
    let passing = [names::VR_ARCHIVED, names::RESTORED, "pv.kubernetes.io/bound-by-controller"];
    let mut spec = volume.spec.clone();
    if let Some(spec) = &mut spec {
        spec.claim_ref = spec.claim_ref.as_ref().map(unversioned);
    }
    let phase = volume.status.as_ref().and_then(|status| status.phase.clone());
    let stored = PersistentVolume {
        metadata: stored_meta(&volume.metadata, |key| !passing.contains(&key)),
        spec,
        status: Some(PersistentVolumeStatus { phase, ..Default::default() }),
    };
    Stored::whole(json!(stored))
}

/// The stored form of a claim.
#[must_use]
pub fn store_claim(claim: &PersistentVolumeClaim) -> Stored {
    let status = claim.status.as_ref().map(|status| PersistentVolumeClaimStatus {
        phase: status.phase.clone(),
        capacity: status.capacity.clone(),
        access_modes: status.access_modes.clone(),
        ..Default::default()
    });
    let stored = PersistentVolumeClaim {
        metadata: stored_meta(&claim.metadata, |key| !of_the_cluster(key)),
        spec: claim.spec.clone(),
        status,
    };
    Stored::whole(json!(stored))
}

/// The stored form of the group with the status of this pass. Its digest covers what a recovery needs and leaves out
/// what merely passes: times, counters, messages, the step that an action has reached.
#[must_use]
pub fn store_group(vrg: &VolumeReplicationGroup, status: &VolumeReplicationGroupStatus) -> Stored {
    let mut object = vrg.clone();
    object.metadata.managed_fields = None;
    object.status = Some(status.clone());
    let value = json!(object);
    // Whether it is stored cannot be part of what is stored.
    let said = status.conditions.iter().filter(|condition| condition.type_ != conditions::vrg::CLUSTER_DATA_PROTECTED);
    let mut annotations = vrg.metadata.annotations.clone().unwrap_or_default();
    if let Ok(Some(record)) = ActionRecord::from_annotations(&annotations) {
        let of_the_action = format!("{} {} {} {}", record.id, record.kind.as_spec(), record.from, record.to);
        annotations.insert(names::ACTION_RECORD.to_owned(), of_the_action);
    }
    let matters = json!({
        "spec": vrg.spec,
        "annotations": annotations,
        "labels": vrg.metadata.labels,
        "state": status.state,
        "conditions": said.map(|c| json!([c.type_, c.status, c.reason])).collect::<Vec<_>>(),
        "claims": status.protected_pvcs.iter().map(|pvc| format!("{}/{}", pvc.namespace, pvc.name)).collect::<Vec<_>>(),
        "kubeObjects": status.kube_object_protection,
    });
    Stored { digest: digest(&matters), object: value }
}

/// A claim reference that binds by name alone.
fn unversioned(reference: &ObjectReference) -> ObjectReference {
    ObjectReference { uid: None, resource_version: None, api_version: None, ..reference.clone() }
}

/// A volume of this very cluster: its handle is the right one here, and the one that its peer knows is not.
#[must_use]
pub fn at_home(volume: &PersistentVolume) -> PersistentVolume {
    let mut volume = volume.clone();
    if let Some(annotations) = &mut volume.metadata.annotations {
        annotations.remove(names::DESTINATION_VOLUME_HANDLE);
    }
    volume
}

/// Makes a volume wait for the claim that it names, in this cluster: identity of the old claim dropped, handle and
/// secrets as this cluster's storage class has them.
///
/// # Errors
/// What the volume lacks.
pub fn fit_volume(
    stored: &PersistentVolume,
    class: &StorageClass,
    asynchronous: bool,
) -> Result<PersistentVolume, String> {
    let mut volume = stored.clone();
    let name = volume.metadata.name.clone().unwrap_or_default();
    volume.metadata.resource_version = None;
    volume.metadata.uid = None;
    volume.metadata.creation_timestamp = None;
    volume.metadata.managed_fields = None;
    // Finalizers belong to the controllers of the cluster that wrote them; those of this one add their own.
    volume.metadata.finalizers = None;
    volume.status = None;
    let annotations = volume.metadata.annotations.get_or_insert_default();
    annotations.remove(names::VR_ARCHIVED);
    annotations.insert(names::RESTORED.to_owned(), "True".to_owned());
    let handle = annotations.remove(names::DESTINATION_VOLUME_HANDLE).filter(|handle| !handle.is_empty());
    annotations.insert("pv.kubernetes.io/provisioned-by".to_owned(), class.provisioner.clone());
    let parameter = |key: &str| class.parameters.as_ref().and_then(|all| all.get(key)).cloned();
    for part in ["name", "namespace"] {
        if let Some(value) = parameter(&format!("csi.storage.k8s.io/provisioner-secret-{part}")) {
            annotations.insert(format!("volume.kubernetes.io/provisioner-deletion-secret-{part}"), value);
        }
    }
    let spec = volume.spec.as_mut().ok_or_else(|| format!("stored PersistentVolume {name} has no spec"))?;
    let claim = spec.claim_ref.as_ref().ok_or_else(|| format!("stored PersistentVolume {name} names no claim"))?;
    spec.claim_ref = Some(unversioned(claim));
    let csi = spec.csi.as_mut().ok_or_else(|| format!("stored PersistentVolume {name} is not a CSI volume"))?;
    if let Some(handle) = handle {
        csi.volume_handle = handle;
    }
    if asynchronous && let Some(cluster) = parameter("clusterID") {
        csi.volume_attributes.get_or_insert_default().insert("clusterID".to_owned(), cluster);
    }
    let secret = |kind: &str, old: &mut Option<SecretReference>| {
        let part = |part: &str| parameter(&format!("csi.storage.k8s.io/{kind}-secret-{part}"));
        if let (Some(name), Some(namespace)) = (part("name"), part("namespace")) {
            *old = Some(SecretReference { name: Some(name), namespace: Some(namespace) });
        }
    };
    secret("node-stage", &mut csi.node_stage_secret_ref);
    secret("node-publish", &mut csi.node_publish_secret_ref);
    secret("node-expand", &mut csi.node_expand_secret_ref);
    secret("controller-expand", &mut csi.controller_expand_secret_ref);
    secret("controller-publish", &mut csi.controller_publish_secret_ref);
    Ok(volume)
}

/// Makes a stored claim fit for this cluster, already marked as protected by `group`: the volume it names was made to
/// survive it before it was stored.
#[must_use]
pub fn fit_claim(stored: &PersistentVolumeClaim, group: &ObjectKey) -> PersistentVolumeClaim {
    let mut metadata = stored_meta(&stored.metadata, |key| !of_the_cluster(key));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(names::RESTORED.to_owned(), "True".to_owned());
    annotations.insert(names::VR_PROTECTED.to_owned(), names::PROTECTED.to_owned());
    annotations.extend(super::owner::annotations(group));
    metadata.labels.get_or_insert_default().extend(super::owner::labels(group));
    metadata.finalizers = Some(vec![names::PVC_VR_FINALIZER.to_owned()]);
    PersistentVolumeClaim { metadata, spec: stored.spec.clone(), status: None }
}

/// Notes on a volume that is about to be restored that it is stored, unless it will be another than the stored one.
#[must_use]
pub fn noted_volume(mut fitted: PersistentVolume, stored: &PersistentVolume) -> PersistentVolume {
    let as_live = PersistentVolume { status: stored.status.clone(), ..fitted.clone() };
    if store_volume(&as_live).digest == store_volume(stored).digest {
        let marker = volume_marker(&fitted);
        fitted.metadata.annotations.get_or_insert_default().insert(names::VR_ARCHIVED.to_owned(), marker);
    }
    fitted
}

/// Notes on a claim that is about to be restored that it is in these stores, unless it will be another than the stored
/// one.
#[must_use]
pub fn noted_claim(
    mut fitted: PersistentVolumeClaim,
    stored: &PersistentVolumeClaim,
    stores: &[String],
) -> PersistentVolumeClaim {
    let as_live = PersistentVolumeClaim { status: stored.status.clone(), ..fitted.clone() };
    if store_claim(&as_live).digest == store_claim(stored).digest {
        let marker = claim_marker(&fitted, stores);
        fitted.metadata.annotations.get_or_insert_default().insert(names::VR_ARCHIVED.to_owned(), marker);
    }
    fitted
}

/// The marker on a claim that is stored: the digest of its spec and of the stores it is in, so that a new or moved
/// store makes it out of date.
#[must_use]
pub fn claim_marker(claim: &PersistentVolumeClaim, stores: &[String]) -> String {
    digest(&json!({ "spec": claim.spec, "stores": stores }))
}

/// The marker on a volume that is stored.
#[must_use]
pub fn volume_marker(volume: &PersistentVolume) -> String {
    format!("archiveV1-{}", volume.metadata.generation.unwrap_or_default())
}
