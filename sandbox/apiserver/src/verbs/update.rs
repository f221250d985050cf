//! Update, and what every write to an existing object has in common.

use super::delete;
use super::options::WriteOptions;
use super::{Answer, Op, Write, body, create};
use crate::controllers;
use crate::convert;
use crate::kinds;
use crate::meta;
use crate::metadata;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::{Key, Stored, WriteError};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn update(op: &Op<'_>, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(op, "UpdateOptions")?;
    let mut object = body::object(op, &options, warnings)?;
    body::dedup_owners(&mut object, warnings);
    check_name(op, &object)?;
    let write = Write { server: op.server, resource: &op.resource, subresource: &op.subresource, options };
    let upsert = op.resource.create_on_update && op.subresource.is_empty();
    // With a resourceVersion there is one attempt.
    let once = meta::text(&object, "resourceVersion").is_some_and(|rv| rv != "0");
    let make = |_: Option<&Value>| Ok(if once { object.take() } else { object.clone() });
    let (stored, created) = modify(&write, &op.key(), upsert, false, make)?;
    Ok(Answer::Object(if created { 201 } else { 200 }, stored))
}

/// Refuses a body that names another object than the path.
pub(crate) fn check_name(op: &Op<'_>, object: &Value) -> Result<(), ApiError> {
    let name = meta::name(object);
    if name != op.name {
        return Err(ApiError::bad_request(if name.is_empty() {
            format!("the name of the object ({} based on URL) was undeterminable: name must be provided", op.name)
        } else {
            format!("the name of the object ({name}) does not match the name on the URL ({})", op.name)
        }));
    }
    let namespace = meta::namespace(object);
    if !namespace.is_empty() && op.resource.namespaced && namespace != op.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
            op.namespace
        )));
    }
    Ok(())
}

/// `pods/binding`: sets the node of a pod.
pub(crate) fn bind(op: &Op<'_>, options: &WriteOptions) -> Result<Answer, ApiError> {
    let binding = body::parse(op.request)?;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    let write = Write { server: op.server, resource: &op.resource, subresource: "binding", options: options.clone() };
    modify(&write, &op.key(), false, true, |live| {
        let mut pod = live.cloned().unwrap_or_default();
        if pod["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty()) {
            return Err(ApiError::conflict(
                &op.group_resource(),
                &op.name,
                &format!("pod {} is already assigned to node {}", op.name, pod["spec"]["nodeName"]),
            ));
        }
        pod["spec"]["nodeName"] = Value::from(node.clone());
        Ok(pod)
    })?;
    Ok(Answer::Value(
        201,
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 }),
    ))
}

/// Changes an object: `make` gets the live object in the resource's version and returns what it shall be.
///
/// A write whose `make` did not carry a resourceVersion (and one with `retry`: a patch) is repeated when the object
/// has changed meanwhile. `upsert` creates what is absent: then `make` gets nothing. Returns whether it was created.
pub(crate) fn modify(
    write: &Write<'_>,
    key: &Key,
    upsert: bool,
    retry: bool,
    mut make: impl FnMut(Option<&Value>) -> Result<Value, ApiError>,
) -> Result<(Arc<Stored>, bool), ApiError> {
    let Write { server, resource, .. } = *write;
    loop {
        let Some(live) = server.store.get(&resource.storage, key) else {
            if !upsert {
                return Err(ApiError::not_found(&resource.group_resource(), &key.name));
            }
            let mut object = make(None)?;
            if meta::uid(&object).is_some() {
                return Err(ApiError::conflict(
                    &resource.group_resource(),
                    &key.name,
                    &format!(
                        "Precondition failed: UID in precondition: {}, UID in object meta: ",
                        meta::uid(&object).unwrap_or_default()
                    ),
                ));
            }
            meta::set(&mut object, "resourceVersion", None);
            match create::create_object(write, &key.namespace, object) {
                Err(error) if error.is_already_exists() && retry => continue,
                result => return result.map(|stored| (stored, true)),
            }
        };
        let old = convert::from_storage(resource, &live);
        let new = make(Some(&old))?;
        let explicit = meta::text(&new, "resourceVersion").is_some_and(|rv| rv != "0");
        match replace(write, &live, &old, new) {
            Err(Failure::Write(WriteError::Stale)) if retry || !explicit => {}
            Err(Failure::Write(WriteError::NotFound)) => {
                return Err(ApiError::not_found(&resource.group_resource(), &key.name));
            }
            Err(Failure::Write(_)) => return Err(ApiError::modified(&resource.group_resource(), &key.name)),
            Err(Failure::Api(error)) => return Err(error),
            Ok(stored) => return Ok((stored, false)),
        }
    }
}

