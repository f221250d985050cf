//! Walks over typed values: the set of fields of a value, and the comparison of two values.

use super::fieldset::{FieldSet, PathElement};
use crate::schema::{ListKind, MapKind, TypeInfo};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What differs between two values.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// The same, without what is at or below the paths of `ignored`.
    pub(super) fn excluding(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

/// The path element of a list item. `None` for lists that merge as a whole, and for an item that lacks its keys.
pub(super) fn item_element(types: TypeInfo<'_>, item: &Value) -> Option<PathElement> {
    match types.list_kind() {
        ListKind::Atomic => None,
        ListKind::Set => Some(PathElement::Value(item.to_string())),
        ListKind::Map(keys) => {
            let fields = item.as_object()?;
            let item_type = types.item();
            let mut key: BTreeMap<&str, &Value> = BTreeMap::new();
            for name in keys {
                let value = fields.get(name).filter(|v| !v.is_null()).or_else(|| item_type.field_default(name))?;
                key.insert(name, value);
            }
            serde_json::to_string(&key).ok().map(PathElement::Key)
        }
    }
}

/// The way from the root to a value, on the stack: it is written out only when there is an error to report.
struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    element: Option<&'a PathElement>,
}

impl Trail<'_> {
    const ROOT: Trail<'static> = Trail { parent: None, element: None };

    fn display(&self) -> String {
        let mut out = self.parent.map(Trail::display).unwrap_or_default();
        if let Some(element) = self.element {
            out.push_str(&element.to_string());
        }
        out
    }
}

/// The fields that a configuration sets.
///
/// # Errors
/// Each place where it does not fit the schema, as `.path: what`.
pub(super) fn field_set(types: TypeInfo<'_>, value: &Value) -> Result<FieldSet, Vec<String>> {
    let mut set = FieldSet::default();
    let mut errors = Vec::new();
    collect(types, value, &mut set, &Trail::ROOT, &mut errors);
    if errors.is_empty() { Ok(set) } else { Err(errors) }
}

/// The fields of a value that is known to fit, or near enough.
pub(super) fn field_set_lenient(types: TypeInfo<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(types, value, &mut set, &Trail::ROOT, &mut Vec::new());
    set
}

/// Collects into `set`, which is relative to `trail`. Returns true when the value itself is the leaf, which its parent
/// has to own.
fn collect(
    types: TypeInfo<'_>,
    value: &Value,
    set: &mut FieldSet,
    trail: &Trail<'_>,
    errors: &mut Vec<String>,
) -> bool {
    match value {
        Value::Object(fields) => {
            if types.map_kind() == MapKind::Atomic {
                return true;
            }
            for (name, field) in fields {
                let Some(child) = types.field(name) else {
                    errors.push(format!("{}.{name}: field not declared in schema", trail.display()));
                    continue;
                };
                let element = PathElement::Field(name.clone());
                let mut below = FieldSet::default();
                let here = Trail { parent: Some(trail), element: Some(&element) };
                let leaf = collect(child, field, &mut below, &here, errors);
                let empty = field.is_null() || field.as_object().is_some_and(Map::is_empty);
                let member = leaf || empty || !types.is_named_field(name);
                add(set, element, member, below);
            }
            false
        }
        Value::Array(items) => {
            let kind = types.list_kind();
            if kind == ListKind::Atomic {
                return true;
            }
            for (i, item) in items.iter().enumerate() {
                let Some(element) = item_element(types, item) else {
                    let missing = missing_keys(types, kind, item);
                    errors.push(format!(
                        "{}: element {i}: associative list with keys has an element that omits {missing}",
                        trail.display()
                    ));
                    continue;
                };
                if set.members.contains(&element) {
                    errors.push(format!("{}: duplicate entries for key {element}", trail.display()));
                    continue;
                }
                let mut below = FieldSet::default();
                let here = Trail { parent: Some(trail), element: Some(&element) };
                collect(types.item(), item, &mut below, &here, errors);
                add(set, element, true, below);
            }
            false
        }
        _ => true,
    }
}

