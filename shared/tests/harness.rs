//! The harness against an API server, in virtual time: what an operator process does from its start to its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace};
use kaedama_apiserver::ApiServer;
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::{Cache, Scope};
use kaedama_shared::harness::client::{Clients, Refusal, refusal};
use kaedama_shared::harness::controller::{Controller, Next, PassError, Settings};
use kaedama_shared::harness::events::{HUB_COMPONENT, Note, Recorder};
use kaedama_shared::harness::leader::{self, Election, LeadError, Leadership, Timings};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn clock() -> Clock {
    Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap())
}

async fn server() -> (ApiServer, Client) {
    let time = clock();
    let server = ApiServer::builder("hub").seed(7).clock(move || time.now()).build();
    let client = server.client("test");
    let namespace = serde_json::from_value(json!({"metadata": {"name": "ns"}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    (server, client)
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "ns"}, "data": {"v": value}})).unwrap()
}

/// An operator with one controller, which counts in every ConfigMap how often its value has changed.
struct Operator {
    clients: Clients,
    leadership: Arc<Mutex<Option<Leadership>>>,
    stop: CancellationToken,
    run: JoinHandle<Result<(), LeadError>>,
}

impl Operator {
    fn start(server: &ApiServer, name: &str) -> Self {
        let clients = Clients::from_client(&server.client(name), "kaedama-test/1");
        let stop = CancellationToken::new();
        let leadership = Arc::new(Mutex::new(None));
        let election = Election::new("ns", leader::HUB_LEASE, name, Timings::default()).unwrap();
        let (own, held, until, name) = (clients.clone(), leadership.clone(), stop.clone(), name.to_owned());
        let run = leader::lead(election, clients.lease.clone(), clock(), stop.clone(), move |leadership| async move {
            *held.lock().unwrap() = Some(leadership.clone());
            let clients = own.gated(&leadership);
            let maps: Cache<ConfigMap> =
                Cache::start("maps", Api::namespaced(clients.watches.clone(), "ns"), Scope::default());
            let recorder = Recorder::new(clients.requests.clone(), HUB_COMPONENT, name.clone(), clock());
            let api: Api<ConfigMap> = Api::namespaced(clients.requests, "ns");
            let controller =
                Controller::new("count").primary(&maps).settings(Settings { concurrency: 8, ..Settings::default() });
            controller
                .run(until, move |key| pass(key, maps.clone(), api.clone(), recorder.clone(), name.clone()))
                .await;
        });
        let run = tokio::spawn(run);
        Self { clients, leadership, stop, run }
    }

    fn leads(&self) -> bool {
        self.leadership.lock().unwrap().as_ref().is_some_and(Leadership::is_held)
    }
}

async fn pass(
    key: ObjectKey,
    maps: Cache<ConfigMap>,
    api: Api<ConfigMap>,
    recorder: Recorder,
    name: String,
) -> Result<Next, PassError> {
    let Some(map) = maps.seen(&key).present().cloned() else { return Ok(Next::Await) };
    let data = map.data.clone().unwrap_or_default();
    let value = data.get("v").cloned().unwrap_or_default();
    assert!(value != "panic", "as asked");
    if value == "error" {
        return Err("as asked".into());
    }
    if data.get("done") == Some(&value) {
        return Ok(Next::Await);
    }
    let mut new = ConfigMap::clone(&map);
    let count = data.get("count").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0) + 1;
    new.data.get_or_insert_default().extend([
        ("done".to_owned(), value.clone()),
        ("count".to_owned(), count.to_string()),
        ("by".to_owned(), name),
    ]);
    let written = api.replace(&key.name, &PostParams::default(), &new).await?;
    recorder.publish(&written.object_ref(&()), Note::normal("Counted", format!("value {value}"))).await;
    maps.note_written(written);
    Ok(Next::Await)
}

async fn data(api: &Api<ConfigMap>, name: &str) -> BTreeMap<String, String> {
    api.get(name).await.unwrap().data.unwrap_or_default()
}

