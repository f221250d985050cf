//! Patch: JSON, merge, strategic merge and apply.

use super::options::WriteOptions;
use super::update::{check_name, modify};
use super::{Answer, Op, Write, body};
use crate::apply::ApplyError;
use crate::meta;
use crate::patch::{PatchError, json_merge_patch, json_patch, strategic_merge_patch};
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
            _ => Err(ApiError::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ])),
        }
    }
}

pub(crate) fn patch(op: &Op<'_>, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    let kind = Kind::parse(op)?;
    let options = options(op, kind)?;
    let document = document(op, kind)?;
    let write = Write {
        server: op.server,
        resource: &op.resource,
        subresource: &op.subresource,
        options,
    };
    let upsert = kind == Kind::Apply && op.subresource.is_empty();
    let mut notes = Vec::new();
    // A patch that names a resourceVersion means that very one: then a conflict is not retried.
    let exact = kind != Kind::Json && meta::text(&document, "resourceVersion").is_some();
    let result = modify(&write, &op.key(), upsert, !exact, |live| {
        notes.clear();
        let mut object = match kind {
            Kind::Apply => applied(op, &write, live, &document, &mut notes)?,
            _ => {
                let live = live.ok_or_else(|| ApiError::not_found(&op.group_resource(), &op.name))?;
                let patched = patched(op, kind, live, &document)?;
                body::decode(&op.resource, patched, write.options.validation, &mut notes)?
            }
        };
        if meta::name(&object).is_empty() {
            meta::set(&mut object, "name", Some(Value::from(op.name.clone())));
        }
        if live.is_none() || kind != Kind::Apply {
            check_name(op, &object)?;
        }
        Ok(object)
    });
    warnings.append(&mut notes);
    let (stored, created) = result?;
    Ok(Answer::Object(if created { 201 } else { 200 }, stored))
}

pub(crate) fn options(op: &Op<'_>, kind: Kind) -> Result<WriteOptions, ApiError> {
    let options = WriteOptions::parse(op, "PatchOptions")?;
    let mut errors = Vec::new();
    if kind == Kind::Apply {
        if op.request.query.text("fieldManager").is_none() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
    } else if op.request.query.get("force").is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() {
        Ok(options)
    } else {
        Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &errors))
    }
}

/// The patch in the body.
pub(crate) fn document(op: &Op<'_>, kind: Kind) -> Result<Value, ApiError> {
    if kind == Kind::Apply {
        return body::yaml(&op.request.body).map_err(|e| {
            ApiError::bad_request(format!("error decoding YAML: {}", e.message()))
        });
    }
    let document: Value =
        serde_json::from_slice(&op.request.body).map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if kind != Kind::Json && !document.is_object() {
        return Err(ApiError::bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}",
        ));
    }
    Ok(document)
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
    result.map_err(|error| refused(op, &error))
}

fn refused(op: &Op<'_>, error: &PatchError) -> ApiError {
    match error {
        PatchError::BadRequest(message) => ApiError::bad_request(message.clone()),
        PatchError::Unprocessable(message) => {
            let error = ApiError::new(422, "Invalid", message.clone());
            let _ = op;
            error
        }
    }
}

fn applied(
    op: &Op<'_>,
    write: &Write<'_>,
    live: Option<&Value>,
    config: &Value,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    let mut config = config.clone();
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let expected = op.resource.api_version();
    if text("apiVersion").is_empty() || text("kind").is_empty() {
        return Err(ApiError::bad_request(
            "failed to create manager for existing fields: apiVersion and kind must be set in an apply configuration",
        ));
    }
    if text("apiVersion") != expected || text("kind") != op.resource.kind {
        return Err(ApiError::bad_request(format!(
            "incorrect version specified in apply patch. Specified patch version: {}, expected: {expected}",
            text("apiVersion")
        )));
    }
    let name = meta::name(&config).to_owned();
    if name.is_empty() {
        meta::set(&mut config, "name", Some(Value::from(op.name.clone())));
    } else if name != op.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            op.name
        )));
    }
    // Unknown fields are found before the configuration is merged: what is merged is what the kind knows.
    let mut probe = config.clone();
    let unknown = op.resource.prune(&mut probe);
    if !unknown.is_empty() && write.options.validation == super::options::FieldValidation::Strict {
        return Err(ApiError::bad_request(crate::schema::strict_decoding_message(&unknown)));
    }
    if write.options.validation == super::options::FieldValidation::Warn {
        warnings.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    }
    let mut object = op
        .resource
        .apply(live, &probe, write.writer(), write.options.force)
        .map_err(|error: ApplyError| ApiError::from_status(error.status()))?;
    op.resource.default(&mut object);
    Ok(object)
}
