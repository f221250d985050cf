//! A protected PersistentVolumeClaim: what a peer must know to make the same one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::VolumeResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::GoDuration;
use super::maintenance_mode::MMode;
use super::{schema, tolerant};

/// An identity that a storage vendor gave, and the maintenance modes that the vendor wants with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["id"]))]
pub struct Identifier {
    /// The identity.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub id: String,
    /// Maintenance modes that the storage has to enter before such an action.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub modes: Vec<MMode>,
}

/// A protected PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProtectedPVC {
    /// Access modes of the claim.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub access_modes: Vec<String>,
    /// Annotations of the claim.
    #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
    pub annotations: BTreeMap<String, String>,
    /// Conditions of this claim's protection.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// CSI provisioner of the volume.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub csi_provisioner: String,
    /// Labels of the claim.
    #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
    pub labels: BTreeMap<String, String>,
    /// Bytes sent by the last synchronisation.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub last_sync_bytes: Option<i64>,
    /// How long the last synchronisation took.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub last_sync_duration: Option<GoDuration>,
    /// Point in time up to which the peer has the data.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// Name of the claim.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub name: String,
    /// Namespace of the claim.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub namespace: String,
    /// The claim is protected by VolSync, not by VolumeReplication.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub protected_by_vol_sync: bool,
    /// Identity of the pair of storages that replicate the volume.
    #[serde(
        rename = "replicationID",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "tolerant::empty"
    )]
    pub replication_id: Identifier,
    /// Requests and limits of the claim.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::volume_resources")]
    pub resources: VolumeResourceRequirements,
    /// Storage class of the claim.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub storage_class_name: String,
    /// Identity of the storage behind the volume.
    #[serde(rename = "storageID", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub storage_id: Identifier,
    /// Volume mode of the claim: Filesystem or Block.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub volume_mode: String,
}

/// Claims that are kept consistent with each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PVCGroup {
    /// Names of the claims.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub grouped: Vec<String>,
}
