//! Delays that grow, pure: what an attempt waits for is a function of how many failed before it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// Exponential back-off: `base`, doubled for each further failure, never more than `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
}

impl Backoff {
    /// For passes of a controller. The reference product lets these grow to 1000 s, so that an object that waits for
    /// something without a watch event can sleep for a quarter of an hour; ten seconds is bearable for both sides.
    pub const PASSES: Self = Self { base: Duration::from_millis(50), cap: Duration::from_secs(10) };

    /// For watches: a view that is not being refreshed holds decisions up, so it is tried again soon.
    pub const WATCHES: Self = Self { base: Duration::from_millis(200), cap: Duration::from_secs(2) };

    /// How long to wait after `failures` failures in a row. No failure: no delay.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).map_or(self.cap, |delay| delay.min(self.cap))
    }
}

/// `delay`, lengthened by up to a fifth. The share follows from `seed`, so that many waiting parties do not move in
/// step while a replayed simulation still waits for exactly as long as the first time.
#[must_use]
pub fn spread(delay: Duration, seed: u64) -> Duration {
    // Fibonacci hashing: neighbouring seeds land far apart.
    let share = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    let longer = delay.as_nanos().saturating_mul(u128::from(share)) / (1024 * 5);
    delay + Duration::from_nanos(u64::try_from(longer).unwrap_or(u64::MAX))
}

/// The same for a party that has a name.
#[must_use]
pub fn spread_for(delay: Duration, name: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    spread(delay, hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_stays_there() {
        let backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(10) };
        let delays: Vec<u128> = (0..=10).map(|failures| backoff.delay(failures).as_millis()).collect();
        assert_eq!(delays, [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for failures in [32, 33, 64, 1000, u32::MAX] {
            assert_eq!(backoff.delay(failures), backoff.cap, "after {failures} failures");
        }
    }

    #[test]
    fn a_base_above_the_cap_is_cut() {
        let backoff = Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(2) };
        assert_eq!(backoff.delay(1), Duration::from_secs(2));
    }

    #[test]
    fn spreading_lengthens_by_a_fifth_at_most_and_differs_between_seeds() {
        let delay = Duration::from_secs(2);
        let spreads: Vec<Duration> = (0..100).map(|seed| spread(delay, seed)).collect();
        assert!(spreads.iter().all(|s| *s >= delay && *s <= delay + delay / 5));
        let distinct: std::collections::BTreeSet<_> = spreads.iter().collect();
        assert!(distinct.len() > 50, "{} distinct delays", distinct.len());
        assert_eq!(spread(delay, 7), spread(delay, 7));
    }
}
