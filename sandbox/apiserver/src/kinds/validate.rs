//! Rules of built-in kinds beyond their schema: what has to be there, what may not change.

use super::definition;
use super::rules;
use super::volumes::{claim, claim_update, volume, volume_update};
use crate::meta;
use crate::registry::Resource;
use crate::schema::{ErrorType, FieldError};
use serde_json::{Map, Value};

pub(super) const IMMUTABLE: &str = "field is immutable";

/// Validates a new object.
pub(crate) fn validate_create(resource: &Resource, new: &Value) -> Vec<FieldError> {
    if resource.is_custom() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    rules::check(&resource.kind, new, &mut errors);
    match resource.kind.as_str() {
        "CustomResourceDefinition" => errors = definition::validate(new, None),
        "PersistentVolumeClaim" => claim(new, &mut errors),
        "PersistentVolume" => volume(new, &mut errors),
        "Pod" => containers(new.get("spec").unwrap_or(&Value::Null), "spec", &mut errors),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => workload(new, &mut errors),
        "Lease" => lease(new, &mut errors),
        "ConfigMap" | "Secret" => {
            data_keys(new, &mut errors);
            data_size(new, if resource.kind == "Secret" { "data" } else { "[]" }, &mut errors);
        }
        _ => {}
    }
    errors
}

/// Validates an update.
pub(crate) fn validate_update(resource: &Resource, subresource: &str, old: &Value, new: &Value) -> Vec<FieldError> {
    if resource.is_custom() || !subresource.is_empty() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    rules::check(&resource.kind, new, &mut errors);
    match resource.kind.as_str() {
        "CustomResourceDefinition" => return definition::validate(new, Some(old)),
        "ConfigMap" => {
            frozen(old, new, &["data", "binaryData"], &mut errors);
            data_keys(new, &mut errors);
            data_size(new, "[]", &mut errors);
        }
        "Secret" => {
            same(old, new, "/type", "type", IMMUTABLE, &mut errors);
            frozen(old, new, &["data"], &mut errors);
            data_keys(new, &mut errors);
            data_size(new, "data", &mut errors);
        }
        "PersistentVolumeClaim" => claim_update(old, new, &mut errors),
        "PersistentVolume" => volume_update(old, new, &mut errors),
        "StorageClass" => {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                if old.get(field) != new.get(field) {
                    errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
                }
            }
            same(old, new, "/volumeBindingMode", "volumeBindingMode", IMMUTABLE, &mut errors);
        }
        "Deployment" | "DaemonSet" | "ReplicaSet" => {
            same(old, new, "/spec/selector", "spec.selector", IMMUTABLE, &mut errors);
        }
        "StatefulSet" => stateful_set_update(old, new, &mut errors),
        "Job" => {
            same(old, new, "/spec/selector", "spec.selector", IMMUTABLE, &mut errors);
            let suspended = old.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
            if !suspended {
                same(old, new, "/spec/template", "spec.template", IMMUTABLE, &mut errors);
            }
            same(old, new, "/spec/completionMode", "spec.completionMode", IMMUTABLE, &mut errors);
        }
        "Pod" => pod_update(old, new, &mut errors),
        "RoleBinding" | "ClusterRoleBinding" => {
            same(old, new, "/roleRef", "roleRef", "cannot change roleRef", &mut errors)
        }
        "VolumeAttachment" => same(old, new, "/spec", "spec", IMMUTABLE, &mut errors),
        "ControllerRevision" => same(old, new, "/data", "data", IMMUTABLE, &mut errors),
        "EndpointSlice" => same(old, new, "/addressType", "addressType", IMMUTABLE, &mut errors),
        "IngressClass" => same(old, new, "/spec/controller", "spec.controller", IMMUTABLE, &mut errors),
        "RuntimeClass" => same(old, new, "/handler", "handler", IMMUTABLE, &mut errors),
        "VolumeAttributesClass" => {
            same(old, new, "/driverName", "driverName", IMMUTABLE, &mut errors);
            same(old, new, "/parameters", "parameters", IMMUTABLE, &mut errors);
        }
        "PriorityClass" if old.get("value") != new.get("value") => {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        "Service" => service_update(old, new, &mut errors),
        "Lease" => lease(new, &mut errors),
        _ => {}
    }
    errors
}

pub(super) fn same(old: &Value, new: &Value, pointer: &str, field: &str, why: &str, errors: &mut Vec<FieldError>) {
    let (before, after) = (old.pointer(pointer), new.pointer(pointer));
    if before != after {
        errors.push(FieldError::invalid(field, after.unwrap_or(&Value::Null), why));
    }
}

/// A config map or secret that is marked immutable.
fn frozen(old: &Value, new: &Value, fields: &[&str], errors: &mut Vec<FieldError>) {
    if old.get("immutable").and_then(Value::as_bool) != Some(true) {
        return;
    }
    const WHY: &str = "field is immutable when `immutable` is set";
    if new.get("immutable").and_then(Value::as_bool) != Some(true) {
        errors.push(FieldError::forbidden("immutable", WHY));
    }
    for field in fields {
        if old.get(*field) != new.get(*field) {
            errors.push(FieldError::forbidden(*field, WHY));
        }
    }
}

