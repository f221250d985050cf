//! What every store is to hold of a primary, and what is said about whether it does.
//!
//! The set is all or nothing: while a claim that is stored already cannot be stored as it is now, the stored set stays
//! as it is, because a set without that claim would be a recovery without it.

use std::collections::BTreeSet;

use kaedama_shared::api::VolumeReplicationGroupStatus;
use kaedama_shared::api::condition;
use kaedama_shared::api::conditions::{pvc as condition_type, vrg as group_condition};
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::names;

use crate::vrg::order::Order;
use crate::vrg::owner::Owner;
use crate::vrg::plan::{Action, Entry, Plan, Verdict};
use crate::vrg::recovery::{self, PartKey, Stored};
use crate::vrg::snapshot::{ObjectId, Snapshot, StoreView, Volume, annotation};

/// Adds to the plan what the stores are to hold.
pub fn decide(snapshot: &Snapshot, order: &Order, plan: &mut Plan) {
    plan.outlook.cluster_data_protected = of_the_group(snapshot, order);
    if order.dry_run || order.profiles.is_empty() {
        plan.capture = None;
        return;
    }
    let mut capture = plan.capture.take().unwrap_or_default();
    let protected: BTreeSet<_> = plan
        .volumes
        .iter()
        .filter(|volume| {
            volume
                .entry
                .as_ref()
                .is_some_and(|entry| entry.verdicts.contains_key(condition_type::CLUSTER_DATA_PROTECTED))
        })
        .map(|volume| volume.claim.clone())
        .collect();
    for volume in &snapshot.volumes {
        let key = PartKey::Claim(volume.key());
        let parts = protected.contains(&volume.key()).then(|| parts(snapshot, volume)).flatten();
        match parts {
            Some([pv, claim]) => capture.parts.extend([pv, claim]),
            None if capture.forget.contains(&key) || !was_stored(snapshot, volume) => {}
            // Something that is stored cannot be stored again now: the set stays as it is.
            None => {
                plan.capture = None;
                return;
            }
        }
    }
    plan.capture = Some(capture);
}

/// Adds the group itself, once it is fit to be recovered from.
pub fn with_group(snapshot: &Snapshot, plan: &mut Plan, status: &VolumeReplicationGroupStatus) {
    let ready = condition::is_true_at(&status.conditions, group_condition::DATA_READY, snapshot.generation())
        && condition::is_true_at(&status.conditions, group_condition::CLUSTER_DATA_READY, snapshot.generation());
    let idle = plan.is_idle();
    if let Some(capture) = &mut plan.capture
        && ready
        && idle
    {
        capture.group = Some(recovery::store_group(&snapshot.vrg, status));
    }
}

fn was_stored(snapshot: &Snapshot, volume: &Volume) -> bool {
    let key = PartKey::Claim(volume.key());
    let held =
        snapshot.stores.iter().any(|store| store.holds.as_ref().is_some_and(|holds| holds.parts.contains_key(&key)));
    volume.owner == Owner::Us && (held || annotation(&volume.claim.metadata, names::VR_ARCHIVED).is_some())
}

/// Volume and claim in their stored form, if the claim is in a state that can be recovered from.
fn parts(snapshot: &Snapshot, volume: &Volume) -> Option<[(PartKey, Stored); 2]> {
    let pv = volume.pv.as_ref()?;
    let marked = volume.owner == Owner::Us && volume.has_finalizer();
    let retained = pv.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref() == Some("Retain");
    if !marked || !retained || resizing(volume) || destination_open(snapshot, volume) {
        return None;
    }
    Some([
        (PartKey::Volume(volume.pv_name().to_owned()), recovery::store_volume(pv)),
        (PartKey::Claim(volume.key()), recovery::store_claim(&volume.claim)),
    ])
}

/// A peer must not restore a claim that is half resized.
fn resizing(volume: &Volume) -> bool {
    let wanted = volume.claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let has = volume.claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
    match (wanted.and_then(|q| super::quantity::bytes(&q.0)), has.and_then(|q| super::quantity::bytes(&q.0))) {
        (Some(wanted), Some(has)) => has < wanted,
        _ => false,
    }
}

/// The storage will name the volume on the peer and has not yet, or the name is not yet on the volume. Before it has
/// answered for the replication as it is now, nobody knows whether it will: a set without the name must not take the
/// place of one that has it. Shared storage names nothing.
fn destination_open(snapshot: &Snapshot, volume: &Volume) -> bool {
    use super::replication::{Destination, destination};
    let noted = volume.pv.as_ref().and_then(|pv| annotation(&pv.metadata, names::DESTINATION_VOLUME_HANDLE));
    let asked = snapshot.vrg.spec.async_.is_some();
    match volume.replication.as_ref().map(|found| (destination(found), found)) {
        None => asked && noted.is_none(),
        Some((Destination::Same, found)) => asked && noted.is_none() && found.observed_generation != found.generation,
        Some((Destination::Pending | Destination::Broken, _)) => true,
        Some((Destination::Known(handle), _)) => noted != Some(handle.as_str()),
    }
}

