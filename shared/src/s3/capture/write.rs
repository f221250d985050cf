// BEING REWORKED RIGHT NOW BY THE "S3 requests" HELPER: do not edit this folder, and leave the count of S3 requests to it.
//! Writing a capture set, and deleting all of an application.

use futures::future::{join, join_all};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::manifest::Manifest;
use super::{CaptureError, CaptureSet, EpochRecord, corrupt, epoch, put_conditionally};
use crate::s3::codec;
use crate::s3::error::{Operation, S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, ObjectRef, S3Key};
use crate::s3::set::{PerStore, StoreSet};
use crate::s3::store::S3Store;

/// How often the manifest is tried again after a lost race or a lost answer.
const ATTEMPTS: usize = 3;
/// Objects that are written to one store at the same time.
const PARALLEL: usize = 8;

/// What was done in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The sequence of the set that is stored now.
    pub sequence: i64,
    /// Whether a new manifest was written; false if the stored one has the same content.
    pub manifest: bool,
    /// Objects of Ramen's layout that were written; those that this process wrote before and that did not change are not.
    pub objects: usize,
    /// Objects of Ramen's layout that were deleted because they were released.
    pub deleted: usize,
}

/// Writes the set of a primary to all stores: capture set, then Ramen's layout.
///
/// Data is protected in a store only after `Ok` from it. If any store answers that this writer
/// [was superseded][CaptureError::is_superseded], no object of Ramen's layout is touched in any of them, and the others
/// that were still open answer with the same error.
///
/// A set that did not change since this process wrote it costs no request.
pub async fn write_capture(
    stores: &StoreSet,
    app: &AppId,
    set: &CaptureSet,
) -> Vec<PerStore<Result<Written, CaptureError>>> {
    // The same sequence in all stores, beyond all that is known from any of them.
    let known = stores.stores().filter_map(|store| known_sequence(store, app, set)).max();
    let sequence = known.map_or(0, |known| known + 1).max(set.time.as_millisecond());
    let committed = stores.on_all(|store| async move { commit(&store, app, set, sequence).await }).await;
    let superseded = committed.iter().find_map(|member| match &member.result {
        Err(error) if error.is_superseded() => Some(error.clone()),
        _ => None,
    });
    if let Some(superseded) = superseded {
        let refuse = |member: PerStore<Result<_, CaptureError>>| PerStore {
            profile: member.profile,
            result: Err(member.result.err().unwrap_or_else(|| superseded.clone())),
        };
        return committed.into_iter().map(refuse).collect();
    }
    let mut layouts = Vec::with_capacity(stores.len());
    for (member, committed) in stores.members().zip(committed) {
        layouts.push(finish(member, committed, app, set));
    }
    join_all(layouts).await
}

/// The second half of a write, in one store.
async fn finish(
    member: &PerStore<Result<S3Store, S3Error>>,
    committed: PerStore<Result<Commit, CaptureError>>,
    app: &AppId,
    set: &CaptureSet,
) -> PerStore<Result<Written, CaptureError>> {
    let result = match (&member.result, committed.result) {
        (Ok(store), Ok(commit)) => write_layout(store, app, set, commit).await.map_err(CaptureError::from),
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error.clone().into()),
    };
    PerStore { profile: committed.profile, result }
}

/// What the first half of a write leaves for the second.
struct Commit {
    sequence: i64,
    manifest: bool,
    /// Part keys of the set before, that no manifest names any more.
    orphans: Vec<String>,
}

fn known_sequence(store: &S3Store, app: &AppId, set: &CaptureSet) -> Option<i64> {
    let memory = store.memory();
    let (manifest, _) = memory.get(app)?.manifest.as_ref()?;
    (manifest.writer.epoch == set.writer.epoch).then_some(manifest.sequence)
}

fn remembered(store: &S3Store, app: &AppId) -> Option<(Manifest, String)> {
    store.memory().get(app)?.manifest.clone()
}

fn remember(store: &S3Store, app: &AppId, manifest: Option<(Manifest, String)>) {
    store.memory().entry(app.clone()).or_default().manifest = manifest;
}

