//! Delete, and delete of collections.

use super::options::{DeleteOptions, Propagation};
use super::{Answer, Op, list};
use crate::admission;
use crate::controllers;
use crate::kinds;
use crate::meta;
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::ApiError;
use crate::store::{Key, Stored, WriteError};
use jiff::ToSpan;
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of a delete.
pub(crate) enum Deletion {
    /// The object is gone; its last state.
    Gone(Arc<Stored>),
    /// The object is marked, and waits for finalizers, its grace period or its contents.
    Pending(Arc<Stored>),
}

pub(crate) fn delete(op: &Op<'_>) -> Result<Answer, ApiError> {
    let options = DeleteOptions::parse(op)?;
    admission::delete(&op.resource, &op.name)?;
    answer(op, &options)
}

fn answer(op: &Op<'_>, options: &DeleteOptions) -> Result<Answer, ApiError> {
    match delete_object(op.server, &op.resource, &op.key(), options)? {
        Deletion::Gone(stored) if op.resource.returns_deleted => Ok(Answer::Object(200, stored)),
        Deletion::Gone(stored) => Ok(Answer::Value(200, success(op, &stored))),
        Deletion::Pending(stored) => {
            let code = if options.orphan_dependents == Some(false) { 202 } else { 200 };
            Ok(Answer::Object(code, stored))
        }
    }
}

fn success(op: &Op<'_>, stored: &Stored) -> Value {
    let mut details = json!({ "name": op.name, "kind": op.resource.plural, "uid": meta::uid(&stored.value) });
    if !op.resource.group.is_empty() {
        details["group"] = Value::from(op.resource.group.clone());
    }
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

/// `pods/eviction`: a delete, with the options that the Eviction carries. Disruption budgets are not consulted: no
/// controller in this server computes how many disruptions they allow.
pub(crate) fn evict(op: &Op<'_>) -> Result<Answer, ApiError> {
    let eviction = super::body::parse(op.request)?;
    let options = DeleteOptions {
        grace_period: eviction.pointer("/deleteOptions/gracePeriodSeconds").and_then(Value::as_i64),
        ..DeleteOptions::default()
    };
    delete_object(op.server, &op.resource, &op.key(), &options)?;
    Ok(Answer::Value(
        201,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 }),
    ))
}

