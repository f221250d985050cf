// BEING REWORKED RIGHT NOW BY THE "S3 requests" HELPER: do not edit this folder, and leave the count of S3 requests to it.
//! Reading and raising the epoch of an application.

use super::{CaptureError, EpochRecord, corrupt, put_conditionally};
use crate::s3::codec;
use crate::s3::error::{Operation, S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, S3Key};
use crate::s3::set::{PerStore, StoreSet};
use crate::s3::store::S3Store;

/// How often a lost race is run again. Each loss means that another writer got further.
const ATTEMPTS: usize = 5;

/// The epoch of `app` in each store; none where none was ever raised.
pub async fn read_epoch(stores: &StoreSet, app: &AppId) -> Vec<PerStore<Result<Option<EpochRecord>, S3Error>>> {
    stores
        .on_all(|store| async move {
            match stored(&store, app).await {
                Ok((record, _)) => Ok(Some(record)),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
}

/// Raises the epoch of `app` to `mine` in each store, by compare-and-swap. Repeating it is harmless. Two requests per
/// store, if nobody else raises it at the same time.
///
/// The promotion may go on if no store refused, that is, if no error [is a supersession][CaptureError::is_superseded],
/// and at least one store took it. If two clusters race with the same number, each store has one winner; with several
/// stores both may have lost, and neither goes on.
pub async fn raise_epoch(
    stores: &StoreSet,
    app: &AppId,
    mine: &EpochRecord,
) -> Vec<PerStore<Result<(), CaptureError>>> {
    stores.on_all(|store| async move { raise(&store, app, mine).await }).await
}

pub(super) async fn stored(store: &S3Store, app: &AppId) -> Result<(EpochRecord, String), S3Error> {
    let key = S3Key::epoch(app).to_string();
    let object = store.get(&key).await?;
    let record = codec::decode(&object.body).map_err(|error| corrupt(store, &key, error))?;
    Ok((record, object.etag))
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

/// Makes sure that the store holds the epoch of `mine`: one request if it does.
pub(super) async fn raise(store: &S3Store, app: &AppId, mine: &EpochRecord) -> Result<(), CaptureError> {
    let key = S3Key::epoch(app).to_string();
    let json = codec::to_json(mine).map_err(|error| corrupt(store, &key, error.into()))?;
    let body = codec::encode(&json);
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let etag = match stored(store, app).await {
            Ok((found, etag)) => {
                standing(store, app, &found, mine)?;
                if found.epoch == mine.epoch {
                    return Ok(());
                }
                Some(etag)
            }
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(error.into()),
        };
        match put_conditionally(store, &key, body.clone(), etag.as_deref()).await {
            Ok(_) => return Ok(()),
            // Somebody was faster, or the answer was lost: what is stored now tells which.
            Err(error) if error.kind == S3ErrorKind::Conflict || (error.is_unreachable() && last.is_none()) => {
                last = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let error = last.unwrap_or_else(|| store.error(Operation::Put, &key, S3ErrorKind::Conflict, "lost every race"));
    Err(error.into())
}
