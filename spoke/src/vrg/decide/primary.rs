//! A primary: cluster data first, then each claim is protected, each on its own.
//!
//! ```text
//! unbound ─► bound ─► volume retained ─► claim marked (labels, finalizer) ─► VolumeReplication primary ─► stored
//! ```
//!
//! The finalizer comes before the replication, so that the claim cannot vanish while it is replicated; the volume is
//! retained before that, so that a deleted claim does not take the data with it.

use kaedama_shared::api::conditions::{pvc as condition_type, vrg as group_condition};
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::names;

use super::capture;
use super::classify::{Mechanism, classify};
use super::entry::{count, entry};
use super::leave;
use super::replication::{self, Destination, Judgement};
use super::restore::{self, Restore};
use crate::vrg::evidence::ClusterData;
use crate::vrg::order::{Intent, Order};
use crate::vrg::owner::{self, Owner};
use crate::vrg::plan::{Action, Entry, Plan, Verdict, VolumePlan};
use crate::vrg::snapshot::{ObjectId, Snapshot, Volume, annotation};

/// Decides for a primary.
#[must_use]
pub fn decide(snapshot: &Snapshot, order: &Order) -> Plan {
    let mut plan = Plan::default();
    if !snapshot.has_finalizer() {
        plan.first.push(Action::HoldGroup(ObjectId::of(&*snapshot.vrg)));
    }
    plan.outlook.prepared = order.final_sync.prepare;
    plan.outlook.final_sync_done = order.final_sync.run;
    super::kube_objects(order, &mut plan);
    let cluster_data = match restore::restore(snapshot, order) {
        Restore::Settled(cluster_data, verdict) => {
            plan.outlook.cluster_data_ready = Some(verdict);
            cluster_data
        }
        Restore::Read => {
            plan.needs.recovery = true;
            plan.outlook.keep_entries = true;
            return plan;
        }
        Restore::Ask(claims) => {
            plan.needs.let_go = claims;
            plan.outlook.keep_entries = true;
            return plan;
        }
        Restore::Act { first, pairs, verdict } => {
            plan.first.extend(first);
            plan.volumes = pairs;
            return not_restored(plan, verdict);
        }
        Restore::Blocked(verdict) => {
            plan.outlook.retry = true;
            return not_restored(plan, verdict);
        }
    };
    for volume in &snapshot.volumes {
        let decided = claim(snapshot, order, volume, &cluster_data, &mut plan);
        plan.volumes.extend(decided);
    }
    capture::decide(snapshot, order, &mut plan);
    plan
}

fn not_restored(mut plan: Plan, verdict: Verdict) -> Plan {
    plan.outlook.keep_entries = true;
    plan.outlook.data_ready =
        Some(Verdict::waits(reason::PROGRESSING, "waiting for volumes and claims to be restored"));
    plan.outlook.cluster_data_ready = Some(verdict);
    plan
}

fn claim(
    snapshot: &Snapshot,
    order: &Order,
    volume: &Volume,
    cluster_data: &ClusterData,
    plan: &mut Plan,
) -> Option<VolumePlan> {
    if let Owner::Other(other) = &volume.owner {
        let text =
            format!("the claim is protected by VolumeReplicationGroup {other}; it has to be released there first");
        return volume.selected.then(|| only(snapshot, volume, None, Verdict::no(reason::ERROR, text)));
    }
    let ours = volume.owner == Owner::Us || volume.has_finalizer();
    // A claim that is deleted while a relocation is being prepared is part of the relocation.
    let leaves = !order.final_sync.any() && (volume.deleting() || !volume.selected);
    if leaves && ours && super::unprotection(snapshot) {
        return Some(leave::unprotect(snapshot, order, volume, plan));
    }
    if volume.deleting() && !ours {
        return None;
    }
    Some(protect(snapshot, order, volume, cluster_data))
}

/// An entry that says one thing, and nothing to do.
pub(super) fn only(
    snapshot: &Snapshot,
    volume: &Volume,
    mechanism: Option<&Mechanism<'_>>,
    verdict: Verdict,
) -> VolumePlan {
    let entry = entry(&snapshot.classes, volume, mechanism, [(condition_type::DATA_READY, verdict)]);
    VolumePlan { claim: volume.key(), actions: Vec::new(), entry: Some(entry) }
}

fn protect(snapshot: &Snapshot, order: &Order, volume: &Volume, cluster_data: &ClusterData) -> VolumePlan {
    let mechanism = match classify(order, &snapshot.classes, volume) {
        Ok(mechanism) => mechanism,
        Err(verdict) => return only(snapshot, volume, None, verdict),
    };
    let waits = |text: &str| only(snapshot, volume, Some(&mechanism), Verdict::waits(reason::PROGRESSING, text));
    if !volume.bound() {
        return waits("waiting for the claim to be bound");
    }
    let Some(pv) = &volume.pv else {
        return waits("waiting for the claim's PersistentVolume to be seen");
    };
    if volume.deleting() && !volume.has_finalizer() {
        return waits("the claim is being deleted and was not protected before");
    }
    let mut actions = retain(volume);
    actions.extend(mark(snapshot, volume));
    let mut said: Entry;
    match (&mechanism, &volume.replication) {
        (Mechanism::Shared, _) => {
            said = entry(
                &snapshot.classes,
                volume,
                Some(&mechanism),
                [
                    (
                        condition_type::DATA_READY,
                        Verdict::yes(reason::READY, "the volume is on storage that both clusters share"),
                    ),
                    (
                        condition_type::DATA_PROTECTED,
                        Verdict::no(reason::REPLICATING, "the volume is on storage that both clusters share"),
                    ),
                ],
            );
        }
        (Mechanism::Replication(class), None) => {
            actions.push(Action::StartReplication {
                claim: volume.key(),
                class: class.name.clone(),
                evidence: cluster_data.clone(),
            });
            let verdict = Verdict::waits(reason::PROGRESSING, "waiting for the storage to make it primary");
            said = entry(&snapshot.classes, volume, Some(&mechanism), [(condition_type::DATA_READY, verdict)]);
        }
        (Mechanism::Replication(_), Some(found)) => {
            let (verdict, steps) = drive(found, cluster_data);
            actions.extend(steps);
            // Of one that goes, or that somebody else made, nothing is believed.
            let ours = found.ours && !found.deleting;
            let forces = matches!(order.intent, Intent::Failover | Intent::Reclaim);
            if ours && forces {
                actions.extend(consent(found, cluster_data));
            }
            let judgement = verdict.unwrap_or_else(|| replication::as_primary(found, false));
            said = describe(snapshot, volume, &mechanism, &judgement);
            if judgement.counters {
                count(&mut said, found);
            }
            if ours {
                actions.extend(note_destination(found, pv, &mut said));
            }
        }
    }
    actions.extend(capture::mark_stored(snapshot, volume, &mut said));
    VolumePlan { claim: volume.key(), actions, entry: Some(said) }
}

