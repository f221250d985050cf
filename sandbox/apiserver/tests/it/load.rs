//! Many objects and many watches.

use crate::common::*;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn every_watch_of_hundreds_sees_every_write_in_order() {
    let (server, _client) = server();
    settle().await;
    let revision = server.revision();
    let mut watches = Vec::new();
    for _ in 0..200 {
        watches.push(open_watch(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}")).await);
    }
    for i in 0..50 {
        put_config(&server, &format!("c{i:03}"), json!({})).await;
    }
    for watch in &mut watches {
        for i in 0..50 {
            assert_eq!(watch.line().await, format!("ADDED c{i:03}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_objects_are_paged_through_without_loss() {
    let (server, _client) = server();
    settle().await;
    for i in 0..3000 {
        put_config(&server, &format!("c{i:04}"), json!({})).await;
    }
    let (mut seen, mut token) = (0, String::new());
    loop {
        let (code, _, page) =
            raw(&server, "GET", &format!("{CONFIG_MAPS}?limit=500&continue={token}"), &[], Value::Null).await;
        assert_eq!(code, 200);
        seen += page["items"].as_array().unwrap().len();
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 3001, "with the root CA's config map");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_patches_are_all_applied() {
    let (server, _client) = server();
    put_config(&server, "a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let tasks: Vec<_> = (0..32)
        .map(|i| {
            let (server, path) = (server.clone(), path.clone());
            tokio::spawn(async move {
                let mut data = json!({"data": {}});
                data["data"][format!("k{i}")] = json!("v");
                merge(&server, &path, data).await.0
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    let (_, _, live) = raw(&server, "GET", &path, &[], Value::Null).await;
    assert_eq!(live["data"].as_object().unwrap().len(), 32);
}
