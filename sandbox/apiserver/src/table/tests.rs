use super::*;
use serde_json::{Value, json};

fn now() -> jiff::Timestamp {
    "2024-01-02T00:00:00Z".parse().expect("a time")
}

fn cells(columns: &Columns, object: &Value) -> Value {
    let made =
        table(columns, std::slice::from_ref(object), json!({"resourceVersion": "5"}), IncludeObject::None, now(), true);
    made["rows"][0]["cells"].clone()
}

fn names(columns: &Columns) -> Vec<String> {
    let made = table(columns, &[], json!({}), IncludeObject::None, now(), true);
    made["columnDefinitions"]
        .as_array()
        .expect("definitions")
        .iter()
        .map(|c| c["name"].as_str().expect("name").to_owned())
        .collect()
}

#[test]
fn durations_read_as_kubectl_prints_them() {
    for (seconds, wanted) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_000, "3h20m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ] {
        assert_eq!(human_duration(seconds), wanted, "{seconds}");
    }
}

#[test]
fn paths_of_the_subset_are_read() {
    let object = json!({"spec": {"list": [{"a": 1, "t": "x"}, {"a": 2, "t": "y"}], "x.y": "dotted", "n": {"m": true}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
    let cases = [
        (".spec.list[0].a", vec![json!(1)]),
        (".spec.list[-1].a", vec![json!(2)]),
        (".spec.list[*].t", vec![json!("x"), json!("y")]),
        (".spec.list[0:1].t", vec![json!("x")]),
        (".spec['x.y']", vec![json!("dotted")]),
        (".spec.x\\.y", vec![json!("dotted")]),
        ("{.spec.n.m}", vec![json!(true)]),
        (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
        (".status.conditions[?(@.type=='Ready')].status", vec![json!("True")]),
        (".spec.list[?(@.a>1)].t", vec![json!("y")]),
        (".spec.list[?(@.t)].a", vec![json!(1), json!(2)]),
        ("..status", vec![object["status"].clone(), json!("True"), json!("False")]),
        (".spec.none.at.all", vec![]),
    ];
    for (path, wanted) in cases {
        let parsed = JsonPath::parse(path).unwrap_or_else(|e| panic!("{e}"));
        let found: Vec<Value> = parsed.find(&object).into_iter().cloned().collect();
        assert_eq!(found, wanted, "{path}");
    }
    for bad in [".a[", ".a[?(b)]", ".a[x]", ".a..", "a b]c["] {
        assert!(JsonPath::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn columns_of_a_crd_follow_their_types() {
    let columns = Columns::from_crd(Some(&json!([
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "is it", "priority": 1},
        {"name": "Count", "type": "integer", "jsonPath": ".spec.n"},
        {"name": "Share", "type": "number", "jsonPath": ".spec.f"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Clusters", "type": "string", "jsonPath": ".spec.list[*]"},
        {"name": "Object", "type": "string", "jsonPath": ".spec.map"},
        {"name": "Nothing", "type": "string", "jsonPath": ".spec.nothing"},
    ])));
    let object = json!({"metadata": {"name": "x", "creationTimestamp": "2024-01-01T23:55:00Z"},
        "spec": {"n": 3, "f": 1.5, "on": true, "list": ["a", "b"], "map": {"k": 1}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(cells(&columns, &object), json!(["x", "5m", "True", 3, 1.5, true, "a b", "{\"k\":1}", null]));
    assert_eq!(names(&Columns::from_crd(None)), ["Name", "Age"]);
    let made = table(&columns, &[], json!({}), IncludeObject::None, now(), true);
    assert_eq!(
        made["columnDefinitions"][2],
        json!({"name": "Ready", "type": "string", "format": "", "description": "is it", "priority": 1})
    );
}

#[test]
fn rows_carry_what_was_asked_for() {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}, "data": {"a": "1"}});
    let make = |include| {
        table(
            &Columns::builtin("", "ConfigMap"),
            std::slice::from_ref(&object),
            json!({"resourceVersion": "9"}),
            include,
            now(),
            false,
        )
    };
    let metadata = make(IncludeObject::parse(None).expect("default"));
    assert_eq!(
        metadata["rows"][0]["object"],
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "c", "uid": "u"}})
    );
    assert_eq!(make(IncludeObject::Object)["rows"][0]["object"], object);
    assert!(make(IncludeObject::None)["rows"][0]["object"].is_null());
    assert_eq!(metadata["metadata"]["resourceVersion"], "9");
    assert_eq!(metadata["columnDefinitions"], json!(null));
    assert_eq!(IncludeObject::parse(Some("Everything")), None);
}

#[test]
fn builtin_kinds_show_what_kubectl_users_expect() {
    let created = "2024-01-01T00:00:00Z";
    let meta = json!({"name": "x", "creationTimestamp": created});
    let cases = [
        ("", "Namespace", json!({"status": {"phase": "Active"}}), json!(["x", "Active", "24h"])),
        ("", "ConfigMap", json!({"data": {"a": "1"}, "binaryData": {"b": ""}}), json!(["x", 2, "24h"])),
        ("", "Secret", json!({"type": "Opaque", "data": {"a": ""}}), json!(["x", "Opaque", 1, "24h"])),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"volumeName": "pv", "storageClassName": "sc", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}}),
            json!(["x", "Bound", "pv", "1Gi", "RWO,RWX", "sc", "<unset>", "24h", "Filesystem"]),
        ),
        (
            "",
            "PersistentVolume",
            json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "n", "name": "c"}}, "status": {"phase": "Bound"}}),
            json!(["x", "1Gi", "RWO", "Retain", "Bound", "n/c", "", "<unset>", "", "24h", ""]),
        ),
        (
            "",
            "Pod",
            json!({"spec": {"containers": [{}, {}]}, "status": {"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 2}]}}),
            json!(["x", "1/2", "Running", "2", "24h", "<none>", "<none>", "<none>", "<none>"]),
        ),
        (
            "",
            "Service",
            json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [{"port": 80}], "selector": {"a": "b"}}}),
            json!(["x", "ClusterIP", "10.0.0.1", "<none>", "80/TCP", "24h", "a=b"]),
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}}),
            json!(["x", "2/3", 3, 2, "24h", "", "", "<none>"]),
        ),
        ("coordination.k8s.io", "Lease", json!({"spec": {"holderIdentity": "me"}}), json!(["x", "me", "24h"])),
        (
            "storage.k8s.io",
            "StorageClass",
            json!({"provisioner": "p"}),
            json!(["x", "p", "Delete", "Immediate", false, "24h"]),
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition", json!({}), json!(["x", created])),
        (
            "",
            "Event",
            json!({"lastTimestamp": "2024-01-01T23:59:00Z", "type": "Normal", "reason": "R", "message": "m\n", "involvedObject": {"kind": "Pod", "name": "p"}}),
            json!(["60s", "Normal", "R", "pod/p", "m", "x"]),
        ),
        ("rbac.authorization.k8s.io", "Role", json!({}), json!(["x", "24h"])),
    ];
    for (group, kind, mut object, wanted) in cases {
        object["metadata"] = meta.clone();
        let columns = Columns::builtin(group, kind);
        assert_eq!(cells(&columns, &object), wanted, "{kind}");
        assert_eq!(names(&columns).len(), wanted.as_array().expect("cells").len(), "{kind}");
    }
}
