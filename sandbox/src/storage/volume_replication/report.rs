//! The conditions and messages of each outcome: one function for each row of csi-addons' table.

use jiff::Timestamp;
use kaedama_shared::{
    api::{
        Condition, ConditionStatus,
        condition::{find, is_true_at, remove, set},
        csiaddons::{DesiredState, VolumeReplicationStatus, VolumeState, condition, reason},
    },
    clock::whole_seconds,
};

use crate::storage::{
    array::{Health, Info, StorageError},
    kit::seconds,
};

/// The status of a VolumeReplication while a pass works on it.
pub(super) struct Report {
    /// What will be written.
    pub(super) status: VolumeReplicationStatus,
    generation: i64,
    now: Timestamp,
    /// `volume` or `volume group`: what the messages are about.
    source: &'static str,
}

impl Report {
    pub(super) fn new(
        status: Option<&VolumeReplicationStatus>,
        generation: i64,
        now: Timestamp,
        source: &'static str,
    ) -> Self {
        let mut status = status.cloned().unwrap_or_default();
        status.observed_generation = generation;
        if status.state.is_unset() {
            status.state = VolumeState::Unknown;
        }
        Self { status, generation, now: whole_seconds(now), source }
    }

    fn set(&mut self, type_: &str, status: ConditionStatus, reason: &str, phrase: &str) {
        let message = format!("{} {phrase}", self.source);
        set(&mut self.status.conditions, Condition::new(type_, status, reason, message, self.generation), self.now);
    }

    pub(super) fn message(&mut self, phrase: &str) {
        self.status.message = format!("{} {phrase}", self.source);
    }

    pub(super) fn started(&mut self) {
        self.status.last_start_time = Some(seconds(self.now));
    }

    fn finished(&mut self) {
        self.status.last_completion_time = Some(seconds(self.now));
    }

    fn failed(&mut self, completed: &str, what: &str, detail: &str) {
        use ConditionStatus::{False, True};
        self.set(condition::COMPLETED, False, completed, &format!("{what}: {detail}"));
        self.set(condition::DEGRADED, True, reason::ERROR, &format!("is degraded: {detail}"));
        let resyncing = if completed == reason::FAILED_TO_RESYNC { completed } else { reason::NOT_RESYNCING };
        self.set(condition::RESYNCING, False, resyncing, "is not resyncing");
        self.message(&format!("{what}: {detail}"));
    }

    /// The prerequisites are met: replication could be enabled.
    pub(super) fn validated(&mut self) {
        self.set(condition::VALIDATED, ConditionStatus::True, reason::PREREQUISITE_MET, "meets all prerequisites");
    }

    /// The storage lacks something that replication needs.
    pub(super) fn prerequisite_missing(&mut self, error: &StorageError) {
        self.failed(reason::FAILED_TO_PROMOTE, "could not be enabled for replication", &error.message);
        let phrase = format!("does not meet the prerequisites: {}", error.message);
        self.set(condition::VALIDATED, ConditionStatus::False, reason::PREREQUISITE_NOT_MET, &phrase);
    }

    /// Enabling failed for another reason, or promoting failed.
    pub(super) fn promote_failed(&mut self, what: &str, detail: &str) {
        self.failed(reason::FAILED_TO_PROMOTE, what, detail);
        self.validated();
    }

    /// The volume is primary. `transition`: it was not before.
    pub(super) fn promoted(&mut self, transition: bool) {
        use ConditionStatus::{False, True};
        self.set(condition::COMPLETED, True, reason::PROMOTED, "is primary and replicating to secondary");
        self.set(condition::DEGRADED, False, reason::HEALTHY, "is healthy");
        self.set(condition::RESYNCING, False, reason::NOT_RESYNCING, "is not resyncing");
        self.status.state = VolumeState::Primary;
        self.message("is marked primary");
        if transition {
            self.finished();
        }
    }

