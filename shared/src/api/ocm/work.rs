//! `work.open-cluster-management.io/v1`: objects for a cluster, and what became of them there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::kind;
pub use super::work_status::*;
use crate::api::tolerant::nullable;

/// Condition of a work and of a manifest: it was applied.
pub const APPLIED: &str = "Applied";
/// Condition of a work and of a manifest: the objects exist on the cluster; nothing more.
pub const AVAILABLE: &str = "Available";
/// Condition of a work that is being removed from the cluster.
pub const DELETING: &str = "Deleting";
/// Condition of a work, set by rules only.
pub const DEGRADED: &str = "Degraded";
/// Condition of a manifest: its feedback values are current.
pub const STATUS_FEEDBACK_SYNCED: &str = "StatusFeedbackSynced";

/// Finalizer of the work agent on a work.
pub const WORK_FINALIZER: &str = "cluster.open-cluster-management.io/manifest-work-cleanup";
/// Finalizer of the work agent on an AppliedManifestWork.
pub const APPLIED_WORK_FINALIZER: &str = "cluster.open-cluster-management.io/applied-manifest-work-cleanup";

/// Values of `spec.deleteOption.propagationPolicy`.
pub mod propagation {
    /// Objects are deleted before the work goes (the default).
    pub const FOREGROUND: &str = "Foreground";
    /// All objects stay.
    pub const ORPHAN: &str = "Orphan";
    /// The objects that a rule names stay.
    pub const SELECTIVELY_ORPHAN: &str = "SelectivelyOrphan";
}

/// Values of `spec.manifestConfigs[].updateStrategy.type`.
pub mod strategy {
    /// Replace the object, merging metadata (the default).
    pub const UPDATE: &str = "Update";
    /// Create the object and leave it alone from then on.
    pub const CREATE_ONLY: &str = "CreateOnly";
    /// Apply on the server: fields of other managers stay.
    pub const SERVER_SIDE_APPLY: &str = "ServerSideApply";
    /// Never write; feedback only.
    pub const READ_ONLY: &str = "ReadOnly";
}

/// Values of `spec.manifestConfigs[].feedbackScrapeType`.
pub mod scrape {
    /// Feedback is read at an interval (the default).
    pub const POLL: &str = "Poll";
    /// Feedback follows a watch on the object.
    pub const WATCH: &str = "Watch";
}

/// Values of `spec.manifestConfigs[].feedbackRules[].type`.
pub mod feedback {
    /// A fixed set of values for kinds that OCM knows.
    pub const WELL_KNOWN_STATUS: &str = "WellKnownStatus";
    /// Values read with JSONPath.
    pub const JSON_PATHS: &str = "JSONPaths";
}

kind! {
    /// Objects that the agent of one cluster applies there. Lives in the namespace that is named as the cluster.
    ManifestWork, NamespaceResourceScope, "work.open-cluster-management.io", "v1", "manifestworks",
    spec: ManifestWorkSpec, status: ManifestWorkStatus
}

kind! {
    /// On the managed cluster: owner of the objects that a work brought, and the record of what they are.
    AppliedManifestWork, ClusterResourceScope, "work.open-cluster-management.io", "v1", "appliedmanifestworks",
    spec: AppliedManifestWorkSpec, status: AppliedManifestWorkStatus
}

/// What a work wants on its cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestWorkSpec {
    /// The objects.
    #[serde(default, deserialize_with = "nullable")]
    pub workload: Workload,
    /// What happens to the objects when the work goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_option: Option<DeleteOption>,
    /// Options per object.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub manifest_configs: Vec<ManifestConfig>,
    /// As whom to apply; unset for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
}

/// The objects of a work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Whole objects.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Value>,
}

/// What happens to the objects when the work goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOption {
    /// One of [`propagation`]; empty means Foreground.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub propagation_policy: String,
    /// What stays under [`propagation::SELECTIVELY_ORPHAN`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectively_orphans: Option<SelectivelyOrphan>,
    /// Seconds after which a completed work is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i64>,
}

impl DeleteOption {
    /// All objects stay when the work goes.
    #[must_use]
    pub fn orphan() -> Self {
        Self { propagation_policy: propagation::ORPHAN.into(), ..Self::default() }
    }
}

/// Which objects of a work stay when it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectivelyOrphan {
    /// An object that any of these matches stays.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub orphaning_rules: Vec<ResourceIdentifier>,
}

/// Names an object by resource (the plural), not by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceIdentifier {
    /// API group; empty for core.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural resource name.
    #[serde(default, deserialize_with = "nullable")]
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects. In a ManifestConfig it may hold `*`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name. In a ManifestConfig it may hold `*`.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
}

/// Options of the objects that an identifier names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestConfig {
    /// Which objects.
    #[serde(default, deserialize_with = "nullable")]
    pub resource_identifier: ResourceIdentifier,
    /// What to report back.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub feedback_rules: Vec<FeedbackRule>,
    /// One of [`scrape`]; empty means Poll.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub feedback_scrape_type: String,
    /// How to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// Conditions to compute.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub condition_rules: Vec<ConditionRule>,
}

/// What to report back of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackRule {
    /// One of [`feedback`].
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub type_: String,
    /// The values, for [`feedback::JSON_PATHS`].
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub json_paths: Vec<JsonPath>,
}

/// One value to report back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonPath {
    /// Name of the value.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// kubectl JSONPath without braces, on the whole object.
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    /// Only for this version of the API; empty for any.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// How an object is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// One of [`strategy`].
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub type_: String,
    /// Options of [`strategy::SERVER_SIDE_APPLY`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApply>,
}

/// Options of server-side apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerSideApply {
    /// Take fields from other managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Begins with `work-agent`; empty for that.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub field_manager: String,
    /// Fields to leave alone, as they come.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub ignore_fields: Vec<Value>,
}

/// A condition to compute from an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionRule {
    /// Type of the condition.
    #[serde(default, deserialize_with = "nullable")]
    pub condition: String,
    /// `CEL` or `WellKnownConditions`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub type_: String,
    /// All have to hold.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cel_expressions: Vec<String>,
    /// Message of the condition.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// CEL that gives the message.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message_expression: String,
}

/// As whom a work is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Executor {
    /// The subject, as it comes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Value::is_null")]
    pub subject: Value,
}
