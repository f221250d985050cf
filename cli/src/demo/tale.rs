//! What came of the story: the actions, the facts that were measured, and whether everything held.

use std::time::Duration;

use jiff::Timestamp;
use kaedama_sandbox::workload::Audit;
use serde::Serialize;

use super::invariants::{Check, checks};

/// What was ordered. A failback is a relocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Without the old cluster.
    Failover,
    /// With it, and without losing anything.
    Relocate,
}

impl Kind {
    /// As the DRPlacementControl has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failover => "Failover",
            Kind::Relocate => "Relocate",
        }
    }
}

/// A move of the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What was ordered.
    pub kind: Kind,
    /// Where it lived.
    pub from: String,
    /// Where it lives now.
    pub to: String,
    /// From the edit of the DRPlacementControl until the application was placed, restored and writing.
    pub running: Duration,
    /// Until the other cluster was cleaned up and ready to follow: from the edit, or from the return of the cluster
    /// that was lost.
    pub clean: Duration,
    /// Records acknowledged since the action before this one ended.
    pub acknowledged: u64,
    /// Of these and earlier ones, how many this action lost.
    pub lost: u64,
    /// Seconds of work that these are.
    pub lost_seconds: f64,
    /// How many of the lost ones were written by the old home after it had come back, before it was stopped.
    pub late: u64,
}

/// What was measured on the way.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Before anything happened.
    pub before: Audit,
    /// When the cluster was destroyed.
    pub killed_at: Timestamp,
    /// Up to when the other side had everything at that moment.
    pub synced_until: Option<Timestamp>,
    /// After the failover, before the lost cluster came back.
    pub failed_over: Audit,
    /// After it came back and was cleaned up.
    pub returned: Audit,
    /// At the end.
    pub last: Audit,
    /// Whether the application is protected at the end.
    pub protected: bool,
    /// Seconds since the other side had everything, at the end.
    pub lag: Option<f64>,
}

/// The story so far.
#[derive(Clone, Debug, Default)]
pub struct Tale {
    /// The moves, in order.
    pub actions: Vec<Action>,
    /// All that was measured; only once it is complete.
    pub facts: Option<Facts>,
    /// What kept the story from its end.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Tale {
    /// What has to be true, and whether it is; empty while the story has not ended.
    pub fn checks(&self) -> Vec<Check> {
        self.facts.as_ref().map(|facts| checks(&self.actions, facts)).unwrap_or_default()
    }

    /// What is wrong, in words.
    pub fn broken(&self) -> Vec<String> {
        let invariants = self.checks().into_iter().filter(|check| !check.held);
        let invariants = invariants.map(|check| format!("{}: {}", check.what, check.measured));
        self.failure.iter().cloned().chain(invariants).collect()
    }

    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.broken().is_empty()
    }
}
