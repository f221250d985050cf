//! The cache against a scripted transport: each list and watch is answered with what the script says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;

const S: Duration = Duration::from_secs(1);

type Frames = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// One answer of the script.
enum Answer {
    /// A status code and a body.
    Plain(u16, Value),
    /// Events, each after a pause; then the stream stays open, or ends.
    Events(Vec<(Duration, Value)>, bool),
    /// No answer at all.
    Silence,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), requests: Arc::default() }
    }

    fn api(&self) -> Api<DeserializeGuard<ConfigMap>> {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            script.requests.lock().unwrap().push(query);
            let answer = script.answers.lock().unwrap().pop_front().unwrap_or(Answer::Silence);
            async move {
                let line = |value: Value| Ok(Frame::data(Bytes::from(format!("{value}\n"))));
                let (code, frames): (u16, Frames) = match answer {
                    Answer::Plain(code, body) => (code, futures::stream::iter([line(body)]).boxed()),
                    Answer::Events(events, open) => {
                        let events = futures::stream::iter(events).then(move |(pause, event)| async move {
                            sleep(pause).await;
                            line(event)
                        });
                        (200, if open { events.chain(futures::stream::pending()).boxed() } else { events.boxed() })
                    }
                    Answer::Silence => std::future::pending().await,
                };
                Ok::<_, Infallible>(Response::builder().status(code).body(StreamBody::new(frames)).unwrap())
            }
        });
        Api::namespaced(Client::new(service, "ns"), "ns")
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn map(name: &str, version: u32, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": value},
        "metadata": {"name": name, "namespace": "ns", "resourceVersion": version.to_string(),
            "managedFields": [{"manager": "x"}]}})
}

/// A ConfigMap whose data are not a map.
fn broken(name: &str, version: u32) -> Value {
    let mut map = map(name, version, "");
    map["data"] = json!("not a map");
    map
}

