//! Columns of built-in kinds, as kubectl users know them.

use super::duration::human_duration;
use super::render::{Column, age};
use jiff::Timestamp;
use serde_json::{Value, json};

const TYPE: &str = "Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types";
const SECRET_DATA: &str = "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4";
const DATA: &str = "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.";

/// The columns of a kind; `None` when it has only Name and Age.
pub(super) fn columns(group: &str, kind: &str) -> Option<Vec<Column>> {
    let integer = |name: &str, cell: fn(&Value, Timestamp) -> Value| Column::made(name, "integer", 0, cell);
    let string = |name: &str, cell: fn(&Value, Timestamp) -> Value| Column::made(name, "string", 0, cell);
    let (middle, wide): (Vec<Column>, Vec<Column>) = match (group, kind) {
        ("", "Namespace") => (vec![Column::text("Status", 0, "/status/phase")], vec![]),
        ("", "Pod") => (
            vec![
                string("Ready", |o, _| pod_ready(o)),
                string("Status", |o, _| pod_status(o)),
                string("Restarts", |o, _| restarts(o)),
            ],
            vec![
                Column::made("IP", "string", 1, |o, _| or_none(o, "/status/podIP")),
                Column::made("Node", "string", 1, |o, _| or_none(o, "/spec/nodeName")),
                Column::made("Nominated Node", "string", 1, |o, _| or_none(o, "/status/nominatedNodeName")),
                Column::made("Readiness Gates", "string", 1, |o, _| readiness_gates(o)),
            ],
        ),
        ("", "PersistentVolumeClaim") => (
            vec![
                string("Status", |o, _| phase(o)),
                Column::text("Volume", 0, "/spec/volumeName"),
                string("Capacity", |o, _| bound_capacity(o)),
                string("Access Modes", |o, _| bound_modes(o)),
                Column::text("StorageClass", 0, "/spec/storageClassName"),
                string("VolumeAttributesClass", |o, _| or_unset(o, "/spec/volumeAttributesClassName")),
            ],
            vec![Column::text("VolumeMode", 1, "/spec/volumeMode")],
        ),
        ("", "PersistentVolume") => (
            vec![
                Column::text("Capacity", 0, "/spec/capacity/storage"),
                string("Access Modes", |o, _| json!(modes(o.pointer("/spec/accessModes")))),
                Column::text("Reclaim Policy", 0, "/spec/persistentVolumeReclaimPolicy"),
                string("Status", |o, _| phase(o)),
                string("Claim", |o, _| claim_of(o)),
                Column::text("StorageClass", 0, "/spec/storageClassName"),
                string("VolumeAttributesClass", |o, _| or_unset(o, "/spec/volumeAttributesClassName")),
                Column::text("Reason", 0, "/status/reason"),
            ],
            vec![Column::text("VolumeMode", 1, "/spec/volumeMode")],
        ),
        ("", "Secret") => {
            let data = string("Data", |o, _| json!(count(o, "/data")));
            (vec![Column::text("Type", 0, "/type").described(TYPE), data.described(SECRET_DATA)], vec![])
        }
        ("", "ConfigMap") => {
            let data = string("Data", |o, _| json!(count(o, "/data") + count(o, "/binaryData")));
            (vec![data.described(DATA)], vec![])
        }
        ("", "Service") => (
            vec![
                Column::text("Type", 0, "/spec/type"),
                string("Cluster-IP", |o, _| or_none(o, "/spec/clusterIP")),
                string("External-IP", |o, _| external_ip(o)),
                string("Port(s)", |o, _| ports(o)),
            ],
            vec![Column::made("Selector", "string", 1, |o, _| selector(o))],
        ),
        ("", "Node") => (vec![string("Status", |o, _| node_status(o)), string("Roles", |o, _| node_roles(o))], vec![]),
        ("" | "events.k8s.io", "Event") => return Some(event()),
        ("apps", "Deployment") => (
            vec![
                string("Ready", |o, _| fraction(o, "/status/readyReplicas", "/spec/replicas")),
                string("Up-to-date", |o, _| json!(number(o, "/status/updatedReplicas"))),
                string("Available", |o, _| json!(number(o, "/status/availableReplicas"))),
            ],
            of_template(true),
        ),
        ("apps", "ReplicaSet") => (
            vec![
                integer("Desired", |o, _| json!(number(o, "/spec/replicas"))),
                integer("Current", |o, _| json!(number(o, "/status/replicas"))),
                integer("Ready", |o, _| json!(number(o, "/status/readyReplicas"))),
            ],
            of_template(true),
        ),
        ("apps", "StatefulSet") => {
            let ready = string("Ready", |o, _| fraction(o, "/status/readyReplicas", "/spec/replicas"));
            (vec![ready], of_template(false))
        }
        ("apps", "DaemonSet") => (
            vec![
                integer("Desired", |o, _| json!(number(o, "/status/desiredNumberScheduled"))),
                integer("Current", |o, _| json!(number(o, "/status/currentNumberScheduled"))),
                integer("Ready", |o, _| json!(number(o, "/status/numberReady"))),
                integer("Up-to-date", |o, _| json!(number(o, "/status/updatedNumberScheduled"))),
                integer("Available", |o, _| json!(number(o, "/status/numberAvailable"))),
                string("Node Selector", |o, _| labels(o, "/spec/template/spec/nodeSelector")),
            ],
            of_template(true),
        ),
        ("batch", "Job") => (
            vec![
                string("Status", |o, _| job_status(o)),
                string("Completions", |o, _| fraction(o, "/status/succeeded", "/spec/completions")),
                string("Duration", job_duration),
            ],
            of_template(true),
        ),
        ("coordination.k8s.io", "Lease") => (vec![Column::text("Holder", 0, "/spec/holderIdentity")], vec![]),
        ("storage.k8s.io", "StorageClass") => (
            vec![
                Column::text("Provisioner", 0, "/provisioner"),
                string("ReclaimPolicy", |o, _| or(o, "/reclaimPolicy", "Delete")),
                string("VolumeBindingMode", |o, _| or(o, "/volumeBindingMode", "Immediate")),
                Column::made("AllowVolumeExpansion", "boolean", 0, |o, _| {
                    json!(o.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false))
                }),
            ],
            vec![],
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let created = Column::made("Created At", "date", 0, |o, _| {
                o.pointer("/metadata/creationTimestamp").cloned().unwrap_or(Value::Null)
            });
            return Some(vec![Column::name(), created]);
        }
        _ => return None,
    };
    let mut all = vec![Column::name()];
    all.extend(middle);
    all.push(Column::age());
    all.extend(wide);
    if (group, kind) == ("storage.k8s.io", "StorageClass") {
        all[0] = Column::made("Name", "string", 0, |o, _| class_name(o));
    }
    Some(all)
}

