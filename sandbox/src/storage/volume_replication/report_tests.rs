//! Each outcome's row, as `type: status reason`.

use std::time::Duration;

use super::*;
use crate::storage::array::{Code, SyncReport};

fn report(before: Option<&VolumeReplicationStatus>) -> Report {
    Report::new(before, 3, "2030-01-01T00:00:07.9Z".parse().unwrap(), "volume")
}

fn row(report: &Report) -> Vec<String> {
    let mut row: Vec<String> =
        report.status.conditions.iter().map(|c| format!("{}: {} {}", c.type_, c.status, c.reason)).collect();
    row.sort();
    assert!(report.status.conditions.iter().all(|c| c.is_at(3)));
    row
}

fn refusal() -> StorageError {
    StorageError::new(Code::FailedPrecondition, "why")
}

#[test]
fn promoted() {
    let mut report = report(None);
    report.validated();
    report.promoted(true);
    let last =
        SyncReport { at: "2030-01-01T00:00:05.7Z".parse().unwrap(), duration: Duration::from_secs(63), bytes: 0 };
    report.replicating(&Info { last, health: Health::Healthy });
    assert_eq!(
        row(&report),
        [
            "Completed: True Promoted",
            "Degraded: False Healthy",
            "Replicating: True Replicating",
            "Resyncing: False NotResyncing",
            "Validated: True PrerequisiteMet"
        ]
    );
    let status = serde_json::to_value(&report.status).unwrap();
    assert_eq!(status["state"], "Primary");
    assert_eq!(status["message"], "volume is marked primary");
    assert_eq!(status["lastCompletionTime"], "2030-01-01T00:00:07Z");
    assert_eq!(status["lastSyncTime"], "2030-01-01T00:00:05Z");
    assert_eq!(status["lastSyncDuration"], "1m3s");
    assert_eq!(status.get("lastSyncBytes"), None);
    assert_eq!(status["observedGeneration"], 3);
}

#[test]
fn a_failure_keeps_the_state_and_names_the_step() {
    let mut before = report(None);
    before.promoted(true);
    let mut report = report(Some(&before.status));
    report.demote_failed("why");
    assert_eq!(
        row(&report),
        ["Completed: False FailedToDemote", "Degraded: True Error", "Resyncing: False NotResyncing"]
    );
    assert_eq!(report.status.state, VolumeState::Primary);
    assert_eq!(report.status.message, "volume could not be demoted: why");
}

#[test]
fn a_missing_prerequisite_is_not_a_failed_promotion() {
    let mut one = report(None);
    one.prerequisite_missing(&refusal());
    assert!(row(&one).contains(&"Validated: False PrerequisiteNotMet".to_owned()));
    assert_eq!(one.status.state, VolumeState::Unknown);
    let mut other = report(None);
    other.promote_failed("could not be promoted", "why");
    assert!(row(&other).contains(&"Validated: True PrerequisiteMet".to_owned()));
}

#[test]
fn a_secondary_forgets_what_was_true_of_the_primary() {
    let mut before = report(None);
    before.promoted(true);
    before.replication_unknown(&refusal());
    before.prerequisite_missing(&refusal());
    let mut report = report(Some(&before.status));
    report.demoted();
    assert_eq!(
        row(&report),
        ["Completed: True Demoted", "Degraded: True VolumeDegraded", "Resyncing: False NotResyncing"]
    );
    assert!(!is_finished_secondary(Some(&report.status), 3));
    report.resyncing();
    assert_eq!(
        row(&report),
        ["Completed: True Demoted", "Degraded: True VolumeDegraded", "Resyncing: True ResyncTriggered"]
    );
    report.resynced();
    assert_eq!(row(&report), ["Completed: True Demoted", "Degraded: False Healthy", "Resyncing: False NotResyncing"]);
    assert!(is_finished_secondary(Some(&report.status), 3));
    assert!(!is_finished_secondary(Some(&report.status), 4));
}

#[test]
fn a_setup_failure_has_the_row_of_the_wanted_state() {
    let failed = |desired| {
        let mut report = report(None);
        report.setup_failed(&desired, "has no claim", "why");
        row(&report)
    };
    assert!(failed(DesiredState::Primary).contains(&"Completed: False FailedToPromote".to_owned()));
    assert!(failed(DesiredState::Secondary).contains(&"Completed: False FailedToDemote".to_owned()));
    let resync = failed(DesiredState::Resync);
    assert!(resync.contains(&"Completed: False FailedToResync".to_owned()));
    assert!(resync.contains(&"Resyncing: False FailedToResync".to_owned()));
}
