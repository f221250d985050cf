//! `lead` against an API: a small stand-in for the Lease endpoints, which can be cut off.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::step::{Election, Loss, Timings};
use super::{LeadError, Leadership, lead};
use crate::clock::Clock;
use crate::harness::client::Clients;

const S: Duration = Duration::from_secs(1);

/// One Lease, with optimistic concurrency.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    version: Arc<AtomicUsize>,
}

/// How one client's network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Up,
    /// Nothing arrives.
    Down,
    /// Requests arrive and are carried out; answers are lost.
    Deaf,
}

impl Server {
    fn client(&self, link: &Arc<Mutex<Link>>) -> Client {
        let (server, link) = (self.clone(), link.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, link) = (server.clone(), link.clone());
            async move {
                sleep(Duration::from_millis(20)).await;
                let state = *link.lock().unwrap();
                if state == Link::Down {
                    std::future::pending::<()>().await;
                }
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, answer) = server.answer(&parts.method, &serde_json::from_slice(&body).unwrap_or_default());
                if state == Link::Deaf {
                    std::future::pending::<()>().await;
                }
                let answer = Full::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        let client = Client::new(service, "ns");
        Clients::from_client(&client, "test/1").lease
    }

    fn answer(&self, method: &Method, body: &Value) -> (u16, Value) {
        let error = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
        };
        let mut lease = self.lease.lock().unwrap();
        let stored_version = lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match *method {
            Method::GET => {
                return lease.clone().map_or_else(|| error(404, "NotFound"), |lease| (200, lease));
            }
            Method::POST if lease.is_some() => return error(409, "AlreadyExists"),
            Method::PUT if stored_version.is_none() => return error(404, "NotFound"),
            Method::PUT if stored_version.as_ref() != Some(&body["metadata"]["resourceVersion"]) => {
                return error(409, "Conflict");
            }
            Method::POST | Method::PUT => {}
            _ => return error(405, "MethodNotAllowed"),
        }
        let mut new = body.clone();
        new["metadata"]["resourceVersion"] = json!((self.version.fetch_add(1, Ordering::Relaxed) + 1).to_string());
        *lease = Some(new.clone());
        (200, new)
    }

    fn holder(&self) -> String {
        let lease = self.lease.lock().unwrap();
        lease.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// A process that wants to lead.
struct Process {
    link: Arc<Mutex<Link>>,
    leads: Arc<Mutex<Option<Leadership>>>,
    stop: CancellationToken,
    run: JoinHandle<Result<&'static str, LeadError>>,
}

impl Process {
    fn start(server: &Server, name: &str, clock: Clock) -> Self {
        let link = Arc::new(Mutex::new(Link::Up));
        let leads = Arc::new(Mutex::new(None));
        let stop = CancellationToken::new();
        let election = Election::new("ns", "lease", name, Timings::default()).unwrap();
        let (client, own, until) = (server.client(&link), leads.clone(), stop.clone());
        let run = tokio::spawn(lead(election, client, clock, stop.clone(), move |leadership| async move {
            *own.lock().unwrap() = Some(leadership);
            until.cancelled().await;
            // What a controller does at the end: finish its pass, still under the lease.
            sleep(3 * S).await;
            "done"
        }));
        Self { link, leads, stop, run }
    }

    fn leads(&self) -> bool {
        self.leads.lock().unwrap().as_ref().is_some_and(Leadership::is_held)
    }

    fn set(&self, link: Link) {
        *self.link.lock().unwrap() = link;
    }
}

fn clock() -> Clock {
    Clock::starting_at("2030-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}

/// Waits until `process` leads; never two at a time on the way. The result is how long it took.
async fn until_leads(process: &Process, other: &Process) -> Duration {
    let start = Instant::now();
    while !process.leads() {
        assert!(start.elapsed() < 60 * S, "nobody takes over");
        sleep(Duration::from_millis(50)).await;
        assert!(!(process.leads() && other.leads()), "two leaders");
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_finishes_its_work_and_hands_over_at_once() {
    let server = Server::default();
    let first = Process::start(&server, "first", clock());
    sleep(S).await;
    let second = Process::start(&server, "second", clock());
    sleep(600 * S).await;
    assert!(first.leads() && !second.leads(), "it renews for as long as it lives");
    first.stop.cancel();
    sleep(2 * S).await;
    assert!(first.leads(), "its last passes run under the lease");
    let took = until_leads(&second, &first).await;
    assert!(took < 5 * S, "{took:?}");
    assert_eq!(first.run.await.unwrap().unwrap(), "done");
    assert_eq!(server.holder(), "second");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_gives_up_before_another_takes_over() {
    for link in [Link::Down, Link::Deaf] {
        let server = Server::default();
        let first = Process::start(&server, "first", clock());
        sleep(S).await;
        // The second one's clock is years ahead, which must not matter.
        let second = Process::start(&server, "second", Clock::starting_at("2040-01-01T00:00:00Z".parse().unwrap()));
        sleep(20 * S).await;
        first.set(link);
        let took = until_leads(&second, &first).await;
        assert!(took >= 12 * S && took < 30 * S, "{link:?}: {took:?}");
        let error = first.run.await.unwrap().unwrap_err();
        assert!(matches!(error, LeadError::Lost { source: Loss::Deadline, .. }), "{link:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_loss_of_answers_is_survived() {
    let server = Server::default();
    let first = Process::start(&server, "first", clock());
    sleep(S).await;
    first.set(Link::Deaf);
    sleep(4 * S).await;
    first.set(Link::Up);
    for _ in 0..100 {
        sleep(S).await;
        assert!(first.leads());
    }
}

#[tokio::test(start_paused = true)]
async fn a_usurper_or_a_deletion_ends_the_reign() {
    for (lease, expected) in [
        (
            Some(json!({"metadata": {"name": "lease", "resourceVersion": "x"}, "spec": {"holderIdentity": "hand"}})),
            Loss::Taken("hand".into()),
        ),
        (None, Loss::Deleted),
    ] {
        let server = Server::default();
        let first = Process::start(&server, "first", clock());
        sleep(S).await;
        *server.lease.lock().unwrap() = lease;
        let error = first.run.await.unwrap().unwrap_err();
        assert!(matches!(&error, LeadError::Lost { source, .. } if *source == expected), "{error:?}");
        assert!(!first.leads.lock().unwrap().as_ref().unwrap().is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_can_be_stopped() {
    let server = Server::default();
    let first = Process::start(&server, "first", clock());
    sleep(S).await;
    let second = Process::start(&server, "second", clock());
    sleep(S).await;
    second.stop.cancel();
    assert!(matches!(second.run.await.unwrap(), Err(LeadError::Stopped { .. })));
    assert!(first.leads());
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_into_the_lease_is_kept() {
    let server = Server::default();
    let first = Process::start(&server, "first", clock());
    sleep(S).await;
    {
        let mut lease = server.lease.lock().unwrap();
        let lease = lease.as_mut().unwrap();
        lease["metadata"]["labels"] = json!({"team": "dr"});
        lease["metadata"]["resourceVersion"] = json!("edited");
    }
    sleep(30 * S).await;
    assert!(first.leads());
    let lease = server.lease.lock().unwrap().clone().unwrap();
    assert_eq!(lease["metadata"]["labels"]["team"], "dr");
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(lease["spec"]["acquireTime"], "2030-01-01T00:00:00.020000Z");
}
