//! OpenAPI v2 (Swagger).

use super::ResourceDoc;
use super::components::{Components, META, V2, component_name};
use serde_json::{Map, Value, json};

/// `/openapi/v2` as JSON: definitions of all kinds, and of the paths as much as clients look at to find a kind's
/// patch operation.
pub fn v2_document(docs: &[ResourceDoc]) -> Value {
    let mut components = Components::new(V2);
    let mut paths = Map::new();
    for doc in docs {
        components.add(doc);
        add_path(doc, &mut paths);
    }
    for name in ["Status", "DeleteOptions", "Patch"] {
        components.definition(&format!("{META}.{name}"));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths,
        "definitions": components.finish(),
    })
}

fn add_path(doc: &ResourceDoc, paths: &mut Map<String, Value>) {
    let base = if doc.group.is_empty() {
        format!("/api/{}", doc.version)
    } else {
        format!("/apis/{}/{}", doc.group, doc.version)
    };
    let namespace = if doc.namespaced { "/namespaces/{namespace}" } else { "" };
    let kind = json!({"group": doc.group, "version": doc.version, "kind": doc.kind});
    let schema = json!({"$ref": format!("#/definitions/{}", component_name(doc))});
    let mut item = Map::new();
    for (verb, method) in [("get", "get"), ("update", "put"), ("patch", "patch")] {
        if !doc.verbs.iter().any(|v| v == verb) {
            continue;
        }
        let mut operation = json!({
            "x-kubernetes-action": method,
            "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK", "schema": schema}},
        });
        if verb != "get" {
            let body =
                if method == "put" { schema.clone() } else { json!({"$ref": format!("#/definitions/{META}.Patch")}) };
            let text = |name: &str| json!({"name": name, "in": "query", "type": "string", "uniqueItems": true});
            operation["parameters"] = json!([
                {"name": "body", "in": "body", "required": true, "schema": body},
                text("dryRun"),
                text("fieldManager"),
                text("fieldValidation"),
            ]);
        }
        item.insert(method.to_owned(), operation);
    }
    paths.insert(format!("{base}{namespace}/{}/{{name}}", doc.plural), Value::Object(item));
}