/// An entry as a judgement has it.
pub(super) fn describe(
    snapshot: &Snapshot,
    volume: &Volume,
    mechanism: &Mechanism<'_>,
    judgement: &Judgement,
) -> Entry {
    let protected = judgement.data_protected.clone().map(|verdict| (condition_type::DATA_PROTECTED, verdict));
    let ready = (condition_type::DATA_READY, judgement.data_ready.clone());
    entry(&snapshot.classes, volume, Some(mechanism), protected.into_iter().chain([ready]))
}

/// What brings a replication that is there to primary; or why it cannot be touched.
pub(super) fn drive(found: &super::Replication, cluster_data: &ClusterData) -> (Option<Judgement>, Vec<Action>) {
    let says = |verdict: Verdict| {
        Some(Judgement { data_ready: verdict, data_protected: None, at_rest: None, counters: false })
    };
    if !found.ours {
        let text = format!("VolumeReplication {} exists and is not this group's; it is left alone", found.id.key);
        return (says(Verdict::no(reason::ERROR, text)), Vec::new());
    }
    if found.deleting {
        return (
            says(Verdict::waits(reason::PROGRESSING, "waiting for the old VolumeReplication to be gone")),
            Vec::new(),
        );
    }
    if found.wanted != "primary" || found.auto_resync {
        let verdict = Verdict::waits(reason::PROGRESSING, "waiting for the storage to make it primary");
        return (says(verdict), vec![Action::Promote { id: found.id.clone(), evidence: cluster_data.clone() }]);
    }
    (None, Vec::new())
}

/// The consent to a forced promotion, if the storage asks for it.
pub(super) fn consent(found: &super::Replication, cluster_data: &ClusterData) -> Option<Action> {
    replication::asks_for_force(found).then(|| Action::AllowForce {
        id: found.id.clone(),
        generation: found.generation,
        evidence: cluster_data.clone(),
    })
}

/// Makes the volume survive its claim. Also when the claim is marked already: somebody may have changed it since.
fn retain(volume: &Volume) -> Vec<Action> {
    let policy = volume.pv.as_ref().and_then(|pv| pv.spec.as_ref()?.persistent_volume_reclaim_policy.clone());
    match (&volume.pv, policy.as_deref()) {
        (Some(pv), policy) if policy != Some("Retain") => vec![Action::RetainVolume(ObjectId::of(&**pv))],
        _ => Vec::new(),
    }
}

/// Marks the claim, in one write. A claim that is being deleted takes no new finalizer.
fn mark(snapshot: &Snapshot, volume: &Volume) -> Option<Action> {
    let meta = &volume.claim.metadata;
    let marked = annotation(meta, names::VR_PROTECTED) == Some(names::PROTECTED);
    if volume.deleting() || (marked && volume.has_finalizer() && volume.owner == Owner::Us) {
        return None;
    }
    let group = snapshot.key();
    let mut annotations = owner::annotations(&group);
    annotations.insert(names::VR_PROTECTED.to_owned(), names::PROTECTED.to_owned());
    Some(Action::ProtectClaim {
        id: ObjectId::of(&*volume.claim),
        finalizers: meta.finalizers.clone().unwrap_or_default(),
        labels: owner::labels(&group),
        annotations,
    })
}

/// Keeps the volume's name on the peer's storage with the volume: a restore on the peer needs it.
fn note_destination(
    found: &super::Replication,
    pv: &k8s_openapi::api::core::v1::PersistentVolume,
    said: &mut Entry,
) -> Option<Action> {
    let (verdict, action) = match replication::destination(found) {
        Destination::Same => return None,
        Destination::Pending => {
            (Verdict::waits(reason::PROGRESSING, "waiting for the storage to name the volume on the peer"), None)
        }
        Destination::Broken => {
            (Verdict::no(reason::PROGRESSING, "the storage knows the volume on the peer and does not name it"), None)
        }
        Destination::Known(handle) => {
            let noted = annotation(&pv.metadata, names::DESTINATION_VOLUME_HANDLE) == Some(handle.as_str());
            let action = (!noted).then(|| Action::NoteDestination { id: ObjectId::of(pv), handle: handle.clone() });
            (Verdict::yes(reason::READY, format!("the volume is {handle} on the peer")), action)
        }
    };
    said.verdicts.insert(group_condition::DESTINATION_INFO_AVAILABLE, verdict);
    action
}
