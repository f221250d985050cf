//! The application is placed on its home: clean up behind it, set the peers up, and keep everything as it should be.
//!
//! The same code runs right after an action and years later. At rest it plans nothing.

use kaedama_shared::api::{Progression, VolumeReplicationGroup};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::generate::Role;
use super::super::plan::{Owner, Permit, Verdict, Waiting};
use super::super::snapshot::{Site, action_of};
use super::draft::{self, Draft};
use super::gates;

/// One pass over an application whose action has placed it.
pub(super) fn settle(draft: &mut Draft<'_>, record: &ActionRecord) {
    let s = draft.s;
    draft.outlook.reported = Some(record.to.clone());
    let (phase, kind) = shown(draft, record);
    draft.show(phase.clone(), Progression::CleaningUp);
    draft.outlook.available = Some(Verdict::yes(phase.to_string(), draft::completed_message(kind)));
    draft.last(&record.to, kind.as_spec());

    let Some(home) = s.site(&record.to) else {
        draft.wait(Waiting::on(Owner::User, format!("cluster {} is not part of the DRPolicy any more", record.to)));
        return;
    };
    let permit = match home.asked() {
        // That an action was completed once is no permit to promote who was told to let go since.
        Some(work) if !facts::stays_primary(&work.vrg) => {
            let what = format!(
                "the ManifestWork of {} tells it to let go of the application, although the last action placed it there: \
                 somebody else has changed it. Remove annotation {}, and the record is rebuilt from the clusters",
                home.cluster,
                names::ACTION_RECORD
            );
            draft.wait(Waiting::on(Owner::User, what));
            return;
        }
        Some(_) => Permit::SameSide,
        // A work that disappeared (a hub restored from backup) is made again, from what the cluster itself says.
        None => gates::passed(record),
    };
    draft.vrg(home, &Role::primary(record), record, permit);

    let mut retained = Vec::new();
    let mut pending = Vec::new();
    let before_cleanup = draft.actions.len();
    for site in s.others(&record.to) {
        let (keep, wait) = clean_up(draft, record, home, site);
        if keep {
            retained.push(site.cluster.as_str());
        }
        pending.extend(wait);
    }
    let after_cleanup = draft.actions.len();
    draft.decide(Some(&record.to), &retained);
    draft.advance(after_cleanup, before_cleanup);
    draft.drop_views();

    if pending.is_empty() {
        draft.outlook.peer_ready = Some(Verdict::yes("Success", "Ready"));
        draft.outlook.progression = Progression::Completed;
        draft.outlook.ended = true;
        draft.record(&record.clone().reached(Step::Completed));
        return;
    }
    if !record.is_running() {
        // The action is long over; a peer that is away does not undo it, and what it does next is watched.
        draft.outlook.progression = Progression::Completed;
        return;
    }
    draft.record(record);
    let what = pending.iter().map(|pending| pending.what.as_str()).collect::<Vec<_>>().join("; ");
    draft.outlook.peer_ready = Some(match record.kind {
        // A first placement has no peer that could be in a wrong state.
        ActionKind::Deploy => {
            draft.outlook.progression = Progression::SettingUpVolSyncDest;
            Verdict::yes("Success", format!("Setting up the peer: {what}"))
        }
        ActionKind::Failover | ActionKind::Relocate => Verdict::no("Progressing", what.clone()),
    });
    draft.outlook.waiting =
        pending.into_iter().min_by_key(|pending| pending.recheck).map(|soonest| Waiting { what, ..soonest });
}

