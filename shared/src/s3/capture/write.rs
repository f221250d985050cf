//! Writing a capture set, and deleting all of an application.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::epoch::standing;
use super::manifest::Manifest;
use super::memory::{self, Base, VrgCell};
use super::{CaptureError, CaptureSet, CapturedObject, EpochRecord, Race, corrupt, fallback, put_conditionally};
use crate::s3::codec;
use crate::s3::error::{Operation, S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, ObjectRef, S3Key};
use crate::s3::set::{PerStore, StoreSet};
use crate::s3::store::S3Store;

/// How often manifest and VolumeReplicationGroup are tried again after a lost race or a lost answer.
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
    /// Objects of Ramen's layout that were written; those that are known to be there and did not change are not.
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
    write_capture_beside(stores, &StoreSet::default(), app, set).await
}

/// As [`write_capture`], where the application has more stores: `beside` are those that are not written now. What this
/// process knows of them tells whether a store that was away holds what was given up since.
pub async fn write_capture_beside(
    stores: &StoreSet,
    beside: &StoreSet,
    app: &AppId,
    set: &CaptureSet,
) -> Vec<PerStore<Result<Written, CaptureError>>> {
    // The same sequence in all stores, beyond all that is known from any of them.
    let known = stores.stores().filter_map(|store| known_sequence(store, app)).max();
    let sequence = known.map_or(0, |known| known + 1).max(set.time.as_millisecond());
    let owned = &owned(stores.stores().chain(beside.stores()).cloned(), app, &set.writer);
    let committed = stores.on_all(|store| async move { commit(&store, app, set, sequence, owned).await }).await;
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
        layouts.push(finish(member, committed, app, set, sequence, owned));
    }
    join_all(layouts).await
}

/// The second half of a write, in one store.
async fn finish(
    member: &PerStore<Result<S3Store, S3Error>>,
    committed: PerStore<Result<Commit, CaptureError>>,
    app: &AppId,
    set: &CaptureSet,
    sequence: i64,
    owned: &[Owned],
) -> PerStore<Result<Written, CaptureError>> {
    let result = match (&member.result, committed.result) {
        (Ok(store), Ok(first)) => match write_layout(store, app, set, first).await {
            // What this process remembered is not what is stored any more. Now it has looked.
            Err(CaptureError::Changed { .. }) => match commit(store, app, set, sequence, owned).await {
                Ok(second) => write_layout(store, app, set, second).await,
                Err(error) => Err(error),
            },
            result => result,
        },
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error.clone().into()),
    };
    PerStore { profile: committed.profile, result }
}

/// What the first half of a write leaves for the second.
struct Commit {
    sequence: i64,
    manifest: bool,
    /// Entity tag of the manifest.
    etag: Option<String>,
    /// Part keys of the set before, that no manifest names any more.
    orphans: Vec<String>,
}

fn known_sequence(store: &S3Store, app: &AppId) -> Option<i64> {
    Some(memory::base(store, app)?.manifest?.content()?.sequence)
}

