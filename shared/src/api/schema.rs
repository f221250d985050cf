//! Schema parts that kube-derive cannot make by itself: markers on the types that come from Kubernetes.
//!
//! `x-kaedama-default` and `x-kaedama-nullable` are for [`super::crdgen`] only: it turns them into `default` and
//! `nullable` after dropping those that schemars added on its own.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::crdgen::type_and_metadata;
use super::vrg::VolumeReplicationGroup;

const QUANTITY: &str = concat!(
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
);

/// Puts `marker` at the JSON pointer `place` of a schema.
fn mark(schema: &mut Value, place: &str, marker: &str, value: impl Into<Value>) {
    if let Some(Value::Object(at)) = schema.pointer_mut(place) {
        at.insert(marker.to_owned(), value.into());
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

fn finish(schema: Value) -> Schema {
    // Every caller hands in an object, and an object always is a schema.
    Schema::try_from(schema).unwrap_or_default()
}

/// A label selector: an atomic object with atomic lists.
pub(crate) fn label_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = of::<LabelSelector>(generator);
    mark(&mut schema, "", "x-kubernetes-map-type", "atomic");
    mark(&mut schema, "/properties/matchExpressions", "x-kubernetes-list-type", "atomic");
    let values = "/properties/matchExpressions/items/properties/values";
    mark(&mut schema, values, "x-kubernetes-list-type", "atomic");
    finish(schema)
}

/// A label selector that the API server fills in as `{}` when it is absent.
pub(crate) fn defaulted_label_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = label_selector(generator).to_value();
    mark(&mut schema, "", "x-kaedama-default", json!({}));
    finish(schema)
}

/// A reference to an object of any kind: atomic.
pub(crate) fn object_reference(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = of::<core::ObjectReference>(generator);
    mark(&mut schema, "", "x-kubernetes-map-type", "atomic");
    finish(schema)
}

/// A list of references to objects of any kind.
pub(crate) fn object_references(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": object_reference(generator) })
}

/// A reference to an object in the same namespace: atomic, the name defaults to the empty string.
pub(crate) fn local_object_reference(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = of::<core::LocalObjectReference>(generator);
    mark(&mut schema, "", "x-kubernetes-map-type", "atomic");
    mark(&mut schema, "/properties/name", "x-kaedama-default", "");
    if let Value::Object(members) = &mut schema {
        members.remove("required");
    }
    finish(schema)
}

/// A map of names to typed references in the same namespace.
pub(crate) fn typed_local_references(generator: &mut SchemaGenerator) -> Schema {
    let mut reference = of::<core::TypedLocalObjectReference>(generator);
    mark(&mut reference, "", "x-kubernetes-map-type", "atomic");
    json_schema!({ "type": "object", "additionalProperties": reference })
}

/// A pod security context with its atomic lists.
pub(crate) fn pod_security_context(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = of::<core::PodSecurityContext>(generator);
    for list in ["supplementalGroups", "sysctls"] {
        mark(&mut schema, &format!("/properties/{list}"), "x-kubernetes-list-type", "atomic");
    }
    finish(schema)
}

/// Resource requests and limits, as a PersistentVolumeClaim has them.
pub(crate) fn volume_resources(_: &mut SchemaGenerator) -> Schema {
    let quantities = |description: &str| {
        json!({
            "description": description,
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": "integer" }, { "type": "string" }],
                "pattern": QUANTITY,
                "x-kubernetes-int-or-string": true,
            },
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "limits": quantities("The most that the volume may take."),
            "requests": quantities("The least that the volume must offer."),
        },
    })
}

/// A time that may be an explicit `null`.
pub(crate) fn nullable_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "x-kaedama-nullable": true })
}

/// The groups found in a store: complete, with the few members of their metadata that are kept.
pub(crate) fn protected_groups(generator: &mut SchemaGenerator) -> Schema {
    let mut group = of::<VolumeReplicationGroup>(generator);
    let names = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    if let Some(group) = group.as_object_mut() {
        group.remove("required");
    }
    if let Some(properties) = group.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.extend(type_and_metadata());
        properties.insert(
            "metadata".to_owned(),
            json!({
                "type": "object",
                "properties": {
                    "annotations": names,
                    "finalizers": { "type": "array", "items": { "type": "string" } },
                    "labels": names,
                    "name": { "type": "string" },
                    "namespace": { "type": "string" },
                },
            }),
        );
    }
    json_schema!({ "type": "array", "items": group })
}

/// An integer without a stated width.
pub(crate) fn integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer" })
}
