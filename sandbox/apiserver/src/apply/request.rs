//! The entry points: an apply patch, and the tracking of other writes.

use super::fieldset::{FieldSet, PathElement, display_path};
use super::managed::{self, ManagedEntry, Operation};
use super::merge::{holds_already, merge, prune};
use super::typed::{Comparison, compare, field_set};
use crate::schema::TypeInfo;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Who writes, and through which door.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager's name. For apply it is required; for other writes the caller derives it from the
    /// `fieldManager` parameter, else from the User-Agent up to the first `/`.
    pub manager: &'a str,
    /// `apiVersion` of the request, `v1` or `apps/v1`.
    pub api_version: &'a str,
    /// Subresource written, empty for the object itself.
    pub subresource: &'a str,
    /// Whether the kind has a status subresource, so that writes to the object do not own `status`.
    pub status_subresource: bool,
    /// Time of the write.
    pub now: Timestamp,
}

impl Writer<'_> {
    /// Fields that this door does not write, and so nobody owns through it.
    fn reset_fields(&self) -> FieldSet {
        let mut out = FieldSet::default();
        if self.subresource == "status" {
            out.insert(&[field("spec")]);
        } else if self.subresource.is_empty() && self.status_subresource {
            out.insert(&[field("status")]);
        }
        out
    }
}

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it, as the server words it: `"kubectl" using apps/v1` (with `with subresource "status"` where it
    /// applies).
    pub manager: String,
    /// Path of the field, `.spec.replicas`.
    pub field: String,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 409, reason `Conflict`.
    #[error("{}", managed::conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// 400, reason `BadRequest`: the configuration carries `managedFields`, or is not an object.
    #[error("{0}")]
    BadRequest(String),
    /// 500 without a reason, as the server answers it: the configuration does not fit the schema.
    #[error("{0}")]
    Schema(String),
}

impl ApplyError {
    /// The HTTP status code: 409, 400 or 500.
    pub fn code(&self) -> u16 {
        match self {
            Self::Conflicts(_) => 409,
            Self::BadRequest(_) => 400,
            Self::Schema(_) => 500,
        }
    }

    /// The whole `v1/Status`, with a cause of type `FieldManagerConflict` for each conflict.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.to_string(),
            "code": self.code(),
        });
        match self {
            Self::Conflicts(conflicts) => {
                let causes: Vec<Value> = conflicts
                    .iter()
                    .map(|c| {
                        json!({
                            "reason": "FieldManagerConflict",
                            "message": format!("conflict with {}", c.manager),
                            "field": c.field,
                        })
                    })
                    .collect();
                status["reason"] = json!("Conflict");
                status["details"] = json!({"causes": causes});
            }
            Self::BadRequest(_) => status["reason"] = json!("BadRequest"),
            Self::Schema(_) => {}
        }
        status
    }
}

