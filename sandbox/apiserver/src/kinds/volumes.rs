//! Rules of claims and volumes: what they need, and what may change once they are there.

use super::validate::{IMMUTABLE, copy, same, spec};
use crate::schema::FieldError;
use serde_json::{Map, Value};

/// What a new claim needs.
pub(super) fn claim(new: &Value, errors: &mut Vec<FieldError>) {
    let modes = new.pointer("/spec/accessModes").and_then(Value::as_array);
    if modes.is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if new.pointer("/spec/resources/requests/storage").is_none() {
        errors.push(FieldError::required("spec.resources[storage]", ""));
    }
}

pub(super) fn claim_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let (mut before, mut after) = (spec(old), spec(new));
    let unbound = before.get("volumeName").is_none_or(|v| v.as_str() == Some(""));
    // The binder sets the volume, once, and the class of a claim that has none.
    if unbound {
        copy(&after, &mut before, "volumeName");
        if !before.contains_key("storageClassName") {
            copy(&after, &mut before, "storageClassName");
        }
    }
    let bound = new.pointer("/status/phase").and_then(Value::as_str) == Some("Bound");
    let request =
        |spec: &Map<String, Value>| spec.get("resources").and_then(|r| r.pointer("/requests/storage")).cloned();
    if bound {
        if let Some(wanted) = request(&before)
            && let Some(requests) = after.get_mut("resources").and_then(|r| r.get_mut("requests")?.as_object_mut())
        {
            requests.insert("storage".to_owned(), wanted);
        }
        copy(&after, &mut before, "volumeAttributesClassName");
    }
    if before != after {
        errors.push(FieldError::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let size = |value: Option<Value>| value.and_then(|v| v.as_str().and_then(quantity));
    let capacity = new.pointer("/status/capacity/storage").cloned();
    let (wanted, given, has) = (size(request(&spec(new))), size(request(&spec(old))), size(capacity));
    if let (Some(wanted), Some(given)) = (wanted, given) {
        let less_than_capacity = has.is_none_or(|has| wanted < has);
        if wanted < given && less_than_capacity {
            errors.push(FieldError::forbidden(
                "spec.resources.requests.storage",
                "field can not be less than status.capacity",
            ));
        }
    }
}

/// A quantity in its unit, for comparing.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit)?.parse::<f64>().ok().map(|n| n * factor))
}

/// The fields of a volume's spec that are not its source.
const VOLUME_FIELDS: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn source(volume: &Value) -> Map<String, Value> {
    let mut source = spec(volume);
    source.retain(|k, _| !VOLUME_FIELDS.contains(&k.as_str()));
    if let Some(Value::Object(csi)) = source.get_mut("csi") {
        // References to secrets may be rotated.
        csi.retain(|k, _| !k.ends_with("SecretRef"));
    }
    source
}

pub(super) fn volume(new: &Value, errors: &mut Vec<FieldError>) {
    let modes = new.pointer("/spec/accessModes").and_then(Value::as_array);
    if modes.is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.accessModes", ""));
    }
    if new.pointer("/spec/capacity/storage").is_none() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    match source(new).len() {
        0 => errors.push(FieldError::required("spec", "must specify a volume type")),
        1 => {}
        _ => errors.push(FieldError::forbidden("spec", "may not specify more than 1 volume type")),
    }
}

pub(super) fn volume_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    if source(old) != source(new) {
        errors.push(FieldError::forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation",
        ));
    }
    same(old, new, "/spec/volumeMode", "spec.volumeMode", IMMUTABLE, errors);
    if old.pointer("/spec/nodeAffinity").is_some() {
        same(old, new, "/spec/nodeAffinity", "spec.nodeAffinity", IMMUTABLE, errors);
    }
}
