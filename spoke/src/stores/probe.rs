//! Noticing that a store that could not be reached is back.
//!
//! Each group waits longer after each failure, so that a dead store costs little. A store that is back would then be
//! noticed by each group up to a minute later, and a relocation waits for that. So one question per store, however
//! many groups wait for it, is asked every second; the first answer makes all of them due.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kaedama_shared::harness::ObjectKey;

use super::Stores;

/// Between two questions to a store that does not answer.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that a question is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

impl Stores {
    /// Watches for the return of a store that could not be reached.
    pub(super) fn await_return(self: &Arc<Self>, profile: &str) {
        if !self.probed.lock().unwrap_or_else(PoisonError::into_inner).insert(profile.to_owned()) {
            return;
        }
        let (stores, profile) = (Arc::downgrade(self), profile.to_owned());
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                // Nothing is asked on behalf of an operator that has ended, or is about to.
                let Some(stores) = stores.upgrade().filter(|stores| !stores.tasks.is_closed()) else { return };
                if !stores.waiting(&profile).is_empty() && !stores.answers(&profile).await {
                    continue;
                }
                stores.probed.lock().unwrap_or_else(PoisonError::into_inner).remove(&profile);
                stores.due_now(&profile);
                return;
            }
        });
    }

    /// Whether a store answers; a refusal is an answer too.
    async fn answers(&self, profile: &str) -> bool {
        let Ok(store) = self.open(profile).await else { return false };
        match tokio::time::timeout(PATIENCE, store.head_bucket()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => !error.is_unreachable(),
            Err(_) => false,
        }
    }

    /// Groups whose last write to a store failed. Where another writer was in the way, its return changes nothing.
    fn waiting(&self, profile: &str) -> BTreeSet<ObjectKey> {
        let memory = self.lock();
        let failed = memory.iter().filter(|(_, of_group)| {
            let failure = of_group.get(profile).and_then(|known| known.failure.as_ref());
            failure.is_some_and(|failure| !failure.stale)
        });
        failed.map(|(group, _)| group.clone()).collect()
    }

    fn due_now(&self, profile: &str) {
        for group in self.waiting(profile) {
            if let Some(known) = self.lock().get_mut(&group).and_then(|of_group| of_group.get_mut(profile)) {
                known.retry_at = None;
            }
            // The receiver is gone only when the operator stops.
            let _ = self.wake.unbounded_send(group);
        }
    }
}
