//! HorizontalPodAutoscalers: stored as `autoscaling/v2`, served as `v1` as well, which knows one metric only.
//!
//! What `v1` has no fields for is carried in annotations, as the real server does it.

use crate::meta;
use serde_json::{Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// From `v2` to `v1`.
pub(super) fn to_v1(object: &mut Value) {
    let (cpu, others) = split(take(object, "spec", "metrics"), "target", "averageUtilization");
    put(object, "spec", "targetCPUUtilizationPercentage", cpu);
    annotate(object, METRICS, others);
    let behavior = take(object, "spec", "behavior");
    annotate(object, BEHAVIOR, behavior);
    let (cpu, others) = split(take(object, "status", "currentMetrics"), "current", "averageUtilization");
    put(object, "status", "currentCPUUtilizationPercentage", cpu);
    annotate(object, CURRENT, others);
    let conditions = take(object, "status", "conditions");
    annotate(object, CONDITIONS, conditions);
}

/// From `v1` to `v2`.
pub(super) fn to_v2(object: &mut Value) {
    let cpu = |field: &str, percent: Value| {
        let mut resource = json!({ "name": "cpu" });
        resource[field] = json!({ "averageUtilization": percent });
        if field == "target" {
            resource[field]["type"] = Value::from("Utilization");
        }
        json!({ "type": "Resource", "resource": resource })
    };
    let mut metrics = annotation(object, METRICS).and_then(as_list).unwrap_or_default();
    metrics.extend(take(object, "spec", "targetCPUUtilizationPercentage").map(|p| cpu("target", p)));
    put(object, "spec", "metrics", (!metrics.is_empty()).then(|| Value::from(metrics)));
    let behavior = annotation(object, BEHAVIOR);
    put(object, "spec", "behavior", behavior);
    let mut current = annotation(object, CURRENT).and_then(as_list).unwrap_or_default();
    current.extend(take(object, "status", "currentCPUUtilizationPercentage").map(|p| cpu("current", p)));
    put(object, "status", "currentMetrics", (!current.is_empty()).then(|| Value::from(current)));
    let conditions = annotation(object, CONDITIONS);
    put(object, "status", "conditions", conditions);
}

fn as_list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        _ => None,
    }
}

fn take(object: &mut Value, part: &str, field: &str) -> Option<Value> {
    object.get_mut(part)?.as_object_mut()?.remove(field)
}

fn put(object: &mut Value, part: &str, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[part][field] = value;
    }
}

/// The utilization of the CPU, which `v1` has a field for, and the other metrics.
fn split(metrics: Option<Value>, part: &str, field: &str) -> (Option<Value>, Option<Value>) {
    let mut cpu = None;
    let mut others = Vec::new();
    for metric in metrics.and_then(as_list).unwrap_or_default() {
        let resource = &metric["resource"];
        let percent = resource[part].get(field).filter(|_| resource["name"] == "cpu");
        match percent {
            Some(percent) if cpu.is_none() => cpu = Some(percent.clone()),
            _ => others.push(metric),
        }
    }
    (cpu, (!others.is_empty()).then(|| Value::from(others)))
}

fn annotate(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object["metadata"]["annotations"][name] = Value::from(value.to_string());
    }
}

/// Takes an annotation, read as JSON.
fn annotation(object: &mut Value, name: &str) -> Option<Value> {
    let annotations = object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    let value = serde_json::from_str(annotations.get(name)?.as_str()?).ok()?;
    annotations.remove(name);
    if annotations.is_empty() {
        meta::set(object, "annotations", None);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{to_v1, to_v2};
    use serde_json::json;

    #[test]
    fn nothing_is_lost_on_the_way_there_and_back() {
        let metric = |name: &str| {
            let target = json!({ "type": "Utilization", "averageUtilization": 80 });
            json!({ "type": "Resource", "resource": { "name": name, "target": target } })
        };
        let stored = json!({
            "metadata": { "name": "a" },
            "spec": { "maxReplicas": 3, "metrics": [metric("memory"), metric("cpu")], "behavior": { "scaleUp": {} } },
            "status": { "conditions": [{ "type": "AbleToScale" }] },
        });
        let mut object = stored.clone();
        to_v1(&mut object);
        assert_eq!(object["spec"], json!({ "maxReplicas": 3, "targetCPUUtilizationPercentage": 80 }));
        to_v2(&mut object);
        assert_eq!(object, stored);
    }
}
