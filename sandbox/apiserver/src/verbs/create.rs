//! Create.

use super::options::WriteOptions;
use super::{Answer, Op, Write, body};
use crate::admission;
use crate::controllers;
use crate::convert;
use crate::meta;
use crate::metadata;
use crate::status::ApiError;
use crate::store::{Key, Stored, WriteError};
use serde_json::Value;
use std::sync::Arc;

/// How often a generated name that is taken is replaced by another one.
const GENERATED_NAME_ATTEMPTS: u32 = 8;

pub(crate) fn create(op: &Op<'_>, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(op, "CreateOptions")?;
    match op.subresource.as_str() {
        "" => {}
        "eviction" => return super::delete::evict(op),
        "binding" => return super::update::bind(op, &options),
        other => {
            return Err(ApiError::not_implemented(format!("create of the subresource {}/{other}", op.resource.plural)));
        }
    }
    let mut object = body::object(op, &options, warnings)?;
    body::dedup_owners(&mut object, warnings);
    let write = Write { server: op.server, resource: &op.resource, subresource: "", options };
    create_object(&write, &op.namespace, object).map(|stored| Answer::Object(201, stored))
}

/// Creates an object that is decoded already. `namespace` is that of the request.
pub(crate) fn create_object(write: &Write<'_>, namespace: &str, mut object: Value) -> Result<Arc<Stored>, ApiError> {
    if meta::text(&object, "resourceVersion").is_some_and(|rv| rv != "0") {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    metadata::match_namespace(write.resource, namespace, &mut object)?;
    admission::create(write.server, write.resource, namespace, &object)?;
    metadata::wipe(&mut object);
    if !write.options.applied {
        write.resource.track(None, &mut object, write.writer());
    }
    let generate = meta::text(&object, "name").is_none() && meta::text(&object, "generateName").is_some();
    let mut attempt = 1;
    loop {
        let result = create_once(write, object.clone(), generate);
        match result {
            Err(error) if generate && error.is_already_exists() && attempt < GENERATED_NAME_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// Fills in the system's metadata, validates and stores.
fn create_once(write: &Write<'_>, mut object: Value, generate: bool) -> Result<Arc<Stored>, ApiError> {
    let Write { server, resource, .. } = *write;
    metadata::fill(server, &mut object);
    crate::kinds::prepare_create(server, resource, &mut object);
    let mut errors = crate::kinds::validate_create(resource, &object);
    let of_schema: Vec<_> = resource.schema_errors(&object, None).into_iter().filter(|e| !errors.contains(e)).collect();
    errors.extend(of_schema);
    errors.extend(super::scale::negative(resource, &object));
    errors.extend(metadata::validate(resource, &object));
    if !errors.is_empty() {
        return Err(ApiError::invalid_object(resource, meta::name(&object), &errors));
    }
    let key = Key::new(meta::namespace(&object), meta::name(&object));
    convert::to_storage(resource, &mut object);
    let stored = if write.options.dry_run {
        match server.store.get(&resource.storage, &key) {
            Some(_) => Err(WriteError::Exists),
            None => Ok(Arc::new(Stored::unsaved(key.clone(), 0, object))),
        }
    } else {
        server.store.create(&resource.storage, key.clone(), object)
    };
    match stored {
        Ok(stored) => {
            if !write.options.dry_run {
                controllers::written(server, resource, &stored);
            }
            Ok(stored)
        }
        Err(_) => Err(taken(write, &key, generate)),
    }
}

fn taken(write: &Write<'_>, key: &Key, generate: bool) -> ApiError {
    let resource = write.resource.group_resource();
    if generate {
        return ApiError::new(
            409,
            "AlreadyExists",
            format!(
                "{resource} \"{}\" already exists, the server was not able to generate a unique name for the object",
                key.name
            ),
        );
    }
    let error = ApiError::already_exists(&resource, &key.name);
    let live = write.server.store.get(&write.resource.storage, key);
    if live.is_some_and(|l| meta::is_deleting(&l.value)) {
        return error.prefixed("object is being deleted: ");
    }
    error
}
