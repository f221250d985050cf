//! Keys to look at, now or later.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::backoff;

/// Keys, each with the instant at which it is to be looked at. A key is held once: adding it again can only make it
/// due earlier.
pub(in crate::ocm) struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

struct State<K> {
    due: BTreeMap<K, Instant>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> Queue<K> {
    pub(in crate::ocm) fn new() -> Self {
        Self { state: Mutex::new(State { due: BTreeMap::new(), failures: BTreeMap::new() }), wake: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look at the key now.
    pub(in crate::ocm) fn add(&self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Look at the key after this time, or earlier where it is due earlier.
    pub(in crate::ocm) fn add_after(&self, key: K, after: Duration) {
        self.add_at(key, Instant::now() + after);
    }

    /// Look at the key at this instant, or earlier where it is due earlier.
    pub(in crate::ocm) fn add_at(&self, key: K, at: Instant) {
        let mut state = self.state();
        let due = state.due.entry(key).or_insert(at);
        *due = (*due).min(at);
        drop(state);
        self.wake.notify_one();
    }

    /// Look at the key again, later each time in a row.
    pub(in crate::ocm) fn retry(&self, key: K) {
        let failures = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            let before = *failures;
            *failures = failures.saturating_add(1);
            before
        };
        self.add_after(key, backoff(failures));
    }

    /// The next failure of the key is the first in a row.
    pub(in crate::ocm) fn succeeded(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// Waits until a key is due, and takes it out. The earliest goes first.
    pub(in crate::ocm) async fn next(&self) -> K {
        loop {
            let earliest = {
                let mut state = self.state();
                let earliest = state.due.iter().min_by_key(|(_, at)| **at).map(|(key, at)| (key.clone(), *at));
                if let Some((key, at)) = &earliest
                    && *at <= Instant::now()
                {
                    state.due.remove(key);
                    return key.clone();
                }
                earliest
            };
            match earliest {
                Some((_, at)) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.wake.notified() => {}
                },
                None => self.wake.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_come_once_and_in_the_order_they_are_due() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(5));
        queue.add_after("soon", Duration::from_secs(9));
        queue.add_after("soon", Duration::from_secs(1));
        queue.add_after("soon", Duration::from_secs(7));
        queue.add("now");
        assert_eq!((queue.next().await, start.elapsed().as_secs()), ("now", 0));
        assert_eq!((queue.next().await, start.elapsed().as_secs()), ("soon", 1));
        assert_eq!((queue.next().await, start.elapsed().as_secs()), ("late", 5));
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_key_is_looked_at_less_and_less_often_until_it_succeeds() {
        let queue = Queue::new();
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let before = Instant::now();
            queue.retry("k");
            queue.next().await;
            pauses.push(before.elapsed().as_millis());
        }
        assert_eq!(pauses, [5, 10, 20]);
        queue.succeeded(&"k");
        let before = Instant::now();
        queue.retry("k");
        queue.next().await;
        assert_eq!(before.elapsed().as_millis(), 5);
    }
}
