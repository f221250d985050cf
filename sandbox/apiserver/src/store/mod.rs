//! The store: every object of one server, in memory, under one revision counter, as etcd keeps them.
//!
//! * [`Store`]: the operations. A write takes the lock for index updates only: what is costly (validation, merging,
//!   serialising) happens outside of it, and a write names the revision it was computed from.
//! * [`collection`]: the objects of one resource with their recent history. The history is what makes old revisions
//!   readable (a list that is continued, `resourceVersionMatch=Exact`) and what a watch is resumed from.
//! * [`index`]: owners and uids across all resources, for the garbage collector.

mod collection;
mod index;
mod object;

pub(crate) use object::frame;
pub use object::{Event, EventKind, GroupResource, Key, Stored};

use collection::Collection;
pub use collection::Compacted;
use index::OwnerIndex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Why a write was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// There is an object of that name already.
    Exists,
    /// There is no object of that name.
    NotFound,
    /// The object is at another revision than the write was computed from.
    Stale,
}

/// A change of the store, for the controllers that run inside the server.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resource in which it happened.
    pub resource: GroupResource,
    /// What happened.
    pub event: Arc<Event>,
}

/// A watch on one resource: what has to be sent first, then the events that are committed after it was made.
#[derive(Debug)]
pub struct Subscription {
    /// The objects when it was made, when it starts with them.
    pub objects: Vec<Arc<Stored>>,
    /// The events since the revision that it starts from.
    pub missed: Vec<Arc<Event>>,
    /// Events in the order of their revisions.
    pub events: mpsc::UnboundedReceiver<Arc<Event>>,
    /// Revision of the store when the subscription was made.
    pub revision: u64,
}

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the current objects, then what follows.
    Now,
    /// After this revision.
    After(u64),
}

/// All objects of one server.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    changes: mpsc::UnboundedSender<Change>,
    history: usize,
}

#[derive(Debug)]
struct State {
    revision: u64,
    collections: BTreeMap<GroupResource, Collection>,
    owners: OwnerIndex,
}

