use std::convert::Infallible;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::Value;
use tokio::time::sleep;

use super::*;

const S: Duration = Duration::from_secs(1);

/// An events endpoint that keeps what is written, and can be told to fail.
#[derive(Clone, Default)]
struct Server {
    events: Arc<Mutex<BTreeMap<String, Value>>>,
    fails: Arc<Mutex<bool>>,
}

impl Server {
    fn recorder(&self, clock: Clock) -> Recorder {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
                let (code, answer) = server.answer(&parts.method, parts.uri.path(), body);
                let answer = Full::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Recorder::new(Client::new(service, "default"), HUB_COMPONENT, "hub-0", clock)
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let error = |code: u16| {
            (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": "", "message": ""}))
        };
        if *self.fails.lock().unwrap() {
            return error(503);
        }
        let mut events = self.events.lock().unwrap();
        if *method == Method::POST {
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            let path = format!("{path}/{name}");
            return if events.insert(path, body.clone()).is_some() { error(409) } else { (201, body) };
        }
        let Some(event) = events.get_mut(path) else {
            return error(404);
        };
        for (field, value) in body.as_object().unwrap() {
            event[field] = value.clone();
        }
        (200, event.clone())
    }

    fn all(&self) -> Vec<Value> {
        self.events.lock().unwrap().values().cloned().collect()
    }
}

fn clock() -> Clock {
    Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap())
}

fn drpc(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("ramendr.openshift.io/v1alpha1".into()),
        kind: Some("DRPlacementControl".into()),
        namespace: Some("app".into()),
        name: Some(name.into()),
        uid: Some(format!("uid-{name}")),
        ..ObjectReference::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_shape_that_consumers_read() {
    let server = Server::default();
    let recorder = server.recorder(clock());
    sleep(5 * S).await;
    assert!(recorder.publish(&drpc("db"), Note::warning("DRPCFailingOver", "to dr2")).await);
    let [event] = server.all().try_into().unwrap();
    for (pointer, expected) in [
        ("/involvedObject/name", "db"),
        ("/involvedObject/kind", "DRPlacementControl"),
        ("/metadata/namespace", "app"),
        ("/source/component", "controller_DRPlacementControl"),
        ("/reportingComponent", "controller_DRPlacementControl"),
        ("/type", "Warning"),
        ("/reason", "DRPCFailingOver"),
        ("/message", "to dr2"),
        ("/firstTimestamp", "2030-01-01T00:00:05Z"),
        ("/lastTimestamp", "2030-01-01T00:00:05Z"),
    ] {
        assert_eq!(event.pointer(pointer).and_then(Value::as_str), Some(expected), "{pointer} of {event}");
    }
    assert_eq!(event["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_event_is_suppressed_for_ten_seconds_then_counted_then_new() {
    let server = Server::default();
    let recorder = server.recorder(clock());
    let object = drpc("db");
    let note = Note::normal("DRPCRelocating", "to dr1");
    assert!(recorder.publish(&object, note.clone()).await);
    for _ in 0..9 {
        sleep(S).await;
        assert!(!recorder.clone().publish(&object, note.clone()).await, "clones suppress together");
    }
    sleep(S).await;
    assert!(recorder.publish(&object, note.clone()).await);
    let [event] = server.all().try_into().unwrap();
    assert_eq!((&event["count"], &event["lastTimestamp"]), (&json!(2), &json!("2030-01-01T00:00:10Z")));
    sleep(2 * 3600 * S).await;
    assert!(recorder.publish(&object, note).await);
    assert_eq!(server.all().len(), 2, "after two hours it is not the same occurrence");
}

#[tokio::test(start_paused = true)]
async fn different_events_and_objects_do_not_suppress_each_other() {
    let server = Server::default();
    let recorder = server.recorder(clock());
    // All at one virtual instant: the names must differ all the same.
    assert!(recorder.publish(&drpc("a"), Note::normal("DRPCDeploying", "x")).await);
    assert!(recorder.publish(&drpc("a"), Note::normal("DRPCDeploying", "y")).await);
    assert!(recorder.publish(&drpc("a"), Note::warning("DRPCDeploying", "x")).await);
    assert!(recorder.publish(&drpc("b"), Note::normal("DRPCDeploying", "x")).await);
    let reborn = ObjectReference { uid: Some("other".into()), ..drpc("a") };
    assert!(recorder.publish(&reborn, Note::normal("DRPCDeploying", "x")).await);
    assert_eq!(server.all().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_lost_is_not_suppressed_and_one_that_was_deleted_is_made_again() {
    let server = Server::default();
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = HarnessMetrics::register(&mut registry);
    let recorder = server.recorder(clock()).metrics(&metrics);
    let note = Note::normal("DRPCDeploying", "x");
    *server.fails.lock().unwrap() = true;
    assert!(!recorder.publish(&drpc("a"), note.clone()).await);
    let page = crate::harness::metrics::encode(&registry, &metrics).unwrap();
    assert!(page.contains("kaedama_events_dropped_total 1"), "{page}");
    *server.fails.lock().unwrap() = false;
    assert!(recorder.publish(&drpc("a"), note.clone()).await);
    server.events.lock().unwrap().clear();
    sleep(60 * S).await;
    assert!(recorder.publish(&drpc("a"), note).await);
    assert_eq!(server.all().len(), 1);
}

#[test]
fn long_messages_are_cut_at_a_character() {
    assert_eq!(cut("short"), "short");
    assert_eq!(cut(&"x".repeat(1024)).len(), 1024);
    let long = cut(&"é".repeat(1000));
    assert!(long.len() <= 1024 && long.ends_with("é..."), "{} bytes", long.len());
}
