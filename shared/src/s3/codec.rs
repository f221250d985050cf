//! Bodies: gzip of one JSON document and a newline, the way Ramen writes and reads them.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::GzBuilder;
use flate2::read::GzDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::layout::ObjectKind;

/// The most bytes that a body may have when unpacked: many times what any object in the layout has, and small enough
/// that a damaged or hostile body cannot fill the memory.
pub const MAX_UNPACKED: u64 = 256 * 1024 * 1024;

/// A body that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Nothing in it.
    #[error("the object is empty (zero bytes)")]
    Empty,
    /// Not gzip, cut short, or its checksum is wrong.
    #[error("not a complete gzip stream: {0}")]
    Gzip(#[source] std::io::Error),
    /// Larger than [`MAX_UNPACKED`].
    #[error("unpacks to more than {MAX_UNPACKED} bytes")]
    TooLarge,
    /// Not JSON, or not of the expected shape.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("a JSON object is expected")]
    NotAnObject,
    /// The body says that it is of another kind than its key.
    #[error("the key is of kind {expected}, the body says {found}")]
    WrongKind {
        /// From the key.
        expected: &'static str,
        /// From the body.
        found: String,
    },
    /// The digest of the body is not the one in the manifest.
    #[error("sha256 is {found}, the manifest says {expected}")]
    Digest {
        /// From the manifest.
        expected: String,
        /// Of the body.
        found: String,
    },
}

/// The JSON text of a value: members sorted by name, `<`, `>`, `&` and the two line separators escaped as Go does.
/// Equal values give equal bytes.
///
/// # Errors
/// The value has no JSON form (a map with keys that are not strings).
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let plain = serde_json::to_string(&sorted(serde_json::to_value(value)?))?;
    // In JSON these characters can stand only within strings.
    let mut escaped = String::with_capacity(plain.len() + 16);
    for character in plain.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    Ok(escaped)
}

/// Map order must not depend on how a value was made: serde_json keeps insertion order if any crate of the build asks
/// for it.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// sha256 of a JSON text, in lower-case hex.
#[must_use]
pub fn digest(json: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(json.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The body of a JSON text: gzip of the text and a newline. No time and no name in the header, so that equal texts
/// give equal bodies.
#[must_use]
pub fn encode(json: &str) -> Vec<u8> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    // Writing into a Vec cannot fail.
    let _ = gzip.write_all(json.as_bytes());
    let _ = gzip.write_all(b"\n");
    gzip.finish().unwrap_or_default()
}

/// The text in a body. Bytes after the gzip stream are ignored, as Ramen does.
///
/// # Errors
/// Empty, cut short, not gzip, or too large.
pub fn unpack(body: &[u8]) -> Result<Vec<u8>, CodecError> {
    if body.is_empty() {
        return Err(CodecError::Empty);
    }
    let mut text = Vec::new();
    GzDecoder::new(body).take(MAX_UNPACKED + 1).read_to_end(&mut text).map_err(CodecError::Gzip)?;
    if text.len() as u64 > MAX_UNPACKED {
        return Err(CodecError::TooLarge);
    }
    Ok(text)
}

/// The first JSON document of a body; what follows it is ignored.
///
/// # Errors
/// As [`unpack`], or no JSON.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    first_document(&unpack(body)?)
}

fn first_document<T: DeserializeOwned>(text: &[u8]) -> Result<T, CodecError> {
    let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    match documents.next() {
        Some(document) => Ok(document?),
        None => Err(CodecError::NotAnObject),
    }
}

/// The Kubernetes object in a body, as a JSON object with `apiVersion` and `kind`, which Ramen's bodies may lack.
///
/// # Errors
/// As [`decode`], or the body is of another kind.
pub fn decode_object(kind: ObjectKind, body: &[u8]) -> Result<Value, CodecError> {
    let mut value: Value = decode(body)?;
    let Value::Object(members) = &mut value else { return Err(CodecError::NotAnObject) };
    match members.get("kind").and_then(Value::as_str) {
        Some(found) if !found.is_empty() && found != kind.kind() => {
            return Err(CodecError::WrongKind { expected: kind.kind(), found: found.to_owned() });
        }
        _ => {}
    }
    members.insert("apiVersion".into(), kind.api_version().into());
    members.insert("kind".into(), kind.kind().into());
    Ok(value)
}

