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
//!
//! The record is believed while this hub remembers: it has a status, or works that carry a record. Of two the later one
//! counts: a record is written before the works that carry it, so works that are ahead prove an old view of the DRPC.

mod admission;
mod course;
mod delete;
mod draft;
mod drive;
pub mod gates;
mod recovery;
mod settle;

use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::dr_type::dr_type;
use super::facts;
use super::plan::{Action, Owner, Plan, Verdict, Waiting};
use super::snapshot::{Site, Snapshot, action_of};
use admission::Refusal;
use course::Course;
use draft::Draft;

/// True where the clusters leave something open that a store may know. A store is read in the pass itself, so this is
/// true only while an application waits for it.
pub fn needs_stores(s: &Snapshot) -> bool {
    if s.drpc.metadata.deletion_timestamp.is_some() && under_way(s).is_none() {
        return false;
    }
    let Ok(memory) = memory(s) else { return false };
    let is_rebuilt = !memory.is_sound || memory.record.is_none();
    let lost_sight = s.sites.iter().any(|site| site.reachable.is_err());
    let vanished = !s.sites.is_empty()
        && s.sites.iter().all(|site| site.vrg.is_absent())
        && placed_before(s, memory.record.as_ref()).is_some();
    // Where it is, or is on its way to, every gate was passed; but for those of a failover that forces a relocate.
    let is_there = memory.record.is_some_and(|record| {
        memory.is_sound && home(&record) == s.drpc.spec.failover_cluster && !course::can_be_forced(&record)
    });
    is_rebuilt && (lost_sight || vanished) || !is_there && gates::needs_stores(s)
}

/// What this hub knows of the application's last action.
struct Memory {
    record: Option<ActionRecord>,
    /// Nothing can have happened that the hub does not know of.
    is_sound: bool,
    /// Somebody else has moved the application since.
    is_overtaken: bool,
}

fn phase(s: &Snapshot) -> DRState {
    s.drpc.status.as_ref().map(|status| status.phase.clone()).unwrap_or_default()
}

fn memory(s: &Snapshot) -> Result<Memory, String> {
    let stored = s.drpc.metadata.annotations.as_ref().map(ActionRecord::from_annotations).transpose();
    let stored = stored.map(Option::flatten).map_err(|malformed| malformed.to_string())?;
    let sent = sent(s);
    // Neither status nor works are restored with a hub, annotations are: alone they may be older than the clusters.
    let is_there = match phase(s) {
        DRState::Unset => sent.is_some(),
        DRState::WaitForUser => false,
        _ => true,
    };
    let record = match (stored, sent) {
        (Some(stored), Some(sent)) if sent.epoch > stored.epoch => Some(sent),
        (Some(stored), _) => Some(stored),
        (None, sent) => sent,
    };
    let is_overtaken = record.as_ref().is_some_and(|record| is_overtaken(s, record));
    Ok(Memory { record, is_sound: is_there && !is_overtaken, is_overtaken })
}

/// The reference product was in charge for a while: it moves the application and leaves the record as it is. The DRPC then
/// names another home than the record, or the work that was written for the record does not say what it says.
fn is_overtaken(s: &Snapshot, record: &ActionRecord) -> bool {
    if record.step < Step::Placed {
        return false;
    }
    let last = s.annotation(names::LAST_APP_DEPLOYMENT_CLUSTER).filter(|last| !last.is_empty());
    if last.is_some_and(|last| last != record.to) {
        return true;
    }
    let of_home = s.site(&record.to).and_then(Site::asked).map(|work| &work.vrg);
    let of_home = of_home.filter(|vrg| action_of(vrg).is_some_and(|theirs| theirs.id == record.id));
    if of_home.is_some_and(|vrg| !facts::is_for(vrg, record)) {
        return true;
    }
    let lets_go = of_home.is_some_and(|vrg| !facts::stays_primary(vrg));
    // A relocate that was called off brings its home to rest itself; but it makes nobody else primary.
    let elsewhere = || s.others(&record.to).filter_map(Site::asked).any(|work| facts::stays_primary(&work.vrg));
    lets_go && (!record.is_way_back() || elsewhere())
}

