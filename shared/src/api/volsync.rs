//! What hub and spokes tell each other about claims that VolSync protects.

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSecurityContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::protected_pvc::ProtectedPVC;
use super::{schema, tolerant};

/// Protection by VolSync: destinations and sources of the claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolSyncSpec {
    /// No claim is protected by VolSync.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub disabled: bool,
    /// How the mover pods of single claims run.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub mover_config: Vec<MoverConfig>,
    /// The destinations that a secondary cluster sets up.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub rd_spec: Vec<VolSyncReplicationDestinationSpec>,
    /// The sources that a primary cluster sets up.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub rs_spec: Vec<VolSyncReplicationSourceSpec>,
}

/// How the mover pod of one claim runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["pvcName", "pvcNamespace"]))]
pub struct MoverConfig {
    /// Security context of the mover pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pod_security_context")]
    pub mover_security_context: Option<PodSecurityContext>,
    /// Service account of the mover pod.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub mover_service_account: String,
    /// Name of the claim.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(length(min = 1))]
    pub pvc_name: String,
    /// Namespace of the claim.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(length(min = 1))]
    pub pvc_namespace: String,
}

/// The destination of one claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolSyncReplicationDestinationSpec {
    /// How the mover pod of the claim runs.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub mover_config: Option<MoverConfig>,
    /// The claim on the primary.
    #[serde(rename = "protectedPVC", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub protected_pvc: ProtectedPVC,
}

/// The source of one claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolSyncReplicationSourceSpec {
    /// How the mover pod of the claim runs.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub mover_config: Option<MoverConfig>,
    /// The claim to send.
    #[serde(rename = "protectedPVC", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub protected_pvc: ProtectedPVC,
    /// Where to send it.
    #[serde(rename = "rsyncTLS", deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub rsync_tls: Option<RsyncTLSConfig>,
}

/// A destination that is ready to receive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolSyncReplicationDestinationInfo {
    /// The claim.
    #[serde(rename = "protectedPVC", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub protected_pvc: ProtectedPVC,
    /// How to reach the destination.
    #[serde(rename = "rsyncTLS", deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub rsync_tls: Option<RsyncTLSConfig>,
}

/// How to reach an rsync-tls destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RsyncTLSConfig {
    /// Address of the destination's service.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub address: String,
    /// Secret with the pre-shared key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::local_object_reference")]
    pub tls_secret_ref: Option<LocalObjectReference>,
}
