//! Lists: pages, revisions, selectors.

use crate::common::*;
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect()
}

async fn get(server: &kaedama_apiserver::ApiServer, query: &str) -> (u16, Value) {
    let (code, _, value) = raw(server, "GET", &format!("{CONFIG_MAPS}?{query}"), &[], Value::Null).await;
    (code, value)
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_snapshot() {
    let (server, _client) = server();
    settle().await;
    for name in ["a", "b", "c", "d", "e"] {
        put_config(&server, name, json!({})).await;
    }
    let (_, first) = get(&server, "limit=2").await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(4)));
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    put_config(&server, "aa", json!({})).await;
    put_config(&server, "cc", json!({})).await;
    raw(&server, "DELETE", &format!("{CONFIG_MAPS}/d"), &[], Value::Null).await;
    merge(&server, &format!("{CONFIG_MAPS}/c"), json!({"data": {"new": "yes"}})).await;
    let (_, rest) = get(&server, &format!("limit=100&continue={token}")).await;
    assert_eq!(names(&rest), ["c", "d", "e", "kube-root-ca.crt"], "as it was when the list began");
    assert_eq!(rest["items"][0].get("data"), None, "the old value");
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(rest["metadata"].get("continue"), None);

    server.compact();
    let (code, expired) = get(&server, &format!("limit=2&continue={token}")).await;
    assert_eq!((code, &expired["reason"]), (410, &json!("Expired")));
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = get(&server, &format!("limit=100&continue={token}")).await;
    assert_eq!(names(&rest), ["c", "cc", "e", "kube-root-ca.crt"], "the rest of the present state");
}

#[tokio::test(start_paused = true)]
async fn revisions_are_matched_as_asked() {
    let (server, _client) = server();
    settle().await;
    put_config(&server, "a", json!({})).await;
    let (_, list) = get(&server, "").await;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    assert_eq!(revision, server.revision().to_string());
    put_config(&server, "b", json!({})).await;
    let (_, exact) = get(&server, &format!("resourceVersion={revision}&resourceVersionMatch=Exact")).await;
    assert_eq!(names(&exact), ["a", "kube-root-ca.crt"]);
    assert_eq!(exact["metadata"]["resourceVersion"], revision.as_str());
    let (_, newer) = get(&server, &format!("resourceVersion={revision}&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(names(&newer), ["a", "b", "kube-root-ca.crt"]);
    let (_, any) = get(&server, "resourceVersion=0").await;
    assert_eq!(names(&any).len(), 3);

    let (code, future) = get(&server, "resourceVersion=9999").await;
    assert_eq!((code, &future["reason"]), (504, &json!("Timeout")));
    assert_eq!(future["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Sometimes",
    ] {
        let (code, refused) = get(&server, query).await;
        assert_eq!((code, &refused["reason"]), (422, &json!("Invalid")), "{query}");
    }
    server.compact();
    let (code, _) = get(&server, &format!("resourceVersion={revision}&resourceVersionMatch=Exact")).await;
    assert_eq!(code, 410);
}

#[tokio::test(start_paused = true)]
async fn selectors_select() {
    let (server, _client) = server();
    settle().await;
    put_config(&server, "a", json!({"app": "x", "env": "p"})).await;
    put_config(&server, "b", json!({"app": "y"})).await;
    for (query, expected) in [
        ("labelSelector=app", vec!["a", "b"]),
        ("labelSelector=app%3Dx", vec!["a"]),
        ("labelSelector=app+in+(x,y),!env", vec!["b"]),
        ("labelSelector=app!%3Dx", vec!["b", "kube-root-ca.crt"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault", vec!["a", "kube-root-ca.crt"]),
    ] {
        assert_eq!(names(&get(&server, query).await.1), expected, "{query}");
    }
    let (code, refused) = get(&server, "fieldSelector=data.x%3Db").await;
    assert_eq!(
        (code, refused["message"].as_str().unwrap()),
        (400, "\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    );
    let (code, _) = get(&server, "labelSelector=a+in+b").await;
    assert_eq!(code, 400);
    let (_, _, all) =
        raw(&server, "GET", "/api/v1/configmaps?fieldSelector=metadata.namespace%3Dkube-system", &[], Value::Null)
            .await;
    assert_eq!(names(&all), ["kube-root-ca.crt"]);
}

#[tokio::test(start_paused = true)]
async fn events_are_the_same_in_both_of_their_groups() {
    let (server, _client) = server();
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "me", "reportingInstance": "me-0", "action": "Do", "reason": "Because", "type": "Normal", "note": "done",
        "regarding": {"kind": "ConfigMap", "name": "a", "namespace": "default"}
    });
    let (code, _, made) = raw(&server, "POST", "/apis/events.k8s.io/v1/namespaces/default/events", &[], event).await;
    assert_eq!((code, &made["note"]), (201, &json!("done")));
    let path = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da,reason%3DBecause,type%3DNormal";
    let (_, _, list) = raw(&server, "GET", path, &[], Value::Null).await;
    assert_eq!(
        (names(&list), &list["items"][0]["message"], &list["items"][0]["involvedObject"]["kind"]),
        (vec!["e"], &json!("done"), &json!("ConfigMap"))
    );
    let path = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name%3Da";
    assert_eq!(names(&raw(&server, "GET", path, &[], Value::Null).await.2), ["e"]);
    let path = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name%3Dz";
    assert!(names(&raw(&server, "GET", path, &[], Value::Null).await.2).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_selector() {
    let (server, _client) = server();
    settle().await;
    put_config(&server, "a", json!({"app": "x"})).await;
    put_config(&server, "b", json!({"app": "y"})).await;
    let (code, _, deleted) =
        raw(&server, "DELETE", &format!("{CONFIG_MAPS}?labelSelector=app%3Dx"), &[], Value::Null).await;
    assert_eq!((code, names(&deleted)), (200, vec!["a"]));
    assert_eq!(names(&get(&server, "labelSelector=app").await.1), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn events_expire_after_an_hour() {
    let (server, _client) = server();
    let path = "/api/v1/namespaces/default/events";
    let post = async |name: &str| {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
        assert_eq!(raw(&server, "POST", path, &[], event).await.0, 201);
    };
    post("first").await;
    post("kept").await;
    tokio::time::sleep(std::time::Duration::from_secs(3000)).await;
    merge(&server, &format!("{path}/kept"), json!({"count": 2})).await;
    tokio::time::sleep(std::time::Duration::from_secs(900)).await;
    post("second").await;
    let list = raw(&server, "GET", path, &[], Value::Null).await.2;
    assert_eq!(names(&list), ["kept", "second"], "a write begins the hour anew");
}

#[tokio::test(start_paused = true)]
async fn from_revision_zero_a_list_is_whole() {
    let (server, _client) = server();
    settle().await;
    put_config(&server, "a", json!({})).await;
    let (_, list) = get(&server, "resourceVersion=0&limit=1").await;
    assert_eq!((names(&list).len(), list["metadata"].get("continue")), (2, None));
    let (code, refused) = get(&server, "resourceVersion=abc").await;
    let why = "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax";
    assert_eq!((code, &refused["message"]), (400, &json!(why)));
}
