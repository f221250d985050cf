//! What the server sets and keeps when an object is written.

use super::definition;
use crate::meta;
use crate::registry::{Generation, Resource};
use crate::server::Inner;
use crate::store::GroupResource;
use serde_json::{Value, json};

/// Prepares a new object: no status from the client, first generation, what the kind starts with.
pub(crate) fn prepare_create(server: &Inner, resource: &Resource, object: &mut Value) {
    if let Some(map) = object.as_object_mut().filter(|_| resource.status && !resource.is("", "Node")) {
        map.remove("status");
    }
    // Kinds without generations keep what the client says.
    if resource.generation != Generation::None {
        meta::set(object, "generation", Some(Value::from(1)));
    }
    if resource.is_custom() {
        return;
    }
    match resource.kind.as_str() {
        "Namespace" => {
            let mut finalizers =
                meta::strings(object.pointer("/spec/finalizers")).into_iter().map(str::to_owned).collect::<Vec<_>>();
            if !finalizers.iter().any(|f| f == "kubernetes") {
                finalizers.push("kubernetes".to_owned());
            }
            object["spec"] = json!({ "finalizers": finalizers });
            object["status"] = json!({ "phase": "Active" });
            name_label(object);
        }
        "Pod" => {
            object["status"] = json!({ "phase": "Pending", "qosClass": quality_of_service(object) });
            admit_pod(object);
        }
        "PersistentVolume" => {
            object["status"] = json!({
                "phase": "Pending", "lastPhaseTransitionTime": meta::time(server.now()),
            });
        }
        "PersistentVolumeClaim" => {
            object["status"] = json!({ "phase": "Pending" });
            default_class(server, object);
        }
        "Service" => {
            object["status"] = json!({ "loadBalancer": {} });
            allocate_address(server, object);
        }
        "Job" => {
            object["status"] = json!({});
            job_selector(object);
        }
        "Ingress" => object["status"] = json!({ "loadBalancer": {} }),
        "Secret" => string_data(object),
        "CustomResourceDefinition" => definition::prepare_create(object),
        // What Go shows though it is zero.
        "StatefulSet" => object["status"] = json!({ "replicas": 0, "availableReplicas": 0 }),
        "ReplicaSet" | "ReplicationController" => object["status"] = json!({ "replicas": 0 }),
        "DaemonSet" => {
            object["status"] = json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
            });
        }
        "Deployment" | "CronJob" | "ResourceQuota" => object["status"] = json!({}),
        _ => {}
    }
}

/// What the server's decoder fills in, so that it belongs to whoever sends the object.
pub(crate) fn early(resource: &Resource, object: &mut Value) {
    if resource.is("", "Secret") {
        string_data(object);
    }
    if resource.is("", "Namespace") && !meta::name(object).is_empty() {
        name_label(object);
    }
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        definition::default(object);
    }
}

/// Prepares an update: what the subresource may not touch is as it was, and the generation goes up when it has to.
pub(crate) fn prepare_update(server: &Inner, resource: &Resource, subresource: &str, old: &Value, new: &mut Value) {
    match subresource {
        "status" => return status_update(resource, old, new),
        "approval" => return approval_update(old, new),
        "finalize" => {
            let finalizers = new.pointer("/spec/finalizers").cloned();
            let kept = ["managedFields", "resourceVersion"].map(|f| (f, meta::field(new, f).cloned()));
            *new = old.clone();
            for (field, value) in kept {
                meta::set(new, field, value);
            }
            let spec = meta::map_mut(new, "spec");
            match finalizers {
                Some(list) if list.as_array().is_some_and(|l| !l.is_empty()) => spec.insert("finalizers".into(), list),
                _ => spec.remove("finalizers"),
            };
            return;
        }
        _ => {}
    }
    if resource.status {
        meta::copy_field(old, new, "status");
    }
    if !resource.is_custom() {
        match resource.kind.as_str() {
            // Finalizers of the spec go through the subresource finalize.
            "Namespace" => {
                meta::copy_field(old, new, "spec");
                name_label(new);
            }
            "Secret" => string_data(new),
            // A request is decided on, not changed.
            "CertificateSigningRequest" => meta::copy_field(old, new, "spec"),
            "Service" => keep_address(old, new),
            "CustomResourceDefinition" => definition::prepare_update(old, new),
            _ => {}
        }
    }
    let _ = server;
    if changes_generation(resource, old, new) {
        meta::set(new, "generation", Some(Value::from(meta::generation(old) + 1)));
    }
}

