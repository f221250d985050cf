//! Which of the sets that the stores offer is the newest.

use super::Objects;
use super::manifest::Manifest;
use super::memory;
use super::read::{Candidate, Content, RecoverySet, Source, StoreReading, failed};
use crate::s3::error::{S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, ObjectRef};
use crate::s3::set::PerStore;
use crate::s3::store::S3Store;

/// Whether `a` goes before `b`: complete before incomplete, then the later.
pub(super) fn newer(a: &Candidate, b: &Candidate) -> bool {
    if a.gaps.is_empty() != b.gaps.is_empty() {
        return a.gaps.is_empty();
    }
    later(a, b)
}

/// Whether `a` is later than `b`, however complete each is: captures by epoch and sequence; Ramen's layout before a capture
/// only if a primary wrote it later; copies of Ramen's layout by Ramen's own rule, the latest primary.
fn later(a: &Candidate, b: &Candidate) -> bool {
    match (&a.source, &b.source) {
        (
            Source::Capture { epoch, sequence, .. },
            Source::Capture { epoch: other_epoch, sequence: other_sequence, .. },
        ) => (epoch, sequence) > (other_epoch, other_sequence),
        (Source::RamenLayout { .. }, Source::RamenLayout { .. }) => (a.primary, a.as_of) > (b.primary, b.as_of),
        (Source::RamenLayout { .. }, Source::Capture { .. }) => a.primary && a.as_of > b.as_of,
        (Source::Capture { .. }, Source::RamenLayout { .. }) => !(b.primary && b.as_of > a.as_of),
    }
}

/// Takes the newest that can be read completely; a store whose set turns out to be damaged says so in its reading. With it
/// come the later ones that are not complete.
pub(super) async fn choose(
    mut candidates: Vec<Candidate>,
    app: &AppId,
    readings: &mut [PerStore<StoreReading>],
) -> (Option<RecoverySet>, Vec<RecoverySet>) {
    while !candidates.is_empty() {
        let best = (0..candidates.len())
            .reduce(|best, at| if newer(&candidates[at], &candidates[best]) { at } else { best })
            .unwrap_or_default();
        let mut chosen = candidates.remove(best);
        let objects = match std::mem::replace(&mut chosen.content, Content::Objects(Objects::new())) {
            Content::Objects(objects) => Ok(objects),
            Content::Manifest(manifest, vrg) => objects_of(&manifest, &chosen.store, app).await.map(|mut objects| {
                objects.extend(vrg.map(|vrg| (ObjectRef::Vrg, vrg.object)));
                objects
            }),
        };
        match objects {
            Ok(objects) => {
                candidates.retain(|other| !other.gaps.is_empty() && later(other, &chosen));
                let passed_over = candidates.into_iter().filter_map(|mut other| {
                    match std::mem::replace(&mut other.content, Content::Objects(Objects::new())) {
                        Content::Objects(objects) => Some(recovery_set(other, objects)),
                        // A manifest is complete.
                        Content::Manifest(..) => None,
                    }
                });
                let passed_over = passed_over.collect();
                return (Some(recovery_set(chosen, objects)), passed_over);
            }
            Err(mut error) => {
                if error.is_absent() {
                    // A part that the manifest names is gone: the set is damaged, not absent.
                    error.kind = S3ErrorKind::Corrupt;
                }
                if let Some(reading) = readings.get_mut(chosen.at) {
                    reading.result = failed(error);
                }
            }
        }
    }
    (None, Vec::new())
}

fn recovery_set(candidate: Candidate, objects: Objects) -> RecoverySet {
    let Candidate { store, source, gaps, vrg_unread, .. } = candidate;
    RecoverySet { profile: store.profile().to_owned(), source, objects, gaps, vrg_unread }
}

/// The objects of a manifest. If a part is gone, a writer may have replaced the set meanwhile: the set is read once more.
async fn objects_of(manifest: &Manifest, store: &S3Store, app: &AppId) -> Result<Objects, S3Error> {
    match manifest.objects(store, app).await {
        Err(error) if error.is_absent() => memory::look(store, app, true).await.manifest?.objects(store, app).await,
        result => result,
    }
}
