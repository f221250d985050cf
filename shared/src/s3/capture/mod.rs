//! The capture set: everything that is needed to bring one application back, complete, of one moment, of one epoch.
//!
//! Beside Ramen's objects, which are written as Ramen writes them, each store holds per application
//!
//! a **manifest**, which is written conditionally: a writer that has not seen the latest one loses. It holds
//!
//! * the **epoch**: which action of which cluster may write. A promotion raises it by writing the manifest again with the
//!   same objects. Whoever wrote before it finds the condition of its next write broken, looks, and stops.
//! * the **set**: sequence, author, time, and all objects but the VolumeReplicationGroup, with their sha256. Small sets
//!   stand in the manifest itself, so that a restore is one request, larger ones in parts that are named by their content
//!   and written before it.
//!
//! The VolumeReplicationGroup is under Ramen's key only, also written conditionally, with a marker that says whose it is: it
//! changes more often than the rest, and its change is one request.
//!
//! The order of a write is: parts, manifest, Ramen's layout, its VolumeReplicationGroup, and then the manifest's note that
//! the layout is complete. A crash between any two leaves a complete older or newer set. A reader takes the newest complete
//! set of all stores; without one it reads Ramen's layout, and also where a Ramen operator has written a newer primary
//! VolumeReplicationGroup than the manifest.
//!
//! | module | what lives there |
//! |---|---|
//! | [`epoch`] | reading and raising the epoch, and taking that back |
//! | [`mod@write`] | writing a capture set, and deleting all of an application |
//! | [`read`] | the newest complete set among several stores |
//! | `choice` | which of the sets that are offered that is |
//! | `manifest`, `fallback` | the manifest's form; Ramen's layout read as a set |
//! | `memory` | what this process knows of a store, so that nothing is read or written twice |

mod choice;
pub mod epoch;
mod fallback;
mod manifest;
mod memory;
pub mod read;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};
use super::error::{Operation, S3Error, S3ErrorKind};
use super::layout::{AppId, ObjectRef};
use super::store::S3Store;

pub use epoch::{raise_epoch, read_epoch, withdraw_claim};
pub(super) use memory::Remembered;
pub use read::{Reading, RecoverySet, Source, StoreReading, read_newest_capture};
pub use write::{Written, delete_application, look_again, write_capture, write_capture_beside};

/// Sets of at most this many bytes of JSON stand in the manifest.
pub const INLINE_LIMIT: usize = 1024 * 1024;

/// Who may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochRecord {
    /// Raised by each action that makes a cluster primary.
    pub epoch: u64,
    /// The cluster that became primary by it.
    pub cluster: String,
    /// The action that did it.
    pub action_id: String,
}

/// Why a capture set was not written, or an epoch not raised.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaptureError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] S3Error),
    /// A newer action owns the application: this writer must stop.
    #[error(
        "S3 profile {profile}: {app} belongs to epoch {} of cluster {} (action {}), this writer is of epoch {mine}; \
         it must not write any more",
        stored.epoch, stored.cluster, stored.action_id
    )]
    StaleEpoch {
        /// Name of the profile.
        profile: String,
        /// The application.
        app: AppId,
        /// What is stored.
        stored: Box<EpochRecord>,
        /// What the writer came with.
        mine: u64,
    },
    /// Another cluster has the same epoch: two clusters were told to be primary by the same action number.
    #[error(
        "S3 profile {profile}: epoch {} of {app} is held by cluster {} (action {}), not by {mine}; start a new action",
        stored.epoch, stored.cluster, stored.action_id
    )]
    EpochTaken {
        /// Name of the profile.
        profile: String,
        /// The application.
        app: AppId,
        /// What is stored.
        stored: Box<EpochRecord>,
        /// The cluster that asked for it.
        mine: String,
    },
    /// The set lacks objects that the stored set has and that nobody released.
    #[error(
        "S3 profile {profile}: the new set of {app} lacks {} that the stored one has ({}); \
         release them if they are no longer protected, else capture them too",
        keys.len(), keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    WouldLose {
        /// Name of the profile.
        profile: String,
        /// The application.
        app: AppId,
        /// The objects.
        keys: Vec<ObjectRef>,
    },
    /// What was read to restore from is no longer what is stored.
    #[error("S3 profile {profile}: the set of {app} was changed after it was read; read it again")]
    Changed {
        /// Name of the profile.
        profile: String,
        /// The application.
        app: AppId,
    },
}