fn data_keys(new: &Value, errors: &mut Vec<FieldError>) {
    for key in new.get("data").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k) {
        if new.get("binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            let why = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid(format!("data[{key}]"), &Value::from(key.as_str()), why));
        }
    }
    for field in ["data", "binaryData"] {
        for key in new.get(field).and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k) {
            let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !plain || key.is_empty() || key.len() > 253 || key == "." || key == ".." {
                errors.push(FieldError::invalid(
                    format!("{field}[{key}]"),
                    &Value::from(key.as_str()),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                ));
            }
        }
    }
}

/// Config maps and secrets hold at most 1 MiB.
fn data_size(new: &Value, field: &str, errors: &mut Vec<FieldError>) {
    const LIMIT: usize = 1024 * 1024;
    let size: usize = ["data", "binaryData"]
        .iter()
        .filter_map(|f| new.get(*f)?.as_object())
        .flatten()
        .map(|(_, v)| v.as_str().map_or(0, str::len))
        .sum();
    if size > LIMIT {
        errors.push(FieldError {
            kind: ErrorType::TooLong,
            field: field.to_owned(),
            body: format!("Too long: may not be more than {LIMIT} bytes"),
        });
    }
}

fn stateful_set_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |value: &Value| {
        let mut spec = spec(value);
        spec.retain(|k, _| !MUTABLE.contains(&k.as_str()));
        spec
    };
    if fixed(old) != fixed(new) {
        errors.push(FieldError::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}

/// Containers need names, one each.
fn containers(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let list = spec.get("containers").and_then(Value::as_array);
    if list.is_none_or(Vec::is_empty) {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for field in ["initContainers", "containers"] {
        for (index, container) in spec.get(field).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let at = format!("{path}.{field}[{index}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else {
                let why = crate::names::dns_label(name);
                errors
                    .extend(why.into_iter().map(|w| FieldError::invalid(format!("{at}.name"), &Value::from(name), w)));
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                errors.push(FieldError::required(format!("{at}.image"), ""));
            }
            if names.contains(&name) {
                errors.push(FieldError::duplicate(format!("{at}.name"), &Value::from(name)));
            }
            names.push(name);
        }
    }
}

const MISMATCH: &str = "`selector` does not match template `labels`";

/// A selector that selects the template's labels, and a template that makes pods.
fn workload(new: &Value, errors: &mut Vec<FieldError>) {
    let selector = new.pointer("/spec/selector");
    let labels = new.pointer("/spec/template/metadata/labels");
    match selector.and_then(Value::as_object) {
        None => {
            errors.push(FieldError::required("spec.selector", ""));
            if labels.is_none() {
                errors.push(FieldError::invalid("spec.template.metadata.labels", &Value::Null, MISMATCH));
            }
        }
        Some(map) if map.is_empty() => errors.push(FieldError::invalid(
            "spec.selector",
            &Value::Object(map.clone()),
            "empty selector is invalid for deployment",
        )),
        Some(map) => {
            let wanted = map.get("matchLabels").and_then(Value::as_object);
            let matches = wanted.into_iter().flatten().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v));
            if !matches {
                errors.push(FieldError::invalid(
                    "spec.template.metadata.labels",
                    labels.unwrap_or(&Value::Null),
                    MISMATCH,
                ));
            }
        }
    }
    let template = new.pointer("/spec/template/spec").unwrap_or(&Value::Null);
    containers(template, "spec.template.spec", errors);
}

fn pod_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let fixed = |value: &Value| {
        let mut spec = spec(value);
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(map) = container.as_object_mut() {
                    map.remove("image");
                    map.remove("imagePullPolicy");
                }
            }
        }
        for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            spec.remove(field);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        errors.push(FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}

fn service_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let ip = |value: &Value| value.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let external = new.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
    if !ip(old).is_empty() && ip(old) != ip(new) && !external {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &Value::from(vec![ip(new)]), "may not change once set"));
    }
}

fn lease(new: &Value, errors: &mut Vec<FieldError>) {
    for field in ["leaseDurationSeconds", "leaseTransitions"] {
        let least = i64::from(field == "leaseDurationSeconds");
        let value = new.pointer(&format!("/spec/{field}")).unwrap_or(&Value::Null);
        if value.as_i64().is_some_and(|n| n < least) {
            let why = if least == 1 { "must be greater than 0" } else { "must be greater than or equal to 0" };
            errors.push(FieldError::invalid(format!("spec.{field}"), value, why));
        }
    }
}

pub(super) fn spec(object: &Value) -> Map<String, Value> {
    object.get("spec").and_then(Value::as_object).cloned().unwrap_or_default()
}

pub(super) fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, field: &str) {
    match from.get(field) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}

/// The protected groups' mark on definitions, which is checked with the definition's other rules.
pub(super) fn approval(new: &Value, group: &str) -> Option<FieldError> {
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|g| group == *g || group.ends_with(&format!(".{g}")));
    let annotations = meta::field(new, "annotations");
    let approved = annotations
        .and_then(|a| a.get("api-approved.kubernetes.io"))
        .and_then(Value::as_str)
        .is_some_and(|text| text.starts_with("https://") || text.starts_with("unapproved"));
    (protected && !approved).then(|| {
        FieldError::required(
            "metadata.annotations[api-approved.kubernetes.io]",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        )
    })
}
