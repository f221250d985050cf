//! The defaults of built-in kinds: what the server fills in when it decodes an object.
//!
//! A default is a path and a JSON text. A path whose parent is absent is left alone, `[]` stands for every element
//! of a list. [`pod`]: pods and pod templates, which have most of them.

mod pod;

use crate::registry::Resource;
use serde_json::{Value, json};

/// A path and the JSON that it defaults to.
type Default = (&'static str, &'static str);

const DEPLOYMENT: &[Default] = &[
    ("spec.replicas", "1"),
    ("spec.strategy", "{}"),
    ("spec.strategy.type", "\"RollingUpdate\""),
    ("spec.revisionHistoryLimit", "10"),
    ("spec.progressDeadlineSeconds", "600"),
];
const STATEFUL_SET: &[Default] = &[
    ("spec.podManagementPolicy", "\"OrderedReady\""),
    ("spec.updateStrategy", "{}"),
    ("spec.updateStrategy.type", "\"RollingUpdate\""),
    ("spec.replicas", "1"),
    ("spec.revisionHistoryLimit", "10"),
    ("status.replicas", "0"),
    ("status.availableReplicas", "0"),
    ("spec.persistentVolumeClaimRetentionPolicy", "{}"),
    ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "\"Retain\""),
    ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "\"Retain\""),
    ("spec.volumeClaimTemplates[].apiVersion", "\"v1\""),
    ("spec.volumeClaimTemplates[].kind", "\"PersistentVolumeClaim\""),
    ("spec.volumeClaimTemplates[].spec.volumeMode", "\"Filesystem\""),
    ("spec.volumeClaimTemplates[].status", "{\"phase\":\"Pending\"}"),
];
const DAEMON_SET: &[Default] = &[
    ("status.currentNumberScheduled", "0"),
    ("status.numberMisscheduled", "0"),
    ("status.desiredNumberScheduled", "0"),
    ("status.numberReady", "0"),
    ("spec.updateStrategy", "{}"),
    ("spec.updateStrategy.type", "\"RollingUpdate\""),
    ("spec.revisionHistoryLimit", "10"),
];
const JOB: &[Default] = &[
    ("spec.parallelism", "1"),
    ("spec.backoffLimit", "6"),
    ("spec.completionMode", "\"NonIndexed\""),
    ("spec.suspend", "false"),
    ("spec.manualSelector", "false"),
    ("spec.podReplacementPolicy", "\"TerminatingOrFailed\""),
];
const CRON_JOB: &[Default] = &[
    ("spec.concurrencyPolicy", "\"Allow\""),
    ("spec.suspend", "false"),
    ("spec.successfulJobsHistoryLimit", "3"),
    ("spec.failedJobsHistoryLimit", "1"),
];
const SERVICE: &[Default] = &[
    ("spec", "{}"),
    ("spec.sessionAffinity", "\"None\""),
    ("spec.type", "\"ClusterIP\""),
    ("spec.ports[].protocol", "\"TCP\""),
];
const CSI_DRIVER: &[Default] = &[
    ("spec", "{}"),
    ("spec.attachRequired", "true"),
    ("spec.podInfoOnMount", "false"),
    ("spec.storageCapacity", "false"),
    ("spec.fsGroupPolicy", "\"ReadWriteOnceWithFSType\""),
    ("spec.volumeLifecycleModes", "[\"Persistent\"]"),
    ("spec.requiresRepublish", "false"),
    ("spec.seLinuxMount", "false"),
];

fn table(kind: &str) -> &'static [Default] {
    match kind {
        "Deployment" => DEPLOYMENT,
        "StatefulSet" => STATEFUL_SET,
        "DaemonSet" => DAEMON_SET,
        "Job" => JOB,
        "CronJob" => CRON_JOB,
        "Service" => SERVICE,
        "CSIDriver" => CSI_DRIVER,
        "ReplicaSet" => &[("spec.replicas", "1"), ("status.replicas", "0")],
        "ReplicationController" => &[("spec.replicas", "1")],
        "PersistentVolumeClaim" => &[("spec.volumeMode", "\"Filesystem\"")],
        "PersistentVolume" => &[
            ("spec.volumeMode", "\"Filesystem\""),
            ("spec.persistentVolumeReclaimPolicy", "\"Retain\""),
            ("spec.hostPath.type", "\"\""),
        ],
        "StorageClass" => &[("reclaimPolicy", "\"Delete\""), ("volumeBindingMode", "\"Immediate\"")],
        "Secret" => &[("type", "\"Opaque\"")],
        "Endpoints" => &[("subsets[].ports[].protocol", "\"TCP\"")],
        "EndpointSlice" => &[("ports[].name", "\"\""), ("ports[].protocol", "\"TCP\"")],
        "PriorityClass" => &[("preemptionPolicy", "\"PreemptLowerPriority\"")],
        "HorizontalPodAutoscaler" => &[("spec.minReplicas", "1")],
        "RoleBinding" | "ClusterRoleBinding" => &[("roleRef.apiGroup", "\"rbac.authorization.k8s.io\"")],
        "NetworkPolicy" => &[
            ("spec", "{}"),
            ("spec.podSelector", "{}"),
            ("spec.ingress[].ports[].protocol", "\"TCP\""),
            ("spec.egress[].ports[].protocol", "\"TCP\""),
        ],
        _ => &[],
    }
}

