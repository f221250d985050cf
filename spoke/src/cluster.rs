//! The watched copies of everything that the operator looks at, and what it wrote itself a moment ago.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttachment};
use kaedama_shared::api::csiaddons::{VolumeReplication, VolumeReplicationClass};
use kaedama_shared::api::{VolumeReplicationGroup, VolumeReplicationGroupReport};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::{Cache, Installations, Scope, is_gone};
use kaedama_shared::harness::metrics::HarnessMetrics;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::vrg::owner;

/// How long a note of what was written here is kept although the watch has not shown it. It is handed over to the copy
/// then, which keeps it until the watch has come that far: a watch may be behind for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far a copy may be behind before nothing is decided on it at all, and some more. A note that is older was not asked
/// for in all that time, and says nothing any more.
const BEHIND: Duration = Duration::from_secs(120);

/// Watched copies of the kinds of one cluster.
#[derive(Clone)]
pub struct Caches {
    /// The groups, by [`namespaces_of`] them.
    pub groups: Kept<VolumeReplicationGroup>,
    /// Where the hub wants reports on them; the kind may be missing.
    pub reports: Kept<VolumeReplicationGroupReport>,
    /// Claims, grouped by [`owner::label`].
    pub claims: Kept<PersistentVolumeClaim>,
    /// Volumes.
    pub volumes: Kept<PersistentVolume>,
    /// Replications of claims; the kind may be missing.
    pub replications: Kept<VolumeReplication>,
    /// Their classes; the kind may be missing.
    pub replication_classes: Cache<VolumeReplicationClass>,
    /// Storage classes.
    pub storage_classes: Cache<StorageClass>,
    /// Pods, to see early who uses a claim.
    pub pods: Cache<Pod>,
    /// Attachments, grouped by their volume; the kind may be missing.
    pub attachments: Cache<VolumeAttachment>,
    /// ConfigMaps of the operator's namespace.
    pub config_maps: Cache<ConfigMap>,
    /// Secrets of the operator's namespace.
    pub secrets: Cache<Secret>,
    /// When a kind that is missing may have been installed.
    pub installations: Installations,
}

impl Caches {
    /// Starts watching. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(client: &Client, namespace: &str, metrics: &HarnessMetrics) -> Self {
        let scope = || Scope::default().metrics(metrics);
        let installations = Installations::start(client.clone());
        let optional = || scope().optional_by(&installations);
        Self {
            groups: Kept::new(Cache::start_grouped(
                "volumereplicationgroups",
                Api::all(client.clone()),
                scope(),
                namespaces_of,
            )),
            // RamenDR's installations have neither the kind nor a right to it, and its hub asks for none.
            reports: Kept::new(Cache::start(
                "volumereplicationgroupreports",
                Api::all(client.clone()),
                optional().dispensable(),
            )),
            claims: Kept::new(Cache::start_grouped(
                "persistentvolumeclaims",
                Api::all(client.clone()),
                scope(),
                |claim: &PersistentVolumeClaim| owner::label(&claim.metadata).into_iter().collect(),
            )),
            volumes: Kept::new(Cache::start("persistentvolumes", Api::all(client.clone()), scope())),
            replications: Kept::new(Cache::start("volumereplications", Api::all(client.clone()), optional())),
            replication_classes: Cache::start("volumereplicationclasses", Api::all(client.clone()), optional()),
            storage_classes: Cache::start("storageclasses", Api::all(client.clone()), scope()),
            pods: Cache::start("pods", Api::all(client.clone()), scope()),
            attachments: Cache::start_grouped(
                "volumeattachments",
                Api::all(client.clone()),
                optional(),
                |attachment: &VolumeAttachment| attachment.spec.source.persistent_volume_name.iter().cloned().collect(),
            ),
            config_maps: Cache::start("configmaps", Api::namespaced(client.clone(), namespace), scope()),
            secrets: Cache::start("secrets", Api::namespaced(client.clone(), namespace), scope()),
            installations: installations.clone(),
        }
    }

    /// Why the copies that decisions rest on cannot be believed at present.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let doubts = [
            self.groups.cache.doubt(),
            self.claims.cache.doubt(),
            self.volumes.cache.doubt(),
            self.replications.cache.doubt(),
            self.replication_classes.doubt(),
            self.storage_classes.doubt(),
        ];
        doubts.into_iter().flatten().next()
    }
}

/// The namespaces whose claims a group may protect: the groups of the copy of groups.
#[must_use]
pub fn namespaces_of(group: &VolumeReplicationGroup) -> Vec<String> {
    let mut namespaces = group.spec.protected_namespaces.clone();
    namespaces.extend(group.metadata.namespace.clone());
    namespaces
}

/// A watched copy, and on top of it what this process wrote and the watch has not shown yet.
///
/// Without this a pass that follows a write closely would see the old object, and write again or decide on what is no
/// longer so.
pub struct Kept<K> {
    /// The copy.
    pub cache: Cache<K>,
    own: Arc<Mutex<HashMap<ObjectKey, Own<K>>>>,
}

