//! Who owns whom, by uid, across all resources.

use super::object::{Event, EventKind, GroupResource, Key, Stored};
use crate::meta;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct OwnerIndex {
    uids: BTreeMap<String, (GroupResource, Key)>,
    dependents: BTreeMap<String, BTreeSet<(GroupResource, Key)>>,
}

impl OwnerIndex {
    pub(super) fn dependents(&self, uid: &str) -> Vec<(GroupResource, Key)> {
        self.dependents.get(uid).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn find(&self, uid: &str) -> Option<(GroupResource, Key)> {
        self.uids.get(uid).cloned()
    }

    pub(super) fn record(&mut self, resource: &GroupResource, event: &Event) {
        if let Some(previous) = &event.previous {
            let unchanged = event.kind == EventKind::Modified
                && meta::field(&previous.value, "ownerReferences")
                    == meta::field(&event.object.value, "ownerReferences");
            if unchanged {
                return;
            }
            self.remove(resource, previous);
        }
        if event.kind != EventKind::Deleted {
            self.add(resource, &event.object);
        }
    }

    fn add(&mut self, resource: &GroupResource, object: &Stored) {
        if let Some(uid) = meta::uid(&object.value) {
            self.uids.insert(uid.to_owned(), (resource.clone(), object.key.clone()));
        }
        for owner in meta::owner_uids(&object.value) {
            self.dependents.entry(owner.to_owned()).or_default().insert((resource.clone(), object.key.clone()));
        }
    }

    fn remove(&mut self, resource: &GroupResource, object: &Stored) {
        if let Some(uid) = meta::uid(&object.value) {
            self.uids.remove(uid);
        }
        for owner in meta::owner_uids(&object.value) {
            if let Some(set) = self.dependents.get_mut(owner) {
                set.remove(&(resource.clone(), object.key.clone()));
                if set.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}
