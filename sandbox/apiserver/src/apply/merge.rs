//! Merging a configuration into the live object, and removing what is no longer applied.

use super::fieldset::{FieldSet, PathElement};
use super::typed::{field_set_lenient, index, item_element};
use crate::schema::{ListKind, MapKind, TypeInfo};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Merges `config` into `live`; where both have a leaf, the configuration's stands.
pub(super) fn merge(types: TypeInfo<'_>, live: Option<&Value>, config: &Value) -> Value {
    match (live, config) {
        (Some(Value::Object(live)), Value::Object(config)) if types.map_kind() == MapKind::Granular => {
            let mut out = live.clone();
            for (name, value) in config {
                let child = types.field(name).unwrap_or_else(|| types.untyped());
                let merged = merge(child, live.get(name), value);
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Some(live @ Value::Array(_)), Value::Array(items)) if types.list_kind() != ListKind::Atomic => {
            Value::Array(merge_list(types, live, items))
        }
        // A null is no statement about a granular map or list that is there.
        (Some(live @ Value::Object(fields)), Value::Null)
            if types.map_kind() == MapKind::Granular && !fields.is_empty() =>
        {
            live.clone()
        }
        (Some(live @ Value::Array(items)), Value::Null)
            if types.list_kind() != ListKind::Atomic && !items.is_empty() =>
        {
            live.clone()
        }
        _ => config.clone(),
    }
}

/// Whether merging `config` would leave `live` as it is. Objects are compared in place, because this is asked of every
/// apply of every reconcile.
pub(super) fn holds_already(types: TypeInfo<'_>, live: &Value, config: &Value) -> bool {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if types.map_kind() == MapKind::Granular => {
            config.iter().all(|(name, value)| {
                let child = types.field(name).unwrap_or_else(|| types.untyped());
                live.get(name).is_some_and(|have| holds_already(child, have, value))
            })
        }
        (Value::Array(_), Value::Array(_)) if types.list_kind() != ListKind::Atomic => {
            live == config || merge(types, Some(live), config) == *live
        }
        _ => live == config,
    }
}

/// The order of the configuration stands; items that only the live list has keep their place among the others.
fn merge_list(types: TypeInfo<'_>, live: &Value, config: &[Value]) -> Vec<Value> {
    let elements =
        |items: &[Value]| -> Vec<Option<PathElement>> { items.iter().map(|item| item_element(types, item)).collect() };
    let left_items = live.as_array().map_or(&[][..], Vec::as_slice);
    let (left, right) = (elements(left_items), elements(config));
    let by_element = index(types, Some(live));
    let in_right: BTreeSet<&PathElement> = right.iter().flatten().collect();
    let mut shared = right.iter().flatten().filter(|e| by_element.contains_key(*e)).peekable();

    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() && left[l] == right[r] {
            out.push(merge(types.item(), Some(&left_items[l]), &config[r]));
            if shared.peek().copied() == right[r].as_ref() {
                shared.next();
            }
            l += 1;
            r += 1;
            continue;
        }
        if l < left.len() {
            let is_shared = left[l].as_ref().is_some_and(|e| in_right.contains(e));
            if !is_shared {
                out.push(left_items[l].clone());
                l += 1;
                continue;
            }
            if r >= right.len() || shared.peek().copied() != left[l].as_ref() {
                // It stands elsewhere in the configuration.
                l += 1;
                continue;
            }
        }
        if r < right.len() {
            let partner = right[r].as_ref().and_then(|e| by_element.get(e).copied());
            out.push(match partner {
                Some(partner) => merge(types.item(), Some(partner), &config[r]),
                None => config[r].clone(),
            });
            if shared.peek().copied() == right[r].as_ref() {
                shared.next();
            }
            r += 1;
        }
    }
    out
}

/// Removes from `merged` what the manager applied last time (`last`), does not apply now, and nobody else owns.
/// `owned` is everything that is owned now, the new configuration included.
pub(super) fn prune(types: TypeInfo<'_>, merged: Value, last: &FieldSet, owned: &FieldSet) -> Value {
    let last_named = named_members(types, last);
    let removed = remove(types, &merged, &last_named).unwrap_or(Value::Object(Map::new()));
    let merged_set = named_members(types, &field_set_lenient(types, &merged));
    // Put back what is still owned ...
    let kept = named_members(types, &field_set_lenient(types, &removed));
    let gone = merged_set.difference(&kept.union(&named_members(types, owned)));
    let pruned = remove(types, &merged, &gone).unwrap_or(Value::Object(Map::new()));
    // ... and what went only because its parent went, but was never this manager's.
    let kept = named_members(types, &field_set_lenient(types, &pruned));
    let gone = merged_set.difference(&kept).intersection(&last_named);
    remove(types, &merged, &gone).unwrap_or(Value::Object(Map::new()))
}

/// The set with every named field that has something below it as a member of its own.
fn named_members(types: TypeInfo<'_>, set: &FieldSet) -> FieldSet {
    let mut out = FieldSet { members: set.members.clone(), ..FieldSet::default() };
    for (element, child) in &set.children {
        let below = match element {
            PathElement::Field(name) => {
                if types.is_named_field(name) {
                    out.members.insert(element.clone());
                }
                types.field(name).unwrap_or_else(|| types.untyped())
            }
            _ => types.item(),
        };
        out.children.insert(element.clone(), named_members(below, child));
    }
    out
}

/// The value without the paths of `set`. `None` when nothing is left of it.
fn remove(types: TypeInfo<'_>, value: &Value, set: &FieldSet) -> Option<Value> {
    match value {
        Value::Object(fields) if types.map_kind() == MapKind::Granular => {
            let mut out = Map::new();
            for (name, field) in fields {
                let element = PathElement::Field(name.clone());
                if set.members.contains(&element) {
                    continue;
                }
                let kept = match set.children.get(&element) {
                    None => Some(field.clone()),
                    Some(below) => remove(types.field(name).unwrap_or_else(|| types.untyped()), field, below),
                };
                if let Some(kept) = kept {
                    out.insert(name.clone(), kept);
                }
            }
            (!out.is_empty() || fields.is_empty()).then_some(Value::Object(out))
        }
        Value::Array(items) if types.list_kind() != ListKind::Atomic => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let Some(element) = item_element(types, item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.members.contains(&element) {
                    continue;
                }
                match set.children.get(&element) {
                    None => out.push(item.clone()),
                    Some(below) => out.extend(remove(types.item(), item, below)),
                }
            }
            (!out.is_empty() || items.is_empty()).then_some(Value::Array(out))
        }
        other => Some(other.clone()),
    }
}
