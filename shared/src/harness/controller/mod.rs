//! The reconcile runner.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Controller`] | the triggers and settings of one controller, and its run |
//! | `pass` | one pass of one object: its time bound, its panics, its log lines |
//!
//! kube's own `Controller` is not used: a panic ends it with all its objects, its debounce is trailing-edge, it keeps the
//! back-off out of sight, and it does not call for an object that has gone. What is needed is small (a
//! [`WorkQueue`] and a loop), and here it can be driven by virtual time and by keys of any kind, such as
//! names that carry their cluster.
//!
//! Promises: passes of one object never overlap; at most [`Settings::concurrency`] run at a time; whatever changes
//! while a pass runs leads to another one; a pass that fails, panics or hangs delays its own object and no other. The
//! first pass starts when every cache that the controller watches has been listed.

mod pass;

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::Resource;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::ObjectKey;
use super::backoff::Backoff;
use super::cache::{Cache, Change};
use super::metrics::HarnessMetrics;
use super::queue::WorkQueue;
use pass::{Finished, Pass};

/// What a pass that went well asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the next change of a trigger wakes the object.
    Await,
    /// Another pass after this long, unless a trigger comes first.
    After(Duration),
    /// Another pass after a delay that grows with each of these in a row: it waits for something that nobody reports.
    BackOff,
}

/// What may appear as the error of a pass: `thiserror` enums, `anyhow::Error`, `String`.
pub type PassError = Box<dyn Error + Send + Sync>;

/// The name of what a controller works on; [`ObjectKey`] for objects of one cluster.
pub trait Key: Clone + Ord + Display + Debug + Send + Sync + 'static {}
impl<T: Clone + Ord + Display + Debug + Send + Sync + 'static> Key for T {}

/// How a controller works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Passes at a time, of different objects. Zero counts as one.
    pub concurrency: usize,
    /// Delay after failed passes.
    pub backoff: Backoff,
    /// Least time between the starts of two passes of one object.
    pub spacing: Duration,
    /// A pass that takes longer is cut off and counts as failed.
    pub pass_limit: Duration,
    /// How long running passes may take to finish after shutdown was asked for.
    pub drain: Duration,
}

impl Default for Settings {
    /// One pass at a time; 50 ms to 10 s of back-off; 10 ms of spacing; ten minutes for a pass; ten seconds to finish.
    fn default() -> Self {
        Self {
            concurrency: 1,
            backoff: Backoff::PASSES,
            spacing: Duration::from_millis(10),
            pass_limit: Duration::from_secs(600),
            drain: Duration::from_secs(10),
        }
    }
}

/// One controller: what triggers it, and how it works.
pub struct Controller<K> {
    name: String,
    settings: Settings,
    triggers: SelectAll<BoxStream<'static, Vec<K>>>,
    ready: Vec<(String, BoxFuture<'static, ()>)>,
    metrics: Option<HarnessMetrics>,
}

impl Controller<ObjectKey> {
    /// Every change of an object of `cache`, deletion included, triggers a pass of that object.
    #[must_use]
    pub fn primary<O>(self, cache: &Cache<O>) -> Self
    where
        O: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        self.watches(cache, |change| [change.key.clone()])
    }
}

