//! `cluster.open-cluster-management.io`: the clusters, their sets, and what a cluster claims of itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use serde::{Deserialize, Serialize};

use super::kind::kind;
use crate::api::condition::Condition;
use crate::api::tolerant::nullable;

/// Condition: the hub's administrator accepted the cluster.
pub const HUB_ACCEPTED: &str = "HubAcceptedManagedCluster";
/// Condition: the cluster's agent has joined; never goes back.
pub const JOINED: &str = "ManagedClusterJoined";
/// Condition: True, False (its API server is unhealthy) or Unknown (the hub has heard nothing for five leases).
pub const CLUSTER_AVAILABLE: &str = "ManagedClusterConditionAvailable";

/// Name of the lease that a cluster's agent renews in the cluster's namespace on the hub.
pub const CLUSTER_LEASE: &str = "managed-cluster-lease";
/// Seconds between two renewals where a ManagedCluster says nothing.
pub const DEFAULT_LEASE_SECONDS: i32 = 60;
/// A cluster is called Unknown when its lease is older than this many lease durations.
pub const LEASE_GRACE_FACTOR: i32 = 5;

/// Taint of a cluster whose availability is unknown.
pub const TAINT_UNREACHABLE: &str = "cluster.open-cluster-management.io/unreachable";
/// Taint of a cluster whose API server is unhealthy.
pub const TAINT_UNAVAILABLE: &str = "cluster.open-cluster-management.io/unavailable";

/// Label of a ManagedCluster: the one set that it belongs to.
pub const CLUSTER_SET_LABEL: &str = "cluster.open-cluster-management.io/clusterset";
/// Claim: the identity of a cluster.
pub const ID_CLAIM: &str = "id.k8s.io";
/// Claim: the name of a cluster.
pub const NAME_CLAIM: &str = "name";
/// Claim: the product that a cluster is an installation of.
pub const PRODUCT_CLAIM: &str = "product.open-cluster-management.io";

kind! {
    /// A cluster, as the hub knows it.
    ManagedCluster, ClusterResourceScope, "cluster.open-cluster-management.io", "v1", "managedclusters",
    spec: ManagedClusterSpec, status: ManagedClusterStatus
}

kind! {
    /// A set of clusters.
    ManagedClusterSet, ClusterResourceScope, "cluster.open-cluster-management.io", "v1beta2", "managedclustersets",
    spec: ManagedClusterSetSpec, status: SetStatus
}

kind! {
    /// Lets the Placements of a namespace select from a set. Named as the set.
    ManagedClusterSetBinding, NamespaceResourceScope, "cluster.open-cluster-management.io", "v1beta2",
    "managedclustersetbindings",
    spec: ManagedClusterSetBindingSpec, status: SetStatus
}

kind! {
    /// On a managed cluster: something that it says of itself, copied into the ManagedCluster's status.
    ClusterClaim, ClusterResourceScope, "cluster.open-cluster-management.io", "v1alpha1", "clusterclaims",
    spec: ClusterClaimSpec, status: NoStatus
}

/// Status of a kind that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoStatus {}

/// What is wanted of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterSpec {
    /// The administrator accepts the cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub hub_accepts_client: bool,
    /// Seconds between two renewals of the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// Reasons not to place anything there.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

/// A reason not to place anything on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// What a toleration names.
    #[serde(default, deserialize_with = "nullable")]
    pub key: String,
    /// Value of the taint.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSelect`, `PreferNoSelect` or `NoSelectIfNew`.
    #[serde(default, deserialize_with = "nullable")]
    pub effect: String,
    /// When the taint was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<Time>,
}

/// What is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterStatus {
    /// [`HUB_ACCEPTED`], [`JOINED`], [`CLUSTER_AVAILABLE`] and others.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What the cluster says of itself.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cluster_claims: Vec<Claim>,
    /// Versions of its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ClusterVersion>,
}

/// Something that a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Name of the ClusterClaim.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// Its value.
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

/// Versions of a cluster's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterVersion {
    /// `gitVersion` of the API server.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kubernetes: String,
}

/// Which clusters a set holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterSetSpec {
    /// Unset: the clusters with the set's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<ClusterSelector>,
}

/// How the clusters of a set are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSelector {
    /// `ExclusiveClusterSetLabel` (also when empty) or `LabelSelector`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub selector_type: String,
    /// For `LabelSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// Status of a set or of a binding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetStatus {
    /// `ClusterSetEmpty` of a set, `Bound` of a binding.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Which set is bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedClusterSetBindingSpec {
    /// Name of the set; equals the name of the binding.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_set: String,
}

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterClaimSpec {
    /// 1 to 1024 characters.
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

impl ManagedCluster {
    /// The conditions of the cluster.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    /// The value of a claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&str> {
        let claims = &self.status.as_ref()?.cluster_claims;
        claims.iter().find(|claim| claim.name == name).map(|claim| claim.value.as_str())
    }

    /// Seconds between two renewals of the lease; at least 1.
    #[must_use]
    pub fn lease_seconds(&self) -> i32 {
        self.spec.lease_duration_seconds.unwrap_or(DEFAULT_LEASE_SECONDS).max(1)
    }
}
