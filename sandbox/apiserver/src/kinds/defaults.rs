//! The defaults of built-in kinds.

use crate::registry::Resource;
use serde_json::{Value, json};

/// Fills in what the server fills in when it decodes an object of a built-in kind.
pub(crate) fn default(resource: &Resource, object: &mut Value) {
    if resource.is("", "Secret") {
        absent(object, "type", || json!("Opaque"));
    }
}

fn absent(object: &mut Value, field: &str, value: impl FnOnce() -> Value) {
    if let Some(map) = object.as_object_mut() {
        let empty = map.get(field).is_none_or(|v| v.is_null() || v.as_str() == Some(""));
        if empty {
            map.insert(field.to_owned(), value());
        }
    }
}