fn add(set: &mut FieldSet, element: PathElement, member: bool, below: FieldSet) {
    match (member, below.is_empty()) {
        (true, true) => {
            set.members.insert(element);
        }
        (true, false) => {
            set.members.insert(element.clone());
            set.children.insert(element, below);
        }
        (false, false) => {
            set.children.insert(element, below);
        }
        (false, true) => {}
    }
}

fn missing_keys(types: TypeInfo<'_>, kind: ListKind<'_>, item: &Value) -> String {
    let ListKind::Map(keys) = kind else { return String::new() };
    let is_missing =
        |key: &&String| item.get(key.as_str()).is_none() && types.item().field_default(key.as_str()).is_none();
    let missing: Vec<&String> = keys.iter().filter(is_missing).collect();
    if missing.len() == keys.len() {
        let quoted: Vec<String> = missing.iter().map(|key| format!("\"{key}\"")).collect();
        return format!("all key fields [{}] (and doesn't have default values for any key fields)", quoted.join(" "));
    }
    format!("key field \"{}\" (and doesn't have default value)", missing.first().map_or("", |key| key.as_str()))
}

/// Compares two values; an absent value is `None`.
pub(super) fn compare(types: TypeInfo<'_>, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut out = Comparison::default();
    walk(types, old, new, &mut Vec::new(), &mut out);
    out
}

fn children_of(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    }
}

fn walk(
    types: TypeInfo<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    if let (Some(a), Some(b)) = (old, new) {
        if a == b {
            return;
        }
        // A change of shape is a removal and an addition.
        let mixed = (a.is_object() && !b.is_object() && !b.is_null())
            || (a.is_array() && !b.is_array() && !b.is_null())
            || (!a.is_null() && b.is_object() && !a.is_object())
            || (!a.is_null() && b.is_array() && !a.is_array());
        if mixed {
            walk(types, old, None, path, out);
            walk(types, None, new, path, out);
            return;
        }
    }
    let sample = new.filter(|v| !v.is_null()).or(old);
    let descend = match sample {
        Some(Value::Object(_)) => types.map_kind() == MapKind::Granular,
        Some(Value::Array(_)) => types.list_kind() != ListKind::Atomic,
        _ => false,
    } && (children_of(old) || children_of(new));
    match (old, new) {
        (None, _) => out.added.insert(path),
        (_, None) => out.removed.insert(path),
        _ if !descend => out.modified.insert(path),
        _ => {}
    }
    if !descend {
        return;
    }
    match sample {
        Some(Value::Object(_)) => walk_object(types, old, new, path, out),
        _ => walk_list(types, old, new, path, out),
    }
}

fn walk_object(
    types: TypeInfo<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let empty = Map::new();
    let before = old.and_then(Value::as_object).unwrap_or(&empty);
    let after = new.and_then(Value::as_object).unwrap_or(&empty);
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names {
        let (a, b) = (before.get(name), after.get(name));
        if a == b {
            continue;
        }
        let child = types.field(name).unwrap_or_else(|| types.untyped());
        path.push(PathElement::Field(name.clone()));
        walk(child, a, b, path, out);
        path.pop();
    }
}

fn walk_list(
    types: TypeInfo<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let before = index(types, old);
    let after = index(types, new);
    for (element, a) in &before {
        path.push(element.clone());
        walk(types.item(), Some(a), after.get(element).copied(), path, out);
        path.pop();
    }
    for (element, b) in &after {
        if !before.contains_key(element) {
            path.push(element.clone());
            walk(types.item(), None, Some(b), path, out);
            path.pop();
        }
    }
}

/// List items by path element; of duplicates the first.
pub(super) fn index<'v>(types: TypeInfo<'_>, list: Option<&'v Value>) -> BTreeMap<PathElement, &'v Value> {
    let mut out = BTreeMap::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        if let Some(element) = item_element(types, item) {
            out.entry(element).or_insert(item);
        }
    }
    out
}
