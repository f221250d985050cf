//! What a writer itself has stored: it tells whether a store was away, and is what stays of objects that cannot be stored
//! as they are now.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;

use super::manifest::Manifest;
use super::{CaptureError, CaptureSet, EpochRecord, memory};
use crate::s3::layout::{AppId, ObjectRef};
use crate::s3::store::S3Store;

/// A set of the writer's own in one of the stores.
pub(super) struct Owned {
    /// Its place among all sets: as a reader has it, one that the writer has stored its VolumeReplicationGroup beside is of
    /// the writer's epoch, whoever put it together.
    pub(super) order: (u64, i64),
    pub(super) places: BTreeSet<ObjectRef>,
}

/// The sets of the writer's own, as far as this process knows of them.
pub(super) fn owned(stores: &[S3Store], app: &AppId, writer: &EpochRecord) -> Vec<Owned> {
    let of = |store| {
        let (sequence, manifest) = own_set(store, app, writer)?;
        let places = manifest.places().map(|(place, _)| place).collect();
        Some(Owned { order: (writer.epoch, sequence), places })
    };
    stores.iter().filter_map(of).collect()
}

/// The set that the writer put together, or has stored its VolumeReplicationGroup beside, and its sequence.
fn own_set(store: &S3Store, app: &AppId, writer: &EpochRecord) -> Option<(i64, Arc<Manifest>)> {
    let manifest = memory::base(store, app)?.manifest.filter(|manifest| manifest.writer() == writer)?;
    let beside = memory::vrg(store, app).is_some_and(|vrg| vrg.stored_by.as_ref() == Some(writer));
    let content = manifest.content().filter(|content| beside || content.author == *writer)?;
    Some((content.sequence, manifest))
}

/// The set with what is to [stay as it is stored][CaptureSet::keep], from the writer's newest set. That of a writer before
/// it does not do: another cluster knows the same volume by another handle. All stores get the same copy.
pub(super) async fn with_kept<'a>(
    stores: &[S3Store],
    app: &AppId,
    set: &'a CaptureSet,
) -> Result<Cow<'a, CaptureSet>, CaptureError> {
    if set.kept.is_empty() {
        return Ok(Cow::Borrowed(set));
    }
    // One that does not answer has nothing to give; why not, its own write says.
    let unknown = stores.iter().filter(|store| memory::base(store, app).is_none());
    join_all(unknown.map(|store| memory::look(store, app, false))).await;
    let own: Vec<(&S3Store, i64, Arc<Manifest>)> = stores
        .iter()
        .filter_map(|store| own_set(store, app, &set.writer).map(|(sequence, manifest)| (store, sequence, manifest)))
        .collect();
    let newest = own.iter().map(|(_, sequence, _)| *sequence).max();
    for (store, _, manifest) in own.iter().filter(|(_, sequence, _)| Some(*sequence) == newest) {
        match manifest.objects_at(store, app, |place| set.kept.contains(place)).await {
            Ok(objects) if objects.len() == set.kept.len() => {
                let mut whole = set.clone();
                whole.objects.extend(objects);
                return Ok(Cow::Owned(whole));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a part that is to be kept cannot be read"),
        }
    }
    Err(CaptureError::NothingToKeep { app: app.clone(), keys: set.kept.iter().cloned().collect() })
}