/// What every workload shows of its template, and of its selector.
fn of_template(with_selector: bool) -> Vec<Column> {
    let mut out = vec![
        Column::made("Containers", "string", 1, |o, _| of_containers(o, "/name")),
        Column::made("Images", "string", 1, |o, _| of_containers(o, "/image")),
    ];
    if with_selector {
        out.push(Column::made("Selector", "string", 1, |o, _| labels(o, "/spec/selector/matchLabels")));
    }
    out
}

fn of_containers(object: &Value, field: &str) -> Value {
    let found: Vec<&str> = items(object, "/spec/template/spec/containers").map(|c| text(c, field)).collect();
    json!(found.join(","))
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = count(pod, "/spec/readinessGates");
    if gates == 0 {
        return json!("<none>");
    }
    let holds = |gate: &&Value| condition(pod, text(gate, "/conditionType")) == Some("True");
    json!(format!("{}/{gates}", items(pod, "/spec/readinessGates").filter(holds).count()))
}

/// How long a job took, or has been running.
fn job_duration(job: &Value, now: Timestamp) -> Value {
    let time = |pointer: &str| job.pointer(pointer).and_then(Value::as_str)?.parse::<Timestamp>().ok();
    match (time("/status/startTime"), time("/status/completionTime")) {
        (None, _) => json!(""),
        (Some(start), end) => json!(human_duration(end.unwrap_or(now).as_second() - start.as_second())),
    }
}

fn event() -> Vec<Column> {
    vec![
        Column::made("Last Seen", "string", 0, |o, now| {
            let times = ["/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
            age(times.iter().find_map(|p| o.pointer(p).filter(|v| v.is_string())), now)
        }),
        Column::text("Type", 0, "/type"),
        Column::text("Reason", 0, "/reason"),
        Column::made("Object", "string", 0, |o, _| {
            let subject = o.get("involvedObject").or_else(|| o.get("regarding")).unwrap_or(&Value::Null);
            json!(format!("{}/{}", text(subject, "/kind").to_lowercase(), text(subject, "/name")))
        }),
        Column::made("Message", "string", 0, |o, _| {
            let message = o.get("message").or_else(|| o.get("note")).and_then(Value::as_str);
            json!(message.unwrap_or_default().trim())
        }),
        Column { priority: 1, ..Column::name() },
    ]
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn or(object: &Value, pointer: &str, otherwise: &str) -> Value {
    let found = text(object, pointer);
    json!(if found.is_empty() { otherwise } else { found })
}

fn or_none(object: &Value, pointer: &str) -> Value {
    or(object, pointer, "<none>")
}

fn or_unset(object: &Value, pointer: &str) -> Value {
    or(object, pointer, "<unset>")
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(fields)) => fields.len(),
        _ => 0,
    }
}

fn fraction(object: &Value, have: &str, want: &str) -> Value {
    let wanted = object.pointer(want).and_then(Value::as_i64).unwrap_or(1);
    json!(format!("{}/{wanted}", number(object, have)))
}

