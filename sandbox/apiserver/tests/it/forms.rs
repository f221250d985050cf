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

#[tokio::test(start_paused = true)]
async fn go_clients_are_answered_in_protobuf() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    put_config(&server, "a", json!({"x": "y"})).await;
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf,application/json")];
    for path in [CONFIG_MAPS.to_owned(), format!("{CONFIG_MAPS}/a"), "/apis/apps/v1/deployments".to_owned()] {
        let (code, headers, body) = whole(&server, &path, &protobuf).await;
        assert_eq!((code, headers["content-type"].to_str().unwrap()), (200, "application/vnd.kubernetes.protobuf"));
        assert!(body.starts_with("k8s\0"), "{path}: {body}");
    }
    // Custom resources have no such form, and their metadata has.
    let widgets = "/apis/example.com/v1/widgets";
    let (_, headers, _) = whole(&server, widgets, &protobuf).await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(whole(&server, widgets, &[("accept", "application/vnd.kubernetes.protobuf")]).await.0, 406);
    let metadata = [("accept", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let (_, headers, _) = whole(&server, widgets, &metadata).await;
    assert_eq!(headers["content-type"], "application/vnd.kubernetes.protobuf");
    let watch = format!("{CONFIG_MAPS}?watch=true&resourceVersion=1&timeoutSeconds=1");
    let (_, headers, body) = whole(&server, &watch, &protobuf).await;
    assert_eq!(headers["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    assert!(body.contains("ADDED"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn documents_that_a_client_has_are_not_sent_again() {
    let (server, client) = server();
    let get = async |tag: &str| whole(&server, "/openapi/v2", &[("if-none-match", tag)]).await;
    let (code, headers, _) = get("").await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert_eq!((code, get(&tag).await.0), (200, 304));
    let _ = widgets(&client, "default").await;
    assert_eq!(get(&tag).await.0, 200, "it has changed");
}

#[tokio::test(start_paused = true)]
async fn autoscalers_have_two_versions_of_one_object() {
    let (server, _client) = server();
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let target = json!({"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"});
    let made = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
    let (code, _, old) = raw(&server, "POST", &path("v1"), &[], made).await;
    assert_eq!((code, &old["spec"]["targetCPUUtilizationPercentage"]), (201, &json!(70)));
    let (_, _, new) = raw(&server, "GET", &format!("{}/a", path("v2")), &[], Value::Null).await;
    assert_eq!(new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
    assert_eq!((&new["apiVersion"], &new["metadata"]["uid"]), (&json!("autoscaling/v2"), &old["metadata"]["uid"]));
}

#[tokio::test(start_paused = true)]
async fn a_signing_request_is_decided_on_and_not_changed() {
    let (server, _client) = server();
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let made = json!({"metadata": {"name": "a"}, "spec": {"request": "AA==", "signerName": "example.com/s", "usages": ["client auth"]}});
    let (code, _, mut request) = raw(&server, "POST", path, &[], made).await;
    assert_eq!(code, 201);
    request["spec"]["signerName"] = json!("example.com/other");
    request["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True"}, {"type": "Other", "status": "True"}]);
    let (code, _, decided) = raw(&server, "PUT", &format!("{path}/a/approval"), &[], request).await;
    assert_eq!((code, &decided["spec"]["signerName"]), (200, &json!("example.com/s")));
    let conditions: Vec<&Value> =
        decided["status"]["conditions"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
    assert_eq!(conditions, [&json!("Approved")]);
    let (_, _, review) =
        raw(&server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", &[], json!({"spec": {"token": "t"}})).await;
    assert_eq!(review["status"]["authenticated"], json!(false));
}