async fn set(api: &Api<ConfigMap>, name: &str, value: &str) {
    let patch = Patch::Merge(json!({"data": {"v": value}}));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_operator_works_under_its_lease_and_hands_it_over() {
    let (server, client) = server().await;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "ns");
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &map(name, "1")).await.unwrap();
    }
    let first = Operator::start(&server, "first");
    sleep(2 * S).await;
    let second = Operator::start(&server, "second");
    sleep(100 * S).await;
    assert!(first.leads() && !second.leads());
    assert_eq!((data(&api, "a").await["count"].as_str(), data(&api, "b").await["by"].as_str()), ("1", "first"));

    // One object that panics and one that fails do not hold a third one up.
    set(&api, "a", "panic").await;
    api.create(&PostParams::default(), &map("c", "error")).await.unwrap();
    set(&api, "b", "2").await;
    sleep(200 * MS).await;
    assert_eq!(data(&api, "b").await["count"], "2");
    // They come back on their own as soon as they are mended.
    sleep(60 * S).await;
    set(&api, "a", "3").await;
    set(&api, "c", "3").await;
    sleep(200 * MS).await;
    assert_eq!((data(&api, "a").await["count"].as_str(), data(&api, "c").await["count"].as_str()), ("2", "1"));

    // The API server restarts, and forgets its history: the view follows all the same.
    server.end_watches();
    server.compact();
    set(&api, "b", "4").await;
    api.delete("c", &DeleteParams::default()).await.unwrap();
    sleep(5 * S).await;
    assert_eq!(data(&api, "b").await["count"], "3");

    let asked = Instant::now();
    first.stop.cancel();
    first.run.await.unwrap().unwrap();
    while !second.leads() {
        assert!(asked.elapsed() < 10 * S, "handed over, not waited out");
        sleep(100 * MS).await;
    }
    set(&api, "a", "5").await;
    sleep(S).await;
    assert_eq!((data(&api, "a").await["count"].as_str(), data(&api, "a").await["by"].as_str()), ("3", "second"));

    let lease = Api::<Lease>::namespaced(client.clone(), "ns").get(leader::HUB_LEASE).await.unwrap().spec.unwrap();
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("second"), Some(1)));
    let events = Api::<Event>::namespaced(client, "ns").list(&ListParams::default()).await.unwrap();
    let about = |name: &str| events.items.iter().filter(|e| e.involved_object.name.as_deref() == Some(name)).count();
    assert_eq!((about("a"), about("b"), about("c")), (3, 3, 1));
    second.stop.cancel();
    second.run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_operators_never_lead_at_once_whoever_dies() {
    let (server, client) = server().await;
    let mut operators = [Operator::start(&server, "op-0"), Operator::start(&server, "op-1")];
    let mut leaders = Vec::new();
    for round in 2..8 {
        let start = Instant::now();
        let leader = loop {
            let leading: Vec<usize> = (0..2).filter(|i| operators[*i].leads()).collect();
            assert!(leading.len() <= 1, "two leaders in round {round}");
            if let [leader] = leading[..] {
                break leader;
            }
            assert!(start.elapsed() < 40 * S, "nobody leads in round {round}");
            sleep(100 * MS).await;
        };
        let lease = Api::<Lease>::namespaced(client.clone(), "ns").get(leader::HUB_LEASE).await.unwrap();
        leaders.push(lease.spec.unwrap().holder_identity.unwrap());
        // Killed without a word, and started anew.
        operators[leader].run.abort();
        let successor = Operator::start(&server, &format!("op-{round}"));
        let old = std::mem::replace(&mut operators[leader], successor);
        // What the dead one still had in its hands writes nothing once its lease has run out.
        sleep(10 * S).await;
        let leadership = old.leadership.lock().unwrap().clone().unwrap();
        let late = old.clients.gated(&leadership);
        let error = Api::<ConfigMap>::namespaced(late.requests, "ns")
            .create(&PostParams::default(), &map("late", "x"))
            .await
            .unwrap_err();
        assert!(matches!(refusal(&error), Some(Refusal::NotLeading { .. })), "{error}");
    }
    let distinct: std::collections::BTreeSet<_> = leaders.iter().collect();
    assert_eq!(distinct.len(), leaders.len(), "{leaders:?}");
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_all_reconciled_though_everybody_writes() {
    let (server, client) = server().await;
    let api: Api<ConfigMap> = Api::namespaced(client, "ns");
    let operator = Operator::start(&server, "first");
    for i in 0..60 {
        api.create(&PostParams::default(), &map(&format!("m{i}"), "0")).await.unwrap();
    }
    for round in 1..=20 {
        for i in 0..60 {
            set(&api, &format!("m{i}"), &round.to_string()).await;
        }
        sleep(7 * MS).await;
    }
    sleep(5 * S).await;
    for i in 0..60 {
        let data = data(&api, &format!("m{i}")).await;
        assert_eq!((data["v"].as_str(), data["done"].as_str()), ("20", "20"), "m{i}: {data:?}");
    }
    operator.stop.cancel();
    operator.run.await.unwrap().unwrap();
}
