//! Leader election on a `coordination.k8s.io/v1` Lease, with the semantics of Kubernetes' own client library.
//!
//! | module | what lives there |
//! |---|---|
//! | [`step`] | the election, pure: what an observation means, and what to do next |
//! | [`run`] | the thin I/O around it, and [`lead`], which runs the operator while the lease is held |
//! | [`Leadership`] | what the operator is handed: whether the lease is held *now* |
//!
//! A lease is never trusted by the times that are written in it, because the writers' clocks may differ: a candidate
//! takes it over when it has not seen the record change for the whole lease duration, by its own monotonic clock. The
//! holder in turn gives up after the shorter renew deadline, counted from when its last successful renewal was *sent*.
//! Every write is an update on the resourceVersion that was observed (never a patch), so of two candidates that take
//! over at once one gets a conflict.

pub mod run;
pub mod step;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::clock::Clock;

pub use run::{LeadError, lead};
pub use step::{Election, InvalidTimings, Timings};

/// Name of the hub operator's lease, unless the configuration names another.
pub const HUB_LEASE: &str = "hub.ramendr.openshift.io";
/// Name of the spoke operator's lease, unless the configuration names another.
pub const SPOKE_LEASE: &str = "dr-cluster.ramendr.openshift.io";

/// The identity of one candidate. Two processes that live at the same time must not share it: both would take the lease
/// for theirs.
///
/// With the uid of the pod, a container that is started again is the candidate that it was before: a kubelet starts it
/// only when the one before it is dead, so it goes on with the lease of that one, after [`Timings::retry`]. Without it
/// every start of the process is a candidate of its own, and waits until the lease of the one before it has run out.
#[must_use]
pub fn identity(pod: &str, uid: Option<&str>, clock: Clock) -> String {
    match uid.filter(|uid| !uid.is_empty()) {
        Some(uid) => format!("{pod}_{uid}"),
        None => format!("{pod}_{}-{}", std::process::id(), clock.now().as_nanosecond()),
    }
}

/// Whether this process leads. Cheap to clone; asked at every write (see [`super::client::Clients::gated`]).
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Leadership {
    /// Not held, until [`Leadership::hold_until`].
    #[must_use]
    pub fn unheld() -> Self {
        Self::default()
    }

    /// Held for ever: for a process that runs without leader election.
    #[must_use]
    pub fn without_election() -> Self {
        let own = Self::default();
        // Thirty years: tokio's instants have no maximum that could be named.
        own.hold_until(Instant::now() + std::time::Duration::from_secs(30 * 365 * 24 * 3600));
        own
    }

    /// Held until `deadline`, if nothing else is said before.
    pub fn hold_until(&self, deadline: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// Given up or lost.
    pub fn drop_hold(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the lease is held at this moment. Depends on the time alone, so it also turns false in a process that
    /// was suspended and has not yet come round to noticing.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod step_tests;
