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
pub fn dynamic(
    client: &Client,
    namespace: Option<&str>,
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
) -> Api<DynamicObject> {
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
    let definitions =
        dynamic(client, None, "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    definitions.create(&PostParams::default(), &object(widget_crd())).await.unwrap();
    dynamic(client, Some(namespace), "example.com", "v1", "Widget", "widgets")
}

/// A widget.
pub fn widget(name: &str, size: i64) -> DynamicObject {
    object(
        json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": name }, "spec": { "size": size } }),
    )
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

/// A raw request in process: the code, the headers' warnings and the JSON (or text) of the answer.
pub async fn raw(
    server: &ApiServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> (u16, Vec<String>, Value) {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let body = match body {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body))).unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (code, warnings, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A raw read in process: the code, the headers and the bytes of the answer as text, whatever they are.
pub async fn whole(server: &ApiServer, path: &str, headers: &[(&str, &str)]) -> (u16, http::HeaderMap, String) {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(http_body_util::Full::new(bytes::Bytes::new())).unwrap();
    let (parts, body) = server.service().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

/// A raw watch in process: reads `count` events of it, or what there is until it ends.
pub async fn raw_watch(server: &ApiServer, path: &str, count: usize) -> Vec<Value> {
    let mut watch = open_watch(server, path).await;
    let mut events = Vec::new();
    while events.len() < count {
        match watch.next().await {
            Some(event) => events.push(event),
            None => break,
        }
    }
    events
}

/// A watch that is read event by event.
pub struct RawWatch {
    body: kaedama_apiserver::ResponseBody,
}

/// Opens a watch in process.
pub async fn open_watch(server: &ApiServer, path: &str) -> RawWatch {
    use tower::ServiceExt;
    let request = http::Request::builder().uri(path).body(http_body_util::Full::new(bytes::Bytes::new())).unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    RawWatch { body: response.into_body() }
}

impl RawWatch {
    /// The next event; `None` when the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        use http_body_util::BodyExt;
        let frame = self.body.frame().await?.unwrap();
        Some(serde_json::from_slice(frame.data_ref().unwrap()).unwrap())
    }

    /// The next event as `TYPE name`.
    pub async fn line(&mut self) -> String {
        brief(&self.next().await.expect("an event"))
    }

    /// Whether nothing comes for some time.
    pub async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(std::time::Duration::from_secs(1), self.next()).await.is_err()
    }
}

/// An event as `TYPE name`.
pub fn brief(event: &Value) -> String {
    format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or(""))
}

/// A config map with labels, as JSON.
pub fn config_map(name: &str, labels: Value, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels }, "data": data })
}

/// The path of config maps in `default`.
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Creates a config map by a raw request.
pub async fn put_config(server: &ApiServer, name: &str, labels: Value) -> Value {
    let (code, _, value) = raw(server, "POST", CONFIG_MAPS, &[], config_map(name, labels, json!({}))).await;
    assert_eq!(code, 201, "{value}");
    value
}

/// Merge-patches by a raw request.
pub async fn merge(server: &ApiServer, path: &str, patch: Value) -> (u16, Value) {
    let (code, _, value) = raw(server, "PATCH", path, &[("content-type", "application/merge-patch+json")], patch).await;
    (code, value)
}

/// Lets the controllers do what they have to do.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