fn list(version: u32, items: Vec<Value>) -> Answer {
    let meta = json!({"resourceVersion": version.to_string()});
    Answer::Plain(200, json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": meta, "items": items}))
}

fn event(kind: &str, object: Value) -> (Duration, Value) {
    (S, json!({"type": kind, "object": object}))
}

fn bookmark(version: u32) -> (Duration, Value) {
    event(
        "BOOKMARK",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": version.to_string()}}),
    )
}

fn status(code: u16, reason: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("ns", name)
}

fn value(object: Option<&Arc<ConfigMap>>) -> Option<String> {
    object?.data.as_ref()?.get("v").cloned()
}

/// What a change looks like in a line.
fn told(change: &Change<ConfigMap>) -> String {
    let after = match &change.after {
        Seen::Present(object) => value(Some(object)).unwrap_or_default(),
        Seen::Absent => "gone".to_owned(),
        Seen::Unknown(_) => "unknown".to_owned(),
    };
    format!("{}: {} -> {after}", change.key.name, value(change.before.as_ref()).unwrap_or("none".to_owned()))
}

fn all_told(changes: &mut Changes<ConfigMap>) -> Vec<String> {
    std::iter::from_fn(|| changes.try_recv().ok()).map(|change| told(&change)).collect()
}

#[tokio::test(start_paused = true)]
async fn lists_then_watches_and_tells_every_change_with_before_and_after() {
    let first_page = Answer::Plain(
        200,
        json!({"apiVersion": "v1", "kind": "ConfigMapList",
        "metadata": {"resourceVersion": "10", "continue": "more"}, "items": [map("a", 5, "1")]}),
    );
    let script = Script::new([
        first_page,
        list(10, vec![map("b", 6, "1")]),
        Answer::Events(
            vec![
                event("MODIFIED", map("a", 11, "2")),
                event("ADDED", map("c", 12, "1")),
                event("DELETED", map("b", 13, "1")),
            ],
            true,
        ),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().labels("app=x"));
    assert!(matches!(cache.seen(&key("a")), Seen::Unknown(why) if why.contains("not been listed")));
    cache.ready().await;
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("1"));
    let mut changes = cache.changes();
    assert_eq!(all_told(&mut changes), ["a: none -> 1", "b: none -> 1"], "what is there, to begin with");
    sleep(5 * S).await;
    assert_eq!(all_told(&mut changes), ["a: 1 -> 2", "c: none -> 1", "b: 1 -> gone"]);
    assert!(cache.seen(&key("b")).is_absent(), "proven by a current view");
    let names: Vec<_> = cache.list().iter().map(|map| map.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(cache.list().iter().all(|map| map.metadata.managed_fields.is_none()));
    let requests = script.requests();
    assert!(requests[1].contains("continue=more"), "{requests:?}");
    assert!(requests[2].contains("resourceVersion=10") && requests[2].contains("watch=true"), "{requests:?}");
    assert!(requests.iter().all(|query| query.contains("labelSelector=app%3Dx")), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_lists_anew_and_tells_what_was_missed() {
    let script = Script::new([
        list(10, vec![map("same", 5, "1"), map("changed", 6, "1"), map("deleted", 7, "1")]),
        Answer::Events(vec![event("ERROR", status(410, "Expired"))], true),
        list(20, vec![map("same", 5, "1"), map("changed", 15, "2"), map("new", 16, "1")]),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    cache.ready().await;
    let mut changes = cache.changes();
    all_told(&mut changes);
    sleep(3 * S).await;
    assert_eq!(all_told(&mut changes), ["deleted: 1 -> gone", "changed: 1 -> 2", "new: none -> 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_is_unknown_and_does_not_stall_the_rest() {
    let script = Script::new([
        list(10, vec![broken("bad", 5), map("good", 6, "1")]),
        Answer::Events(
            vec![
                event("MODIFIED", map("good", 11, "2")),
                event("MODIFIED", broken("good", 12)),
                event("MODIFIED", map("bad", 13, "1")),
                event("MODIFIED", map("good", 14, "3")),
            ],
            true,
        ),
    ]);
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = HarnessMetrics::register(&mut registry);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().metrics(&metrics));
    cache.ready().await;
    assert!(matches!(cache.seen(&key("bad")), Seen::Unknown(why) if why.contains("map")), "neither there nor absent");
    assert!(cache.seen(&key("good")).present().is_some());
    assert!(cache.seen_all().unknown().unwrap().contains("ns/bad"), "the whole is not known");
    assert_eq!(cache.undecodable().len(), 1);
    let page = crate::harness::metrics::encode(&registry, &metrics).unwrap();
    assert!(page.contains(r#"kaedama_view_undecodable_objects{view="maps"} 1"#), "{page}");
    let mut changes = cache.changes();
    all_told(&mut changes);
    sleep(10 * S).await;
    assert_eq!(all_told(&mut changes), ["good: 1 -> 2", "good: 2 -> unknown", "bad: none -> 1", "good: none -> 3"]);
    assert_eq!(cache.seen_all().present().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_view_without_contact_goes_stale_and_a_quiet_one_does_not() {
    // Quiet: each watch brings a bookmark or just ends at its time, and is opened anew.
    let quiet = Script::new([
        list(10, vec![map("a", 5, "1")]),
        Answer::Events(vec![(30 * S, bookmark(11).1), (30 * S, bookmark(12).1)], false),
        Answer::Events(vec![(55 * S, bookmark(13).1)], false),
        // From here on nothing is answered any more: a partition.
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", quiet.api(), Scope::default());
    cache.ready().await;
    for second in 0..115 {
        assert_eq!(cache.doubt(), None, "after {second} s");
        sleep(S).await;
    }
    sleep(100 * S).await;
    assert!(cache.doubt().unwrap().contains("stale"), "{:?}", cache.freshness());
    assert!(matches!(cache.seen(&key("a")), Seen::Unknown(_)));
    assert!(matches!(cache.seen(&key("never-there")), Seen::Unknown(_)), "absence is not proven by a stale view");
    assert!(cache.get(&key("a")).is_some(), "the last known state can be had by asking for it");
    let requests = quiet.requests();
    assert!(requests[2].contains("resourceVersion=12") && requests[3].contains("resourceVersion=13"), "{requests:?}");
    assert!(requests[1..4].iter().all(|query| query.contains("watch=true")), "nothing else is asked: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reopened_watch_counts_as_contact_only_when_it_has_caught_up() {
    let script = Script::new([
        list(10, vec![map("a", 5, "1")]),
        Answer::Events(vec![], true),
        list(11, vec![]),
        // The first watch fell silent after 65 s. The next one brings what was missed, half a second late.
        Answer::Events(vec![(Duration::from_millis(500), event("MODIFIED", map("a", 11, "2")).1)], true),
    ]);
    let scope = Scope::default().silence(60 * S, 62 * S);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), scope);
    cache.ready().await;
    // Settled 1 s after the list; silent from then on until 66 s; opened again at 66.2 s.
    sleep(Duration::from_millis(66_400)).await;
    assert_eq!(script.requests().len(), 4);
    assert!(cache.doubt().is_some(), "opened, and still behind");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(value(cache.seen(&key("a")).present()).as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_bounded_delays() {
    let down = |_| Answer::Plain(503, status(503, "ServiceUnavailable"));
    let script = Script::new((0..10).map(down).chain([list(10, vec![])]));
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    let start = Instant::now();
    cache.ready().await;
    // 0.2 + 0.4 + 0.8 + 1.6 and six times the cap of 2 s.
    assert_eq!(start.elapsed(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_or_are_forbidden_do_not_spin() {
    for answer in [|| Answer::Events(vec![], false), || Answer::Plain(403, status(403, "Forbidden"))] {
        let script = Script::new((0..1000).flat_map(|_| [list(10, vec![]), answer()]));
        let _cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
        sleep(60 * S).await;
        let count = script.requests().len();
        assert!(count < 80, "{count} requests in a minute");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_is_empty_until_it_is() {
    let missing = || Answer::Plain(404, status(404, "NotFound"));
    let script = Script::new([missing(), missing(), list(10, vec![map("a", 5, "1")])]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().optional());
    cache.ready().await;
    assert!(!cache.freshness().served);
    assert!(cache.seen(&key("a")).is_absent());
    sleep(65 * S).await;
    assert!(cache.freshness().served);
    assert!(cache.seen(&key("a")).present().is_some());
    // One that has to be there is waited for.
    let script = Script::new([missing()]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    sleep(25 * S).await;
    assert!(cache.doubt().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_is_missing_only_where_it_can_be_done_without() {
    let denied = || Answer::Plain(403, status(403, "Forbidden"));
    let script = Script::new([denied(), list(10, vec![map("a", 5, "1")])]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().dispensable());
    cache.ready().await;
    assert!(!cache.freshness().served);
    sleep(35 * S).await;
    assert!(cache.seen(&key("a")).present().is_some(), "the right was granted");
    // What is not there for want of a right is not known to be missing.
    let script = Script::new([denied()]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().optional());
    sleep(25 * S).await;
    assert!(cache.doubt().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_with_the_last_handle() {
    let script = Script::new([list(10, vec![]), Answer::Events(vec![bookmark(11)], false)]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    cache.ready().await;
    let mut changes = cache.changes();
    drop(cache.clone());
    drop(cache);
    assert!(changes.next().await.is_none());
    let before = script.requests().len();
    sleep(600 * S).await;
    assert_eq!(script.requests().len(), before);
}

fn written(name: &str, version: u32, value: &str) -> ConfigMap {
    serde_json::from_value(map(name, version, value)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_at_once_and_told_once() {
    let script = Script::new([
        list(10, vec![map("a", 5, "1")]),
        Answer::Events(
            vec![
                (5 * S, event("MODIFIED", map("a", 11, "other's")).1),
                event("MODIFIED", map("a", 12, "ours")),
                event("ADDED", map("b", 13, "ours")),
                event("MODIFIED", map("a", 14, "newer")),
            ],
            true,
        ),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    cache.ready().await;
    let mut changes = cache.changes();
    all_told(&mut changes);
    cache.note_written(written("a", 12, "ours"));
    cache.note_written(written("b", 13, "ours"));
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("ours"));
    assert!(cache.get(&key("b")).unwrap().metadata.managed_fields.is_none());
    sleep(6 * S).await;
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("ours"), "the view does not step back");
    sleep(6 * S).await;
    assert_eq!(all_told(&mut changes), ["a: 1 -> ours", "b: none -> ours", "a: ours -> newer"]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_write_does_not_bring_back_what_was_deleted() {
    let script = Script::new([
        list(10, vec![map("a", 5, "1"), map("reborn", 6, "old")]),
        Answer::Events(
            vec![
                event("ADDED", map("b", 11, "1")),
                event("DELETED", map("b", 12, "1")),
                event("DELETED", map("reborn", 13, "old")),
                event("ADDED", map("reborn", 14, "new")),
                (30 * S, bookmark(30).1),
            ],
            true,
        ),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    cache.ready().await;
    let mut changes = cache.changes();
    all_told(&mut changes);
    // Made by us; the watch is behind.
    cache.note_written(written("reborn", 14, "new"));
    sleep(5 * S).await;
    // These answers come late: the watch is past them.
    cache.note_written(written("b", 11, "1"));
    cache.note_written(written("a", 9, "before the list"));
    assert_eq!(
        all_told(&mut changes),
        ["reborn: old -> new", "b: none -> 1", "b: 1 -> gone"],
        "nothing comes back, and the new one is never said to be gone"
    );
    assert!(cache.seen(&key("b")).is_absent());
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("1"));
    // Our write took the last finalizer of an object in deletion: it is not a newer version, it is the end.
    let mut last = written("a", 15, "2");
    last.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Default::default()));
    cache.note_written(last);
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("1"), "the watch will tell of the deletion");
    sleep(60 * S).await;
    cache.note_written(written("c", 20, "1"));
    assert!(cache.get(&key("c")).is_none(), "a bookmark says how far the watch is, too");
}

#[tokio::test(start_paused = true)]
async fn where_a_selector_narrows_the_view_the_watch_decides_what_belongs_there() {
    let script = Script::new([list(10, vec![map("a", 5, "1")]), Answer::Events(vec![], true)]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().labels("app=x"));
    cache.ready().await;
    cache.note_written(written("a", 11, "2"));
    cache.note_written(written("b", 12, "1"));
    assert_eq!(value(cache.get(&key("a")).as_ref()).as_deref(), Some("2"));
    assert!(cache.get(&key("b")).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_restored_from_a_backup_is_listed_anew() {
    let script = Script::new([
        list(100, vec![map("a", 90, "late")]),
        Answer::Events(vec![bookmark(40)], true),
        list(40, vec![map("a", 20, "early")]),
        Answer::Events(vec![event("MODIFIED", map("a", 41, "again"))], true),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default());
    cache.ready().await;
    let mut changes = cache.changes();
    sleep(10 * S).await;
    assert_eq!(all_told(&mut changes), ["a: none -> late", "a: late -> early", "a: early -> again"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_cut_off_goes_on_only_where_its_past_is_still_so() {
    let down = || Answer::Plain(503, status(503, "ServiceUnavailable"));
    let script = Script::new([
        list(100, vec![map("a", 90, "lost"), map("b", 30, "old")]),
        Answer::Events(vec![bookmark(101)], false),
        list(101, vec![]),
        // An API server that was away for a moment, and one that comes back from a backup: its watch would stay silent.
        Answer::Events(vec![bookmark(102)], false),
        down(),
        list(40, vec![map("b", 30, "other")]),
        list(40, vec![map("b", 30, "other")]),
        Answer::Events(vec![event("MODIFIED", map("b", 41, "again"))], true),
    ]);
    let cache: Cache<ConfigMap> = Cache::start("maps", script.api(), Scope::default().labels("app=x"));
    cache.ready().await;
    let mut changes = cache.changes();
    assert_eq!(all_told(&mut changes), ["a: none -> lost", "b: none -> old"]);
    sleep(10 * S).await;
    let told = all_told(&mut changes);
    assert_eq!(told, ["a: lost -> gone", "b: old -> other", "b: other -> again"], "also where the version is the same");
    let requests = script.requests();
    let kinds: Vec<&str> = requests
        .iter()
        .map(|query| match (query.contains("watch=true"), query.contains("limit=1")) {
            (true, _) => "watch",
            (false, true) => "look",
            (false, false) => "list",
        })
        .collect();
    assert_eq!(kinds, ["list", "watch", "look", "watch", "look", "look", "list", "watch"]);
    assert!(requests[3].contains("resourceVersion=101"), "{requests:?}");
}

/// The groups of a ConfigMap: the words of its value.
fn words(map: &ConfigMap) -> Vec<String> {
    let value = map.data.iter().flatten().find(|(key, _)| *key == "v").map(|(_, value)| value.clone());
    value.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_group_has_the_objects_that_belong_to_it_now() {
    let mut elsewhere = map("a", 7, "red");
    elsewhere["metadata"]["namespace"] = json!("other");
    let script = Script::new([
        list(10, vec![map("a", 5, "red blue"), map("b", 6, "red"), elsewhere.clone()]),
        Answer::Events(
            vec![
                event("MODIFIED", map("a", 11, "blue")),
                event("ADDED", map("c", 12, "red")),
                event("MODIFIED", broken("c", 13)),
                event("DELETED", map("b", 14, "red")),
                event("ERROR", status(410, "Expired")),
            ],
            false,
        ),
        list(20, vec![map("d", 16, "blue"), elsewhere]),
    ]);
    let cache: Cache<ConfigMap> = Cache::start_grouped("maps", script.api(), Scope::default(), words);
    cache.ready().await;
    let names = |maps: Vec<Arc<ConfigMap>>| -> Vec<String> {
        maps.iter().map(|map| ObjectKey::of(&**map).to_string()).collect()
    };
    let group = |group: &str| names(cache.grouped(group));
    assert_eq!(group("red"), ["ns/a", "ns/b", "other/a"]);
    assert_eq!((group("blue"), group("green")), (vec!["ns/a".to_owned()], vec![]));
    assert_eq!(names(cache.within("ns", |_| true)), ["ns/a", "ns/b"]);
    assert_eq!(names(cache.within("other", |_| true)), ["other/a"]);
    assert_eq!(names(cache.within("n", |_| true)), Vec::<String>::new());
    sleep(S + S / 2).await;
    assert_eq!(group("red"), ["ns/b", "other/a"], "a has left");
    sleep(S).await;
    assert_eq!(group("red"), ["ns/b", "ns/c", "other/a"], "c has come");
    sleep(S).await;
    assert_eq!(group("red"), ["ns/b", "other/a"], "nobody knows what c belongs to now");
    assert_eq!(names(cache.within("ns", |_| true)), ["ns/a", "ns/b"]);
    sleep(S).await;
    assert_eq!(group("red"), ["other/a"], "b has gone");
    cache.note_written(serde_json::from_value(map("a", 15, "red")).unwrap());
    assert_eq!(group("red"), ["ns/a", "other/a"], "what was written here counts at once");
    sleep(10 * S).await;
    assert_eq!((group("red"), group("blue")), (vec!["other/a".to_owned()], vec!["ns/d".to_owned()]), "listed anew");
}