/// Writes parts and manifest, and proves that the epoch is still ours after that.
async fn commit(store: &S3Store, app: &AppId, set: &CaptureSet, sequence: i64) -> Result<Commit, CaptureError> {
    let key = S3Key::manifest(app).to_string();
    let unwritable = |error: serde_json::Error| corrupt(store, &key, error.into());
    let mut last: Option<S3Error> = None;
    for _ in 0..ATTEMPTS {
        let (stored, etag) = match remembered(store, app) {
            Some((manifest, etag)) => (Some(manifest), Some(etag)),
            None => {
                let (epoch, stored) = join(epoch::raise(store, app, &set.writer), load(store, app)).await;
                epoch?;
                stored?
            }
        };
        let floor = match &stored {
            Some(stored) => {
                epoch::standing(store, app, &stored.writer, &set.writer)?;
                refuse_loss(store, app, stored, set)?;
                if stored.writer.epoch == set.writer.epoch { stored.sequence + 1 } else { 0 }
            }
            None => 0,
        };
        let manifest = Manifest::of(app, set, sequence.max(floor)).map_err(unwritable)?;
        if let (Some(stored), Some(etag)) = (&stored, &etag)
            && stored.same_content(&manifest)
        {
            let sequence = stored.sequence;
            remember(store, app, Some((stored.clone(), etag.clone())));
            return Ok(Commit { sequence, manifest: false, orphans: Vec::new() });
        }
        write_parts(store, app, set, &manifest, stored.as_ref()).await?;
        let body = manifest.body().map_err(unwritable)?;
        match put_conditionally(store, &key, body, etag.as_deref()).await {
            Ok(etag) => {
                // A promotion may have come between the last look at the epoch and this write. If the epoch is still
                // ours now, whoever raises it later also reads what was just written.
                remember(store, app, None);
                epoch::raise(store, app, &set.writer).await?;
                let orphans = orphans(app, stored.as_ref(), &manifest);
                let sequence = manifest.sequence;
                remember(store, app, Some((manifest, etag)));
                return Ok(Commit { sequence, manifest: true, orphans });
            }
            Err(error) => {
                // What is stored now tells who was faster, or whether only the answer was lost. Another writer may have
                // written Ramen's layout too.
                store.memory().remove(app);
                let again = error.kind == S3ErrorKind::Conflict || (error.is_unreachable() && last.is_none());
                last = Some(error);
                if !again {
                    break;
                }
            }
        }
    }
    let error = last.unwrap_or_else(|| store.error(Operation::Put, &key, S3ErrorKind::Conflict, "lost every race"));
    Err(error.into())
}

/// The stored manifest and its entity tag. One that cannot be understood is replaced, under its entity tag: the epoch
/// says who may.
async fn load(store: &S3Store, app: &AppId) -> Result<(Option<Manifest>, Option<String>), S3Error> {
    let object = match store.get(&S3Key::manifest(app).to_string()).await {
        Ok(object) => object,
        Err(error) if error.is_absent() => return Ok((None, None)),
        Err(error) => return Err(error),
    };
    match Manifest::read(store, app, &object) {
        Ok(manifest) => Ok((Some(manifest), Some(object.etag))),
        Err(error) => {
            tracing::warn!(%error, "a corrupt manifest is replaced");
            Ok((None, Some(object.etag)))
        }
    }
}

fn refuse_loss(store: &S3Store, app: &AppId, stored: &Manifest, set: &CaptureSet) -> Result<(), CaptureError> {
    let keys: Vec<ObjectRef> = stored
        .places()
        .map(|(place, _)| place)
        .filter(|place| !set.objects().contains_key(place) && !set.released().contains(place))
        .filter(|place| *place != ObjectRef::Vrg)
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(CaptureError::WouldLose { profile: store.profile().to_owned(), app: app.clone(), keys })
}

async fn write_parts(
    store: &S3Store,
    app: &AppId,
    set: &CaptureSet,
    manifest: &Manifest,
    stored: Option<&Manifest>,
) -> Result<(), S3Error> {
    let there = |sha256: &str| stored.is_some_and(|stored| stored.separate_parts().any(|part| part.sha256 == sha256));
    let missing = manifest.separate_parts().filter(|part| !there(&part.sha256)).filter_map(|part| {
        let object =
            set.objects().iter().find(|(place, _)| S3Key::object(app, (*place).clone()).to_string() == part.key);
        object.map(|(_, object)| (S3Key::part(app, &part.sha256).to_string(), codec::encode(object.json())))
    });
    put_all(store, missing.collect()).await
}

