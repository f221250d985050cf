//! From protobuf to JSON.

use super::table::{Base, Field, Mark, Table, get};
use super::wire::{Parts, Wire};
use super::{DecodeError, MAGIC};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const SCHEMA: &str = "apiextensions/v1.JSONSchemaProps";

/// Reads a body into the JSON form of its object.
pub(crate) fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let body = body.strip_prefix(MAGIC).ok_or(DecodeError::Malformed)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &body[..0]);
    for part in Parts(body) {
        match part.ok_or(DecodeError::Malformed)? {
            (1, Wire::Bytes(type_meta)) => {
                for part in Parts(type_meta) {
                    match part.ok_or(DecodeError::Malformed)? {
                        (2, Wire::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
                        (1, Wire::Bytes(text)) => api_version = String::from_utf8_lossy(text).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let table = get();
    let name = table
        .kind(&api_version, &kind)
        .ok_or_else(|| DecodeError::UnknownKind(format!("{api_version}, Kind={kind}")))?;
    let mut value = message(table, raw, name).ok_or(DecodeError::Malformed)?;
    value["apiVersion"] = Value::from(api_version);
    value["kind"] = Value::from(kind);
    Ok(value)
}

fn message(table: &Table, bytes: &[u8], name: &str) -> Option<Value> {
    let mut map = Map::new();
    fill(table, bytes, name, &mut map)?;
    Some(Value::Object(map))
}

fn fill(table: &Table, bytes: &[u8], name: &str, map: &mut Map<String, Value>) -> Option<()> {
    let fields = table.message(name);
    for part in Parts(bytes) {
        let (number, wire) = part?;
        // A field that is newer than this table is dropped, as an older API server does.
        if let Some(field) = fields.iter().find(|f| f.number == number) {
            put(table, map, field, &wire)?;
        }
    }
    Some(())
}

fn put(table: &Table, map: &mut Map<String, Value>, field: &Field, wire: &Wire<'_>) -> Option<()> {
    if let (true, Base::Message(inner), Wire::Bytes(bytes)) = (field.name.is_empty(), field.base, wire) {
        return fill(table, bytes, inner, map);
    }
    match (field.mark, wire) {
        (Mark::Map, Wire::Bytes(bytes)) => {
            let (key, value) = entry(table, field.base, bytes)?;
            if let Some(entries) = map.entry(field.name).or_insert_with(|| json!({})).as_object_mut() {
                entries.insert(key, value);
            }
        }
        (Mark::List, _) => {
            let value = single(table, field.base, wire)?;
            if let Some(list) = map.entry(field.name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(value);
            }
        }
        (mark, _) => {
            let timeless = matches!(field.base, Base::Time | Base::MicroTime) && matches!(wire, Wire::Bytes([]));
            let value = if timeless { Value::Null } else { single(table, field.base, wire)? };
            // Go writes values that are not pointers even when they are empty, and leaves them out of JSON.
            let empty = match field.base {
                Base::Text | Base::Bytes => value.as_str() == Some(""),
                Base::Bool => value == Value::Bool(false),
                Base::Int => value.as_i64() == Some(0),
                Base::Double => value.as_f64() == Some(0.0),
                _ => false,
            };
            if !(timeless || (mark == Mark::Plain && empty)) {
                map.insert(field.name.to_owned(), value);
            }
        }
    }
    Some(())
}

fn single(table: &Table, base: Base, wire: &Wire<'_>) -> Option<Value> {
    Some(match (base, wire) {
        (Base::Text, Wire::Bytes(bytes)) => Value::from(std::str::from_utf8(bytes).ok()?),
        (Base::Bytes, Wire::Bytes(bytes)) => Value::from(STANDARD.encode(bytes)),
        (Base::Bool, Wire::Number(n)) => Value::from(*n != 0),
        // Negative numbers are sent as their two's complement.
        (Base::Int, Wire::Number(n)) => Value::from(n.cast_signed()),
        (Base::Double, Wire::Bytes(bytes)) => double(f64::from_le_bytes((*bytes).try_into().ok()?)),
        (Base::Time, Wire::Bytes(bytes)) => Value::from(time(bytes)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (Base::MicroTime, Wire::Bytes(bytes)) => {
            Value::from(time(bytes)?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
        }
        (Base::Quantity, Wire::Bytes(bytes)) => {
            let text = std::str::from_utf8(only(bytes)?).ok()?;
            Value::from(if text.is_empty() { "0" } else { text })
        }
        (Base::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Base::Json, Wire::Bytes(bytes)) => {
            let raw = only(bytes)?;
            if raw.is_empty() { Value::Null } else { serde_json::from_slice(raw).ok()? }
        }
        (Base::Texts, Wire::Bytes(bytes)) => texts(bytes, 1)?,
        (Base::SchemaOrArray | Base::SchemaOrTexts | Base::SchemaOrBool, Wire::Bytes(bytes)) => {
            schema_or(table, base, bytes)?
        }
        (Base::Message(name), Wire::Bytes(bytes)) => message(table, bytes, name)?,
        _ => return None,
    })
}

/// A number without a fraction is written without one, as Go does.
fn double(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Value::from(format!("{value:.0}").parse::<i64>().unwrap_or_default());
    }
    Value::from(value)
}

/// The bytes of a message whose first field is all of it.
fn only(bytes: &[u8]) -> Option<&[u8]> {
    let mut found = &bytes[..0];
    for part in Parts(bytes) {
        if let (1, Wire::Bytes(inner)) = part? {
            found = inner;
        }
    }
    Some(found)
}

fn texts(bytes: &[u8], number: u64) -> Option<Value> {
    let mut list = Vec::new();
    for part in Parts(bytes) {
        match part? {
            (n, Wire::Bytes(text)) if n == number => list.push(Value::from(std::str::from_utf8(text).ok()?)),
            _ => {}
        }
    }
    Some(Value::from(list))
}

fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(n)) => number = n.cast_signed(),
            (3, Wire::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok()?,
            _ => {}
        }
    }
    Some(if is_text { Value::from(text) } else { Value::from(number) })
}

/// A schema, or what may stand in its place: a list of schemas, of names, or a boolean.
fn schema_or(table: &Table, base: Base, bytes: &[u8]) -> Option<Value> {
    let (mut schema, mut allows, mut list) = (None, false, Vec::new());
    for part in Parts(bytes) {
        match (base, part?) {
            (Base::SchemaOrBool, (1, Wire::Number(n))) => allows = n != 0,
            (Base::SchemaOrBool, (2, Wire::Bytes(inner))) | (_, (1, Wire::Bytes(inner))) => {
                schema = Some(message(table, inner, SCHEMA)?);
            }
            (Base::SchemaOrArray, (2, Wire::Bytes(inner))) => list.push(message(table, inner, SCHEMA)?),
            (Base::SchemaOrTexts, (2, Wire::Bytes(text))) => list.push(Value::from(std::str::from_utf8(text).ok()?)),
            _ => {}
        }
    }
    Some(match (base, schema) {
        (_, Some(schema)) => schema,
        (Base::SchemaOrBool, None) => Value::from(allows),
        (_, None) => Value::from(list),
    })
}

/// An entry of a map: key and value are fields 1 and 2.
fn entry(table: &Table, base: Base, bytes: &[u8]) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), None);
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_owned(),
            (2, wire) => value = Some(single(table, base, &wire)?),
            _ => {}
        }
    }
    let empty = || match base {
        Base::Bool => Value::Bool(false),
        Base::Int => Value::from(0),
        Base::Text | Base::Bytes => Value::from(""),
        _ => json!({}),
    };
    Some((key, value.unwrap_or_else(empty)))
}

fn time(bytes: &[u8]) -> Option<Timestamp> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Number(n)) => seconds = n.cast_signed(),
            (2, Wire::Number(n)) => nanoseconds = i32::try_from(n).ok()?,
            _ => {}
        }
    }
    Timestamp::new(seconds, nanoseconds).ok()
}
