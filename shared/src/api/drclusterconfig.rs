//! DRClusterConfig: a spoke's identity and schedules, and what the spoke offers for disaster recovery.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::tolerant;

/// What the hub tells a managed cluster about itself.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "DRClusterConfig",
    plural = "drclusterconfigs",
    status = "DRClusterConfigStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Identity and schedules of a managed cluster, and what the cluster offers for disaster recovery."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["clusterID"]))]
pub struct DRClusterConfigSpec {
    /// Identity of the cluster: its id.k8s.io claim.
    #[serde(rename = "clusterID", deserialize_with = "tolerant::nullable")]
    #[schemars(extend("x-kubernetes-validations" = [
        { "rule": "self == oldSelf", "message": "ClusterID is immutable" },
    ]))]
    pub cluster_id: String,
    /// The distinct scheduling intervals of all policies with this cluster.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub replication_schedules: Vec<String>,
}

tolerant::absent_is_default!(DRClusterConfigSpec);

/// What a managed cluster offers. All lists of names are sorted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DRClusterConfigStatus {
    /// Conditions of the configuration: Processed and Reachable.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Every class of the cluster with what the hub has to know of it, as one compact JSON string: Open Cluster
    /// Management feeds strings back to the hub, and no lists or objects. Added to the contract; absent where the
    /// reference product runs.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub hub_report: String,
    /// Network attachments that are marked for disaster recovery.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub network_attachments: Vec<NetworkAttachment>,
    /// NetworkFenceClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub network_fence_classes: Vec<String>,
    /// From which addresses the cluster reaches which storage.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub storage_access_details: Vec<StorageAccessDetail>,
    /// StorageClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub storage_classes: Vec<String>,
    /// VolumeGroupReplicationClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub volume_group_replication_classes: Vec<String>,
    /// VolumeGroupSnapshotClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub volume_group_snapshot_classes: Vec<String>,
    /// VolumeReplicationClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub volume_replication_classes: Vec<String>,
    /// VolumeSnapshotClasses with a storage identity.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub volume_snapshot_classes: Vec<String>,
}

/// The addresses from which a cluster reaches one kind of storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["cidrs", "storageProvisioner"]))]
pub struct StorageAccessDetail {
    /// Addresses of the nodes in CIDR notation.
    #[serde(deserialize_with = "tolerant::list")]
    pub cidrs: Vec<String>,
    /// CSI provisioner of the storage.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub storage_provisioner: String,
}

/// A NetworkAttachmentDefinition that is marked for disaster recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "namespace"]))]
pub struct NetworkAttachment {
    /// CNI type of the attachment.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub cni_type: String,
    /// Name of the definition.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Namespace of the definition.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub namespace: String,
}
