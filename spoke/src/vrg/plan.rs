//! What a pass may do. Every action can be repeated after a crash at any point, and carries what it was decided on.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::{ConditionStatus, ProtectedPVC};
use kaedama_shared::harness::ObjectKey;

use super::evidence::{AtRest, ClusterData, LetGo, NotInUse, NothingHeld};
use super::recovery::Capture;
use super::snapshot::ObjectId;

/// What the pass decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Reads without which no more can be decided. When there are any, they are made and the plan is made anew.
    pub needs: Needs,
    /// Before the volumes, in order; the first failure ends the pass.
    pub first: Vec<Action>,
    /// Independent of each other.
    pub volumes: Vec<VolumePlan>,
    /// After the volumes, and only if all of them went well.
    pub last: Vec<Action>,
    /// What every store is to hold; none leaves the stores alone.
    pub capture: Option<Capture>,
    /// What the status says of the group as a whole.
    pub outlook: Outlook,
}

impl Plan {
    /// True when nothing is to be done or asked: the fixpoint, as far as the cluster's objects go.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.needs.is_empty()
            && self.first.is_empty()
            && self.last.is_empty()
            && self.volumes.iter().all(|volume| volume.actions.is_empty())
    }

    /// All actions, in order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let of_volumes = self.volumes.iter().flat_map(|volume| &volume.actions);
        self.first.iter().chain(of_volumes).chain(&self.last)
    }
}

/// Reads that a decision needs, which are never made from caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// What the stores hold.
    pub recovery: bool,
    /// Whether these claims are in use.
    pub unused: BTreeSet<ObjectKey>,
    /// Whether the replication of these claims is gone.
    pub let_go: BTreeSet<ObjectKey>,
    /// Whether no claim carries the group's marks.
    pub nothing_held: bool,
}

impl Needs {
    /// Nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.recovery && self.unused.is_empty() && self.let_go.is_empty() && !self.nothing_held
    }
}

/// What is to be done for one claim, in order; the first failure ends it, for this claim.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumePlan {
    /// The claim.
    pub claim: ObjectKey,
    /// The steps.
    pub actions: Vec<Action>,
    /// What the status says of the claim; none drops it from the status.
    pub entry: Option<Entry>,
}

/// A protected claim in the status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Everything but its conditions.
    pub pvc: ProtectedPVC,
    /// Its conditions, by type.
    pub verdicts: BTreeMap<&'static str, Verdict>,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Puts our finalizer on the group.
    HoldGroup(ObjectId),
    /// Takes our finalizer off the group; it is gone afterwards.
    ReleaseGroup {
        /// Which.
        id: ObjectId,
        /// What permits it.
        evidence: NothingHeld,
    },
    /// Tells the stores that this cluster is the writer from now on.
    ClaimEpoch,
    /// Deletes everything stored of the group, in these profiles. A store that knows a newer primary is left alone.
    PurgeStores {
        /// The profiles.
        profiles: Vec<String>,
    },
    /// Takes back, in these profiles, that this cluster is the writer, where nothing was stored under that.
    WithdrawClaim {
        /// The profiles.
        profiles: Vec<String>,
    },
    /// Creates a volume from its stored form.
    CreateVolume(Box<PersistentVolume>),
    /// Makes a volume that is bound to nothing wait for the claim of its own name again.
    AdoptVolume {
        /// Which.
        id: ObjectId,
        /// As it is to be.
        volume: Box<PersistentVolume>,
    },
    /// Creates a claim from its stored form.
    CreateClaim(Box<PersistentVolumeClaim>),
    /// Makes the volume survive its claim.
    RetainVolume(ObjectId),
    /// Writes onto a volume under which handle its peer knows it.
    NoteDestination {
        /// Which.
        id: ObjectId,
        /// The handle.
        handle: String,
    },
    /// Marks a claim as protected: owner labels, finalizer, annotation, in one write.
    ProtectClaim {
        /// Which.
        id: ObjectId,
        /// Finalizers it has.
        finalizers: Vec<String>,
        /// The owner's labels.
        labels: BTreeMap<String, String>,
        /// Annotations that go with them.
        annotations: BTreeMap<String, String>,
    },
    /// Creates the replication of a claim, as primary. Only with cluster data at hand.
    StartReplication {
        /// The claim.
        claim: ObjectKey,
        /// The VolumeReplicationClass.
        class: String,
        /// What permits it.
        evidence: ClusterData,
    },
    /// Turns a claim's replication to primary. Only with cluster data at hand.
    Promote {
        /// The replication.
        id: ObjectId,
        /// What permits it.
        evidence: ClusterData,
    },
    /// Allows the storage to force a promotion that it refused otherwise. Only in a failover.
    AllowForce {
        /// The replication.
        id: ObjectId,
        /// Its generation; the consent holds for this one alone.
        generation: i64,
        /// What permits it.
        evidence: ClusterData,
    },
    /// Turns a claim's replication to secondary: whatever is written afterwards is lost.
    Demote {
        /// The replication.
        id: ObjectId,
        /// Local writes that the peer does not have may be discarded.
        auto_resync: bool,
        /// What permits it.
        evidence: NotInUse,
    },
    /// Changes only whether a replication that is secondary already may discard local writes.
    SetAutoResync {
        /// The replication.
        id: ObjectId,
        /// The new value.
        auto_resync: bool,
    },
    /// Takes the label of a consistency group off a claim that a replication of its own was found to replicate.
    UngroupClaim {
        /// Which.
        id: ObjectId,
        /// What permits it.
        evidence: AtRest,
    },
    /// Deletes the replication of a claim.
    StopReplication {
        /// The replication.
        id: ObjectId,
        /// What permits it.
        evidence: AtRest,
    },
    /// Takes our marks off a volume.
    ReleaseVolume {
        /// Which.
        id: ObjectId,
        /// It may be deleted with its claim again, as it was before we changed that.
        delete: bool,
        /// A recovery on this cluster takes it up again.
        taken_up: bool,
        /// What permits it.
        evidence: LetGo,
    },
    /// Takes our marks and the finalizer off a claim; if it was being deleted, it is gone afterwards.
    ReleaseClaim {
        /// Which.
        id: ObjectId,
        /// Finalizers it has.
        finalizers: Vec<String>,
        /// What permits it.
        evidence: LetGo,
    },
    /// Notes on the claim that it is stored in every profile.
    MarkClaimStored {
        /// Which.
        id: ObjectId,
        /// The marker.
        marker: String,
    },
    /// Notes on the volume that it is stored in every profile.
    MarkVolumeStored {
        /// Which.
        id: ObjectId,
        /// The marker.
        marker: String,
    },
}

