//! CustomResourceDefinitions: what is set, kept and checked when they are written.

use crate::meta;
use crate::registry::crd;
use crate::schema::FieldError;
use crate::server::Inner;
use crate::verbs::delete;
use serde_json::{Value, json};

/// The finalizer under which the instances are deleted.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A new definition: defaults of names and conversion, the stored versions.
pub(crate) fn prepare_create(object: &mut Value) {
    default(object);
    object["status"] = json!({
        "conditions": null, "acceptedNames": { "plural": "", "kind": "" }, "storedVersions": [crd::storage_version(object)],
    });
}

/// An update: the storage version is among the stored ones.
pub(crate) fn prepare_update(old: &Value, new: &mut Value) {
    default(new);
    let _ = old;
    let version = crd::storage_version(new);
    let status = meta::map_mut(new, "status");
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(list) = stored.as_array_mut()
        && !list.iter().any(|v| v.as_str() == Some(&version))
    {
        list.push(Value::from(version));
    }
}

/// Defaults of names and conversion.
pub(crate) fn default(object: &mut Value) {
    if !object["spec"].is_object() {
        return;
    }
    let kind = object["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = meta::map_mut(&mut object["spec"], "names");
    let mut absent = |field: &str, value: String| {
        if names.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            names.insert(field.to_owned(), Value::from(value));
        }
    };
    absent("singular", kind.to_lowercase());
    absent("listKind", format!("{kind}List"));
    if object["spec"].get("conversion").is_none_or(Value::is_null) {
        object["spec"]["conversion"] = json!({ "strategy": "None" });
    }
}

/// Marks a definition that is deleted: it waits for its instances, and says so.
pub(crate) fn mark(server: &Inner, object: &mut Value) {
    let generation = meta::field(object, "generation").cloned();
    delete::mark(server, object);
    meta::set(object, "generation", generation);
    let grace: Option<Value> = None;
    meta::set(object, "deletionGracePeriodSeconds", grace);
    let mut finalizers: Vec<String> = meta::finalizers(object).into_iter().map(str::to_owned).collect();
    if !finalizers.iter().any(|f| f == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    let names: Vec<&str> = finalizers.iter().map(String::as_str).collect();
    meta::set_finalizers(object, &names);
    set_condition(
        object,
        &meta::time(server.now()),
        "Terminating",
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    );
}

/// Sets a condition; its transition time moves only when its status does.
pub(crate) fn set_condition(object: &mut Value, now: &str, kind: &str, status: &str, reason: &str, message: &str) {
    let conditions = meta::map_mut(object, "status").entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else {
        return;
    };
    let mut condition = json!({
        "type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message,
    });
    match list.iter_mut().find(|c| c["type"].as_str() == Some(kind)) {
        Some(old) => {
            if old["status"].as_str() == Some(status) {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => list.push(condition),
    }
}

/// The status of a condition; `False` when it is absent.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["type"].as_str() == Some(kind))
        .and_then(|c| c["status"].as_str())
        .unwrap_or("False")
}

/// Validates a definition.
pub(crate) fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
    ] {
        if value.as_str().is_none_or(str::is_empty) {
            errors.push(FieldError::required(field, ""));
        }
    }
    if meta::name(new) != format!("{plural}.{group}") {
        errors.push(FieldError::invalid(
            "metadata.name",
            &Value::from(meta::name(new)),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    errors.extend(super::validate::approval(new, &group));
    match spec["scope"].as_str() {
        Some("Namespaced" | "Cluster") => {}
        Some(_) => errors.push(FieldError::not_supported("spec.scope", &spec["scope"], &["Cluster", "Namespaced"])),
        None => errors.push(FieldError::required("spec.scope", "")),
    }
    match spec.pointer("/conversion/strategy").and_then(Value::as_str) {
        Some("None" | "Webhook") | None => {}
        Some(_) => errors.push(FieldError::not_supported(
            "spec.conversion.strategy",
            &spec["conversion"]["strategy"],
            &["None", "Webhook"],
        )),
    }
    versions(new, &mut errors);
    if let Some(old) = old {
        immutable(old, new, &mut errors);
    }
    errors
}

fn versions(new: &Value, errors: &mut Vec<FieldError>) {
    let versions = crd::versions(new);
    let storage = versions.iter().filter(|v| v["storage"].as_bool() == Some(true)).count();
    if storage != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            &new["spec"]["versions"],
            "must have exactly one version marked as storage version",
        ));
    }
    if storage == 0 {
        errors.push(FieldError::invalid(
            "status.storedVersions",
            &Value::Null,
            "must have at least one stored version",
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = version["name"].as_str().unwrap_or_default();
        for why in crate::names::dns_1035_label(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), &Value::from(name), why));
        }
        if names.contains(&name) {
            errors.push(FieldError::invalid(
                "spec.versions",
                &new["spec"]["versions"],
                "must contain unique version names",
            ));
        }
        names.push(name);
        match version.pointer("/schema/openAPIV3Schema").filter(|s| s.is_object()) {
            None => errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), "")),
            Some(schema) => {
                if let Err(found) = crate::schema::StructuralSchema::from_crd(schema) {
                    // What all versions have in common is named once.
                    let place =
                        if versions.len() == 1 { "spec.validation".to_owned() } else { format!("{path}.schema") };
                    errors.extend(found.into_iter().map(|mut e| {
                        e.field = format!("{place}.{}", e.field);
                        e
                    }));
                }
            }
        }
    }
}

/// What an established definition may not change.
fn immutable(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    if condition(old, "Established") != "True" {
        return;
    }
    for (field, pointer) in [
        ("spec.group", "/spec/group"),
        ("spec.scope", "/spec/scope"),
        ("spec.names.kind", "/spec/names/kind"),
        ("spec.names.plural", "/spec/names/plural"),
    ] {
        let (before, after) = (old.pointer(pointer), new.pointer(pointer));
        if before != after {
            errors.push(FieldError::invalid(field, after.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
    let names: Vec<&str> = crd::versions(new).iter().filter_map(|v| v["name"].as_str()).collect();
    for (index, stored) in meta::strings(new.pointer("/status/storedVersions")).into_iter().enumerate() {
        if !names.contains(&stored) {
            errors.push(FieldError::invalid(
                format!("status.storedVersions[{index}]"),
                &Value::from(stored),
                "missing from spec.versions; it was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in this version and removes it from status.storedVersions",
            ));
        }
    }
}
