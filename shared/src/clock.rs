//! The clock that every part of Kaedama is handed.
//!
//! In production it is the machine's wall clock. In simulation it is an instant of tokio's clock paired with the
//! wall-clock time that this instant stands for: under `tokio::time::pause` it moves with the virtual time, and with
//! nothing else.
//!
//! This is the one module that reads the real clock; everywhere else doing so is a disallowed method.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use tokio::time::Instant;

/// Where the time comes from: production's wall clock, or virtual time in simulation. Cheap to clone.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The machine's wall clock.
    System,
    /// `base` at the instant `at`, and as much later as tokio's clock says.
    Tokio { base: Timestamp, at: Instant },
}

impl Clock {
    /// The machine's wall clock. Follows corrections by NTP, so that what is written into objects agrees with the
    /// other writers of the cluster. Durations are measured with [`tokio::time::Instant`], not by subtracting these.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that reads `base` now and moves with tokio's clock from here on: virtual under `tokio::time::pause`.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { source: Source::Tokio { base, at: Instant::now() } }
    }

    /// The present time, with whatever precision the source has.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.source {
            Source::System => real_now(),
            Source::Tokio { base, at } => {
                let elapsed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
                base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The present time cut down to whole seconds, the precision of `metav1.Time`: what is compared with a time that
    /// went through the API has to be cut in the same way.
    #[must_use]
    pub fn now_seconds(&self) -> Timestamp {
        whole_seconds(self.now())
    }

    /// The present time as the API writes it in `metav1.Time` fields: whole seconds.
    #[must_use]
    pub fn time(&self) -> Time {
        Time(self.now_seconds())
    }

    /// The present time as the API writes it in `metav1.MicroTime` fields (Lease, Event): microseconds.
    #[must_use]
    pub fn micro_time(&self) -> MicroTime {
        let now = self.now();
        MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }
}

/// `at` cut down to whole seconds (towards the past).
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    let second = if at.subsec_nanosecond() < 0 { at.as_second() - 1 } else { at.as_second() };
    Timestamp::from_second(second).unwrap_or(at)
}

#[allow(clippy::disallowed_methods, reason = "the one place where the real clock is read")]
fn real_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_moves_with_tokio_and_only_with_it() {
        let clock = Clock::starting_at(at("2030-01-02T03:04:05.6Z"));
        let copy = clock;
        assert_eq!(clock.now(), at("2030-01-02T03:04:05.6Z"));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), at("2030-01-02T04:04:05.6Z"));
        assert_eq!(copy.now(), clock.now());
        assert_eq!(clock.now_seconds(), at("2030-01-02T04:04:05Z"));
    }

    #[tokio::test(start_paused = true)]
    async fn api_times_have_the_precision_of_the_api() {
        let clock = Clock::starting_at(at("2030-01-02T03:04:05.123456789Z"));
        assert_eq!(serde_json::to_value(clock.time()).unwrap(), "2030-01-02T03:04:05Z");
        assert_eq!(serde_json::to_value(clock.micro_time()).unwrap(), "2030-01-02T03:04:05.123456Z");
    }

    #[test]
    fn whole_seconds_cut_towards_the_past() {
        assert_eq!(whole_seconds(at("1969-12-31T23:59:58.5Z")), at("1969-12-31T23:59:58Z"));
        assert_eq!(whole_seconds(at("2030-01-01T00:00:00.9Z")), at("2030-01-01T00:00:00Z"));
    }

    #[test]
    fn the_system_clock_reads_the_real_time() {
        // Any date after this code was written: a clock that stood at the epoch would fail.
        assert!(Clock::system().now() > at("2025-01-01T00:00:00Z"));
    }
}
