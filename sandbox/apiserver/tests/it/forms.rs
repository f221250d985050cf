//! The forms of answers: Tables, metadata, YAML, discovery, OpenAPI.

use crate::common::*;
use kube::discovery::Discovery;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn tables_have_rows_and_columns() {
    let (server, client) = server();
    let api = widgets(&client, "default").await;
    api.create(&kube::api::PostParams::default(), &widget("a", 1)).await.unwrap();
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let (_, _, table) =
        raw(&server, "GET", "/apis/example.com/v1/namespaces/default/widgets", &accept, Value::Null).await;
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let columns: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!((columns, &table["rows"][0]["cells"]), (vec!["Name", "Color"], &json!(["a", "red"])));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, _, one) = raw(&server, "GET", "/api/v1/namespaces/default", &accept, Value::Null).await;
    assert_eq!(one["rows"][0]["cells"][1], "Active");
}

#[tokio::test(start_paused = true)]
async fn metadata_can_be_had_alone() {
    let (server, client) = server();
    put_config(&server, "a", json!({"x": "y"})).await;
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::default_namespaced(client);
    let list = api.list_metadata(&kube::api::ListParams::default().labels("x=y")).await.unwrap();
    assert_eq!(list.items[0].metadata.name.as_deref(), Some("a"));
    assert_eq!(api.get_metadata("a").await.unwrap().metadata.labels.unwrap()["x"], "y");
    let (_, _, yaml) =
        raw(&server, "GET", &format!("{CONFIG_MAPS}/a"), &[("accept", "application/yaml")], Value::Null).await;
    assert!(yaml.as_str().unwrap().contains("kind: ConfigMap"));
}

#[tokio::test(start_paused = true)]
async fn discovery_tells_what_is_served_in_both_forms() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    for discovery in [
        Discovery::new(client.clone()).run().await.unwrap(),
        Discovery::new(client.clone()).run_aggregated().await.unwrap(),
    ] {
        let group = discovery.get("example.com").unwrap();
        let (resource, capabilities) = group.recommended_kind("Widget").unwrap();
        assert_eq!((resource.plural.as_str(), capabilities.subresources.len()), ("widgets", 2));
        assert!(discovery.groups().any(|g| g.name() == "apps"));
    }
    let (_, _, version) = raw(&server, "GET", "/version", &[], Value::Null).await;
    assert_eq!((&version["major"], &version["gitVersion"]), (&json!("1"), &json!("v1.35.0")));
    assert_eq!(raw(&server, "GET", "/readyz", &[], Value::Null).await.2, json!("ok"));
    let (_, _, index) = raw(&server, "GET", "/openapi/v3", &[], Value::Null).await;
    let path = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let (_, _, document) = raw(&server, "GET", path, &[], Value::Null).await;
    assert!(document["components"]["schemas"].as_object().unwrap().keys().any(|k| k.ends_with("Widget")));
}

#[tokio::test(start_paused = true)]
async fn reviews_allow() {
    let (server, _client) = server();
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    assert_eq!(raw(&server, "POST", path, &table, review.clone()).await.0, 406, "reviews have no table");
    let (code, _, answer) = raw(&server, "POST", path, &[], review).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
}
