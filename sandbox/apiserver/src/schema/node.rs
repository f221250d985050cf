//! The compiled schema: nodes in an arena, so that recursive definitions need no special care.

use super::cel::Rule;
use super::format::Format;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// Index of a node in its arena.
pub(crate) type NodeId = usize;

/// All nodes of one schema; the root is `root`.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
}

impl Arena {
    pub(crate) fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Whether there is any rule in CEL.
    pub(crate) fn has_rules(&self) -> bool {
        self.nodes.iter().any(|node| !node.rules.is_empty())
    }
}

/// JSON types of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// `additionalProperties`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Additional {
    /// Not allowed.
    #[default]
    None,
    /// Anything goes.
    Any,
    /// Values follow this node.
    Schema(NodeId),
}

/// How the elements of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Topology {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What strategic merge patch does with a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PatchStrategy {
    /// Lists: merge by `key`, or by value when there is no key. Without it a list is replaced.
    pub(crate) merge: bool,
    pub(crate) key: Option<String>,
    pub(crate) retain_keys: bool,
}

/// Checks of a value that are not about its type.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<(String, Regex)>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) required: Vec<String>,
    pub(crate) format: Option<Format>,
    pub(crate) all_of: Vec<NodeId>,
    pub(crate) any_of: Vec<NodeId>,
    pub(crate) one_of: Vec<NodeId>,
    pub(crate) not: Option<NodeId>,
}

/// One schema node.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Option<Kind>,
    /// Name of the definition, for nodes of built-in types.
    pub(crate) definition: Option<&'static str>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded_resource: bool,
    pub(crate) properties: BTreeMap<String, NodeId>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<NodeId>,
    pub(crate) default: Option<Value>,
    pub(crate) topology: Topology,
    pub(crate) atomic_map: bool,
    pub(crate) patch: PatchStrategy,
    pub(crate) checks: Checks,
    pub(crate) rules: Vec<Rule>,
}

impl Node {
    /// The node of a field: a named property, else the schema of additional properties.
    pub(crate) fn child(&self, name: &str) -> Option<NodeId> {
        self.properties.get(name).copied().or(match self.additional {
            Additional::Schema(id) => Some(id),
            Additional::None | Additional::Any => None,
        })
    }

    /// Whether fields that it does not name are kept as they are.
    pub(crate) fn keeps_unknown(&self) -> bool {
        self.preserve_unknown || self.additional == Additional::Any
    }
}
