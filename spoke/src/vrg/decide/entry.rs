//! The claim as the status lists it: what a peer must know of it, without its conditions.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::{Identifier, ProtectedPVC};
use kaedama_shared::names;

use super::classify::{self, Mechanism};
use crate::vrg::plan::{Entry, Verdict};
use crate::vrg::snapshot::{Classes, Replication, Volume};

/// An entry with these conditions.
pub fn entry(
    classes: &Classes,
    volume: &Volume,
    mechanism: Option<&Mechanism<'_>>,
    verdicts: impl IntoIterator<Item = (&'static str, Verdict)>,
) -> Entry {
    let key = volume.key();
    let spec = volume.claim.spec.clone().unwrap_or_default();
    let mut pvc = ProtectedPVC {
        namespace: key.namespace().to_owned(),
        name: key.name.clone(),
        storage_class_name: volume.storage_class().to_owned(),
        labels: volume.claim.metadata.labels.clone().unwrap_or_default(),
        access_modes: spec.access_modes.unwrap_or_default(),
        resources: spec.resources.unwrap_or_default(),
        volume_mode: spec.volume_mode.unwrap_or_default(),
        ..ProtectedPVC::default()
    };
    // The hub drives maintenance modes by these identities; shared storage has none.
    if let (Some(Mechanism::Replication(replication)), Ok(class)) =
        (mechanism, classify::storage_class(classes, volume))
    {
        pvc.csi_provisioner.clone_from(&class.provisioner);
        pvc.storage_id = identifier(labels_of(class), names::STORAGE_ID);
        pvc.replication_id = identifier(&replication.labels, names::REPLICATION_ID);
    }
    Entry { pvc, verdicts: verdicts.into_iter().collect() }
}

/// Copies the counters of the last synchronisation.
pub fn count(entry: &mut Entry, replication: &Replication) {
    entry.pvc.last_sync_time.clone_from(&replication.last_sync_time);
    entry.pvc.last_sync_duration = replication.last_sync_duration;
    entry.pvc.last_sync_bytes = replication.last_sync_bytes;
}

fn labels_of(class: &StorageClass) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    class.metadata.labels.as_ref().unwrap_or(&NONE)
}

fn identifier(labels: &BTreeMap<String, String>, key: &str) -> Identifier {
    let id = labels.get(key).cloned().unwrap_or_default();
    let modes = labels.get(names::MAINTENANCE_MODES).map(String::as_str).unwrap_or_default();
    // Only one mode is known; others are left out, as the reference product does.
    let modes = modes.split(',').map(str::trim).filter(|mode| *mode == "Failover").map(Into::into).collect();
    Identifier { id, modes }
}
