//! OpenAPI v2 (Swagger).

use super::components::{Components, META, V2, component_name};
use super::{ResourceDoc, SchemaSource};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `/openapi/v2` as JSON: definitions of all kinds, and of the paths as much as clients look at to find a kind's
/// patch operation.
pub fn v2_document(docs: &[ResourceDoc]) -> Value {
    let mut components = Components::new(V2);
    let mut paths = Map::new();
    for doc in docs {
        components.add(&told(doc));
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

/// A resource as kubectl can be told of it: one that takes unknown fields at its root is an object, and nothing more is said, as
/// kubectl would take what is not mentioned for forbidden.
fn told(doc: &ResourceDoc) -> ResourceDoc {
    let mut told = doc.clone();
    if let SchemaSource::Crd(schema) = &doc.schema
        && schema["x-kubernetes-preserve-unknown-fields"] == json!(true)
    {
        told.schema = SchemaSource::Crd(Arc::new(Value::Null));
    }
    told
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
