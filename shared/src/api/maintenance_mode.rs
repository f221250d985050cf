//! MaintenanceMode: asks a storage vendor's operator to prepare a storage system for failover.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::open_enum::open_enum;
use super::tolerant;

open_enum! {
    /// What a storage system is to be prepared for.
    pub enum MMode (closed) {
        /// A failover away from the peer storage.
        Failover => "Failover",
    }
}

open_enum! {
    /// How far a storage system is with a maintenance mode.
    #[derive(Default)]
    pub enum MModeState (closed) {
        /// Nobody reported yet.
        #[default]
        Unknown => "Unknown",
        /// The mode could not be reached.
        Error => "Error",
        /// The mode is being entered.
        Progressing => "Progressing",
        /// The mode is active.
        Completed => "Completed",
    }
}

/// Which storage is to enter which modes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "MaintenanceMode",
    plural = "maintenancemodes",
    status = "MaintenanceModeStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A request to a storage vendor's operator to put a storage system into a maintenance mode."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["storageProvisioner"]))]
pub struct MaintenanceModeSpec {
    /// The modes to enter.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub modes: Vec<MMode>,
    /// CSI provisioner whose vendor is asked.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub storage_provisioner: String,
    /// Which of the vendor's storage systems: the replication ID.
    #[serde(rename = "targetID", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub target_id: String,
}

tolerant::absent_is_default!(MaintenanceModeSpec);

/// What the storage vendor's operator reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceModeStatus {
    /// Conditions of the request; FailoverActivated is the one that counts.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Generation that the status was derived from.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub observed_generation: i64,
    /// How far the request is.
    #[serde(deserialize_with = "tolerant::choice", skip_serializing_if = "Option::is_none")]
    pub state: Option<MModeState>,
}
