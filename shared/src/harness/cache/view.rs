//! The copy of the objects, and what a change of it looks like.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::Resource;
use kube::core::DeserializeGuard;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::harness::ObjectKey;
use crate::seen::Seen;

/// An object was added, changed, deleted, or could not be decoded.
#[derive(Clone, Debug)]
pub struct Change<K> {
    /// Which object.
    pub key: ObjectKey,
    /// As it was seen before; `None` when it was not (or was not decodable).
    pub before: Option<Arc<K>>,
    /// As it is now. `Absent`: deleted. `Unknown`: it is there and cannot be decoded.
    pub after: Seen<Arc<K>>,
}

impl<K> Change<K> {
    /// The object as it is now, or as it was before it was deleted.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.after.present().or(self.before.as_ref())
    }

    /// Whether the object was deleted.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.after.is_absent()
    }
}

/// Whether an object that a write returned is gone: its last finalizer went with the write, and it with that.
#[must_use]
pub fn is_gone<K: Resource>(written: &K) -> bool {
    let meta = written.meta();
    meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty)
}

/// How current a view is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// A complete list was received at some time.
    pub synced: bool,
    /// When the API server was last heard from: a complete list, an event, a bookmark, a watch that was
    /// opened and had nothing to catch up with.
    pub last_contact: Option<Instant>,
    /// False while the API server does not know the kind (optional scopes only).
    pub served: bool,
}

/// One object as the API server sent it.
pub(super) type Raw<K> = DeserializeGuard<K>;

/// The groups that an object belongs to; see [`super::Cache::grouped`].
pub(super) type Grouping<K> = fn(&K) -> Vec<String>;

pub(super) struct View<K> {
    name: String,
    state: RwLock<State<K>>,
    ready: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<ObjectKey, Seen<Arc<K>>>,
    grouping: Option<Grouping<K>>,
    groups: BTreeMap<String, BTreeSet<ObjectKey>>,
    /// How far lists and watch have come, as a number. What a write of our own returned is newer or known already.
    reached: u64,
    freshness: Freshness,
    subscribers: Vec<UnboundedSender<Change<K>>>,
}

impl<K: Resource> View<K> {
    pub(super) fn new(name: &str, grouping: Option<Grouping<K>>) -> Self {
        let freshness = Freshness { synced: false, last_contact: None, served: true };
        let (objects, groups) = (BTreeMap::new(), BTreeMap::new());
        Self {
            name: name.to_owned(),
            state: RwLock::new(State { objects, grouping, groups, reached: 0, freshness, subscribers: Vec::new() }),
            ready: watch::Sender::new(false),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn ready(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.read().objects.get(key).and_then(Seen::present).cloned()
    }

    pub(super) fn seen(&self, key: &ObjectKey) -> Seen<Arc<K>> {
        self.read().objects.get(key).cloned().unwrap_or(Seen::Absent)
    }

    pub(super) fn filter(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read().objects.values().filter_map(Seen::present).filter(|object| wanted(object)).cloned().collect()
    }

    pub(super) fn within(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let state = self.read();
        // No name is empty, so this comes before all of the namespace.
        let first = ObjectKey::namespaced(namespace, "");
        let from_first = state.objects.range((Bound::Included(&first), Bound::Unbounded));
        let of_namespace = from_first.take_while(|(key, _)| key.namespace == first.namespace);
        of_namespace.filter_map(|(_, object)| object.present()).filter(|object| wanted(object)).cloned().collect()
    }

    pub(super) fn grouped(&self, group: &str) -> Vec<Arc<K>> {
        let state = self.read();
        let keys = state.groups.get(group).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key)?.present()).cloned().collect()
    }

    pub(super) fn undecodable(&self) -> Vec<(ObjectKey, String)> {
        let unknown = |(key, object): (&ObjectKey, &Seen<Arc<K>>)| Some((key.clone(), object.unknown()?.to_owned()));
        self.read().objects.iter().filter_map(unknown).collect()
    }

    pub(super) fn freshness(&self) -> Freshness {
        self.read().freshness
    }

    pub(super) fn subscribe(&self) -> UnboundedReceiver<Change<K>> {
        let (sender, receiver) = unbounded();
        let mut state = self.write();
        for (key, object) in &state.objects {
            let change = Change { key: key.clone(), before: None, after: object.clone() };
            // The receiver is still in our hands.
            let _ = sender.unbounded_send(change);
        }
        state.subscribers.push(sender);
        receiver
    }

    /// Something was heard from the API server.
    pub(super) fn contact(&self) {
        self.write().freshness.last_contact = Some(Instant::now());
    }

    /// The watch has come to this version without an object.
    pub(super) fn bookmark(&self, version: &str) {
        let mut state = self.write();
        state.freshness.last_contact = Some(Instant::now());
        state.reach(version.parse().ok());
    }

