//! Reading objects from request bodies.

use super::Op;
use super::options::{FieldValidation, WriteOptions};
use crate::meta;
use crate::registry::Resource;
use crate::request::Request;
use crate::schema::strict_decoding_message;
use crate::status::ApiError;
use serde_json::Value;

/// The media types that bodies may have.
const ACCEPTED: [&str; 2] = ["application/json", "application/yaml"];

/// Parses a body as JSON, or as YAML when it says so.
pub(crate) fn parse(request: &Request) -> Result<Value, ApiError> {
    match request.content_type() {
        "" | "application/json" => serde_json::from_slice(&request.body).map_err(|e| ApiError::bad_request(e.to_string())),
        "application/yaml" => yaml(&request.body),
        _ => Err(ApiError::unsupported_media_type(&ACCEPTED)),
    }
}

/// Parses YAML.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_yaml::from_slice(bytes)
        .map_err(|e| ApiError::bad_request(format!("error converting YAML to JSON: yaml: {e}")))
}

/// The object in a body, decoded as the resource's kind: unknown fields are gone, defaults are in.
pub(crate) fn object(op: &Op<'_>, options: &WriteOptions, warnings: &mut Vec<String>) -> Result<Value, ApiError> {
    let value = parse(op.request)?;
    decode(&op.resource, value, options.validation, warnings)
}

/// Checks kind and version, drops unknown fields (or refuses them), fills in defaults.
pub(crate) fn decode(
    resource: &Resource,
    mut value: Value,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    check_type(resource, &mut value)?;
    normalise(resource, &mut value);
    if let Some(why) = resource.decode_error(&value) {
        return Err(ApiError::bad_request(why));
    }
    let unknown = resource.prune(&mut value);
    if !unknown.is_empty() {
        match validation {
            FieldValidation::Strict => return Err(ApiError::bad_request(strict_decoding_message(&unknown))),
            FieldValidation::Warn => {
                warnings.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
            }
            FieldValidation::Ignore => {}
        }
    }
    resource.default(&mut value);
    Ok(value)
}

fn check_type(resource: &Resource, value: &mut Value) -> Result<(), ApiError> {
    let Some(map) = value.as_object_mut() else {
        return Err(ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: json: cannot unmarshal into an object",
            resource.kind, resource.version, resource.kind
        )));
    };
    let expected = resource.api_version();
    let text = |map: &serde_json::Map<String, Value>, name: &str| {
        map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (api_version, kind) = (text(map, "apiVersion"), text(map, "kind"));
    if kind.is_empty() && resource.is_custom() {
        return Err(ApiError::bad_request("Object 'Kind' is missing in the body"));
    }
    if !api_version.is_empty() && api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is registered for it",
            resource.version, resource.kind
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
    meta.retain(|_, field| match field {
        Value::Null => false,
        Value::String(s) => !s.is_empty(),
        Value::Array(list) => !list.is_empty(),
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
