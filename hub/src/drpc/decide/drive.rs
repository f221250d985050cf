//! Drives a recorded action on from where it is. Level-triggered: each step makes things what they should be, so a
//! pass that is repeated after a crash does the rest.

use kaedama_shared::api::Progression;
use kaedama_shared::api::conditions::vrg as vrg_types;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::generate::Role;
use super::super::plan::{Owner, Permit, Verdict, Waiting};
use super::super::snapshot::Site;
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
///
/// A relocate that was called off after the application had been stopped has one cluster as source and as target: the
/// volumes come to rest there, and are promoted and restored again. Only so it is certain that the claims are those that
/// the application left, and none that are being deleted.
fn quiesce(draft: &mut Draft<'_>, record: &ActionRecord) {
    let s = draft.s;
    let phase = draft::running(record.kind);
    draft.outlook.reported = Some(if record.from.is_empty() { record.to.clone() } else { record.from.clone() });
    draft.outlook.peer_ready = Some(Verdict::no("NotStarted", format!("Relocating to {}", record.to)));
    draft.show(phase.clone(), Progression::PreparingFinalSync);
    if let Some(source) = s.site(&record.from) {
        let Some(work) = source.asked() else {
            draft.wait(Waiting::on(Owner::System, format!("the ManifestWork of {} is not there", source.cluster)));
            return;
        };
        if facts::is_primary(&work.vrg) {
            bring_to_rest(draft, record, source);
            return;
        }
        // Demoted by a permit of its own; from here on it stays so.
        draft.vrg(source, &Role::secondary(record), record, Permit::SameSide);
    }
    // Every other cluster is a secondary already, and is told of this action.
    for site in s.others(&record.to).filter(|site| site.cluster != record.from) {
        if site.asked().is_some_and(|work| facts::is_secondary(&work.vrg)) {
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
            draft.show(phase, Progression::EnsuringVolumesAreSecondary);
            draft.wait(shut.waiting);
        }
    }
}

/// The source: prepare, stop the application, final sync, demote.
fn bring_to_rest(draft: &mut Draft<'_>, record: &ActionRecord, source: &Site) {
    let s = draft.s;
    let phase = draft::running(record.kind);
    let Some(work) = source.asked() else { return };
    if work.vrg.spec.run_final_sync {
        // The application has been told to stop; see that it stays so.
        draft.decide(None, &[]);
        match gates::source_may_be_demoted(record, source) {
            Ok(permit) => {
                draft.vrg(source, &Role::secondary(record), record, Permit::Demote(permit));
                draft.show(phase, Progression::EnsuringVolumesAreSecondary);
                draft.wait(Waiting::on(Owner::Storage, format!("the volumes on {} become secondary", source.cluster)));
            }
            Err(shut) => {
                draft.vrg(source, &Role::final_sync(record), record, Permit::SameSide);
                draft.show(phase, shut.progression);
                draft.wait(shut.waiting);
            }
        }
        return;
    }
    match gates::source_may_be_stopped(s, record, source) {
        Ok(()) => {
            draft.show(phase, Progression::RunningFinalSync);
            // The application goes before the volumes do (rule S9).
            draft.decide(None, &[]);
            draft.vrg(source, &Role::final_sync(record), record, Permit::SameSide);
            let what = format!("the application stops on {} and its last writes are synced", source.cluster);
            draft.wait(Waiting::on(Owner::System, what));
        }
        Err(shut) => {
            draft.vrg(source, &Role::preparing(record), record, Permit::SameSide);
            draft.show(phase, Progression::PreparingFinalSync);
            draft.wait(shut.waiting);
        }
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
            // Every cluster that has a decision keeps it: nothing is deleted from the old home before that is known to be a
            // secondary, nor from the target, which may be an old home itself. A new live one comes with readiness only.
            let entries = s.placement.present().map(|placement| placement.decisions.entries()).unwrap_or_default();
            let is_live = |cluster: &str| s.live_decision() == Some(cluster) && cluster == record.to;
            let retained: Vec<&str> =
                entries.iter().map(|entry| entry.cluster.as_str()).filter(|cluster| !is_live(cluster)).collect();
            draft.decide(is_live(&record.to).then_some(record.to.as_str()), &retained);
        }
        ActionKind::Deploy | ActionKind::Relocate => {}
    }
    let written = draft.vrg(target, &Role::primary(record), record, permit);
    if record.kind == ActionKind::Deploy {
        // Nothing has to be restored before a first placement: the application starts at once.
        draft.decide(Some(&record.to), &[]);
        draft.last(&record.to, "");
        let deployed = target.answer(record).is_some_and(facts::is_primary);
        if deployed && !written {
            let record = record.clone().reached(Step::Placed);
            draft.record(&record);
            settle::settle(draft, &record);
        } else {
            draft.show(phase.clone(), if written { Progression::CreatingMW } else { Progression::UpdatingPlRule });
            draft.wait(unanswered(target, format!("the VolumeReplicationGroup to appear on {}", record.to)));
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
            draft.show(
                phase.clone(),
                if restored { Progression::WaitForReadiness } else { Progression::WaitingForResourceRestore },
            );
            draft.wait(Waiting::on(Owner::Storage, format!("{}: {}", record.to, facts::unready(vrg))));
        }
        None => {
            draft.show(phase.clone(), Progression::WaitingForResourceRestore);
            draft.wait(unanswered(target, format!("{} has not yet taken up the change", record.to)));
        }
    }
}

fn unanswered(target: &Site, what: String) -> Waiting {
    match (&target.reachable, &target.vrg) {
        (Err(why), _) => {
            Waiting::on_absent(Owner::System, format!("cluster {} cannot be reached: {why}", target.cluster))
        }
        (Ok(()), Seen::Unknown(why)) => Waiting::on(Owner::System, format!("{what}: {why}")),
        (Ok(()), Seen::Present(_) | Seen::Absent) => Waiting::on(Owner::System, what),
    }
}
