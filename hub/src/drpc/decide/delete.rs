//! Protection ends: the application and its volumes stay, everything that we made goes.
//!
//! Secondaries first, then the primary (rule S18): a secondary that outlives its primary would lose the replication
//! metadata it still needs, and only the primary's removal purges the stores. A work is gone only when its cluster has
//! finished, so a cluster that is away holds the deletion up, and the condition says which one.

use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::names;
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::plan::{Action, Owner, Plan, Verdict, Waiting};
use super::super::snapshot::{Site, Snapshot};
use super::draft::Draft;

pub(super) fn decide(s: &Snapshot) -> Plan {
    let mut draft = Draft::new(s);
    let ours = s.drpc.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRPC_FINALIZER);
    if !ours {
        return draft.finish();
    }
    if draft.outlook.phase != DRState::Deleting {
        draft.outlook.started = Some(s.now);
    }
    draft.show(DRState::Deleting, Progression::Deleting);

    let unknown = s.sites.iter().find_map(|site| site.work.unknown().map(|why| format!("the works of {}: {why}", site.cluster)));
    if let Some(why) = unknown {
        return waiting(draft, Owner::System, why);
    }
    let (primaries, secondaries): (Vec<&Site>, Vec<&Site>) = s
        .sites
        .iter()
        .filter(|site| site.work.present().is_some())
        .partition(|site| site.work.present().is_some_and(|work| facts::is_primary(&work.vrg)));
    let next = if secondaries.is_empty() { primaries } else { secondaries };
    if !next.is_empty() {
        let mut pending = Vec::new();
        for site in next {
            let Seen::Present(work) = &site.work else { continue };
            if !work.deleting {
                draft.actions.push(Action::DeleteVrgWork { cluster: site.cluster.clone(), work: work.id.clone() });
            }
            pending.push(match &site.reachable {
                Ok(()) => format!("{} ends the protection", site.cluster),
                Err(why) => format!("{} has to end the protection, and cannot be reached: {why}", site.cluster),
            });
        }
        return waiting(draft, Owner::System, pending.join("; "));
    }
    for site in &s.sites {
        if let Some(view) = &site.view {
            draft.actions.push(Action::DeleteView { cluster: site.cluster.clone(), view: view.clone() });
        }
        if let Seen::Present(work) = &site.namespace_work {
            draft.actions.push(Action::DeleteNamespaceWork { cluster: site.cluster.clone(), work: work.clone() });
        }
    }
    if let Seen::Present(placement) = &s.placement
        && placement.finalizers.iter().any(|finalizer| finalizer == names::DRPC_FINALIZER)
    {
        draft.actions.push(Action::ReleasePlacement(placement.id.clone()));
    }
    draft.actions.push(Action::ReleaseDrpc);
    draft.finish()
}

fn waiting(mut draft: Draft<'_>, owner: Owner, what: String) -> Plan {
    draft.outlook.available = Some(Verdict::unknown("Deleting", format!("Waiting: {what}")));
    draft.outlook.waiting = Some(Waiting::on(owner, what));
    draft.finish()
}