/// Writes parts and manifest. The manifest's condition is the proof that the epoch is ours: who raises it later has read
/// what was just written.
async fn commit(
    store: &S3Store,
    app: &AppId,
    set: &CaptureSet,
    sequence: i64,
    owned: &[Owned],
) -> Result<Commit, CaptureError> {
    let key = S3Key::manifest(app).to_string();
    let unwritable = |error: serde_json::Error| corrupt(store, &key, error.into());
    let mut race = Race::default();
    for _ in 0..ATTEMPTS {
        // Nothing is refused because of what is only remembered.
        let base = match memory::base(store, app).filter(|base| judge(store, app, base, set, owned).is_ok()) {
            Some(base) => base,
            None => {
                let base = memory::load(store, app, &set.writer, false).await?;
                judge(store, app, &base, set, owned)?;
                base
            }
        };
        let stored = base.manifest.as_deref();
        let floor = stored.and_then(Manifest::content).map_or(0, |content| content.sequence.saturating_add(1));
        let manifest = Manifest::of(app, set, sequence.max(floor)).map_err(unwritable)?;
        if let Some(content) = stored.filter(|stored| is_up_to_date(stored, &manifest, set)).and_then(Manifest::content)
        {
            return Ok(Commit { sequence: content.sequence, manifest: false, etag: base.etag, orphans: Vec::new() });
        }
        write_parts(store, app, set, &manifest, stored).await?;
        let body = manifest.body().map_err(unwritable)?;
        match put_conditionally(store, &key, body, base.etag.as_deref()).await {
            Ok(etag) => {
                let orphans = orphans(app, stored, &manifest);
                memory::wrote(store, app, Arc::new(manifest), etag.clone());
                return Ok(Commit { sequence: sequence.max(floor), manifest: true, etag: Some(etag), orphans });
            }
            Err(error) => {
                // What is stored now tells who was faster, or whether only the answer was lost. Another writer may have
                // written Ramen's layout too.
                memory::forget(store, app);
                if !race.goes_on(error) {
                    break;
                }
            }
        }
    }
    Err(race.given_up(store, &key).into())
}

/// Whether `set` may replace `base`.
fn judge(store: &S3Store, app: &AppId, base: &Base, set: &CaptureSet, owned: &[Owned]) -> Result<(), CaptureError> {
    let Some(stored) = &base.manifest else { return Ok(()) };
    standing(store, app, stored.writer(), &set.writer)?;
    refuse_loss(store, app, stored, set, owned)
}

/// A set of the writer's own in one of the stores.
struct Owned {
    /// Its place among all sets: as a reader has it, one that the writer has stored its VolumeReplicationGroup beside is of
    /// the writer's epoch, whoever put it together.
    order: (u64, i64),
    places: BTreeSet<ObjectRef>,
}

fn owned(stores: impl Iterator<Item = S3Store>, app: &AppId, writer: &EpochRecord) -> Vec<Owned> {
    let of = |store: S3Store| {
        let manifest = memory::base(&store, app)?.manifest.filter(|manifest| manifest.writer() == writer)?;
        let beside = memory::vrg(&store, app).is_some_and(|vrg| vrg.stored_by.as_ref() == Some(writer));
        let content = manifest.content().filter(|content| beside || content.author == *writer)?;
        let places = manifest.places().map(|(place, _)| place).collect();
        Some(Owned { order: (writer.epoch, content.sequence), places })
    };
    stores.filter_map(of).collect()
}

/// Whether the stored manifest says all that the new one would. Objects that a writer before put together count as its
/// own when the writer stores its VolumeReplicationGroup beside them; a set without one has to say it in the manifest.
fn is_up_to_date(stored: &Manifest, new: &Manifest, set: &CaptureSet) -> bool {
    let authored = stored.content().is_some_and(|content| content.author == set.writer);
    let confirmed = stored.content().is_some() && set.objects().contains_key(&ObjectRef::Vrg);
    stored.writer() == new.writer() && (authored || confirmed) && stored.digests() == new.digests()
}