/// A typed object out of stored JSON. Members that are null count as absent, which is how Go reads them.
///
/// # Errors
/// The JSON is not of the shape of `T`.
pub fn typed<T: DeserializeOwned>(json: &str) -> Result<T, CodecError> {
    let mut value: Value = first_document(json.as_bytes())?;
    drop_nulls(&mut value);
    Ok(serde_json::from_value(value)?)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let nulls: Vec<String> =
                members.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()).collect();
            for name in nulls {
                members.remove(&name);
            }
            members.iter_mut().for_each(|(_, value)| drop_nulls(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PersistentVolume;
    use serde_json::json;

    use super::*;

    /// Made by GNU gzip 1.12 (`gzip -9`) from a JSON object and a newline: another writer's header, name and level.
    const FOREIGN: &str = concat!(
        "1f8b08086729016b020370762e6a736f6e0045cc310ec2300c40d19d63786e07d66c307445425cc04a8c1a294e2cecb0",
        "54bd7b630462ffff6dc06498d010c20615992080bc678409e28bd072ab8fcca4862c106a2f659f4085a2f7b160e63b3d",
        "7faf0a4607746d32802ff7d1c7c5ad57bb8993faa70cadab03b2a27a7e1d59f2be36bb2c994a8270de4f07251f7035aa",
        "000000",
    );

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn another_writers_gzip_is_read() {
        let pv = decode_object(ObjectKind::PersistentVolume, &bytes(FOREIGN)).unwrap();
        assert_eq!(pv["kind"], "PersistentVolume");
        assert_eq!(pv["apiVersion"], "v1");
        assert_eq!(pv["metadata"], json!({"name": "pv-a", "creationTimestamp": null}));
        let pv: PersistentVolume = typed(&to_json(&pv).unwrap()).unwrap();
        assert_eq!(pv.metadata.name.as_deref(), Some("pv-a"));
        assert_eq!(pv.metadata.creation_timestamp, None);
    }

    #[test]
    fn text_is_that_of_go_with_members_sorted() {
        let text = to_json(&json!({"b": "<a & b>\u{2028}", "a": {"d": 1, "c": [{"z": null, "y": 2.5}]}})).unwrap();
        assert_eq!(text, r#"{"a":{"c":[{"y":2.5,"z":null}],"d":1},"b":"\u003ca \u0026 b\u003e\u2028"}"#);
    }

    #[test]
    fn a_body_is_one_gzip_member_of_the_text_and_a_newline() {
        let body = encode(r#"{"a":1}"#);
        // Magic, deflate, no flags, time 0, level unremarkable, system unknown.
        assert_eq!(body[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(unpack(&body).unwrap(), b"{\"a\":1}\n");
        assert_eq!(encode(r#"{"a":1}"#), body);
    }

    #[test]
    fn the_digest_is_sha256_in_hex() {
        assert_eq!(digest("{}"), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }

    #[test]
    fn damage_is_told_apart() {
        let body = encode(r#"{"a":1}"#);
        assert!(matches!(decode::<Value>(b""), Err(CodecError::Empty)));
        assert!(matches!(decode::<Value>(&body[..body.len() - 9]), Err(CodecError::Gzip(_))));
        assert!(matches!(decode::<Value>(b"{\"a\":1}"), Err(CodecError::Gzip(_))));
        let mut flipped = body.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 0xff;
        assert!(matches!(decode::<Value>(&flipped), Err(CodecError::Gzip(_))), "checksum");
        assert!(matches!(decode::<Value>(&encode("{\"a\":")), Err(CodecError::Json(_))));
        assert!(matches!(decode_object(ObjectKind::PersistentVolume, &encode("[1]")), Err(CodecError::NotAnObject)));
        let pod = encode(r#"{"kind":"Pod"}"#);
        assert!(matches!(
            decode_object(ObjectKind::PersistentVolume, &pod),
            Err(CodecError::WrongKind { expected: "PersistentVolume", .. })
        ));
    }

    #[test]
    fn bytes_after_the_document_and_after_the_stream_are_ignored() {
        let mut body = encode("{\"a\":1} trailing");
        body.extend_from_slice(b"more");
        assert_eq!(decode::<Value>(&body).unwrap(), json!({"a": 1}));
    }
}
