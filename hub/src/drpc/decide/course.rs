//! What an edit of the spec means for the action that is recorded.
//!
//! | recorded action is at | edit | meaning |
//! |---|---|---|
//! | any | the same action and target | goes on |
//! | Quiescing (relocate) | back to the source, application still running | called off: the source goes on as primary |
//! | Quiescing (relocate) | back to the source, application stopped already | the source comes to rest, and is restored |
//! | Quiescing, on that way back | Failover to the source | the same without the other cluster, which is given up |
//! | Quiescing (relocate) | Failover to the target | replaces it: nothing has been promoted |
//! | Promoting | Failover to another cluster | replaces it: the target may have been lost meanwhile |
//! | Promoting (relocate) | Failover to the target | replaces it: the source may have been lost meanwhile |
//! | Promoting | anything else | taken up when the action has ended |
//! | Placed | Failover to another cluster | replaces it |
//! | Placed | Relocate, also to where the failover has put it | taken up when the old home is a clean secondary again |
//! | Completed | anything else than the home | a new action |

use kaedama_shared::api::DRAction;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::super::facts;
use super::super::snapshot::Snapshot;
use super::home;
use super::recovery::next_epoch;

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
        Some(DRAction::Other(_)) | None => return without_action(s, record, preferred),
    };
    // On the way back any order to there is met, until one gives the other cluster up.
    let gives_up = is_quiescing(record) && kind == ActionKind::Failover;
    if record.to == to && (record.kind == kind || record.is_way_back() && !gives_up) {
        return Course::Keep;
    }
    if is_quiescing(record) {
        // It was given up: volumes are let go as those of a primary, one by one, and what the peer has of them may be gone.
        let given_up = record.is_way_back() && record.kind == ActionKind::Failover;
        if given_up && s.site(&record.from).is_some_and(|site| site.reachable.is_ok()) {
            return Course::Note(format!(
                "The way back to {} is under way, by which the other cluster was given up; the edit is taken up when it \
                 has ended",
                record.to
            ));
        }
        return if to == record.from { way_back(s, record, kind) } else { new(s, record, kind, &record.from, to) };
    }
    let home = home(record);
    if kind == ActionKind::Failover && to == home {
        if can_be_forced(record) {
            return new(s, record, kind, &record.from, to);
        }
        let other = s.others(home).next().map(|site| site.cluster.as_str()).unwrap_or_default();
        return Course::Refuse(format!(
            "spec.{field} is {to}, where the application already lives; name the other cluster ({other}), or remove \
             spec.action"
        ));
    }
    match record.step {
        Step::Completed => new(s, record, kind, if to == home { "" } else { home }, to),
        _ if kind == ActionKind::Failover => new(s, record, kind, &record.to, to),
        Step::Accepted | Step::Quiescing | Step::Promoting => Course::Note(format!(
            "The {} to {} is under way; the edit is taken up when it has ended",
            named(record.kind),
            record.to
        )),
        // The old home still has writes of its own, which only the failover's cleanup may give up: a relocate would ask
        // it to come into step without losing any, and wait for ever.
        Step::Placed if to == home && record.kind == ActionKind::Failover => Course::Note(format!(
            "The application is on {to} already; the Relocate there is taken up when the old home has been cleaned up"
        )),
        Step::Placed if to == home => new(s, record, kind, "", to),
        Step::Placed => Course::Note(format!(
            "The Relocate to {to} begins when {to} is a clean secondary of the last action (PeerReady)"
        )),
    }
}

fn new(s: &Snapshot, record: &ActionRecord, kind: ActionKind, from: &str, to: &str) -> Course {
    let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
    // Later than everything that is known, also than what a restored hub found and did not follow.
    let epoch = next_epoch(s).max(record.epoch + 1);
    Course::Accept(ActionRecord::accept(&uid, epoch, kind, from, to, s.generation(), s.now))
}

/// A relocate is called off. While the application runs, its home simply goes on. Once it was told to stop, claims may be
/// on their way out: going on with those would end in empty new ones, so the volumes come to rest first. The decision goes
/// before the source is told anything, so both have to be as they were.
///
/// A Failover back says that the other cluster is lost: then nothing waits for it.
fn way_back(s: &Snapshot, record: &ActionRecord, kind: ActionKind) -> Course {
    let keeps_its_volumes = s
        .site(&record.from)
        .and_then(|site| site.asked())
        .is_some_and(|work| facts::is_primary(&work.vrg) && !work.vrg.spec.run_final_sync);
    let runs = keeps_its_volumes && s.live_decision() == Some(&record.from);
    if runs {
        new(s, record, kind, "", &record.from)
    } else {
        let kind = if kind == ActionKind::Failover { kind } else { ActionKind::Relocate };
        new(s, record, kind, &record.from, &record.from)
    }
}

/// `spec.action` is empty: nothing is moved, wherever the application is. A relocate that has not stopped its source for
/// good is called off by naming the source.
fn without_action(s: &Snapshot, record: &ActionRecord, preferred: &str) -> Course {
    if is_quiescing(record) && preferred == record.from && !record.is_way_back() {
        return way_back(s, record, ActionKind::Relocate);
    }
    let home = home(record);
    if preferred == home || record.is_running() && record.kind != ActionKind::Deploy {
        return Course::Keep;
    }
    Course::Note(format!(
        "spec.preferredCluster is {preferred}, and the application lives on {home}; it stays there until spec.action is \
         set to Relocate"
    ))
}

/// The target of a relocate waits for every store, and for volumes that are in step. A failover to it waits for neither:
/// the only way on when the source, and its store with it, is lost after it came to rest.
pub(super) fn can_be_forced(record: &ActionRecord) -> bool {
    let moves = !record.from.is_empty() && !record.is_way_back();
    record.kind == ActionKind::Relocate && record.step == Step::Promoting && moves
}

fn is_quiescing(record: &ActionRecord) -> bool {
    record.step < Step::Promoting && !record.from.is_empty()
}

fn named(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Deploy => "first placement",
        ActionKind::Failover | ActionKind::Relocate => kind.as_spec(),
    }
}
