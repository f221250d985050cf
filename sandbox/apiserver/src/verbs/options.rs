//! The options of writes.

use super::Op;
use crate::schema::FieldError;
use crate::status::ApiError;
use serde_json::{Value, json};

/// What to do with fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of a create, update or patch.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub dry_run: bool,
    pub manager: String,
    pub api_version: String,
    pub validation: FieldValidation,
    pub force: bool,
    /// Set for an apply, which records the ownership of fields itself.
    pub applied: bool,
    /// Set for a patch, which has no uid as a precondition.
    pub patched: bool,
}

impl WriteOptions {
    /// From the query of a request; `kind` names the options in errors (`CreateOptions`).
    pub(crate) fn parse(op: &Op<'_>, kind: &str) -> Result<Self, ApiError> {
        let query = &op.request.query;
        let mut errors = Vec::new();
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let manager = match query.text("fieldManager") {
            Some(manager) => {
                if manager.len() > 128 {
                    errors.push(FieldError::invalid(
                        "fieldManager",
                        &Value::from(manager),
                        "may not be more than 128 bytes",
                    ));
                }
                if let Some((at, odd)) = manager.char_indices().find(|(_, c)| c.is_control()) {
                    let why = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
                    errors.push(FieldError::invalid("fieldManager", &Value::from(manager), why));
                }
                manager.to_owned()
            }
            None => op.request.user_agent().chars().take(128).collect(),
        };
        let validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                errors.push(FieldError::not_supported(
                    "fieldValidation",
                    &Value::from(other),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", kind, "", &errors));
        }
        Ok(Self {
            dry_run,
            manager,
            api_version: op.resource.api_version(),
            validation,
            force: query.flag("force"),
            applied: false,
            patched: false,
        })
    }

    /// Options of a controller inside the server.
    pub(crate) fn internal(manager: &str, api_version: String) -> Self {
        Self {
            dry_run: false,
            manager: manager.to_owned(),
            api_version,
            validation: FieldValidation::Ignore,
            force: false,
            applied: false,
            patched: false,
        }
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) -> bool {
    let values: Vec<&str> = values.collect();
    if values.is_empty() {
        return false;
    }
    for value in &values {
        if *value != "All" {
            errors.push(FieldError::not_supported("dryRun", &json!(values), &["All"]));
            break;
        }
    }
    true
}

/// How dependents are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// `DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub dry_run: bool,
    pub grace_period: Option<i64>,
    pub propagation: Option<Propagation>,
    /// The old form of `propagation`, which decides between 200 and 202.
    pub orphan_dependents: Option<bool>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// From the body, or from the query when there is none.
    pub(crate) fn parse(op: &Op<'_>) -> Result<Self, ApiError> {
        let query = &op.request.query;
        let body = if op.request.body.is_empty() {
            json!({
                "dryRun": query.all("dryRun").collect::<Vec<_>>(),
                "propagationPolicy": query.text("propagationPolicy"),
                "gracePeriodSeconds": query.number("gracePeriodSeconds")?,
                "orphanDependents": query.get("orphanDependents").map(|_| query.flag("orphanDependents")),
            })
        } else {
            super::body::parse(op.request)?
        };
        if body.get("kind").and_then(Value::as_str).is_some_and(|kind| kind != "DeleteOptions") {
            return Err(ApiError::bad_request("decoded object cannot be converted to DeleteOptions"));
        }
        let mut errors = Vec::new();
        let mut options = Self {
            grace_period: body.get("gracePeriodSeconds").and_then(Value::as_i64),
            orphan_dependents: body.get("orphanDependents").and_then(Value::as_bool),
            uid: text(&body, "uid"),
            resource_version: text(&body, "resourceVersion"),
            ..Self::default()
        };
        if let Some(list) = body.get("dryRun").and_then(Value::as_array) {
            options.dry_run = dry_run(list.iter().filter_map(Value::as_str), &mut errors);
        }
        options.propagation = match body.get("propagationPolicy").and_then(Value::as_str) {
            None => options
                .orphan_dependents
                .map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                errors.push(FieldError::not_supported(
                    "propagationPolicy",
                    &Value::from(other),
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
                None
            }
        };
        if options.orphan_dependents.is_some() && body.get("propagationPolicy").is_some_and(Value::is_string) {
            errors.push(FieldError::invalid(
                "propagationPolicy",
                &body["propagationPolicy"],
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
        }
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body.get("preconditions")?.get(name)?.as_str().map(str::to_owned)
}
