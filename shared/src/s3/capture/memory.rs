//! What this process knows of an application in one store, and the look that refreshes it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join;

use super::epoch::standing;
use super::fallback::StoredVrg;
use super::manifest::Manifest;
use super::{CaptureError, EpochRecord};
use crate::s3::error::{S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, ObjectRef, S3Key};
use crate::s3::store::S3Store;

/// What this process knows of an application in one store, so that nothing is written or read twice. Every write that
/// rests on it is conditional: wrong knowledge costs a refused write, nothing more.
#[derive(Debug, Default)]
pub(in crate::s3) struct Remembered {
    /// The manifest as this process wrote or read it; none if it is not known.
    base: Option<Base>,
    /// The VolumeReplicationGroup in Ramen's layout; none if it is not known.
    vrg: Option<VrgCell>,
    /// Objects of Ramen's layout by key: the digest that is known to be there, or none if this process deleted them.
    layout: HashMap<String, Option<String>>,
    /// Whether somebody was given `base` to restore from and has not claimed it yet.
    given: bool,
    /// Rises with every change by a writer: a reading that began before it is not remembered.
    changes: u64,
}

/// The manifest that a write goes out from; the entity tag is absent if nothing is stored, the manifest also if what is
/// stored cannot be understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    pub(super) manifest: Option<Arc<Manifest>>,
    pub(super) etag: Option<String>,
}

impl Base {
    /// Keys and digests of its objects.
    pub(super) fn digests(&self) -> Vec<(String, String)> {
        self.manifest.as_ref().map(|manifest| manifest.digests()).unwrap_or_default()
    }
}

/// The stored VolumeReplicationGroup, as far as the next write needs it.
#[derive(Clone, Debug, Default)]
pub(super) struct VrgCell {
    /// Entity tag; absent if there is none.
    pub(super) etag: Option<String>,
    /// sha256 of its text; absent if it cannot be unpacked.
    pub(super) sha256: Option<String>,
    /// Who wrote it; none for another product, or if it cannot be unpacked.
    pub(super) stored_by: Option<EpochRecord>,
}

/// One look at manifest and VolumeReplicationGroup.
pub(super) struct Look {
    pub(super) manifest: Result<Arc<Manifest>, S3Error>,
    /// Of the manifest, also if it cannot be understood.
    etag: Option<String>,
    /// The writer that a corrupt manifest still names.
    legible: Option<EpochRecord>,
    pub(super) vrg: Result<StoredVrg, S3Error>,
}

impl Look {
    /// The VolumeReplicationGroup of another product that became primary after the set was put together.
    pub(super) fn foreign(&self) -> Option<&StoredVrg> {
        let content = self.manifest.as_ref().ok()?.content()?;
        self.vrg.as_ref().ok().filter(|vrg| vrg.is_newer_and_foreign(content))
    }

    /// Who wrote last, as far as anything tells, where the manifest does not.
    pub(super) fn witness(&self) -> Option<&EpochRecord> {
        let vrg = self.vrg.as_ref().ok().and_then(|vrg| vrg.stored_by.as_ref());
        self.legible.iter().chain(vrg).max_by_key(|record| record.epoch)
    }
}

/// Looks at the store: two requests. `restoring`: what is found is handed out to restore from.
pub(super) async fn look(store: &S3Store, app: &AppId, restoring: bool) -> Look {
    let began = store.memory().get(app).map_or(0, |known| known.changes);
    let (manifest_key, vrg_key) = (S3Key::manifest(app).to_string(), S3Key::object(app, ObjectRef::Vrg).to_string());
    let (manifest, vrg) = join(store.get(&manifest_key), store.get(&vrg_key)).await;
    let etag = manifest.as_ref().ok().map(|object| object.etag.clone());
    let mut legible = None;
    let manifest = manifest.and_then(|object| {
        Manifest::read(store, app, &object).map(Arc::new).inspect_err(|_| legible = Manifest::writer_of(&object.body))
    });
    let vrg_etag = vrg.as_ref().ok().map(|object| object.etag.clone());
    let vrg = vrg.and_then(|object| StoredVrg::read(store, app, &object));
    let look = Look { manifest, etag, legible, vrg };
    let mut memory = store.memory();
    let known = memory.entry(app.clone()).or_default();
    if known.changes == began {
        known.learn(&look, vrg_etag, restoring);
    }
    look
}

