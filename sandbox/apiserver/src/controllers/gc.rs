//! Garbage collection by owner references: background, foreground and orphan, as kube-controller-manager does it.

use super::{change, served};
use crate::meta;
use crate::registry::split_api_version;
use crate::server::Inner;
use crate::store::{Change, EventKind, GroupResource, Key, Stored};
use crate::verbs::delete::delete_object;
use crate::verbs::options::{DeleteOptions, Propagation};
use serde_json::{Value, json};
use std::sync::Arc;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

pub(super) fn observe(server: &Arc<Inner>, change: &Change) {
    let event = &change.event;
    let object = &event.object;
    if event.kind == EventKind::Deleted {
        if let Some(uid) = meta::uid(&object.value) {
            for (resource, key) in server.store.dependents(uid) {
                attempt(server, &resource, &key, Some(uid));
            }
        }
        release_owners(server, object);
        return;
    }
    if meta::is_deleting(&object.value) {
        if has(object, ORPHAN) {
            orphan(server, &change.resource, object);
        }
        if has(object, FOREGROUND) {
            foreground(server, &change.resource, object);
        }
    }
    let owners = meta::owners(&object.value);
    let before = event.previous.as_ref().map(|p| meta::owners(&p.value));
    if let Some(previous) = event.previous.as_ref().filter(|_| before.is_some_and(|b| b != owners)) {
        // An owner may have waited for a reference that is gone, or blocks no longer.
        release_owners(server, previous);
    }
    if !owners.is_empty() && before != Some(owners) {
        attempt(server, &change.resource, &object.key, None);
    }
}

fn has(object: &Stored, finalizer: &str) -> bool {
    meta::finalizers(&object.value).contains(&finalizer)
}

/// Looks again at the owners of an object that wait for their dependents.
fn release_owners(server: &Arc<Inner>, object: &Stored) {
    for uid in meta::owner_uids(&object.value) {
        if let Some((resource, key)) = server.store.find(uid)
            && let Some(owner) = server.store.get(&resource, &key)
            && meta::is_deleting(&owner.value)
            && has(&owner, FOREGROUND)
        {
            foreground(server, &resource, &owner);
        }
    }
}

/// An owner that is deleted in the foreground: goes when no dependent blocks it, otherwise its dependents go first.
fn foreground(server: &Arc<Inner>, resource: &GroupResource, owner: &Arc<Stored>) {
    let Some(uid) = meta::uid(&owner.value) else {
        return;
    };
    let dependents = server.store.dependents(uid);
    let blocked = dependents.iter().any(|(resource, key)| {
        server.store.get(resource, key).is_some_and(|d| meta::owners(&d.value).iter().any(|o| blocks(o, uid)))
    });
    if blocked {
        for (resource, key) in dependents {
            attempt(server, &resource, &key, None);
        }
    } else {
        drop_finalizer(server, resource, &owner.key, FOREGROUND);
    }
}

fn blocks(owner: &Value, uid: &str) -> bool {
    owner["uid"].as_str() == Some(uid) && owner["blockOwnerDeletion"].as_bool() == Some(true)
}

/// An owner that is deleted and leaves its dependents: they lose their reference to it.
fn orphan(server: &Arc<Inner>, resource: &GroupResource, owner: &Arc<Stored>) {
    if let Some(uid) = meta::uid(&owner.value) {
        for (resource, key) in server.store.dependents(uid) {
            drop_owners(server, &resource, &key, &[uid.to_owned()]);
        }
    }
    drop_finalizer(server, resource, &owner.key, ORPHAN);
}

/// What is known of an owner that a reference names.
enum Owner {
    /// It is there.
    Solid,
    /// It is there, and waits for its dependents to be deleted.
    Waiting,
    /// It is gone, or was never there.
    Absent,
    /// Its kind is not served, so that nobody can tell.
    Unknown,
}

