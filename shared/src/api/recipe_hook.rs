//! The hooks of a Recipe.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::{schema, tolerant};

open_enum! {
    /// What a hook does.
    #[derive(Default)]
    pub enum RecipeHookType (closed) {
        /// Not stated.
        #[default]
        Unset => "",
        /// Runs commands in pods.
        Exec => "exec",
        /// Scales workloads down and up.
        Scale => "scale",
        /// Waits until a condition holds.
        Check => "check",
        /// Runs jobs.
        Job => "job",
    }
}

open_enum! {
    /// What a failure means for what follows.
    #[derive(Default)]
    pub enum RecipeOnError (closed) {
        /// Not stated: what encloses it decides, in the end `fail`.
        #[default]
        Unset => "",
        /// Stop.
        Fail => "fail",
        /// Go on.
        Continue => "continue",
    }
}

/// What runs between the groups of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "namespace", "type"]))]
pub struct RecipeHook {
    /// Conditions to wait for.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub chks: Vec<RecipeCheck>,
    /// Whether a failure of the hook is a failure of the workflow; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub essential: Option<bool>,
    /// Jobs to run.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub jobs: Vec<RecipeJob>,
    /// Which objects the hook is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// Name of the hook.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Which objects the hook is for, by name.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub name_selector: String,
    /// Namespace of the objects.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub namespace: String,
    /// What a failure means, unless an operation says otherwise.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kaedama-default" = "fail"))]
    pub on_error: RecipeOnError,
    /// Commands to run.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ops: Vec<RecipeOperation>,
    /// Kind of object that the selectors are for.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub select_resource: String,
    /// Run in one pod only, not in every selected one.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub single_pod_only: bool,
    /// A hook without any selected object is left out instead of being a failure.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub skip_hook_if_not_present: bool,
    /// How long each operation may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub timeout: Option<i64>,
    /// What the hook does.
    #[serde(rename = "type", deserialize_with = "tolerant::nullable")]
    pub type_: RecipeHookType,
}

/// A condition to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct RecipeCheck {
    /// The condition, as an expression over the selected objects.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub condition: String,
    /// Name of the check.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// What a failure means.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(with = "String")]
    pub on_error: RecipeOnError,
    /// How long to wait, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub timeout: Option<i64>,
}

/// A job to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct RecipeJob {
    /// Make the job anew when it exists already.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kaedama-default" = false))]
    pub force_create: bool,
    /// The operation that takes this one back.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub inverse_op: String,
    /// Name of the job.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// What a failure means.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(with = "String")]
    pub on_error: RecipeOnError,
    /// How long the job may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub timeout: Option<i64>,
}

/// A command to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["command", "name"]))]
pub struct RecipeOperation {
    /// The command, as a shell line or as a JSON list of words.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(length(min = 1))]
    pub command: String,
    /// Container to run it in; the first one when empty.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub container: String,
    /// The operation that takes this one back.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub inverse_op: String,
    /// Name of the operation.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// What a failure means.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(with = "String")]
    pub on_error: RecipeOnError,
    /// How long the command may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub timeout: Option<i64>,
}
