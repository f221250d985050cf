//! Deletion of namespaces: everything in them is deleted, then the finalizer `kubernetes` is taken off.

use super::{change, served};
use crate::admission::namespaces;
use crate::kinds::definition::set_condition;
use crate::meta;
use crate::server::Inner;
use crate::store::{Change, EventKind, GroupResource, Key};
use crate::verbs::delete::delete_object;
use crate::verbs::options::{DeleteOptions, Propagation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const FINALIZER: &str = "kubernetes";

pub(super) fn observe(server: &Arc<Inner>, change: &Change) {
    let event = &change.event;
    let key = &event.object.key;
    if change.resource == namespaces() {
        if event.kind != EventKind::Deleted && meta::is_deleting(&event.object.value) {
            let before = event.previous.as_ref().is_some_and(|p| meta::is_deleting(&p.value));
            if before {
                finish(server, &key.name);
            } else {
                empty(server, &key.name);
            }
        }
    } else if event.kind == EventKind::Deleted && !key.namespace.is_empty() {
        finish(server, &key.namespace);
    }
}

/// Deletes everything in a namespace.
fn empty(server: &Arc<Inner>, namespace: &str) {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    for storage in server.store.resources_in(namespace) {
        let Some(resource) = served(server, &storage) else {
            continue;
        };
        for object in server.store.list(&storage, Some(namespace)).0 {
            if let Err(error) = delete_object(server, &resource, &object.key, &options) {
                tracing::debug!(server = server.name, namespace, error = error.message(), "not deleted");
            }
        }
    }
    let remaining = remaining(server, namespace);
    if remaining.is_empty() {
        finish(server, namespace);
    } else {
        report(server, namespace, &remaining);
    }
}

/// What is left, by resource, with the finalizers that hold it.
fn remaining(server: &Inner, namespace: &str) -> Vec<(GroupResource, usize, BTreeMap<String, usize>)> {
    server
        .store
        .resources_in(namespace)
        .into_iter()
        .map(|storage| {
            let objects = server.store.list(&storage, Some(namespace)).0;
            let mut finalizers = BTreeMap::new();
            for object in &objects {
                for finalizer in meta::finalizers(&object.value) {
                    *finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
            (storage, objects.len(), finalizers)
        })
        .collect()
}

/// Writes what is left into the namespace's conditions.
fn report(server: &Arc<Inner>, namespace: &str, remaining: &[(GroupResource, usize, BTreeMap<String, usize>)]) {
    let Some(resource) = served(server, &namespaces()) else {
        return;
    };
    let now = meta::time(server.now());
    let resources: Vec<String> = remaining
        .iter()
        .map(|(resource, count, _)| {
            let group = if resource.group.is_empty() { "." } else { "" };
            format!("{resource}{group} has {count} resource instances")
        })
        .collect();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, _, held) in remaining {
        for (finalizer, count) in held {
            *finalizers.entry(finalizer).or_default() += count;
        }
    }
    let held: Vec<String> =
        finalizers.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances")).collect();
    change(server, &resource, "status", &Key::new("", namespace), |object| {
        let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
            set_condition(object, &now, kind, status, reason, message);
        };
        set(
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        );
        set(
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        );
        set(
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        );
        set(
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            &format!("Some resources are remaining: {}", resources.join(", ")),
        );
        if held.is_empty() {
            set(
                "NamespaceFinalizersRemaining",
                "False",
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            );
        } else {
            set(
                "NamespaceFinalizersRemaining",
                "True",
                "SomeFinalizersRemain",
                &format!("Some content in the namespace has finalizers remaining: {}", held.join(", ")),
            );
        }
    });
}

/// Takes the finalizer off a namespace that is going away and is empty.
fn finish(server: &Arc<Inner>, namespace: &str) {
    let key = Key::new("", namespace);
    let Some(live) = server.store.get(&namespaces(), &key) else {
        return;
    };
    if !meta::is_deleting(&live.value) || !server.store.resources_in(namespace).is_empty() {
        return;
    }
    let finalizers = meta::strings(live.value.pointer("/spec/finalizers"));
    if !finalizers.contains(&FINALIZER) {
        return;
    }
    let left: Vec<Value> = finalizers.into_iter().filter(|f| *f != FINALIZER).map(Value::from).collect();
    let Some(resource) = served(server, &namespaces()) else {
        return;
    };
    change(server, &resource, "finalize", &key, |object| {
        object["spec"]["finalizers"] = Value::from(left.clone());
    });
}
