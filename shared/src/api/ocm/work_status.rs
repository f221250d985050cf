//! Status of the kinds of [`super::work`], and how it is read. Public as part of that module.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::work::{APPLIED, AVAILABLE, DEGRADED, ManifestWork};
use crate::api::condition::{Condition, find, is_true};
use crate::api::tolerant::nullable;

/// What the agent reported of a work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestWorkStatus {
    /// Of the work as a whole.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Of each manifest.
    #[serde(default, deserialize_with = "nullable")]
    pub resource_status: ResourceStatus,
}

/// What the agent reported of each manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// In the order of the spec.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<ManifestStatus>,
}

/// What the agent reported of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestStatus {
    /// Which object it is.
    #[serde(default, deserialize_with = "nullable")]
    pub resource_meta: ResourceMeta,
    /// [`APPLIED`], [`AVAILABLE`], `StatusFeedbackSynced` and those of condition rules.
    #[serde(default, deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The values of the feedback rules.
    #[serde(default, deserialize_with = "nullable")]
    pub status_feedback: StatusFeedback,
}

/// Which object a manifest is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceMeta {
    /// Place in the spec's list, from 0.
    #[serde(default, deserialize_with = "nullable")]
    pub ordinal: i32,
    /// API group; empty for core.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// API version.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Kind.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Plural resource name; empty where the cluster does not know the kind.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The values of the feedback rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFeedback {
    /// One per rule that found something.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<FeedbackValue>,
}

/// One value that was reported back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackValue {
    /// Name given by the rule.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// The value.
    #[serde(default, deserialize_with = "nullable")]
    pub field_value: FieldValue,
}

/// A value in the member that its type names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldValue {
    /// `Integer`, `String`, `Boolean` or `JsonRaw`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub type_: String,
    /// Value of `Integer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer: Option<i64>,
    /// Value of `String`; no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,
    /// Value of `Boolean`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean: Option<bool>,
    /// Value of `JsonRaw`: JSON text of at most 1024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_raw: Option<String>,
}

/// Whose AppliedManifestWork it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedManifestWorkSpec {
    /// SHA-256 in hex of the hub's URL.
    #[serde(default, deserialize_with = "nullable")]
    pub hub_hash: String,
    /// The agent.
    #[serde(rename = "agentID", default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub agent_id: String,
    /// Name of the work on the hub.
    #[serde(default, deserialize_with = "nullable")]
    pub manifest_work_name: String,
}

/// What a work brought to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedManifestWorkStatus {
    /// The objects.
    #[serde(default, deserialize_with = "nullable")]
    pub applied_resources: Vec<AppliedResource>,
    /// When the work was first seen to be missing on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction_start_time: Option<Time>,
}

/// One object that a work brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AppliedResource {
    /// API group; empty for core.
    #[serde(default, deserialize_with = "nullable")]
    pub group: String,
    /// Plural resource name.
    #[serde(default, deserialize_with = "nullable")]
    pub resource: String,
    /// API version.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// The very object.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl ManifestWork {
    /// The conditions of the work as a whole.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    /// The work's present spec is applied and its objects exist, as far as the agent has reported.
    ///
    /// An `Applied` of an earlier generation does not count: it is the answer to another spec. Nothing here tells
    /// when the agent reported last; the status of a dead cluster stays as it was.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        let conditions = self.conditions();
        let generation = self.metadata.generation.unwrap_or_default();
        let current = find(conditions, APPLIED).is_some_and(|applied| applied.is_true_at(generation));
        current && is_true(conditions, AVAILABLE) && !is_true(conditions, DEGRADED)
    }

    /// What was reported of the manifest at this place of the spec.
    #[must_use]
    pub fn manifest_status(&self, ordinal: usize) -> Option<&ManifestStatus> {
        let manifests = &self.status.as_ref()?.resource_status.manifests;
        manifests.iter().find(|manifest| usize::try_from(manifest.resource_meta.ordinal) == Ok(ordinal))
    }
}

impl ManifestStatus {
    /// The object exists on the cluster, as far as the agent has reported. Feedback values outlive the object that
    /// they came from, so they count only while this holds.
    #[must_use]
    pub fn is_available(&self) -> bool {
        is_true(&self.conditions, AVAILABLE)
    }

    /// The value of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&FieldValue> {
        self.status_feedback.values.iter().find(|value| value.name == name).map(|value| &value.field_value)
    }
}

impl FieldValue {
    /// An integer.
    #[must_use]
    pub fn of_integer(value: i64) -> Self {
        Self { type_: "Integer".into(), integer: Some(value), ..Self::default() }
    }

    /// A string.
    #[must_use]
    pub fn of_string(value: &str) -> Self {
        Self { type_: "String".into(), string: Some(value.to_owned()), ..Self::default() }
    }

    /// A boolean.
    #[must_use]
    pub fn of_boolean(value: bool) -> Self {
        Self { type_: "Boolean".into(), boolean: Some(value), ..Self::default() }
    }

    /// JSON text.
    #[must_use]
    pub fn of_json(text: String) -> Self {
        Self { type_: "JsonRaw".into(), json_raw: Some(text), ..Self::default() }
    }
}
