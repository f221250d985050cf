//! The objects of one resource, the recent events on them, and who watches.

use super::object::{Event, EventKind, Key, Stored};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A revision was asked for that the history no longer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision that can still be read.
    pub oldest: u64,
}

#[derive(Debug)]
struct Watcher {
    namespace: Option<String>,
    name: Option<String>,
    events: mpsc::UnboundedSender<Arc<Event>>,
}

impl Watcher {
    fn wants(&self, key: &Key) -> bool {
        self.namespace.as_ref().is_none_or(|n| *n == key.namespace) && self.name.as_ref().is_none_or(|n| *n == key.name)
    }
}

#[derive(Debug)]
pub(super) struct Collection {
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Arc<Event>>,
    capacity: usize,
    /// Revision of the newest event that has been dropped from the history.
    floor: u64,
    /// Revision from which on the resource is served: older ones can be read, but not watched from.
    begun: u64,
    watchers: Vec<Watcher>,
}

impl Collection {
    pub(super) fn new(capacity: usize) -> Self {
        Self { objects: BTreeMap::new(), history: VecDeque::new(), capacity, floor: 0, begun: 0, watchers: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self.range(namespace).map(|(_, o)| Arc::clone(o)).collect(),
        }
    }

    pub(super) fn any_in(&self, namespace: &str) -> bool {
        self.range(namespace).next().is_some()
    }

    fn range(&self, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Stored>)> {
        let first = Key::new(namespace, "");
        let namespace = namespace.to_owned();
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |(k, _)| k.namespace == namespace)
    }

    /// Undoes the events after `revision`, newest first.
    pub(super) fn list_at(&self, namespace: Option<&str>, revision: u64) -> Result<Vec<Arc<Stored>>, Compacted> {
        if revision < self.floor {
            return Err(Compacted { oldest: self.floor });
        }
        let mut objects: BTreeMap<Key, Arc<Stored>> =
            self.list(namespace).into_iter().map(|o| (o.key.clone(), o)).collect();
        for event in self.history.iter().rev().take_while(|e| e.revision() > revision) {
            if namespace.is_some_and(|n| n != event.object.key.namespace) {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(previous.key.clone(), Arc::clone(previous)),
                None => objects.remove(&event.object.key),
            };
        }
        Ok(objects.into_values().collect())
    }

    pub(super) fn since(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        after: u64,
    ) -> Result<Vec<Arc<Event>>, Compacted> {
        let oldest = self.floor.max(self.begun);
        if after < oldest {
            return Err(Compacted { oldest });
        }
        let first = self.history.partition_point(|e| e.revision() <= after);
        Ok(self
            .history
            .range(first..)
            .filter(|e| {
                namespace.is_none_or(|n| n == e.object.key.namespace) && name.is_none_or(|n| n == e.object.key.name)
            })
            .cloned()
            .collect())
    }

    pub(super) fn commit(&mut self, event: Arc<Event>) {
        match event.kind {
            EventKind::Added | EventKind::Modified => {
                self.objects.insert(event.object.key.clone(), Arc::clone(&event.object));
            }
            EventKind::Deleted => {
                self.objects.remove(&event.object.key);
            }
        }
        // A watcher whose receiver is gone is dropped at the first event it would have got.
        self.watchers.retain(|w| !w.wants(&event.object.key) || w.events.send(Arc::clone(&event)).is_ok());
        self.history.push_back(event);
        while self.history.len() > self.capacity {
            if let Some(dropped) = self.history.pop_front() {
                self.floor = dropped.revision();
            }
        }
    }

    pub(super) fn subscribe(
        &mut self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> mpsc::UnboundedReceiver<Arc<Event>> {
        self.watchers.retain(|w| !w.events.is_closed());
        let (events, receiver) = mpsc::unbounded_channel();
        self.watchers.push(Watcher { namespace: namespace.map(str::to_owned), name: name.map(str::to_owned), events });
        receiver
    }

    pub(super) fn rewrite(&mut self, change: &mut impl FnMut(&mut Value)) {
        for object in self.objects.values_mut() {
            let mut value = object.value.clone();
            change(&mut value);
            if value != object.value {
                *object = Arc::new(Stored::new(object.key.clone(), object.revision, value));
            }
        }
    }

    pub(super) fn begin(&mut self, revision: u64) {
        self.begun = revision;
    }

    pub(super) fn compact(&mut self, revision: u64) {
        self.history.clear();
        self.floor = revision;
    }

    pub(super) fn end_watches(&mut self) {
        self.watchers.clear();
    }
}
