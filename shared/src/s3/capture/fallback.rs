//! Ramen's layout read as a set.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;

use super::manifest::Content;
use super::{CapturedObject, EpochRecord, Objects, corrupt};
use crate::s3::codec;
use crate::s3::error::{Operation, S3Error, S3ErrorKind};
use crate::s3::layout::{AppId, KeyContent, ObjectKind, ObjectRef, S3Key};
use crate::s3::store::{S3Store, StoredObject};

/// Objects that are read from one store at the same time.
const PARALLEL: usize = 8;

/// The annotation of a stored VolumeReplicationGroup that names its writer: `<cluster>/<epoch>/<action>`. It is only on
/// the stored copy, so an operator that does not know it never writes it.
const STORED_BY: &str = "kaedama.dev/stored-by";

/// A VolumeReplicationGroup of Ramen's layout, as far as it decides which copy is the newest.
#[derive(Clone, Debug)]
pub(super) struct StoredVrg {
    /// Without the marker of its writer.
    pub(super) object: CapturedObject,
    /// sha256 of its text as it is stored.
    pub(super) sha256: String,
    /// Who wrote it; none for another product.
    pub(super) stored_by: Option<EpochRecord>,
    /// `status.lastUpdateTime`.
    pub(super) updated: Option<Timestamp>,
    /// Whether `spec.replicationState` is primary.
    pub(super) primary: bool,
}

impl StoredVrg {
    pub(super) fn read(store: &S3Store, app: &AppId, stored: &StoredObject) -> Result<Self, S3Error> {
        let key = S3Key::object(app, ObjectRef::Vrg).to_string();
        let bad = |error| corrupt(store, &key, error);
        let text = codec::unpack(&stored.body).map_err(bad)?;
        let text = String::from_utf8_lossy(&text);
        let sha256 = codec::digest(text.strip_suffix('\n').unwrap_or(&text));
        let mut value = codec::decode_object(ObjectKind::VolumeReplicationGroup, &stored.body).map_err(bad)?;
        let stored_by = unmark(&mut value);
        // Null, empty and absent times are the same.
        let updated = value.pointer("/status/lastUpdateTime").and_then(Value::as_str);
        let updated = updated.and_then(|time| time.parse().ok());
        let primary = value.pointer("/spec/replicationState").and_then(Value::as_str) == Some("primary");
        let object = CapturedObject::new(&value).map_err(|error| bad(error.into()))?;
        Ok(Self { object, sha256, stored_by, updated, primary })
    }

    /// Whether another product became primary and wrote after this set was put together.
    pub(super) fn is_newer_and_foreign(&self, set: &Content) -> bool {
        self.stored_by.is_none() && self.primary && self.updated.is_some_and(|updated| updated > set.time)
    }
}

/// The text of a VolumeReplicationGroup as `writer` stores it.
pub(super) fn marked(vrg: &CapturedObject, writer: &EpochRecord) -> Result<CapturedObject, serde_json::Error> {
    let mut value: Value = serde_json::from_str(vrg.json())?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if annotations.is_null() {
            *annotations = Value::Object(serde_json::Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            let marker = format!("{}/{}/{}", writer.cluster, writer.epoch, writer.action_id);
            annotations.insert(STORED_BY.to_owned(), marker.into());
        }
    }
    CapturedObject::new(&value)
}

/// Takes the marker off, and says what it said.
fn unmark(vrg: &mut Value) -> Option<EpochRecord> {
    let metadata = vrg.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let marker = annotations.remove(STORED_BY)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    let mut parts = marker.as_str()?.splitn(3, '/');
    let (cluster, epoch, action) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    Some(EpochRecord { epoch, cluster: cluster.to_owned(), action_id: action.to_owned() })
}

/// All objects that Ramen's layout has of `app`, in one listing and one request per object; the
/// VolumeReplicationGroup is taken from `vrg`, which the caller has read.
pub(super) async fn read(store: &S3Store, app: &AppId, vrg: Option<&StoredVrg>) -> Result<Objects, S3Error> {
    // Every type segment begins so, and nothing else below the application's prefix does.
    let keys = store.list(&format!("{}v1", app.prefix())).await?;
    let places: Vec<(String, ObjectRef)> = keys
        .into_iter()
        .filter_map(|key| match key.parse::<S3Key>() {
            Ok(S3Key { content: KeyContent::Object(place), .. }) if place != ObjectRef::Vrg => Some((key, place)),
            _ => None,
        })
        .collect();
    let read: Vec<(ObjectRef, CapturedObject)> = stream::iter(places)
        .map(|(key, place)| async move { object(store, &key, place).await })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let mut objects = Objects::new();
    let (old_form, qualified): (Vec<_>, Vec<_>) =
        read.into_iter().partition(|(place, _)| matches!(place, ObjectRef::Pvc { namespace: None, .. }));
    objects.extend(qualified);
    for (place, object) in old_form {
        // The namespace is not in the key, but in the object; the newer form of the same claim wins.
        let namespace = metadata(&object, "namespace").unwrap_or_else(|| app.namespace.clone());
        let ObjectRef::Pvc { name, .. } = place else { continue };
        objects.entry(ObjectRef::pvc(namespace, name)).or_insert(object);
    }
    if let Some(vrg) = vrg {
        objects.insert(ObjectRef::Vrg, vrg.object.clone());
    }
    refuse_double_claims(store, app, &objects)?;
    Ok(objects)
}

