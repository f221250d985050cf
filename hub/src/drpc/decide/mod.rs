//! The decision: a pure function from what is seen to what is done.
//!
//! ```text
//! deletion asked for ──────────────────────────► delete
//! invalid ─────────────────────────────────────► refused, nothing is done
//! no record ── recovery ── fresh ──────────────► deploy
//!                      └── found ──┐
//! record ──────────────────────────┴─ course ─┬─ keep ──► drive the action on
//!                                             ├─ accept ─ gates open ──► drive the new action
//!                                             │         └ gates shut ──► tend what is there, wait
//!                                             └─ refuse ► tend what is there, say why
//! ```
//!
//! An action's record is written only when every gate of it has been passed; until then the application stays under
//! the record of the action before, and that one's cleanup goes on.

mod admission;
mod course;
mod delete;
mod drive;
mod draft;
pub mod gates;
mod recovery;
mod settle;

use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::dr_type::dr_type;
use super::plan::{Action, Plan, Verdict};
use super::snapshot::Snapshot;
use course::Course;
use draft::Draft;

/// True where only the stores can say whether the application exists already: this hub does not remember, no cluster
/// reports a VRG, and one of them is silent.
pub fn needs_stores(s: &Snapshot) -> bool {
    let phase = s.drpc.status.as_ref().map(|status| status.phase.clone()).unwrap_or_default();
    s.drpc.metadata.deletion_timestamp.is_none()
        && matches!(phase, DRState::Unset | DRState::WaitForUser)
        && s.sites.iter().all(|site| site.vrg.present().is_none())
        && s.sites.iter().any(|site| site.reachable.is_err())
}

/// Decides one pass.
pub fn decide(s: &Snapshot) -> Plan {
    if s.drpc.metadata.deletion_timestamp.is_some() || s.placement.present().is_some_and(|p| p.deleting) {
        return delete::decide(s);
    }
    let mut draft = Draft::new(s);
    if let Err(refusal) = admission::check(s) {
        return refused(draft, refusal);
    }
    admission::take_ownership(&mut draft);
    let stored = s.drpc.metadata.annotations.as_ref().map(ActionRecord::from_annotations).transpose();
    let record = match stored {
        Ok(stored) => stored.flatten(),
        Err(malformed) => {
            return refused(
                draft,
                format!("{malformed}; remove the annotation, and the record is rebuilt from the clusters"),
            );
        }
    };
    ask_mute(&mut draft);
    let phase = s.drpc.status.as_ref().map(|status| status.phase.clone()).unwrap_or_default();
    // Status is not restored with a hub, annotations are: without a phase a record may be older than the clusters.
    let remembered = !matches!(phase, DRState::Unset | DRState::WaitForUser);
    let record = match record.clone().filter(|_| remembered) {
        Some(record) => record,
        None => match recovery::rebuild(s) {
            recovery::Rebuilt::Fresh => return deploy(draft, record.map_or(0, |record| record.epoch)),
            recovery::Rebuilt::Found(record) => record,
            recovery::Rebuilt::Unclear { ask, message } => return recovery::pause(draft, &ask, message),
            recovery::Rebuilt::FailoverAllowed { to, from, message } => {
                return recovery::wait_for_user(draft, &to, &from, message);
            }
        },
    };
    match course::course(s, &record) {
        Course::Keep => drive::drive(&mut draft, &record),
        Course::Note(message) => {
            drive::drive(&mut draft, &record);
            note(&mut draft, message);
        }
        Course::Accept(new) => accept(&mut draft, &record, new),
        Course::Refuse(message) => {
            drive::drive(&mut draft, &record);
            draft.outlook.available = Some(Verdict::no("ValidationFailed", message));
        }
    }
    draft.finish()
}

/// Bad input or an unreadable prerequisite: nothing is done, and the condition names the field and the remedy.
fn refused(mut draft: Draft<'_>, message: String) -> Plan {
    draft.outlook.available = Some(Verdict::no("Error", message));
    draft.marks = Default::default();
    draft.actions.clear();
    draft.finish()
}

/// Adds to what `Available` says, and leaves its status alone.
fn note(draft: &mut Draft<'_>, message: String) {
    if let Some(verdict) = &mut draft.outlook.available {
        verdict.message = format!("{}. {message}", verdict.message);
    }
}

/// A spoke that applied its VRG and reports nothing is the reference product's: it is looked at through a view.
fn ask_mute(draft: &mut Draft<'_>) {
    for site in draft.s.sites.iter().filter(|site| site.mute && site.view.is_none()) {
        draft.actions.push(Action::EnsureView { cluster: site.cluster.clone() });
    }
}

/// The first placement.
fn deploy(mut draft: Draft<'_>, epoch: u64) -> Plan {
    let s = draft.s;
    let to = s.drpc.spec.preferred_cluster.clone();
    if let Some(elsewhere) = s.live_decision().filter(|live| *live != to) {
        return refused(
            draft,
            format!(
                "spec.preferredCluster is {to}, but the Placement already holds a decision for {elsewhere}: set \
                 spec.preferredCluster to {elsewhere} to protect the application where it is"
            ),
        );
    }
    let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
    let record = ActionRecord::accept(&uid, epoch.max(1), ActionKind::Deploy, "", &to, s.generation(), s.now)
        .reached(Step::Promoting);
    draft.outlook.started = Some(s.now);
    draft.record(&record);
    drive::drive(&mut draft, &record);
    draft.finish()
}

/// A new action: its gates are tried, and the record of the action before stays in force while one is shut.
fn accept(draft: &mut Draft<'_>, current: &ActionRecord, mut new: ActionRecord) {
    let s = draft.s;
    let status = s.drpc.status.as_ref();
    let waiting_already = status.is_some_and(|status| {
        status.observed_generation == s.generation()
            && matches!(status.phase, DRState::Initiating | DRState::FailingOver | DRState::Relocating)
    });
    let since = status.and_then(|status| status.action_start_time.as_ref()).map(|time| time.0);
    new.started = since.filter(|_| waiting_already).unwrap_or(s.now);
    let dr_type = dr_type(s);
    let gate = match new.kind {
        ActionKind::Failover => gates::failover(s, &new, dr_type).map(|_| Step::Promoting),
        ActionKind::Relocate => {
            gates::relocate_may_begin(s, &new, dr_type).map(|()| Step::Quiescing)
        }
        // The first placement has no gate of its own.
        ActionKind::Deploy => Ok(Step::Promoting),
    };
    draft.outlook.started = Some(new.started);
    match gate {
        Ok(step) => {
            let new = new.reached(step);
            draft.record(&new);
            drive::drive(draft, &new);
            draft.outlook.started = Some(new.started);
        }
        Err(shut) => {
            drive::drive(draft, current);
            // What is tended meanwhile is the action before; what is shown is the one that waits.
            let phase = match shut.progression {
                Progression::WaitForFencing | Progression::WaitForStorageMaintenanceActivation => DRState::FailingOver,
                _ => DRState::Initiating,
            };
            draft.outlook.ended = false;
            draft.show(phase, shut.progression);
            draft.outlook.started = Some(new.started);
            draft.wait(shut.waiting);
        }
    }
}

/// The cluster that the application lives on by the record: the target once it was told to be primary.
pub(super) fn home(record: &ActionRecord) -> &str {
    if draft::is_committed(record) || record.from.is_empty() { &record.to } else { &record.from }
}
