//! What Go leaves out of JSON: fields of structs that are zero and marked so.

use super::table::{Base, Mark, Table, get};
use serde_json::{Map, Value};

/// Takes out of an object of a built-in kind what Go would not write.
pub(crate) fn omit_empty(api_version: &str, kind: &str, object: &mut Value) {
    let table = get();
    if let (Some(message), Some(fields)) = (table.kind(api_version, kind), object.as_object_mut()) {
        omit(table, message, fields);
    }
}

fn omit(table: &Table, message: &str, fields: &mut Map<String, Value>) {
    for field in table.message(message) {
        if let (true, Base::Message(inner)) = (field.name.is_empty(), field.base) {
            omit(table, inner, fields);
            continue;
        }
        let Some(value) = fields.get_mut(field.name) else { continue };
        let is_zero = match value {
            Value::String(text) => text.is_empty() && matches!(field.base, Base::Text),
            Value::Bool(value) => !*value && matches!(field.base, Base::Bool),
            Value::Number(number) => number.as_i64() == Some(0) && matches!(field.base, Base::Int),
            _ => false,
        };
        if is_zero && field.mark == Mark::Plain {
            fields.remove(field.name);
        } else if let Base::Message(inner) = field.base {
            let items = match value {
                Value::Array(items) if field.mark == Mark::List => items.as_mut_slice(),
                Value::Object(_) if field.mark != Mark::Map => std::slice::from_mut(value),
                _ => &mut [],
            };
            items.iter_mut().filter_map(Value::as_object_mut).for_each(|fields| omit(table, inner, fields));
        }
    }
}
