//! Metrics of the harness, and the endpoint that serves a registry.
//!
//! The registry is handed around, never global. An operator makes one, registers [`HarnessMetrics`] and its own
//! families (the `ramen_…` gauges are written by the operators), and serves it with [`router`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::leader::Leadership;

/// How a pass of a controller ended; the label `result` of `kaedama_reconcile_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the variant is the label's value")]
pub enum PassResult {
    /// Done until something changes.
    success,
    /// Done, with another pass after a time.
    requeue,
    /// Waits for something that no watch reports.
    backoff,
    /// The pass returned an error.
    error,
    /// The pass panicked.
    panic,
    /// The pass took longer than a pass may, and was cut off.
    timeout,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    controller: String,
    result: PassResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    controller: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    lease: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewLabels {
    view: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct S3Labels {
    profile: String,
    operation: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct S3OperationLabels {
    profile: String,
    operation: String,
}

/// What the age gauge of a view reads when it is scraped.
type LastContact = Box<dyn Fn() -> Option<Instant> + Send + Sync>;

/// Metrics that every operator has, whatever its controllers do. Cheap to clone: clones write the same series.
#[derive(Clone)]
pub struct HarnessMetrics {
    passes: Family<PassLabels, Counter>,
    pass_seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    queue: Family<QueueLabels, Gauge>,
    leader: Family<LeaseLabels, Gauge>,
    view_age: Family<ViewLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    view_undecodable: Family<ViewLabels, Gauge>,
    view_errors: Family<ViewLabels, Counter>,
    events_dropped: Counter,
    s3: Family<S3Labels, Counter>,
    s3_seconds: Family<S3OperationLabels, Histogram, fn() -> Histogram>,
    views: Arc<Mutex<Vec<(String, LastContact)>>>,
    leases: Arc<Mutex<Vec<(String, Leadership)>>>,
}

impl fmt::Debug for HarnessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HarnessMetrics").finish_non_exhaustive()
    }
}

fn seconds_buckets() -> Histogram {
    // 5 ms to about 80 s: a pass that touches S3 and a few API servers takes seconds.
    Histogram::new(exponential_buckets(0.005, 2.0, 15))
}

impl HarnessMetrics {
    /// Makes the families and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self {
            passes: Family::default(),
            pass_seconds: Family::new_with_constructor(seconds_buckets),
            queue: Family::default(),
            leader: Family::default(),
            view_age: Family::default(),
            view_undecodable: Family::default(),
            view_errors: Family::default(),
            events_dropped: Counter::default(),
            s3: Family::default(),
            s3_seconds: Family::new_with_constructor(seconds_buckets),
            views: Arc::default(),
            leases: Arc::default(),
        };
        // The text format adds `_total` to the names of counters, and a full stop to the help.
        registry.register("kaedama_reconcile", "Passes of a controller by how they ended", own.passes.clone());
        registry.register("kaedama_reconcile_duration_seconds", "Duration of passes", own.pass_seconds.clone());
        registry.register(
            "kaedama_workqueue_objects",
            "Objects of a controller, ready, delayed or running",
            own.queue.clone(),
        );
        registry.register("kaedama_leader", "1 while this process holds the lease", own.leader.clone());
        registry.register(
            "kaedama_view_age_seconds",
            "Time since a watched view last heard from its API server; -1 before the first time",
            own.view_age.clone(),
        );
        registry.register(
            "kaedama_view_undecodable_objects",
            "Objects of a view that could not be decoded",
            own.view_undecodable.clone(),
        );
        registry.register("kaedama_view_errors", "Failed lists and watches", own.view_errors.clone());
        registry.register(
            "kaedama_events_dropped",
            "Kubernetes events that the API server did not take",
            own.events_dropped.clone(),
        );
        registry.register("kaedama_s3_operations", "S3 operations by how they ended", own.s3.clone());
        registry.register("kaedama_s3_operation_duration_seconds", "Duration of S3 operations", own.s3_seconds.clone());
        own
    }

    /// Counts a pass of a controller.
    pub fn pass(&self, controller: &str, result: PassResult, took: Duration) {
        let controller = controller.to_owned();
        self.pass_seconds
            .get_or_create(&ControllerLabels { controller: controller.clone() })
            .observe(took.as_secs_f64());
        self.passes.get_or_create(&PassLabels { controller, result }).inc();
    }

    /// Sets how many objects of a controller wait for a worker, wait for a time, and are being worked on.
    pub fn queue(&self, controller: &str, ready: usize, delayed: usize, running: usize) {
        for (state, count) in [("ready", ready), ("delayed", delayed), ("running", running)] {
            let labels = QueueLabels { controller: controller.to_owned(), state };
            self.queue.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Adds a lease; whether it is held is read at every scrape.
    pub fn lease(&self, name: &str, leadership: &Leadership) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(other, _)| other != name);
        leases.push((name.to_owned(), leadership.clone()));
    }

    /// Adds a view whose age is read at every scrape.
    pub fn view(&self, name: &str, last_contact: impl Fn() -> Option<Instant> + Send + Sync + 'static) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|(other, _)| other != name);
        views.push((name.to_owned(), Box::new(last_contact)));
    }

    /// Sets how many objects of a view could not be decoded.
    pub fn view_undecodable(&self, view: &str, count: usize) {
        let labels = ViewLabels { view: view.to_owned() };
        self.view_undecodable.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a failed list or watch of a view.
    pub fn view_error(&self, view: &str) {
        self.view_errors.get_or_create(&ViewLabels { view: view.to_owned() }).inc();
    }

    /// Counts a Kubernetes event that was lost.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Counts an S3 operation. `result` is a word of few different values: `ok`, `not_found`, `conflict`, `timeout`, `error`.
    pub fn s3_operation(&self, profile: &str, operation: &str, result: &str, took: Duration) {
        let (profile, operation) = (profile.to_owned(), operation.to_owned());
        let labels = S3OperationLabels { profile: profile.clone(), operation: operation.clone() };
        self.s3_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        self.s3.get_or_create(&S3Labels { profile, operation, result: result.to_owned() }).inc();
    }

    /// Brings the gauges that depend on the time up to date. [`router`] does it before every scrape.
    pub fn refresh(&self) {
        for (name, last_contact) in self.views.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let age = last_contact().map_or(-1.0, |at| at.elapsed().as_secs_f64());
            self.view_age.get_or_create(&ViewLabels { view: name.clone() }).set(age);
        }
        for (name, leadership) in self.leases.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.leader.get_or_create(&LeaseLabels { lease: name.clone() }).set(i64::from(leadership.is_held()));
        }
    }
}

