//! `addon.open-cluster-management.io/v1alpha1`: add-ons and where they are installed. Minimal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::kind;
use crate::api::condition::Condition;
use crate::api::tolerant::nullable;

kind! {
    /// An add-on is wanted on the cluster in whose namespace this object lives.
    ManagedClusterAddOn, NamespaceResourceScope, "addon.open-cluster-management.io", "v1alpha1",
    "managedclusteraddons",
    spec: ManagedClusterAddOnSpec, status: ManagedClusterAddOnStatus
}

kind! {
    /// An add-on that clusters can have.
    ClusterManagementAddOn, ClusterResourceScope, "addon.open-cluster-management.io", "v1alpha1",
    "clustermanagementaddons",
    spec: ClusterManagementAddOnSpec, status: ClusterManagementAddOnStatus
}

/// Names a configuration object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOnConfig {
    /// API group.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural resource name.
    #[serde(default, deserialize_with = "nullable")]
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
}

/// How an add-on is installed on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterAddOnSpec {
    /// Namespace on the managed cluster.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub install_namespace: String,
    /// Configuration of this cluster.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<AddOnConfig>,
}

/// State of an add-on on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManagedClusterAddOnStatus {
    /// Namespace on the managed cluster.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `Available` and others.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What an add-on is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterManagementAddOnSpec {
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_on_meta: Option<AddOnMeta>,
    /// Configuration kinds and defaults, as they come.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub supported_configs: Vec<Value>,
    /// Where it is installed, as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_strategy: Option<Value>,
}

/// What people see of an add-on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddOnMeta {
    /// A short name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// A sentence.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// State of an add-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterManagementAddOnStatus {}
