//! Everything that one pass over a VolumeReplicationGroup knows, as a plain value.
//!
//! Made by `observe`, read by `decide` and `status`. What was asked of an API server or a store during the pass is
//! [`Proven`], [`StoreRead`] or [`StoreView`]: silence is never an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kaedama_shared::api::{Condition, GoDuration, VolumeReplicationGroup};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;

use super::evidence::{LetGo, NotInUse, NothingHeld, Proven};
use super::order::{Order, Role, Settings};
use super::owner::Owner;

/// One pass's knowledge.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken; whole seconds, as the API writes times.
    pub now: Timestamp,
    /// The group.
    pub vrg: Arc<VolumeReplicationGroup>,
    /// What the group orders, or why that cannot be followed.
    pub order: Result<Order, String>,
    /// The operator's configuration; the text says why it cannot be read.
    pub settings: Result<Settings, String>,
    /// Claims that the order selects or that the group owns, by namespace and name.
    pub volumes: Vec<Volume>,
    /// Storage and replication classes of the cluster.
    pub classes: Classes,
    /// One for each profile of the order.
    pub stores: Vec<StoreView>,
    /// What was read to restore the cluster data; only in passes that ask for it.
    pub recovery: Option<Recovery>,
    /// Whether the API server says that no claim carries the group's marks; asked while the group is being deleted.
    pub nothing_held: Proven<NothingHeld>,
    /// Stores whose content was deleted in this pass, or why that failed; only while the group is being deleted.
    pub purged: Option<Vec<(String, Result<(), String>)>>,
}

impl Snapshot {
    /// Namespace and name of the group.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(&*self.vrg)
    }

    /// Generation of the group.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.vrg.metadata.generation.unwrap_or_default()
    }

    /// The group is being deleted.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.vrg.metadata.deletion_timestamp.is_some()
    }

    /// The group carries our finalizer.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        carries(&self.vrg.metadata, names::VRG_FINALIZER)
    }

    /// The conditions that were written last.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        self.vrg.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    /// The role, where the order is valid.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.order.as_ref().ok().map(|order| order.role)
    }

    /// An annotation of the group.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        annotation(&self.vrg.metadata, key)
    }
}

/// A claim with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Volume {
    /// The claim.
    pub claim: Arc<PersistentVolumeClaim>,
    /// Its volume; none while it is unbound or the volume is not known.
    pub pv: Option<Arc<PersistentVolume>>,
    /// The VolumeReplication of the claim's name.
    pub replication: Option<Replication>,
    /// The order selects it.
    pub selected: bool,
    /// Whose it is.
    pub owner: Owner,
    /// Who uses it as far as the caches know.
    pub users: Vec<String>,
    /// Whether the API server says that nobody uses it.
    pub unused: Proven<NotInUse>,
    /// Whether the API server says that its replication is gone.
    pub let_go: Proven<LetGo>,
}

impl Volume {
    /// Namespace and name of the claim.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(&*self.claim)
    }

    /// The claim is being deleted.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.claim.metadata.deletion_timestamp.is_some()
    }

    /// The claim carries our finalizer.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        carries(&self.claim.metadata, names::PVC_VR_FINALIZER)
    }

    /// The claim is bound to a volume.
    #[must_use]
    pub fn bound(&self) -> bool {
        self.claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
    }

    /// The consistency group that the claim is labelled with.
    #[must_use]
    pub fn consistency_group(&self) -> Option<&str> {
        let labels = self.claim.metadata.labels.as_ref()?;
        labels.get(names::CONSISTENCY_GROUP).map(String::as_str).filter(|group| !group.is_empty())
    }

    /// Name of the claim's volume; empty while it has none.
    #[must_use]
    pub fn pv_name(&self) -> &str {
        self.claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
    }

    /// Name of the claim's storage class; empty for none.
    #[must_use]
    pub fn storage_class(&self) -> &str {
        self.claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default()
    }
}

/// An annotation of an object.
#[must_use]
pub fn annotation<'a>(meta: &'a kube::core::ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str)
}

/// Whether an object carries a finalizer.
#[must_use]
pub fn carries(meta: &kube::core::ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|carried| carried == finalizer)
}

/// Identity and version of an object that an action is decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectId {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion` when it was observed.
    pub resource_version: String,
}