/// The registry in the text format of OpenMetrics.
///
/// # Errors
///
/// When a metric cannot be written as text; those of this crate can.
pub fn encode(registry: &Registry, harness: &HarnessMetrics) -> Result<String, fmt::Error> {
    harness.refresh();
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

/// `/metrics`, in plain HTTP: see [`super::http`] for what a deployment has to put in front.
pub fn router(registry: Arc<Registry>, harness: HarnessMetrics) -> Router {
    let scrape = move || {
        let answer = match encode(&registry, &harness) {
            Ok(text) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        };
        std::future::ready(answer)
    };
    Router::new().route("/metrics", get(scrape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_page_shows_what_was_counted() {
        let mut registry = Registry::default();
        let metrics = HarnessMetrics::register(&mut registry);
        metrics.pass("drpc", PassResult::success, Duration::from_millis(20));
        metrics.pass("drpc", PassResult::panic, Duration::from_millis(20));
        metrics.queue("drpc", 3, 2, 1);
        metrics.lease("hub", &Leadership::without_election());
        metrics.lease("other", &Leadership::unheld());
        let start = Instant::now();
        metrics.view("drpcs", move || Some(start));
        metrics.view("works", || None);
        metrics.s3_operation("minio", "put", "ok", Duration::from_millis(3));
        tokio::time::advance(Duration::from_secs(7)).await;
        let page = encode(&registry, &metrics).unwrap();
        for line in [
            r#"kaedama_reconcile_total{controller="drpc",result="success"} 1"#,
            r#"kaedama_reconcile_total{controller="drpc",result="panic"} 1"#,
            r#"kaedama_reconcile_duration_seconds_count{controller="drpc"} 2"#,
            r#"kaedama_workqueue_objects{controller="drpc",state="delayed"} 2"#,
            r#"kaedama_leader{lease="hub"} 1"#,
            r#"kaedama_leader{lease="other"} 0"#,
            r#"kaedama_view_age_seconds{view="drpcs"} 7.0"#,
            r#"kaedama_view_age_seconds{view="works"} -1.0"#,
            r#"kaedama_s3_operations_total{profile="minio",operation="put",result="ok"} 1"#,
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }
}
