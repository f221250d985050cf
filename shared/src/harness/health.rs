//! `/healthz` and `/readyz`.
//!
//! Liveness answers whether a restart could help, readiness whether the process does its work. A follower that waits
//! for the lease is ready: it must not hold a rolling update up. A view that has gone stale makes the process not ready
//! but leaves it alive, for restarting it does not bring the API server back.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks behind the two endpoints. Cheap to clone; checks can be added while it is being served.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<Checks>>,
}

#[derive(Default)]
struct Checks {
    alive: Vec<(String, Check)>,
    ready: Vec<(String, Check)>,
}

impl Health {
    /// No checks: alive and ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check to `/healthz`. It must answer at once, and fail only for what a restart would mend.
    pub fn alive_when(&self, name: impl Into<String>, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.lock().alive.push((name.into(), Arc::new(check)));
    }

    /// Adds a check to `/readyz`. It must answer at once.
    pub fn ready_when(&self, name: impl Into<String>, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.lock().ready.push((name.into(), Arc::new(check)));
    }

    /// `/healthz` and `/readyz`: 200, or 500 with a line per failed check.
    pub fn router(&self) -> Router {
        let (alive, ready) = (self.clone(), self.clone());
        Router::new()
            .route("/healthz", get(move || async move { answer(&alive.lock().alive.clone()) }))
            .route("/readyz", get(move || async move { answer(&ready.lock().ready.clone()) }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(checks: &[(String, Check)]) -> (StatusCode, String) {
    let mut lines = String::new();
    let mut status = StatusCode::OK;
    for (name, check) in checks {
        let line = match check() {
            Ok(()) => writeln!(lines, "[+]{name} ok"),
            Err(why) => {
                status = StatusCode::INTERNAL_SERVER_ERROR;
                writeln!(lines, "[-]{name} failed: {why}")
            }
        };
        debug_assert!(line.is_ok(), "writing to a string cannot fail");
    }
    if status == StatusCode::OK { (status, "ok".to_owned()) } else { (status, lines) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn probe(health: &Health, path: &str) -> (u16, String) {
        let response = health.router().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_its_checks_and_leaves_liveness_alone() {
        let health = Health::new();
        assert_eq!(probe(&health, "/readyz").await, (200, "ok".into()));
        let synced = Arc::new(AtomicBool::new(false));
        let seen = synced.clone();
        health.ready_when(
            "views",
            move || {
                if seen.load(Ordering::Relaxed) { Ok(()) } else { Err("not synced".into()) }
            },
        );
        health.ready_when("other", || Ok(()));
        let (status, text) = probe(&health, "/readyz").await;
        assert_eq!(status, 500);
        assert!(text.contains("[-]views failed: not synced") && text.contains("[+]other ok"), "{text}");
        assert_eq!(probe(&health, "/healthz").await.0, 200);
        synced.store(true, Ordering::Relaxed);
        assert_eq!(probe(&health, "/readyz").await.0, 200);
    }
}
