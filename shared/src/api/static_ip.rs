//! Static IP addresses of virtual machines: found on the primary, translated for the peer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tolerant;

/// A workload that has static addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "namespace"]))]
pub struct WorkloadRef {
    /// API version of the workload.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub api_version: String,
    /// Kind of the workload.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub kind: String,
    /// Name of the workload.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Namespace of the workload.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub namespace: String,
}

/// The static addresses found on the primary cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticIPDiscovery {
    /// The workloads with static addresses.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub resources: Vec<DiscoveredResource>,
}

/// A workload and its static addresses by network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["resourceRef"]))]
pub struct DiscoveredResource {
    /// The networks that the workload has static addresses in.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub networks: Vec<DiscoveredNetwork>,
    /// The workload.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub resource_ref: WorkloadRef,
}

/// The static addresses of a workload in one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["networkName"]))]
pub struct DiscoveredNetwork {
    /// The addresses, in the order in which they were found.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub addresses: Vec<String>,
    /// Name of the network.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub network_name: String,
}

/// The static addresses to use on the target cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticIPTranslationSpec {
    /// The translations by workload.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub ip_translations: Vec<ResourceTranslation>,
}

/// A workload and the addresses it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["resourceRef"]))]
pub struct ResourceTranslation {
    /// The networks in which the workload gets addresses.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub networks: Vec<NetworkTranslation>,
    /// The workload.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub resource_ref: WorkloadRef,
}

/// The addresses that a workload gets in one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["networkName"]))]
pub struct NetworkTranslation {
    /// The addresses, in the order in which the old ones were found.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub addresses: Vec<AddressTranslation>,
    /// Name of the network.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub network_name: String,
}

/// One address on the target cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["targetIP"]))]
pub struct AddressTranslation {
    /// The address that the workload gets.
    #[serde(rename = "targetIP", deserialize_with = "tolerant::nullable")]
    pub target_ip: String,
}
