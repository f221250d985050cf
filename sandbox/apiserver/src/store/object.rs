//! What is stored: objects at a revision, and the events that changed them.

use bytes::Bytes;
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A resource without its version: where objects are stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural name.
    pub resource: String,
}

impl GroupResource {
    /// From group and plural name.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    /// `pods`, `deployments.apps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// Where an object is among those of its resource. Ordered as etcd orders its keys: by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// From namespace (empty for cluster-scoped objects) and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// An object at a revision, in its storage version. Never changed once stored.
#[derive(Debug)]
pub struct Stored {
    /// Where it is.
    pub key: Key,
    /// The revision that wrote it.
    pub revision: u64,
    /// The object, with `metadata.resourceVersion` set to the revision.
    pub value: Value,
    json: OnceLock<Bytes>,
}

impl Stored {
    pub(super) fn new(key: Key, revision: u64, mut value: Value) -> Self {
        value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        Self { key, revision, value, json: OnceLock::new() }
    }

    /// An object that is not stored: the answer to a dry run.
    pub(crate) fn unsaved(key: Key, revision: u64, value: Value) -> Self {
        Self { key, revision, value, json: OnceLock::new() }
    }

    /// The object as JSON, serialised once and shared by all who send it.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| Bytes::from(self.value.to_string()))
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created, or now matches a selector that it did not match before.
    Added,
    /// Changed.
    Modified,
    /// Deleted, or no longer matches a selector.
    Deleted,
}

impl EventKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// A change of one object.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The object after the change; for a deletion its last state, at the revision of the deletion.
    pub object: Arc<Stored>,
    /// The object before the change.
    pub previous: Option<Arc<Stored>>,
    frame: OnceLock<Bytes>,
}

impl Event {
    pub(super) fn new(kind: EventKind, object: Arc<Stored>, previous: Option<Arc<Stored>>) -> Self {
        Self { kind, object, previous, frame: OnceLock::new() }
    }

    /// The revision of the change.
    pub fn revision(&self) -> u64 {
        self.object.revision
    }

    /// The line of a watch stream, in the storage version: serialised once for all watches.
    pub fn frame(&self) -> &Bytes {
        self.frame.get_or_init(|| frame(self.kind.as_str(), self.object.json()))
    }
}

/// A line of a watch stream around an object that is serialised already.
pub(crate) fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + kind.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
