use super::*;
use serde_json::json;

fn doc(group: &str, version: &str, kind: &str, plural: &str, schema: SchemaSource) -> ResourceDoc {
    ResourceDoc {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced: true,
        verbs: ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
            .map(str::to_owned)
            .to_vec(),
        subresources: vec![SubresourceDoc {
            name: "status".to_owned(),
            verbs: ["get", "update", "patch"].map(str::to_owned).to_vec(),
        }],
        schema,
    }
}

fn docs() -> Vec<ResourceDoc> {
    let schema = json!({"type": "object", "description": "A thing.", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string", "nullable": true}}}}});
    vec![
        doc("", "v1", "Pod", "pods", SchemaSource::Builtin),
        doc("apps", "v1", "Deployment", "deployments", SchemaSource::Builtin),
        doc("example.com", "v1alpha1", "Thing", "things", SchemaSource::Crd(Arc::new(schema))),
    ]
}

/// Every reference in the document leads somewhere.
fn dangling(value: &Value, root: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str)
                && root.pointer(target.trim_start_matches('#')).is_none_or(Value::is_null)
            {
                out.push(target.to_owned());
            }
            fields.values().for_each(|v| dangling(v, root, out));
        }
        Value::Array(items) => items.iter().for_each(|v| dangling(v, root, out)),
        _ => {}
    }
}

#[test]
fn the_index_lists_each_group_version_with_a_stable_hash() {
    let index = index(&docs());
    let url = index["paths"]["apis/example.com/v1alpha1"]["serverRelativeURL"].as_str().expect("url").to_owned();
    assert!(url.starts_with("/openapi/v3/apis/example.com/v1alpha1?hash="), "{url}");
    assert_eq!(index["paths"].as_object().expect("paths").len(), 3);
    assert!(index["paths"].get("api/v1").is_some());
    assert_eq!(super::index(&docs()), index);
    let mut changed = docs();
    changed[2].schema = SchemaSource::Crd(Arc::new(json!({"type": "object"})));
    let other = super::index(&changed);
    assert_ne!(other["paths"]["apis/example.com/v1alpha1"], index["paths"]["apis/example.com/v1alpha1"]);
    assert_eq!(other["paths"]["api/v1"], index["paths"]["api/v1"]);
}

#[test]
fn documents_are_whole_and_name_their_kinds() {
    for (group, version) in [("", "v1"), ("apps", "v1"), ("example.com", "v1alpha1")] {
        let document = document(group, version, &docs()).expect("served");
        let mut missing = Vec::new();
        dangling(&document, &document, &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
    assert!(document("nothing", "v1", &docs()).is_none());
}

#[test]
fn kubectl_finds_patch_and_schema_by_kind() {
    let document = document("example.com", "v1alpha1", &docs()).expect("served");
    let gvk = json!({"group": "example.com", "version": "v1alpha1", "kind": "Thing"});
    let patch = &document["paths"]["/apis/example.com/v1alpha1/namespaces/{namespace}/things/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], gvk);
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let names: Vec<&str> =
        patch["parameters"].as_array().expect("parameters").iter().filter_map(|p| p["name"].as_str()).collect();
    for wanted in ["fieldManager", "fieldValidation", "dryRun", "force"] {
        assert!(names.contains(&wanted), "{wanted}");
    }
    assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_none());
    let schema = &document["components"]["schemas"]["com.example.v1alpha1.Thing"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], json!([gvk]));
    assert_eq!(schema["description"], "A thing.");
    assert_eq!(
        schema["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert!(document["components"]["schemas"].get("com.example.v1alpha1.ThingList").is_some());
    assert!(document["paths"].get("/apis/example.com/v1alpha1/namespaces/{namespace}/things/{name}/status").is_some());
}

#[test]
fn builtin_schemas_explain_themselves() {
    let document = document("", "v1", &docs()).expect("served");
    let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
    assert!(pod["description"].as_str().expect("text").starts_with("Pod is a collection"));
    assert_eq!(pod["properties"]["spec"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
    assert!(pod.get("required").is_none());
    assert!(
        document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]["requestBody"]["content"]
            .get("application/strategic-merge-patch+json")
            .is_some()
    );
}

#[test]
fn v2_is_whole_too() {
    let document = v2_document(&docs());
    let mut missing = Vec::new();
    dangling(&document, &document, &mut missing);
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(document["swagger"], "2.0");
    assert!(
        document["definitions"]["com.example.v1alpha1.Thing"]["properties"]["spec"]["properties"]["a"]
            .get("nullable")
            .is_none()
    );
    let put = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["put"];
    assert_eq!(put["parameters"][0]["schema"]["$ref"], "#/definitions/io.k8s.api.core.v1.Pod");
}
