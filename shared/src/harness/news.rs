//! When a status is written: at once when it says something that somebody waits for, and otherwise soon, together with
//! what else comes meanwhile.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long news that nobody acts on are gathered before they are written.
const GATHER: Duration = Duration::from_millis(250);

/// The news that wait, by object.
#[derive(Clone, Debug)]
pub struct News<K> {
    gather: Duration,
    since: Arc<Mutex<HashMap<K, Instant>>>,
}

impl<K> Default for News<K> {
    fn default() -> Self {
        News::gathered(GATHER)
    }
}

impl<K> News<K> {
    /// News that may wait for so long, where nobody acts on them.
    #[must_use]
    pub fn gathered(gather: Duration) -> Self {
        News { gather, since: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> News<K> {
    /// How long the status of `key`, which differs from the one that is stored, may still wait. `None`: write it now.
    pub fn hold(&self, key: &K, urgent: bool) -> Option<Duration> {
        let now = Instant::now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !urgent {
            let first = *since.entry(key.clone()).or_insert(now);
            let left = self.gather.saturating_sub(now.duration_since(first));
            if !left.is_zero() {
                return Some(left);
            }
        }
        since.remove(key);
        None
    }

    /// Nothing waits for this object any more.
    pub fn forget(&self, key: &K) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_goes_at_once_and_takes_along_what_waited() {
        let news = News::default();
        assert_eq!(news.hold(&"a", true), None);
        assert_eq!(news.hold(&"a", false), Some(GATHER));
        assert_eq!(news.hold(&"a", true), None);
        assert_eq!(news.hold(&"a", false), Some(GATHER), "what comes next waits for itself");
    }

    #[tokio::test(start_paused = true)]
    async fn news_wait_from_the_first_of_them_on_and_never_longer() {
        let news = News::default();
        assert_eq!(news.hold(&"a", false), Some(GATHER));
        tokio::time::advance(GATHER / 2).await;
        assert_eq!(news.hold(&"a", false), Some(GATHER / 2));
        assert_eq!(news.hold(&"b", false), Some(GATHER), "each object for itself");
        tokio::time::advance(GATHER / 2).await;
        assert_eq!(news.hold(&"a", false), None);
        assert_eq!(news.hold(&"b", false), Some(GATHER / 2));
        news.forget(&"b");
        assert_eq!(news.hold(&"b", false), Some(GATHER));
    }
}
