//! How a claim leaves protection: unselected or deleted under a primary, or together with the group.
//!
//! ```text
//! gone from every store ─► VolumeReplication healthy ─► deleted ─► proven gone ─► volume as before ─► claim released
//! ```
//!
//! The stores come first: a later failover must not bring back a volume that nothing replicates. The finalizer comes
//! off last, so that a crash in between leaves the claim protected.

use kaedama_shared::api::ConditionStatus;
use kaedama_shared::api::conditions::pvc as condition_type;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::names;

use super::entry::entry;
use super::primary::only;
use super::replication::{self, Judgement};
use crate::vrg::evidence::{LetGo, Proven};
use crate::vrg::order::{Intent, Mode, Order};
use crate::vrg::plan::{Action, Plan, Verdict, VolumePlan};
use crate::vrg::recovery::PartKey;
use crate::vrg::snapshot::{ObjectId, Snapshot, Volume, annotation};

/// Releases one claim of a primary.
pub fn unprotect(snapshot: &Snapshot, order: &Order, volume: &Volume, plan: &mut Plan) -> VolumePlan {
    if !order.dry_run {
        let parts = [PartKey::Volume(volume.pv_name().to_owned()), PartKey::Claim(volume.key())];
        let holding: Vec<&str> = snapshot
            .stores
            .iter()
            .filter(|store| {
                store.holds.as_ref().is_none_or(|holds| parts.iter().any(|part| holds.parts.contains_key(part)))
            })
            .map(|store| store.profile.as_str())
            .collect();
        let capture = plan.capture.get_or_insert_default();
        capture.forget.extend(parts.into_iter().filter(|part| *part != PartKey::Volume(String::new())));
        if !holding.is_empty() {
            let text = format!(
                "the claim is being released: waiting for its data to be gone from store {}",
                holding.join(", ")
            );
            return only(snapshot, volume, None, Verdict::waits(reason::PROGRESSING, text));
        }
    }
    match &volume.replication {
        _ if matches!(order.mode, Mode::Sync { .. }) => {
            release(snapshot, volume, LetGo::unprotected_on_shared_storage(volume.key()), true)
        }
        Some(found) => stop(snapshot, volume, replication::as_primary(found, true)),
        None => when_gone(snapshot, volume, true, plan),
    }
}

/// Deletes the replication once it is at rest, and says how far it is. Where it replicates the volume, the claim's label of
/// a consistency group means nothing, and goes first: [`when_gone`] would hold the claim for it.
pub fn stop(snapshot: &Snapshot, volume: &Volume, judgement: Judgement) -> VolumePlan {
    let Some(found) = &volume.replication else {
        return only(snapshot, volume, None, judgement.data_ready);
    };
    let stopping = Verdict::waits(reason::PROGRESSING, "waiting for the VolumeReplication to be gone");
    if !found.ours {
        let text = format!("VolumeReplication {} exists and is not this group's; it is left alone", found.id.key);
        return only(snapshot, volume, None, Verdict::no(reason::ERROR, text));
    }
    if found.deleting {
        return only(snapshot, volume, None, stopping);
    }
    match judgement.at_rest {
        Some(evidence) => {
            // Once the replication is gone, nobody could tell any more that it was this one, and no group's.
            let alone = judgement.data_ready.status == ConditionStatus::True;
            let ungroup = (alone && volume.consistency_group().is_some())
                .then(|| Action::UngroupClaim { id: ObjectId::of(&*volume.claim), evidence: evidence.clone() });
            let stop = Action::StopReplication { id: found.id.clone(), evidence };
            let actions = ungroup.into_iter().chain([stop]).collect();
            VolumePlan { actions, ..only(snapshot, volume, None, stopping) }
        }
        None => {
            let protected = judgement.data_protected.map(|verdict| (condition_type::DATA_PROTECTED, verdict));
            let ready = [(condition_type::DATA_READY, judgement.data_ready)];
            let said = entry(&snapshot.classes, volume, None, ready.into_iter().chain(protected));
            VolumePlan { claim: volume.key(), actions: Vec::new(), entry: Some(said) }
        }
    }
}

/// Releases the claim once the API server says that its replication is gone. One that is labelled as of a consistency group
/// is not released: what replicates it may have another name.
pub fn when_gone(snapshot: &Snapshot, volume: &Volume, as_primary: bool, plan: &mut Plan) -> VolumePlan {
    if let Some(group) = volume.consistency_group() {
        let text = format!(
            "the claim is in consistency group {group}: a VolumeGroupReplication may replicate it, and those are not \
             built yet, so the claim is not released. Let RamenDR's operator release it; or delete the \
             VolumeGroupReplication, and when it is gone remove label {} from the claim",
            names::CONSISTENCY_GROUP
        );
        return only(snapshot, volume, None, Verdict::no(reason::ERROR, text));
    }
    let waits = |text: &str| only(snapshot, volume, None, Verdict::waits(reason::PROGRESSING, text));
    match &volume.let_go {
        Proven::Yes(evidence) => release(snapshot, volume, evidence.clone(), as_primary),
        Proven::NotAsked => {
            plan.needs.let_go.insert(volume.key());
            waits("the claim is being released")
        }
        Proven::No(why) => waits(why),
        Proven::Unknown(why) => {
            plan.outlook.retry = true;
            waits(why)
        }
    }
}

/// Takes our marks off volume and claim. On shared storage a secondary leaves the volume's policy alone: the image is
/// the primary's too. So does one that is to be the primary again: nothing replicates the volume until then, and whoever
/// reclaims volumes would delete the only good copy.
pub fn release(snapshot: &Snapshot, volume: &Volume, evidence: LetGo, as_primary: bool) -> VolumePlan {
    let mut actions = Vec::new();
    let asynchronous = snapshot.vrg.spec.async_.is_some();
    if let Some(pv) = &volume.pv {
        let returns = Intent::of(snapshot).is_way_back();
        let delete = (as_primary || asynchronous && !returns) && annotation(&pv.metadata, names::VR_RETAINED).is_some();
        // Also if another action comes first: it may lead here later, and has to find what it may take.
        let taken_up = !as_primary && asynchronous && returns;
        if delete || taken_up || annotation(&pv.metadata, names::VR_ARCHIVED).is_some() {
            let (id, evidence) = (ObjectId::of(&**pv), evidence.clone());
            actions.push(Action::ReleaseVolume { id, delete, taken_up, evidence });
        }
    } else if volume.bound() {
        // The policy is put right before the finalizer goes; without the volume at hand that cannot be done.
        return only(
            snapshot,
            volume,
            None,
            Verdict::waits(reason::PROGRESSING, "waiting for the claim's PersistentVolume to be seen"),
        );
    }
    let finalizers = volume.claim.metadata.finalizers.clone().unwrap_or_default();
    actions.push(Action::ReleaseClaim { id: ObjectId::of(&*volume.claim), finalizers, evidence });
    let entry = Verdict::waits(reason::PROGRESSING, "the claim is being released");
    VolumePlan { actions, ..only(snapshot, volume, None, entry) }
}

/// Whether local writes may be thrown away: the data of the other side is what counts. Never in a relocation.
#[must_use]
pub fn auto_resync(order: &Order) -> bool {
    order.test_failover || order.intent == Intent::Failover
}
