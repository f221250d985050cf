//! [`TypeInfo`]: what merging code has to know of a field's type.

use super::node::{Arena, NodeId, Topology};
use serde_json::Value;

/// How a list merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind<'a> {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By these fields of its elements.
    Map(&'a [String]),
}

/// How an object merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Field by field.
    Granular,
    /// As a whole.
    Atomic,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Node(NodeId),
    /// No schema: objects are granular and lists atomic, as deduced from the value.
    Deduced,
}

/// A cursor into a schema. Walk with [`TypeInfo::field`] and [`TypeInfo::item`].
#[derive(Debug, Clone, Copy)]
pub struct TypeInfo<'a> {
    arena: &'a Arena,
    at: At,
}

impl<'a> TypeInfo<'a> {
    pub(crate) fn root(arena: &'a Arena) -> Self {
        Self::at_node(arena, arena.root)
    }

    pub(crate) fn at_node(arena: &'a Arena, id: NodeId) -> Self {
        Self { arena, at: At::Node(id) }
    }

    fn at(&self, at: At) -> Self {
        Self { arena: self.arena, at }
    }

    /// A cursor for values without a schema: objects are granular, lists atomic.
    pub(crate) fn untyped(&self) -> Self {
        self.at(At::Deduced)
    }

    /// The type of a field. `None` when the schema does not know the field.
    pub fn field(&self, name: &str) -> Option<Self> {
        match self.at {
            At::Deduced => Some(*self),
            At::Node(id) => {
                let node = self.arena.node(id);
                match node.child(name) {
                    Some(child) => Some(self.at(At::Node(child))),
                    None if node.keeps_unknown() => Some(self.at(At::Deduced)),
                    None => None,
                }
            }
        }
    }

    /// Whether the field is one that the schema names, rather than a key of a map.
    pub fn is_named_field(&self, name: &str) -> bool {
        match self.at {
            At::Deduced => false,
            At::Node(id) => self.arena.node(id).properties.contains_key(name),
        }
    }

    /// The type of the elements of a list.
    pub fn item(&self) -> Self {
        match self.at {
            At::Deduced => *self,
            At::Node(id) => match self.arena.node(id).items {
                Some(item) => self.at(At::Node(item)),
                None => self.at(At::Deduced),
            },
        }
    }

    /// How a list here merges.
    pub fn list_kind(&self) -> ListKind<'a> {
        match self.at {
            At::Deduced => ListKind::Atomic,
            At::Node(id) => match &self.arena.node(id).topology {
                Topology::Atomic => ListKind::Atomic,
                Topology::Set => ListKind::Set,
                Topology::Map(keys) => ListKind::Map(keys),
            },
        }
    }

    /// How an object here merges.
    pub fn map_kind(&self) -> MapKind {
        match self.at {
            At::Node(id) if self.arena.node(id).atomic_map => MapKind::Atomic,
            At::Node(_) | At::Deduced => MapKind::Granular,
        }
    }

    /// The structural default of a field here (used for absent keys of list elements).
    pub fn field_default(&self, name: &str) -> Option<&'a Value> {
        match self.at {
            At::Deduced => None,
            At::Node(id) => {
                let child = *self.arena.node(id).properties.get(name)?;
                self.arena.node(child).default.as_ref()
            }
        }
    }

    /// Whether strategic merge patch merges a list here (else it replaces it).
    pub fn patch_merges(&self) -> bool {
        matches!(self.at, At::Node(id) if self.arena.node(id).patch.merge)
    }

    /// The key by which strategic merge patch merges a list of objects here.
    pub fn patch_merge_key(&self) -> Option<&'a str> {
        match self.at {
            At::Deduced => None,
            At::Node(id) => self.arena.node(id).patch.key.as_deref(),
        }
    }

    /// Whether strategic merge patch drops the keys that `$retainKeys` does not name.
    pub fn patch_retains_keys(&self) -> bool {
        matches!(self.at, At::Node(id) if self.arena.node(id).patch.retain_keys)
    }
}
