//! One pass of one object.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{Key, Next, PassError};
use crate::harness::metrics::{HarnessMetrics, PassResult};
use crate::harness::queue::Wish;

/// What every pass of one controller shares.
pub(super) struct Pass<F> {
    pub(super) controller: String,
    pub(super) limit: Duration,
    pub(super) metrics: Option<HarnessMetrics>,
    pub(super) reconcile: F,
}

/// A pass that has ended, whichever way.
pub(super) struct Finished<K> {
    pub(super) key: K,
    pub(super) wish: Wish,
}

impl<F> Pass<F> {
    /// Runs a pass of `key`, the first after `failures` that did not succeed.
    pub(super) async fn run<K, Fut, E>(self: Arc<Self>, key: K, failures: u32) -> Finished<K>
    where
        K: Key,
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Next, E>> + Send + 'static,
        E: Into<PassError>,
    {
        let span = tracing::info_span!("pass", controller = self.controller, object = %key, rid = next_id());
        async {
            let started = Instant::now();
            // The call is made inside of the block, so that a panic before the first await is caught as well. What
            // a pass works on is its own; what it shares (caches, clients) is made to outlive a poisoned lock. Boxed,
            // or the types that rustc lays out for an optimised operator nest deeper than it allows.
            let reconcile = AssertUnwindSafe(async { Box::pin((self.reconcile)(key.clone())).await }).catch_unwind();
            let (result, wish) = match timeout(self.limit, reconcile).await {
                Ok(Ok(Ok(next))) => outcome(next),
                Ok(Ok(Err(error))) => {
                    let error: PassError = error.into();
                    tracing::warn!(error = chain(&*error), failures = failures + 1, "pass failed");
                    (PassResult::error, Wish::BackOff)
                }
                Ok(Err(panic)) => {
                    tracing::error!(panic = panic_text(&*panic), failures = failures + 1, "pass panicked");
                    (PassResult::panic, Wish::BackOff)
                }
                Err(_) => {
                    tracing::error!(
                        limit_s = self.limit.as_secs(),
                        failures = failures + 1,
                        "pass cut off: took too long"
                    );
                    (PassResult::timeout, Wish::BackOff)
                }
            };
            if let Some(metrics) = &self.metrics {
                metrics.pass(&self.controller, result, started.elapsed());
            }
            Finished { key: key.clone(), wish }
        }
        .instrument(span)
        .await
    }
}

fn outcome(next: Next) -> (PassResult, Wish) {
    match next {
        Next::Await => (PassResult::success, Wish::Rest),
        Next::After(delay) => (PassResult::requeue, Wish::Again(delay)),
        Next::BackOff => (PassResult::backoff, Wish::BackOff),
    }
}

/// The error and what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        // Some errors repeat their source in their own words.
        if !text.ends_with(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = error.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// The id that joins the log lines of one pass. Counted, so that a replayed simulation logs the same ids, and mixed, so
/// that neighbouring ids are told apart at a glance.
fn next_id() -> String {
    static PASSES: AtomicU64 = AtomicU64::new(1);
    let mixed = PASSES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{:08x}", mixed >> 32)
}
