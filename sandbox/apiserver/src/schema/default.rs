//! Structural defaulting.

use super::node::{Arena, NodeId};
use serde_json::Value;

/// Fills in defaults, dropping nulls that stand in their way.
pub(super) fn default(arena: &Arena, object: &mut Value) {
    default_value(arena, arena.root, object);
}

pub(super) fn default_value(arena: &Arena, id: NodeId, value: &mut Value) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            for (name, child) in &node.properties {
                let child = arena.node(*child);
                let Some(default) = &child.default else {
                    continue;
                };
                let absent = match fields.get(name) {
                    None => true,
                    Some(Value::Null) => !child.nullable,
                    Some(_) => false,
                };
                if absent {
                    fields.insert(name.clone(), default.clone());
                }
            }
            // A null that is no value of its field counts as absent.
            fields.retain(|name, field| {
                let child = field.is_null().then(|| node.child(name)).flatten().map(|c| arena.node(c));
                child.is_none_or(|c| c.nullable || c.default.is_some() || (c.kind.is_none() && !c.int_or_string))
            });
            for (name, field) in fields.iter_mut() {
                let Some(child) = node.child(name) else {
                    continue;
                };
                if field.is_null()
                    && !arena.node(child).nullable
                    && let Some(default) = &arena.node(child).default
                {
                    *field = default.clone();
                }
                default_value(arena, child, field);
            }
        }
        Value::Array(items) => {
            let Some(item) = node.items else { return };
            for element in items.iter_mut() {
                if element.is_null()
                    && !arena.node(item).nullable
                    && let Some(default) = &arena.node(item).default
                {
                    *element = default.clone();
                }
                default_value(arena, item, element);
            }
        }
        _ => {}
    }
}