enum Failure {
    Api(ApiError),
    Write(WriteError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// One attempt of a write: `live` becomes `new`.
fn replace(write: &Write<'_>, live: &Arc<Stored>, old: &Value, mut new: Value) -> Result<Arc<Stored>, Failure> {
    let Write { server, resource, .. } = *write;
    preconditions(write, live, old, &new)?;
    if resource.is_custom() && write.subresource == "status" {
        // Nothing but the status is written this way, so that nothing else is owned.
        let mut metadata = old["metadata"].clone();
        for field in ["managedFields", "resourceVersion"] {
            match meta::field(&new, field) {
                Some(value) => metadata[field] = value.clone(),
                None => drop(metadata.as_object_mut().and_then(|m| m.remove(field))),
            }
        }
        new["metadata"] = metadata;
    }
    if !write.options.applied {
        resource.track(Some(old), &mut new, write.writer());
    }
    if write.subresource == "scale" {
        super::scale::disown_zero(write, &mut new);
    }
    metadata::match_namespace(resource, &live.key.namespace, &mut new)?;
    let generation = meta::field(old, "generation").cloned();
    meta::set(&mut new, "generation", generation);
    kinds::prepare_update(server, resource, write.subresource, old, &mut new);
    metadata::carry_over(old, &mut new);
    let mut errors = metadata::validate(resource, &new);
    // The server checks this twice: for all kinds, and with each kind.
    let changes = metadata::validate_update(old, &new);
    errors.splice(0..0, changes.iter().cloned());
    errors.extend(changes);
    errors.extend(kinds::validate_update(resource, write.subresource, old, &new));
    errors.extend(resource.schema_errors(&new, Some(old)));
    errors.extend(super::scale::negative(resource, &new));
    if !errors.is_empty() {
        return Err(ApiError::invalid_object(resource, &live.key.name, &errors).into());
    }
    let revision = Value::from(live.revision.to_string());
    meta::set(&mut new, "resourceVersion", Some(revision));
    if emptied(resource, old, &new) {
        convert::to_storage(resource, &mut new);
        if write.options.dry_run {
            return Ok(Arc::new(Stored::unsaved(live.key.clone(), live.revision, new)));
        }
        // What is deleted is what was stored; who took the last finalizer away sees the object without it.
        delete::remove(server, resource, live, None).map_err(Failure::Write)?;
        return Ok(Arc::new(Stored::unsaved(live.key.clone(), live.revision, new)));
    }
    if new == *old {
        return Ok(Arc::clone(live));
    }
    convert::to_storage(resource, &mut new);
    if write.options.dry_run {
        return Ok(Arc::new(Stored::unsaved(live.key.clone(), live.revision, new)));
    }
    let stored = server.store.update(&resource.storage, &live.key, live.revision, new).map_err(Failure::Write)?;
    controllers::written(server, resource, &stored);
    Ok(stored)
}

/// uid and resourceVersion that the new object carries have to be those of the live one.
fn preconditions(write: &Write<'_>, live: &Stored, old: &Value, new: &Value) -> Result<(), ApiError> {
    let resource = write.resource;
    let group_resource = resource.group_resource();
    if let Some(uid) = meta::uid(new).filter(|u| !write.options.patched && Some(*u) != meta::uid(old)) {
        let group = if resource.is_custom() { format!("{}/", resource.group) } else { String::new() };
        let namespace = if resource.namespaced { format!("{}/", live.key.namespace) } else { String::new() };
        let path = format!("/registry/{group}{}/{namespace}{}", resource.plural, live.key.name);
        return Err(ApiError::conflict(
            &group_resource,
            &live.key.name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                meta::uid(old).unwrap_or_default()
            ),
        ));
    }
    match meta::text(new, "resourceVersion").filter(|rv| *rv != "0") {
        Some(revision) if revision == live.revision.to_string() => Ok(()),
        Some(revision) if revision.parse::<u64>().is_err() => {
            Err(ApiError::new(500, "", format!("strconv.ParseUint: parsing \"{revision}\": invalid syntax")))
        }
        Some(_) => Err(ApiError::modified(&group_resource, &live.key.name)),
        None if resource.unconditional_update => Ok(()),
        None => Err(ApiError::invalid(
            &group_resource.group,
            &group_resource.resource,
            &live.key.name,
            &[FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update")],
        )),
    }
}

/// Whether the write takes away the last finalizer of an object that is being deleted.
fn emptied(resource: &crate::registry::Resource, old: &Value, new: &Value) -> bool {
    let done = meta::is_deleting(old)
        && meta::finalizers(new).is_empty()
        && meta::grace_period(old).is_none_or(|seconds| seconds == 0);
    done && (!resource.is("", "Namespace") || meta::strings(new.pointer("/spec/finalizers")).is_empty())
}
