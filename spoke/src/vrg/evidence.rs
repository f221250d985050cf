//! Proofs without which nothing destructive is planned.
//!
//! Each type can be made only by the check beside it, and the checks read answers of the API server, not caches
//! (except [`ClusterData`], which is made from what the stores said). A question that nobody answered proves nothing.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::seen::Seen;
use kube::core::PartialObjectMeta;

use super::owner::{self, Owner};
use super::snapshot::carries;

/// The answer to a question whose "yes" permits something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proven<T> {
    /// Nobody asked in this pass.
    #[default]
    NotAsked,
    /// Yes, and this is the evidence.
    Yes(T),
    /// No, because of this.
    No(String),
    /// Nobody can say; why.
    Unknown(String),
}

/// No pod refers to the claim and its volume is attached nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInUse {
    claim_uid: String,
}

impl NotInUse {
    /// uid of the claim that it holds for.
    #[must_use]
    pub fn claim_uid(&self) -> &str {
        &self.claim_uid
    }
}

/// Who uses `claim` according to these lists; empty: nobody.
pub fn users<'a>(
    claim: &PersistentVolumeClaim,
    pods: impl IntoIterator<Item = &'a Pod>,
    attachments: impl IntoIterator<Item = &'a VolumeAttachment>,
) -> Vec<String> {
    let key = ObjectKey::of(claim);
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    let mounts = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
        claims.any(|source| source.claim_name == key.name)
    };
    let pods = pods
        .into_iter()
        .filter(|pod| ObjectKey::of(*pod).namespace == key.namespace && mounts(pod))
        .map(|pod| format!("pod {}", ObjectKey::of(pod)));
    let attachments = attachments
        .into_iter()
        .filter(|attachment| {
            !volume.is_empty() && attachment.spec.source.persistent_volume_name.as_deref() == Some(volume)
        })
        .map(|attachment| format!("its attachment to node {}", attachment.spec.node_name));
    pods.chain(attachments).collect()
}

/// Judges from uncached lists whether nobody uses `claim`. A list that could not be read means "in use"; a kind that
/// the cluster does not serve has no objects.
#[must_use]
pub fn not_in_use(
    claim: &PersistentVolumeClaim,
    pods: &Seen<Vec<Pod>>,
    attachments: &Seen<Vec<VolumeAttachment>>,
) -> Proven<NotInUse> {
    if let Some(why) = pods.unknown().or_else(|| attachments.unknown()) {
        return Proven::Unknown(format!("whether the claim is in use could not be read: {why}"));
    }
    let users = users(claim, pods.present().into_iter().flatten(), attachments.present().into_iter().flatten());
    match users.is_empty() {
        true => Proven::Yes(NotInUse { claim_uid: claim.metadata.uid.clone().unwrap_or_default() }),
        false => Proven::No(format!("in use by {}", users.join(", "))),
    }
}

/// Nothing replicates the claim any more, so that it may be let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetGo {
    claim: ObjectKey,
}

impl LetGo {
    /// The claim that it holds for.
    #[must_use]
    pub fn claim(&self) -> &ObjectKey {
        &self.claim
    }

    /// On shared storage there is no replication object; the claim only has to be unused.
    #[must_use]
    pub fn unused_on_shared_storage(claim: ObjectKey, _unused: &NotInUse) -> Self {
        Self { claim }
    }

    /// On shared storage a primary's claim is let go when it is no longer protected; the volume stays as it is.
    #[must_use]
    pub fn unprotected_on_shared_storage(claim: ObjectKey) -> Self {
        Self { claim }
    }
}

/// Judges from an uncached answer whether the claim's replication object is gone.
#[must_use]
pub fn replication_gone<T>(claim: ObjectKey, answer: &Seen<T>) -> Proven<LetGo> {
    match answer {
        Seen::Absent => Proven::Yes(LetGo { claim }),
        Seen::Present(_) => Proven::No("its VolumeReplication is still there".to_owned()),
        Seen::Unknown(why) => {
            Proven::Unknown(format!("whether its VolumeReplication is gone could not be read: {why}"))
        }
    }
}

/// No claim of the cluster carries the marks of a group any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingHeld(());

/// Judges from an uncached list of the claims that are labelled as `group`'s whether it still holds any.
#[must_use]
pub fn nothing_held(
    group: &ObjectKey,
    labelled: &Seen<Vec<PartialObjectMeta<PersistentVolumeClaim>>>,
) -> Proven<NothingHeld> {
    if let Some(why) = labelled.unknown() {
        return Proven::Unknown(format!("whether the group still holds claims could not be read: {why}"));
    }
    let held = |claim: &&PartialObjectMeta<PersistentVolumeClaim>| {
        owner::of(group, &claim.metadata) == Owner::Us && carries(&claim.metadata, names::PVC_VR_FINALIZER)
    };
    let claims = labelled.present().into_iter().flatten().filter(held);
    let held: Vec<String> = claims.map(|claim| ObjectKey::of(claim).to_string()).collect();
    match held.is_empty() {
        true => Proven::Yes(NothingHeld(())),
        false => Proven::No(format!("the group still holds {}", held.join(", "))),
    }
}

/// The cluster data is restored, or there was provably nothing to restore: volumes may be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterData(());

impl ClusterData {
    /// Made where restoring is decided, nowhere else.
    pub(in crate::vrg) fn settled() -> Self {
        Self(())
    }

    /// The volume is bound to its claim still, on the cluster that it never left by an order which leads back to it: nothing
    /// has to be restored before it is promoted.
    pub(in crate::vrg) fn never_left() -> Self {
        Self(())
    }
}

/// The replication object reached the state in which it may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtRest {
    replication_uid: String,
}

impl AtRest {
    /// uid of the replication object that it holds for.
    #[must_use]
    pub fn replication_uid(&self) -> &str {
        &self.replication_uid
    }

    /// Made by the judgement of a replication object's status, nowhere else.
    pub(in crate::vrg) fn judged(replication_uid: &str) -> Self {
        Self { replication_uid: replication_uid.to_owned() }
    }
}
