//! A watch that never gives up, with the objects it has seen.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use kaedama_shared::harness::cache;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Resource};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{ObjectKey, backoff};

/// An object of a kind that others write: one that cannot be read does not hide the rest. Read once, from its text, and
/// without its managed fields.
#[derive(Clone, Debug)]
pub(in crate::ocm) struct Guarded<K>(DeserializeGuard<K>);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        cache::decode(text.get(), false).map(Self).map_err(D::Error::custom)
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// The objects that a watch has seen. Cheap to clone.
pub(in crate::ocm) struct Store<K> {
    objects: Arc<RwLock<BTreeMap<ObjectKey, Arc<K>>>>,
    ready: watch::Sender<bool>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), ready: self.ready.clone() }
    }
}

impl<K> Store<K> {
    pub(in crate::ocm) fn new() -> Self {
        Self { objects: Arc::default(), ready: watch::Sender::new(false) }
    }

    /// The object of a key.
    pub(in crate::ocm) fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All objects, by key.
    pub(in crate::ocm) fn all(&self) -> Vec<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Waits until the first list is complete: before that, absence in the store proves nothing.
    pub(in crate::ocm) async fn ready(&self) {
        // The sender lives in self, so the channel cannot be closed.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    fn insert(&self, object: &Arc<K>)
    where
        K: Resource,
    {
        let key = ObjectKey::of(object.as_ref());
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(key, object.clone());
    }

    fn remove(&self, key: &ObjectKey) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn replace(&self, objects: BTreeMap<ObjectKey, Arc<K>>) -> BTreeMap<ObjectKey, Arc<K>> {
        std::mem::replace(&mut *self.objects.write().unwrap_or_else(PoisonError::into_inner), objects)
    }
}

/// What a watch has seen.
pub(in crate::ocm) enum Change<'a, K> {
    /// The object is new, or has changed.
    Applied(&'a K),
    /// The object is gone; this is its last known state.
    Gone(&'a K),
}

impl<K> Change<'_, K> {
    /// The object, whatever happened to it.
    pub(in crate::ocm) fn object(&self) -> &K {
        match self {
            Change::Applied(object) | Change::Gone(object) => object,
        }
    }
}

/// Watches for ever: keeps the store, and tells of every change after the store has it. After a broken connection
/// the changes in between are told, deletions included.
pub(in crate::ocm) async fn follow<K>(
    api: Api<Guarded<K>>,
    config: Config,
    store: &Store<K>,
    tell: impl Fn(Change<'_, K>),
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = pin!(watcher(api, config));
    let mut listed = BTreeMap::new();
    let mut failures = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(guarded)) => {
                // An object that cannot be read stays as it was known before.
                if let Ok(object) = readable(guarded).or_else(|key| store.get(&key).ok_or(key)) {
                    listed.insert(ObjectKey::of(object.as_ref()), object);
                }
            }
            Ok(Event::InitDone) => {
                failures = 0;
                relisted(store, std::mem::take(&mut listed), &tell);
            }
            Ok(Event::Apply(guarded)) => {
                failures = 0;
                if let Ok(object) = readable(guarded) {
                    store.insert(&object);
                    tell(Change::Applied(&object));
                }
            }
            Ok(Event::Delete(guarded)) => {
                failures = 0;
                let key = ObjectKey::of(&guarded);
                let last = store.get(&key);
                store.remove(&key);
                if let Some(object) = readable(guarded).ok().or(last) {
                    tell(Change::Gone(&object));
                }
            }
            Err(error) => {
                if failures == 0 {
                    tracing::debug!(kind = %K::kind(&()), %error, "watch failed, will be repeated");
                }
                tokio::time::sleep(backoff(failures)).await;
                failures += 1;
            }
        }
    }
}

fn relisted<K: Resource>(store: &Store<K>, listed: BTreeMap<ObjectKey, Arc<K>>, tell: &impl Fn(Change<'_, K>)) {
    let before = store.replace(listed.clone());
    store.ready.send_replace(true);
    for (key, object) in &listed {
        let known = before.get(key).map(|known| &known.meta().resource_version);
        if known != Some(&object.meta().resource_version) {
            tell(Change::Applied(object));
        }
    }
    for (key, object) in &before {
        if !listed.contains_key(key) {
            tell(Change::Gone(object));
        }
    }
}

/// The object, or the key of one that cannot be read.
fn readable<K: Resource<DynamicType = ()>>(guarded: Guarded<K>) -> Result<Arc<K>, ObjectKey> {
    let key = ObjectKey::of(&guarded);
    guarded.0.0.map(Arc::new).map_err(|error| {
        tracing::warn!(kind = %K::kind(&()), %key, error = %error.error, "object cannot be read");
        key
    })
}
