//! DRPolicy: which two clusters protect each other, and how often data is sent.

use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::peer_class::{NetworkPeer, PeerClasses};
use super::{schema, tolerant};

/// What a disaster-recovery policy demands.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "DRPolicy",
    plural = "drpolicies",
    status = "DRPolicyStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A pair of clusters that protect each other's applications, and how."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend(
    "required" = ["drClusters", "schedulingInterval"],
    "x-kubernetes-validations" = [
        {
            "rule": "has(oldSelf.replicationClassSelector) == has(self.replicationClassSelector)",
            "message": "replicationClassSelector is immutable",
        },
        {
            "rule": "has(oldSelf.volumeSnapshotClassSelector) == has(self.volumeSnapshotClassSelector)",
            "message": "volumeSnapshotClassSelector is immutable",
        },
    ],
))]
pub struct DRPolicySpec {
    /// Names of the two DRClusters. The order matters for network mapping and for the order of identities.
    #[serde(deserialize_with = "tolerant::list")]
    #[schemars(extend("x-kubernetes-validations" = [
        { "rule": "size(self) == 2", "message": "drClusters requires a list of 2 clusters" },
        { "rule": "self == oldSelf", "message": "drClusters is immutable" },
    ]))]
    pub dr_clusters: Vec<String>,
    /// ConfigMap with the network mapping, looked up in the namespace of the protected application's
    /// DRPlacementControl.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::local_object_reference")]
    pub network_mapping_ref: Option<LocalObjectReference>,
    /// Which VolumeReplicationClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(
        schema_with = "schema::defaulted_label_selector",
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "replicationClassSelector is immutable" },
        ])
    )]
    pub replication_class_selector: LabelSelector,
    /// How often data is sent: a number followed by m, h or d. Empty or zero means not asynchronously.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(
        regex(pattern = r"^(|\d+[mhd])$"),
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "schedulingInterval is immutable" },
        ])
    )]
    pub scheduling_interval: String,
    /// Which VolumeGroupSnapshotClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::label_selector")]
    pub volume_group_snapshot_class_selector: LabelSelector,
    /// Which VolumeSnapshotClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(
        schema_with = "schema::defaulted_label_selector",
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "volumeSnapshotClassSelector is immutable" },
        ])
    )]
    pub volume_snapshot_class_selector: LabelSelector,
}

tolerant::absent_is_default!(DRPolicySpec);

/// What was found out about a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DRPolicyStatus {
    /// Storage classes with asynchronous pairing between the clusters.
    #[serde(rename = "async", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub async_: PeerClasses,
    /// Conditions of the policy: Validated, and NetworkAttachmentsValidated with a network mapping.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Network attachments that both clusters have, sorted by namespace and name.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub network_peers: Vec<NetworkPeer>,
    /// Storage classes backed by the same storage on both clusters.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub sync: PeerClasses,
}
