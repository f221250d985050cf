//! Pruning: fields that the schema does not know go.

use super::node::{Additional, Arena, Node, NodeId};
use serde_json::{Map, Value};

/// Removes what the schema does not know; returns the paths, sorted.
pub(super) fn prune(arena: &Arena, object: &mut Value) -> Vec<String> {
    // Metadata is Go-typed in custom resources too, and decoding it makes nulls absent.
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, field| !field.is_null());
    }
    prune_from(arena, arena.root, object)
}

/// The same, from a node other than the root.
pub(super) fn prune_from(arena: &Arena, root: NodeId, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_value(arena, root, object, &mut String::new(), &mut unknown);
    // The object's own metadata is decoded before the rest, that of resources in it after the rest.
    unknown.sort_by_key(|path| {
        let place = if path.starts_with("metadata.") { 0 } else { 1 + u8::from(path.contains(".metadata.")) };
        (place, path.clone())
    });
    unknown
}

fn prune_value(arena: &Arena, id: NodeId, value: &mut Value, path: &mut String, unknown: &mut Vec<String>) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => prune_object(arena, node, fields, path, unknown),
        Value::Array(items) => {
            if let Some(item) = node.items {
                for (i, element) in items.iter_mut().enumerate() {
                    let length = path.len();
                    path.push_str(&format!("[{i}]"));
                    prune_value(arena, item, element, path, unknown);
                    path.truncate(length);
                }
            }
        }
        _ => {}
    }
}

fn prune_object(
    arena: &Arena,
    node: &Node,
    fields: &mut Map<String, Value>,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    // A schema without a type that keeps unknown fields, and one with neither properties nor additionalProperties that
    // keeps them, has nothing to say about what is below.
    let keeps = node.keeps_unknown() || (node.kind.is_none() && node.properties.is_empty());
    if !keeps && node.additional == Additional::None {
        let lost: Vec<String> = fields.keys().filter(|name| !node.properties.contains_key(*name)).cloned().collect();
        for name in lost {
            fields.remove(&name);
            unknown.push(joined(path, &name));
        }
    }
    for (name, field) in fields.iter_mut() {
        if let Some(child) = node.child(name) {
            let length = path.len();
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            prune_value(arena, child, field, path, unknown);
            path.truncate(length);
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
