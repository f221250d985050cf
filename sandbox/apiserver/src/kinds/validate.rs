//! Rules of built-in kinds beyond their schema.

use super::definition;
use crate::registry::Resource;
use crate::schema::FieldError;
use serde_json::Value;

/// Validates a new object.
pub(crate) fn validate_create(resource: &Resource, new: &Value) -> Vec<FieldError> {
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        return definition::validate(new, None);
    }
    Vec::new()
}

/// Validates an update.
pub(crate) fn validate_update(resource: &Resource, subresource: &str, old: &Value, new: &Value) -> Vec<FieldError> {
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") && subresource.is_empty() {
        return definition::validate(new, Some(old));
    }
    Vec::new()
}