impl Remembered {
    fn learn(&mut self, look: &Look, vrg_etag: Option<String>, restoring: bool) {
        let base = match &look.manifest {
            Ok(manifest) => Some(Base { manifest: Some(manifest.clone()), etag: look.etag.clone() }),
            Err(error) if error.is_absent() => Some(Base::default()),
            Err(_) => None,
        };
        let same = matches!((&self.base, &base), (Some(old), Some(new)) if old.etag == new.etag);
        // Only a VolumeReplicationGroup with our marker shows that nobody but us has written the layout since.
        let ours = look.vrg.as_ref().is_ok_and(|vrg| vrg.stored_by.is_some());
        if !(same && ours) {
            self.layout.clear();
        }
        if let (Ok(manifest), true) = (&look.manifest, ours)
            && manifest.layout_complete()
        {
            self.layout.extend(manifest.digests().into_iter().map(|(key, sha256)| (key, Some(sha256))));
        }
        self.vrg = match (&look.vrg, vrg_etag) {
            (Ok(vrg), etag) => {
                Some(VrgCell { etag, sha256: Some(vrg.sha256.clone()), stored_by: vrg.stored_by.clone() })
            }
            (Err(_), Some(etag)) => Some(VrgCell { etag: Some(etag), ..VrgCell::default() }),
            (Err(error), None) if error.is_absent() => Some(VrgCell::default()),
            (Err(_), None) => None,
        };
        self.given = restoring && base.is_some();
        self.base = base;
    }
}

fn with<T>(store: &S3Store, app: &AppId, change: impl FnOnce(&mut Remembered) -> T) -> T {
    change(store.memory().entry(app.clone()).or_default())
}

/// The manifest as far as it is remembered.
pub(super) fn base(store: &S3Store, app: &AppId) -> Option<Base> {
    store.memory().get(app)?.base.clone()
}

/// The manifest that was handed out to restore from and not claimed since; once.
pub(super) fn take_given(store: &S3Store, app: &AppId) -> Option<Base> {
    with(store, app, |known| if std::mem::take(&mut known.given) { known.base.clone() } else { None })
}

/// A manifest was written.
pub(super) fn wrote(store: &S3Store, app: &AppId, manifest: Arc<Manifest>, etag: String) {
    with(store, app, |known| {
        known.changes += 1;
        known.given = false;
        known.base = Some(Base { manifest: Some(manifest), etag: Some(etag) });
    });
}

/// Nothing is believed any more.
pub(super) fn forget(store: &S3Store, app: &AppId) {
    with(store, app, |known| {
        let changes = known.changes + 1;
        *known = Remembered { changes, ..Remembered::default() };
    });
}

/// The VolumeReplicationGroup as far as it is remembered.
pub(super) fn vrg(store: &S3Store, app: &AppId) -> Option<VrgCell> {
    store.memory().get(app)?.vrg.clone()
}

/// The VolumeReplicationGroup was written, or (none) nobody knows whether.
pub(super) fn wrote_vrg(store: &S3Store, app: &AppId, cell: Option<VrgCell>) {
    with(store, app, |known| {
        known.changes += 1;
        known.vrg = cell;
    });
}

/// Asks for what is known of the layout: the digest under each key, or none if it was deleted.
pub(super) fn layout<T>(store: &S3Store, app: &AppId, ask: impl FnOnce(&HashMap<String, Option<String>>) -> T) -> T {
    with(store, app, |known| ask(&known.layout))
}

/// Objects of the layout were written (with their digest) or deleted.
pub(super) fn wrote_layout(store: &S3Store, app: &AppId, objects: impl IntoIterator<Item = (String, Option<String>)>) {
    with(store, app, |known| {
        known.changes += 1;
        known.layout.extend(objects);
    });
}

/// The stored manifest for a writer `mine`, freshly read, if `mine` may go on from it.
///
/// One that cannot be understood is replaced under its entity tag, unless something tells of a newer writer. A claim
/// replaces it only where Ramen's layout remains to be read: otherwise the evidence that something is there would go.
pub(super) async fn load(
    store: &S3Store,
    app: &AppId,
    mine: &EpochRecord,
    claiming: bool,
) -> Result<Base, CaptureError> {
    let look = look(store, app, false).await;
    match &look.manifest {
        Ok(manifest) => {
            standing(store, app, manifest.writer(), mine)?;
            Ok(Base { manifest: Some(manifest.clone()), etag: look.etag })
        }
        Err(error) if error.is_absent() => Ok(Base::default()),
        Err(error) if error.kind == S3ErrorKind::Corrupt => {
            if let Some(witness) = look.witness() {
                standing(store, app, witness, mine)?;
            }
            if claiming && look.vrg.is_err() {
                return Err(error.clone().into());
            }
            tracing::warn!(%error, "a corrupt manifest is replaced");
            Ok(Base { manifest: None, etag: look.etag })
        }
        Err(error) => Err(error.clone().into()),
    }
}
