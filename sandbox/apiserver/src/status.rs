//! Errors, as the API server words them: `v1/Status` with code, reason, message and details.

use crate::registry::Resource;
use crate::schema::FieldError;
use crate::store::GroupResource;
use serde_json::{Value, json};

/// An error answer.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: u16,
    reason: &'static str,
    message: String,
    details: Option<Value>,
    whole: Option<Value>,
    continue_token: Option<String>,
    plain: bool,
}

impl ApiError {
    /// An error with this HTTP code, reason and message.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            reason,
            message: message.into(),
            details: None,
            whole: None,
            continue_token: None,
            plain: false,
        }))
    }

    fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// An error whose `v1/Status` is made already.
    pub fn from_status(status: Value) -> Self {
        let code = status.get("code").and_then(Value::as_u64).and_then(|c| u16::try_from(c).ok()).unwrap_or(500);
        let message = status.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut error = Self::new(code, "", message);
        error.0.whole = Some(status);
        error
    }

    fn object(resource: &GroupResource, name: &str) -> Value {
        let mut details = json!({ "kind": resource.resource });
        if !name.is_empty() {
            details["name"] = Value::from(name);
        }
        if !resource.group.is_empty() {
            details["group"] = Value::from(resource.group.clone());
        }
        details
    }

    /// 404 for a path that nothing is served at: plain text, as the server's HTTP router answers it.
    pub fn page_not_found() -> Self {
        let mut error = Self::new(404, "NotFound", "404 page not found\n");
        error.0.plain = true;
        error
    }

    /// What the HTTP router of the server answers, which knows of no object: empty details.
    pub fn generic(code: u16, reason: &'static str, message: &str) -> Self {
        Self::new(code, reason, message).with_details(json!({}))
    }

    /// 404 for a resource that a built-in group does not have.
    pub fn no_resource() -> Self {
        Self::generic(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405 of a built-in resource.
    pub fn method_not_allowed() -> Self {
        Self::generic(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 404 for an object.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
            .with_details(Self::object(resource, name))
    }

    /// 409 for a name that is taken.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .with_details(Self::object(resource, name))
    }

    /// 409 with the reason why the operation cannot be fulfilled.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
            .with_details(Self::object(resource, name))
    }

    /// 409 of an update that was computed from another resource version.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{resource} \"{name}\" is forbidden: {why}"))
            .with_details(Self::object(resource, name))
    }

    /// Adds a cause to the details.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: &str, field: Option<&str>) -> Self {
        let mut cause = json!({ "reason": reason, "message": message });
        if let Some(field) = field {
            cause["field"] = Value::from(field);
        }
        let details = self.0.details.get_or_insert_with(|| json!({}));
        match details.get_mut("causes").and_then(Value::as_array_mut) {
            Some(causes) => causes.push(cause),
            None => details["causes"] = json!([cause]),
        }
        self
    }

    /// 422 for an object of a kind.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        Self::from_status(crate::schema::invalid_status(group, kind, name, errors))
    }

    /// 422 for an object of a resource's kind.
    pub fn invalid_object(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid(&resource.group, &resource.kind, name, errors)
    }

    /// 405.
    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Self {
        let mut details = json!({ "kind": resource.resource });
        if !resource.group.is_empty() {
            details["group"] = Value::from(resource.group.clone());
        }
        Self::new(405, "MethodNotAllowed", format!("{action} is not supported on resources of kind \"{resource}\""))
            .with_details(details)
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::new(406, "NotAcceptable", format!("only the following media types are accepted: {}", accepted.join(", ")))
    }

    /// 410 of a resource version that is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 504 of a resource version that is not reached yet.
    pub fn too_large_resource_version(asked: u64, current: u64) -> Self {
        Self::new(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {current}"))
            .with_details(json!({ "retryAfterSeconds": 1 }))
            .with_cause("ResourceVersionTooLarge", "Too large resource version", None)
    }

    /// 501: what the real API server has and this one does not.
    pub fn not_implemented(what: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", what)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with_details(json!({ "causes": [{ "message": message }] }))
    }

    /// HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the name was taken.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.0.reason == "AlreadyExists"
    }

    /// Puts text before the message.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        self.0.message = format!("{prefix}{}", self.0.message);
        self
    }

    /// Adds the token with which a list that expired may go on.
    pub(crate) fn with_continue(mut self, token: String) -> Self {
        self.0.continue_token = Some(token);
        self
    }

    /// Whether the answer is text and not a Status.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.plain
    }

    /// The `v1/Status`.
    pub fn status(&self) -> Value {
        if let Some(whole) = &self.0.whole {
            return whole.clone();
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.0.message, "code": self.0.code,
        });
        if !self.0.reason.is_empty() {
            status["reason"] = Value::from(self.0.reason);
        }
        if let Some(details) = &self.0.details {
            status["details"] = details.clone();
        }
        if let Some(token) = &self.0.continue_token {
            status["metadata"]["continue"] = Value::from(token.clone());
        }
        status
    }
}
