//! The newest complete set among several stores.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::choice::{choose, newer};
use super::fallback::{self, StoredVrg};
use super::manifest::{Content as SetContent, Manifest};
use super::memory::{self, Look};
use super::{Objects, persistent_volume_claims, persistent_volumes};
use crate::s3::codec::CodecError;
use crate::s3::error::{Operation, S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, ObjectRef, S3Key};
use crate::s3::set::{PerStore, StoreSet};
use crate::s3::store::S3Store;
use crate::seen::Seen;

/// Where a set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A capture set.
    Capture {
        /// Epoch of the writer that put it together, or of a later one that has stored its own
        /// VolumeReplicationGroup beside the same objects.
        epoch: u64,
        /// Its place among the sets of that epoch.
        sequence: i64,
        /// The cluster of that writer.
        cluster: String,
        /// When its objects were read.
        time: Timestamp,
    },
    /// Ramen's layout.
    RamenLayout {
        /// `status.lastUpdateTime` of the VolumeReplicationGroup in it.
        updated: Option<Timestamp>,
    },
}

/// What one store holds.
#[derive(Clone, Debug)]
pub enum StoreReading {
    /// A set.
    Set {
        /// Where it comes from.
        source: Source,
        /// How many objects it has, the VolumeReplicationGroup included.
        objects: usize,
        /// What is missing in it; empty for a complete one.
        gaps: Vec<String>,
        /// What could not be made sure of, for people.
        doubts: Vec<String>,
    },
    /// Nothing, which the store said.
    Empty,
    /// Nobody can say: the store could not be asked.
    Unknown(S3Error),
    /// Something that cannot be used: corrupt, or evidence of two primaries.
    Unusable(S3Error),
}

/// A set to restore from.
#[derive(Clone, Debug)]
pub struct RecoverySet {
    /// Name of the profile that it was read from.
    pub profile: String,
    /// Where it comes from.
    pub source: Source,
    /// Its objects.
    pub objects: Objects,
    /// What is missing in it, by Ramen's layout only: it cannot be proven complete, and an older Ramen leaves volumes whose
    /// claims are still in the cluster.
    pub gaps: Vec<String>,
    /// Why its VolumeReplicationGroup is not known, if it could not be read; absent then proves nothing.
    pub vrg_unread: Option<S3Error>,
}

impl RecoverySet {
    /// Its PersistentVolumes.
    ///
    /// # Errors
    /// One of them is not of that shape.
    pub fn persistent_volumes(&self) -> Result<Vec<PersistentVolume>, CodecError> {
        persistent_volumes(&self.objects)
    }

    /// Its PersistentVolumeClaims.
    ///
    /// # Errors
    /// One of them is not of that shape.
    pub fn persistent_volume_claims(&self) -> Result<Vec<PersistentVolumeClaim>, CodecError> {
        persistent_volume_claims(&self.objects)
    }

    /// Its VolumeReplicationGroup, if it has one.
    ///
    /// # Errors
    /// It is not of the shape of `T`.
    pub fn vrg<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, CodecError> {
        self.objects.get(&ObjectRef::Vrg).map(super::CapturedObject::typed).transpose()
    }
}

/// What all stores together hold.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Each store's part in it.
    pub stores: Vec<PerStore<StoreReading>>,
    /// The newest complete set that could be read; if none is complete, the newest.
    pub newest: Option<RecoverySet>,
    /// Sets with gaps that are later than that one. What they alone hold would be lost without a word.
    pub passed_over: Vec<RecoverySet>,
}

impl Reading {
    /// The newest set; absent only if every store said that it has nothing, and there is at least one.
    ///
    /// While a store [cannot be read][Reading::unread], it may hold a newer set than the one that is present here.
    #[must_use]
    pub fn seen(&self) -> Seen<&RecoverySet> {
        if let Some(newest) = &self.newest {
            return Seen::Present(newest);
        }
        if self.stores.is_empty() {
            return Seen::Unknown("no S3 store was asked".into());
        }
        let why: Vec<String> = self.unread().map(|(_, error)| error.to_string()).collect();
        if why.is_empty() { Seen::Absent } else { Seen::Unknown(why.join("; ")) }
    }

