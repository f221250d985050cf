//! A group that is being deleted: every claim is brought to rest and released, then the stores are cleared if it was
//! a primary whose cluster data was there, then the finalizer goes. Depends on nothing but what is recorded: a group
//! that cannot be understood any more can still be deleted.

use std::collections::BTreeSet;

use kaedama_shared::api::ReplicationState;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::names;

use super::leave;
use super::primary::{drive, only};
use super::replication;
use super::restore;
use super::secondary;
use crate::vrg::evidence::{LetGo, Proven};
use crate::vrg::order::Writer;
use crate::vrg::owner::Owner;
use crate::vrg::plan::{Action, Plan, Verdict, VolumePlan};
use crate::vrg::snapshot::{ObjectId, Snapshot, Volume};

/// Decides for a group that is being deleted.
#[must_use]
pub fn decide(snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    if !snapshot.has_finalizer() {
        return plan;
    }
    for volume in &snapshot.volumes {
        let decided = claim(snapshot, volume, &mut plan);
        plan.volumes.extend(decided);
    }
    if plan.volumes.is_empty() && plan.needs.is_empty() {
        finish(snapshot, &mut plan);
    }
    plan
}

fn claim(snapshot: &Snapshot, volume: &Volume, plan: &mut Plan) -> Option<VolumePlan> {
    if matches!(volume.owner, Owner::Other(_)) || !volume.has_finalizer() {
        return None;
    }
    // By the spec alone: an order that cannot be read does not make a secondary the primary.
    if snapshot.vrg.spec.replication_state == ReplicationState::Secondary {
        return secondary::step(snapshot, volume, plan);
    }
    if snapshot.vrg.spec.async_.is_none() && volume.replication.is_none() {
        let evidence = LetGo::unprotected_on_shared_storage(volume.key());
        return Some(leave::release(snapshot, volume, evidence, true));
    }
    let Some(found) = &volume.replication else {
        return Some(leave::when_gone(snapshot, volume, true, plan));
    };
    // The replication was primary before the deletion was asked for; a group that never got so far promotes nothing.
    let was_primary = found.wanted == "primary";
    if !found.ours || found.deleting || was_primary {
        return Some(leave::stop(snapshot, volume, replication::as_primary(found, true)));
    }
    match &snapshot.order {
        Ok(_) if let Some(cluster_data) = restore::settled_before(snapshot) => {
            let (judgement, actions) = drive(found, &cluster_data);
            let says = judgement
                .map_or_else(|| replication::as_primary(found, true).data_ready, |judgement| judgement.data_ready);
            Some(VolumePlan { actions, ..only(snapshot, volume, None, says) })
        }
        _ => Some(leave::stop(snapshot, volume, replication::as_secondary(found, crate::vrg::order::Intent::Steady))),
    }
}

/// Clears the stores of a primary and lets the group go, when the API server says that it holds no claim any more.
///
/// Before the cluster data was restored, what is stored is not this primary's to delete: it may be the only copy. Of a first
/// placement that never got so far, the stores may know that this cluster is the writer, which would be in the way of the
/// next one. That goes where it can; a store that does not answer holds nobody.
fn finish(snapshot: &Snapshot, plan: &mut Plan) {
    let nothing_held = match &snapshot.nothing_held {
        Proven::Yes(evidence) => evidence.clone(),
        Proven::NotAsked => {
            plan.needs.nothing_held = true;
            return;
        }
        Proven::No(why) | Proven::Unknown(why) => {
            plan.outlook.data_ready = Some(Verdict::waits(reason::PROGRESSING, why.clone()));
            plan.outlook.retry = true;
            return;
        }
    };
    let spec = &snapshot.vrg.spec;
    let profiles: BTreeSet<&String> =
        spec.s3_profiles.iter().filter(|name| !name.is_empty() && *name != names::NO_S3).collect();
    let primary = spec.replication_state == ReplicationState::Primary && !spec.dry_run && !profiles.is_empty();
    let restored = restore::settled_before(snapshot).is_some();
    let begins = snapshot.order.as_ref().is_ok_and(|order| order.deploys && order.writer.takes_over);
    if primary && !restored && begins && snapshot.purged.is_none() {
        plan.last.push(Action::WithdrawClaim { profiles: profiles.into_iter().cloned().collect() });
        return;
    }
    if primary && restored {
        let given_up: Vec<&str> =
            snapshot.annotation(names::ABANDON_S3).unwrap_or_default().split(',').map(str::trim).collect();
        let purged = snapshot.purged.as_deref().unwrap_or_default();
        let done = |profile: &str| purged.iter().any(|(name, result)| name == profile && result.is_ok());
        let failed: Vec<String> = purged
            .iter()
            .filter(|(name, _)| !given_up.contains(&name.as_str()))
            .filter_map(|(name, result)| result.as_ref().err().map(|why| format!("{name}: {why}")))
            .collect();
        let open: Vec<String> = profiles
            .iter()
            .filter(|name| !done(name) && !given_up.contains(&name.as_str()))
            .map(|name| (*name).clone())
            .collect();
        // Whose the stored data are is not known then, and they are not left behind unsaid either.
        let unrecorded = Writer::recorded(&snapshot.vrg)
            .err()
            .filter(|_| !open.is_empty())
            .map(|why| format!("{}: annotation {} cannot be read: {why}", open.join(", "), names::ACTION_RECORD));
        if !failed.is_empty() || unrecorded.is_some() {
            let text = format!(
                "waiting to delete what is stored of the group: {}. Annotation {} with these profiles' names lets the group go without it",
                unrecorded.unwrap_or_else(|| failed.join("; ")),
                names::ABANDON_S3
            );
            plan.outlook.cluster_data_protected = Some(Verdict::waits(reason::UPLOAD_ERROR, text));
            plan.outlook.retry = true;
            return;
        }
        if !open.is_empty() {
            plan.last.push(Action::PurgeStores { profiles: open });
            return;
        }
    }
    plan.last.push(Action::ReleaseGroup { id: ObjectId::of(&*snapshot.vrg), evidence: nothing_held });
}
