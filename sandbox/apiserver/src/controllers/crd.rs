//! CustomResourceDefinitions: names are accepted, the registry follows, and instances of a deleted one are deleted.

use super::served;
use crate::kinds::definition::{CLEANUP, condition, set_condition};
use crate::meta;
use crate::registry::{Resource, Served, crd};
use crate::server::Inner;
use crate::store::{Change, EventKind, GroupResource, Key, Stored, WriteError};
use crate::verbs::Write;
use crate::verbs::delete::delete_object;
use crate::verbs::options::{DeleteOptions, WriteOptions};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};

fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

/// Accepts the names of a definition, sets its conditions and serves its versions.
pub(super) fn sync(server: &Arc<Inner>, key: &Key) {
    let _guard = server.definitions.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(live) = server.store.get(&definitions(), key) else {
            return;
        };
        let snapshot = server.registry.snapshot();
        let mut value = live.value.clone();
        accept(server, &snapshot, &mut value);
        track(server, &snapshot, &live.value, &mut value);
        if value != live.value {
            match server.store.update(&definitions(), key, live.revision, value.clone()) {
                Err(WriteError::Stale) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
        }
        serve(server, &value);
        return;
    }
}

/// Records the status write in `managedFields`.
fn track(server: &Arc<Inner>, snapshot: &Served, old: &Value, new: &mut Value) {
    let storage = definitions();
    if let Some(resource) = snapshot.by_storage(&storage) {
        let write = Write {
            server,
            resource,
            subresource: "status",
            options: WriteOptions::internal("kube-apiserver", resource.api_version()),
        };
        resource.track(Some(old), new, write.writer());
    }
}

/// Sets NamesAccepted and Established.
fn accept(server: &Inner, snapshot: &Served, value: &mut Value) {
    let now = meta::time(server.now());
    let names = value["spec"]["names"].clone();
    match conflict(snapshot, &crd::storage(value), &names) {
        None => {
            value["status"]["acceptedNames"] = names;
            set_condition(value, &now, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
            if condition(value, "Established") != "True" {
                set_condition(
                    value,
                    &now,
                    "Established",
                    "True",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                );
            }
        }
        Some((reason, name)) => {
            let message = format!("\"{name}\" is already in use");
            set_condition(value, &now, "NamesAccepted", "False", reason, &message);
            if condition(value, "Established") != "True" {
                set_condition(value, &now, "Established", "False", "NotAccepted", "not all names are accepted");
            }
        }
    }
}

/// A name that another resource of the group has already.
fn conflict(snapshot: &Served, storage: &GroupResource, names: &Value) -> Option<(&'static str, String)> {
    let text = |field: &str| names[field].as_str().unwrap_or_default().to_owned();
    let others = || snapshot.iter().filter(|r| r.group == storage.group && r.storage != *storage);
    let resource_name = |name: &str| {
        others().any(|r| r.plural == name || r.singular == name || r.short_names.iter().any(|s| s == name))
    };
    let kind_name = |name: &str| others().any(|r| r.kind == name || r.list_kind == name);
    let mut candidates = vec![("PluralConflict", text("plural")), ("SingularConflict", text("singular"))];
    candidates.extend(meta::strings(names.get("shortNames")).into_iter().map(|s| ("ShortNamesConflict", s.to_owned())));
    candidates.into_iter().find(|(_, name)| !name.is_empty() && resource_name(name)).or_else(|| {
        [("KindConflict", text("kind")), ("ListKindConflict", text("listKind"))]
            .into_iter()
            .find(|(_, name)| !name.is_empty() && kind_name(name))
    })
}

/// Puts the versions of an established definition into the registry.
fn serve(server: &Arc<Inner>, value: &Value) {
    let storage = crd::storage(value);
    if condition(value, "Established") != "True" {
        return;
    }
    let resources = crd::resources(value);
    let stored = stored_form(value, &resources);
    if served(server, &storage).is_none() {
        server.store.begin(&storage);
    }
    server.registry.replace(&storage, resources);
    // Objects that were written under an older schema are read through this one.
    if let Some(resource) = stored {
        server.store.rewrite(&storage, |object| {
            object["apiVersion"] = Value::from(resource.storage_api_version.clone());
            resource.prune(object);
            resource.default(object);
        });
    }
}

/// The resource of the version that objects are stored in, when it is served.
fn stored_form(value: &Value, resources: &[Resource]) -> Option<Resource> {
    let version = crd::storage_version(value);
    resources.iter().find(|r| r.version == version).cloned()
}

/// Takes a definition that is gone out of the registry.
pub(super) fn retire(server: &Arc<Inner>, value: &Value) {
    let _guard = server.definitions.lock().unwrap_or_else(PoisonError::into_inner);
    let storage = crd::storage(value);
    server.registry.replace(&storage, Vec::new());
    server.store.forget(&storage);
}

/// Deletes the instances of a definition that is being deleted; takes the finalizer off when none is left.
pub(super) fn observe(server: &Arc<Inner>, change: &Change) {
    let object = &change.event.object;
    if change.resource == definitions() {
        if change.event.kind != EventKind::Deleted && wants_cleanup(object) {
            cleanup(server, object);
        }
    } else if change.event.kind == EventKind::Deleted && change.resource.group.contains('.') {
        let key = Key::new("", change.resource.to_string());
        if let Some(live) = server.store.get(&definitions(), &key).filter(|d| wants_cleanup(d)) {
            finish(server, &live);
        }
    }
}

fn wants_cleanup(definition: &Stored) -> bool {
    meta::is_deleting(&definition.value) && meta::finalizers(&definition.value).contains(&CLEANUP)
}

fn cleanup(server: &Arc<Inner>, definition: &Arc<Stored>) {
    let storage = crd::storage(&definition.value);
    if let Some(resource) = served(server, &storage) {
        for object in server.store.list(&storage, None).0 {
            if !meta::is_deleting(&object.value) {
                let options = DeleteOptions::default();
                if let Err(error) = delete_object(server, &resource, &object.key, &options) {
                    tracing::debug!(server = server.name, resource = %storage, error = error.message(), "not deleted");
                }
            }
        }
    }
    finish(server, definition);
}

fn finish(server: &Arc<Inner>, definition: &Arc<Stored>) {
    if server.store.count(&crd::storage(&definition.value)) > 0 {
        return;
    }
    let Some(resource) = served(server, &definitions()) else {
        return;
    };
    super::change(server, &resource, "", &definition.key, |object| {
        let left: Vec<String> =
            meta::finalizers(object).into_iter().filter(|f| *f != CLEANUP).map(str::to_owned).collect();
        meta::set(object, "finalizers", (!left.is_empty()).then(|| json!(left)));
    });
}
