//! ProtectedVolumeReplicationGroupList: one look into an S3 store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vrg::VolumeReplicationGroup;
use super::{schema, tolerant};

/// Which store to look into.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "ProtectedVolumeReplicationGroupList",
    plural = "protectedvolumereplicationgrouplists",
    status = "ProtectedVolumeReplicationGroupListStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "The groups found in an S3 store. Filled in once: a new look needs a new object."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["s3ProfileName"]))]
pub struct ProtectedVolumeReplicationGroupListSpec {
    /// Name of the S3 profile to look into.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub s3_profile_name: String,
}

tolerant::absent_is_default!(ProtectedVolumeReplicationGroupListSpec);

/// What the store held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProtectedVolumeReplicationGroupListStatus {
    /// Every group in the store. Of its metadata: name, namespace, labels, annotations and finalizers.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::protected_groups")]
    pub items: Vec<VolumeReplicationGroup>,
    /// When the store was read.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub sample_time: Option<Time>,
}
