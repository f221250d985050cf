//! Identifiers, settings, answers and errors of the array model.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{Discarded, SyncReport};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

name_type!(
    /// The name of a storage array.
    ArrayId
);
name_type!(
    /// A CSI volume handle. An image and its replica on the peer array have the same handle.
    VolumeHandle
);
name_type!(
    /// What is replicated, promoted and demoted as one: a volume (then it is the volume's handle) or a group.
    UnitId
);

impl From<&VolumeHandle> for UnitId {
    fn from(handle: &VolumeHandle) -> Self {
        Self(handle.as_str().to_owned())
    }
}

/// The gRPC codes that csi-addons drivers answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 3: a parameter is missing or not supported.
    InvalidArgument,
    /// 5: no such volume, group or replication.
    NotFound,
    /// 6: the name is taken by something else.
    AlreadyExists,
    /// 9: the object is not in the state that the call needs.
    FailedPrecondition,
    /// 12: this storage does not do that.
    Unimplemented,
    /// 13: the storage failed.
    Internal,
    /// 14: the array or its peer cannot be reached.
    Unavailable,
    /// 16: I/O from this client is fenced (a driver reports it as a permission error).
    Fenced,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::Fenced => "Fenced",
        })
    }
}

/// Why an array refused, with the code that a driver would answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct StorageError {
    /// The gRPC code.
    pub code: Code,
    /// What was attempted on what, and why it was refused.
    pub message: String,
}

impl StorageError {
    /// An error of this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// How a unit is replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A snapshot of the primary is shipped each `interval`.
    Async {
        /// Time from one snapshot to the next.
        interval: Duration,
    },
    /// A write is acknowledged when both arrays have it.
    Sync {
        /// What happens to a write while the peer cannot have it.
        policy: SyncPolicy,
    },
}

/// What a synchronous relation does with a write that cannot reach the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// The write is refused: nothing is ever acknowledged that the peer does not have.
    Stall,
    /// The write is acknowledged by the primary alone, and shipped when the peer is back.
    Degrade,
}

/// What `enable` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Asynchronous or synchronous.
    pub mode: Mode,
    /// The peer array. `None`: the only one that this array is linked with.
    pub peer: Option<ArrayId>,
}

/// How fast a link between two arrays is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Bytes per second of a transfer. `None`: a transfer takes no time beyond `overhead`.
    pub bytes_per_second: Option<u64>,
    /// Time that each transfer takes at least.
    pub overhead: Duration,
}

impl LinkSettings {
    /// How long `bytes` take on this link.
    #[must_use]
    pub fn duration(&self, bytes: u64) -> Duration {
        let copying = match self.bytes_per_second {
            Some(rate) if rate > 0 => {
                let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
            _ => Duration::ZERO,
        };
        self.overhead.saturating_add(copying)
    }
}

/// How a promotion went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// The side was primary before.
    Already,
    /// Promoted with the peer's consent: nothing is lost.
    Clean,
    /// Promoted by force from the last complete snapshot.
    Forced,
}

/// What became of a volume that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The bytes are gone from this array (and will go from the peer's replica).
    Deleted,
    /// A replica that follows a live primary: the storage keeps it, it goes when the primary goes.
    LeftToPrimary,
    /// There was no such volume.
    Absent,
}

/// How replication of a primary is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The peer follows.
    Healthy,
    /// The peer does not follow, with the reason.
    Degraded(String),
}

/// The answer of GetVolumeReplicationInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The last complete transfer to the peer.
    pub last: SyncReport,
    /// Whether the peer follows now.
    pub health: Health,
}

/// Something that happened on an array, for those who wait for it and for those who tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// On which array.
    pub array: ArrayId,
    /// To what: a unit, or for events of a whole array its name.
    pub unit: UnitId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A volume was created.
    Created,
    /// A volume's bytes were deleted; how many there were.
    Deleted {
        /// Bytes of live content that are gone.
        bytes: u64,
    },
    /// Replication was enabled on the primary.
    Enabled,
    /// Replication was disabled.
    Disabled,
    /// A transfer to (or from) the peer is complete.
    Synced(SyncReport),
    /// This side became primary.
    Promoted {
        /// Whether force was needed and used.
        forced: bool,
    },
    /// The peer became primary, and this side can see it.
    PeerPromoted,
    /// This side became secondary.
    Demoted,
    /// A forced resync threw this side's own writes away.
    Discarded(Discarded),
    /// The two sides wrote past their common point: seen by this, the secondary side.
    SplitBrain,
    /// The members of a group changed.
    Members,
    /// The link to the peer went down or came back.
    Link {
        /// Whether it is up now.
        up: bool,
    },
    /// The array died or came back.
    Power {
        /// Whether it is up now.
        up: bool,
    },
    /// A client's network was fenced or unfenced on this array.
    Fence {
        /// The network, as a CIDR.
        cidr: String,
        /// Whether it is fenced now.
        fenced: bool,
    },
}