/// Where the application was placed last, as far as is known. A first placement that has only begun has placed nothing.
fn placed_before(s: &Snapshot, remembered: Option<&ActionRecord>) -> Option<String> {
    match remembered {
        Some(record) if record.kind == ActionKind::Deploy && record.step < Step::Placed => None,
        Some(record) => Some(home(record).to_owned()),
        None => s.annotation(names::LAST_APP_DEPLOYMENT_CLUSTER).filter(|last| !last.is_empty()).map(str::to_owned),
    }
}

/// The failover or relocate that has begun, until no other cluster would go on with the application if it was left as it
/// is: each has worked on being a secondary and has lost its decision, or has no work any more.
fn under_way(s: &Snapshot) -> Option<ActionRecord> {
    let memory = memory(s).ok().filter(|memory| memory.is_sound)?;
    let moves = memory.record.filter(|record| record.kind != ActionKind::Deploy && record.is_running())?;
    let decided = s.placement.present().map(|placement| placement.decisions.entries()).unwrap_or_default();
    let goes_on = s.others(&moves.to).filter(|site| site.work.present().is_some()).any(|site| {
        let stopped = site.answer(&moves).is_some_and(|vrg| facts::is_secondary(vrg) && facts::is_observed(vrg));
        !stopped || decided.iter().any(|entry| entry.cluster == site.cluster)
    });
    (moves.step < Step::Placed || goes_on).then_some(moves)
}

