//! Pieces of structural schemas.

use serde_json::{Value, json};

/// An object with these members.
pub(super) fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A list.
pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A list whose items are told apart by these members.
pub(super) fn map_list(items: Value, keys: &[&str]) -> Value {
    json!({"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys})
}

/// A map of strings.
pub(super) fn string_map() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

/// A string.
pub(super) fn string() -> Value {
    json!({"type": "string"})
}

/// A string of a fixed set, with or without a default.
pub(super) fn choice(values: &[&str], default: Option<&str>) -> Value {
    let mut schema = json!({"type": "string", "enum": values});
    if let Some(default) = default {
        schema["default"] = json!(default);
    }
    schema
}

/// A boolean.
pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A 32-bit integer.
pub(super) fn int32() -> Value {
    json!({"type": "integer", "format": "int32"})
}

/// A 64-bit integer.
pub(super) fn int64() -> Value {
    json!({"type": "integer", "format": "int64"})
}

/// A time.
pub(super) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// Conditions; `keyed` where the list is a map by type.
pub(super) fn conditions(keyed: bool) -> Value {
    let condition = object(
        json!({
            "type": {"type": "string", "maxLength": 316},
            "status": choice(&["True", "False", "Unknown"], None),
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": time(),
            "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
            "message": {"type": "string", "maxLength": 32768},
        }),
        &["lastTransitionTime", "message", "reason", "status", "type"],
    );
    if keyed { map_list(condition, &["type"]) } else { list(condition) }
}

/// Requirements of a selector.
pub(super) fn requirements() -> Value {
    list(object(json!({"key": string(), "operator": string(), "values": list(string())}), &["key", "operator"]))
}

/// A label selector.
pub(super) fn label_selector() -> Value {
    object(json!({"matchLabels": string_map(), "matchExpressions": requirements()}), &[])
}
