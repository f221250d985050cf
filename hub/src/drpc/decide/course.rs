//! What an edit of the spec means for the action that is recorded.
//!
//! | recorded action is at | edit | meaning |
//! |---|---|---|
//! | any | the same action and target | goes on |
//! | Quiescing (relocate) | back to the source, or Failover | replaces it: nothing has been promoted |
//! | Promoting | Failover to another cluster | replaces it: the target may have been lost meanwhile |
//! | Promoting | anything else | taken up when the action has ended |
//! | Placed | Failover to another cluster | replaces it |
//! | Placed | Relocate | taken up when the old home is a clean secondary again |
//! | Completed | anything else than the home | a new action |

use kaedama_shared::api::DRAction;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::super::snapshot::Snapshot;
use super::home;

/// What to do about the spec.
#[derive(Debug, PartialEq)]
pub(super) enum Course {
    /// The recorded action is the one asked for.
    Keep,
    /// Keep to the recorded action, and tell the user something.
    Note(String),
    /// A new action, if its gates open.
    Accept(ActionRecord),
    /// The request makes no sense; the text names the field and the remedy.
    Refuse(String),
}

pub(super) fn course(s: &Snapshot, record: &ActionRecord) -> Course {
    let spec = &s.drpc.spec;
    let preferred = spec.preferred_cluster.as_str();
    let (kind, field, to) = match &spec.action {
        Some(DRAction::Failover) => (ActionKind::Failover, "failoverCluster", spec.failover_cluster.as_str()),
        Some(DRAction::Relocate) => (ActionKind::Relocate, "preferredCluster", preferred),
        // Any other value was refused on admission.
        Some(DRAction::Other(_)) | None => return without_action(record, preferred),
    };
    if record.kind == kind && record.to == to {
        return Course::Keep;
    }
    let home = home(record);
    if kind == ActionKind::Failover && to == home && !is_quiescing(record) {
        let other = s.others(home).next().map(|site| site.cluster.as_str()).unwrap_or_default();
        return Course::Refuse(format!(
            "spec.{field} is {to}, where the application already lives; name the other cluster ({other}), or remove \
             spec.action"
        ));
    }
    let new = |from: &str| {
        let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
        Course::Accept(ActionRecord::accept(&uid, record.epoch + 1, kind, from, to, s.generation(), s.now))
    };
    match record.step {
        Step::Completed => new(if to == home { "" } else { home }),
        Step::Accepted | Step::Quiescing => new(if to == record.from { "" } else { &record.from }),
        Step::Promoting | Step::Placed if kind == ActionKind::Failover => new(&record.to),
        Step::Promoting => Course::Note(format!(
            "The {} to {} is under way; the edit is taken up when it has ended",
            record.kind.as_spec(),
            record.to
        )),
        Step::Placed if record.kind == ActionKind::Deploy && to == home => new(""),
        Step::Placed => Course::Note(format!(
            "The Relocate to {to} begins when {} has been cleaned up after the last action (PeerReady)",
            record.from
        )),
    }
}

/// `spec.action` is empty: nothing is moved, wherever the application is.
fn without_action(record: &ActionRecord, preferred: &str) -> Course {
    let home = home(record);
    if preferred == home || record.is_running() && record.kind != ActionKind::Deploy {
        return Course::Keep;
    }
    Course::Note(format!(
        "spec.preferredCluster is {preferred}, and the application lives on {home}; it stays there until spec.action is \
         set to Relocate"
    ))
}

fn is_quiescing(record: &ActionRecord) -> bool {
    record.step < Step::Promoting && record.kind == ActionKind::Relocate
}