/// Applies a configuration (`application/apply-patch+yaml`) to the live object, or makes the object when there is none.
///
/// The configuration must carry `apiVersion`, `kind` and `metadata.name`. The result carries the merged object with
/// new `managedFields`; it is equal to the live object, value for value, when the apply changes
/// nothing, so that the caller can skip the write (compare with `==`; the timestamps of unchanged entries are kept).
/// System metadata (uid, resourceVersion, generation, creationTimestamp) of the live object is untouched.
///
/// # Errors
/// Conflicts when `force` is not set; a configuration that does not fit the schema.
pub fn apply(
    types: TypeInfo<'_>,
    live: Option<&Value>,
    config: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    let wanted = configuration(config)?;
    let reset = writer.reset_fields();
    let whole = field_set(types, &wanted)
        .map_err(|errors| ApplyError::Schema(schema_message(&wanted, &errors)))?
        .recursive_difference(&reset);
    let set = whole.difference(&system_fields());

    let stored = live.and_then(|l| l.pointer("/metadata/managedFields"));
    // What reconcilers do most of the time: apply once more what is there already.
    if let (Some(live), Some(stored)) = (live, stored)
        && managed::find_applier(stored, writer.manager, writer.subresource)
            .is_some_and(|own| own.fields == set && own.api_version == writer.api_version)
        && holds_already(types, live, &wanted)
    {
        return Ok(live.clone());
    }

    let before = live.map(without_managed_fields);
    let original = managed::decode(stored).unwrap_or_default();
    let mut entries = original.clone();
    if let Some(before) = &before
        && entries.is_empty()
    {
        entries.extend(before_first_apply(types, before, writer, &reset));
    }

    let mut merged = merge(types, before.as_ref(), &wanted);
    let own =
        entries.iter().position(|e| e.is(writer.manager, Operation::Apply, writer.api_version, writer.subresource));
    let last = own.map(|i| entries.remove(i));
    if let Some(last) = &last
        && !last.fields.difference(&set).is_empty()
    {
        // Nobody is shown as the owner of name and the like. They are the configuration's all the same, so that `metadata` does
        // not go with the last field in it that is given up.
        let owned = entries.iter().fold(whole, |all, e| all.union(&e.fields));
        merged = prune(types, merged, &last.fields, &owned);
    }
    keep_system_metadata(before.as_ref(), &mut merged);

    let unchanged = before.as_ref() == Some(&merged);
    if !unchanged {
        let comparison = compare(types, before.as_ref(), Some(&merged)).excluding(&reset);
        let conflicts = yield_fields(&mut entries, &comparison);
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    if !set.is_empty() {
        // Who changes nothing of the object keeps the time of the last apply, if there was one.
        let now = managed::time_text(writer.now);
        let time = if unchanged { last.as_ref().and_then(|last| last.time.clone()) } else { Some(now) };
        let kept = last.filter(|l| unchanged && l.fields == set && l.api_version == writer.api_version);
        entries.push(kept.unwrap_or_else(|| ManagedEntry {
            manager: writer.manager.to_owned(),
            operation: Operation::Apply,
            api_version: writer.api_version.to_owned(),
            time,
            subresource: writer.subresource.to_owned(),
            fields: set,
        }));
    }
    put_managed_fields(&mut merged, entries, stored, &original);
    Ok(merged)
}

/// Brings `new.metadata.managedFields` up to date for a create (`old` absent), update or patch: fields that the write
/// changed are owned by the writer, and by no other manager any more. What `new` carries in `managedFields` counts as
/// the client's wish: absent keeps the stored entries, `[]` or `[{}]` clears them, a malformed list is ignored.
///
/// When nothing but `managedFields` would change and ownership is the same, the stored entries are kept as they
/// are, so that a write without effect leaves an object equal to `old`.
pub fn track_update(types: TypeInfo<'_>, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
    // A create is compared with an empty object, so that every field is the creator's.
    track(types, old, &json!({}), new, writer);
}

/// The same for a create of a kind whose empty object has fields: these are nobody's.
pub(crate) fn track_create(types: TypeInfo<'_>, blank: &Value, new: &mut Value, writer: Writer<'_>) {
    track(types, None, blank, new, writer);
}

fn track(types: TypeInfo<'_>, old: Option<&Value>, blank: &Value, new: &mut Value, writer: Writer<'_>) {
    let stored = old.and_then(|o| o.pointer("/metadata/managedFields"));
    let given = new.pointer_mut("/metadata").and_then(Value::as_object_mut).and_then(|m| m.remove("managedFields"));
    // Through a subresource a client has no say about managedFields.
    let given = given.filter(|g| !g.is_null() && (writer.subresource.is_empty() || old.is_none()));
    if let Some(given) = &given
        && managed::is_reset(given)
        && old.is_some()
    {
        return;
    }
    let original = managed::decode(stored).unwrap_or_default();
    let mut entries = given
        .as_ref()
        .and_then(|g| managed::decode(Some(g)))
        .filter(|e| !e.is_empty())
        .unwrap_or_else(|| original.clone());
    if old.is_some() && entries.is_empty() {
        // Somebody cleared the entries: nothing is tracked until the next apply, which then finds out.
        return;
    }

    let before = old.map(without_managed_fields);
    if before.as_ref() != Some(&*new) {
        let reset = writer.reset_fields();
        let comparison = compare(types, Some(before.as_ref().unwrap_or(blank)), Some(new)).excluding(&reset);
        yield_fields(&mut entries, &comparison);
        let gained = comparison.modified.union(&comparison.added).difference(&system_fields());
        if !gained.is_empty() {
            own(&mut entries, writer, gained);
        }
        managed::cap(&mut entries);
    }
    put_managed_fields(new, entries, stored, &original);
}

fn own(entries: &mut Vec<ManagedEntry>, writer: Writer<'_>, gained: FieldSet) {
    // What is written through a Scale is brought over into the object's entries without its time.
    let time = (writer.subresource != "scale").then(|| managed::time_text(writer.now));
    let mine =
        entries.iter_mut().find(|e| e.is(writer.manager, Operation::Update, writer.api_version, writer.subresource));
    match mine {
        Some(entry) => {
            entry.fields = entry.fields.union(&gained);
            entry.time = time;
        }
        None => entries.push(ManagedEntry {
            manager: writer.manager.to_owned(),
            operation: Operation::Update,
            api_version: writer.api_version.to_owned(),
            time,
            subresource: writer.subresource.to_owned(),
            fields: gained,
        }),
    }
}

/// Takes changed and removed fields from their owners, and says which of them were in conflict.
fn yield_fields(entries: &mut Vec<ManagedEntry>, comparison: &Comparison) -> Vec<Conflict> {
    let changed = comparison.modified.union(&comparison.added);
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut() {
        let lost = entry.fields.intersection(&changed);
        for path in lost.paths() {
            conflicts.push(Conflict { manager: entry.words(), field: display_path(&path) });
        }
        if !lost.is_empty() {
            entry.fields = entry.fields.difference(&lost);
        }
        if !comparison.removed.is_empty() {
            entry.fields = entry.fields.difference(&comparison.removed);
        }
    }
    entries.retain(|e| !e.fields.is_empty());
    conflicts
}

/// The owner of everything in an object whose managers are not known.
fn before_first_apply(
    types: TypeInfo<'_>,
    before: &Value,
    writer: Writer<'_>,
    reset: &FieldSet,
) -> Option<ManagedEntry> {
    let all = compare(types, Some(&json!({})), Some(before)).excluding(reset);
    let fields = all.added.union(&all.modified).difference(&system_fields());
    (!fields.is_empty()).then(|| ManagedEntry {
        manager: "before-first-apply".to_owned(),
        operation: Operation::Update,
        api_version: writer.api_version.to_owned(),
        time: Some(managed::time_text(writer.now)),
        subresource: String::new(),
        fields,
    })
}

fn configuration(config: &Value) -> Result<Value, ApplyError> {
    let Some(fields) = config.as_object() else {
        return Err(ApplyError::BadRequest("the apply patch is not an object".to_owned()));
    };
    let managed = config.pointer("/metadata/managedFields");
    if managed.is_some_and(|m| !m.is_null() && m.as_array().is_none_or(|list| !list.is_empty())) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let mut wanted = fields.clone();
    if let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(Value::Object(wanted))
}

fn schema_message(config: &Value, errors: &[String]) -> String {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    let what = match errors {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    format!(
        "failed to create typed patch object ({}/{}; {slash}{version}, Kind={}): {what}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        text("/kind"),
    )
}

fn field(name: &str) -> PathElement {
    PathElement::Field(name.to_owned())
}

/// What the system sets, or what names the object: nobody owns it.
fn system_fields() -> FieldSet {
    let mut out = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        out.insert(&[field(name)]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        out.insert(&[field("metadata"), field(name)]);
    }
    out
}

fn without_managed_fields(object: &Value) -> Value {
    let Some(fields) = object.as_object() else {
        return object.clone();
    };
    // managedFields is often the larger half of an object: it is left out of the copy, not removed from it.
    let mut out = Map::new();
    for (name, value) in fields {
        let copy = match value.as_object() {
            Some(metadata) if name == "metadata" => {
                let kept = metadata.iter().filter(|(n, _)| n.as_str() != "managedFields");
                Value::Object(kept.map(|(n, v)| (n.clone(), v.clone())).collect())
            }
            _ => value.clone(),
        };
        out.insert(name.clone(), copy);
    }
    Value::Object(out)
}

fn keep_system_metadata(before: Option<&Value>, merged: &mut Value) {
    let Some(metadata) = merged.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    for name in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ] {
        match before.and_then(|b| b.get("metadata")).and_then(|m| m.get(name)) {
            Some(value) => metadata.insert(name.to_owned(), value.clone()),
            None => metadata.remove(name),
        };
    }
}

/// Writes the entries. The stored value stays when it says the same, whatever its order or spelling.
fn put_managed_fields(
    object: &mut Value,
    entries: Vec<ManagedEntry>,
    stored: Option<&Value>,
    original: &[ManagedEntry],
) {
    let Some(metadata) =
        object.as_object_mut().and_then(|o| o.entry("metadata").or_insert_with(|| json!({})).as_object_mut())
    else {
        return;
    };
    if entries.is_empty() {
        metadata.remove("managedFields");
        return;
    }
    let same = entries.len() == original.len() && entries.iter().all(|e| original.contains(e));
    let value = match stored {
        Some(stored) if same => stored.clone(),
        _ => managed::encode(entries),
    };
    metadata.insert("managedFields".to_owned(), value);
}