impl ObjectId {
    /// The identity of `object`.
    #[must_use]
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        Self {
            key: ObjectKey::of(object),
            uid: object.meta().uid.clone().unwrap_or_default(),
            resource_version: object.meta().resource_version.clone().unwrap_or_default(),
        }
    }
}

/// A VolumeReplication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replication {
    /// Which one.
    pub id: ObjectId,
    /// `metadata.generation`.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// It is the group's own.
    pub ours: bool,
    /// `spec.replicationState`.
    pub wanted: String,
    /// `spec.autoResync`.
    pub auto_resync: bool,
    /// The generation for which a forced promotion is allowed, as its annotation has it; empty for none.
    pub force_consent: String,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.state`.
    pub state: String,
    /// `status.message`.
    pub message: String,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// `status.lastSyncTime`.
    pub last_sync_time: Option<Time>,
    /// `status.lastSyncDuration`.
    pub last_sync_duration: Option<GoDuration>,
    /// `status.lastSyncBytes`.
    pub last_sync_bytes: Option<i64>,
    /// `status.destinationVolumeID`.
    pub destination_id: String,
}

/// The classes of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    /// By name.
    pub storage: BTreeMap<String, Arc<StorageClass>>,
    /// By name.
    pub replication: Vec<ReplicationClass>,
}

/// A VolumeReplicationClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationClass {
    /// Its name.
    pub name: String,
    /// `spec.provisioner`.
    pub provisioner: String,
    /// `spec.parameters`.
    pub parameters: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It is marked as the default one.
    pub default: bool,
}

/// What is known of one store of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// Name of the profile.
    pub profile: String,
    /// Which bucket behind which address: a changed profile is a new store.
    pub fingerprint: String,
    /// Digests of what it holds, by key; `None` until it was looked at or written.
    pub holds: Option<Holdings>,
    /// Why the last attempt to write failed, and since when writing has been failing.
    pub failure: Option<StoreFailure>,
}

/// What a store holds of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Digest of each PersistentVolume and claim.
    pub parts: BTreeMap<super::recovery::PartKey, String>,
    /// Digest of what matters of the group's own copy; empty for none.
    pub group: String,
}

/// Why a store could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// For a person.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// The store is ahead: another cluster writes with a newer epoch.
    pub stale: bool,
}

/// What was read for a restore.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Each store's answer, in the order of the spec.
    pub stores: Vec<(String, StoreRead)>,
    /// Volumes of this cluster whose names the stores know.
    pub live_volumes: BTreeMap<String, Arc<PersistentVolume>>,
    /// Claims of this cluster whose names the stores know.
    pub live_claims: BTreeMap<ObjectKey, Arc<PersistentVolumeClaim>>,
    /// How far this cluster's right to write is.
    pub claim: EpochClaim,
}

/// Whether the stores know that this cluster is the writer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpochClaim {
    /// Not asked for yet in this pass.
    Open,
    /// Every store that could be reached knows it; the text names the others.
    Made(Option<String>),
    /// A store knows a newer writer; the text says which.
    Refused(String),
}

/// What a store answered when it was asked for the newest complete set.
#[derive(Clone, Debug)]
pub enum StoreRead {
    /// A complete set.
    Set(Box<StoredSet>),
    /// Provably nothing is stored.
    Empty,
    /// It could not be read, or what was read cannot be used; why.
    Unreadable(String),
}

/// A set of stored volumes and claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredSet {
    /// Epoch and number within it; none in Ramen's layout.
    pub capture: Option<(u64, i64)>,
    /// As of when; none where that is not recorded.
    pub time: Option<Timestamp>,
    /// Who wrote it; empty where that is not recorded.
    pub cluster: String,
    /// It is not known to be complete (Ramen's layout only); what seems to be missing.
    pub gaps: Vec<String>,
    /// The volumes, as stored.
    pub volumes: Vec<PersistentVolume>,
    /// The claims, as stored.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Later sets of the same store, with gaps.
    pub passed_over: Vec<StoredSet>,
}

impl StoredSet {
    /// Whether this set goes before `other`: complete before incomplete, captures by epoch and number, else by time.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        if self.gaps.is_empty() != other.gaps.is_empty() {
            return self.gaps.is_empty();
        }
        self.is_later_than(other)
    }

    /// Whether this set is of a later time than `other`, however complete each is: captures by epoch and number, else by
    /// time.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        match (self.capture, other.capture) {
            (Some(own), Some(theirs)) => own > theirs,
            _ => self.time > other.time,
        }
    }
}
