//! The scale subresource: `autoscaling/v1` Scale over the replicas of an object.

use super::options::WriteOptions;
use super::{Answer, Op, Write, body, patch, update};
use crate::convert;
use crate::meta;
use crate::registry::{Resource, Scale};
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::Stored;
use serde_json::{Value, json};

pub(crate) fn answer(op: &Op<'_>, verb: &str, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    let Some(paths) = &op.resource.scale else {
        return Err(ApiError::page_not_found());
    };
    match verb {
        "get" => {
            let stored = op.live()?;
            let value = convert::from_storage(&op.resource, &stored);
            if op.resource.is_custom() && get(&value, &paths.spec_replicas).is_none() {
                let why = format!("the spec replicas field \"{}\" does not exist", paths.spec_replicas);
                return Err(ApiError::internal(why));
            }
            Ok(Answer::Value(200, of(op, paths, &stored)))
        }
        "update" => {
            let options = WriteOptions::parse(op, "UpdateOptions")?;
            let scale = body::parse(op.request)?;
            update::check_name(op, &scale)?;
            write(op, paths, options, true, |_| Ok(scale.clone()))
        }
        "patch" => {
            let kind = patch::Kind::parse(op)?;
            let mut options = patch::options(op, kind)?;
            options.applied = false;
            let document = patch::document(op, kind)?;
            let _ = warnings;
            write(op, paths, options, false, |current| match kind {
                // A Scale has scalar fields only: applying it and merging it come to the same, and its one writable
                // field is owned through the object's managedFields.
                patch::Kind::Apply | patch::Kind::Strategic => {
                    Ok(crate::patch::json_merge_patch(current, &document.value))
                }
                _ => patch::patched(op, kind, current, &document.value),
            })
        }
        _ => Err(ApiError::method_not_supported(&op.group_resource(), verb)),
    }
}

/// Writes the replicas of the Scale that `make` returns.
fn write(
    op: &Op<'_>,
    paths: &Scale,
    options: WriteOptions,
    exact: bool,
    mut make: impl FnMut(&Value) -> Result<Value, ApiError>,
) -> Result<Answer, ApiError> {
    let write = Write { server: op.server, resource: &op.resource, subresource: "scale", options };
    let (stored, _) = update::modify(&write, &op.key(), false, !exact, |live| {
        let live = live.ok_or_else(|| ApiError::not_found(&op.group_resource(), &op.name))?;
        let scale = make(&from_value(paths, live))?;
        let replicas = match scale.pointer("/spec/replicas") {
            None | Some(Value::Null) => 0,
            Some(value) => value.as_i64().ok_or_else(|| {
                ApiError::bad_request(
                    "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is not an integer",
                )
            })?,
        };
        if replicas < 0 && !op.resource.is_custom() {
            return Err(ApiError::invalid(
                "autoscaling",
                "Scale",
                &op.name,
                &[FieldError::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0")],
            ));
        }
        let mut object = live.clone();
        set(&mut object, &paths.spec_replicas, Value::from(replicas));
        // What the client read is what it may write on.
        if let Some(revision) = meta::text(&scale, "resourceVersion") {
            meta::set(&mut object, "resourceVersion", Some(Value::from(revision)));
        }
        if let Some(uid) = meta::uid(&scale) {
            meta::set(&mut object, "uid", Some(Value::from(uid)));
        }
        Ok(object)
    })?;
    Ok(Answer::Value(200, of(op, paths, &stored)))
}

fn of(op: &Op<'_>, paths: &Scale, stored: &Stored) -> Value {
    from_value(paths, &convert::from_storage(&op.resource, stored))
}

fn from_value(paths: &Scale, object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta::field(object, field) {
            metadata[field] = value.clone();
        }
    }
    let number = |path: &str| get(object, path).and_then(Value::as_i64).unwrap_or(0);
    let spec = match number(&paths.spec_replicas) {
        0 => json!({}),
        replicas => json!({ "replicas": replicas }),
    };
    let mut status = json!({ "replicas": number(&paths.status_replicas) });
    let selector = paths.label_selector.as_deref().and_then(|path| get(object, path));
    if let Some(text) = selector.and_then(selector_text) {
        status["selector"] = Value::from(text);
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": spec, "status": status,
    })
}

/// Negative replicas of a kind of a definition.
pub(super) fn negative(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let Some(paths) = resource.scale.as_ref().filter(|_| resource.is_custom()) else { return Vec::new() };
    let replicas = [&paths.spec_replicas, &paths.status_replicas].into_iter().filter_map(|path| {
        let value = get(object, path).filter(|value| value.as_i64().is_some_and(|number| number < 0))?;
        Some(FieldError::invalid(path, value, "should be a non-negative integer"))
    });
    replicas.collect()
}

/// Takes no replicas from their owner: a Scale does not show them, so that who writes them through it owns nothing.
pub(super) fn disown_zero(write: &Write<'_>, object: &mut Value) {
    let replicas = write.resource.scale.as_ref().and_then(|paths| get(object, &paths.spec_replicas));
    if replicas.and_then(Value::as_i64) != Some(0) {
        return;
    }
    if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        entries.retain(|entry| entry["subresource"] != "scale" || entry["manager"] != write.writer().manager);
    }
}

/// A selector as text: custom resources keep it so, built-in kinds as a LabelSelector or a map.
fn selector_text(selector: &Value) -> Option<String> {
    if let Some(text) = selector.as_str() {
        return Some(text.to_owned());
    }
    let map = selector.as_object()?;
    let plain = !map.contains_key("matchLabels") && !map.contains_key("matchExpressions");
    let labels = if plain { Some(map) } else { map.get("matchLabels").and_then(Value::as_object) };
    let mut parts: Vec<String> =
        labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for expression in map.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = meta::strings(expression.get("values")).join(",");
        parts.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.sort();
    Some(parts.join(","))
}

fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, part| value.get(part))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut parts: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = object;
    for part in parts {
        if !at[part].is_object() {
            at[part] = json!({});
        }
        at = &mut at[part];
    }
    at[last] = value;
}
