//! Reading objects from request bodies.

use super::Op;
use super::options::{FieldValidation, WriteOptions};
use super::strict::{self, Parsed};
use crate::meta;
use crate::registry::Resource;
use crate::request::Request;
use crate::status::ApiError;
use serde_json::Value;
use std::collections::BTreeSet;

/// The media types that bodies may have.
const ACCEPTED: [&str; 2] = ["application/json", "application/yaml"];

/// Parses a body as JSON, or as YAML when it says so.
pub(crate) fn parse(request: &Request) -> Result<Value, ApiError> {
    read(request).map(|parsed| parsed.value)
}

fn read(request: &Request) -> Result<Parsed, ApiError> {
    match request.content_type() {
        "" | "application/json" => json(&request.body),
        "application/yaml" => yaml(&request.body),
        _ => Err(ApiError::unsupported_media_type(&ACCEPTED)),
    }
}

fn json(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    strict::parse(&mut deserializer)
        .and_then(|parsed| deserializer.end().map(|()| parsed))
        .map_err(|e| ApiError::bad_request(format!("couldn't get version/kind; json parse error: {e}")))
}

/// Parses YAML.
pub(super) fn yaml(bytes: &[u8]) -> Result<Parsed, ApiError> {
    // The plain parser is first: it resolves tags and merges, and refuses what is no YAML.
    let fail = |e: serde_yaml::Error| ApiError::bad_request(format!("error converting YAML to JSON: yaml: {e}"));
    strict::parse(serde_yaml::Deserializer::from_slice(bytes)).map_err(fail)
}

/// The object in a body, decoded as the resource's kind: unknown fields are gone, defaults are in.
pub(crate) fn object(op: &Op<'_>, options: &WriteOptions, warnings: &mut Vec<String>) -> Result<Value, ApiError> {
    let Parsed { value, duplicates } = read(op.request)?;
    let (value, unknown) = decode(&op.resource, value)?;
    let faults = faults(&duplicates, &unknown);
    match options.validation {
        FieldValidation::Strict if !faults.is_empty() => {
            return Err(ApiError::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                op.resource.kind,
                op.resource.version,
                op.resource.kind,
                faults.join(", ")
            )));
        }
        FieldValidation::Warn => warnings.extend(faults),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    Ok(value)
}

/// What strict decoding complains of.
pub(super) fn faults(duplicates: &[String], unknown: &[String]) -> Vec<String> {
    let duplicates = duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
    let unknown = unknown.iter().map(|path| format!("unknown field \"{path}\""));
    duplicates.chain(unknown).collect()
}

/// Checks kind and version, drops unknown fields (and returns their paths), fills in defaults.
pub(crate) fn decode(resource: &Resource, mut value: Value) -> Result<(Value, Vec<String>), ApiError> {
    check_type(resource, &mut value)?;
    normalise(resource, &mut value);
    if let Some(why) = resource.decode_error(&value) {
        return Err(ApiError::bad_request(why));
    }
    let unknown = resource.prune(&mut value);
    resource.default(&mut value);
    Ok((value, unknown))
}

fn check_type(resource: &Resource, value: &mut Value) -> Result<(), ApiError> {
    let Some(map) = value.as_object_mut() else {
        return Err(ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type {}",
            resource.kind
        )));
    };
    let expected = resource.api_version();
    let text = |map: &serde_json::Map<String, Value>, name: &str| {
        map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (api_version, kind) = (text(map, "apiVersion"), text(map, "kind"));
    if kind.is_empty() && resource.is_custom() {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing",
            resource.kind
        )));
    }
    if !api_version.is_empty() && api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting ({kind}) to ({}): unknown conversion",
            resource.version, resource.kind, resource.kind
        )));
    }
    map.insert("apiVersion".to_owned(), Value::from(expected));
    map.insert("kind".to_owned(), Value::from(resource.kind.clone()));
    Ok(())
}

/// Brings `metadata` into the form that Go's ObjectMeta has after decoding and encoding: no nulls, nothing empty. In
/// built-in kinds nulls are dropped everywhere.
fn normalise(resource: &Resource, value: &mut Value) {
    if !resource.is_custom() {
        drop_nulls(value);
    }
    let meta = meta::meta_mut(value);
    meta.retain(|name, field| match field {
        Value::Null => false,
        Value::String(s) => !s.is_empty(),
        // An empty list of managers is a wish: to forget them all.
        Value::Array(list) => !list.is_empty() || name == "managedFields",
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
    meta.remove("selfLink");
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Drops owner references that name an owner twice, and says so.
pub(crate) fn dedup_owners(object: &mut Value, warnings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    let mut left = Vec::new();
    for owner in meta::owners(object) {
        if seen.insert(owner.to_string()) {
            left.push(owner.clone());
        } else {
            twice.insert(owner["uid"].as_str().unwrap_or_default().to_owned());
        }
    }
    if !twice.is_empty() {
        let uids: Vec<String> = twice.into_iter().collect();
        warnings.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            uids.join(", ")
        ));
        meta::set(object, "ownerReferences", Some(Value::from(left)));
    }
}
