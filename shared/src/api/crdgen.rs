//! The CRDs of our group, generated from the types and brought into the form of Kubernetes' own generator.
//!
//! kube-derive marks every `Option` as nullable and writes the types' defaults into the schema; the contract does
//! neither. One pass over the schema settles that for every kind alike. What the contract does want of that sort is
//! asked for in the types with the markers [`DEFAULT`] and [`NULLABLE`].

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps,
};
use kube::CustomResourceExt;
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::{Map, Value, json};

use super::{
    DRCluster, DRClusterConfig, DRPlacementControl, DRPolicy, MaintenanceMode, ProtectedVolumeReplicationGroupList,
    Recipe, ReplicationGroupDestination, ReplicationGroupSource, VolumeReplicationGroup, VolumeReplicationGroupReport,
};
use crate::yaml::{self, YamlError};

/// In a schema of a type: the default that the API server is to fill in.
pub const DEFAULT: &str = "x-kaedama-default";
/// In a schema of a type: the API server is to accept an explicit `null`.
pub const NULLABLE: &str = "x-kaedama-nullable";

/// Tools look at this annotation to tell generated CRDs from hand-written ones; the value is the form that we follow.
const GENERATOR: (&str, &str) = ("controller-gen.kubebuilder.io/version", "v0.18.0");

/// Every CRD, sorted by name.
#[must_use]
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        crd::<DRCluster>(),
        crd::<DRClusterConfig>(),
        crd::<DRPlacementControl>(),
        crd::<DRPolicy>(),
        crd::<MaintenanceMode>(),
        crd::<ProtectedVolumeReplicationGroupList>(),
        crd::<Recipe>(),
        crd::<ReplicationGroupDestination>(),
        crd::<ReplicationGroupSource>(),
        crd::<VolumeReplicationGroup>(),
        crd::<VolumeReplicationGroupReport>(),
    ];
    crds.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    crds
}

/// The CRD of one kind.
#[must_use]
pub fn crd<K: CustomResourceExt + JsonSchema>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    crd.metadata.annotations = Some(BTreeMap::from([(GENERATOR.0.to_owned(), GENERATOR.1.to_owned())]));
    crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
    let schema = root_schema::<K>();
    for version in &mut crd.spec.versions {
        version.schema = Some(CustomResourceValidation { open_api_v3_schema: Some(schema.clone()) });
    }
    crd
}

/// The name of the CRD's file: RamenDR's names, so that the two folders can be compared and exchanged.
#[must_use]
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    let (group, plural) = (&crd.spec.group, &crd.spec.names.plural);
    match plural.as_str() {
        // Recipe comes from a repository of its own, which names its file otherwise.
        "recipes" => format!("{plural}.{group}.yaml"),
        _ => format!("{group}_{plural}.yaml"),
    }
}

/// The text of the CRD's file.
///
/// # Errors
/// [`YamlError`] when the CRD has no YAML form, which a generated one always has.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, YamlError> {
    let mut value: Value = yaml::from_str(&yaml::to_string(crd)?)?;
    whole_numbers(&mut value);
    Ok(format!("---\n{}", yaml::to_string(&value)?))
}

fn root_schema<K: JsonSchema>() -> JSONSchemaProps {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<K>().to_value();
    if let Some(root) = schema.as_object_mut() {
        // Neither spec nor status is demanded.
        root.remove("required");
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(type_and_metadata());
        }
        normalise(root);
    }
    // Invariant: what schemars writes under these settings is within the API server's schema language; the tests
    // generate every kind.
    serde_json::from_value(schema).expect("a schema generated from a type is a schema of the API server")
}

/// The members that every object has, as the API server wants to see them.
pub(super) fn type_and_metadata() -> Map<String, Value> {
    let api_version = "Group and version of the schema that this object follows.";
    let members = json!({
        "apiVersion": { "description": api_version, "type": "string" },
        "kind": { "description": "Name of the schema that this object follows.", "type": "string" },
        "metadata": { "type": "object" },
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Brings one schema and all that it holds into controller-gen's form.
fn normalise(schema: &mut Map<String, Value>) {
    for generated in ["default", "nullable", "title", "$schema", "writeOnly", "readOnly"] {
        schema.remove(generated);
    }
    if let Some(default) = schema.remove(DEFAULT) {
        schema.insert("default".to_owned(), default);
    }
    if schema.remove(NULLABLE).is_some() {
        schema.insert("nullable".to_owned(), true.into());
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if schema.contains_key("x-kubernetes-int-or-string") {
        // The rewriting above hoists the alternatives' types away.
        schema.remove("type");
        schema.insert("anyOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
    }
    if schema.get("properties").and_then(Value::as_object).is_some_and(Map::is_empty) {
        schema.remove("properties");
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    for (keyword, value) in schema.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().filter_map(Value::as_object_mut).for_each(normalise);
            }
            ("items" | "additionalProperties" | "not", Value::Object(inner)) => normalise(inner),
            ("allOf" | "anyOf" | "oneOf", Value::Array(alternatives)) => {
                alternatives.iter_mut().filter_map(Value::as_object_mut).for_each(normalise);
            }
            _ => {}
        }
    }
}

/// The typed CRD holds bounds as floating point; in the file a whole number stands as one.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9.0e15);
            if let (false, Some(whole)) = (number.is_i64() || number.is_u64(), whole) {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}
