//! What Go's typed decoding would refuse in a built-in object, and required fields.

use super::error::FieldError;
use super::format::Format;
use super::node::{Additional, Arena, Kind, Node, NodeId};
use super::validate::child_path;
use serde_json::Value;

/// The first value that does not fit its Go type, worded as the JSON decoder words it.
pub(super) fn first_error(arena: &Arena, root: NodeId, object: &Value) -> Option<String> {
    visit(arena, root, object, "", "")
}

fn visit(arena: &Arena, id: NodeId, value: &Value, owner: &str, path: &str) -> Option<String> {
    let node = arena.node(id);
    if value.is_null() {
        return None;
    }
    if let Some(got) = mismatch(node, value) {
        let field = if path.is_empty() {
            format!("Go value of type {}", go_type(arena, node))
        } else {
            format!("Go struct field {owner}.{path} of type {}", go_type(arena, node))
        };
        return Some(format!("json: cannot unmarshal {got} into {field}"));
    }
    if is_quantity(node)
        && let Some(text) = value.as_str()
        && !quantity_is_valid(text)
    {
        return Some(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned(),
        );
    }
    if node.checks.format == Some(Format::DateTime)
        && let Some(text) = value.as_str()
        && !Format::DateTime.accepts(text)
    {
        return Some(format!(
            "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""
        ));
    }
    let owner = match node.definition {
        Some(name) => name.rsplit('.').next().unwrap_or(name),
        None => owner,
    };
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let child = node.child(name)?;
            visit(arena, child, field, owner, &child_path(path, name))
        }),
        Value::Array(items) => {
            let item = node.items?;
            items.iter().find_map(|element| visit(arena, item, element, owner, path))
        }
        _ => None,
    }
}

fn is_quantity(node: &Node) -> bool {
    node.definition.is_some_and(|d| d.ends_with(".Quantity"))
}

fn quantity_is_valid(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits);
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|e| e.parse::<i32>().is_ok());
    const SUFFIXES: [&str; 15] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi"];
    number.chars().any(|c| c.is_ascii_digit())
        && number.matches('.').count() <= 1
        && (exponent || SUFFIXES.contains(&suffix) || suffix == "Ei")
}

/// The JSON type of a value that does not fit, as Go names it.
fn mismatch(node: &Node, value: &Value) -> Option<&'static str> {
    let got = match value {
        Value::Null => return None,
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if node.int_or_string {
        return (!matches!(got, "number" | "string")).then_some(got);
    }
    let fits = match node.kind {
        None => true,
        Some(Kind::Object) => got == "object",
        Some(Kind::Array) => got == "array",
        Some(Kind::String) => got == "string",
        Some(Kind::Number) => got == "number",
        Some(Kind::Integer) => value.is_i64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        Some(Kind::Boolean) => got == "bool",
    };
    (!fits).then_some(got)
}

fn go_type(arena: &Arena, node: &Node) -> String {
    if let Some(name) = node.definition {
        let mut parts = name.rsplit('.');
        let kind = parts.next().unwrap_or(name);
        return format!("{}.{kind}", parts.next().unwrap_or("v1"));
    }
    match node.kind {
        Some(Kind::Array) => {
            let item = node.items.map_or_else(|| "interface {}".to_owned(), |i| go_type(arena, arena.node(i)));
            format!("[]{item}")
        }
        Some(Kind::Object) => match node.additional {
            Additional::Schema(id) => format!("map[string]{}", go_type(arena, arena.node(id))),
            _ => "map[string]interface {}".to_owned(),
        },
        Some(Kind::Integer) => node.checks.format.map_or("int64", Format::name).to_owned(),
        Some(Kind::Number) => "float64".to_owned(),
        Some(Kind::Boolean) => "bool".to_owned(),
        Some(Kind::String) | None => "string".to_owned(),
    }
}

/// Required fields that are absent. `metadata` and `status` are not looked at: the first is the registry's concern, and
/// Go fills the second with zero values. Absent numbers and booleans are zero values as well.
pub(super) fn required(arena: &Arena, id: NodeId, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            for name in &node.checks.required {
                let Some(child) = node.properties.get(name) else {
                    continue;
                };
                let zero_is_a_value =
                    matches!(arena.node(*child).kind, Some(Kind::Integer | Kind::Number | Kind::Boolean));
                let skipped = path.is_empty() && matches!(name.as_str(), "metadata" | "status");
                let absent = fields.get(name).is_none_or(Value::is_null);
                if absent && !zero_is_a_value && !skipped {
                    errors.push(FieldError::required(child_path(path, name), ""));
                }
            }
            for (name, field) in fields {
                if path.is_empty() && matches!(name.as_str(), "metadata" | "status") {
                    continue;
                }
                if let Some(child) = node.child(name) {
                    required(arena, child, field, &child_path(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = node.items {
                for (i, element) in items.iter().enumerate() {
                    required(arena, item, element, &format!("{path}[{i}]"), errors);
                }
            }
        }
        _ => {}
    }
}