/// The latest action that works carry. They do not tell how far it has come, and level-triggered steps find out.
fn sent(s: &Snapshot) -> Option<ActionRecord> {
    let works = s.sites.iter().filter_map(|site| site.work.present());
    let newest = works.filter_map(|work| action_of(&work.vrg)).max_by_key(|record| record.epoch)?;
    let target = s
        .site(&newest.to)
        .and_then(|site| site.work.present())
        .filter(|work| action_of(&work.vrg).is_some_and(|record| record.id == newest.id));
    // The source of a relocate that was called off is the target as well, and primary until it is at rest.
    let promoted = target.is_some_and(|work| facts::stays_primary(&work.vrg));
    let relocates = newest.kind == ActionKind::Relocate || newest.is_way_back();
    if target.is_some() && !promoted && !relocates {
        // Nothing of ours makes a secondary of the target: somebody else has moved the application since.
        return None;
    }
    let promoting = !relocates || promoted;
    Some(newest.reached(if promoting { Step::Promoting } else { Step::Quiescing }))
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
    let memory = match memory(s) {
        Ok(memory) => memory,
        Err(malformed) => {
            let message = format!("{malformed}; remove the annotation, and the record is rebuilt from the clusters");
            return refused(draft, Refusal::by_user(message));
        }
    };
    admission::take_ownership(&mut draft);
    ask_mute(&mut draft);
    let record = match memory.record.clone().filter(|_| memory.is_sound) {
        Some(record) => record,
        None => match recovery::rebuild(s, memory.record.as_ref()) {
            recovery::Rebuilt::Fresh => return deploy(draft, memory.record.as_ref()),
            // How far it had come is known best by who wrote it.
            recovery::Rebuilt::Found(record) => {
                let known = memory
                    .record
                    .filter(|known| !memory.is_overtaken && known.id == record.id && known.step > record.step);
                known.unwrap_or(record)
            }
            recovery::Rebuilt::Asking { ask, message } => return recovery::wait_for_answers(draft, &ask, message),
            recovery::Rebuilt::Unclear { ask, message } => return recovery::pause(draft, &ask, message),
            recovery::Rebuilt::FailoverAllowed { to, from, message } => {
                return recovery::wait_for_user(draft, &to, &from, message);
            }
        },
    };
    // Before the works: with one of them a hub has a memory, and it must not be that of an older backup.
    draft.record(&record);
    if adopt(&mut draft, &record) {
        return draft.finish();
    }
    // A status that was lost is filled in.
    let dated = s.drpc.status.as_ref().is_some_and(|status| status.action_start_time.is_some());
    draft.outlook.started = (!dated).then_some(record.started);
    let course = course::course(s, &record);
    let confirmed = memory.is_sound && phase(s) != DRState::Unset || recovery::is_confirmed(s);
    let moves = match &course {
        Course::Accept(_) => true,
        // Taken up later, and then nobody remembers that it was never confirmed.
        Course::Note(_) => s.drpc.spec.action.is_some(),
        Course::Keep | Course::Refuse(_) => false,
    };
    if moves && !confirmed {
        return recovery::wait_for_confirmation(draft, &record);
    }
    match course {
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

/// VRGs that no work of this hub knows of are taken over as they are, before anything is changed (rule S16). A primary of
/// a later action than the one in force is left alone: somebody has to say which of the two is right.
fn adopt(draft: &mut Draft<'_>, record: &ActionRecord) -> bool {
    let s = draft.s;
    let mut adopted = Vec::new();
    for site in s.sites.iter().filter(|site| site.work.is_absent()) {
        let Some(vrg) = site.vrg.present() else { continue };
        let later = action_of(vrg).is_some_and(|theirs| theirs.epoch > record.epoch);
        if !(facts::is_primary(vrg) && later) {
            draft.take_over(site, vrg);
            adopted.push(site.cluster.as_str());
        }
    }
    if adopted.is_empty() {
        return false;
    }
    let what = format!("taking over the VolumeReplicationGroup on {}", adopted.join(" and "));
    draft.outlook.waiting = Some(Waiting::on(Owner::System, what));
    true
}

/// Bad input or an unreadable prerequisite: nothing is done, and the condition names the field and the remedy.
fn refused(mut draft: Draft<'_>, refusal: Refusal) -> Plan {
    draft.outlook.available = Some(Verdict::no("Error", refusal.message.clone()));
    // What can be mended by an edit is watched; a view that cannot be believed comes back without an event.
    draft.outlook.waiting = refusal.passing.then(|| Waiting::on(Owner::System, refusal.message));
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

/// A spoke that has its VRG and reports nothing is the reference product's: it is looked at through a view. One that is
/// away would not answer, and its namespace may be on its way out.
fn ask_mute(draft: &mut Draft<'_>) {
    for site in draft.s.sites.iter().filter(|site| site.mute && site.view.is_none() && site.reachable.is_ok()) {
        draft.actions.push(Action::EnsureView { cluster: site.cluster.clone() });
    }
}

/// The first placement.
fn deploy(mut draft: Draft<'_>, remembered: Option<&ActionRecord>) -> Plan {
    let s = draft.s;
    let to = s.drpc.spec.preferred_cluster.clone();
    if let Some(elsewhere) = s.live_decision().filter(|live| *live != to) {
        let message = format!(
            "spec.preferredCluster is {to}, but the Placement already holds a decision for {elsewhere}: set \
             spec.preferredCluster to {elsewhere} to protect the application where it is"
        );
        return refused(draft, Refusal::by_user(message));
    }
    if let Some(elsewhere) = placed_before(s, remembered).filter(|before| *before != to) {
        let message = format!(
            "spec.preferredCluster is {to}, but the application was placed on {elsewhere} last: set \
             spec.preferredCluster to {elsewhere} to place it there again, or make this DRPlacementControl anew"
        );
        return refused(draft, Refusal::by_user(message));
    }
    let begun = remembered.filter(|record| record.kind == ActionKind::Deploy && record.to == to && record.is_running());
    let record = begun.cloned().unwrap_or_else(|| {
        // One more than one to elsewhere that was cut off before: what it has sent must not be taken for this one's.
        let epoch = remembered.map_or(1, |record| record.epoch + 1);
        let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
        ActionRecord::accept(&uid, epoch, ActionKind::Deploy, "", &to, s.generation(), s.now)
    });
    let record = record.reached(Step::Promoting);
    draft.outlook.started = Some(record.started);
    draft.accept(&record);
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
    draft.outlook.started = Some(new.started);
    match gates::entry(s, &new, dr_type(s)) {
        Ok(step) => {
            let new = new.reached(step);
            draft.accept(&new);
            drive::drive(draft, &new);
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
            draft.wait(shut.waiting);
        }
    }
}

/// The cluster that the application lives on by the record: the target once it was told to be primary.
pub(super) fn home(record: &ActionRecord) -> &str {
    if draft::is_committed(record) || record.from.is_empty() { &record.to } else { &record.from }
}

#[cfg(test)]
pub(crate) mod tests;
