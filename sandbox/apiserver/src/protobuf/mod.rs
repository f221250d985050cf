//! Request bodies in Kubernetes' protobuf form, of the kinds that Go clients write in it most: kubectl's `create` of small
//! objects, leases, events, access reviews. Other kinds answer 415. Answers are never protobuf: every Go client takes
//! JSON as well.
//!
//! * [`decode`]: from a body to the JSON form of the object. [`messages`]: the wire numbers of the kinds.

mod messages;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What every such body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// A field: its number on the wire, its JSON name, its type.
struct Field(u64, &'static str, Type);

/// A type of fields. `Maybe` ones are pointers in Go, so that an empty value is a value.
#[derive(Clone, Copy)]
enum Type {
    Text,
    MaybeText,
    Bool,
    MaybeBool,
    Int,
    MaybeInt,
    /// `metav1.Time`: whole seconds.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    One(&'static [Field]),
    Many(&'static [Field]),
    Texts,
    TextMap,
    BytesMap,
    /// `FieldsV1`: JSON in bytes.
    Json,
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is no body of this form.
    #[error("the body is not protobuf as Kubernetes writes it")]
    Malformed,
    /// It is of a kind whose messages are not known here.
    #[error("{0} is not read in protobuf form")]
    UnknownKind(String),
}

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
    let fields = messages::of(&api_version, &kind)
        .ok_or_else(|| DecodeError::UnknownKind(format!("{api_version}, Kind={kind}")))?;
    let mut value = message(raw, fields).ok_or(DecodeError::Malformed)?;
    value["apiVersion"] = Value::from(api_version);
    value["kind"] = Value::from(kind);
    Ok(value)
}

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other; `None` inside is an error, after which there is no more.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_none() {
            self.0 = &[];
        }
        Some(part)
    }
}

impl<'a> Parts<'a> {
    fn part(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

fn message(bytes: &[u8], fields: &[Field]) -> Option<Value> {
    let mut map = Map::new();
    for part in Parts(bytes) {
        let (number, wire) = part?;
        // A field that is newer than this table is dropped, as an older API server does.
        if let Some(Field(_, name, kind)) = fields.iter().find(|f| f.0 == number) {
            put(&mut map, name, *kind, &wire)?;
        }
    }
    Some(Value::Object(map))
}

fn put(map: &mut Map<String, Value>, name: &str, kind: Type, wire: &Wire<'_>) -> Option<()> {
    let value = match (kind, wire) {
        (Type::Text | Type::MaybeText | Type::Texts, Wire::Bytes(bytes)) => {
            Value::from(std::str::from_utf8(bytes).ok()?)
        }
        (Type::Bool | Type::MaybeBool, Wire::Number(n)) => Value::from(*n != 0),
        // Negative numbers are sent as their two's complement.
        (Type::Int | Type::MaybeInt, Wire::Number(n)) => Value::from(n.cast_signed()),
        (Type::Time | Type::MicroTime, Wire::Bytes([])) => return Some(()),
        (Type::Time, Wire::Bytes(bytes)) => Value::from(time(bytes)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (Type::MicroTime, Wire::Bytes(bytes)) => {
            Value::from(time(bytes)?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
        }
        (Type::One(fields) | Type::Many(fields), Wire::Bytes(bytes)) => message(bytes, fields)?,
        (Type::TextMap | Type::BytesMap, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes, matches!(kind, Type::BytesMap))?;
            if let Some(entries) = map.entry(name).or_insert_with(|| json!({})).as_object_mut() {
                entries.insert(key, value);
            }
            return Some(());
        }
        (Type::Json, Wire::Bytes(bytes)) => {
            // FieldsV1 is a message of one field, the bytes.
            let raw = Parts(bytes).find_map(|p| match p {
                Some((1, Wire::Bytes(raw))) => Some(raw),
                _ => None,
            })?;
            serde_json::from_slice(raw).ok()?
        }
        _ => return None,
    };
    match kind {
        Type::Texts | Type::Many(_) => {
            if let Some(list) = map.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(value);
            }
        }
        // Go writes values that are not pointers even when they are empty, and leaves them out of JSON.
        Type::Text if value.as_str() == Some("") => {}
        Type::Bool if value == Value::Bool(false) => {}
        Type::Int if value.as_i64() == Some(0) => {}
        _ => {
            map.insert(name.to_owned(), value);
        }
    }
    Some(())
}

/// An entry of a map: key and value are fields 1 and 2.
fn entry(bytes: &[u8], binary: bool) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), &bytes[..0]);
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    let value =
        if binary { Value::from(STANDARD.encode(value)) } else { Value::from(std::str::from_utf8(value).ok()?) };
    Some((key, value))
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

#[cfg(test)]
mod tests {
    use super::{DecodeError, decode};
    use serde_json::json;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &type_meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let label = [field(1, b"k"), field(2, b"v")].concat();
        let meta = [field(1, b"name"), field(2, b""), field(8, b""), field(11, &label)].concat();
        let raw = [field(1, &meta), field(2, &label), field(3, &label)].concat();
        assert_eq!(
            decode(&body("v1", "ConfigMap", &raw)),
            Ok(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "name", "labels": {"k": "v"}},
                "data": {"k": "v"}, "binaryData": {"k": "dg=="}
            }))
        );
    }

    /// The body that `kubectl create ns x` of release 1.32 sends.
    #[test]
    fn kubectl_s_namespace_is_read() {
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x19\x0a\x11\x0a\x01x\x12\0\x1a\0\"\0*\x002\x008\0B\0\x12\0\x1a\x02\x0a\0\x1a\0\"\0";
        let expected =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {}, "status": {}});
        assert_eq!(decode(body), Ok(expected));
    }

    #[test]
    fn a_released_lease_keeps_its_empty_holder() {
        let renewed = [vec![1 << 3, 60], vec![2 << 3, 0xc0, 0x84, 0x3d]].concat();
        let spec = [field(1, b""), vec![2 << 3, 1], field(4, &renewed), vec![5 << 3, 0]].concat();
        let raw = [field(1, &field(1, b"l")), field(2, &spec)].concat();
        assert_eq!(
            decode(&body("coordination.k8s.io/v1", "Lease", &raw)).unwrap()["spec"],
            json!({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": "1970-01-01T00:01:00.001000Z", "leaseTransitions": 0})
        );
    }

    #[test]
    fn what_is_broken_or_unknown_is_refused() {
        assert_eq!(decode(b"{}"), Err(DecodeError::Malformed));
        assert_eq!(decode(&body("v1", "ConfigMap", &[0x0a, 200])), Err(DecodeError::Malformed));
        assert_eq!(decode(&body("v1", "Pod", &[])), Err(DecodeError::UnknownKind("v1, Kind=Pod".to_owned())));
    }
}