async fn object(store: &S3Store, key: &str, place: ObjectRef) -> Result<(ObjectRef, CapturedObject), S3Error> {
    let stored = store.get(key).await.map_err(|mut error| {
        if error.is_absent() {
            // It was listed: the set changes while it is read, which proves nothing about what is in it.
            error.kind = S3ErrorKind::Conflict;
        }
        error
    })?;
    let value = codec::decode_object(place.kind(), &stored.body).map_err(|error| corrupt(store, key, error))?;
    let object = CapturedObject::new(&value).map_err(|error| corrupt(store, key, error.into()))?;
    Ok((place, object))
}

fn value(object: &CapturedObject) -> Value {
    serde_json::from_str(object.json()).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn metadata(object: &CapturedObject, member: &str) -> Option<String> {
    text(&value(object), &format!("/metadata/{member}"))
}

/// The claim that a volume is bound to.
fn claim_of(volume: &CapturedObject) -> Option<(String, String)> {
    let value = value(volume);
    Some((text(&value, "/spec/claimRef/namespace")?, text(&value, "/spec/claimRef/name")?))
}

/// Two volumes of one claim are what two primaries leave behind: a person has to say which is the right one.
fn refuse_double_claims(store: &S3Store, app: &AppId, objects: &Objects) -> Result<(), S3Error> {
    let mut claims: BTreeMap<(String, String), &str> = BTreeMap::new();
    for (place, object) in objects {
        let (ObjectRef::Pv(name), Some(claim)) = (place, claim_of(object)) else { continue };
        if let Some(other) = claims.insert(claim.clone(), name) {
            let (namespace, claim) = claim;
            let detail = format!(
                "volumes {other} and {name} both claim {namespace}/{claim}, as after two primaries; delete the wrong one"
            );
            let prefix = app.type_prefix(ObjectKind::PersistentVolume);
            return Err(store.error(Operation::List, &prefix, S3ErrorKind::Conflict, &detail));
        }
    }
    Ok(())
}

/// Whether each claim that the VolumeReplicationGroup protects is there, but for those of VolSync, which are never stored.
pub(super) fn has_all(objects: &Objects, vrg: &StoredVrg) -> bool {
    let value = value(&vrg.object);
    let claims =
        value.pointer("/status/protectedPVCs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    claims.iter().filter(|claim| claim["protectedByVolSync"] != true).all(|claim| {
        let member = |name: &str| claim[name].as_str().unwrap_or_default();
        objects.contains_key(&ObjectRef::pvc(member("namespace"), member("name")))
    })
}

/// What is not complete: volumes whose claim is missing, claims whose volume is missing.
pub(super) fn gaps(objects: &Objects) -> Vec<String> {
    let mut gaps = Vec::new();
    for (place, object) in objects {
        match place {
            ObjectRef::Pv(name) => match claim_of(object) {
                Some((namespace, claim)) if !objects.contains_key(&ObjectRef::pvc(&namespace, &claim)) => {
                    gaps.push(format!("PersistentVolume {name} without its claim {namespace}/{claim}"));
                }
                Some(_) => {}
                None => gaps.push(format!("PersistentVolume {name} without a claimRef")),
            },
            ObjectRef::Pvc { namespace, name } => {
                let volume = text(&value(object), "/spec/volumeName");
                if volume.as_ref().is_none_or(|volume| !objects.contains_key(&ObjectRef::Pv(volume.clone()))) {
                    let namespace = namespace.as_deref().unwrap_or_default();
                    let volume = volume.unwrap_or_default();
                    gaps.push(format!("PersistentVolumeClaim {namespace}/{name} without its volume {volume}"));
                }
            }
            ObjectRef::Vrg | ObjectRef::Vgr { .. } | ObjectRef::Vgrc(_) => {}
        }
    }
    gaps
}
