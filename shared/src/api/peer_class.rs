//! Which storage classes two clusters have in common, and by which mechanism each is replicated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tolerant;

/// A storage class that both clusters of a policy have, with what is needed to replicate its volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerClass {
    /// Two cluster identities, in the order of the policy's clusters.
    #[serde(rename = "clusterIDs", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub cluster_ids: Vec<String>,
    /// One VolumeGroupReplication is shared by all applications with this group replication ID.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub global: bool,
    /// Identity that the VolumeGroupReplicationClasses of both clusters share; empty without one.
    #[serde(
        rename = "groupreplicationID",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "tolerant::empty"
    )]
    pub group_replication_id: String,
    /// Volumes of this class can be kept consistent as a group.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub grouping: bool,
    /// The storage system drives the replication by itself; only group objects are used.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub offloaded: bool,
    /// Identity that the VolumeReplicationClasses of both clusters share; empty means replication by snapshots.
    #[serde(
        rename = "replicationID",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "tolerant::empty"
    )]
    pub replication_id: String,
    /// Name of the storage class, the same on both clusters.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub storage_class_name: String,
    /// Identity of the storage behind the class: one when it is shared, else two in the order of the policy's clusters.
    #[serde(rename = "storageID", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub storage_id: Vec<String>,
}

/// The storage classes of one kind of pairing, synchronous or asynchronous.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerClasses {
    /// The storage classes that can be paired this way.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub peer_classes: Vec<PeerClass>,
}

/// A network attachment that both clusters of a policy have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["nadName", "nadNamespace"]))]
pub struct NetworkPeer {
    /// CNI type of the attachment by cluster name.
    #[serde(rename = "clusterCNITypes", deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
    pub cluster_cni_types: BTreeMap<String, String>,
    /// Name of the NetworkAttachmentDefinition.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub nad_name: String,
    /// Namespace of the NetworkAttachmentDefinition.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub nad_namespace: String,
}