fn owner(server: &Inner, dependent: &Stored, reference: &Value) -> Owner {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (group, version) = split_api_version(text("apiVersion"));
    let snapshot = server.registry.snapshot();
    let Some(resource) = snapshot.by_kind(group, version, text("kind")) else {
        return Owner::Unknown;
    };
    if resource.namespaced && dependent.key.namespace.is_empty() {
        // A cluster-scoped object cannot have an owner in a namespace: the collector does not guess which.
        return Owner::Unknown;
    }
    let namespace = if resource.namespaced { &dependent.key.namespace } else { "" };
    let key = Key::new(namespace, text("name"));
    match server.store.get(&resource.storage, &key) {
        Some(live) if meta::uid(&live.value) == Some(text("uid")) => {
            if meta::is_deleting(&live.value) && has(&live, FOREGROUND) { Owner::Waiting } else { Owner::Solid }
        }
        _ => Owner::Absent,
    }
}

/// Deletes a dependent when no owner keeps it. An owner whose deletion was seen (`gone`) is absent even when its kind is
/// no longer served: that is so when its definition was deleted with it.
fn attempt(server: &Arc<Inner>, storage: &GroupResource, key: &Key, gone: Option<&str>) {
    let Some(live) = server.store.get(storage, key) else {
        return;
    };
    if meta::is_deleting(&live.value) {
        return;
    }
    let (mut solid, mut waiting, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for reference in meta::owners(&live.value) {
        let uid = reference["uid"].as_str().unwrap_or_default().to_owned();
        let found = if gone == Some(uid.as_str()) { Owner::Absent } else { owner(server, &live, reference) };
        match found {
            Owner::Solid => solid.push(uid),
            Owner::Waiting => waiting.push(uid),
            Owner::Absent => absent.push(uid),
            Owner::Unknown => return,
        }
    }
    if !solid.is_empty() {
        absent.append(&mut waiting);
        if !absent.is_empty() {
            drop_owners(server, storage, key, &absent);
        }
        return;
    }
    if waiting.is_empty() && absent.is_empty() {
        return;
    }
    let uid = meta::uid(&live.value).unwrap_or_default().to_owned();
    let dependents = server.store.dependents(&uid);
    let policy = if !waiting.is_empty() && !dependents.is_empty() {
        let circle = dependents.iter().any(|(resource, key)| {
            server.store.get(resource, key).is_some_and(|d| meta::is_deleting(&d.value) && has(&d, FOREGROUND))
        });
        if circle {
            // Two objects that wait for each other: this one stops blocking.
            unblock(server, storage, key);
        }
        Propagation::Foreground
    } else if has(&live, ORPHAN) {
        Propagation::Orphan
    } else if has(&live, FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let Some(resource) = served(server, storage) else {
        return;
    };
    let options = DeleteOptions { propagation: Some(policy), uid: Some(uid), ..DeleteOptions::default() };
    if let Err(error) = delete_object(server, &resource, key, &options) {
        tracing::debug!(server = server.name, resource = %storage, name = key.name, error = error.message(), "not collected");
    }
}

fn unblock(server: &Arc<Inner>, storage: &GroupResource, key: &Key) {
    let Some(resource) = served(server, storage) else {
        return;
    };
    change(server, &resource, "", key, |object| {
        if let Some(list) = meta::meta_mut(object).get_mut("ownerReferences").and_then(Value::as_array_mut) {
            for owner in list {
                owner["blockOwnerDeletion"] = Value::from(false);
            }
        }
    });
}

fn drop_owners(server: &Arc<Inner>, storage: &GroupResource, key: &Key, uids: &[String]) {
    let Some(resource) = served(server, storage) else {
        return;
    };
    change(server, &resource, "", key, |object| {
        let left: Vec<Value> = meta::owners(object)
            .iter()
            .filter(|o| !uids.iter().any(|u| o["uid"].as_str() == Some(u)))
            .cloned()
            .collect();
        meta::set(object, "ownerReferences", (!left.is_empty()).then(|| json!(left)));
    });
}

fn drop_finalizer(server: &Arc<Inner>, storage: &GroupResource, key: &Key, finalizer: &str) {
    let Some(resource) = served(server, storage) else {
        return;
    };
    change(server, &resource, "", key, |object| {
        let left: Vec<String> =
            meta::finalizers(object).into_iter().filter(|f| *f != finalizer).map(str::to_owned).collect();
        meta::set(object, "finalizers", (!left.is_empty()).then(|| json!(left)));
    });
}
