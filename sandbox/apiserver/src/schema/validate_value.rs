//! Checks of one value against one schema node: type, format, bounds, enumeration, junctors.

use super::error::FieldError;
use super::format::Format;
use super::node::{Arena, Kind, Node, NodeId};
use super::validate::{child_path, correlated};
use serde_json::{Map, Value, json};

/// Checks `new` and everything below it. A value equal to its correlated old one is tolerated.
pub(super) fn check_value(
    arena: &Arena,
    id: NodeId,
    new: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if old == Some(new) {
        return;
    }
    let node = arena.node(id);
    if new.is_null() && node.nullable {
        return;
    }
    let fits = type_fits(node, new);
    if !fits {
        let wanted = if node.int_or_string { "integer,string" } else { node.kind.map_or("", Kind::name) };
        let got = type_name(new);
        // The format is what a value is judged by that is neither a text nor a list.
        let judged = node.checks.format.filter(|_| !new.is_string() && !new.is_array()).map(Format::name);
        let (wanted, got) = judged.map_or((wanted, got), |format| (format, format_name(new)));
        errors.push(FieldError::type_invalid(
            path,
            &json!(got),
            format!("{path} in body must be of type {wanted}: \"{got}\""),
        ));
        if node.kind == Some(Kind::Integer) && new.is_number() {
            let detail = format!("Checked value must be of type integer (default format) in {path}");
            errors.push(FieldError::invalid("<nil>", &json!(""), detail));
        }
    }
    let checks = &node.checks;
    if !checks.allowed.is_empty() && !checks.allowed.contains(new) {
        let supported: Vec<String> =
            checks.allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let supported: Vec<&str> = supported.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path, new, &supported));
    }
    match new {
        // What else is asked is asked of values of the type.
        _ if !fits => {}
        Value::String(text) => check_string(node, text, path, errors),
        Value::Number(_) => check_number(node, new, path, errors),
        Value::Array(items) => check_array(arena, node, items, old, path, errors),
        Value::Object(fields) => check_object(arena, node, fields, old, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
    check_junctors(arena, node, new, path, errors);
}

fn type_fits(node: &Node, value: &Value) -> bool {
    if node.int_or_string {
        return value.is_string() || is_integer(value);
    }
    match node.kind {
        None => true,
        Some(Kind::Object) => value.is_object(),
        Some(Kind::Array) => value.is_array(),
        Some(Kind::String) => value.is_string(),
        Some(Kind::Integer) => is_integer(value),
        Some(Kind::Number) => value.is_number(),
        Some(Kind::Boolean) => value.is_boolean(),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() < 9e15)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The format that a value has by itself.
fn format_name(value: &Value) -> &'static str {
    match value {
        Value::Number(n) if n.is_i64() || n.is_u64() => "int64",
        Value::Number(_) => "double",
        _ => "",
    }
}

fn check_string(node: &Node, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &node.checks;
    let shown = json!(text);
    let length = text.chars().count() as u64;
    // Of these only the first is told.
    if let Some(max) = checks.max_length.filter(|max| length > *max) {
        errors.push(FieldError::too_long(path, max));
    } else if let Some(min) = checks.min_length.filter(|min| length < *min) {
        let detail = format!("{path} in body should be at least {min} chars long");
        errors.push(FieldError::invalid(path, &shown, detail));
    } else if let Some((pattern, regex)) = &checks.pattern
        && !regex.is_match(text)
    {
        let detail = format!("{path} in body should match '{pattern}'");
        errors.push(FieldError::invalid(path, &shown, detail));
    }
    // int-or-string fields may carry a number format; it is not about their strings.
    if let Some(format) = checks.format
        && !format.accepts(text)
    {
        let detail = format!("{path} in body must be of type {}: \"{text}\"", format.name());
        errors.push(FieldError::type_invalid(path, &shown, detail));
    }
}

fn check_number(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &node.checks;
    let Some(number) = value.as_f64() else { return };
    let mut fail = |detail: String| errors.push(FieldError::invalid(path, value, detail));
    let in_range = match checks.format {
        Some(Format::Int32) => number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX),
        Some(Format::Int64) => value.is_i64() || !value.is_u64(),
        _ => true,
    };
    if !in_range && let Some(format) = checks.format {
        let name = format.name();
        fail(format!("Checked value must be of type integer with format {name} in {path}"));
    }
    if let Some(max) = checks.maximum {
        if checks.exclusive_maximum && number >= max {
            fail(format!("{path} in body should be less than {max}"));
        } else if !checks.exclusive_maximum && number > max {
            fail(format!("{path} in body should be less than or equal to {max}"));
        }
    }
    if let Some(min) = checks.minimum {
        if checks.exclusive_minimum && number <= min {
            fail(format!("{path} in body should be greater than {min}"));
        } else if !checks.exclusive_minimum && number < min {
            fail(format!("{path} in body should be greater than or equal to {min}"));
        }
    }
    if let Some(factor) = checks.multiple_of
        && factor > 0.0
        && (number / factor).fract() != 0.0
    {
        fail(format!("{path} in body should be a multiple of {factor}"));
    }
}

