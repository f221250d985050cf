//! Protection ends: the application and its volumes stay, everything that we made goes.
//!
//! Secondaries first, then the primary (rule S18): a secondary that outlives its primary would lose the replication
//! metadata it still needs, and only the primary's removal purges the stores. A work is gone only when its cluster has
//! finished, so a cluster that is away holds the deletion up, and the condition says which one.

use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::names;
use kaedama_shared::record::ActionRecord;
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::plan::{Action, Owner, Plan, Verdict, Waiting};
use super::super::snapshot::{PlacementSite, Site, Snapshot};
use super::course::{self, Course};
use super::draft::Draft;

pub(super) fn decide(s: &Snapshot) -> Plan {
    let mut draft = Draft::new(s);
    let ours = s.drpc.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRPC_FINALIZER);
    if !ours {
        return draft.finish();
    }
    // It was refused for another DRPC before it made anything: what is there is the other's.
    if s.conflict.is_some() && !has_acted(s) {
        release(&mut draft);
        return draft.finish();
    }
    let unknown =
        s.sites.iter().find_map(|site| site.work.unknown().map(|why| format!("the works of {}: {why}", site.cluster)));
    let unseen = s.placement.unknown().map(|why| format!("the Placement: {why}"));
    if let Some(why) = unknown.or(unseen).or_else(|| s.doubt.clone()) {
        return waiting(draft, Owner::System, why);
    }
    if draft.outlook.phase != DRState::Deleting {
        // In the middle of an action no cluster has the whole application: one is to be left with it.
        if let Some(record) = super::under_way(s) {
            match super::admission::check(s) {
                Ok(()) => return end(draft, &record),
                Err(refusal) if refusal.passing => return waiting(draft, Owner::System, refusal.message),
                // It cannot go on either; no cluster would be left with the application.
                Err(refusal) if !stays_somewhere(s) => return waiting(draft, Owner::User, refusal.message),
                Err(_) => {}
            }
        }
        // A cluster without a work may have a VRG all the same, if this hub was restored: it has to say that it has none.
        // Once Deleting is shown, this is settled.
        if let Some(what) = ask_for_orphans(&mut draft) {
            return waiting(draft, Owner::System, what);
        }
        draft.outlook.started = Some(s.now);
    }
    draft.show(DRState::Deleting, Progression::Deleting);
    let (primaries, secondaries): (Vec<&Site>, Vec<&Site>) = s
        .sites
        .iter()
        .filter(|site| site.work.present().is_some())
        .partition(|site| site.work.present().is_some_and(|work| facts::is_primary(&work.vrg)));
    let next = if secondaries.is_empty() { primaries } else { secondaries };
    if !next.is_empty() {
        let mut pending = Vec::new();
        let mut away = false;
        for site in next {
            let Seen::Present(work) = &site.work else { continue };
            if !work.deleting {
                draft.actions.push(Action::DeleteVrgWork { cluster: site.cluster.clone(), work: work.id.clone() });
            }
            away |= site.reachable.is_err();
            pending.push(match &site.reachable {
                Ok(()) => format!("{} ends the protection", site.cluster),
                Err(why) => format!("{} has to end the protection, and cannot be reached: {why}", site.cluster),
            });
        }
        let mut plan = waiting(draft, Owner::System, pending.join("; "));
        if away {
            plan.outlook.waiting = Some(Waiting::on_absent(Owner::System, pending.join("; ")));
        }
        return plan;
    }
    for site in &s.sites {
        if let Some(view) = &site.view {
            draft.actions.push(Action::DeleteView { cluster: site.cluster.clone(), view: view.clone() });
        }
        if let Some(question) = &site.question {
            draft.actions.push(Action::DeleteVrgWork { cluster: site.cluster.clone(), work: question.clone() });
        }
        if let Seen::Present(work) = &site.namespace_work {
            draft.actions.push(Action::DeleteNamespaceWork { cluster: site.cluster.clone(), work: work.clone() });
        }
    }
    release(&mut draft);
    draft.finish()
}