impl<K: Key> Controller<K> {
    /// A controller without triggers. `name` is its name in logs and metrics.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            settings: Settings::default(),
            triggers: SelectAll::new(),
            ready: Vec::new(),
            metrics: None,
        }
    }

    /// Sets how it works.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Sets how many passes run at a time.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// Writes the controller's metrics there.
    #[must_use]
    pub fn metrics(self, metrics: &HarnessMetrics) -> Self {
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// A change in `cache` triggers passes of whatever `concerned` names. It is called for every present object at
    /// the start (as additions), then for every change, in order. It must be quick; it may read other caches.
    #[must_use]
    pub fn watches<O, I>(mut self, cache: &Cache<O>, concerned: impl Fn(&Change<O>) -> I + Send + 'static) -> Self
    where
        O: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        I: IntoIterator<Item = K>,
    {
        let listed = cache.clone();
        self.ready.push((cache.name().to_owned(), Box::pin(async move { listed.ready().await })));
        let changes = cache.changes().map(move |change| concerned(&change).into_iter().collect());
        self.triggers.push(changes.boxed());
        self
    }

    /// Each item of `keys` triggers a pass: timers, other clusters, channels. The end of the stream is no more than that.
    #[must_use]
    pub fn keys(mut self, keys: impl Stream<Item = K> + Send + 'static) -> Self {
        self.triggers.push(keys.map(|key| vec![key]).boxed());
        self
    }

    /// Runs until `stop` is cancelled; then no further pass starts, and those that run have [`Settings::drain`] to
    /// finish. Dropping the future cuts them off at their next await instead.
    ///
    /// `reconcile` is called with the key alone and reads what it needs from caches and API: the object may be gone, and
    /// what triggered the pass says nothing that is still true.
    pub async fn run<F, Fut, E>(mut self, stop: CancellationToken, reconcile: F)
    where
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Next, E>> + Send + 'static,
        E: Into<PassError> + 'static,
    {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = self.caches_ready() => {}
        }
        tracing::info!(controller = self.name, concurrency = self.settings.concurrency.max(1), "controller started");
        let pass = Arc::new(Pass {
            controller: self.name.clone(),
            limit: self.settings.pass_limit,
            metrics: self.metrics.clone(),
            reconcile,
        });
        let mut queue = WorkQueue::new(self.settings.backoff, self.settings.spacing);
        let mut running: JoinSet<Finished<K>> = JoinSet::new();
        let mut triggered = true;
        loop {
            let free = running.len() < self.settings.concurrency.max(1);
            if free && let Some(key) = queue.take(Instant::now()) {
                let attempt = queue.failures(&key);
                running.spawn(pass.clone().run(key, attempt));
                continue;
            }
            self.report(&queue);
            let due = queue.next_due(Instant::now()).filter(|_| free);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(finished) = running.join_next() => note(&mut queue, finished),
                keys = self.triggers.next(), if triggered => match keys {
                    Some(keys) => {
                        let now = Instant::now();
                        keys.into_iter().for_each(|key| queue.add(key, now));
                    }
                    None => triggered = false,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                // Nothing runs, nothing triggers, nothing is due: only the end is left to wait for.
                else => {
                    stop.cancelled().await;
                    break;
                }
            }
        }
        drain(&self.name, self.settings.drain, running).await;
    }

    async fn caches_ready(&mut self) {
        for (cache, ready) in std::mem::take(&mut self.ready) {
            let mut ready = ready;
            while timeout(Duration::from_secs(30), &mut ready).await.is_err() {
                tracing::warn!(controller = self.name, view = cache, "still waiting for the first list");
            }
        }
    }

    fn report(&self, queue: &WorkQueue<K>) {
        if let Some(metrics) = &self.metrics {
            metrics.queue(&self.name, queue.ready_count(), queue.delayed_count(), queue.running_count());
        }
    }
}

fn note<K: Key>(queue: &mut WorkQueue<K>, finished: Result<Finished<K>, tokio::task::JoinError>) {
    match finished {
        Ok(Finished { key, wish }) => queue.done(&key, wish, Instant::now()),
        // Panics are caught inside, and nobody else holds the task to abort it.
        Err(error) => tracing::error!(%error, "a pass ended without its result"),
    }
}

async fn drain<K: Key>(controller: &str, bound: Duration, mut running: JoinSet<Finished<K>>) {
    if running.is_empty() {
        return;
    }
    tracing::info!(controller, passes = running.len(), "waiting for running passes");
    let finished = async { while running.join_next().await.is_some() {} };
    if timeout(bound, finished).await.is_err() {
        tracing::warn!(controller, passes = running.len(), "running passes are cut off");
        running.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
