//! Patch: JSON, merge, strategic merge and apply.

use super::options::{FieldValidation, WriteOptions};
use super::strict::Parsed;
use super::update::{check_name, modify};
use super::{Answer, Op, Write, body};
use crate::apply::ApplyError;
use crate::meta;
use crate::metadata;
use crate::patch::{PatchError, json_merge_patch, json_patch, strategic_merge_patch};
use crate::registry::split_api_version;
use crate::schema::FieldError;
use crate::status::ApiError;
use serde_json::Value;

/// The kinds of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Kind {
    /// From the media type; custom resources have no strategic merge.
    pub(crate) fn parse(op: &Op<'_>) -> Result<Self, ApiError> {
        let custom = op.resource.is_custom();
        match op.request.content_type() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            "application/apply-patch+cbor" => Err(ApiError::not_implemented(
                "apply patches in CBOR are not read by this embedded API server: send application/apply-patch+yaml",
            )),
            _ if custom => Err(ApiError::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ])),
            _ => Err(ApiError::generic(415, "UnsupportedMediaType", "415: Unsupported Media Type")),
        }
    }
}

pub(crate) fn patch(op: &Op<'_>, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    let kind = Kind::parse(op)?;
    let options = options(op, kind)?;
    let document = document(op, kind)?;
    let write = Write { server: op.server, resource: &op.resource, subresource: &op.subresource, options };
    let upsert = kind == Kind::Apply && op.subresource.is_empty();
    let mut notes = Vec::new();
    // A patch that names a resourceVersion means that very one: then a conflict is not retried.
    let exact = kind != Kind::Json && meta::text(&document.value, "resourceVersion").is_some();
    let result = modify(&write, &op.key(), upsert, !exact, |live| {
        notes.clear();
        let mut object = match (kind, live) {
            (Kind::Apply, _) => applied(op, &write, live, &document, &mut notes)?,
            (_, None) => return Err(ApiError::not_found(&op.group_resource(), &op.name)),
            (_, Some(live)) => {
                let object = patched(op, kind, live, &document.value)?;
                decoded(op, &write, kind, live, object, &document, &mut notes)?
            }
        };
        body::dedup_owners(&mut object, &mut notes);
        metadata::match_namespace(&op.resource, &op.namespace, &mut object)?;
        check_name(op, &object)?;
        Ok(object)
    });
    warnings.append(&mut notes);
    let (stored, created) = result?;
    Ok(Answer::Object(if created { 201 } else { 200 }, stored))
}

/// A patched object, decoded as the resource's kind. What is wrong with it is reported as a fault of the patch.
fn decoded(
    op: &Op<'_>,
    write: &Write<'_>,
    kind: Kind,
    live: &Value,
    object: Value,
    document: &Parsed,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    // Patched once more where it is refused, instead of kept where it is not.
    let text = || match kind {
        Kind::Strategic => in_go(&document.value),
        _ => patched(op, kind, live, &document.value).map(|object| object.to_string()).unwrap_or_default(),
    };
    let refused =
        |why: String| ApiError::invalid("", "", "", &[FieldError::invalid("patch", &Value::from(text()), why)]);
    let (object, unknown) = body::decode(&op.resource, object).map_err(|e| {
        let resource = &op.resource;
        let (kind, version) = (&resource.kind, &resource.version);
        let place = format!("{kind} in version \"{version}\" cannot be handled as a {kind}: ");
        refused(e.message().trim_start_matches(&place).to_owned())
    })?;
    let faults = body::faults(&document.duplicates, &unknown);
    match write.options.validation {
        FieldValidation::Strict if !faults.is_empty() => {
            return Err(refused(format!("strict decoding error: {}", faults.join(", "))));
        }
        FieldValidation::Warn => warnings.extend(faults),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    Ok(object)
}

/// A value as Go prints its maps and slices.
fn in_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(in_go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", in_go(value))).collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

pub(crate) fn options(op: &Op<'_>, kind: Kind) -> Result<WriteOptions, ApiError> {
    let mut options = WriteOptions::parse(op, "PatchOptions")?;
    options.applied = kind == Kind::Apply;
    options.patched = true;
    let mut errors = Vec::new();
    if kind == Kind::Apply {
        if op.request.query.text("fieldManager").is_none() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
    } else if op.request.query.get("force").is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() { Ok(options) } else { Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &errors)) }
}

/// The patch in the body.
pub(crate) fn document(op: &Op<'_>, kind: Kind) -> Result<Parsed, ApiError> {
    if kind == Kind::Apply {
        let parsed = body::yaml(&op.request.body)
            .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {}", e.message())))?;
        if !parsed.value.is_object() {
            let got = body::type_name(&parsed.value);
            return Err(ApiError::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {got} into Go value of type map[string]interface {{}}"
            )));
        }
        return Ok(parsed);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(&op.request.body);
    let parsed = super::strict::parse(&mut deserializer)
        .and_then(|parsed| deserializer.end().map(|()| parsed))
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {}", body::syntax(&e))))?;
    if kind != Kind::Json && !parsed.value.is_object() {
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            body::type_name(&parsed.value)
        )));
    }
    Ok(parsed)
}

/// The live object with a patch on it.
pub(crate) fn patched(op: &Op<'_>, kind: Kind, live: &Value, document: &Value) -> Result<Value, ApiError> {
    let result = match kind {
        Kind::Json => json_patch(live, document),
        Kind::Merge => Ok(json_merge_patch(live, document)),
        Kind::Strategic => match op.resource.types() {
            Some(types) => strategic_merge_patch(types, live, document),
            None => return Err(ApiError::not_implemented(format!("no schema of {} to merge by", op.resource.kind))),
        },
        Kind::Apply => unreachable!("apply patches are merged by field ownership"),
    };
    result.map_err(|error| match error {
        PatchError::BadRequest(message) => ApiError::bad_request(message),
        PatchError::Unprocessable(message) => ApiError::generic(422, "Invalid", &message),
    })
}

/// The live object with a configuration applied to it.
fn applied(
    op: &Op<'_>,
    write: &Write<'_>,
    live: Option<&Value>,
    document: &Parsed,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    let mut config = document.value.clone();
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let expected = op.resource.api_version();
    if text("apiVersion") != expected || text("kind") != op.resource.kind {
        let (group, version) = split_api_version(text("apiVersion"));
        return Err(ApiError::bad_request(format!("invalid object type: {group}/{version}, Kind={}", text("kind"))));
    }
    if meta::name(&config).is_empty() {
        meta::set(&mut config, "name", Some(Value::from(op.name.clone())));
    }
    check_name(op, &config)?;
    if let (None, Some(uid)) = (live, meta::uid(&config)) {
        let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(ApiError::conflict(&op.group_resource(), &op.name, &why));
    }
    let object = op
        .resource
        .apply(live, &config, write.writer(), write.options.force)
        .map_err(|error: ApplyError| ApiError::from_status(error.status()))?;
    // Fields that the kind does not have were refused by the merge, whatever the field validation.
    let faults = body::yaml_duplicates(&op.request.body, &document.duplicates);
    match write.options.validation {
        FieldValidation::Strict if !faults.is_empty() => {
            return Err(ApiError::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {}",
                faults.join(", ")
            )));
        }
        FieldValidation::Warn => warnings.extend(faults),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    body::decode(&op.resource, object).map(|(object, _)| object)
}