/// Says of a claim whether it is stored everywhere, and returns the writes that note it on claim and volume.
pub fn mark_stored(snapshot: &Snapshot, volume: &Volume, said: &mut Entry) -> Vec<Action> {
    let (verdict, actions) = judge(snapshot, volume);
    said.verdicts.insert(condition_type::CLUSTER_DATA_PROTECTED, verdict);
    actions
}

fn judge(snapshot: &Snapshot, volume: &Volume) -> (Verdict, Vec<Action>) {
    let uploading = |text: &str| (Verdict::waits(reason::UPLOADING, text), Vec::new());
    if snapshot.stores.is_empty() {
        return match &snapshot.order {
            Ok(order) if order.without_store => {
                (Verdict::yes(reason::UPLOADED, "kept without a store on purpose"), Vec::new())
            }
            _ => (Verdict::no(reason::UPLOAD_ERROR, "spec.s3Profiles is empty: there is no store"), Vec::new()),
        };
    }
    if resizing(volume) {
        return uploading("waiting for the claim to be resized before it is stored");
    }
    let (Some(parts), Some(pv)) = (parts(snapshot, volume), &volume.pv) else {
        return uploading("waiting for the claim to be in a state that can be stored");
    };
    let fingerprints: Vec<String> = snapshot.stores.iter().map(|store| store.fingerprint.clone()).collect();
    let marker = recovery::claim_marker(&volume.claim, &fingerprints);
    let pv_marker = recovery::volume_marker(pv);
    let claim_marked = annotation(&volume.claim.metadata, names::VR_ARCHIVED) == Some(marker.as_str());
    let pv_marked = annotation(&pv.metadata, names::VR_ARCHIVED) == Some(pv_marker.as_str());
    let holds = |store: &&StoreView| match &store.holds {
        Some(holds) => parts.iter().all(|(key, stored)| holds.parts.get(key) == Some(&stored.digest)),
        // Not looked at since the operator started: the markers of the last one count.
        None => claim_marked && pv_marked,
    };
    let missing: Vec<&StoreView> = snapshot.stores.iter().filter(|store| !holds(store)).collect();
    if missing.is_empty() {
        let mut actions = Vec::new();
        if !claim_marked {
            actions.push(Action::MarkClaimStored { id: ObjectId::of(&*volume.claim), marker });
        }
        if !pv_marked {
            actions.push(Action::MarkVolumeStored { id: ObjectId::of(&**pv), marker: pv_marker });
        }
        return (Verdict::yes(reason::UPLOADED, "volume and claim are in every store"), actions);
    }
    let failures: Vec<String> = missing
        .iter()
        .filter_map(|store| {
            store.failure.as_ref().map(|failure| format!("store {}: {}", store.profile, failure.message))
        })
        .collect();
    match failures.is_empty() {
        true => uploading("volume and claim are being stored"),
        false => (Verdict::no(reason::UPLOAD_ERROR, failures.join("; ")), Vec::new()),
    }
}

/// What is said of the group beyond its claims; `None` leaves it to them.
fn of_the_group(snapshot: &Snapshot, order: &Order) -> Option<Verdict> {
    if order.dry_run {
        let last = condition::find(snapshot.conditions(), group_condition::CLUSTER_DATA_PROTECTED);
        let text = "test failover: nothing is stored";
        return Some(match last {
            Some(last) if last.is_true() => Verdict::yes(reason::UPLOADED, text),
            _ => Verdict::no(reason::UPLOADING, text),
        });
    }
    if order.kube_objects {
        return Some(Verdict::no(reason::KUBE_OBJECTS_CAPTURE_ERROR, super::NO_KUBE_OBJECTS));
    }
    if order.profiles.is_empty() {
        return None;
    }
    let failures: Vec<String> = snapshot
        .stores
        .iter()
        .filter_map(|store| {
            let failure = store.failure.as_ref()?;
            Some(format!("store {} has not been usable since {}: {}", store.profile, failure.since, failure.message))
        })
        .collect();
    if !failures.is_empty() {
        return Some(Verdict::no(reason::UPLOAD_ERROR, failures.join("; ")));
    }
    let last = condition::find(snapshot.conditions(), group_condition::CLUSTER_DATA_PROTECTED);
    let said_before = last.is_some_and(|last| last.is_true() && last.reason == reason::UPLOADED);
    let lacks_group = |store: &StoreView| match &store.holds {
        Some(holds) => holds.group.is_empty(),
        None => !said_before,
    };
    let lacking: Vec<&str> =
        snapshot.stores.iter().filter(|store| lacks_group(store)).map(|store| store.profile.as_str()).collect();
    (!lacking.is_empty()).then(|| {
        let text = format!("the VolumeReplicationGroup is being stored in {}", lacking.join(", "));
        Verdict::waits(reason::UPLOADING, text)
    })
}
