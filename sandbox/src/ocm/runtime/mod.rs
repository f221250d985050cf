//! What the controllers of this folder stand on. Private to [`crate::ocm`].
//!
//! | module | what lives there |
//! |---|---|
//! | [`queue`] | keys to look at, now or later, with a backoff per key |
//! | [`watch`] | a watch that never gives up, with the objects it has seen |
//! | [`kinds`] | which resource a kind is on an API server |
//!
//! Nothing here is random and nothing reads the wall clock, so that a simulation in virtual time repeats itself.

pub(super) mod kinds;
pub(super) mod queue;
pub(super) mod watch;

use std::future::Future;
use std::time::Duration;

use kube::Resource;
use kube::core::DynamicObject;
use tokio::time::timeout;

pub(super) use queue::Queue;
pub(super) use watch::{Change, Guarded, Store, follow};

/// Longest pause between two tries of something that fails.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// First pause after a failure; doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(5);
/// Longest time that one pass over one object may take: a server that swallows requests must not stop the rest.
const PASS_LIMIT: Duration = Duration::from_secs(15);

/// Why a pass over an object failed. Every one of them is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request failed.
    #[error("{doing}: {source}")]
    Request {
        /// What was attempted, on what.
        doing: String,
        /// What the client said.
        source: kube::Error,
    },
    /// An object is not what it should be.
    #[error("{doing}: {why}")]
    Object {
        /// What was attempted, on what.
        doing: String,
        /// What is wrong.
        why: String,
    },
}

/// No answer of an API server: the connection failed, or something in between said that nobody is there.
pub(super) fn is_silence(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 502..=504),
        _ => true,
    }
}

/// The server says that there is no such object (or no such kind).
pub(super) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// The server says that the object has changed, or exists already.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Says of a request what it was for.
pub(super) trait Attempt<T> {
    /// Adds what was attempted, on what, to an error.
    fn attempt(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Attempt<T> for Result<T, kube::Error> {
    fn attempt(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Request { doing: doing(), source })
    }
}

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectKey {
    /// Namespace; empty for cluster-scoped objects.
    pub(super) namespace: String,
    /// Name.
    pub(super) name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub(super) fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }

    /// The key of this namespace and name.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            out.write_str(&self.name)
        } else {
            write!(out, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What a pass over an object came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Nothing to do until something changes.
    Done,
    /// Look again after this time.
    Again(Duration),
    /// Something has not finished; look again soon, and less and less often.
    Pending,
}

/// Takes keys from a queue and passes over them, one after the other, for ever. A failed pass is repeated with the
/// queue's backoff.
pub(super) async fn serve<K, F, R>(controller: &str, queue: &Queue<K>, pass: F)
where
    K: Ord + Clone + std::fmt::Display,
    F: Fn(K) -> R,
    R: Future<Output = Result<Pass, Error>>,
{
    loop {
        let key = queue.next().await;
        match timeout(PASS_LIMIT, pass(key.clone())).await {
            Ok(Ok(Pass::Done)) => queue.succeeded(&key),
            Ok(Ok(Pass::Again(after))) => {
                queue.succeeded(&key);
                queue.add_after(key, after);
            }
            Ok(Ok(Pass::Pending)) => queue.retry(key),
            Ok(Err(error)) => {
                tracing::debug!(controller, %key, %error, "pass failed, will be repeated");
                queue.retry(key);
            }
            Err(_) => {
                tracing::debug!(controller, %key, "pass took too long, will be repeated");
                queue.retry(key);
            }
        }
    }
}

/// The pause after so many failures in a row (the first is 0).
pub(super) fn backoff(failures: u32) -> Duration {
    MIN_BACKOFF.saturating_mul(2u32.saturating_pow(failures.min(20))).min(MAX_BACKOFF)
}

/// An object as JSON.
pub(super) fn to_json<T: serde::Serialize>(object: &T) -> serde_json::Value {
    // Types of Kubernetes objects have string keys and no failing serializer; Null stands for what cannot happen.
    serde_json::to_value(object).unwrap_or_default()
}

/// JSON as an object of any kind.
pub(super) fn from_json(value: serde_json::Value, doing: impl FnOnce() -> String) -> Result<DynamicObject, Error> {
    serde_json::from_value(value).map_err(|error| Error::Object { doing: doing(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_limit() {
        let pauses: Vec<u128> = (0..12).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000]);
        assert_eq!(backoff(u32::MAX), MAX_BACKOFF);
    }
}
