//! Reading and raising the epoch of an application: the writer that the manifest names.

use std::sync::Arc;

use super::manifest::Manifest;
use super::memory::{self, Base};
use super::{CaptureError, EpochRecord, Race, corrupt, put_conditionally};
use crate::s3::error::{S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, S3Key};
use crate::s3::set::{PerStore, StoreSet};
use crate::s3::store::S3Store;

/// How often a lost race is run again. Each loss means that another writer got further.
const ATTEMPTS: usize = 5;

/// The epoch of `app` in each store; none where none was ever raised.
pub async fn read_epoch(stores: &StoreSet, app: &AppId) -> Vec<PerStore<Result<Option<EpochRecord>, S3Error>>> {
    stores
        .on_all(|store| async move {
            match store.get(&S3Key::manifest(app).to_string()).await {
                Ok(object) => Ok(Some(Manifest::read(&store, app, &object)?.writer().clone())),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
}

/// Raises the epoch of `app` to `mine` in each store: the manifest is written again with the same objects and `mine` as
/// its writer, if it is still the one that was read. Where there is none, one without objects says who may write.
/// Repeating it is harmless.
///
/// After [`read_newest_capture`][super::read_newest_capture] with the same [`S3Store`]s it is one request per store, and
/// it holds for exactly what was read: a set that was changed meanwhile is [`CaptureError::Changed`]. Without it the
/// stores are looked at first.
///
/// The promotion may go on if no store refused, that is, if no error [is a supersession][CaptureError::is_superseded] or
/// a change, and at least one store took it. If two clusters race with the same number, each store has one winner; with
/// several stores both may have lost, and neither goes on.
pub async fn raise_epoch(
    stores: &StoreSet,
    app: &AppId,
    mine: &EpochRecord,
) -> Vec<PerStore<Result<(), CaptureError>>> {
    stores.on_all(|store| async move { raise(&store, app, mine).await }).await
}

/// Takes back what [`raise_epoch`] wrote for `mine` where nobody has stored anything under it: a manifest that only says
/// who may write says afterwards that nobody does, or an application of the same name could not begin on another cluster.
/// All else that is stored stays, also what is stored while this looks: it is written over, on a condition, and not
/// deleted. Says whether there was one.
pub async fn withdraw_claim(
    stores: &StoreSet,
    app: &AppId,
    mine: &EpochRecord,
) -> Vec<PerStore<Result<bool, S3Error>>> {
    stores.on_all(|store| async move { withdraw(&store, app, mine).await }).await
}

async fn withdraw(store: &S3Store, app: &AppId, mine: &EpochRecord) -> Result<bool, S3Error> {
    let key = S3Key::manifest(app).to_string();
    let object = match store.get(&key).await {
        Ok(object) => object,
        Err(error) if error.is_absent() => return Ok(false),
        Err(error) => return Err(error),
    };
    let manifest = Manifest::read(store, app, &object)?;
    if manifest.writer() != mine || manifest.content().is_some() {
        return Ok(false);
    }
    memory::forget(store, app);
    let nobody = EpochRecord { epoch: 0, cluster: String::new(), action_id: String::new() };
    let body = Manifest::claim(None, &nobody).body().map_err(|error| corrupt(store, &key, error.into()))?;
    match put_conditionally(store, &key, body, Some(&object.etag)).await {
        Ok(_) => Ok(true),
        // Somebody was faster, and it is theirs now.
        Err(error) if error.kind == S3ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a writer `mine` may go on where `found` is stored.
pub(super) fn standing(
    store: &S3Store,
    app: &AppId,
    found: &EpochRecord,
    mine: &EpochRecord,
) -> Result<(), CaptureError> {
    let (profile, app, stored) = (store.profile().to_owned(), app.clone(), Box::new(found.clone()));
    if found.epoch > mine.epoch {
        return Err(CaptureError::StaleEpoch { profile, app, stored, mine: mine.epoch });
    }
    if found.epoch == mine.epoch && found.cluster != mine.cluster {
        return Err(CaptureError::EpochTaken { profile, app, stored, mine: mine.cluster.clone() });
    }
    Ok(())
}

async fn raise(store: &S3Store, app: &AppId, mine: &EpochRecord) -> Result<(), CaptureError> {
    let key = S3Key::manifest(app).to_string();
    let given = memory::take_given(store, app);
    // What the caller restores from must be what it becomes the owner of.
    let expected = given.as_ref().map(Base::digests);
    // Somebody is refused only by what is stored now.
    let mut known = given.filter(|base| {
        base.manifest.as_ref().is_none_or(|manifest| standing(store, app, manifest.writer(), mine).is_ok())
    });
    let mut race = Race::default();
    for _ in 0..ATTEMPTS {
        let base = match known.take() {
            Some(base) => base,
            None => memory::load(store, app, mine, true).await?,
        };
        if base.manifest.as_ref().is_some_and(|manifest| manifest.writer().epoch == mine.epoch) {
            return Ok(());
        }
        if expected.as_ref().is_some_and(|expected| *expected != base.digests()) {
            return Err(CaptureError::Changed { profile: store.profile().to_owned(), app: app.clone() });
        }
        let manifest = Manifest::claim(base.manifest.as_deref(), mine);
        let body = manifest.body().map_err(|error| corrupt(store, &key, error.into()))?;
        match put_conditionally(store, &key, body, base.etag.as_deref()).await {
            Ok(etag) => {
                memory::wrote(store, app, Arc::new(manifest), etag);
                return Ok(());
            }
            Err(error) => {
                memory::forget(store, app);
                // Somebody was faster, or the answer was lost: what is stored now tells which.
                if !race.goes_on(error) {
                    break;
                }
            }
        }
    }
    Err(race.given_up(store, &key).into())
}
