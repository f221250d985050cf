//! Validation of an object against a structural schema.
//!
//! In the server's order: value checks, then uniqueness in sets and maps, then CEL. CEL is skipped when an error of the
//! first kind would make rules fail for the wrong reason. An unchanged value is not checked again on update.

use super::cel::to_cel;
use super::cel_check::too_costly;
use super::error::{ErrorType, FieldError};
use super::node::{Additional, Arena, Kind, NodeId, Topology};
use super::validate_value::check_value;
use serde_json::{Map, Value};

const SKIPPED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// Validates `new`; `old` is the stored object on update.
pub(super) fn validate(arena: &Arena, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if old == Some(new) {
        // Nothing changed, but a transition rule can still refuse: leave only those.
        let mut errors = Vec::new();
        rules(arena, arena.root, new, old, "", &mut errors);
        return errors;
    }
    let mut errors = Vec::new();
    check_value(arena, arena.root, new, old, "", &mut errors);

    let mut duplicates = Vec::new();
    unique(arena, arena.root, new, "", &mut duplicates);
    if !duplicates.is_empty() {
        // Stored duplicates are tolerated as a whole, as the server does it.
        let tolerated = old.is_some_and(|old| {
            let mut before = Vec::new();
            unique(arena, arena.root, old, "", &mut before);
            !before.is_empty()
        });
        if !tolerated {
            errors.append(&mut duplicates);
        }
    }

    let blocking = errors.iter().any(|e| {
        matches!(
            e.kind,
            ErrorType::Required
                | ErrorType::TooLong
                | ErrorType::TooMany
                | ErrorType::TypeInvalid
                | ErrorType::NotSupported
        )
    });
    if blocking {
        if arena.has_rules() {
            errors.push(FieldError::invalid("<nil>", &Value::Null, SKIPPED));
        }
    } else {
        rules(arena, arena.root, new, old, "", &mut errors);
    }
    errors
}

pub(super) fn child_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The old element of a map list that has the same keys as `element`. Other lists have no correlation.
pub(super) fn correlated<'a>(topology: &Topology, element: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let Topology::Map(keys) = topology else {
        return None;
    };
    old?.as_array()?.iter().find(|candidate| keys.iter().all(|key| candidate.get(key) == element.get(key)))
}

fn unique(arena: &Arena, id: NodeId, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(child) = node.child(name)
                    && (field.is_array() || field.is_object())
                {
                    let at = match node.additional {
                        Additional::Schema(_) if !node.properties.contains_key(name) => {
                            format!("{path}[{name}]")
                        }
                        _ => child_path(path, name),
                    };
                    unique(arena, child, field, &at, errors);
                }
            }
        }
        Value::Array(items) => {
            let identity = |element: &Value| -> Option<Value> {
                match &node.topology {
                    Topology::Atomic => None,
                    Topology::Set => Some(element.clone()),
                    Topology::Map(keys) => {
                        let mut key = Map::new();
                        for name in keys {
                            if let Some(v) = element.get(name) {
                                key.insert(name.clone(), v.clone());
                            }
                        }
                        Some(Value::Object(key))
                    }
                }
            };
            let mut seen: Vec<Value> = Vec::new();
            for (i, element) in items.iter().enumerate() {
                if matches!(node.topology, Topology::Map(_)) && !element.is_object() {
                    let detail = "must be an object for an array of list-type map";
                    errors.push(FieldError::invalid(format!("{path}[{i}]"), element, detail));
                } else if let Some(identity) = identity(element) {
                    if seen.contains(&identity) {
                        errors.push(FieldError::duplicate(format!("{path}[{i}]"), &identity));
                    } else {
                        seen.push(identity);
                    }
                }
                if let Some(item) = node.items {
                    unique(arena, item, element, &format!("{path}[{i}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn rules(arena: &Arena, id: NodeId, new: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    let node = arena.node(id);
    let null_is_fine = new.is_null() && node.nullable;
    if !node.rules.is_empty() && !null_is_fine {
        let unchanged = old == Some(new);
        let kind = node.kind.map_or("", Kind::name);
        let mut values = None;
        for rule in &node.rules {
            if unchanged && !rule.transition {
                continue;
            }
            if rule.nested && too_costly(arena, id, rule, new, old) {
                errors.push(rule.too_costly(path));
                return;
            }
            // What an error shows of the value: all of a scalar, of others nothing.
            let shown = (!new.is_object() && !new.is_array()).then_some(new);
            let (new, old) = values.get_or_insert_with(|| (to_cel(arena, id, new), old.map(|o| to_cel(arena, id, o))));
            if let Some(error) = rule.evaluate(path, (kind, shown), new, old.as_ref()) {
                errors.push(error);
            }
        }
    }
    match new {
        Value::Object(fields) => {
            for (name, field) in fields {
                let Some(child) = node.child(name) else {
                    continue;
                };
                let at =
                    if node.properties.contains_key(name) { child_path(path, name) } else { format!("{path}[{name}]") };
                rules(arena, child, field, old.and_then(|o| o.get(name)), &at, errors);
            }
        }
        Value::Array(items) => {
            let Some(item) = node.items else { return };
            for (i, element) in items.iter().enumerate() {
                let before = correlated(&node.topology, element, old);
                rules(arena, item, element, before, &format!("{path}[{i}]"), errors);
            }
        }
        _ => {}
    }
}
