//! From JSON to protobuf.

use super::MAGIC;
use super::table::{Base, Field, Mark, Table, get};
use super::wire::{bytes, double, number};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

const SCHEMA: &str = "apiextensions/v1.JSONSchemaProps";

/// Whether objects of a kind can be written.
pub(crate) fn knows(api_version: &str, kind: &str) -> bool {
    get().kind(api_version, kind).is_some()
}

/// Writes an object; nothing when its kind is not known.
pub(crate) fn encode(object: &Value) -> Option<Vec<u8>> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let table = get();
    let mut raw = Vec::new();
    message(table, object, table.kind(text("apiVersion"), text("kind"))?, &mut raw);
    let mut type_meta = Vec::new();
    bytes(&mut type_meta, 1, text("apiVersion").as_bytes());
    bytes(&mut type_meta, 2, text("kind").as_bytes());
    let mut out = MAGIC.to_vec();
    bytes(&mut out, 1, &type_meta);
    bytes(&mut out, 2, &raw);
    Some(out)
}

/// A frame of a watch stream: its length in four bytes, then the event.
pub(crate) fn watch_frame(kind: &str, object: &Value) -> Option<Vec<u8>> {
    let mut around = Vec::new();
    bytes(&mut around, 1, &encode(object)?);
    let mut event = Vec::new();
    bytes(&mut event, 1, kind.as_bytes());
    bytes(&mut event, 2, &around);
    let mut out = u32::try_from(event.len()).ok()?.to_be_bytes().to_vec();
    out.extend_from_slice(&event);
    Some(out)
}

fn message(table: &Table, value: &Value, name: &str, out: &mut Vec<u8>) {
    for field in table.message(name) {
        if let (true, Base::Message(inner)) = (field.name.is_empty(), field.base) {
            let mut body = Vec::new();
            message(table, value, inner, &mut body);
            if !body.is_empty() {
                bytes(out, field.number, &body);
            }
        } else if let Some(value) = value.get(field.name).filter(|v| !v.is_null()) {
            put(table, field, value, out);
        }
    }
}

fn put(table: &Table, field: &Field, value: &Value, out: &mut Vec<u8>) {
    match (field.mark, value) {
        (Mark::List, Value::Array(list)) => {
            for item in list {
                single(table, field.base, field.number, item, out);
            }
        }
        (Mark::Map, Value::Object(map)) => {
            for (key, value) in map {
                let mut entry = Vec::new();
                bytes(&mut entry, 1, key.as_bytes());
                single(table, field.base, 2, value, &mut entry);
                bytes(out, field.number, &entry);
            }
        }
        _ => single(table, field.base, field.number, value, out),
    }
}

fn single(table: &Table, base: Base, at: u64, value: &Value, out: &mut Vec<u8>) {
    let text = value.as_str().unwrap_or_default();
    let wrapped = |body: Vec<u8>, out: &mut Vec<u8>| bytes(out, at, &body);
    let mut body = Vec::new();
    match base {
        Base::Text => bytes(out, at, text.as_bytes()),
        Base::Bytes => bytes(out, at, &STANDARD.decode(text).unwrap_or_default()),
        Base::Bool => number(out, at, u64::from(value.as_bool().unwrap_or_default())),
        Base::Int => number(out, at, int(value)),
        Base::Double => double(out, at, value.as_f64().unwrap_or_default()),
        Base::Time | Base::MicroTime => {
            if let Ok(time) = text.parse::<Timestamp>() {
                number(&mut body, 1, time.as_second().cast_unsigned());
                number(&mut body, 2, i64::from(time.subsec_nanosecond()).cast_unsigned());
            }
            wrapped(body, out);
        }
        Base::Quantity => {
            let plain = if value.is_number() { value.to_string() } else { text.to_owned() };
            bytes(&mut body, 1, plain.as_bytes());
            wrapped(body, out);
        }
        Base::IntOrString => {
            number(&mut body, 1, u64::from(value.is_string()));
            number(&mut body, 2, int(value));
            bytes(&mut body, 3, text.as_bytes());
            wrapped(body, out);
        }
        Base::Json => {
            bytes(&mut body, 1, value.to_string().as_bytes());
            wrapped(body, out);
        }
        Base::Texts => {
            for item in value.as_array().into_iter().flatten() {
                bytes(&mut body, 1, item.as_str().unwrap_or_default().as_bytes());
            }
            wrapped(body, out);
        }
        Base::SchemaOrArray | Base::SchemaOrBool | Base::SchemaOrTexts => {
            schema_or(table, base, value, &mut body);
            wrapped(body, out);
        }
        Base::Message(name) => {
            message(table, value, name, &mut body);
            wrapped(body, out);
        }
    }
}

/// Negative numbers are sent as their two's complement.
fn int(value: &Value) -> u64 {
    value.as_i64().unwrap_or_default().cast_unsigned()
}

fn schema_or(table: &Table, base: Base, value: &Value, out: &mut Vec<u8>) {
    let mut schema = |number: u64, value: &Value| {
        let mut body = Vec::new();
        message(table, value, SCHEMA, &mut body);
        bytes(out, number, &body);
    };
    match (base, value) {
        (Base::SchemaOrBool, Value::Object(_)) => {
            schema(2, value);
            // Where a schema stands, more is allowed.
            number(out, 1, 1);
        }
        (Base::SchemaOrBool, _) => number(out, 1, u64::from(value.as_bool().unwrap_or_default())),
        (Base::SchemaOrArray, Value::Array(list)) => list.iter().for_each(|item| schema(2, item)),
        (Base::SchemaOrTexts, Value::Array(list)) => {
            for item in list {
                bytes(out, 2, item.as_str().unwrap_or_default().as_bytes());
            }
        }
        _ => schema(1, value),
    }
}
