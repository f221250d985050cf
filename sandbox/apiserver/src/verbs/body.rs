//! Reading objects from request bodies.

use super::Op;
use super::options::{FieldValidation, WriteOptions};
use super::strict::{self, Parsed};
use crate::meta;
use crate::protobuf::{self, DecodeError};
use crate::registry::Resource;
use crate::request::Request;
use crate::schema::FieldError;
use crate::status::ApiError;
use serde_json::Value;
use std::collections::BTreeSet;

/// The media types that bodies may have; custom resources have no protobuf.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// Parses a body as JSON, or as YAML when it says so.
pub(crate) fn parse(request: &Request) -> Result<Value, ApiError> {
    read(request, "DeleteOptions").map(|parsed| parsed.value)
}

/// `kind` is what the body has to be, for errors.
fn read(request: &Request, kind: &str) -> Result<Parsed, ApiError> {
    match request.content_type() {
        "" | "application/json" => json(&request.body, kind),
        "application/yaml" => yaml(&request.body),
        protobuf::MEDIA_TYPE => match protobuf::decode(&request.body) {
            Ok(value) => Ok(Parsed { value, duplicates: Vec::new() }),
            Err(DecodeError::UnknownKind(_)) => Err(ApiError::unsupported_media_type(&ACCEPTED)),
            Err(error @ DecodeError::Malformed) => Err(ApiError::bad_request(error.to_string())),
        },
        _ => Err(ApiError::unsupported_media_type(&ACCEPTED)),
    }
}

fn json(bytes: &[u8], kind: &str) -> Result<Parsed, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed =
        strict::parse(&mut deserializer).and_then(|parsed| deserializer.end().map(|()| parsed)).map_err(|e| {
            unrecognized(kind, bytes, &format!("couldn't get version/kind; json parse error: {}", syntax(&e)))
        })?;
    if !parsed.value.is_object() {
        let why = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            type_name(&parsed.value)
        );
        return Err(unrecognized(kind, bytes, &why));
    }
    Ok(parsed)
}

/// The error of a body that tells nothing of what it is, with the beginning of it.
fn unrecognized(kind: &str, bytes: &[u8], why: &str) -> ApiError {
    const SHOWN: usize = 30;
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    let summary = match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(cut)),
        Some(_) => format!("{}{more}", cut.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    };
    ApiError::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({summary})"))
}

/// An error of the JSON parser, as Go words the commonest one.
pub(super) fn syntax(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}

/// What Go calls the type of a JSON value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Parses YAML.
pub(super) fn yaml(bytes: &[u8]) -> Result<Parsed, ApiError> {
    // Most of what is sent as YAML is JSON, which is YAML too, and read many times as fast as such.
    if bytes.first() == Some(&b'{') {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        if let Ok(parsed) = strict::parse(&mut deserializer)
            && parsed.duplicates.is_empty()
            && deserializer.end().is_ok()
        {
            return Ok(parsed);
        }
    }
    // The plain parser is first: it resolves tags and merges, and refuses what is no YAML.
    let fail = |e: serde_yaml::Error| ApiError::bad_request(format!("error converting YAML to JSON: yaml: {e}"));
    strict::parse(serde_yaml::Deserializer::from_slice(bytes)).map_err(fail)
}

/// The object in a body, decoded as the resource's kind: unknown fields are gone, defaults are in.
pub(crate) fn object(op: &Op<'_>, options: &WriteOptions, warnings: &mut Vec<String>) -> Result<Value, ApiError> {
    let Parsed { value, duplicates } = read(op.request, &op.resource.kind)?;
    if op.resource.is_custom() && value.get("kind").and_then(Value::as_str).is_none_or(str::is_empty) {
        let text = String::from_utf8_lossy(&op.request.body);
        let why = format!("Object 'Kind' is missing in '{text}'");
        return Err(unrecognized(&op.resource.kind, &op.request.body, &why));
    }
    let (value, unknown) = decode(&op.resource, value)?;
    let faults = if op.request.content_type() == "application/yaml" {
        let lines = yaml_duplicates(&op.request.body, &duplicates);
        lines.into_iter().chain(faults(&[], &unknown)).collect()
    } else if op.resource.is_custom() || (duplicates.is_empty() && unknown.len() < 2) {
        faults(&duplicates, &unknown)
    } else {
        faults_in_order(&op.request.body, &duplicates, &unknown)
    };
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

/// The same in the order of the text: built-in kinds are decoded and checked in one pass.
fn faults_in_order(body: &[u8], duplicates: &[String], unknown: &[String]) -> Vec<String> {
    let order = strict::order(body);
    let mut found: Vec<(Option<usize>, String)> = Vec::new();
    for path in duplicates {
        // It is the second time that is the fault.
        found.push((order.iter().rposition(|p| p == path), format!("duplicate field \"{path}\"")));
    }
    for path in unknown {
        found.push((order.iter().position(|p| p == path), format!("unknown field \"{path}\"")));
    }
    found.sort_by_key(|(position, _)| *position);
    found.into_iter().map(|(_, text)| text).collect()
}

/// Duplicates as the YAML parser of the server reports them: by line.
pub(super) fn yaml_duplicates(body: &[u8], duplicates: &[String]) -> Vec<String> {
    if duplicates.is_empty() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(body);
    let lines: Vec<String> = duplicates
        .iter()
        .map(|path| {
            let key = path.rsplit('.').next().unwrap_or(path);
            format!("  line {}: key \"{key}\" already set in map", second_line(&text, key))
        })
        .collect();
    vec![format!("yaml: unmarshal errors:\n{}", lines.join("\n"))]
}

/// The line at which a key stands again in the same block mapping; the last line that has it when there is no such
/// (flow style, as JSON is).
fn second_line(text: &str, key: &str) -> usize {
    let entry = |line: &str| {
        let bare = line.trim_start().trim_start_matches("- ").trim_start();
        let indent = line.len() - bare.len();
        let starts = bare.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        (indent, starts, bare.is_empty() || bare.starts_with('#'))
    };
    let mut open: Option<usize> = None;
    let mut last = 1;
    for (index, line) in text.lines().enumerate() {
        let (indent, starts, blank) = entry(line);
        if blank {
            continue;
        }
        if starts && open == Some(indent) {
            return index + 1;
        }
        if open.is_some_and(|column| indent < column) || line.trim_start().starts_with("- ") {
            open = None;
        }
        if starts {
            open = Some(indent);
        }
        if line.contains(key) {
            last = index + 1;
        }
    }
    last
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
    if !kind.is_empty() && kind != resource.kind && resource.is_custom() {
        let fault = FieldError::invalid("kind", &Value::from(kind.as_str()), format!("must be {}", resource.kind));
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        return Err(ApiError::invalid(&resource.group, &kind, name, &[fault]));
    }
    let (group, version) = crate::registry::split_api_version(&api_version);
    let is_typed = !api_version.is_empty() && !kind.is_empty();
    if is_typed && !resource.is_custom() && crate::schema::builtin(group, version, &kind).is_none() {
        return Err(ApiError::bad_request(format!(
            "{0} in version \"{version}\" cannot be handled as a {0}: no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\"",
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
            "{kind} in version \"{}\" cannot be handled as a {}: converting ({}.{kind}) to ({}.{}): unknown conversion",
            resource.version,
            resource.kind,
            resource.version,
            resource.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core"),
            resource.kind
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
        protobuf::omit_empty(&resource.api_version(), &resource.kind, value);
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
