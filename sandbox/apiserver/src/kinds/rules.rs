//! Rules of services, secrets, claims and workloads that hold whenever they are written.

use crate::names;
use crate::schema::FieldError;
use base64::Engine;
use serde_json::Value;

/// Adds what is wrong with an object of this kind, new or changed.
pub(super) fn check(kind: &str, object: &Value, errors: &mut Vec<FieldError>) {
    match kind {
        "Service" => service(object, errors),
        "Secret" => secret(object, errors),
        "PersistentVolumeClaim" => claim(object, errors),
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => replicas(object, errors),
        _ => {}
    }
}

/// Why the data of a secret or config map is not base64, as the server's decoder words it.
pub(crate) fn not_base64(kind: &str, object: &Value) -> Option<String> {
    let field = match kind {
        "Secret" => "data",
        "ConfigMap" => "binaryData",
        _ => return None,
    };
    let texts = object.get(field)?.as_object()?.values().filter_map(Value::as_str);
    let faulty = texts.filter(|t| base64::engine::general_purpose::STANDARD.decode(t).is_err());
    let place = faulty.map(|t| {
        t.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))).unwrap_or(t.len())
    });
    let place = place.min()?;
    Some(format!("{kind} in version \"v1\" cannot be handled as a {kind}: illegal base64 data at input byte {place}"))
}

fn service(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headless = spec["clusterIP"].as_str() == Some("None");
    if ports.is_empty() && !headless && spec["type"].as_str() != Some("ExternalName") {
        errors.push(FieldError::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        number(&port["port"], &format!("{at}.port"), errors);
        match &port["targetPort"] {
            Value::String(name) => {
                let name_errors = if name.len() > 15 { names::dns_label(name) } else { Vec::new() };
                errors.extend(
                    name_errors
                        .into_iter()
                        .map(|w| FieldError::invalid(format!("{at}.targetPort"), &port["targetPort"], w)),
                );
            }
            target => number(target, &format!("{at}.targetPort"), errors),
        }
    }
}

fn number(value: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if value.as_i64().is_some_and(|n| !(1..=65535).contains(&n)) {
        errors.push(FieldError::invalid(at, value, "must be between 1 and 65535, inclusive"));
    }
}

fn claim(object: &Value, errors: &mut Vec<FieldError>) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in object["spec"]["accessModes"].as_array().into_iter().flatten() {
        if !mode.as_str().is_some_and(|m| MODES.contains(&m)) {
            errors.push(FieldError::not_supported("spec.accessModes", mode, &MODES));
        }
    }
    let storage = &object["spec"]["resources"]["requests"]["storage"];
    if storage.as_str().is_some_and(|s| s.starts_with('-') || s == "0") {
        errors.push(FieldError::invalid("spec.resources[storage]", storage, "must be greater than zero"));
    }
}

fn secret(object: &Value, errors: &mut Vec<FieldError>) {
    let wanted: &[&str] = match object["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        _ => &[],
    };
    for key in wanted {
        if object["data"].get(*key).is_none() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    }
}

fn replicas(object: &Value, errors: &mut Vec<FieldError>) {
    let value = &object["spec"]["replicas"];
    if value.as_i64().is_some_and(|n| n < 0) {
        errors.push(FieldError::invalid("spec.replicas", value, "must be greater than or equal to 0"));
    }
}
