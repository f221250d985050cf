//! VolumeReplicationGroup: what a managed cluster is to do with an application's volumes and objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::drpc::DRAction;
use super::duration::GoDuration;
use super::kube_objects::{KubeObjectProtectionSpec, KubeObjectProtectionStatus};
use super::open_enum::open_enum;
use super::peer_class::{PeerClass, PeerClasses};
use super::protected_pvc::{PVCGroup, ProtectedPVC};
use super::static_ip::{StaticIPDiscovery, StaticIPTranslationSpec};
use super::tolerant::StoredObjectError;
use super::volsync::{VolSyncReplicationDestinationInfo, VolSyncSpec};
use super::{schema, tolerant};

open_enum! {
    /// The role that a cluster is told to take. Lower case, unlike [`VRGState`].
    #[derive(Default)]
    pub enum ReplicationState (string) {
        /// Never written.
        #[default]
        Unset => "",
        /// The application may run here.
        Primary => "primary",
        /// The cluster only receives.
        Secondary => "secondary",
    }
}

open_enum! {
    /// The role that a cluster has reached. Capitalised, unlike [`ReplicationState`].
    #[derive(Default)]
    pub enum VRGState (string) {
        /// Never written.
        #[default]
        Unset => "",
        /// The volumes are writable here.
        Primary => "Primary",
        /// The volumes receive.
        Secondary => "Secondary",
        /// Between the roles.
        Unknown => "Unknown",
    }
}

/// What a managed cluster is to do with an application.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "VolumeReplicationGroup",
    plural = "volumereplicationgroups",
    shortname = "vrg",
    namespaced,
    status = "VolumeReplicationGroupStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name": "desiredState", "type": "string", "jsonPath": ".spec.replicationState"}"#,
    printcolumn = r#"{"name": "currentState", "type": "string", "jsonPath": ".status.state"}"#,
    doc = "The volumes and objects of one application on one managed cluster, and the role they have there."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["pvcSelector", "replicationState", "s3Profiles"]))]
pub struct VolumeReplicationGroupSpec {
    /// The action under way, if any.
    #[serde(deserialize_with = "tolerant::choice", skip_serializing_if = "Option::is_none")]
    pub action: Option<DRAction>,
    /// Asynchronous replication; absent without it.
    #[serde(rename = "async", deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub async_: Option<VRGAsyncSpec>,
    /// The action is a test: nothing may change for the other cluster.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub dry_run: bool,
    /// Capture of Kubernetes objects; absent without it.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub kube_object_protection: Option<KubeObjectProtectionSpec>,
    /// First step of a relocation: get ready for the final synchronisation.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub prepare_for_final_sync: bool,
    /// The namespaces of the application, when they are not the namespace of this object.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub protected_namespaces: Vec<String>,
    /// The claims to protect; empty selects all of the namespaces.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(schema_with = "schema::label_selector")]
    pub pvc_selector: LabelSelector,
    /// The role to take: primary or secondary.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub replication_state: ReplicationState,
    /// Second step of a relocation: send what is left.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub run_final_sync: bool,
    /// Names of the S3 profiles that every stored object is written to.
    #[serde(deserialize_with = "tolerant::list")]
    pub s3_profiles: Vec<String>,
    /// Addresses for virtual machines on this cluster.
    #[serde(
        rename = "staticIPTranslationSpec",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub static_ip_translation_spec: Option<StaticIPTranslationSpec>,
    /// Synchronous replication; absent without it.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub sync: Option<PeerClasses>,
    /// Protection by VolSync.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub vol_sync: VolSyncSpec,
}

tolerant::absent_is_default!(VolumeReplicationGroupSpec);

/// Asynchronous replication of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["schedulingInterval"]))]
pub struct VRGAsyncSpec {
    /// The storage classes that are paired asynchronously.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub peer_classes: Vec<PeerClass>,
    /// Which VolumeReplicationClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::label_selector")]
    pub replication_class_selector: LabelSelector,
    /// How often data is sent: a number followed by m, h or d.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(regex(pattern = r"^\d+[mhd]$"))]
    pub scheduling_interval: String,
    /// Which VolumeGroupSnapshotClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::label_selector")]
    pub volume_group_snapshot_class_selector: LabelSelector,
    /// Which VolumeSnapshotClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::label_selector")]
    pub volume_snapshot_class_selector: LabelSelector,
}

/// How far a managed cluster is with an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeReplicationGroupStatus {
    /// Conditions of the group.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Everything was sent: the peer may take over.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub final_sync_complete: bool,
    /// State of the capture of Kubernetes objects.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub kube_object_protection: KubeObjectProtectionStatus,
    /// Bytes of the last synchronisation, over all claims.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_bytes: Option<i64>,
    /// The longest of the claims' last synchronisations.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_duration: Option<GoDuration>,
    /// The oldest of the claims' last synchronisations; absent while one claim has none.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_time: Option<Time>,
    /// When this status was written; the newest copy among several stores is chosen by it.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub last_update_time: Option<Time>,
    /// Generation that the status was derived from.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub observed_generation: i64,
    /// The group is ready for the final synchronisation.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub prepare_for_final_sync_complete: bool,
    /// The protected claims.
    #[serde(rename = "protectedPVCs", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub protected_pvcs: Vec<ProtectedPVC>,
    /// The consistency groups.
    #[serde(rename = "pvcgroups", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub pvc_groups: Vec<PVCGroup>,
    /// The destinations that are ready to receive from the peer.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub rd_info: Vec<VolSyncReplicationDestinationInfo>,
    /// The role reached: Primary, Secondary or Unknown.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub state: VRGState,
    /// Static addresses of virtual machines.
    #[serde(
        rename = "staticIPDiscovery",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub static_ip_discovery: Option<StaticIPDiscovery>,
}

impl VolumeReplicationGroup {
    /// Decodes a group as it lies in an S3 store (after unzipping): `kind` and `apiVersion` may be missing.
    ///
    /// # Errors
    /// [`StoredObjectError`] when the bytes are no group.
    pub fn from_stored_json(body: &[u8]) -> Result<Self, StoredObjectError> {
        tolerant::from_stored_json(body)
    }
}
