//! `metadata.managedFields`: its entries, their identity, order and limit, and the words of a conflict.

use super::fieldset::FieldSet;
use super::request::Conflict;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedEntry {
    /// Name of the manager.
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// Version that the fields are of.
    pub api_version: String,
    /// Time of its last change, RFC 3339, whole seconds, UTC.
    pub time: Option<String>,
    /// Subresource it wrote through, empty for the object itself.
    pub subresource: String,
    /// The fields it owns.
    pub fields: FieldSet,
}

impl ManagedEntry {
    fn decode(raw: &Value) -> Option<Self> {
        let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
        let operation = match raw.get("operation").and_then(Value::as_str)? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if raw.get("fieldsType").and_then(Value::as_str) != Some("FieldsV1") {
            return None;
        }
        let fields = match raw.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => FieldSet::decode(fields)?,
        };
        Some(Self {
            manager: text("manager").unwrap_or_default(),
            operation,
            api_version: text("apiVersion").filter(|v| !v.is_empty())?,
            time: text("time"),
            subresource: text("subresource").unwrap_or_default(),
            fields,
        })
    }

    fn encode(&self) -> Value {
        let mut out = json!({
            "manager": self.manager,
            "operation": self.operation.name(),
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.encode(),
        });
        if let Some(time) = &self.time {
            out["time"] = json!(time);
        }
        if !self.subresource.is_empty() {
            out["subresource"] = json!(self.subresource);
        }
        out
    }

    /// Whether the entry is that of a writer. Appliers are the same across versions.
    pub(super) fn is(&self, manager: &str, operation: Operation, api_version: &str, subresource: &str) -> bool {
        self.manager == manager
            && self.operation == operation
            && self.subresource == subresource
            && (operation == Operation::Apply || self.api_version == api_version)
    }

    /// The owner as conflicts name it.
    pub(super) fn words(&self) -> String {
        let mut out = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource \"{}\"", self.subresource));
        }
        if self.operation == Operation::Update {
            out.push_str(&format!(" using {}", self.api_version));
        }
        out
    }
}

/// The entries of a `managedFields` value. `None` when one of them is malformed.
pub(super) fn decode(raw: Option<&Value>) -> Option<Vec<ManagedEntry>> {
    match raw {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(list) => list.as_array()?.iter().map(ManagedEntry::decode).collect(),
    }
}

/// The applier's entry among raw ones, decoded alone.
pub(super) fn find_applier(raw: &Value, manager: &str, subresource: &str) -> Option<ManagedEntry> {
    let is =
        |entry: &Value, name: &str, wanted: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default() == wanted;
    raw.as_array()?
        .iter()
        .find(|e| is(e, "manager", manager) && is(e, "operation", "Apply") && is(e, "subresource", subresource))
        .and_then(ManagedEntry::decode)
}

/// The value of the entries, in the server's order: appliers first, then by time, name, version, subresource.
pub(super) fn encode(mut entries: Vec<ManagedEntry>) -> Value {
    entries.sort_by(|a, b| {
        (a.operation, &a.time, &a.manager, &a.api_version, &a.subresource).cmp(&(
            b.operation,
            &b.time,
            &b.manager,
            &b.api_version,
            &b.subresource,
        ))
    });
    Value::Array(entries.iter().map(ManagedEntry::encode).collect())
}

/// Whether the value asks for the entries to be forgotten: `[]` or `[{}]`.
pub(super) fn is_reset(raw: &Value) -> bool {
    match raw.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

/// How many Update entries an object carries before the oldest are put together.
const MAX_UPDATE_ENTRIES: usize = 10;
const BUCKET: &str = "ancient-changes";

/// Puts the oldest Update entries together in one bucket per version, when there are too many.
pub(super) fn cap(entries: &mut Vec<ManagedEntry>) {
    let updates = |entries: &[ManagedEntry]| entries.iter().filter(|e| e.operation == Operation::Update).count();
    if updates(entries) <= MAX_UPDATE_ENTRIES {
        return;
    }
    entries.sort_by(|a, b| (a.operation, &a.time).cmp(&(b.operation, &b.time)));
    let mut buckets: BTreeMap<String, ManagedEntry> = BTreeMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    let mut left = updates(entries);
    for entry in std::mem::take(entries) {
        let mergeable = entry.operation == Operation::Update && entry.subresource.is_empty();
        if mergeable && (entry.manager == BUCKET || left + buckets.len() > MAX_UPDATE_ENTRIES) {
            left -= 1;
            match buckets.get_mut(&entry.api_version) {
                Some(bucket) => {
                    bucket.fields = bucket.fields.union(&entry.fields);
                    bucket.time = entry.time;
                }
                None => {
                    let version = entry.api_version.clone();
                    let bucket = ManagedEntry { manager: BUCKET.to_owned(), ..entry };
                    buckets.insert(version, bucket);
                }
            }
        } else {
            kept.push(entry);
        }
    }
    kept.extend(buckets.into_values());
    *entries = kept;
}

/// A time as `managedFields` carries it: whole seconds, UTC.
pub(super) fn time_text(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The message of a 409 for conflicts.
pub(super) fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.field);
    }
    let mut by_manager: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for conflict in conflicts {
        by_manager.entry(&conflict.manager).or_default().push(&conflict.field);
    }
    let mut lines = Vec::new();
    for (manager, fields) in by_manager {
        lines.push(format!("conflicts with {manager}:"));
        lines.extend(fields.iter().map(|field| format!("- {field}")));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
