//! Pieces of structural schemas.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn integer() -> Value {
    json!({"type": "integer", "format": "int64"})
}

pub(super) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub(super) fn strings() -> Value {
    list(text())
}

pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A map of strings.
pub(super) fn map() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

pub(super) fn one_of(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

pub(super) fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let mut schema = json!({"type": "object"});
    if !properties.is_empty() {
        let properties: Map<String, Value> =
            properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
        schema["properties"] = Value::Object(properties);
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The schema with one more keyword.
pub(super) fn with(mut schema: Value, keyword: &str, value: Value) -> Value {
    schema[keyword] = value;
    schema
}

/// A field that cannot be changed once it is set.
pub(super) fn immutable(schema: Value, message: &str) -> Value {
    with(schema, "x-kubernetes-validations", json!([{"rule": "self == oldSelf", "message": message}]))
}

/// A struct that is replaced as a whole by server-side apply.
pub(super) fn atomic(schema: Value) -> Value {
    with(schema, "x-kubernetes-map-type", json!("atomic"))
}

/// The whole object.
pub(super) fn root(spec: Value, status: Option<Value>, required: &[&str]) -> Value {
    let mut properties =
        vec![("apiVersion", text()), ("kind", text()), ("metadata", json!({"type": "object"})), ("spec", spec)];
    properties.extend(status.map(|status| ("status", status)));
    object(&properties, required)
}

/// The spec that all classes have: provisioner and parameters, neither of which can be changed, added or removed.
pub(super) fn class_spec() -> Value {
    let spec = object(
        &[
            ("parameters", immutable(map(), "parameters are immutable")),
            ("provisioner", immutable(text(), "provisioner is immutable")),
        ],
        &["provisioner"],
    );
    let presence =
        json!([{"rule": "has(self.parameters) == has(oldSelf.parameters)", "message": "parameters are immutable"}]);
    with(spec, "x-kubernetes-validations", presence)
}

/// A list of `metav1.Condition`.
pub(super) fn conditions() -> Value {
    let condition_type = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
    let reason = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";
    list(object(
        &[
            ("lastTransitionTime", time()),
            ("message", with(text(), "maxLength", json!(32768))),
            ("observedGeneration", with(integer(), "minimum", json!(0))),
            ("reason", json!({"type": "string", "minLength": 1, "maxLength": 1024, "pattern": reason})),
            ("status", one_of(&["True", "False", "Unknown"])),
            ("type", json!({"type": "string", "maxLength": 316, "pattern": condition_type})),
        ],
        &["lastTransitionTime", "message", "reason", "status", "type"],
    ))
}

/// References to objects by name.
pub(super) fn names() -> Value {
    list(atomic(object(&[("name", with(text(), "default", json!("")))], &[])))
}
