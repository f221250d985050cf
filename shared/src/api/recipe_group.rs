//! The groups of a Recipe.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::{schema, tolerant};

open_enum! {
    /// What a group holds.
    #[derive(Default)]
    pub enum RecipeGroupType (closed) {
        /// Not stated.
        #[default]
        Unset => "",
        /// Claims.
        Volume => "volume",
        /// Kubernetes objects.
        Resource => "resource",
    }
}

open_enum! {
    /// The kind of object that a group's label selector is for.
    #[derive(Default)]
    pub enum RecipeSelectResource (closed) {
        /// Not stated.
        #[default]
        Unset => "",
        /// Claims.
        Pvc => "pvc",
        /// Pods.
        Pod => "pod",
        /// Deployments.
        Deployment => "deployment",
        /// StatefulSets.
        StatefulSet => "statefulset",
    }
}

/// Objects that are captured or recovered together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "type"]))]
pub struct RecipeGroup {
    /// Name of the group whose capture this group is recovered from.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub backup_ref: String,
    /// Whether a failure of the group is a failure of the workflow; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub essential: Option<bool>,
    /// Namespaces to leave out.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub excluded_namespaces: Vec<String>,
    /// Resource types to leave out.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub excluded_resource_types: Vec<String>,
    /// Whether cluster-scoped objects are included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
    /// Namespaces to include.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub included_namespaces: Vec<String>,
    /// Namespaces to include, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub included_namespaces_by_label: Option<LabelSelector>,
    /// Resource types to include; empty includes all.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub included_resource_types: Vec<String>,
    /// Which objects belong to the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// Name of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Which objects belong to the group, by name.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub name_selector: String,
    /// Name of a group that this one refines.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub parent: String,
    /// Whether objects that exist already are overwritten by the recovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_overwrite_resources: Option<bool>,
    /// Which resource types are recovered with their status.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub restore_status: Option<RecipeRestoreStatus>,
    /// The kind of object that the label selector is for.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub select_resource: RecipeSelectResource,
    /// What the group holds.
    #[serde(rename = "type", deserialize_with = "tolerant::nullable")]
    pub type_: RecipeGroupType,
}

/// Which resource types are recovered with their status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecipeRestoreStatus {
    /// Resource types to leave out.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub excluded_resources: Vec<String>,
    /// Resource types to include.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub included_resources: Vec<String>,
}