pub(crate) fn delete_collection(op: &Op<'_>) -> Result<Answer, ApiError> {
    let options = DeleteOptions::parse(op)?;
    let selection = list::Selection::parse(op)?;
    let (objects, _) = op.server.store.list(&op.resource.storage, selection.namespace(&op.namespace));
    let mut deleted = Vec::new();
    for object in objects {
        if !selection.matches(&op.resource, &object) {
            continue;
        }
        match delete_object(op.server, &op.resource, &object.key, &options) {
            Ok(_) => deleted.push(object),
            Err(error) if error.code() == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answer::List(list::Page { objects: deleted, revision: op.server.store.revision(), next: None, remaining: None }))
}

/// Deletes an object as the options say.
pub(crate) fn delete_object(
    server: &Arc<Inner>,
    resource: &Resource,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deletion, ApiError> {
    loop {
        let live = server
            .store
            .get(&resource.storage, key)
            .ok_or_else(|| ApiError::not_found(&resource.group_resource(), &key.name))?;
        preconditions(resource, &live, options)?;
        match delete_once(server, resource, &live, options) {
            Err(WriteError::Stale) => {}
            Err(_) => return Err(ApiError::not_found(&resource.group_resource(), &key.name)),
            Ok(deletion) => return Ok(deletion),
        }
    }
}

fn preconditions(resource: &Resource, live: &Stored, options: &DeleteOptions) -> Result<(), ApiError> {
    let conflict = |what: &str, wanted: &str, found: &str, more: &str| {
        Err(ApiError::conflict(
            &crate::store::GroupResource::new(&resource.group, &resource.kind),
            &live.key.name,
            &format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been {more}"
            ),
        ))
    };
    let uid = meta::uid(&live.value).unwrap_or_default();
    if let Some(wanted) = options.uid.as_deref().filter(|w| *w != uid) {
        return conflict("UID", wanted, uid, "deleted and then recreated");
    }
    let revision = live.revision.to_string();
    if let Some(wanted) = options.resource_version.as_deref().filter(|w| *w != revision) {
        return conflict("ResourceVersion", wanted, &revision, "modified");
    }
    Ok(())
}

fn delete_once(
    server: &Arc<Inner>,
    resource: &Resource,
    live: &Arc<Stored>,
    options: &DeleteOptions,
) -> Result<Deletion, WriteError> {
    if let Some(marked) = kinds::mark_container(server, resource, &live.value) {
        // A namespace or a CRD: its contents go first.
        return store_marked(server, resource, live, marked, options).map(Deletion::Pending);
    }
    let mut value = live.value.clone();
    let graceful = match grace(server, resource, &mut value, options) {
        Grace::Pending => return Ok(Deletion::Pending(Arc::clone(live))),
        Grace::Graceful(seconds) => Some(seconds),
        Grace::None => None,
    };
    let finalizers = finalizers_for(resource, &value, options);
    let names: Vec<&str> = finalizers.iter().map(String::as_str).collect();
    meta::set_finalizers(&mut value, &names);
    if finalizers.is_empty() && graceful.is_none_or(|seconds| seconds == 0) {
        if options.dry_run {
            return Ok(Deletion::Gone(Arc::clone(live)));
        }
        let last = graceful.is_some().then_some(value);
        return remove(server, resource, live, last).map(Deletion::Gone);
    }
    if graceful.is_none() {
        mark(server, &mut value);
    }
    store_marked(server, resource, live, value, options).map(Deletion::Pending)
}

fn store_marked(
    server: &Arc<Inner>,
    resource: &Resource,
    live: &Arc<Stored>,
    value: Value,
    options: &DeleteOptions,
) -> Result<Arc<Stored>, WriteError> {
    if value == live.value {
        return Ok(Arc::clone(live));
    }
    if options.dry_run {
        return Ok(Arc::new(Stored::unsaved(live.key.clone(), live.revision, value)));
    }
    let stored = server.store.update(&resource.storage, &live.key, live.revision, value)?;
    controllers::written(server, resource, &stored);
    Ok(stored)
}

/// Takes an object out of the store.
pub(crate) fn remove(
    server: &Arc<Inner>,
    resource: &Resource,
    live: &Arc<Stored>,
    last: Option<Value>,
) -> Result<Arc<Stored>, WriteError> {
    let stored = server.store.delete(&resource.storage, &live.key, live.revision, last)?;
    controllers::removed(server, resource, &stored);
    Ok(stored)
}

/// Marks an object that waits for its finalizers: deletion time now, no grace period.
pub(crate) fn mark(server: &Inner, value: &mut Value) {
    let now = meta::time(server.now());
    if !meta::is_deleting(value) {
        let generation = meta::generation(value);
        if generation > 0 {
            meta::set(value, "generation", Some(Value::from(generation + 1)));
        }
    }
    // RFC 3339 in UTC orders as text.
    if meta::text(value, "deletionTimestamp").is_none_or(|t| t > now.as_str()) {
        meta::set(value, "deletionTimestamp", Some(Value::from(now)));
    }
    meta::set(value, "deletionGracePeriodSeconds", Some(Value::from(0)));
}

enum Grace {
    /// The kind, or this object, is not deleted gracefully.
    None,
    /// Marked with this grace period, in seconds.
    Graceful(i64),
    /// Marked before, and nothing changes.
    Pending,
}

/// Graceful deletion, which only pods have.
fn grace(server: &Inner, resource: &Resource, value: &mut Value, options: &DeleteOptions) -> Grace {
    if !resource.is("", "Pod") {
        return Grace::None;
    }
    let asked = options.grace_period.map(|s| if s < 0 { 1 } else { s });
    if meta::is_deleting(value) {
        let current = meta::grace_period(value).unwrap_or(0);
        if current == 0 {
            return Grace::None;
        }
        let Some(seconds) = asked.filter(|s| *s < current) else {
            return Grace::Pending;
        };
        let now = server.now();
        let deadline: jiff::Timestamp =
            meta::text(value, "deletionTimestamp").and_then(|t| t.parse().ok()).unwrap_or(now);
        let moved = deadline.checked_sub((current - seconds).seconds()).unwrap_or(now);
        let (moved, seconds) = if moved < now { (now, if seconds == 0 { 0 } else { 1 }) } else { (moved, seconds) };
        set_deadline(value, moved, seconds);
        return Grace::Graceful(seconds);
    }
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let unscheduled = text("/spec/nodeName").is_empty();
    let finished = matches!(text("/status/phase"), "Succeeded" | "Failed");
    let wanted =
        asked.or_else(|| value.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64)).unwrap_or(30);
    let seconds = if unscheduled || finished { 0 } else { wanted };
    let deadline = server.now().checked_add(seconds.seconds()).unwrap_or(server.now());
    let generation = meta::generation(value);
    if generation > 0 {
        meta::set(value, "generation", Some(Value::from(generation + 1)));
    }
    set_deadline(value, deadline, seconds);
    Grace::Graceful(seconds)
}

fn set_deadline(value: &mut Value, deadline: jiff::Timestamp, seconds: i64) {
    meta::set(value, "deletionTimestamp", Some(Value::from(meta::time(deadline))));
    meta::set(value, "deletionGracePeriodSeconds", Some(Value::from(seconds)));
}

/// The finalizers after a delete: those of the garbage collector are put in or taken out.
fn finalizers_for(resource: &Resource, value: &Value, options: &DeleteOptions) -> Vec<String> {
    let before = meta::finalizers(value);
    let policy = options.propagation.or_else(|| {
        if before.contains(&"orphan") {
            Some(Propagation::Orphan)
        } else if before.contains(&"foregroundDeletion") {
            Some(Propagation::Foreground)
        } else if resource.is("batch", "Job") || resource.is("", "ReplicationController") {
            // For compatibility the dependents of these are kept unless the request says otherwise.
            Some(Propagation::Orphan)
        } else {
            None
        }
    });
    let mut finalizers: Vec<String> =
        before.into_iter().filter(|f| !matches!(*f, "orphan" | "foregroundDeletion")).map(str::to_owned).collect();
    match policy {
        // Events have no garbage collection.
        _ if resource.kind == "Event" && !resource.is_custom() => {}
        Some(Propagation::Orphan) => finalizers.push("orphan".to_owned()),
        Some(Propagation::Foreground) => finalizers.push("foregroundDeletion".to_owned()),
        Some(Propagation::Background) | None => {}
    }
    finalizers
}
