//! Watches.

use crate::common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_apiserver::{ApiServer, Options};
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_watch_without_revision_starts_with_what_is_there() {
    let (server, _client) = server();
    put_config(&server, "a", json!({})).await;
    settle().await;
    for query in ["watch=1", "watch=1&resourceVersion=0"] {
        let mut watch = open_watch(&server, &format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!(watch.line().await, "ADDED a");
        assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
        assert!(watch.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_revision_sees_what_came_after_it_in_order() {
    let (server, _client) = server();
    settle().await;
    let a = put_config(&server, "a", json!({})).await;
    let revision = a["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    put_config(&server, "b", json!({})).await;
    merge(&server, &format!("{CONFIG_MAPS}/a"), json!({"data": {"x": "y"}})).await;
    let mut watch = open_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}")).await;
    assert_eq!(watch.line().await, "ADDED b");
    assert_eq!(watch.line().await, "MODIFIED a");
    raw(&server, "DELETE", &format!("{CONFIG_MAPS}/b"), &[], json!(null)).await;
    let deleted = watch.next().await.unwrap();
    assert_eq!(brief(&deleted), "DELETED b");
    let deletion: u64 = deleted["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert_eq!(deletion, server.revision(), "a deletion carries its own revision");
    assert!(watch.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn selectors_turn_changes_into_arrivals_and_departures() {
    let (server, _client) = server();
    settle().await;
    let mut watch = open_watch(&server, &format!("{CONFIG_MAPS}?watch=1&labelSelector=on%3Dyes")).await;
    put_config(&server, "a", json!({"on": "no"})).await;
    let path = format!("{CONFIG_MAPS}/a");
    merge(&server, &path, json!({"metadata": {"labels": {"on": "yes"}}})).await;
    assert_eq!(watch.line().await, "ADDED a");
    merge(&server, &path, json!({"data": {"k": "v"}})).await;
    assert_eq!(watch.line().await, "MODIFIED a");
    let (_, last) = merge(&server, &path, json!({"metadata": {"labels": {"on": "no"}}})).await;
    let gone = watch.next().await.unwrap();
    assert_eq!(brief(&gone), "DELETED a");
    assert_eq!(gone["object"]["metadata"]["labels"]["on"], "yes", "the state that last matched");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], last["metadata"]["resourceVersion"]);
    raw(&server, "DELETE", &path, &[], json!(null)).await;
    assert!(watch.is_quiet().await, "an object that does not match is deleted unseen");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_compacted_is_told_in_the_stream() {
    let (server, _client) = server();
    put_config(&server, "a", json!({})).await;
    settle().await;
    server.compact();
    let events = raw_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion=2"), 2).await;
    assert_eq!(events.len(), 1, "the stream ends after the error");
    assert_eq!(
        (&events[0]["type"], &events[0]["object"]["code"], &events[0]["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert!(events[0]["object"]["message"].as_str().unwrap().starts_with("too old resource version: 2 ("));
}

#[tokio::test(start_paused = true)]
async fn history_is_bounded() {
    let server = ApiServer::builder("small").watch_history(3).build();
    settle().await;
    for i in 0..5 {
        put_config(&server, &format!("c{i}"), json!({})).await;
    }
    settle().await;
    let newest = server.revision();
    let recent =
        raw_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={newest}&timeoutSeconds=1"), 1).await;
    assert!(recent.is_empty());
    let old = raw_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion=1"), 1).await;
    assert_eq!(old[0]["object"]["code"], 410);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_regularly_and_before_the_end() {
    let server = ApiServer::builder("marks")
        .options(Options { bookmark_interval: Duration::from_secs(10), ..Options::default() })
        .build();
    put_config(&server, "a", json!({})).await;
    settle().await;
    let revision = server.revision();
    let begun = tokio::time::Instant::now();
    let events = raw_watch(
        &server,
        &format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}&allowWatchBookmarks=true&timeoutSeconds=25"),
        100,
    )
    .await;
    assert_eq!(begun.elapsed().as_secs(), 25, "the watch ends with its time-out");
    assert_eq!(events.len(), 3, "after 10 and 20 seconds and before the end: {events:?}");
    for event in events {
        assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("BOOKMARK"), &json!("ConfigMap")));
        assert_eq!(event["object"]["metadata"]["resourceVersion"], revision.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_an_annotated_bookmark() {
    let (server, client) = server();
    put_config(&server, "a", json!({})).await;
    settle().await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = open_watch(&server, &format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.line().await, "ADDED a");
    assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(mark["object"]["metadata"]["resourceVersion"], server.revision().to_string());
    put_config(&server, "b", json!({})).await;
    assert_eq!(watch.line().await, "ADDED b");

    let (code, _, refused) =
        raw(&server, "GET", &format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true"), &[], json!(null)).await;
    assert_eq!((code, &refused["reason"]), (422, &json!("Invalid")));

    // kube-runtime reads the same in both of its ways.
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let names: Vec<String> = watcher(api, config)
            .applied_objects()
            .map_ok(|c| c.metadata.name.unwrap())
            .take(3)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(names, ["a", "b", "kube-root-ca.crt"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_one_name_sees_only_it() {
    let (server, _client) = server();
    settle().await;
    for path in [
        format!("{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Db"),
        "/api/v1/watch/namespaces/default/configmaps/b".to_owned(),
    ] {
        let mut watch = open_watch(&server, &path).await;
        put_config(&server, "a", json!({})).await;
        put_config(&server, "b", json!({})).await;
        assert_eq!(watch.line().await, "ADDED b");
        assert!(watch.is_quiet().await);
        raw(&server, "DELETE", CONFIG_MAPS, &[], json!(null)).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_the_server_ends_them() {
    let (server, _client) = server();
    settle().await;
    let mut watch = open_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", server.revision())).await;
    server.end_watches();
    assert_eq!(watch.next().await, None);
}
