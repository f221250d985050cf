//! Placement: which clusters an application is meant for, and the decision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::kind;
use crate::api::condition::Condition;
use crate::api::tolerant::nullable;

/// Annotation of a Placement, `"true"`: the placement controller leaves it alone, somebody else decides.
pub const SCHEDULING_DISABLE: &str = "cluster.open-cluster-management.io/experimental-scheduling-disable";
/// Label of a PlacementDecision: the Placement it belongs to. Consumers find decisions by it.
pub const PLACEMENT_LABEL: &str = "cluster.open-cluster-management.io/placement";
/// Label of a PlacementDecision: index of the decision group.
pub const GROUP_INDEX_LABEL: &str = "cluster.open-cluster-management.io/decision-group-index";
/// Label of a PlacementDecision: name of the decision group.
pub const GROUP_NAME_LABEL: &str = "cluster.open-cluster-management.io/decision-group-name";
/// Reason of a decision that is kept only so that the application is not removed from a dead cluster.
pub const RETAINED_FOR_FAILOVER: &str = "RetainedForFailover";
/// Condition of a Placement: every decision that it asks for was made.
pub const SATISFIED: &str = "PlacementSatisfied";
/// Condition of a Placement: something in it cannot be used.
pub const MISCONFIGURED: &str = "PlacementMisconfigured";
/// `spec.schedulerName` that keeps the default scheduler off a PlacementRule.
pub const EXTERNAL_SCHEDULER: &str = "ramen";

kind! {
    /// Which clusters an application is meant for.
    Placement, NamespaceResourceScope, "cluster.open-cluster-management.io", "v1beta1", "placements",
    spec: PlacementSpec, status: PlacementStatus
}

kind! {
    /// The clusters that were chosen for a Placement.
    PlacementDecision, NamespaceResourceScope, "cluster.open-cluster-management.io", "v1beta1", "placementdecisions",
    status: PlacementDecisionStatus
}

kind! {
    /// The older form of Placement and PlacementDecision in one.
    PlacementRule, NamespaceResourceScope, "apps.open-cluster-management.io", "v1", "placementrules",
    spec: PlacementRuleSpec, status: PlacementRuleStatus
}

/// What a Placement asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementSpec {
    /// Sets to choose from; empty for all that are bound in the namespace.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cluster_sets: Vec<String>,
    /// How many; unset for all that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_clusters: Option<i32>,
    /// A cluster that any of these selects is a candidate; empty for all.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
    /// Taints that do not matter.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How candidates are ranked, as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prioritizer_policy: Option<Value>,
    /// How candidates are spread, as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_policy: Option<Value>,
    /// How decisions are grouped, as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_strategy: Option<Value>,
}

/// Selects clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// The selectors, all of which must match.
    #[serde(default, deserialize_with = "nullable")]
    pub required_cluster_selector: RequiredClusterSelector,
}

/// Selectors of a cluster, all of which must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredClusterSelector {
    /// By labels of the ManagedCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// By claims of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_selector: Option<ClaimSelector>,
    /// By CEL, as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel_selector: Option<Value>,
}

/// Selects clusters by their claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSelector {
    /// All of them must hold.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A taint that does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; empty with `Exists` for every one.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Equal` (also when empty) or `Exists`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// Value of the taint, for `Equal`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Effect of the taint; empty for every one.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// Seconds for which the taint is tolerated; unset for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// What came of a Placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementStatus {
    /// How many clusters were chosen.
    #[serde(default, deserialize_with = "nullable")]
    pub number_of_selected_clusters: i32,
    /// The decisions, by group.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub decision_groups: Vec<DecisionGroup>,
    /// [`SATISFIED`] and [`MISCONFIGURED`].
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A group of decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionGroup {
    /// From 0.
    #[serde(default, deserialize_with = "nullable")]
    pub decision_group_index: i32,
    /// Name; empty for the default group.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub decision_group_name: String,
    /// Names of the PlacementDecisions.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// How many clusters they name.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_count: i32,
}

/// The clusters that were chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementDecisionStatus {
    /// At most 100; written even when empty, because the kind requires the member.
    #[serde(default, deserialize_with = "nullable")]
    pub decisions: Vec<Decision>,
}

/// One cluster that was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Name of the ManagedCluster.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_name: String,
    /// Why; may be empty.
    #[serde(default, deserialize_with = "nullable")]
    pub reason: String,
}

impl PlacementDecision {
    /// The decisions, retained ones included.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        self.status.as_ref().map_or(&[], |status| &status.decisions)
    }
}

impl Decision {
    /// A decision.
    #[must_use]
    pub fn new(cluster: &str, reason: &str) -> Self {
        Self { cluster_name: cluster.to_owned(), reason: reason.to_owned() }
    }

    /// Kept only so that the application is not removed from a dead cluster.
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.reason == RETAINED_FOR_FAILOVER
    }
}

/// What a PlacementRule asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementRuleSpec {
    /// [`EXTERNAL_SCHEDULER`] where somebody else decides.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub scheduler_name: String,
    /// How many clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_replicas: Option<i32>,
    /// The candidates by name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterReference>,
    /// The candidates by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
}

/// A cluster by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReference {
    /// Name of the ManagedCluster.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
}

/// The decision of a PlacementRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRuleStatus {
    /// The clusters that were chosen; written even when empty, so that clearing it clears it.
    #[serde(default, deserialize_with = "nullable")]
    pub decisions: Vec<RuleDecision>,
}

/// One cluster that was chosen for a PlacementRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDecision {
    /// Name of the ManagedCluster.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_name: String,
    /// Its namespace on the hub.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_namespace: String,
}