fn check_array(
    arena: &Arena,
    node: &Node,
    items: &[Value],
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let count = items.len() as u64;
    if let Some(max) = node.checks.max_items
        && count > max
    {
        errors.push(FieldError::too_many(path, count, max));
    }
    if let Some(min) = node.checks.min_items
        && count < min
    {
        let detail = format!("{path} in body should have at least {min} items");
        errors.push(FieldError::invalid(path, &json!(count), detail));
    }
    if let Some(item) = node.items {
        for (i, element) in items.iter().enumerate() {
            let before = correlated(&node.topology, element, old);
            check_value(arena, item, element, before, &format!("{path}[{i}]"), errors);
        }
    }
}

fn check_object(
    arena: &Arena,
    node: &Node,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let count = fields.len() as u64;
    if let Some(max) = node.checks.max_properties
        && count > max
    {
        errors.push(FieldError::too_many(path, count, max));
    }
    if let Some(min) = node.checks.min_properties
        && count < min
    {
        let detail = format!("{path} in body should have at least {min} properties");
        errors.push(FieldError::invalid(path, &json!(count), detail));
    }
    for name in &node.checks.required {
        if !fields.contains_key(name) {
            errors.push(FieldError::required(child_path(path, name), ""));
        }
    }
    if node.embedded_resource {
        for name in ["apiVersion", "kind"] {
            if fields.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                errors.push(FieldError::required(child_path(path, name), ""));
            }
        }
    }
    for (name, field) in fields {
        if let Some(child) = node.child(name) {
            let before = old.and_then(|o| o.get(name));
            check_value(arena, child, field, before, &child_path(path, name), errors);
        }
    }
}

fn check_junctors(arena: &Arena, node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &node.checks;
    let passes = |id: NodeId| {
        let mut found = Vec::new();
        check_value(arena, id, value, None, path, &mut found);
        found
    };
    // They name the value in their words, not as their field.
    let fail = |errors: &mut Vec<FieldError>, what: String| {
        errors.push(FieldError::invalid("<nil>", &json!(""), format!("\"{path}\" must {what}")));
    };
    if !checks.all_of.is_empty() {
        let tries: Vec<_> = checks.all_of.iter().map(|id| passes(*id)).collect();
        let valid = tries.iter().filter(|found| found.is_empty()).count();
        if valid < tries.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            errors.extend(tries.into_iter().flatten());
            fail(errors, format!("validate all the schemas (allOf){none}"));
        }
    }
    if !checks.any_of.is_empty() {
        let tries: Vec<_> = checks.any_of.iter().map(|id| passes(*id)).collect();
        if tries.iter().all(|t| !t.is_empty()) {
            fail(errors, "validate at least one schema (anyOf)".to_owned());
            // The nearest miss says what to mend.
            if let Some(best) = tries.into_iter().min_by_key(Vec::len) {
                errors.extend(best);
            }
        }
    }
    if !checks.one_of.is_empty() {
        let tries: Vec<_> = checks.one_of.iter().map(|id| passes(*id)).collect();
        let valid = tries.iter().filter(|t| t.is_empty()).count();
        if valid != 1 {
            let found =
                if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
            fail(errors, format!("validate one and only one schema (oneOf). {found}"));
            if valid == 0
                && let Some(best) = tries.into_iter().min_by_key(Vec::len)
            {
                errors.extend(best);
            }
        }
    }
    if let Some(id) = checks.not
        && passes(id).is_empty()
    {
        fail(errors, "not validate the schema (not)".to_owned());
    }
}