impl CaptureError {
    /// Whether this writer has been superseded and must stop, on all stores.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::StaleEpoch { .. } | Self::EpochTaken { .. })
    }
}

/// One object as it is stored: its JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedObject {
    json: Arc<str>,
}

impl CapturedObject {
    pub(super) fn from_text(json: impl Into<Arc<str>>) -> Self {
        Self { json: json.into() }
    }

    /// The complete object as it was read from the API.
    ///
    /// # Errors
    /// It has no JSON form.
    pub fn new<T: Serialize>(object: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::from_text(codec::to_json(object)?))
    }

    /// Its JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The typed object; members that are null count as absent.
    ///
    /// # Errors
    /// The JSON is not of the shape of `T`.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        codec::typed(&self.json)
    }
}

/// Objects of one application, by their place in the layout.
pub type Objects = BTreeMap<ObjectRef, CapturedObject>;

/// What a primary writes: everything of the application that is protected, as of one moment.
#[derive(Clone, Debug)]
pub struct CaptureSet {
    /// The epoch that this cluster became primary by, who it is and by which action.
    pub writer: EpochRecord,
    /// `metadata.uid` of the VolumeReplicationGroup.
    pub vrg_uid: String,
    /// When the objects were read.
    pub time: Timestamp,
    objects: Objects,
    released: BTreeSet<ObjectRef>,
}

impl CaptureSet {
    /// An empty set.
    #[must_use]
    pub fn new(writer: EpochRecord, vrg_uid: impl Into<String>, time: Timestamp) -> Self {
        Self { writer, vrg_uid: vrg_uid.into(), time, objects: Objects::new(), released: BTreeSet::new() }
    }

    /// Adds an object, complete as it was read from the API; it replaces one of the same name.
    ///
    /// # Errors
    /// It has no JSON form.
    pub fn insert<T: Serialize>(&mut self, place: ObjectRef, object: &T) -> Result<(), serde_json::Error> {
        self.released.remove(&place);
        self.objects.insert(place, CapturedObject::new(object)?);
        Ok(())
    }