impl<K> Clone for Kept<K> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), own: self.own.clone() }
    }
}

enum Own<K> {
    Written { object: Arc<K>, created: bool, at: Instant },
    Gone { uid: String, at: Instant },
}

impl<K> Kept<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    fn new(cache: Cache<K>) -> Self {
        Self { cache, own: Arc::default() }
    }

    /// The API server answered a write with this object, which may have gone with the write.
    pub fn wrote(&self, object: K) {
        if is_gone(&object) {
            let uid = object.meta().uid.clone().unwrap_or_default();
            return self.gone(ObjectKey::of(&object), &uid);
        }
        self.note(
            ObjectKey::of(&object),
            Own::Written { object: Arc::new(object), created: false, at: Instant::now() },
        );
    }

    /// The API server created this object.
    pub fn created(&self, object: K) {
        self.note(ObjectKey::of(&object), Own::Written { object: Arc::new(object), created: true, at: Instant::now() });
    }

    /// The API server says that the object with this uid is gone.
    pub fn gone(&self, key: ObjectKey, uid: &str) {
        self.note(key, Own::Gone { uid: uid.to_owned(), at: Instant::now() });
    }

    /// The object of this name.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let seen = self.cache.get(key);
        let mut own = self.lock();
        let Some(noted) = own.get(key) else { return seen };
        match merge(noted, seen.as_ref()) {
            Merged::Noted(object) => object,
            Merged::Seen => {
                own.remove(key);
                seen
            }
            Merged::HandOver(object) => {
                own.remove(key);
                self.cache.note_written((*object).clone());
                self.cache.get(key)
            }
        }
    }

    /// The objects in these namespaces, and those of this group of the copy, that `wanted` accepts, by key. Of objects that
    /// are neither `wanted` must not accept any: they are not looked at.
    #[must_use]
    pub fn among(&self, namespaces: &[String], group: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        // Read before the copy, and each again after it: what the watch shows meanwhile is not missed.
        let own = self.pending();
        let in_namespaces = namespaces.iter().flat_map(|namespace| self.cache.within(namespace, &wanted));
        let of_group = self.cache.grouped(group).into_iter().filter(|object| wanted(object));
        let seen = in_namespaces.chain(of_group).map(|object| (ObjectKey::of(&*object), object));
        let mut found: BTreeMap<ObjectKey, Arc<K>> = seen.filter(|(key, _)| !own.contains(key)).collect();
        let written = own.into_iter().filter_map(|key| Some((self.get(&key)?, key)));
        found.extend(written.filter(|(object, _)| wanted(object)).map(|(object, key)| (key, object)));
        found.into_values().collect()
    }

    /// What was written here and the watch has not shown yet.
    fn pending(&self) -> BTreeSet<ObjectKey> {
        let mut own = self.lock();
        own.retain(|key, noted| match merge(noted, self.cache.get(key).as_ref()) {
            Merged::Noted(_) => true,
            Merged::Seen => false,
            Merged::HandOver(object) => {
                self.cache.note_written((*object).clone());
                false
            }
        });
        own.keys().cloned().collect()
    }

    fn note(&self, key: ObjectKey, own: Own<K>) {
        self.lock().insert(key, own);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Own<K>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is true of an object, from what was written and what the watch shows.
#[derive(Debug, PartialEq)]
enum Merged<K> {
    /// What was noted.
    Noted(Option<Arc<K>>),
    /// What the watch shows: it knows as much, or the note has served its time.
    Seen,
    /// Only the copy can tell, because it knows how far the watch has come: it takes in what was written, unless the watch
    /// has passed that already.
    HandOver(Arc<K>),
}

fn merge<K: Resource>(noted: &Own<K>, seen: Option<&Arc<K>>) -> Merged<K> {
    let (Own::Written { at, .. } | Own::Gone { at, .. }) = noted;
    let age = at.elapsed();
    if age > BEHIND {
        return Merged::Seen;
    }
    match (noted, seen) {
        // A uid never comes back.
        (Own::Gone { uid, .. }, Some(seen)) if seen.meta().uid.as_deref() == Some(uid) => Merged::Noted(None),
        (Own::Gone { .. }, _) => Merged::Seen,
        (Own::Written { object, .. }, Some(seen)) if !is_newer(&**object, &**seen) => Merged::Seen,
        // Of one that was created or is shown, the watch was behind a moment ago.
        (Own::Written { object, created, .. }, seen) if age <= PATIENCE && (*created || seen.is_some()) => {
            Merged::Noted(Some(object.clone()))
        }
        (Own::Written { object, .. }, _) => Merged::HandOver(object.clone()),
    }
}

fn is_newer<K: Resource>(own: &K, seen: &K) -> bool {
    let version = |object: &K| object.meta().resource_version.as_deref().and_then(|text| text.parse::<u64>().ok());
    matches!((version(own), version(seen)), (Some(own), Some(seen)) if own > seen)
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
