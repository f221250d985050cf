//! `view.open-cluster-management.io/v1beta1`: an object of a managed cluster, seen from the hub.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::kind;
use crate::api::condition::Condition;
use crate::api::tolerant::nullable;

/// The one condition of a view.
pub const PROCESSING: &str = "Processing";
/// Reason: the result is there.
pub const GET_RESOURCE_PROCESSING: &str = "GetResourceProcessing";
/// Reason: reading failed, absence of the object included; only the message tells which.
pub const GET_RESOURCE_FAILED: &str = "GetResourceFailed";
/// Reason: the scope has no name.
pub const RESOURCE_NAME_INVALID: &str = "ResourceNameInvalid";
/// Reason: the scope has neither a resource nor a kind with a version, or a resource that cannot be viewed.
pub const RESOURCE_TYPE_INVALID: &str = "ResourceTypeInvalid";
/// Reason: the cluster does not know the kind.
pub const RESOURCE_GVK_INVALID: &str = "ResourceGVKInvalid";
/// Seconds between two refreshes where a view says nothing.
pub const DEFAULT_INTERVAL_SECONDS: i32 = 30;

kind! {
    /// An object of a managed cluster, seen from the hub. Lives in the namespace that is named as the cluster.
    ManagedClusterView, NamespaceResourceScope, "view.open-cluster-management.io", "v1beta1", "managedclusterviews",
    spec: ManagedClusterViewSpec, status: ManagedClusterViewStatus
}

/// What is viewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedClusterViewSpec {
    /// The object.
    #[serde(default, deserialize_with = "nullable")]
    pub scope: ViewScope,
}

/// The object that is viewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewScope {
    /// API group; empty for core.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// API version.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Kind.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Plural resource, or `resource.version.group`: in place of kind and version.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Seconds between two refreshes; unset or 0 for [`DEFAULT_INTERVAL_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_interval_seconds: Option<i32>,
}

/// What was seen.
///
/// Nothing here tells how old the result is: the condition's time moves only when its status flips, and the view of a
/// dead cluster keeps its last result for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManagedClusterViewStatus {
    /// One of type [`PROCESSING`].
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The whole object, as the cluster's API server returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}