    /// The profiles whose content is not known or not usable, and why.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &S3Error)> {
        self.stores.iter().filter_map(|store| match &store.result {
            StoreReading::Unknown(error) | StoreReading::Unusable(error) => Some((store.profile.as_str(), error)),
            StoreReading::Set { .. } | StoreReading::Empty => None,
        })
    }
}

/// A set that a store offers. Objects of a large capture set are fetched only if it is chosen.
pub(super) struct Candidate {
    pub(super) at: usize,
    pub(super) store: S3Store,
    pub(super) source: Source,
    pub(super) content: Content,
    pub(super) gaps: Vec<String>,
    doubts: Vec<String>,
    /// When the application was last looked at by its writer, to compare writers of different products.
    pub(super) as_of: Option<Timestamp>,
    pub(super) primary: bool,
    pub(super) vrg_unread: Option<S3Error>,
}

pub(super) enum Content {
    /// The manifest, and the VolumeReplicationGroup beside it.
    Manifest(Arc<Manifest>, Option<StoredVrg>),
    Objects(Objects),
}

/// What one store offered.
enum Offer {
    Sets(Vec<Candidate>),
    Empty,
    Failed(S3Error),
}

/// Reads all stores in parallel: two requests each where there is a capture set, else Ramen's layout.
pub async fn read_newest_capture(stores: &StoreSet, app: &AppId) -> Reading {
    let offers: Vec<PerStore<Result<Offer, S3Error>>> =
        stores.on_all(|store| async move { Ok::<Offer, S3Error>(offer(&store, app).await) }).await;
    let mut candidates = Vec::new();
    let mut readings = Vec::with_capacity(offers.len());
    for (at, PerStore { profile, result }) in offers.into_iter().enumerate() {
        let result = match result {
            Ok(Offer::Sets(mut offered)) => {
                offered.iter_mut().for_each(|candidate| candidate.at = at);
                // Shown is what this store alone would give.
                let best =
                    (0..offered.len()).reduce(|best, at| if newer(&offered[at], &offered[best]) { at } else { best });
                let shown = best.map_or(StoreReading::Empty, |best| shown(&offered[best]));
                candidates.extend(offered);
                shown
            }
            Ok(Offer::Empty) => StoreReading::Empty,
            Ok(Offer::Failed(error)) | Err(error) => failed(error),
        };
        readings.push(PerStore { profile, result });
    }
    let (newest, passed_over) = choose(candidates, app, &mut readings).await;
    Reading { stores: readings, newest, passed_over }
}

fn shown(candidate: &Candidate) -> StoreReading {
    let objects = match &candidate.content {
        Content::Manifest(manifest, vrg) => {
            manifest.content().map_or(0, |content| content.parts.len()) + usize::from(vrg.is_some())
        }
        Content::Objects(objects) => objects.len(),
    };
    let Candidate { source, gaps, doubts, .. } = candidate;
    StoreReading::Set { source: source.clone(), objects, gaps: gaps.clone(), doubts: doubts.clone() }
}

pub(super) fn failed(error: S3Error) -> StoreReading {
    match error.kind {
        S3ErrorKind::Corrupt | S3ErrorKind::Conflict => StoreReading::Unusable(error),
        _ => StoreReading::Unknown(error),
    }
}