async fn put_all(store: &S3Store, bodies: Vec<(String, Vec<u8>)>) -> Result<(), S3Error> {
    stream::iter(bodies)
        .map(|(key, body)| async move { store.put(&key, body).await.map(drop) })
        .buffered(PARALLEL)
        .try_collect()
        .await
}

fn orphans(app: &AppId, before: Option<&Manifest>, now: &Manifest) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    before
        .separate_parts()
        .filter(|old| now.separate_parts().all(|part| part.sha256 != old.sha256))
        .map(|part| S3Key::part(app, &part.sha256).to_string())
        .collect()
}

/// Brings Ramen's layout to the state of the set: the VolumeReplicationGroup last, because it says that the rest is there.
async fn write_layout(store: &S3Store, app: &AppId, set: &CaptureSet, commit: Commit) -> Result<Written, S3Error> {
    let (mut volumes, mut group) = (Vec::new(), Vec::new());
    let mut deleted = Vec::new();
    {
        let mut memory = store.memory();
        let layout = &memory.entry(app.clone()).or_default().layout;
        for (place, object) in set.objects() {
            let key = S3Key::object(app, place.clone()).to_string();
            let digest = codec::digest(object.json());
            if layout.get(&key).is_none_or(|known| known.as_deref() != Some(&*digest)) {
                let list = if *place == ObjectRef::Vrg { &mut group } else { &mut volumes };
                list.push((key, digest, codec::encode(object.json())));
            }
        }
        for place in set.released() {
            for key in keys_of(app, place) {
                if layout.get(&key).is_none_or(Option::is_some) {
                    deleted.push(key);
                }
            }
        }
    }
    // S3 first, then whoever waits for this releases the volume: a later failover must not bring it back.
    store.delete_many(&deleted).await?;
    for key in &deleted {
        store.memory().entry(app.clone()).or_default().layout.insert(key.clone(), None);
    }
    let mut objects = 0;
    for list in [volumes, group] {
        objects += list.len();
        let digests: Vec<(String, String)> =
            list.iter().map(|(key, digest, _)| (key.clone(), digest.clone())).collect();
        put_all(store, list.into_iter().map(|(key, _, body)| (key, body)).collect()).await?;
        for (key, digest) in digests {
            store.memory().entry(app.clone()).or_default().layout.insert(key, Some(digest));
        }
    }
    if let Err(error) = store.delete_many(&commit.orphans).await {
        // They waste some room until the application is deleted, and mislead nobody.
        tracing::debug!(%error, "parts of an older set stay");
    }
    Ok(Written { sequence: commit.sequence, manifest: commit.manifest, objects, deleted: deleted.len() })
}

/// The keys under which an object may be: a claim also under the key of older Ramen versions.
fn keys_of(app: &AppId, place: &ObjectRef) -> Vec<String> {
    let mut keys = vec![S3Key::object(app, place.clone()).to_string()];
    if let ObjectRef::Pvc { namespace: Some(_), name } = place {
        let legacy = ObjectRef::Pvc { namespace: None, name: name.clone() };
        keys.push(S3Key::object(app, legacy).to_string());
    }
    keys
}

/// Deletes all of an application from all stores, as the deletion of a primary does; returns how many objects there were.
///
/// Refused by a store that holds a newer epoch, or the same one of another cluster: what is there is another's.
pub async fn delete_application(
    stores: &StoreSet,
    app: &AppId,
    writer: &EpochRecord,
) -> Vec<PerStore<Result<usize, CaptureError>>> {
    stores
        .on_all(|store| async move {
            match epoch::stored(&store, app).await {
                Ok((found, _)) => epoch::standing(&store, app, &found, writer)?,
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error.into()),
            }
            store.memory().remove(app);
            Ok(store.delete_prefix(&app.prefix()).await?)
        })
        .await
}
