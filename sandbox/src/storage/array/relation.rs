//! What two arrays know about a replicated unit.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{ArrayId, Mode, VolumeHandle};

/// Whether a side may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Secondary,
}

/// One array's side of a relation.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) array: ArrayId,
    pub(super) role: Role,
    /// The last snapshot here is a demotion, this side's own or a replicated one: it may be promoted without force.
    pub(super) promotable: bool,
    /// This side was demoted, and the peer has not got that demotion (and the writes before it) yet.
    pub(super) unsent: bool,
    /// A forced resync is copying from the peer.
    pub(super) resyncing: bool,
    /// Split-brain was told about once.
    pub(super) split_told: bool,
}

impl Side {
    pub(super) fn new(array: ArrayId, role: Role) -> Self {
        Self { array, role, promotable: false, unsent: false, resyncing: false, split_told: false }
    }
}

/// The last complete transfer of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// When the snapshot that was shipped was taken: the peer has everything up to this moment.
    pub at: Timestamp,
    /// How long it took until the peer had it.
    pub duration: Duration,
    /// Bytes that were shipped.
    pub bytes: u64,
}

/// A snapshot on its way to the peer.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) from: usize,
    /// The snapshot: how many blocks of each member it has.
    pub(super) upto: BTreeMap<VolumeHandle, usize>,
    pub(super) demotion: bool,
    pub(super) taken_at: Timestamp,
    pub(super) done_at: Timestamp,
    pub(super) bytes: u64,
}

/// A unit that is replicated between two arrays.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) sides: [Side; 2],
    pub(super) mode: Mode,
    /// Members, each with the number of blocks that both sides have in common.
    pub(super) members: BTreeMap<VolumeHandle, usize>,
    /// When the next snapshot is due. `None`: nothing is due until something changes.
    pub(super) next_at: Option<Timestamp>,
    pub(super) transfer: Option<Transfer>,
    pub(super) last: Option<SyncReport>,
    /// A forced promotion broke a synchronous relation: writes go to the primary alone until the peer has caught up.
    pub(super) broken: bool,
    /// The side that disabled replication while the other could not be told.
    pub(super) removed_by: Option<usize>,
    /// Images that the given side has to drop on the next contact.
    pub(super) orphans: Vec<(usize, VolumeHandle)>,
}

impl Relation {
    /// The index of the side that lives on `array`.
    pub(super) fn side_of(&self, array: &ArrayId) -> Option<usize> {
        self.sides.iter().position(|side| side.array == *array)
    }
}

/// The other side's index.
pub(super) fn peer_of(side: usize) -> usize {
    1 - side
}

/// What one side of a unit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideState {
    /// Not replicated: a plain volume.
    Unreplicated,
    /// Writable, and the source.
    Primary,
    /// Read-only, following a live primary.
    Replaying,
    /// Read-only, and so is the peer; both have the same content.
    Demoted,
    /// Read-only, and a demotion is still on its way.
    Exchanging,
    /// Read-only, copying from the peer after a forced resync.
    Resyncing,
    /// Read-only, with writes of its own that the peer does not have.
    SplitBrain,
    /// Read-only, and the peer cannot be reached.
    Disconnected,
}