impl Store {
    /// An empty store that keeps `history` events per resource and reports every change on `changes`.
    pub fn new(history: usize, changes: mpsc::UnboundedSender<Change>) -> Self {
        Self {
            state: Mutex::new(State { revision: 1, collections: BTreeMap::new(), owners: OwnerIndex::default() }),
            changes,
            history,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed in a way that matters more than the panic itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// One object.
    pub fn get(&self, resource: &GroupResource, key: &Key) -> Option<Arc<Stored>> {
        self.lock().collections.get(resource)?.get(key)
    }

    /// The current objects of a resource in key order, of one namespace or of all, and the revision.
    pub fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> (Vec<Arc<Stored>>, u64) {
        let state = self.lock();
        let objects = state.collections.get(resource).map(|c| c.list(namespace)).unwrap_or_default();
        (objects, state.revision)
    }

    /// The objects as they were at an earlier revision.
    ///
    /// # Errors
    /// [`Compacted`] when the history does not reach back to it.
    pub fn list_at(
        &self,
        resource: &GroupResource,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<Arc<Stored>>, Compacted> {
        let state = self.lock();
        match state.collections.get(resource) {
            Some(collection) => collection.list_at(namespace, revision),
            None => Ok(Vec::new()),
        }
    }

    /// Number of objects of a resource.
    pub fn count(&self, resource: &GroupResource) -> usize {
        self.lock().collections.get(resource).map_or(0, Collection::len)
    }

    /// Adds an object. Its `metadata.resourceVersion` is set.
    ///
    /// # Errors
    /// [`WriteError::Exists`].
    pub fn create(&self, resource: &GroupResource, key: Key, value: Value) -> Result<Arc<Stored>, WriteError> {
        let mut state = self.lock();
        if state.collections.get(resource).is_some_and(|c| c.get(&key).is_some()) {
            return Err(WriteError::Exists);
        }
        let stored = Arc::new(Stored::new(key, state.revision + 1, value));
        self.commit(&mut state, resource, Event::new(EventKind::Added, Arc::clone(&stored), None));
        Ok(stored)
    }

    /// Replaces the object that is at revision `expected`.
    ///
    /// # Errors
    /// [`WriteError::NotFound`], [`WriteError::Stale`].
    pub fn update(
        &self,
        resource: &GroupResource,
        key: &Key,
        expected: u64,
        value: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut state = self.lock();
        let live = Self::expect(&state, resource, key, expected)?;
        let stored = Arc::new(Stored::new(key.clone(), state.revision + 1, value));
        self.commit(&mut state, resource, Event::new(EventKind::Modified, Arc::clone(&stored), Some(live)));
        Ok(stored)
    }

    /// Removes the object that is at revision `expected`; `last` is its last state, when that differs from what is
    /// stored. The result carries the revision of the deletion.
    ///
    /// # Errors
    /// [`WriteError::NotFound`], [`WriteError::Stale`].
    pub fn delete(
        &self,
        resource: &GroupResource,
        key: &Key,
        expected: u64,
        last: Option<Value>,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut state = self.lock();
        let live = Self::expect(&state, resource, key, expected)?;
        let value = last.unwrap_or_else(|| live.value.clone());
        let stored = Arc::new(Stored::new(key.clone(), state.revision + 1, value));
        self.commit(&mut state, resource, Event::new(EventKind::Deleted, Arc::clone(&stored), Some(live)));
        Ok(stored)
    }

    /// Replaces stored values without a new revision and without events: what a CRD's new schema does to objects that
    /// were written before it (they are read through the new schema).
    pub fn rewrite(&self, resource: &GroupResource, mut change: impl FnMut(&mut Value)) {
        let mut state = self.lock();
        if let Some(collection) = state.collections.get_mut(resource) {
            collection.rewrite(&mut change);
        }
    }

    /// Says that a resource is served from now on: a watch cannot begin at an older revision.
    pub fn begin(&self, resource: &GroupResource) {
        let mut state = self.lock();
        let (revision, history) = (state.revision, self.history);
        let collection = state.collections.entry(resource.clone()).or_insert_with(|| Collection::new(history));
        collection.begin(revision);
    }

    /// Drops a resource with its history: after this a watch on it has to start anew.
    pub fn forget(&self, resource: &GroupResource) {
        let mut state = self.lock();
        let revision = state.revision;
        if let Some(collection) = state.collections.get_mut(resource) {
            collection.compact(revision);
            collection.end_watches();
        }
    }

    /// Drops all history, as a compaction of etcd does: older revisions answer 410 from now on.
    pub fn compact(&self) {
        let mut state = self.lock();
        let revision = state.revision;
        for collection in state.collections.values_mut() {
            collection.compact(revision);
        }
    }

    /// Ends every watch, as a restart of the API server does.
    pub fn end_watches(&self) {
        for collection in self.lock().collections.values_mut() {
            collection.end_watches();
        }
    }

    /// Starts a watch: with the current objects, or with the events since a revision.
    ///
    /// # Errors
    /// [`Compacted`] when the history does not reach back to the revision asked for.
    pub fn watch(
        &self,
        resource: &GroupResource,
        namespace: Option<&str>,
        name: Option<&str>,
        start: Start,
    ) -> Result<Subscription, Compacted> {
        let mut state = self.lock();
        let revision = state.revision;
        let history = self.history;
        let collection = state.collections.entry(resource.clone()).or_insert_with(|| Collection::new(history));
        let (objects, missed) = match start {
            Start::Now => (collection.list(namespace), Vec::new()),
            Start::After(after) => (Vec::new(), collection.since(namespace, name, after)?),
        };
        let events = collection.subscribe(namespace, name);
        Ok(Subscription { objects, missed, events, revision })
    }

    /// The objects that name `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<(GroupResource, Key)> {
        self.lock().owners.dependents(uid)
    }

    /// Where the object with this uid is.
    pub fn find(&self, uid: &str) -> Option<(GroupResource, Key)> {
        self.lock().owners.find(uid)
    }

    /// Resources that have objects in a namespace.
    pub fn resources_in(&self, namespace: &str) -> Vec<GroupResource> {
        self.lock().collections.iter().filter(|(_, c)| c.any_in(namespace)).map(|(r, _)| r.clone()).collect()
    }

    fn expect(state: &State, resource: &GroupResource, key: &Key, expected: u64) -> Result<Arc<Stored>, WriteError> {
        let live = state.collections.get(resource).and_then(|c| c.get(key)).ok_or(WriteError::NotFound)?;
        if live.revision == expected { Ok(live) } else { Err(WriteError::Stale) }
    }

    fn commit(&self, state: &mut State, resource: &GroupResource, event: Event) {
        let event = Arc::new(event);
        state.revision = event.object.revision;
        state.owners.record(resource, &event);
        let history = self.history;
        state
            .collections
            .entry(resource.clone())
            .or_insert_with(|| Collection::new(history))
            .commit(Arc::clone(&event));
        // The receiver is gone only when the server is being dropped: then nobody waits for the controllers.
        let _ = self.changes.send(Change { resource: resource.clone(), event });
    }
}
