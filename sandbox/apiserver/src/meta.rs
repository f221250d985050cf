//! Reading and writing `metadata` of objects that are plain JSON values.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// A field of `metadata`.
pub(crate) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(name)
}

/// A field of `metadata` that is a string; absent when it is empty.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    field(object, name)?.as_str().filter(|s| !s.is_empty())
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "name").unwrap_or_default()
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "namespace").unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> Option<&str> {
    text(object, "uid")
}

pub(crate) fn generation(object: &Value) -> i64 {
    field(object, "generation").and_then(Value::as_i64).unwrap_or(0)
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    text(object, "deletionTimestamp").is_some()
}

pub(crate) fn grace_period(object: &Value) -> Option<i64> {
    field(object, "deletionGracePeriodSeconds").and_then(Value::as_i64)
}

/// The finalizers, in order.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    strings(field(object, "finalizers"))
}

/// The strings of a list.
pub(crate) fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The owner references.
pub(crate) fn owners(object: &Value) -> &[Value] {
    field(object, "ownerReferences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The uids of the owners.
pub(crate) fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    owners(object).iter().filter_map(|o| o.get("uid")?.as_str())
}

/// `metadata` for writing; made when it is absent.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_mut(object, "metadata")
}

/// A field that is an object, for writing; made (or replaced) when it is none.
pub(crate) fn map_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if !object[field].is_object() {
        object[field] = Value::Object(Map::new());
    }
    match &mut object[field] {
        Value::Object(map) => map,
        // Both lines above made it one.
        _ => unreachable!("the field was made an object"),
    }
}

/// Sets a field of `metadata`, or removes it when the value is absent.
pub(crate) fn set(object: &mut Value, name: &str, value: Option<Value>) {
    let meta = meta_mut(object);
    match value {
        Some(value) => meta.insert(name.to_owned(), value),
        None => meta.remove(name),
    };
}

/// Sets the finalizers; an empty list is left out.
pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[&str]) {
    let value = (!finalizers.is_empty()).then(|| finalizers.iter().map(|f| Value::from(*f)).collect());
    set(object, "finalizers", value);
}

/// Sets or removes a field of the object itself.
pub(crate) fn copy_field(from: &Value, to: &mut Value, name: &str) {
    match from.get(name) {
        Some(value) => to[name] = value.clone(),
        None => {
            if let Some(map) = to.as_object_mut() {
                map.remove(name);
            }
        }
    }
}

/// A time as `metav1.Time` writes it: UTC, whole seconds.
pub(crate) fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
