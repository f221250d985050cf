//! What a pass may do. Every action can be repeated after a crash at any point, and names what it was decided on.

use std::time::Duration;

use jiff::Timestamp;
use kaedama_shared::api::{DRState, Progression, VolumeReplicationGroup};
use kaedama_shared::record::ActionRecord;

use super::snapshot::{Decision, ObjectId};

/// What the pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In order; the first failure ends the pass.
    pub actions: Vec<Action>,
    /// What the status will say.
    pub outlook: Outlook,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Writes what a DRPC carries in its metadata: finalizer, backup label, owner, annotations, the action record.
    /// Decided on the DRPC's resourceVersion.
    MarkDrpc(Box<DrpcMarks>),
    /// Takes the Placement: identity annotations and finalizer. Decided on its resourceVersion.
    ClaimPlacement(ObjectId),
    /// Delivers the application's namespace to a cluster.
    EnsureNamespace {
        /// The cluster.
        cluster: String,
        /// The namespace.
        namespace: String,
    },
    /// Creates the work with the VRG; refused where one exists.
    CreateVrgWork {
        /// The cluster.
        cluster: String,
        /// The question that it takes the place of, if one was asked. Decided on its resourceVersion.
        question: Option<ObjectId>,
        /// The VRG.
        vrg: Box<VolumeReplicationGroup>,
        /// What permits it.
        permit: Permit,
    },
    /// Rewrites the VRG in its work. Decided on the work's resourceVersion.
    UpdateVrgWork {
        /// The cluster.
        cluster: String,
        /// The work.
        work: ObjectId,
        /// The VRG.
        vrg: Box<VolumeReplicationGroup>,
        /// What permits it, where the VRG changes sides.
        permit: Permit,
    },
    /// Writes the placement decisions. Decided on the PlacementDecision's resourceVersion.
    Decide {
        /// The PlacementDecision; none is created.
        decision: Option<ObjectId>,
        /// The Placement that owns it.
        placement: ObjectId,
        /// All entries.
        entries: Vec<Decision>,
    },
    /// Asks a cluster whether it has a VRG, by a work that writes nothing. It stands where the VRG's own work will.
    Ask {
        /// The cluster.
        cluster: String,
    },
    /// Asks for a view of the VRG on a cluster, whose spoke reports nothing by itself.
    EnsureView {
        /// The cluster.
        cluster: String,
    },
    /// Deletes a view that nobody reads any more.
    DeleteView {
        /// The cluster.
        cluster: String,
        /// The view.
        view: ObjectId,
    },
    /// Deletes the work with the VRG, and with it the VRG. Decided on its uid and resourceVersion.
    DeleteVrgWork {
        /// The cluster.
        cluster: String,
        /// The work.
        work: ObjectId,
    },
    /// Deletes the work with the namespace; the namespace stays.
    DeleteNamespaceWork {
        /// The cluster.
        cluster: String,
        /// The work.
        work: ObjectId,
    },
    /// Lets go of the Placement.
    ReleasePlacement(ObjectId),
    /// Lets go of the DRPC; it is gone afterwards.
    ReleaseDrpc,
}

/// What a DRPC carries in its metadata. Fields that are `None` are left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrpcMarks {
    /// Finalizer, backup label and owner reference.
    pub ownership: Option<Ownership>,
    /// The VRG namespace, cached.
    pub app_namespace: Option<String>,
    /// The action record.
    pub record: Option<ActionRecord>,
    /// The record is of a new action: it is counted.
    pub counted: bool,
    /// `last-app-deployment-cluster` and `last-action`.
    pub last: Option<(String, String)>,
}

/// The Placement that becomes the DRPC's controller owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Its name.
    pub placement: String,
    /// Its uid.
    pub uid: String,
}

/// Evidence that a VRG may change sides, or that it does not. Only the checks in `decide` make the first two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// The VRG keeps its side.
    SameSide,
    /// The target of an action whose gates have all been passed.
    Promote(PromotePermit),
    /// The former home, and its successor is in charge; or the source of a relocate that came to rest.
    Demote(DemotePermit),
}

/// Proof that every gate of the action was passed. See [`super::decide::gates`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotePermit {
    pub(super) action: String,
}

/// Proof that the cluster is to be a secondary. See [`super::decide::gates`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemotePermit {
    pub(super) action: String,
}

impl PromotePermit {
    /// The action that it holds for.
    pub fn action(&self) -> &str {
        &self.action
    }
}

impl DemotePermit {
    /// The action that it holds for.
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// A condition to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// CamelCase, part of the contract.
    pub reason: String,
    /// For a person.
    pub message: String,
}

impl Verdict {
    /// True.
    pub fn yes(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Verdict { status: "True", reason: reason.into(), message: message.into() }
    }

    /// False.
    pub fn no(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Verdict { status: "False", reason: reason.into(), message: message.into() }
    }

    /// Unknown.
    pub fn unknown(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Verdict { status: "Unknown", reason: reason.into(), message: message.into() }
    }
}

/// What the status will say about the action. The rest of the status is derived from the snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// `status.phase`.
    pub phase: DRState,
    /// `status.progression`.
    pub progression: Progression,
    /// Condition `Available`; none keeps what is there.
    pub available: Option<Verdict>,
    /// Condition `PeerReady`; none keeps what is there.
    pub peer_ready: Option<Verdict>,
    /// `status.actionStartTime`; none keeps it.
    pub started: Option<Timestamp>,
    /// The action has ended in this pass.
    pub ended: bool,
    /// Cluster whose VRG feeds the status.
    pub reported: Option<String>,
    /// What the pass waits for.
    pub waiting: Option<Waiting>,
}

/// Who can end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Kaedama itself, or Open Cluster Management.
    System,
    /// The admin.
    User,
    /// The storage, or the cluster that holds it.
    Storage,
}

/// What a pass waits for. Nothing waits without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// For a person: what, and on which cluster.
    pub what: String,
    /// Who can end it.
    pub owner: Owner,
    /// Look again after this long although nothing was heard: a fallback, never the way things normally move.
    pub recheck: Duration,
}

impl Waiting {
    /// Waits for something that a watch will report.
    pub fn on(owner: Owner, what: impl Into<String>) -> Self {
        Waiting { what: what.into(), owner, recheck: Duration::from_secs(10) }
    }

    /// Waits for a cluster that is away: that can last for days, and its return is a watched event.
    pub fn on_absent(owner: Owner, what: impl Into<String>) -> Self {
        Waiting { what: what.into(), owner, recheck: Duration::from_secs(60) }
    }
}
