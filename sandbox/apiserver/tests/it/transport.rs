//! The server on HTTP, wrapped in layers, and replayed.

use crate::common::*;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_apiserver::ApiServer;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::{ServiceBuilder, service_fn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_on_http_and_one_in_process_see_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (server, inside) = server();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = server.clone();
    let task = tokio::spawn(async move {
        serving
            .serve(listener, async {
                let _ = stopped.await;
            })
            .await
    });
    let outside = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(outside, "default");
    let revision = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut watch = api.watch(&WatchParams::default(), &revision).await.unwrap().boxed();
    let made = ConfigMap { metadata: named("a"), ..ConfigMap::default() };
    Api::<ConfigMap>::namespaced(inside, "default").create(&PostParams::default(), &made).await.unwrap();
    loop {
        match watch.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(c) if c.metadata.name.as_deref() == Some("a") => break,
            WatchEvent::Added(_) => {}
            other => panic!("{other:?}"),
        }
    }
    stop.send(()).unwrap();
    while let Ok(Some(_)) = watch.try_next().await {}
    drop(watch);
    drop(api);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_layer_around_the_service_can_fail_requests() {
    let (server, _client) = server();
    let inner = server.service().with_user_agent("layered/1.0");
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = ServiceBuilder::new().service(service_fn(move |request: http::Request<kube::client::Body>| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let mut inner = inner.clone();
        async move {
            if number == 0 {
                return Err(std::io::Error::other("the network is down"));
            }
            tower::Service::call(&mut inner, request).await.map_err(|e| match e {})
        }
    }));
    let api: Api<ConfigMap> = Api::default_namespaced(Client::new(service, "default"));
    assert!(matches!(api.get_opt("a").await, Err(kube::Error::Service(_))));
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let counts = server.accounting().read();
    assert!(counts.keys().all(|k| k.user_agent == "layered") && counts.values().sum::<u64>() == 1, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_requests_make_the_same_world() {
    let run = async |seed: u64| -> Value {
        let clock = || jiff::Timestamp::UNIX_EPOCH;
        let server = ApiServer::builder("replay").seed(seed).clock(clock).build();
        let _ = widgets(&server.client("test-client/1.0"), "default").await;
        for _ in 0..20 {
            let mut object = config_map("", json!({}), json!({}));
            object["metadata"] = json!({"generateName": "g-"});
            raw(&server, "POST", CONFIG_MAPS, &[], object).await;
        }
        raw(&server, "DELETE", "/api/v1/namespaces/kube-node-lease", &[], Value::Null).await;
        settle().await;
        let all = raw(&server, "GET", "/api/v1/configmaps", &[], Value::Null).await.2;
        let crds =
            raw(&server, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &[], Value::Null).await.2;
        json!([all, crds, server.revision()])
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
}