async fn offer(store: &S3Store, app: &AppId) -> Offer {
    let Look { manifest, vrg, .. } = memory::look(store, app, true).await;
    let mut doubts = Vec::new();
    let (vrg, vrg_unread) = match vrg {
        Ok(vrg) => (Some(vrg), None),
        Err(error) if error.is_absent() => (None, None),
        Err(error) => {
            doubts.push(format!("whether another product wrote something newer: {error}"));
            (None, Some(error))
        }
    };
    match manifest {
        Ok(manifest) => {
            let Some(content) = manifest.content() else {
                // Somebody may write and has not yet: what is there, is in Ramen's layout.
                return match layout(store, app, vrg, vrg_unread, doubts).await {
                    Ok(Some(set)) => Offer::Sets(vec![set]),
                    Ok(None) => Offer::Empty,
                    Err(error) => Offer::Failed(error),
                };
            };
            let foreign = vrg.as_ref().filter(|vrg| vrg.is_newer_and_foreign(content));
            let mut sets = Vec::new();
            if let Some(vrg) = foreign {
                match layout(store, app, Some(vrg.clone()), None, Vec::new()).await {
                    Ok(set) => sets.extend(set),
                    // Two volumes for one claim: a person has to say which one is right, the older set does not.
                    Err(error) if error.kind == S3ErrorKind::Conflict => return Offer::Failed(error),
                    Err(error) => doubts.push(format!("what another product wrote later: {error}")),
                }
            }
            sets.push(capture(store, &manifest, content, vrg, vrg_unread, doubts));
            Offer::Sets(sets)
        }
        Err(error) if error.is_absent() || error.kind == S3ErrorKind::Corrupt => {
            if error.is_absent() && vrg.as_ref().is_some_and(|vrg| vrg.stored_by.is_some()) {
                return Offer::Failed(set_is_gone(store, app));
            }
            if !error.is_absent() {
                doubts.push(format!("the capture set: {error}"));
            }
            let corrupt = (!error.is_absent()).then_some(error);
            match (layout(store, app, vrg, vrg_unread, doubts).await, corrupt) {
                (Ok(Some(set)), _) => Offer::Sets(vec![set]),
                (Ok(None), None) => Offer::Empty,
                // Something is there, and it is not readable: never "nothing".
                (_, Some(corrupt)) => Offer::Failed(corrupt),
                (Err(error), None) => Offer::Failed(error),
            }
        }
        Err(error) => Offer::Failed(error),
    }
}

/// A VolumeReplicationGroup with our marker is written after its set, never without one. Alone it is what a bucket's expiry
/// rule or an emptied store has left: taken for a set, it would be one of no volumes, and the newest.
fn set_is_gone(store: &S3Store, app: &AppId) -> S3Error {
    let detail = "the capture set is gone, though the VolumeReplicationGroup that was stored after it is there; something \
                  deletes from the bucket";
    store.error(Operation::Get, &S3Key::manifest(app).to_string(), S3ErrorKind::Corrupt, detail)
}

fn capture(
    store: &S3Store,
    manifest: &Arc<Manifest>,
    content: &SetContent,
    vrg: Option<StoredVrg>,
    vrg_unread: Option<S3Error>,
    doubts: Vec<String>,
) -> Candidate {
    let stored_by = vrg.as_ref().and_then(|vrg| vrg.stored_by.as_ref());
    // A new writer that found nothing to change has written its VolumeReplicationGroup only. Until then the claim alone
    // does not make the set newer than it is: another store may hold a later one of the writer before.
    let writer = if stored_by == Some(manifest.writer()) { manifest.writer() } else { &content.author };
    let source = Source::Capture {
        epoch: writer.epoch,
        sequence: content.sequence,
        cluster: writer.cluster.clone(),
        time: content.time,
    };
    let ours = vrg.as_ref().filter(|vrg| vrg.stored_by.is_some()).and_then(|vrg| vrg.updated);
    let as_of = ours.max(Some(content.time));
    // The copy of a secondary says nothing about the primary whose set this is.
    let vrg = vrg.filter(|vrg| vrg.stored_by.is_some() || vrg.primary);
    let content = Content::Manifest(manifest.clone(), vrg);
    let store = store.clone();
    Candidate { at: 0, store, source, content, gaps: Vec::new(), doubts, as_of, primary: true, vrg_unread }
}

/// Ramen's layout as a candidate; none if there is nothing in it.
async fn layout(
    store: &S3Store,
    app: &AppId,
    vrg: Option<StoredVrg>,
    vrg_unread: Option<S3Error>,
    doubts: Vec<String>,
) -> Result<Option<Candidate>, S3Error> {
    let objects = fallback::read(store, app, vrg.as_ref()).await?;
    if objects.is_empty() {
        return Ok(None);
    }
    if vrg.as_ref().is_some_and(|vrg| vrg.stored_by.is_some() && !fallback::has_all(&objects, vrg)) {
        return Err(set_is_gone(store, app));
    }
    let as_of = vrg.as_ref().and_then(|vrg| vrg.updated);
    let primary = vrg.as_ref().is_some_and(|vrg| vrg.primary);
    let gaps = fallback::gaps(&objects);
    let source = Source::RamenLayout { updated: as_of };
    let content = Content::Objects(objects);
    let store = store.clone();
    Ok(Some(Candidate { at: 0, store, source, content, gaps, doubts, as_of, primary, vrg_unread }))
}
