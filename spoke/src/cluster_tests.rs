//! What was written here, and what the watch shows of it.

use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kaedama_apiserver::ApiServer;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;

use super::*;

fn claim(uid: &str, version: u64) -> Arc<PersistentVolumeClaim> {
    Arc::new(PersistentVolumeClaim {
        metadata: kube::core::ObjectMeta {
            uid: Some(uid.into()),
            resource_version: Some(version.to_string()),
            ..Default::default()
        },
        ..Default::default()
    })
}

fn written(version: u64, created: bool) -> Own<PersistentVolumeClaim> {
    Own::Written { object: claim("u", version), created, at: Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_counts_until_the_watch_shows_it() {
    let old = claim("u", 4);
    let noted = || Merged::Noted(Some(claim("u", 5)));
    assert_eq!(merge(&written(5, false), Some(&old)), noted());
    assert_eq!(merge(&written(5, false), Some(&claim("u", 5))), Merged::Seen, "the watch has caught up");
    assert_eq!(merge(&written(5, false), Some(&claim("u", 6))), Merged::Seen, "somebody wrote later");
    let asks = || Merged::HandOver(claim("u", 5));
    assert_eq!(merge(&written(5, false), None), asks(), "deleted since, or made a moment ago");
    assert_eq!(merge(&written(5, true), None), noted(), "not shown yet");
    let (changed, created) = (written(5, false), written(5, true));
    tokio::time::advance(PATIENCE * 2).await;
    assert_eq!((merge(&changed, Some(&old)), merge(&created, None)), (asks(), asks()));
    tokio::time::advance(BEHIND).await;
    assert_eq!(merge(&created, None), Merged::Seen, "nothing is believed for ever");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_stays_gone_until_another_comes() {
    let gone = Own::<PersistentVolumeClaim>::Gone { uid: "u".into(), at: Instant::now() };
    tokio::time::advance(PATIENCE * 2).await;
    assert_eq!(merge(&gone, Some(&claim("u", 9))), Merged::Noted(None));
    assert_eq!(merge(&gone, Some(&claim("v", 9))), Merged::Seen);
    assert_eq!(merge(&gone, None), Merged::Seen);
}

/// A client whose watches bring nothing until they are let through.
fn behind(server: &ApiServer, open: &watch::Sender<bool>) -> Client {
    let (inner, open) = (server.client("operator"), open.clone());
    let through = axum::Router::new().fallback(move |request: Request<axum::body::Body>| {
        let (inner, mut open) = (inner.clone(), open.subscribe());
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                open.wait_for(|open| *open).await.unwrap();
            }
            inner.send(request.map(|_| kube::client::Body::empty())).await.unwrap().map(axum::body::Body::new)
        }
    });
    Client::new(through, "default")
}

async fn shows(kept: &Kept<PersistentVolumeClaim>, key: &ObjectKey, is_there: bool) {
    for _ in 0..1000 {
        if kept.get(key).is_some() == is_there {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{key} never came to be there: {is_there}");
}

#[tokio::test(start_paused = true)]
async fn what_was_created_is_there_until_the_watch_has_come_that_far() {
    let server = ApiServer::builder("dr1").build();
    let client = server.client("test");
    let namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let open = watch::Sender::new(false);
    let watched = Api::all(behind(&server, &open));
    let kept: Kept<PersistentVolumeClaim> = Kept::new(Cache::start("claims", watched, Scope::default()));
    kept.cache.ready().await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, "shop");
    let create = async |name: &str| -> PersistentVolumeClaim {
        let claim = json!({"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap()
    };
    let key = |name: &str| ObjectKey::namespaced("shop", name);
    let there = || {
        let all = kept.among(&["shop".to_owned()], "", |_| true).into_iter();
        all.map(|claim| claim.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    for name in ["stays", "goes", "changes"] {
        kept.created(create(name).await);
    }
    let change = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    kept.wrote(claims.patch("changes", &PatchParams::default(), &change).await.unwrap());
    assert!(kept.get(&key("changes")).is_some(), "created, then changed, and not shown yet");
    assert_eq!(there(), ["changes", "goes", "stays"]);
    claims.delete("goes", &Default::default()).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(there(), ["changes", "goes", "stays"], "nobody has told otherwise");
    assert_eq!(kept.get(&key("changes")).unwrap().metadata.labels.as_ref().unwrap()["a"], "b");
    open.send_replace(true);
    shows(&kept, &key("goes"), false).await;
    assert_eq!(there(), ["changes", "stays"]);
    // What the watch has passed is not brought back.
    let late = create("late").await;
    claims.delete("late", &Default::default()).await.unwrap();
    create("after").await;
    shows(&kept, &key("after"), true).await;
    kept.wrote(late);
    assert_eq!(there(), ["after", "changes", "stays"]);
}