    /// Says that an object is no longer protected: it leaves the set, and its copy in Ramen's layout is deleted.
    /// Without that, a set that lacks a stored object is refused.
    pub fn release(&mut self, place: ObjectRef) {
        self.objects.remove(&place);
        self.released.insert(place);
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The objects that stand in the manifest: all but the VolumeReplicationGroup.
    fn parts(&self) -> impl Iterator<Item = (&ObjectRef, &CapturedObject)> {
        self.objects.iter().filter(|(place, _)| **place != ObjectRef::Vrg)
    }

    /// What was released.
    #[must_use]
    pub fn released(&self) -> &BTreeSet<ObjectRef> {
        &self.released
    }
}

/// The PersistentVolumes among some objects.
///
/// # Errors
/// One of them is not of that shape.
pub fn persistent_volumes(objects: &Objects) -> Result<Vec<PersistentVolume>, CodecError> {
    of_kind(objects, |place| matches!(place, ObjectRef::Pv(_)))
}

/// The PersistentVolumeClaims among some objects.
///
/// # Errors
/// One of them is not of that shape.
pub fn persistent_volume_claims(objects: &Objects) -> Result<Vec<PersistentVolumeClaim>, CodecError> {
    of_kind(objects, |place| matches!(place, ObjectRef::Pvc { .. }))
}

fn of_kind<T: DeserializeOwned>(objects: &Objects, wanted: fn(&ObjectRef) -> bool) -> Result<Vec<T>, CodecError> {
    objects.iter().filter(|(place, _)| wanted(place)).map(|(_, object)| object.typed()).collect()
}

/// Writes if what is stored has this entity tag, or if nothing is stored.
///
/// A store that does not know conditions answers so; then the condition is checked by reading, which leaves a gap
/// between reading and writing, and is still more than Ramen's unconditional writes.
async fn put_conditionally(
    store: &S3Store,
    key: &str,
    body: Vec<u8>,
    expected: Option<&str>,
) -> Result<String, S3Error> {
    let conditional = match expected {
        Some(etag) => store.put_if_match(key, body.clone(), etag).await,
        None => store.put_if_absent(key, body.clone()).await,
    };
    match conditional {
        Err(error) if error.kind == S3ErrorKind::Unsupported => {
            tracing::warn!(profile = store.profile(), key, "the S3 store does not know conditional writes");
            let found = match store.get(key).await {
                Ok(object) => Some(object.etag),
                Err(error) if error.is_absent() => None,
                Err(error) => return Err(error),
            };
            if found.as_deref() != expected {
                let detail = "something else was written meanwhile";
                return Err(store.error(Operation::Put, key, S3ErrorKind::Conflict, detail));
            }
            store.put(key, body).await
        }
        result => result,
    }
}

/// The failures of a conditional write that is made again on what is stored by then.
#[derive(Default)]
struct Race {
    last: Option<S3Error>,
}

impl Race {
    /// Notes why a write failed, and says whether it may be made again: somebody was faster, or an answer was lost for the
    /// first time.
    fn goes_on(&mut self, error: S3Error) -> bool {
        let again = error.kind == S3ErrorKind::Conflict || (error.is_unreachable() && self.last.is_none());
        self.last = Some(error);
        again
    }

    /// A write has failed already.
    fn was_lost(&self) -> bool {
        self.last.is_some()
    }

    /// Why it is not made any more.
    fn given_up(self, store: &S3Store, key: &str) -> S3Error {
        self.last.unwrap_or_else(|| store.error(Operation::Put, key, S3ErrorKind::Conflict, "lost every race"))
    }
}

fn corrupt(store: &S3Store, key: &str, error: CodecError) -> S3Error {
    store.error(Operation::Get, key, S3ErrorKind::Corrupt, &error.to_string()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::StoreSet;

    fn task<F: Future + Send + 'static>(_: F) {}

    /// Fails to compile where it does not hold.
    #[test]
    fn every_operation_can_be_a_task_of_its_own() {
        let (stores, app) = (StoreSet::default(), AppId::new("ns", "vrg"));
        let writer = EpochRecord { epoch: 1, cluster: "dr1".into(), action_id: "a".into() };
        let set = CaptureSet::new(writer.clone(), "uid", Timestamp::UNIX_EPOCH);
        task(async move {
            let _ = write_capture(&stores, &app, &set).await;
            let _ = read_newest_capture(&stores, &app).await;
            let _ = raise_epoch(&stores, &app, &writer).await;
            let _ = read_epoch(&stores, &app).await;
            let _ = withdraw_claim(&stores, &app, &writer).await;
            let _ = delete_application(&stores, &app, &writer).await;
            let _ = look_again(&stores, &app, &writer).await;
            for store in stores.stores() {
                let _ = store.head_bucket().await;
                let _ = store.list("p").await;
                let _ = store.get("k").await;
                let _ = store.put("k", Vec::new()).await;
                let _ = store.put_if_absent("k", Vec::new()).await;
                let _ = store.put_if_match("k", Vec::new(), "e").await;
                let _ = store.delete("k").await;
                let _ = store.delete_many(&[]).await;
                let _ = store.delete_prefix("p").await;
            }
        });
    }
}
