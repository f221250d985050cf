//! When a status is written: at once when it says something that somebody waits for, and otherwise soon, together with
//! what else comes meanwhile.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long news that nobody acts on are gathered before they are written.
pub const GATHER: Duration = Duration::from_secs(1);
/// The same while something is under way, and more will come before it is done.
pub const GATHER_UNDER_WAY: Duration = Duration::from_secs(5);

/// The news that wait, by object.
#[derive(Clone, Debug)]
pub struct News<K> {
    since: Arc<Mutex<HashMap<K, Instant>>>,
}

impl<K> Default for News<K> {
    fn default() -> Self {
        News { since: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> News<K> {
    /// How long the status of `key`, which differs from the one that is stored, may still wait, where `patience` from the
    /// first difference on is what news such as these can bear. `None`: write it now.
    pub fn hold(&self, key: &K, patience: Duration) -> Option<Duration> {
        let now = Instant::now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *since.entry(key.clone()).or_insert(now);
        let left = patience.saturating_sub(now.duration_since(first));
        if left.is_zero() {
            since.remove(key);
            return None;
        }
        Some(left)
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
        assert_eq!(news.hold(&"a", Duration::ZERO), None);
        assert_eq!(news.hold(&"a", GATHER), Some(GATHER));
        assert_eq!(news.hold(&"a", Duration::ZERO), None);
        assert_eq!(news.hold(&"a", GATHER), Some(GATHER), "what comes next waits for itself");
    }

    #[tokio::test(start_paused = true)]
    async fn news_wait_from_the_first_of_them_on_and_never_longer() {
        let news = News::default();
        assert_eq!(news.hold(&"a", GATHER), Some(GATHER));
        tokio::time::advance(GATHER / 2).await;
        assert_eq!(news.hold(&"a", GATHER), Some(GATHER / 2));
        assert_eq!(news.hold(&"b", GATHER), Some(GATHER), "each object for itself");
        tokio::time::advance(GATHER / 2).await;
        assert_eq!(news.hold(&"a", GATHER), None);
        assert_eq!(news.hold(&"b", GATHER), Some(GATHER / 2));
        assert_eq!(news.hold(&"b", GATHER / 4), None, "it has become less patient");
        assert_eq!(news.hold(&"b", GATHER), Some(GATHER));
        news.forget(&"b");
        assert_eq!(news.hold(&"b", GATHER), Some(GATHER));
    }
}