/// A status write: nothing else changes. In custom resources that includes the metadata, in built-in kinds the metadata
/// may change, but not the owners.
fn status_update(resource: &Resource, old: &Value, new: &mut Value) {
    if resource.is_custom() || resource.kind == "CustomResourceDefinition" {
        let mut result = old.clone();
        meta::copy_field(new, &mut result, "status");
        for field in ["managedFields", "resourceVersion"] {
            meta::set(&mut result, field, meta::field(new, field).cloned());
        }
        *new = result;
        return;
    }
    let fields: Vec<String> =
        old.as_object().into_iter().chain(new.as_object()).flat_map(|m| m.keys().cloned()).collect();
    for field in fields {
        if !matches!(field.as_str(), "metadata" | "status") {
            meta::copy_field(old, new, &field);
        }
    }
    if resource.kind == "Pod" {
        let owners = meta::field(old, "ownerReferences").cloned();
        meta::set(new, "ownerReferences", owners);
    }
    if matches!(resource.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet") {
        let labels = meta::field(old, "labels").cloned();
        meta::set(new, "labels", labels);
    }
}

/// An approval: what approves, denies or fails a request changes, and nothing else.
fn approval_update(old: &Value, new: &mut Value) {
    let decides = |c: &&Value| matches!(c["type"].as_str(), Some("Approved" | "Denied" | "Failed"));
    let list =
        |value: &Value| value.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let (before, after) = (list(old), list(new));
    let mut conditions: Vec<Value> = before.iter().filter(|c| !decides(c)).cloned().collect();
    conditions.extend(after.iter().filter(decides).cloned());
    let managed: Vec<(&str, Option<Value>)> =
        ["managedFields", "resourceVersion"].map(|f| (f, meta::field(new, f).cloned())).to_vec();
    *new = old.clone();
    for (field, value) in managed {
        meta::set(new, field, value);
    }
    new["status"]["conditions"] = Value::from(conditions);
}

fn changes_generation(resource: &Resource, old: &Value, new: &Value) -> bool {
    let differs = |field: &str| old.get(field) != new.get(field);
    match resource.generation {
        Generation::None => false,
        Generation::Spec if resource.kind == "EndpointSlice" || resource.kind == "PriorityClass" => {
            content_differs(old, new)
        }
        Generation::Spec => differs(if resource.kind == "PodTemplate" { "template" } else { "spec" }),
        Generation::SpecAndAnnotations => {
            differs("spec") || meta::field(old, "annotations") != meta::field(new, "annotations")
        }
        // The status was put back when there is a status subresource: what is left differs by the client's doing.
        Generation::Content => content_differs(old, new),
    }
}

fn content_differs(old: &Value, new: &Value) -> bool {
    let content = |value: &Value| {
        value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(k, _)| k.as_str() != "metadata")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>()
    };
    content(old) != content(new)
}

/// Every namespace carries its name as a label, so that selectors can name it.
fn name_label(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = Value::from(name);
}

/// What the admission plugins Priority and DefaultTolerationSeconds put into every pod.
fn admit_pod(pod: &mut Value) {
    let spec = meta::map_mut(pod, "spec");
    if !spec.contains_key("priorityClassName") {
        spec.entry("priority").or_insert_with(|| json!(0));
        spec.entry("preemptionPolicy").or_insert_with(|| json!("PreemptLowerPriority"));
    }
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Some(list) = tolerations.as_array_mut() {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let tolerated = list.iter().any(|t| {
                t["key"].as_str().is_none_or(|k| k.is_empty() || k == key)
                    && t["effect"].as_str().is_none_or(|e| e.is_empty() || e == "NoExecute")
            });
            if !tolerated {
                list.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
            }
        }
    }
}

