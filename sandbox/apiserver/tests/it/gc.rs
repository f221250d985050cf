//! Garbage collection by owner references.

use crate::common::*;
use kaedama_apiserver::ApiServer;
use serde_json::{Value, json};

fn owned(name: &str, owner: &Value, block: bool) -> Value {
    let mut object = config_map(name, json!({}), json!({}));
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": block,
    }]);
    object
}

async fn create(server: &ApiServer, object: Value) -> Value {
    let (code, _, mut made) = raw(server, "POST", CONFIG_MAPS, &[], object).await;
    assert_eq!(code, 201, "{made}");
    made["kind"] = json!("ConfigMap");
    made
}

async fn delete(server: &ApiServer, name: &str, policy: &str) -> (u16, Value) {
    let (code, _, value) =
        raw(server, "DELETE", &format!("{CONFIG_MAPS}/{name}"), &[], json!({"propagationPolicy": policy})).await;
    (code, value)
}

async fn live(server: &ApiServer, name: &str) -> Option<Value> {
    let (code, _, value) = raw(server, "GET", &format!("{CONFIG_MAPS}/{name}"), &[], Value::Null).await;
    (code == 200).then_some(value)
}

#[tokio::test(start_paused = true)]
async fn in_the_background_dependents_go_after_their_owner() {
    let (server, _client) = server();
    let a = create(&server, config_map("a", json!({}), json!({}))).await;
    let b = create(&server, owned("b", &a, false)).await;
    create(&server, owned("c", &b, false)).await;
    let (_, answer) = delete(&server, "a", "Background").await;
    assert_eq!(answer["kind"], "Status", "the owner is gone at once");
    settle().await;
    assert!(live(&server, "b").await.is_none() && live(&server, "c").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_waits_for_those_that_block_it() {
    let (server, _client) = server();
    let a = create(&server, config_map("a", json!({}), json!({}))).await;
    let mut b = owned("b", &a, true);
    b["metadata"]["finalizers"] = json!(["example.com/hold"]);
    create(&server, b).await;
    let mut c = owned("c", &a, false);
    c["metadata"]["finalizers"] = json!(["example.com/hold"]);
    create(&server, c).await;
    let (_, marked) = delete(&server, "a", "Foreground").await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    settle().await;
    assert!(live(&server, "a").await.is_some(), "b blocks it");
    assert!(live(&server, "b").await.unwrap()["metadata"]["deletionTimestamp"].is_string());
    merge(&server, &format!("{CONFIG_MAPS}/b"), json!({"metadata": {"finalizers": null}})).await;
    settle().await;
    assert!(live(&server, "a").await.is_none(), "c does not block it");
    assert!(live(&server, "c").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn orphans_lose_their_owner_and_stay() {
    let (server, _client) = server();
    let a = create(&server, config_map("a", json!({}), json!({}))).await;
    create(&server, owned("b", &a, true)).await;
    delete(&server, "a", "Orphan").await;
    settle().await;
    assert!(live(&server, "a").await.is_none());
    assert_eq!(live(&server, "b").await.unwrap()["metadata"].get("ownerReferences"), None);
}

#[tokio::test(start_paused = true)]
async fn one_owner_of_two_is_enough_and_an_owner_that_never_was_is_not() {
    let (server, _client) = server();
    let a = create(&server, config_map("a", json!({}), json!({}))).await;
    let z = create(&server, config_map("z", json!({}), json!({}))).await;
    let mut both = owned("both", &a, false);
    let second = owned("x", &z, false)["metadata"]["ownerReferences"][0].clone();
    both["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    create(&server, both).await;
    delete(&server, "a", "Background").await;
    settle().await;
    let both = live(&server, "both").await.unwrap();
    assert_eq!(both["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "the dangling reference is taken off");

    let mut ghost = a.clone();
    ghost["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    create(&server, owned("haunted", &ghost, false)).await;
    settle().await;
    assert!(live(&server, "haunted").await.is_none());
    ghost["apiVersion"] = json!("unknown.example.com/v1");
    create(&server, owned("unknowable", &ghost, false)).await;
    settle().await;
    assert!(live(&server, "unknowable").await.is_some(), "of a kind that is not served nobody knows whether it exists");
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_owners_does_not_hold_itself() {
    let (server, _client) = server();
    let a = create(&server, config_map("a", json!({}), json!({}))).await;
    let b = create(&server, owned("b", &a, true)).await;
    let reference = owned("x", &b, true)["metadata"]["ownerReferences"].clone();
    merge(&server, &format!("{CONFIG_MAPS}/a"), json!({"metadata": {"ownerReferences": reference}})).await;
    delete(&server, "a", "Foreground").await;
    settle().await;
    assert!(live(&server, "a").await.is_none() && live(&server, "b").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_custom_resources_own_goes_with_their_definition() {
    let (server, client) = server();
    let api = widgets(&client, "default").await;
    let made = api.create(&kube::api::PostParams::default(), &widget("w", 1)).await.unwrap();
    create(&server, owned("kept", &create(&server, config_map("a", json!({}), json!({}))).await, false)).await;
    create(&server, owned("b", &serde_json::to_value(made).unwrap(), false)).await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    raw(&server, "DELETE", path, &[], Value::Null).await;
    settle().await;
    assert_eq!(raw(&server, "GET", path, &[], Value::Null).await.0, 404);
    assert!(live(&server, "b").await.is_none() && live(&server, "kept").await.is_some());
}
