//! The application is placed on its home: clean up behind it, set the peers up, and keep everything as it should be.
//!
//! The same code runs right after an action and years later. At rest it plans nothing.

use kaedama_shared::api::Progression;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::generate::Role;
use super::super::plan::{Owner, Permit, Verdict, Waiting};
use super::super::snapshot::Site;
use super::draft::{self, Draft};
use super::gates;

/// One pass over an application whose action has placed it.
pub(super) fn settle(draft: &mut Draft<'_>, record: &ActionRecord) {
    let s = draft.s;
    draft.outlook.reported = Some(record.to.clone());
    let (phase, kind) = shown(draft, record);
    draft.show(phase.clone(), Progression::CleaningUp);
    draft.outlook.available = Some(Verdict::yes(phase.to_string(), draft::completed_message(kind)));
    let last = (record.to.clone(), kind.as_spec().to_owned());
    let stored = (
        s.annotation(kaedama_shared::names::LAST_APP_DEPLOYMENT_CLUSTER).unwrap_or_default().to_owned(),
        s.annotation(kaedama_shared::names::LAST_ACTION).unwrap_or_default().to_owned(),
    );
    draft.marks.last = (stored != last).then_some(last);

    let Some(home) = s.site(&record.to) else {
        draft.wait(Waiting::on(Owner::User, format!("cluster {} is not part of the DRPolicy any more", record.to)));
        return;
    };
    // A work that disappeared (a hub restored from backup) is made again, from what the cluster itself says.
    draft.vrg(home, &Role::primary(record), record, gates::passed(record));

    let mut retained = Vec::new();
    let mut pending = Vec::new();
    for site in s.others(&record.to) {
        let (keep, wait) = clean_up(draft, record, home, site);
        if keep {
            retained.push(site.cluster.as_str());
        }
        pending.extend(wait);
    }
    draft.decide(Some(&record.to), &retained);
    draft.drop_views();

    if pending.is_empty() {
        draft.outlook.peer_ready = Some(Verdict::yes("Success", "Ready"));
        draft.outlook.progression = Progression::Completed;
        draft.outlook.ended = true;
        draft.record(&record.clone().reached(Step::Completed));
        return;
    }
    if record.kind == ActionKind::Deploy {
        draft.outlook.progression = Progression::SettingUpVolSyncDest;
    }
    let what = pending.join("; ");
    if record.is_running() || draft.outlook.peer_ready.is_some() {
        let verdict = match record.kind {
            // A first placement has no peer that could be in a wrong state.
            ActionKind::Deploy => Verdict::yes("Success", format!("Setting up the peer: {what}")),
            ActionKind::Failover | ActionKind::Relocate => Verdict::no("Progressing", what.clone()),
        };
        draft.outlook.peer_ready = Some(verdict);
        draft.outlook.waiting = Some(Waiting::on(Owner::System, what));
    } else {
        // The action is long over; a peer that is away does not undo it.
        draft.outlook.progression = Progression::Completed;
    }
}

/// One cluster that is not the home. Says whether its decision has to be kept, and what is still to be waited for.
fn clean_up(draft: &mut Draft<'_>, record: &ActionRecord, home: &Site, site: &Site) -> (bool, Option<String>) {
    let s = draft.s;
    let has_decision = s
        .placement
        .present()
        .is_some_and(|placement| placement.decisions.entries().iter().any(|entry| entry.cluster == site.cluster));
    let written = match site.asked() {
        Some(work) if facts::is_primary(&work.vrg) => {
            let Some(permit) = gates::former_home_may_be_demoted(record, home) else {
                return (has_decision, Some(format!("{} is not ready to take over from {}", home.cluster, site.cluster)));
            };
            draft.vrg(site, &Role::secondary(record), record, Permit::Demote(permit))
        }
        Some(_) => draft.vrg(site, &Role::secondary(record), record, Permit::SameSide),
        None => {
            // Rule S21: the secondary is made with the peer classes of a primary that is known.
            if home.vrg.present().is_none() {
                return (has_decision, Some(format!("the VolumeReplicationGroup on {} is not known", home.cluster)));
            }
            draft.vrg(site, &Role::secondary(record), record, Permit::SameSide)
        }
    };
    if written {
        return (has_decision, Some(format!("{} has to become a secondary", site.cluster)));
    }
    if let Err(why) = &site.reachable {
        return (has_decision, Some(format!("{} cannot be reached: {why}", site.cluster)));
    }
    let Some(vrg) = site.answer(record) else {
        let why = match &site.vrg {
            Seen::Unknown(why) => format!(": {why}"),
            Seen::Present(_) | Seen::Absent => String::new(),
        };
        return (has_decision, Some(format!("{} has not yet taken up the change{why}", site.cluster)));
    };
    // Rule S12: the decision of the old home goes only when its VRG has worked on being a secondary.
    let processed = facts::is_secondary(vrg) && facts::is_observed(vrg);
    let keep = has_decision && !processed;
    if facts::is_settled_secondary(vrg) {
        return (keep, None);
    }
    (keep, Some(format!("{}: {}", site.cluster, unsettled(vrg))))
}

/// Why a secondary is not settled, in words.
fn unsettled(vrg: &kaedama_shared::api::VolumeReplicationGroup) -> String {
    use kaedama_shared::api::conditions::vrg as types;
    match facts::says(vrg, types::DATA_READY) {
        facts::Says::False(condition) => condition.message.clone(),
        facts::Says::True | facts::Says::Nothing => "its volumes are becoming secondary".to_owned(),
    }
}

/// Which phase to show: an action that was removed from the spec after it came home shows as a deployment.
fn shown(draft: &Draft<'_>, record: &ActionRecord) -> (kaedama_shared::api::DRState, ActionKind) {
    let spec = &draft.s.drpc.spec;
    let at_home = spec.preferred_cluster == record.to;
    let kind = if spec.action.is_none() && at_home && !record.is_running() { ActionKind::Deploy } else { record.kind };
    (draft::done(kind), kind)
}
