use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc::unbounded;
use prometheus_client::registry::Registry;
use tokio::time::sleep;

use super::*;
use crate::harness::metrics::encode;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// What each object's passes did, in milliseconds since the start.
#[derive(Clone)]
struct Diary {
    start: Instant,
    passes: Arc<Mutex<BTreeMap<String, Vec<u128>>>>,
}

impl Diary {
    fn new() -> Self {
        Self { start: Instant::now(), passes: Arc::default() }
    }

    /// Notes a pass; the result is its number, from 1.
    fn note(&self, key: &ObjectKey) -> usize {
        let mut passes = self.passes.lock().unwrap();
        let times = passes.entry(key.name.clone()).or_default();
        times.push(self.start.elapsed().as_millis());
        times.len()
    }

    fn of(&self, name: &str) -> Vec<u128> {
        self.passes.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("ns", name)
}

fn keys(names: &[&str]) -> impl Stream<Item = ObjectKey> + Send + 'static {
    futures::stream::iter(names.iter().map(|name| key(name)).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_a_hanging_pass_of_one_object_leaves_the_others_alone() {
    let (diary, stop) = (Diary::new(), CancellationToken::new());
    let mut registry = Registry::default();
    let metrics = HarnessMetrics::register(&mut registry);
    let settings = Settings { concurrency: 2, pass_limit: S, ..Settings::default() };
    let controller = Controller::new("test").settings(settings).metrics(&metrics).keys(keys(&["bad", "hung", "good"]));
    let seen = diary.clone();
    let run = tokio::spawn(controller.run(stop.clone(), move |key: ObjectKey| {
        let pass = seen.note(&key);
        // Before the first await, the first time: the call itself panics.
        assert!(key.name != "bad" || pass != 1, "first");
        async move {
            match key.name.as_str() {
                "bad" if pass <= 3 => panic!("pass {pass}"),
                "hung" if pass == 1 => std::future::pending().await,
                "good" => Ok::<_, String>(Next::After(100 * MS)),
                _ => Ok(Next::Await),
            }
        }
    }));
    sleep(5 * S + 50 * MS).await;
    assert_eq!(diary.of("bad"), [0, 50, 150, 350], "three panics, backed off, then well");
    assert_eq!(diary.of("hung"), [0, 1050], "cut off after its second, tried again");
    assert_eq!(diary.of("good").len(), 51, "every 100 ms throughout");
    let page = encode(&registry, &metrics).unwrap();
    for line in [r#"result="panic"} 3"#, r#"result="timeout"} 1"#, r#"result="requeue"} 51"#, r#"result="success"} 2"#]
    {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_back_off_to_the_cap_and_success_starts_anew() {
    let (diary, stop) = (Diary::new(), CancellationToken::new());
    let settings = Settings { backoff: Backoff { base: 100 * MS, cap: 400 * MS }, ..Settings::default() };
    let seen = diary.clone();
    let controller = Controller::new("test").settings(settings).keys(keys(&["a"]));
    let run = controller.run(stop.clone(), move |key: ObjectKey| {
        let pass = seen.note(&key);
        async move {
            match pass {
                5 => Ok(Next::After(MS * 1000)),
                7 => Ok(Next::BackOff),
                8 => Ok(Next::Await),
                _ => Err("not yet"),
            }
        }
    });
    tokio::select! { () = run => {}, () = sleep(60 * S) => {} }
    assert_eq!(diary.of("a"), [0, 100, 300, 700, 1100, 2100, 2200, 2400]);
}

#[tokio::test(start_paused = true)]
async fn passes_of_one_object_never_overlap_and_at_most_n_run() {
    let stop = CancellationToken::new();
    let (send, triggers) = unbounded();
    let running = Arc::new(Mutex::new(BTreeMap::<ObjectKey, usize>::new()));
    let most = Arc::new(AtomicUsize::new(0));
    let passes = Arc::new(AtomicUsize::new(0));
    let (now_running, peak, count) = (running.clone(), most.clone(), passes.clone());
    let controller = Controller::new("test").concurrency(3).keys(triggers);
    let run = tokio::spawn(controller.run(stop.clone(), move |key: ObjectKey| {
        let (running, most, passes) = (now_running.clone(), peak.clone(), count.clone());
        async move {
            {
                let mut running = running.lock().unwrap();
                *running.entry(key.clone()).or_default() += 1;
                assert_eq!(running[&key], 1, "two passes of {key} at a time");
                most.fetch_max(running.values().sum(), Ordering::Relaxed);
            }
            sleep(30 * MS).await;
            *running.lock().unwrap().get_mut(&key).unwrap() -= 1;
            passes.fetch_add(1, Ordering::Relaxed);
            Ok::<_, String>(Next::Await)
        }
    }));
    for _ in 0..100 {
        for name in ["a", "b", "c", "d", "e"] {
            send.unbounded_send(key(name)).unwrap();
        }
        sleep(10 * MS).await;
    }
    sleep(S).await;
    assert_eq!(most.load(Ordering::Relaxed), 3);
    let passes = passes.load(Ordering::Relaxed);
    assert!((90..=120).contains(&passes), "three at a time, 30 ms each, for a second: {passes}");
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_pass_leads_to_another() {
    let (diary, stop) = (Diary::new(), CancellationToken::new());
    let (send, triggers) = unbounded();
    let seen = diary.clone();
    let controller = Controller::new("test").keys(triggers);
    let run = tokio::spawn(controller.run(stop.clone(), move |key: ObjectKey| {
        seen.note(&key);
        async move {
            sleep(100 * MS).await;
            Ok::<_, String>(Next::Await)
        }
    }));
    send.unbounded_send(key("a")).unwrap();
    sleep(50 * MS).await;
    send.unbounded_send(key("a")).unwrap();
    send.unbounded_send(key("a")).unwrap();
    sleep(5 * S).await;
    assert_eq!(diary.of("a"), [0, 100]);
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_running_passes_finish_within_the_bound_and_starts_none() {
    for (takes, finishes) in [(3 * S, true), (30 * S, false)] {
        let (stop, done) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let finished = done.clone();
        let controller = Controller::new("test").concurrency(1).keys(keys(&["running", "waiting"]));
        let run = tokio::spawn(controller.run(stop.clone(), move |_: ObjectKey| {
            let finished = finished.clone();
            async move {
                sleep(takes).await;
                finished.fetch_add(1, Ordering::Relaxed);
                Ok::<_, String>(Next::Await)
            }
        }));
        sleep(S).await;
        let asked = Instant::now();
        stop.cancel();
        run.await.unwrap();
        let expected = if finishes { 2 * S } else { Settings::default().drain };
        assert_eq!((asked.elapsed(), done.load(Ordering::Relaxed)), (expected, usize::from(finishes)));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_ends_its_passes() {
    let done = Arc::new(AtomicUsize::new(0));
    let finished = done.clone();
    let run = Controller::new("test").keys(keys(&["a"])).run(CancellationToken::new(), move |_: ObjectKey| {
        let finished = finished.clone();
        async move {
            sleep(S).await;
            finished.fetch_add(1, Ordering::Relaxed);
            Ok::<_, String>(Next::Await)
        }
    });
    assert!(timeout(500 * MS, run).await.is_err());
    sleep(10 * S).await;
    assert_eq!(done.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_controller_without_triggers_still_stops() {
    let stop = CancellationToken::new();
    let run = Controller::<ObjectKey>::new("idle").run(stop.clone(), |_| async { Ok::<_, String>(Next::Await) });
    let run = tokio::spawn(run);
    sleep(S).await;
    stop.cancel();
    run.await.unwrap();
}