impl Action {
    /// Its name, as it stands in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::HoldGroup(_) => "HoldGroup",
            Self::ReleaseGroup { .. } => "ReleaseGroup",
            Self::ClaimEpoch => "ClaimEpoch",
            Self::PurgeStores { .. } => "PurgeStores",
            Self::WithdrawClaim { .. } => "WithdrawClaim",
            Self::CreateVolume(_) => "CreateVolume",
            Self::AdoptVolume { .. } => "AdoptVolume",
            Self::CreateClaim(_) => "CreateClaim",
            Self::RetainVolume(_) => "RetainVolume",
            Self::NoteDestination { .. } => "NoteDestination",
            Self::ProtectClaim { .. } => "ProtectClaim",
            Self::StartReplication { .. } => "StartReplication",
            Self::Promote { .. } => "Promote",
            Self::AllowForce { .. } => "AllowForce",
            Self::Demote { .. } => "Demote",
            Self::SetAutoResync { .. } => "SetAutoResync",
            Self::UngroupClaim { .. } => "UngroupClaim",
            Self::StopReplication { .. } => "StopReplication",
            Self::ReleaseVolume { .. } => "ReleaseVolume",
            Self::ReleaseClaim { .. } => "ReleaseClaim",
            Self::MarkClaimStored { .. } => "MarkClaimStored",
            Self::MarkVolumeStored { .. } => "MarkVolumeStored",
        }
    }

    /// The object that it is about, as it stands in logs.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::ClaimEpoch => "every store".to_owned(),
            Self::PurgeStores { profiles } | Self::WithdrawClaim { profiles } => profiles.join(", "),
            Self::CreateVolume(volume) => ObjectKey::of(&**volume).to_string(),
            Self::CreateClaim(claim) => ObjectKey::of(&**claim).to_string(),
            Self::StartReplication { claim, .. } => claim.to_string(),
            Self::HoldGroup(id) | Self::ReleaseGroup { id, .. } | Self::RetainVolume(id) => id.key.to_string(),
            Self::AdoptVolume { id, .. }
            | Self::NoteDestination { id, .. }
            | Self::ProtectClaim { id, .. }
            | Self::Promote { id, .. }
            | Self::AllowForce { id, .. }
            | Self::Demote { id, .. }
            | Self::SetAutoResync { id, .. }
            | Self::UngroupClaim { id, .. }
            | Self::StopReplication { id, .. }
            | Self::ReleaseVolume { id, .. }
            | Self::ReleaseClaim { id, .. }
            | Self::MarkClaimStored { id, .. }
            | Self::MarkVolumeStored { id, .. } => id.key.to_string(),
        }
    }
}

/// A condition to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// One of the contract's reasons.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// The message names something that is waited for: the status adds since when.
    pub waiting: bool,
}

impl Verdict {
    /// True.
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into(), waiting: false }
    }

    /// False.
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, reason, message: message.into(), waiting: false }
    }

    /// Unknown.
    pub fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::Unknown, reason, message: message.into(), waiting: false }
    }

    /// False, and something is waited for.
    pub fn waits(reason: &'static str, message: impl Into<String>) -> Self {
        Self { waiting: true, ..Self::no(reason, message) }
    }
}

/// What the status says of the group as a whole. A condition that is `None` is derived from the claims, or stays as
/// it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Overrides what the claims say.
    pub data_ready: Option<Verdict>,
    /// Restoring volumes and claims.
    pub cluster_data_ready: Option<Verdict>,
    /// Restoring Kubernetes objects.
    pub kube_objects_ready: Option<Verdict>,
    /// Overrides what the stores say.
    pub cluster_data_protected: Option<Verdict>,
    /// Contradictions on this cluster.
    pub no_conflict: Option<Verdict>,
    /// The claims' entries could not be made in this pass: those of the last status stay.
    pub keep_entries: bool,
    /// `status.prepareForFinalSyncComplete`.
    pub prepared: bool,
    /// `status.finalSyncComplete`.
    pub final_sync_done: bool,
    /// Try again with back-off although no watch may report a change: a store or a read failed.
    pub retry: bool,
}