/// Fills in what the server fills in when it decodes an object of a built-in kind.
pub(crate) fn default(resource: &Resource, object: &mut Value) {
    if resource.is_custom() {
        return;
    }
    let kind = resource.kind.as_str();
    fill_all(object, table(kind));
    match kind {
        "Pod" => pod::pod(object),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" => {
            if let Some(spec) = object.get_mut("spec") {
                pod::template(spec);
            }
        }
        "PodTemplate" => pod::template(object),
        "CronJob" => {
            if let Some(spec) = object.pointer_mut("/spec/jobTemplate/spec") {
                pod::template(spec);
            }
        }
        _ => {}
    }
    match kind {
        "Deployment" if is(object, "/spec/strategy/type", "RollingUpdate") => fill_all(
            object,
            &[
                ("spec.strategy.rollingUpdate", "{}"),
                ("spec.strategy.rollingUpdate.maxUnavailable", "\"25%\""),
                ("spec.strategy.rollingUpdate.maxSurge", "\"25%\""),
            ],
        ),
        "StatefulSet" if is(object, "/spec/updateStrategy/type", "RollingUpdate") => fill_all(
            object,
            &[("spec.updateStrategy.rollingUpdate", "{}"), ("spec.updateStrategy.rollingUpdate.partition", "0")],
        ),
        "DaemonSet" if is(object, "/spec/updateStrategy/type", "RollingUpdate") => fill_all(
            object,
            &[
                ("spec.updateStrategy.rollingUpdate", "{}"),
                ("spec.updateStrategy.rollingUpdate.maxUnavailable", "1"),
                ("spec.updateStrategy.rollingUpdate.maxSurge", "0"),
            ],
        ),
        // A job that says nothing is one pod; one that says how many run at a time may run for ever.
        "Job" if object.pointer("/spec/parallelism") == Some(&json!(1)) => fill(object, "spec.completions", "1"),
        "Service" => service(object),
        "NetworkPolicy" => {
            let egress = object.pointer("/spec/egress").is_some_and(|e| e.as_array().is_some_and(|l| !l.is_empty()));
            let types = if egress { "[\"Ingress\",\"Egress\"]" } else { "[\"Ingress\"]" };
            fill(object, "spec.policyTypes", types);
        }
        "RoleBinding" | "ClusterRoleBinding" => subjects(object),
        _ => {}
    }
}

/// The API group of subjects follows from their kind.
fn subjects(object: &mut Value) {
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            fill(subject, "apiGroup", "\"rbac.authorization.k8s.io\"");
        }
    }
}

fn service(object: &mut Value) {
    let ports = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let number = port["port"].clone();
        if port.get("targetPort").is_none_or(|t| t.as_i64() == Some(0) || t.as_str() == Some("")) {
            port["targetPort"] = number;
        }
    }
    let kind = object["spec"]["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        fill(object, "spec.internalTrafficPolicy", "\"Cluster\"");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill(object, "spec.externalTrafficPolicy", "\"Cluster\"");
    }
    if kind == "LoadBalancer" {
        fill(object, "spec.allocateLoadBalancerNodePorts", "true");
    }
    if is(object, "/spec/sessionAffinity", "ClientIP") {
        fill(object, "spec.sessionAffinityConfig", "{\"clientIP\":{\"timeoutSeconds\":10800}}");
    }
}

fn is(object: &Value, pointer: &str, text: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_str) == Some(text)
}

fn fill_all(object: &mut Value, defaults: &[Default]) {
    for (path, json) in defaults {
        fill(object, path, json);
    }
}

/// Fills in one default.
fn fill(object: &mut Value, path: &str, json: &str) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let Some(rest) = rest else {
        let empty = map.get(head).is_none_or(|v| v.is_null() || (v.as_str() == Some("") && json != "\"\""));
        if empty {
            // The table holds JSON; a text that is none fills in nothing, and the test of the table fails.
            if let Ok(value) = serde_json::from_str(json) {
                map.insert(head.to_owned(), value);
            }
        }
        return;
    };
    match head.strip_suffix("[]") {
        Some(name) => {
            for element in map.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
                fill(element, rest, json);
            }
        }
        None => {
            if let Some(inner) = map.get_mut(head) {
                fill(inner, rest, json);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fill, table};
    use serde_json::{Value, json};

    #[test]
    fn the_table_holds_json() {
        for kind in [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "CronJob",
            "Service",
            "CSIDriver",
            "NetworkPolicy",
            "PersistentVolume",
        ] {
            for (path, text) in table(kind) {
                assert!(serde_json::from_str::<Value>(text).is_ok(), "{kind} {path}");
            }
        }
        for (path, text) in super::pod::tables() {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{path}");
        }
    }

    #[test]
    fn paths_reach_into_lists_and_make_no_parents() {
        let mut value = json!({"a": [{"b": 1}, {}]});
        fill(&mut value, "a[].b", "2");
        fill(&mut value, "x.y", "3");
        assert_eq!(value, json!({"a": [{"b": 1}, {"b": 2}]}));
    }
}
