//! Field errors, worded as apimachinery's `field.Error` words them, and the Status that carries them.

use serde_json::{Value, json};
use std::fmt;

/// The kind of a field error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// `FieldValueNotFound`: a value that names something that is not there.
    NotFound,
    /// `FieldValueRequired`: a required value is absent.
    Required,
    /// `FieldValueDuplicate`: a value that must be unique is there twice.
    Duplicate,
    /// `FieldValueInvalid`: a malformed value.
    Invalid,
    /// `FieldValueNotSupported`: not one of an enumeration.
    NotSupported,
    /// `FieldValueForbidden`: not allowed under these conditions.
    Forbidden,
    /// `FieldValueTooLong`: a string that is too long.
    TooLong,
    /// `FieldValueTooMany`: a list or map with too many members.
    TooMany,
    /// `InternalError`.
    Internal,
    /// `FieldValueTypeInvalid`: of the wrong type.
    TypeInvalid,
}

impl ErrorType {
    /// The machine-readable reason of the Status cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One error at one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its kind.
    pub kind: ErrorType,
    /// Path, `spec.list[0].name`.
    pub field: String,
    /// The text without the path: `Invalid value: "x": must be an integer`.
    pub body: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

impl FieldError {
    fn with_value(kind: ErrorType, field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let mut body = format!("{}: {}", kind.words(), shown(value));
        if !detail.is_empty() {
            body.push_str(": ");
            body.push_str(detail);
        }
        Self { kind, field: field.into(), body }
    }

    fn without_value(kind: ErrorType, field: impl Into<String>, detail: &str) -> Self {
        let mut body = kind.words().to_owned();
        if !detail.is_empty() {
            body.push_str(": ");
            body.push_str(detail);
        }
        Self { kind, field: field.into(), body }
    }

    /// `Invalid value: <value>: <detail>`.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        Self::with_value(ErrorType::Invalid, field, value, &detail.into())
    }

    /// `Invalid value: <detail>`, of a value that is not shown.
    pub fn invalid_unshown(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::without_value(ErrorType::Invalid, field, &detail.into())
    }

    /// `Invalid value`, for a value of the wrong type.
    pub fn type_invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        Self::with_value(ErrorType::TypeInvalid, field, value, &detail.into())
    }

    /// `Not found: <value>`.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::with_value(ErrorType::NotFound, field, value, "")
    }

    /// `Required value`; `detail` may be empty.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::without_value(ErrorType::Required, field, &detail.into())
    }

    /// `Forbidden: <detail>`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::without_value(ErrorType::Forbidden, field, &detail.into())
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::with_value(ErrorType::Duplicate, field, value, "")
    }

    /// `Unsupported value: <value>: supported values: ...`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<String> = supported.iter().map(|s| quote(s)).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        Self::with_value(ErrorType::NotSupported, field, value, &detail)
    }

    /// `Too long`, of a string of more than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::without_value(ErrorType::TooLong, field, &format!("may not be more than {max} {unit}"))
    }

    /// `Too many: <actual>: must have at most <max> items`.
    pub fn too_many(field: impl Into<String>, actual: u64, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::with_value(ErrorType::TooMany, field, &json!(actual), &format!("must have at most {max} {unit}"))
    }
}

/// A string in double quotes, escaped as Go's `%q` does for printable text.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => quote(s),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// The 422 `v1/Status` of a list of errors: reason `Invalid`, message `Kind.group "name" is invalid: ...`, a cause for
/// each error.
pub fn invalid_status(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Value {
    let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut lines: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let line = error.to_string();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let tail = match lines.as_slice() {
        [] => String::new(),
        [one] => format!(": {one}"),
        many => format!(": [{}]", many.join(", ")),
    };
    let causes: Vec<Value> =
        errors.iter().map(|e| json!({"reason": e.kind.reason(), "message": e.body, "field": e.field})).collect();
    let mut details = json!({});
    for (field, text) in [("name", name), ("group", group), ("kind", kind)] {
        if !text.is_empty() {
            details[field] = json!(text);
        }
    }
    if !causes.is_empty() {
        details["causes"] = json!(causes);
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("{qualified} {} is invalid{tail}", quote(name)),
        "reason": "Invalid",
        "details": details,
        "code": 422,
    })
}

/// Message of the 400 that answers `fieldValidation=Strict`, from the paths that `prune` returned. The warnings of
/// `fieldValidation=Warn` are its parts: `unknown field "spec.foo"`.
pub fn strict_decoding_message(unknown: &[String]) -> String {
    let parts: Vec<String> = unknown.iter().map(|path| format!("unknown field {}", quote(path))).collect();
    format!("strict decoding error: {}", parts.join(", "))
}
