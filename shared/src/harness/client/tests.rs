use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::StreamBody;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams, WatchParams};
use tokio::time::Instant;

use super::*;

type Frames = futures::stream::BoxStream<'static, Result<http_body::Frame<Bytes>, Infallible>>;

fn frame(text: &str) -> Result<http_body::Frame<Bytes>, Infallible> {
    Ok(http_body::Frame::data(Bytes::from(text.to_owned())))
}

/// A transport that answers each request with what `answer` makes of it; `None` is never answered.
fn transport(answer: impl Fn(&Request<Body>) -> Option<Frames> + Send + Sync + Clone + 'static) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let frames = answer(&request);
        async move {
            match frames {
                Some(frames) => Ok::<_, Infallible>(Response::new(StreamBody::new(frames))),
                None => std::future::pending().await,
            }
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up_and_its_outcome_is_unknown() {
    let clients = Clients::from_client(&transport(|_| None), "test/1");
    let start = Instant::now();
    let maps: Api<ConfigMap> = Api::default_namespaced(clients.requests);
    let error = maps.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert_eq!(start.elapsed(), Profile::REQUESTS.answer);
    assert!(matches!(refusal(&error), Some(Refusal::TimedOut { method: Method::POST, .. })), "{error}");
    assert!(outcome_unknown(&error));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_given_up_but_a_slow_one_is_read() {
    let silent =
        transport(|_| Some(futures::stream::iter([frame("{\"items\":")]).chain(futures::stream::pending()).boxed()));
    let maps: Api<ConfigMap> = Api::default_namespaced(Clients::from_client(&silent, "test/1").requests);
    let start = Instant::now();
    let error = maps.list(&ListParams::default()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(15));
    assert!(matches!(refusal(&error), Some(Refusal::TimedOut { .. })), "{error:?}");

    let pieces = ["{\"metadata\":{},", "\"apiVersion\":\"v1\",\"kind\":\"ConfigMapList\",", "\"items\":[]", "}"];
    let slow = transport(move |_| {
        Some(
            futures::stream::iter(pieces)
                .then(|piece| async move {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    frame(piece)
                })
                .boxed(),
        )
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(Clients::from_client(&slow, "test/1").requests);
    let start = Instant::now();
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 0);
    assert_eq!(start.elapsed(), Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_left_open() {
    let event = concat!(
        r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","#,
        r#""metadata":{"name":"late","resourceVersion":"7"}}}"#,
        "\n"
    );
    let quiet = transport(move |_| {
        Some(
            futures::stream::once(async move {
                tokio::time::sleep(Duration::from_secs(200)).await;
                frame(event)
            })
            .boxed(),
        )
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(Clients::from_client(&quiet, "test/1").watches);
    let mut events = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(
        matches!(events.next().await, Some(Ok(kube::api::WatchEvent::Added(map))) if map.metadata.name.as_deref() == Some("late"))
    );
}

#[tokio::test(start_paused = true)]
async fn writes_pass_only_while_the_lease_is_held_and_reads_always() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let server = transport(move |request| {
        let agent = request.headers()[USER_AGENT].to_str().unwrap_or_default().to_owned();
        log.lock().unwrap().push((request.method().clone(), agent));
        Some(futures::stream::iter([frame(r#"{"metadata":{"name":"x"},"items":[]}"#)]).boxed())
    });
    let leadership = Leadership::unheld();
    let clients = Clients::from_client(&server, &user_agent("kaedama-hub")).gated(&leadership);
    let maps: Api<ConfigMap> = Api::default_namespaced(clients.requests);

    let error = maps.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert!(matches!(refusal(&error), Some(Refusal::NotLeading { .. })), "{error}");
    assert!(!outcome_unknown(&error), "nothing was sent");
    maps.get("x").await.unwrap();

    leadership.hold_until(Instant::now() + Duration::from_secs(10));
    maps.create(&PostParams::default(), &ConfigMap::default()).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(maps.create(&PostParams::default(), &ConfigMap::default()).await.is_err(), "the deadline has passed");

    let agent = format!("kaedama-hub/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(*seen.lock().unwrap(), [(Method::GET, agent.clone()), (Method::POST, agent)]);
}

#[tokio::test]
async fn a_missing_kubeconfig_is_named_in_the_error() {
    let error = config(Some(Path::new("/nonexistent/kubeconfig")), None).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/kubeconfig"), "{error}");
}
