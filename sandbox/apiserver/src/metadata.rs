//! The rules of `metadata` that hold for every kind.

use crate::kinds::definition::CLEANUP;
use crate::meta;
use crate::names;
use crate::registry::{NameRule, Resource};
use crate::schema::FieldError;
use crate::server::Inner;
use crate::status::ApiError;
use serde_json::{Value, json};

const IMMUTABLE: &str = "field is immutable";
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Sets the namespace of the request, and refuses another one.
pub(crate) fn match_namespace(resource: &Resource, namespace: &str, object: &mut Value) -> Result<(), ApiError> {
    let wanted = if resource.namespaced { namespace } else { "" };
    let found = meta::namespace(object);
    if found == wanted {
        return Ok(());
    }
    if wanted.is_empty() {
        meta::set(object, "namespace", None);
    } else if found.is_empty() {
        meta::set(object, "namespace", Some(Value::from(wanted)));
    } else {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Removes what a client may not set on a new object.
pub(crate) fn wipe(object: &mut Value) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        meta::set(object, field, None);
    }
}

/// Sets uid, creation time and a generated name.
pub(crate) fn fill(server: &Inner, object: &mut Value) {
    meta::set(object, "uid", Some(Value::from(server.ids.uid())));
    meta::set(object, "creationTimestamp", Some(Value::from(meta::time(server.now()))));
    let prefix = meta::text(object, "generateName").filter(|_| meta::text(object, "name").is_none());
    if let Some(name) = prefix.map(|prefix| server.ids.name(prefix)) {
        meta::set(object, "name", Some(Value::from(name)));
    }
}

/// Keeps what an update cannot change: uid, creation time, deletion.
pub(crate) fn carry_over(old: &Value, new: &mut Value) {
    let keep = |new: &mut Value, field: &str| {
        if let Some(value) = meta::field(old, field) {
            meta::set(new, field, Some(value.clone()));
        }
    };
    if meta::uid(new).is_none() {
        keep(new, "uid");
    }
    keep(new, "creationTimestamp");
    if meta::is_deleting(old) {
        keep(new, "deletionTimestamp");
    }
    if meta::grace_period(new).is_none() {
        keep(new, "deletionGracePeriodSeconds");
    }
}

/// Validates the metadata of any object.
pub(crate) fn validate(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = meta::name(object);
    let check = |name: &str| match resource.names {
        NameRule::Subdomain => names::dns_subdomain(name),
        NameRule::Label => names::dns_label(name),
        NameRule::Label1035 => names::dns_1035_label(name),
        NameRule::Path => names::path_segment(name),
    };
    if let Some(prefix) = meta::text(object, "generateName") {
        // A prefix may end in a dash or a dot: more letters follow.
        let masked = format!("{}a", prefix.trim_end_matches(['-', '.']));
        let masked = if prefix.ends_with(['-', '.']) { masked } else { prefix.to_owned() };
        errors.extend(
            check(&masked)
                .into_iter()
                .map(|why| FieldError::invalid("metadata.generateName", &Value::from(prefix), why)),
        );
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(check(name).into_iter().map(|why| FieldError::invalid("metadata.name", &Value::from(name), why)));
    }
    if resource.namespaced {
        let namespace = meta::namespace(object);
        errors.extend(
            names::dns_label(namespace)
                .into_iter()
                .map(|why| FieldError::invalid("metadata.namespace", &Value::from(namespace), why)),
        );
    }
    if meta::generation(object) < 0 {
        errors.push(FieldError::invalid(
            "metadata.generation",
            &json!(meta::generation(object)),
            "must be greater than or equal to 0",
        ));
    }
    labels(object, &mut errors);
    annotations(object, &mut errors);
    owners(object, &mut errors);
    finalizers(object, &mut errors);
    if !resource.is_custom() {
        unqualified(object, &mut errors);
    }
    errors
}

/// Finalizers of built-in kinds have a domain, unless they are the server's own.
fn unqualified(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, finalizer) in meta::finalizers(object).into_iter().enumerate() {
        if !finalizer.contains('/') && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion" | CLEANUP) {
            errors.push(FieldError::invalid(
                format!("metadata.finalizers[{index}]"),
                &Value::from(finalizer),
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
}

fn labels(object: &Value, errors: &mut Vec<FieldError>) {
    let Some(labels) = meta::field(object, "labels").and_then(Value::as_object) else {
        return;
    };
    for (key, value) in labels {
        let key_errors = names::qualified_name(key);
        errors.extend(
            key_errors.into_iter().map(|why| FieldError::invalid("metadata.labels", &Value::from(key.as_str()), why)),
        );
        let value_errors = names::label_value(value.as_str().unwrap_or_default());
        errors.extend(value_errors.into_iter().map(|why| FieldError::invalid("metadata.labels", value, why)));
    }
}

fn annotations(object: &Value, errors: &mut Vec<FieldError>) {
    let Some(annotations) = meta::field(object, "annotations").and_then(Value::as_object) else {
        return;
    };
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.as_str().map_or(0, str::len);
        errors.extend(
            names::qualified_name(&key.to_lowercase())
                .into_iter()
                .map(|why| FieldError::invalid("metadata.annotations", &Value::from(key.as_str()), why)),
        );
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError {
            kind: crate::schema::ErrorType::TooLong,
            field: "metadata.annotations".to_owned(),
            body: format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"),
        });
    }
}

fn owners(object: &Value, errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for owner in meta::owners(object) {
        let path = "metadata.ownerReferences";
        let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        for (field, what) in [("apiVersion", "version "), ("kind", ""), ("name", ""), ("uid", "")] {
            if text(field).is_empty() {
                // The server does not say which of the references it is.
                let at = format!("metadata.ownerReferences.{field}");
                errors.push(FieldError::invalid(at, &Value::from(""), format!("{what}must not be empty")));
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            errors.push(FieldError::invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.get("controller").and_then(Value::as_bool) == Some(true) {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => errors.push(FieldError::invalid(
                    "metadata.ownerReferences",
                    &Value::from(meta::owners(object).to_vec()),
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"),
                )),
                None => controller = Some(this),
            }
        }
    }
}

fn finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    let finalizers = meta::finalizers(object);
    for finalizer in &finalizers {
        errors.extend(
            names::qualified_name(finalizer)
                .into_iter()
                .map(|why| FieldError::invalid("metadata.finalizers", &Value::from(*finalizer), why)),
        );
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            &json!(finalizers),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

/// Validates what an update does to the metadata.
pub(crate) fn validate_update(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if meta::is_deleting(old) {
        let before = meta::finalizers(old);
        let mut extra: Vec<&str> = meta::finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
        extra.sort_unstable();
        if !extra.is_empty() {
            let list: Vec<String> = extra.iter().map(|f| format!("\"{f}\"")).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            ));
        }
    }
    if meta::generation(new) < meta::generation(old) {
        errors.push(FieldError::invalid(
            "metadata.generation",
            &json!(meta::generation(new)),
            "must not be decremented",
        ));
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (before, after) = (meta::field(old, field), meta::field(new, field));
        if before != after {
            errors.push(FieldError::invalid(format!("metadata.{field}"), after.unwrap_or(&Value::Null), IMMUTABLE));
        }
    }
    errors
}