/// What the admission plugin DefaultStorageClass does: a claim that names no class (and does not ask for none with an
/// empty name) gets the default one, the newest when there are several.
fn default_class(server: &Inner, claim: &mut Value) {
    const MARKS: [&str; 2] =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    if claim["spec"].get("storageClassName").is_some() {
        return;
    }
    let classes = server.store.list(&GroupResource::new("storage.k8s.io", "storageclasses"), None).0;
    let marked = |class: &Value| {
        let annotations = meta::field(class, "annotations");
        MARKS.iter().any(|m| annotations.and_then(|a| a.get(*m)?.as_str()) == Some("true"))
    };
    // Of the same age the one whose name comes first.
    let newest = classes.iter().filter(|c| marked(&c.value)).max_by_key(|c| {
        (meta::text(&c.value, "creationTimestamp").map(str::to_owned), std::cmp::Reverse(c.key.name.clone()))
    });
    if let Some(class) = newest {
        claim["spec"]["storageClassName"] = Value::from(class.key.name.clone());
    }
}

/// The selector of a job that brings none: its own uid, which its pods carry.
fn job_selector(job: &mut Value) {
    if job["spec"]["manualSelector"].as_bool() == Some(true) {
        return;
    }
    let (uid, name) = (meta::uid(job).unwrap_or_default().to_owned(), meta::name(job).to_owned());
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    for (label, value) in labels {
        job["spec"]["template"]["metadata"]["labels"][label] = Value::from(value.as_str());
    }
    if job["spec"].get("selector").is_none() {
        job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = Value::from(uid);
    }
}

/// Gives a service an address of 10.96.0.0/16, unless it has one, or wants none.
fn allocate_address(server: &Inner, service: &mut Value) {
    let spec = meta::map_mut(service, "spec");
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        return;
    }
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = if wanted.is_empty() { server.next_address() } else { wanted };
    spec.insert("clusterIP".to_owned(), Value::from(address.clone()));
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
}

/// An update that leaves out what the server has given to a service keeps it.
fn keep_address(old: &Value, new: &mut Value) {
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let absent = new["spec"].get(field).is_none_or(|v| v.as_str() == Some(""));
        if let (true, Some(value)) = (absent, old["spec"].get(field)) {
            new["spec"][field] = value.clone();
        }
    }
}

/// `stringData` of a Secret goes into `data`.
fn string_data(object: &mut Value) {
    use base64::Engine;
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let Some(Value::Object(strings)) = map.remove("stringData") else {
        return;
    };
    let data = meta::map_mut(object, "data");
    for (key, value) in strings {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key, Value::from(encoded));
    }
}

/// The quality-of-service class of a pod, from the requests and limits of its containers.
fn quality_of_service(pod: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
            for resource in ["cpu", "memory"] {
                let (request, limit) = (requests.get(resource), limits.get(resource));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && (request.is_none() || request == limit);
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Marks a namespace or a CRD as going away: these wait for their contents. Nothing for other kinds, and nothing when
/// only the object itself is left to go.
pub(crate) fn mark_container(server: &Inner, resource: &Resource, live: &Value) -> Option<Value> {
    let mut value = live.clone();
    if resource.is("", "Namespace") {
        if meta::strings(live.pointer("/spec/finalizers")).is_empty() {
            return None;
        }
        if !meta::is_deleting(live) {
            meta::set(&mut value, "deletionTimestamp", Some(Value::from(meta::time(server.now()))));
        }
        value["status"]["phase"] = Value::from("Terminating");
        return Some(value);
    }
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        if meta::is_deleting(live) {
            return None;
        }
        definition::mark(server, &mut value);
        return Some(value);
    }
    None
}