    /// How replication of a primary is doing.
    pub(super) fn replicating(&mut self, info: &Info) {
        self.status.last_sync_time = Some(seconds(info.last.at));
        self.status.last_sync_duration = Some(info.last.duration.into());
        self.status.last_sync_bytes = i64::try_from(info.last.bytes).ok().filter(|bytes| *bytes != 0);
        match &info.health {
            Health::Healthy => {
                self.set(condition::REPLICATING, ConditionStatus::True, reason::REPLICATING, "is replicating");
            }
            Health::Degraded(why) => {
                let phrase = format!("is not replicating: {why}");
                self.set(condition::REPLICATING, ConditionStatus::False, reason::NOT_REPLICATING, &phrase);
            }
        }
    }

    /// Nobody can tell how replication is doing.
    pub(super) fn replication_unknown(&mut self, error: &StorageError) {
        let phrase = format!("is replicating or not, that is unknown: {}", error.message);
        self.set(condition::REPLICATING, ConditionStatus::Unknown, reason::REPLICATING, &phrase);
    }

    /// The storage says that this primary is none.
    pub(super) fn not_primary(&mut self, error: &StorageError) {
        let phrase = format!("is degraded: {}", error.message);
        self.set(condition::DEGRADED, ConditionStatus::True, reason::ERROR, &phrase);
        self.message(&format!("was changed behind this object: {}", error.message));
    }

    /// The volume is secondary, and what it is in sync with is not known yet.
    pub(super) fn demoted(&mut self) {
        self.secondary(ConditionStatus::True, ConditionStatus::False);
        self.message("is marked secondary and is degraded");
    }

    pub(super) fn demote_failed(&mut self, detail: &str) {
        self.failed(reason::FAILED_TO_DEMOTE, "could not be demoted", detail);
    }

    /// The storage has accepted the resync and is not done.
    pub(super) fn resyncing(&mut self) {
        self.secondary(ConditionStatus::True, ConditionStatus::True);
        self.message("is degraded");
    }

    /// The volume is secondary and in sync.
    pub(super) fn resynced(&mut self) {
        self.secondary(ConditionStatus::False, ConditionStatus::False);
        self.status.last_sync_time = None;
        self.message("is marked secondary");
        self.finished();
    }

    pub(super) fn resync_failed(&mut self, detail: &str) {
        self.failed(reason::FAILED_TO_RESYNC, "could not be resynced", detail);
    }

    fn secondary(&mut self, degraded: ConditionStatus, resyncing: ConditionStatus) {
        use ConditionStatus::{False, True};
        self.set(condition::COMPLETED, True, reason::DEMOTED, "is secondary");
        match degraded {
            True => self.set(condition::DEGRADED, True, reason::VOLUME_DEGRADED, "is not known to be in sync"),
            _ => self.set(condition::DEGRADED, False, reason::HEALTHY, "is healthy"),
        }
        match resyncing {
            True => self.set(condition::RESYNCING, True, reason::RESYNC_TRIGGERED, "copies changes from the primary"),
            _ => self.set(condition::RESYNCING, False, reason::NOT_RESYNCING, "is not resyncing"),
        }
        remove(&mut self.status.conditions, condition::REPLICATING);
        // A refusal from the time as primary says nothing about a secondary.
        if find(&self.status.conditions, condition::VALIDATED).is_some_and(Condition::is_false) {
            remove(&mut self.status.conditions, condition::VALIDATED);
        }
        self.status.state = VolumeState::Secondary;
    }

    /// Something failed before the storage could be asked: the row of the state that is wanted.
    pub(super) fn setup_failed(&mut self, desired: &DesiredState, what: &str, detail: &str) {
        match desired {
            DesiredState::Secondary => self.failed(reason::FAILED_TO_DEMOTE, what, detail),
            DesiredState::Resync => self.failed(reason::FAILED_TO_RESYNC, what, detail),
            _ => self.promote_failed(what, detail),
        }
    }
}

/// Whether this is a secondary that was seen in sync at this generation: nothing is left to do for it.
pub(super) fn is_finished_secondary(status: Option<&VolumeReplicationStatus>, generation: i64) -> bool {
    let Some(status) = status else { return false };
    let denied = |type_| find(&status.conditions, type_).is_some_and(|c| c.is_false() && c.is_at(generation));
    status.state == VolumeState::Secondary
        && status.observed_generation == generation
        && is_true_at(&status.conditions, condition::COMPLETED, generation)
        && denied(condition::DEGRADED)
        && denied(condition::RESYNCING)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
