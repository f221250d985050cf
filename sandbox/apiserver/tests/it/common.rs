//! What the tests have in common.

use kaedama_apiserver::ApiServer;
use kube::Client;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// A server and a client of it, named as the test.
pub fn server() -> (ApiServer, Client) {
    let server = ApiServer::builder("test").seed(1).build();
    let client = server.client("test-client/1.0");
    (server, client)
}

/// A dynamic API by group, version and kind.
pub fn dynamic(client: &Client, namespace: Option<&str>, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// A dynamic object from JSON.
pub fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// A CRD `widgets.example.com` with a status subresource, defaults and a rule.
pub fn widget_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": ["wd"], "categories": ["all"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector" } },
                "selectableFields": [{ "jsonPath": ".spec.color" }],
                "additionalPrinterColumns": [{ "name": "Color", "type": "string", "jsonPath": ".spec.color" }],
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["size"],
                            "properties": {
                                "size": { "type": "integer", "minimum": 1 },
                                "color": { "type": "string", "default": "red" },
                                "replicas": { "type": "integer" },
                                "fixed": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == oldSelf", "message": "fixed is immutable" }] },
                                "tags": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } }
                            }
                        },
                        "status": {
                            "type": "object",
                            "properties": { "phase": { "type": "string" }, "replicas": { "type": "integer" }, "selector": { "type": "string" } }
                        }
                    }
                } }
            }]
        }
    })
}

/// Widgets in a namespace, their definition created before.
pub async fn widgets(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let definitions = dynamic(client, None, "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    definitions.create(&PostParams::default(), &object(widget_crd())).await.unwrap();
    dynamic(client, Some(namespace), "example.com", "v1", "Widget", "widgets")
}

/// A widget.
pub fn widget(name: &str, size: i64) -> DynamicObject {
    object(json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": name }, "spec": { "size": size } }))
}

/// Metadata with a name.
pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// The Status of a failed request.
pub fn status<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> kube::core::Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("expected a Status, got {other:?}"),
    }
}

/// Waits (in virtual or real time) until a condition holds.
pub async fn eventually<F, Fut>(what: &str, mut check: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}
