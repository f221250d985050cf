//! Defaults of pods and of pod templates.

use super::{Default, fill, fill_all};
use serde_json::Value;

const SPEC: &[Default] = &[
    ("restartPolicy", "\"Always\""),
    ("dnsPolicy", "\"ClusterFirst\""),
    ("terminationGracePeriodSeconds", "30"),
    ("securityContext", "{}"),
    ("schedulerName", "\"default-scheduler\""),
    ("volumes[].secret.defaultMode", "420"),
    ("volumes[].configMap.defaultMode", "420"),
    ("volumes[].downwardAPI.defaultMode", "420"),
    ("volumes[].downwardAPI.items[].fieldRef.apiVersion", "\"v1\""),
    ("volumes[].projected.defaultMode", "420"),
    ("volumes[].projected.sources[].serviceAccountToken.expirationSeconds", "3600"),
    ("volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion", "\"v1\""),
    ("volumes[].hostPath.type", "\"\""),
    ("volumes[].ephemeral.volumeClaimTemplate.spec.volumeMode", "\"Filesystem\""),
];

const CONTAINER: &[Default] = &[
    ("terminationMessagePath", "\"/dev/termination-log\""),
    ("terminationMessagePolicy", "\"File\""),
    ("resources", "{}"),
    ("ports[].protocol", "\"TCP\""),
    ("env[].valueFrom.fieldRef.apiVersion", "\"v1\""),
    ("lifecycle.postStart.httpGet.path", "\"/\""),
    ("lifecycle.postStart.httpGet.scheme", "\"HTTP\""),
    ("lifecycle.preStop.httpGet.path", "\"/\""),
    ("lifecycle.preStop.httpGet.scheme", "\"HTTP\""),
];

const PROBE: &[Default] = &[
    ("timeoutSeconds", "1"),
    ("periodSeconds", "10"),
    ("successThreshold", "1"),
    ("failureThreshold", "3"),
    ("httpGet.path", "\"/\""),
    ("httpGet.scheme", "\"HTTP\""),
    ("grpc.service", "\"\""),
];

/// All tables of this file.
#[cfg(test)]
pub(super) fn tables() -> impl Iterator<Item = &'static Default> {
    SPEC.iter().chain(CONTAINER).chain(PROBE)
}

/// A pod: what its spec has, and what only pods have.
pub(super) fn pod(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            requests_from_limits(container);
        }
    }
    fill(spec, "enableServiceLinks", "true");
    self::spec(spec);
}

/// The template in a spec.
pub(super) fn template(owner: &mut Value) {
    if let Some(inner) = owner.pointer_mut("/template/spec") {
        spec(inner);
    }
}

fn spec(spec: &mut Value) {
    fill_all(spec, SPEC);
    // The old name of the field, which the server keeps as a copy.
    if let Some(account) = spec.get("serviceAccountName").filter(|name| name.as_str() != Some("")).cloned() {
        spec["serviceAccount"] = account;
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        // A volume that names no source is an empty folder.
        if volume.as_object().is_some_and(|v| v.keys().all(|k| k == "name")) {
            volume["emptyDir"] = Value::Object(serde_json::Map::new());
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for item in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container(item);
        }
    }
}

fn container(container: &mut Value) {
    fill_all(container, CONTAINER);
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    let policy = if latest { "\"Always\"" } else { "\"IfNotPresent\"" };
    fill(container, "imagePullPolicy", policy);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            fill_all(probe, PROBE);
        }
    }
}

/// A container that limits a resource and requests none of it requests the limit.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else {
        return;
    };
    let requests = crate::meta::map_mut(&mut container["resources"], "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}
