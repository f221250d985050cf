//! DRCluster: a managed cluster that takes part in disaster recovery.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::maintenance_mode::MModeState;
use super::open_enum::open_enum;
use super::tolerant;

open_enum! {
    /// Whether a cluster is to be kept away from the shared storage.
    pub enum ClusterFence (closed) {
        /// Lift the fence.
        Unfenced => "Unfenced",
        /// Fence through the storage driver.
        Fenced => "Fenced",
        /// An administrator has fenced the cluster by other means.
        ManuallyFenced => "ManuallyFenced",
        /// An administrator has lifted the fence by other means.
        ManuallyUnfenced => "ManuallyUnfenced",
    }
}

open_enum! {
    /// Phase of a DRCluster.
    #[derive(Default)]
    pub enum DRClusterPhase (string) {
        /// Never processed.
        #[default]
        Unset => "",
        /// Being validated for the first time.
        Starting => "Starting",
        /// In use, never fenced.
        Available => "Available",
        /// The fence is being put up.
        Fencing => "Fencing",
        /// Kept away from storage.
        Fenced => "Fenced",
        /// The fence is being lifted.
        Unfencing => "Unfencing",
        /// In use, after a fence.
        Unfenced => "Unfenced",
    }
}

/// How a cluster takes part.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "DRCluster",
    plural = "drclusters",
    status = "DRClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A managed cluster that takes part in disaster recovery; it has the name of its ManagedCluster."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["s3ProfileName"]))]
pub struct DRClusterSpec {
    /// Addresses of the cluster's nodes in CIDR notation: what storage blocks when the cluster is fenced.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub cidrs: Vec<String>,
    /// Wanted fencing state; absent means never fenced.
    #[serde(deserialize_with = "tolerant::choice", skip_serializing_if = "Option::is_none")]
    pub cluster_fence: Option<ClusterFence>,
    /// Failure domain. Clusters of one region share storage; used to choose the cluster that fences this one.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-validations" = [
        { "rule": "self == oldSelf", "message": "region is immutable" },
    ]))]
    pub region: String,
    /// Name of the S3 profile that this cluster's applications are stored with. NoS3 skips all S3 checks.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(extend("x-kubernetes-validations" = [
        { "rule": "self == oldSelf", "message": "s3ProfileName is immutable" },
    ]))]
    pub s3_profile_name: String,
}

tolerant::absent_is_default!(DRClusterSpec);

/// What was found out about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DRClusterStatus {
    /// Conditions of the cluster: Validated, Fenced, Clean, CIDRsValidated.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Maintenance modes of the storage systems of this cluster.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub maintenance_modes: Vec<ClusterMaintenanceMode>,
    /// Phase of the cluster.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub phase: DRClusterPhase,
}

/// The maintenance mode of one storage system, as the cluster reports it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["state", "storageProvisioner", "targetID"]))]
pub struct ClusterMaintenanceMode {
    /// Conditions of the MaintenanceMode on the cluster.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// State of the MaintenanceMode on the cluster.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub state: MModeState,
    /// CSI provisioner of the storage system.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub storage_provisioner: String,
    /// Which of the vendor's storage systems: the replication ID.
    #[serde(rename = "targetID", deserialize_with = "tolerant::nullable")]
    pub target_id: String,
}