    /// A complete list, of this version, replaces everything. `served`: the API server knows the kind.
    pub(super) fn replace(&self, list: Vec<Raw<K>>, version: &str, served: bool) {
        let new: BTreeMap<_, _> = list
            .into_iter()
            .map(|object| {
                let TakenIn { key, after, .. } = self.take_in(object);
                (key, after)
            })
            .collect();
        let mut state = self.write();
        state.freshness = Freshness { synced: true, last_contact: Some(Instant::now()), served };
        // Not the greater of both: an API server that was restored from a backup counts from an earlier version. The same
        // version of an object then need not be the same object.
        let reached: u64 = version.parse().unwrap_or_default();
        let rewritten = reached < mem::replace(&mut state.reached, reached);
        let old = mem::replace(&mut state.objects, new.clone());
        state.regroup();
        for (key, before) in &old {
            if !new.contains_key(key) {
                state.tell(key.clone(), Some(before), Seen::Absent);
            }
        }
        for (key, after) in new {
            let before = old.get(&key);
            let same = match (before.and_then(Seen::present), after.present()) {
                (Some(before), Some(after)) => {
                    !rewritten
                        && before.meta().resource_version.is_some()
                        && before.meta().resource_version == after.meta().resource_version
                }
                (None, None) => before.is_some(),
                _ => false,
            };
            if !same {
                state.tell(key, before, after);
            }
        }
        drop(state);
        self.ready.send_replace(true);
    }

    pub(super) fn apply(&self, object: Raw<K>) {
        let TakenIn { key, order, after } = self.take_in(object);
        let mut state = self.write();
        state.freshness.last_contact = Some(Instant::now());
        state.reach(order);
        if !state.is_ahead(&key, order) {
            let before = state.insert(&key, &after);
            state.tell(key, before.as_ref(), after);
        }
    }

    /// Takes in what a write of our own returned. See [`super::Cache::note_written`]. `narrowed`: a selector decides
    /// what belongs here, so only an object that is here can be said to.
    pub(super) fn note_written(&self, object: K, narrowed: bool) {
        let gone = is_gone(&object);
        let (key, order) = (ObjectKey::of(&object), order(&object));
        let mut state = self.write();
        let unknown_here = narrowed && !state.objects.contains_key(&key);
        let passed = order.is_none_or(|order| order <= state.reached);
        if gone || unknown_here || passed || state.is_ahead(&key, order) {
            return;
        }
        let after = Seen::Present(Arc::new(object));
        let before = state.insert(&key, &after);
        state.tell(key, before.as_ref(), after);
    }

    pub(super) fn delete(&self, object: &Raw<K>) {
        let key = ObjectKey::of(object);
        let order = order(object);
        let mut state = self.write();
        state.freshness.last_contact = Some(Instant::now());
        state.reach(order);
        // Ahead: the view holds its successor already, which we made.
        if !state.is_ahead(&key, order)
            && let Some(before) = state.remove(&key)
        {
            state.tell(key, Some(&before), Seen::Absent);
        }
    }

    fn take_in(&self, raw: Raw<K>) -> TakenIn<K> {
        let (key, order) = (ObjectKey::of(&raw), order(&raw));
        let after = match raw.0 {
            Ok(object) => Seen::Present(Arc::new(object)),
            Err(invalid) => {
                tracing::warn!(view = self.name, object = %key, error = invalid.error, "object cannot be decoded");
                Seen::Unknown(invalid.error)
            }
        };
        TakenIn { key, order, after }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TakenIn<K> {
    key: ObjectKey,
    order: Option<u64>,
    after: Seen<Arc<K>>,
}

impl<K: Resource> State<K> {
    fn insert(&mut self, key: &ObjectKey, after: &Seen<Arc<K>>) -> Option<Seen<Arc<K>>> {
        let before = self.objects.insert(key.clone(), after.clone());
        let Some(grouping) = self.grouping else { return before };
        let groups = |object: Option<&Seen<Arc<K>>>| {
            object.and_then(Seen::present).map(|object| grouping(object)).unwrap_or_default()
        };
        let (old, new) = (groups(before.as_ref()), groups(Some(after)));
        if old != new {
            self.leave(key, &old);
            for group in new {
                self.groups.entry(group).or_default().insert(key.clone());
            }
        }
        before
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Seen<Arc<K>>> {
        let before = self.objects.remove(key);
        if let (Some(grouping), Some(object)) = (self.grouping, before.as_ref().and_then(Seen::present)) {
            self.leave(key, &grouping(object));
        }
        before
    }

    fn leave(&mut self, key: &ObjectKey, groups: &[String]) {
        for group in groups {
            if let Some(members) = self.groups.get_mut(group) {
                members.remove(key);
                if members.is_empty() {
                    self.groups.remove(group);
                }
            }
        }
    }

    /// Makes the groups of all objects anew.
    fn regroup(&mut self) {
        self.groups.clear();
        let Some(grouping) = self.grouping else { return };
        for (key, object) in &self.objects {
            for group in object.present().map(|object| grouping(object)).unwrap_or_default() {
                self.groups.entry(group).or_default().insert(key.clone());
            }
        }
    }

    fn reach(&mut self, order: Option<u64>) {
        self.reached = self.reached.max(order.unwrap_or_default());
    }

    /// Whether the object is here in this version already or in a newer one, from a write of our own.
    fn is_ahead(&self, key: &ObjectKey, version: Option<u64>) -> bool {
        let known = self.objects.get(key).and_then(Seen::present);
        match (known.and_then(|known| order(&**known)), version) {
            (Some(known), Some(version)) => known >= version,
            _ => false,
        }
    }

    fn tell(&mut self, key: ObjectKey, before: Option<&Seen<Arc<K>>>, after: Seen<Arc<K>>) {
        let before = before.and_then(Seen::present).cloned();
        self.subscribers.retain(|subscriber| {
            let change = Change { key: key.clone(), before: before.clone(), after: after.clone() };
            subscriber.unbounded_send(change).is_ok()
        });
    }
}

/// A resourceVersion as a number: since Kubernetes 1.35 they are specified to be comparable within a resource, and
/// were in practice before. One that is no number compares with nothing.
fn order<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}