/// Lets go of the Placement, if it is this DRPC's, and of the DRPC.
fn release(draft: &mut Draft<'_>) {
    let s = draft.s;
    if let Seen::Present(placement) = &s.placement
        && placement.finalizers.iter().any(|finalizer| finalizer == names::DRPC_FINALIZER)
        && is_ours(s, placement)
    {
        draft.actions.push(Action::ReleasePlacement(placement.id.clone()));
    }
    draft.actions.push(Action::ReleaseDrpc);
}

/// The DRPC carries the record of an action of its own; that of a copy is its original's.
fn has_acted(s: &Snapshot) -> bool {
    let record = s.drpc.metadata.annotations.as_ref().map(ActionRecord::from_annotations);
    let uid = s.drpc.metadata.uid.as_deref().unwrap_or_default();
    matches!(record, Some(Ok(Some(record))) if record.id.strip_prefix(uid).is_some_and(|rest| rest.starts_with('-')))
}

/// Some cluster is told to keep the application.
fn stays_somewhere(s: &Snapshot) -> bool {
    s.sites.iter().filter_map(Site::asked).any(|work| facts::stays_primary(&work.vrg))
}

/// The Placement names this DRPC as its owner.
fn is_ours(s: &Snapshot, placement: &PlacementSite) -> bool {
    let metadata = &s.drpc.metadata;
    placement.annotations.get(names::DRPC_NAME) == metadata.name.as_ref()
        && placement.annotations.get(names::DRPC_NAMESPACE) == metadata.namespace.as_ref()
}

/// Carries an action out before the protection ends. It can still be turned: its target may be lost meanwhile.
fn end(mut draft: Draft<'_>, record: &ActionRecord) -> Plan {
    let s = draft.s;
    draft.record(record);
    let confirmed = super::phase(s) != DRState::Unset || super::recovery::is_confirmed(s);
    match course::course(s, record) {
        Course::Accept(new) if confirmed => super::accept(&mut draft, record, new),
        Course::Accept(_) | Course::Keep | Course::Note(_) | Course::Refuse(_) => {
            super::drive::drive(&mut draft, record);
        }
    }
    let note = "The DRPlacementControl is being deleted; its protection ends when this action has ended";
    super::note(&mut draft, note.to_owned());
    draft.finish()
}

/// VRGs of which no work of ours knows are taken over as they are, so that they can be deleted in order. Says what is
/// waited for.
fn ask_for_orphans(draft: &mut Draft<'_>) -> Option<String> {
    let s = draft.s;
    let deployed = s.annotation(names::ACTION_RECORD).is_some_and(|record| !record.is_empty())
        || s.annotation(names::LAST_APP_DEPLOYMENT_CLUSTER).is_some_and(|cluster| !cluster.is_empty());
    if !deployed {
        return None;
    }
    let mut pending = Vec::new();
    for site in s.sites.iter().filter(|site| site.work.is_absent()) {
        match &site.vrg {
            Seen::Absent => {}
            Seen::Present(vrg) => {
                draft.take_over(site, vrg);
                pending.push(format!("taking over the VolumeReplicationGroup on {}", site.cluster));
            }
            // Nobody will ever answer for a cluster that was detached, and nothing of ours reaches it any more.
            Seen::Unknown(_) if site.detached => {}
            Seen::Unknown(why) => {
                draft.ask(site);
                pending.push(format!("whether {} has a VolumeReplicationGroup is not known: {why}", site.cluster));
            }
        }
    }
    (!pending.is_empty()).then(|| pending.join("; "))
}

fn waiting(mut draft: Draft<'_>, owner: Owner, what: String) -> Plan {
    draft.outlook.available = Some(Verdict::unknown("Deleting", format!("Waiting: {what}")));
    draft.outlook.waiting = Some(Waiting::on(owner, what));
    draft.finish()
}
