//! Strategic merge patch: a merge patch that knows which lists merge, and by which key.

use super::PatchError;
use super::json::REJECTED;
use super::order::{Identity, arrange};
use crate::schema::TypeInfo;
use serde_json::{Map, Value};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Strategic merge patch, with the merge keys of the built-in schema. (For custom resources the server answers 415
/// before it comes here.)
///
/// # Errors
/// `BadRequest` for unknown directives or a list element without its merge key; `Unprocessable` for a patch that is not
/// an object.
pub fn strategic_merge_patch(types: TypeInfo<'_>, target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let (Some(target), Some(patch)) = (target.as_object(), patch.as_object()) else {
        return Err(PatchError::Unprocessable(REJECTED.to_owned()));
    };
    Ok(Value::Object(merge_object(Some(types), target, patch)?.unwrap_or_default()))
}

/// Merges objects. `None` when the patch says `$patch: delete`.
fn merge_object(
    types: Option<TypeInfo<'_>>,
    target: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, PatchError> {
    match directive(patch)? {
        Some(Directive::Delete) => return Ok(None),
        Some(Directive::Replace) => return Ok(Some(without_directives(patch))),
        Some(Directive::Merge) | None => {}
    }
    let mut out = target.clone();
    retain_keys(&mut out, patch)?;
    for (name, values) in patch {
        if let Some(field) = name.strip_prefix(DELETE_PRIMITIVES) {
            let values = list_of(values, name)?;
            if let Some(list) = out.get_mut(field).and_then(Value::as_array_mut) {
                list.retain(|v| !values.contains(v));
            }
        }
    }
    for (name, value) in patch {
        if name.starts_with('$') {
            continue;
        }
        let field = types.and_then(|t| t.field(name));
        let order = patch.get(&format!("{SET_ORDER}{name}"));
        match (out.get(name), value) {
            (_, Value::Null) => {
                out.remove(name);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                match merge_object(field, old, new)? {
                    Some(merged) => out.insert(name.clone(), Value::Object(merged)),
                    None => out.remove(name),
                };
            }
            (Some(Value::Array(old)), Value::Array(new)) if field.is_some_and(|f| f.patch_merges()) => {
                let merged = merge_list(field, old, new)?;
                out.insert(name.clone(), Value::Array(merged));
            }
            (None, Value::Object(new)) if matches!(directive(new)?, Some(Directive::Delete | Directive::Replace)) => {}
            _ => {
                out.insert(name.clone(), cleaned(value));
            }
        }
        if let Some(order) = order {
            set_order(&mut out, name, field, order)?;
        }
    }
    for (name, order) in patch {
        if let Some(field) = name.strip_prefix(SET_ORDER)
            && !patch.contains_key(field)
        {
            let types = types.and_then(|t| t.field(field));
            set_order(&mut out, field, types, order)?;
        }
    }
    Ok(Some(out))
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Option<Directive>, PatchError> {
    match patch.get(PATCH) {
        None => Ok(None),
        Some(Value::String(s)) if s == "merge" => Ok(Some(Directive::Merge)),
        Some(Value::String(s)) if s == "replace" => Ok(Some(Directive::Replace)),
        Some(Value::String(s)) if s == "delete" => Ok(Some(Directive::Delete)),
        Some(other) => Err(PatchError::BadRequest(format!(
            "unknown patch type: {} in map: {}",
            other.as_str().map_or_else(|| other.to_string(), str::to_owned),
            Value::Object(patch.clone())
        ))),
    }
}

fn retain_keys(out: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let keys = list_of(keys, RETAIN_KEYS)?;
    let retained = |name: &str| keys.iter().any(|k| k.as_str() == Some(name));
    let stray = patch.iter().find(|(name, value)| !name.starts_with('$') && !value.is_null() && !retained(name));
    if stray.is_some() {
        return Err(PatchError::BadRequest("invalid patch format of retainKeys".to_owned()));
    }
    out.retain(|name, _| retained(name));
    Ok(())
}

fn list_of<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], PatchError> {
    value
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| PatchError::BadRequest(format!("invalid patch format: {name} must be a list")))
}

fn merge_list(types: Option<TypeInfo<'_>>, old: &[Value], patch: &[Value]) -> Result<Vec<Value>, PatchError> {
    let Some(key) = types.and_then(|t| t.patch_merge_key()) else {
        let mut merged = old.to_vec();
        let mut wanted: Vec<Value> = Vec::new();
        for value in patch {
            if !merged.contains(value) {
                merged.push(value.clone());
            }
            if !wanted.contains(value) {
                wanted.push(value.clone());
            }
        }
        return Ok(arrange(merged, &wanted, old, &Identity::Value));
    };
    let mut elements = Vec::with_capacity(patch.len());
    let mut replace = false;
    let mut merged = old.to_vec();
    for element in patch {
        let Some(fields) = element.as_object() else {
            return Err(PatchError::BadRequest(format!("expected a map with merge key {key}, got: {element}")));
        };
        match directive(fields)? {
            Some(Directive::Replace) => replace = true,
            Some(Directive::Delete) => {
                let value = fields.get(key).ok_or_else(|| no_merge_key(element, key))?;
                merged.retain(|m| m.get(key) != Some(value));
            }
            Some(Directive::Merge) | None => elements.push(element),
        }
    }
    if replace {
        return Ok(elements.into_iter().map(cleaned).collect());
    }
    let item = types.map(|t| t.item());
    for element in &elements {
        let value = element.get(key).ok_or_else(|| no_merge_key(element, key))?;
        let place = merged.iter().position(|m| m.get(key) == Some(value));
        match place {
            None => merged.push(cleaned(element)),
            Some(i) => {
                if let (Some(before), Some(fields)) = (merged[i].as_object(), element.as_object())
                    && let Some(both) = merge_object(item, before, fields)?
                {
                    merged[i] = Value::Object(both);
                }
            }
        }
    }
    let wanted: Vec<Value> = elements.into_iter().cloned().collect();
    Ok(arrange(merged, &wanted, old, &Identity::Key(key)))
}

fn no_merge_key(element: &Value, key: &str) -> PatchError {
    PatchError::BadRequest(format!("map: {element} does not contain declared merge key: {key}"))
}

fn set_order(
    out: &mut Map<String, Value>,
    name: &str,
    types: Option<TypeInfo<'_>>,
    order: &Value,
) -> Result<(), PatchError> {
    let order = list_of(order, SET_ORDER)?;
    let Some(Value::Array(list)) = out.get_mut(name) else {
        return Ok(());
    };
    let identity = match types.and_then(|t| t.patch_merge_key()) {
        Some(key) => Identity::Key(key),
        None => Identity::Value,
    };
    let server = list.clone();
    *list = arrange(std::mem::take(list), order, &server, &identity);
    Ok(())
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
        .map(|(name, value)| (name.clone(), cleaned(value)))
        .collect()
}

/// A patch value as it is stored where there was none: without directives, and without nulls in objects.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .filter(|i| !matches!(i.get(PATCH).and_then(Value::as_str), Some("delete" | "replace")))
                .map(cleaned)
                .collect(),
        ),
        other => other.clone(),
    }
}
