//! Drives a recorded action on from where it is. Level-triggered: each step makes things what they should be, so a
//! pass that is repeated after a crash does the rest.

use kaedama_shared::api::conditions::vrg as vrg_types;
use kaedama_shared::api::Progression;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::super::facts;
use super::super::generate::Role;
use super::super::plan::{Owner, Permit, Verdict, Waiting};
use super::draft::{self, Draft};
use super::{gates, settle};

/// One pass over the recorded action.
pub(super) fn drive(draft: &mut Draft<'_>, record: &ActionRecord) {
    match record.step {
        Step::Accepted | Step::Quiescing => quiesce(draft, record),
        Step::Promoting => promote(draft, record),
        Step::Placed | Step::Completed => settle::settle(draft, record),
    }
}

/// Relocate: brings the source to rest, and every cluster to secondary. Nothing may be lost here.
fn quiesce(draft: &mut Draft<'_>, record: &ActionRecord) {
    let s = draft.s;
    draft.outlook.reported = Some(if record.from.is_empty() { record.to.clone() } else { record.from.clone() });
    draft.outlook.peer_ready = Some(Verdict::no("NotStarted", format!("Relocating to {}", record.to)));
    draft.show(draft::running(record.kind), Progression::PreparingFinalSync);
    if let Some(source) = s.site(&record.from) {
        let Some(work) = source.asked() else {
            draft.wait(Waiting::on(Owner::System, format!("the ManifestWork of {} is not there", source.cluster)));
            return;
        };
        if facts::is_primary(&work.vrg) {
            bring_to_rest(draft, record, source);
            return;
        }
    }
    // Every cluster secondary, under this action's record.
    draft.show(draft::running(record.kind), Progression::EnsuringVolumesAreSecondary);
    for site in s.others(&record.to) {
        let Some(work) = site.asked() else { continue };
        // The source was demoted by a permit of its own; the others are secondaries already.
        if facts::is_secondary(&work.vrg) {
            draft.vrg(site, &Role::secondary(record), record, Permit::SameSide);
        }
    }
    match gates::relocate_may_promote(s, record) {
        Ok(_) => {
            let record = record.clone().reached(Step::Promoting);
            draft.record(&record);
            promote(draft, &record);
        }
        Err(shut) => {
            draft.show(draft::running(record.kind), shut.progression);
            draft.wait(shut.waiting);
        }
    }
}

/// The source: prepare, stop the application, final sync, demote.
fn bring_to_rest(draft: &mut Draft<'_>, record: &ActionRecord, source: &super::super::snapshot::Site) {
    let s = draft.s;
    let phase = draft::running(record.kind);
    let Some(work) = source.asked() else { return };
    if work.vrg.spec.run_final_sync {
        // The application has been told to stop; see that it stays so.
        draft.decide(None, &[]);
        match gates::source_may_be_demoted(record, source) {
            Ok(permit) => {
                draft.show(phase.clone(), Progression::FinalSyncComplete);
                draft.vrg(source, &Role::secondary(record), record, Permit::Demote(permit));
                for site in s.others(&record.from) {
                    if site.asked().is_some_and(|work| facts::is_secondary(&work.vrg)) {
                        draft.vrg(site, &Role::secondary(record), record, Permit::SameSide);
                    }
                }
                draft.show(phase.clone(), Progression::EnsuringVolumesAreSecondary);
                draft.wait(Waiting::on(Owner::Storage, format!("the volumes on {} become secondary", source.cluster)));
            }
            Err(shut) => {
                draft.show(phase.clone(), shut.progression);
                draft.wait(shut.waiting);
            }
        }
        return;
    }
    let prepared = source.answer(record).is_some_and(|vrg| {
        vrg.spec.prepare_for_final_sync
            && facts::is_observed(vrg)
            && vrg.status.as_ref().is_some_and(|status| status.prepare_for_final_sync_complete)
    });
    if prepared {
        draft.show(phase.clone(), Progression::RunningFinalSync);
        // The application goes before the volumes do (rule S9).
        draft.decide(None, &[]);
        draft.vrg(source, &Role::final_sync(record), record, Permit::SameSide);
        draft.wait(Waiting::on(Owner::System, format!("the application stops on {} and its last writes are synced", source.cluster)));
    } else {
        draft.vrg(source, &Role::preparing(record), record, Permit::SameSide);
        draft.wait(Waiting::on(Owner::Storage, format!("{} prepares the final sync", source.cluster)));
    }
}

/// The target becomes primary.
fn promote(draft: &mut Draft<'_>, record: &ActionRecord) {
    let s = draft.s;
    let phase = draft::running(record.kind);
    draft.outlook.reported = Some(record.to.clone());
    if record.kind != ActionKind::Deploy {
        draft.outlook.peer_ready = Some(Verdict::no("NotStarted", format!("{} to {}", phase, record.to)));
    }
    let Some(target) = s.site(&record.to) else {
        draft.show(phase.clone(), Progression::FailingOverToCluster);
        draft.wait(Waiting::on(Owner::User, format!("cluster {} is not part of the DRPolicy any more", record.to)));
        return;
    };
    let permit = gates::passed(record);
    match record.kind {
        ActionKind::Failover => {
            // The old home keeps its decision, so that nothing there is deleted before it is known to be a secondary.
            let live = s.live_decision();
            let retained: Vec<&str> = s
                .placement
                .present()
                .map(|placement| placement.decisions.entries())
                .unwrap_or_default()
                .iter()
                .map(|entry| entry.cluster.as_str())
                .filter(|cluster| *cluster != record.to)
                .collect();
            draft.decide(live.filter(|live| *live == record.to), &retained);
        }
        ActionKind::Deploy | ActionKind::Relocate => {}
    }
    let written = draft.vrg(target, &Role::primary(record), record, permit);
    if record.kind == ActionKind::Deploy {
        // Nothing has to be restored before a first placement: the application starts at once.
        draft.decide(Some(&record.to), &[]);
        draft.marks.last = Some((record.to.clone(), String::new()));
        let deployed = target.answer(record).is_some_and(facts::is_primary);
        if deployed && !written {
            let record = record.clone().reached(Step::Placed);
            draft.record(&record);
            settle::settle(draft, &record);
        } else {
            draft.show(phase.clone(), if written { Progression::CreatingMW } else { Progression::UpdatingPlRule });
            let what = match &target.reachable {
                Ok(()) => format!("the VolumeReplicationGroup to appear on {}", record.to),
                Err(why) => format!("cluster {} cannot be reached: {why}", record.to),
            };
            draft.wait(Waiting::on(Owner::System, what));
        }
        return;
    }
    match target.answer(record) {
        Some(vrg) if facts::is_ready_primary(vrg) && !written => {
            let record = record.clone().reached(Step::Placed);
            draft.record(&record);
            settle::settle(draft, &record);
        }
        Some(vrg) => {
            let restored = facts::holds(vrg, vrg_types::CLUSTER_DATA_READY);
            draft.show(phase.clone(), if restored { Progression::WaitForReadiness } else { Progression::WaitingForResourceRestore });
            draft.wait(Waiting::on(Owner::Storage, format!("{}: {}", record.to, facts::unready(vrg))));
        }
        None => {
            draft.show(phase.clone(), Progression::WaitingForResourceRestore);
            let what = match &target.reachable {
                Ok(()) => format!("{} has not yet taken up the change", record.to),
                Err(why) => format!("cluster {} cannot be reached: {why}", record.to),
            };
            draft.wait(Waiting::on(Owner::System, what));
        }
    }
}
