//! Recipe: what of an application is captured and recovered, in which order, and what runs in between.
//!
//! Members that this version does not know are lost when a recipe is read into these types. Whoever copies a recipe
//! (the hub does) copies it as a dynamic object.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::recipe_group::RecipeGroup;
use super::recipe_hook::RecipeHook;
use super::tolerant;

open_enum! {
    /// When a workflow counts as failed.
    #[derive(Default)]
    pub enum RecipeFailOn (closed) {
        /// Not stated: any error.
        #[default]
        Unset => "",
        /// Any step failed.
        AnyError => "any-error",
        /// An essential step failed.
        EssentialError => "essential-error",
        /// Every step failed.
        FullError => "full-error",
    }
}

/// What of an application is captured and recovered.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "Recipe",
    plural = "recipes",
    namespaced,
    status = "RecipeStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "How one application is captured and recovered: groups of objects, hooks, and workflows of both."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["appType"]))]
pub struct RecipeSpec {
    /// Kind of application that the recipe was written for; for people.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub app_type: String,
    /// Groups of objects.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<RecipeGroup>,
    /// What runs between the groups.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub hooks: Vec<RecipeHook>,
    /// The claims to protect.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub volumes: Option<RecipeGroup>,
    /// Sequences of groups and hooks; those named backup and restore are used.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workflows: Vec<RecipeWorkflow>,
}

tolerant::absent_is_default!(RecipeSpec);

/// A sequence of groups and hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "sequence"]))]
pub struct RecipeWorkflow {
    /// When the workflow counts as failed.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(extend("x-kaedama-default" = "any-error"))]
    pub fail_on: RecipeFailOn,
    /// Name of the workflow: backup or restore.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// The steps, each a map with one key: group with a group's name, or hook with hook/operation.
    #[serde(deserialize_with = "tolerant::list")]
    pub sequence: Vec<BTreeMap<String, String>>,
}

/// Nothing is reported about a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecipeStatus {}
