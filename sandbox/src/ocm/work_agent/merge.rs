//! What the Update strategy makes of an object that exists. Pure.

use serde_json::{Map, Value};

/// Members of `metadata` that are merged key by key.
const MERGED: [&str; 2] = ["labels", "annotations"];
/// Members that are replaced as a whole even where the rest of the object is merged.
const WHOLE: [&str; 4] = ["data", "binaryData", "rules", "aggregationRule"];

/// The manifest as it is created: removals (keys of labels and annotations that end in `-`) have nothing to remove.
pub(super) fn for_creation(manifest: &Value) -> Value {
    let mut object = manifest.clone();
    for member in MERGED {
        let map = object.get_mut("metadata").and_then(|metadata| metadata.get_mut(member));
        if let Some(map) = map.and_then(Value::as_object_mut) {
            map.retain(|key, _| !key.ends_with('-'));
        }
    }
    object
}

/// The existing object changed to what the manifest says.
///
/// Metadata is merged: a key of labels or annotations is never removed by leaving it out, only by appending `-` to
/// it; finalizers and owners are kept. A custom resource is replaced as a whole apart from metadata and status:
/// fields that the cluster wrote into its spec are wiped. Kinds that the agent knows by type are merged field by
/// field, because the API server has filled in defaults that the manifest does not name.
pub(super) fn update(existing: &Value, manifest: &Value) -> Value {
    let group =
        manifest["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    let mut merged = if is_built_in(group) {
        let mut merged = existing.clone();
        let mut wanted = manifest.clone();
        if let Some(members) = wanted.as_object_mut() {
            members.remove("metadata");
            members.remove("status");
        }
        deep(&mut merged, &wanted);
        for member in WHOLE {
            if let Some(value) = manifest.get(member) {
                merged[member] = value.clone();
            }
        }
        merged
    } else {
        let mut replaced = manifest.clone();
        match existing.get("status") {
            Some(status) => replaced["status"] = status.clone(),
            None => {
                replaced.as_object_mut().map(|members| members.remove("status"));
            }
        }
        replaced
    };
    merged["metadata"] = metadata(&existing["metadata"], &manifest["metadata"]);
    merged
}

fn metadata(existing: &Value, wanted: &Value) -> Value {
    let mut metadata = existing.clone();
    for member in MERGED {
        let Some(changes) = wanted[member].as_object() else { continue };
        let mut map = existing[member].as_object().cloned().unwrap_or_default();
        merge_keys(&mut map, changes);
        if !map.is_empty() || existing.get(member).is_some() {
            metadata[member] = Value::Object(map);
        }
    }
    metadata
}

fn merge_keys(map: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, value) in changes {
        match key.strip_suffix('-') {
            Some(removed) => {
                map.remove(removed);
            }
            None => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
}

fn deep(existing: &mut Value, wanted: &Value) {
    match (existing.as_object_mut(), wanted.as_object()) {
        (Some(existing), Some(wanted)) => {
            for (key, value) in wanted {
                deep(existing.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *existing = wanted.clone(),
    }
}

/// Groups of Kubernetes itself; every other group is of custom resources.
fn is_built_in(group: &str) -> bool {
    const WITH_SUFFIX: [&str; 13] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    ];
    !group.contains('.') || WITH_SUFFIX.contains(&group)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_resource_is_replaced_but_for_metadata_and_status() {
        let existing = json!({
            "apiVersion": "g.dev/v1", "kind": "X",
            "metadata": {"name": "x", "resourceVersion": "7", "finalizers": ["f"], "labels": {"theirs": "1", "old": "1"}},
            "spec": {"ours": 1, "theirs": 2}, "status": {"s": 1}
        });
        let manifest = json!({
            "apiVersion": "g.dev/v1", "kind": "X",
            "metadata": {"name": "x", "labels": {"ours": "2", "old-": ""}, "annotations": {"a": "b"}},
            "spec": {"ours": 3}
        });
        assert_eq!(
            update(&existing, &manifest),
            json!({
                "apiVersion": "g.dev/v1", "kind": "X",
                "metadata": {"name": "x", "resourceVersion": "7", "finalizers": ["f"],
                    "labels": {"theirs": "1", "ours": "2"}, "annotations": {"a": "b"}},
                "spec": {"ours": 3}, "status": {"s": 1}
            })
        );
    }

    #[test]
    fn a_kind_known_by_type_keeps_what_the_server_filled_in() {
        let existing = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x"},
            "spec": {"volumeName": "pv", "resources": {"requests": {"storage": "1Gi"}}}});
        let manifest = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x"},
            "spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let merged = update(&existing, &manifest);
        assert_eq!(merged["spec"], json!({"volumeName": "pv", "resources": {"requests": {"storage": "2Gi"}}}));
        let existing =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1", "b": "2"}});
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "3"}});
        assert_eq!(update(&existing, &manifest)["data"], json!({"a": "3"}));
    }

    #[test]
    fn nothing_is_changed_where_nothing_differs() {
        let object =
            json!({"apiVersion": "g.dev/v1", "kind": "X", "metadata": {"name": "x", "uid": "u"}, "spec": {"a": 1}});
        let manifest = json!({"apiVersion": "g.dev/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"a": 1}});
        assert_eq!(update(&object, &manifest), object);
    }

    #[test]
    fn removals_are_not_created() {
        let manifest = json!({"metadata": {"name": "x", "labels": {"a": "1", "b-": ""}}});
        assert_eq!(for_creation(&manifest), json!({"metadata": {"name": "x", "labels": {"a": "1"}}}));
    }
}