/// Refuses a set that lacks what is stored and was not released. A store that was away may hold what was released, or
/// was never recovered, since: another store of this writer then has a newer set without it.
fn refuse_loss(
    store: &S3Store,
    app: &AppId,
    stored: &Manifest,
    set: &CaptureSet,
    owned: &[Owned],
) -> Result<(), CaptureError> {
    let keys: Vec<ObjectRef> = stored
        .places()
        .map(|(place, _)| place)
        .filter(|place| !set.objects().contains_key(place) && !set.released().contains(place))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let order = stored.content().map(|content| (content.author.epoch, content.sequence));
    let newer = |other: &&Owned| Some(other.order) > order;
    if owned.iter().filter(newer).any(|newer| keys.iter().all(|key| !newer.places.contains(key))) {
        let what: Vec<String> = keys.iter().map(ToString::to_string).collect();
        tracing::warn!(store = store.profile(), %app, ?what, "an older set is replaced; what it alone has stays in Ramen's layout");
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
async fn write_layout(store: &S3Store, app: &AppId, set: &CaptureSet, commit: Commit) -> Result<Written, CaptureError> {
    let (volumes, deleted) = memory::layout(store, app, |layout| {
        let volumes: Vec<(String, String, Vec<u8>)> = set
            .parts()
            .map(|(place, object)| {
                (S3Key::object(app, place.clone()).to_string(), codec::digest(object.json()), object)
            })
            .filter(|(key, digest, _)| layout.get(key).is_none_or(|known| known.as_ref() != Some(digest)))
            .map(|(key, digest, object)| (key, digest, codec::encode(object.json())))
            .collect();
        let deleted: Vec<String> = set
            .released()
            .iter()
            .flat_map(|place| keys_of(app, place))
            .filter(|key| layout.get(key).is_none_or(Option::is_some))
            .collect();
        (volumes, deleted)
    });
    // S3 first, then whoever waits for this releases the volume: a later failover must not bring it back.
    store.delete_many(&deleted).await?;
    memory::wrote_layout(store, app, deleted.iter().map(|key| (key.clone(), None)));
    let mut objects = volumes.len();
    let digests: Vec<(String, Option<String>)> =
        volumes.iter().map(|(key, digest, _)| (key.clone(), Some(digest.clone()))).collect();
    put_all(store, volumes.into_iter().map(|(key, _, body)| (key, body)).collect()).await?;
    memory::wrote_layout(store, app, digests);
    if let Some(vrg) = set.objects().get(&ObjectRef::Vrg) {
        objects += usize::from(write_vrg(store, app, vrg, &set.writer, commit.etag.as_deref()).await?);
    }
    note_complete_layout(store, app, &set.writer).await?;
    if let Err(error) = store.delete_many(&commit.orphans).await {
        // They waste some room until the application is deleted, and mislead nobody.
        tracing::debug!(%error, "parts of an older set stay");
    }
    Ok(Written { sequence: commit.sequence, manifest: commit.manifest, objects, deleted: deleted.len() })
}

/// Writes the VolumeReplicationGroup if it is not there as it is; whether it was written. It is conditional on the one
/// that is known: an old primary that has nothing else to write learns here that there is a new one. If the stored one
/// is not what was known, the `manifest` with this entity tag has to be there still.
async fn write_vrg(
    store: &S3Store,
    app: &AppId,
    vrg: &CapturedObject,
    writer: &EpochRecord,
    manifest: Option<&str>,
) -> Result<bool, CaptureError> {
    let key = S3Key::object(app, ObjectRef::Vrg).to_string();
    let vrg = fallback::marked(vrg, writer).map_err(|error| corrupt(store, &key, error.into()))?;
    let digest = codec::digest(vrg.json());
    let mut race = Race::default();
    for _ in 0..ATTEMPTS {
        let known = match memory::vrg(store, app).filter(|_| !race.was_lost()) {
            Some(known) => known,
            None => {
                let base = memory::load(store, app, writer, false).await?;
                if base.etag.as_deref() != manifest {
                    // Without the set that it belongs to it would be taken for one of no volumes.
                    return Err(CaptureError::Changed { profile: store.profile().to_owned(), app: app.clone() });
                }
                let unknown = || store.error(Operation::Get, &key, S3ErrorKind::Unreachable, "it could not be read");
                memory::vrg(store, app).ok_or_else(unknown)?
            }
        };
        if known.sha256.as_ref() == Some(&digest) {
            return Ok(race.was_lost());
        }
        match put_conditionally(store, &key, codec::encode(vrg.json()), known.etag.as_deref()).await {
            Ok(etag) => {
                memory::wrote_vrg(
                    store,
                    app,
                    Some(VrgCell { etag: Some(etag), sha256: Some(digest), stored_by: Some(writer.clone()) }),
                );
                return Ok(true);
            }
            Err(error) => {
                memory::wrote_vrg(store, app, None);
                if !race.goes_on(error) {
                    break;
                }
            }
        }
    }
    Err(race.given_up(store, &key).into())
}

/// Notes in the manifest that Ramen's layout is complete, so that whoever takes the set over need not write it again.
async fn note_complete_layout(store: &S3Store, app: &AppId, writer: &EpochRecord) -> Result<(), CaptureError> {
    let Some(Base { manifest: Some(manifest), etag: Some(etag) }) = memory::base(store, app) else { return Ok(()) };
    if manifest.layout_complete() || manifest.writer() != writer {
        return Ok(());
    }
    let there = memory::layout(store, app, |layout| {
        manifest
            .digests()
            .iter()
            .all(|(key, digest)| layout.get(key).is_some_and(|known| known.as_ref() == Some(digest)))
    });
    if !there {
        return Ok(());
    }
    let key = S3Key::manifest(app).to_string();
    let manifest = manifest.with_complete_layout();
    let body = manifest.body().map_err(|error| corrupt(store, &key, error.into()))?;
    match put_conditionally(store, &key, body, Some(&etag)).await {
        Ok(etag) => memory::wrote(store, app, Arc::new(manifest), etag),
        Err(error) => {
            tracing::debug!(%error, "it is not noted that the layout is complete");
            memory::forget(store, app);
            if error.kind == S3ErrorKind::Conflict {
                // A new primary may have come while the layout was written.
                memory::load(store, app, writer, false).await?;
            }
        }
    }
    Ok(())
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

/// Whether each store still holds what this process wrote or read there last: a store that was emptied, or whose bucket
/// expires objects, says nothing of it. Where it does not, the next write stores everything again.
pub async fn look_again(
    stores: &StoreSet,
    app: &AppId,
    writer: &EpochRecord,
) -> Vec<PerStore<Result<bool, CaptureError>>> {
    stores
        .on_all(|store| async move {
            let tags = || {
                let manifest = memory::base(&store, app).and_then(|base| base.etag);
                (manifest, memory::vrg(&store, app).and_then(|vrg| vrg.etag))
            };
            let known = tags();
            let look = memory::look(&store, app, false).await;
            let errors = [look.manifest.as_ref().err(), look.vrg.as_ref().err()];
            let silent = errors.into_iter().flatten().find(|e| !e.is_absent() && e.kind != S3ErrorKind::Corrupt);
            if let Some(error) = silent {
                return Err(error.clone().into());
            }
            if let Ok(manifest) = &look.manifest {
                standing(&store, app, manifest.writer(), writer)?;
            }
            if let Some(foreign) = look.foreign() {
                let key = S3Key::object(app, ObjectRef::Vrg).to_string();
                let since = foreign.updated.map(|updated| updated.to_string()).unwrap_or_default();
                let detail = format!(
                    "another product's primary has stored its VolumeReplicationGroup, as of {since}; if this cluster is the \
                     primary, restart its operator, and it is written over"
                );
                return Err(store.error(Operation::Get, &key, S3ErrorKind::Conflict, &detail).into());
            }
            Ok(look.manifest.is_ok() && tags() == known)
        })
        .await
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
            let look = memory::look(&store, app, false).await;
            match (&look.manifest, look.witness()) {
                (Ok(manifest), _) => standing(&store, app, manifest.writer(), writer)?,
                (Err(error), _) if error.is_absent() => {}
                (Err(error), Some(witness)) if error.kind == S3ErrorKind::Corrupt => {
                    standing(&store, app, witness, writer)?;
                }
                (Err(error), _) => return Err(error.clone().into()),
            }
            memory::forget(&store, app);
            Ok(store.delete_prefix(&app.prefix()).await?)
        })
        .await
}
