//! What is known of one store of one group, and when one that failed is tried again.

use std::time::Duration;

use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::backoff::spread_for;
use kaedama_shared::s3::capture::CaptureError;
use tokio::time::Instant;

use crate::vrg::recovery::Capture;
use crate::vrg::snapshot::{Holdings, StoreFailure};

/// A store that failed is tried again after this long, doubled each time.
const RETRY: Duration = Duration::from_millis(500);
/// The longest delay while a store has been failing for a short time, and later.
const RETRY_CAPS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// Attempts after which a store counts as failing for long.
const RETRY_LONG: u32 = 15;

/// A store that holds all that it should is asked whether it still does after this long, or up to a fifth longer, which is a
/// quarter of an hour: nothing else would tell of one that died, or was emptied, while nothing changes.
const LOOK_AGAIN: Duration = Duration::from_secs(12 * 60 + 30);

/// What is known of one store of one group.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) fingerprint: String,
    /// The writer's epoch that this was learnt under.
    pub(super) epoch: u64,
    pub(super) holds: Option<Holdings>,
    pub(super) failure: Option<StoreFailure>,
    pub(super) attempts: u32,
    pub(super) retry_at: Option<Instant>,
    /// When `holds` was last known to be so.
    pub(super) seen: Option<Instant>,
    pub(super) busy: bool,
}

impl Memory {
    /// `capture` was written.
    pub(super) fn done(&mut self, capture: &Capture) {
        let parts = capture.parts.iter().map(|(key, stored)| (key.clone(), stored.digest.clone())).collect();
        let before = self.holds.take().unwrap_or_default();
        let group = capture.group.as_ref().map_or(before.group, |group| group.digest.clone());
        *self = Self {
            fingerprint: std::mem::take(&mut self.fingerprint),
            epoch: self.epoch,
            holds: Some(Holdings { parts, group }),
            seen: Some(Instant::now()),
            ..Self::default()
        };
    }

    /// The store was looked at again: it holds what it did, or nobody knows what.
    pub(super) fn looked(&mut self, same: bool) {
        let holds = self.holds.take().filter(|_| same);
        *self = Self {
            fingerprint: std::mem::take(&mut self.fingerprint),
            epoch: self.epoch,
            holds,
            seen: Some(Instant::now()),
            ..Self::default()
        };
    }

    /// When the store is to be asked next, if it holds all that it should of this group. Each group has an interval of its
    /// own: all of them were seen at the same time when the operator started, and are not to ask in step for ever.
    pub(super) fn look_at(&self, group: &ObjectKey) -> Instant {
        let interval = || spread_for(LOOK_AGAIN, &group.to_string());
        self.retry_at.or_else(|| Some(self.seen? + interval())).unwrap_or_else(Instant::now)
    }

    /// Writing or looking failed.
    pub(super) fn failed(&mut self, error: &CaptureError, now: jiff::Timestamp) {
        let since = self.failure.as_ref().map_or(now, |failure| failure.since);
        self.attempts = self.attempts.saturating_add(1);
        let cap = if self.attempts > RETRY_LONG { RETRY_CAPS.1 } else { RETRY_CAPS.0 };
        let delay = RETRY.saturating_mul(1_u32.checked_shl(self.attempts - 1).unwrap_or(u32::MAX)).min(cap);
        // A writer that was superseded stays so until the hub gives it a new order.
        let delay = if error.is_superseded() { RETRY_CAPS.1 } else { delay };
        self.retry_at = Some(Instant::now() + delay);
        self.failure = Some(StoreFailure { message: error.to_string(), since, stale: error.is_superseded() });
    }
}

/// Whether a store holds all of `capture` and nothing of what is to be forgotten.
pub(super) fn satisfies(holds: &Holdings, capture: &Capture) -> bool {
    let same = capture.parts.len() == holds.parts.len()
        && capture.parts.iter().all(|(key, stored)| holds.parts.get(key) == Some(&stored.digest));
    same && capture.group.as_ref().is_none_or(|group| group.digest == holds.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_not_looked_at_again_for_all_groups_at_once() {
        let seen = Instant::now();
        let known = Memory { seen: Some(seen), ..Memory::default() };
        let after = |number: u32| known.look_at(&ObjectKey::namespaced("shop", format!("web-{number}"))) - seen;
        let delays: Vec<Duration> = (0..300).map(after).collect();
        assert!(delays.iter().all(|delay| (LOOK_AGAIN..=LOOK_AGAIN * 6 / 5).contains(delay)), "{delays:?}");
        let tenth = LOOK_AGAIN / 50;
        for part in 0..10 {
            let (from, to) = (LOOK_AGAIN + tenth * part, LOOK_AGAIN + tenth * (part + 1));
            let there = delays.iter().filter(|delay| (from..to).contains(*delay)).count();
            assert!((10..=60).contains(&there), "{there} of 300 in tenth {part}");
        }
        assert_eq!(after(7), after(7));
    }
}
