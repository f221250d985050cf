//! Protection of an application's Kubernetes objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;
use super::{schema, tolerant};

/// Which Kubernetes objects are captured, and how often. Its presence switches the capture on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeObjectProtectionSpec {
    /// Preferred time between captures; five minutes when absent.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "duration"))]
    pub capture_interval: Option<GoDuration>,
    /// Which objects are captured when there is no recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub kube_object_selector: Option<LabelSelector>,
    /// Values of the recipe's parameters.
    #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
    pub recipe_parameters: BTreeMap<String, Vec<String>>,
    /// The recipe that says what is captured and recovered, and in which order.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub recipe_ref: Option<RecipeRef>,
}

/// A recipe on the managed cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecipeRef {
    /// Name of the recipe.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub name: String,
    /// Namespace of the recipe.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub namespace: String,
}

/// How far the protection of Kubernetes objects is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeObjectProtectionStatus {
    /// The newest complete capture, which a recovery would use.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub capture_to_recover_from: Option<KubeObjectsCaptureIdentifier>,
}

/// Identity of a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["number"]))]
pub struct KubeObjectsCaptureIdentifier {
    /// When the capture was complete.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub end_time: Option<Time>,
    /// Number of the capture: its slot in the store.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub number: i64,
    /// Generation of the group when the capture began.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub start_generation: i64,
    /// When the capture began.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub start_time: Option<Time>,
}
