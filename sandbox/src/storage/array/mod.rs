//! A pure, deterministic model of storage arrays that replicate real bytes to each other.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` | identifiers, settings, answers and errors |
//! | `image.rs` | one volume's content: an append-only log of blocks, and its snapshots |
//! | `relation.rs` | what two arrays know about a replicated unit (a volume, or a group of volumes) |
//! | `world.rs` | [`Arrays`]: all arrays and links, volumes, reading and writing, fencing |
//! | `control.rs` | the verbs of csi-addons: enable, promote, demote, resync, disable |
//! | `members.rs` | the members of a replicated group |
//! | `engine.rs` | the passing of time: schedules, transfers, contact after a cut |
//!
//! Nothing here reads a clock or does I/O: every call is handed the present time. [`super::fabric::StorageFabric`]
//! wraps it with a lock, a clock and notifications.
//!
//! The model follows what Ceph RBD mirroring does behind csi-addons. A secondary image holds the last *complete*
//! snapshot of the primary and nothing of a transfer that is under way. A promotion without force is granted only
//! to a side whose last snapshot is a demotion, its own or a replicated one. Two sides that both wrote past their
//! common point are in split-brain until one of them is told, by a forced resync, to throw its part away.

mod control;
mod engine;
mod image;
mod members;
mod relation;
#[cfg(test)]
mod tests;
mod types;
mod world;

pub use image::{Content, Discarded};
pub use relation::{SideState, SyncReport};
pub use types::{
    ArrayId, Code, DeleteOutcome, Event, Health, Info, LinkSettings, Mode, Promotion, Replication, StorageError,
    SyncPolicy, UnitId, VolumeHandle, What,
};
pub use world::Arrays;