/// One cluster that is not the home. Says whether its decision has to be kept, and what is still to be waited for.
fn clean_up(draft: &mut Draft<'_>, record: &ActionRecord, home: &Site, site: &Site) -> (bool, Option<Waiting>) {
    let s = draft.s;
    let has_decision = s
        .placement
        .present()
        .is_some_and(|placement| placement.decisions.entries().iter().any(|entry| entry.cluster == site.cluster));
    let waits = |what: String| (has_decision, Some(Waiting::on(Owner::System, what)));
    let secondary = Role::secondary(record);
    let written = match becomes_secondary(record, home, site) {
        Ok(permit) => draft.vrg(site, &secondary, record, permit),
        Err(wait) => {
            draft.ask(site);
            return (has_decision, Some(wait));
        }
    };
    // What was written a moment ago has no answer yet, whoever is there to give it.
    if let Err(why) = &site.reachable {
        let what = format!("{} has to become a secondary, and cannot be reached: {why}", site.cluster);
        return (has_decision, Some(Waiting::on_absent(Owner::System, what)));
    }
    if written {
        return waits(format!("{} has to become a secondary", site.cluster));
    }
    let Some(vrg) = site.answer(record) else {
        let why = site.vrg.unknown().map(|why| format!(": {why}")).unwrap_or_default();
        return waits(format!("{} has not yet taken up the change{why}", site.cluster));
    };
    // Rule S12: the decision of the old home goes only when its VRG has worked on being a secondary.
    let processed = facts::is_secondary(vrg) && facts::is_observed(vrg);
    let keep = has_decision && !processed;
    if facts::is_settled_secondary(vrg) {
        return (keep, None);
    }
    (keep, Some(Waiting::on(Owner::Storage, format!("{}: {}", site.cluster, facts::unsettled(vrg)))))
}

/// What permits a cluster to be, or to be made, a secondary.
fn becomes_secondary(record: &ActionRecord, home: &Site, site: &Site) -> Result<Permit, Waiting> {
    let demoted = |what: &str| {
        gates::former_home_may_be_demoted(record, home).map(Permit::Demote).ok_or_else(|| {
            Waiting::on(
                Owner::System,
                format!("{} is not ready to take over from {}{what}", home.cluster, site.cluster),
            )
        })
    };
    if site.work.present().is_some_and(|work| work.deleting) {
        return Err(Waiting::on(Owner::System, format!("the ManifestWork of {} is being removed", site.cluster)));
    }
    if let Some(work) = site.asked() {
        return if facts::is_primary(&work.vrg) { demoted("") } else { Ok(Permit::SameSide) };
    }
    match &site.vrg {
        Seen::Unknown(why) => {
            let what = format!("whether {} has a VolumeReplicationGroup is not known: {why}", site.cluster);
            Err(match site.reachable {
                Ok(()) => Waiting::on(Owner::System, what),
                Err(_) => Waiting::on_absent(Owner::System, what),
            })
        }
        // Found after the loss of a hub: it may be the better one of two primaries.
        Seen::Present(vrg) if facts::is_primary(vrg) && is_newer(vrg, record) => Err(Waiting::on(
            Owner::User,
            format!(
                "{} is primary by a newer action than {}; order a Failover to the cluster that has the right data",
                site.cluster, home.cluster
            ),
        )),
        Seen::Present(vrg) if facts::is_primary(vrg) => demoted(", which is primary too"),
        // Rule S21: the secondary is made with the peer classes of a primary that is known.
        Seen::Present(_) | Seen::Absent if home.vrg.present().is_none() => {
            Err(Waiting::on(Owner::System, format!("the VolumeReplicationGroup on {} is not known", home.cluster)))
        }
        Seen::Present(_) | Seen::Absent => Ok(Permit::SameSide),
    }
}

fn is_newer(vrg: &VolumeReplicationGroup, record: &ActionRecord) -> bool {
    action_of(vrg).is_some_and(|theirs| theirs.epoch > record.epoch)
}

/// Which phase to show: an action that was removed from the spec after it came home shows as a deployment.
fn shown(draft: &Draft<'_>, record: &ActionRecord) -> (kaedama_shared::api::DRState, ActionKind) {
    let spec = &draft.s.drpc.spec;
    let at_home = spec.preferred_cluster == record.to;
    let kind = if spec.action.is_none() && at_home && !record.is_running() { ActionKind::Deploy } else { record.kind };
    (draft::done(kind), kind)
}