fn deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string)
}

fn items<'v>(object: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn phase(object: &Value) -> Value {
    json!(if deleting(object) { "Terminating" } else { text(object, "/status/phase") })
}

fn pod_ready(pod: &Value) -> Value {
    let ready = items(pod, "/status/containerStatuses").filter(|s| s.get("ready") == Some(&json!(true)));
    json!(format!("{}/{}", ready.count(), count(pod, "/spec/containers")))
}

fn pod_status(pod: &Value) -> Value {
    if deleting(pod) {
        return json!("Terminating");
    }
    let reason = items(pod, "/status/containerStatuses").find_map(|status| {
        ["/state/waiting/reason", "/state/terminated/reason"].iter().map(|p| text(status, p)).find(|r| !r.is_empty())
    });
    let own = text(pod, "/status/reason");
    json!(reason.unwrap_or(if own.is_empty() { text(pod, "/status/phase") } else { own }))
}

fn restarts(pod: &Value) -> Value {
    let total: i64 = items(pod, "/status/containerStatuses").map(|s| number(s, "/restartCount")).sum();
    json!(total.to_string())
}

/// Access modes in kubectl's short form, in its order.
fn modes(list: Option<&Value>) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| list.and_then(Value::as_array).is_some_and(|l| l.iter().any(|m| m.as_str() == Some(mode)));
    let short: Vec<&str> = SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",")
}

fn is_bound(claim: &Value) -> bool {
    !text(claim, "/spec/volumeName").is_empty()
}

fn bound_capacity(claim: &Value) -> Value {
    json!(if is_bound(claim) { text(claim, "/status/capacity/storage") } else { "" })
}

fn bound_modes(claim: &Value) -> Value {
    json!(if is_bound(claim) { modes(claim.pointer("/status/accessModes")) } else { String::new() })
}

fn claim_of(volume: &Value) -> Value {
    match volume.pointer("/spec/claimRef") {
        Some(claim) => json!(format!("{}/{}", text(claim, "/namespace"), text(claim, "/name"))),
        None => json!(""),
    }
}

fn external_ip(service: &Value) -> Value {
    let kind = text(service, "/spec/type");
    if kind == "ExternalName" {
        return json!(text(service, "/spec/externalName"));
    }
    let mut addresses: Vec<&str> = items(service, "/status/loadBalancer/ingress")
        .filter_map(|i| i.get("ip").or_else(|| i.get("hostname")).and_then(Value::as_str))
        .collect();
    addresses.extend(items(service, "/spec/externalIPs").filter_map(Value::as_str));
    if addresses.is_empty() {
        return json!(if kind == "LoadBalancer" { "<pending>" } else { "<none>" });
    }
    json!(addresses.join(","))
}

fn ports(service: &Value) -> Value {
    let shown: Vec<String> = items(service, "/spec/ports")
        .map(|p| {
            let protocol = or(p, "/protocol", "TCP");
            let protocol = protocol.as_str().unwrap_or("TCP");
            match number(p, "/nodePort") {
                0 => format!("{}/{protocol}", number(p, "/port")),
                node => format!("{}:{node}/{protocol}", number(p, "/port")),
            }
        })
        .collect();
    json!(if shown.is_empty() { "<none>".to_owned() } else { shown.join(",") })
}

fn selector(service: &Value) -> Value {
    labels(service, "/spec/selector")
}

fn labels(object: &Value, pointer: &str) -> Value {
    let pairs: Vec<String> = object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    json!(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") })
}

fn condition<'v>(object: &'v Value, kind: &str) -> Option<&'v str> {
    items(object, "/status/conditions").find(|c| text(c, "/type") == kind).map(|c| text(c, "/status"))
}

fn node_status(node: &Value) -> Value {
    let mut out = match condition(node, "Ready") {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node.pointer("/spec/unschedulable") == Some(&json!(true)) {
        out.push_str(",SchedulingDisabled");
    }
    json!(out)
}

fn node_roles(node: &Value) -> Value {
    let roles: Vec<&str> = node
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(label, _)| label.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    json!(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") })
}

fn job_status(job: &Value) -> Value {
    json!(if condition(job, "Complete") == Some("True") {
        "Complete"
    } else if condition(job, "Failed") == Some("True") {
        "Failed"
    } else if deleting(job) {
        "Terminating"
    } else if job.pointer("/spec/suspend") == Some(&json!(true)) {
        "Suspended"
    } else {
        "Running"
    })
}

fn class_name(class: &Value) -> Value {
    let is_default =
        class.pointer("/metadata/annotations").and_then(|a| a.get("storageclass.kubernetes.io/is-default-class"))
            == Some(&json!("true"));
    let name = text(class, "/metadata/name");
    json!(if is_default { format!("{name} (default)") } else { name.to_owned() })
}
