// BEING REWORKED RIGHT NOW BY THE "S3 requests" HELPER: do not edit this folder, and leave the count of S3 requests to it.
//! The form of the manifest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CaptureSet, CapturedObject, EpochRecord, INLINE_LIMIT, Objects, corrupt};
use crate::s3::codec::{self, CodecError};
use crate::s3::error::S3Error;
use crate::s3::layout::{AppId, KeyContent, ObjectRef, S3Key};
use crate::s3::store::{S3Store, StoredObject};

/// Says what this is to whoever finds it.
const FORMAT: &str = "kaedama.capture/v1";

/// The manifest: gzip JSON like everything else in the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    format: String,
    pub(super) writer: EpochRecord,
    /// Rises with every set of one epoch: at least the milliseconds since 1970 of its time, so that it rises even
    /// where the writer could not read what it wrote before.
    pub(super) sequence: i64,
    pub(super) time: Timestamp,
    pub(super) vrg_uid: String,
    /// How many objects of each type, for whoever looks at it.
    counts: BTreeMap<String, usize>,
    pub(super) parts: Vec<Part>,
}

/// One object of a set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its key in Ramen's layout.
    pub(super) key: String,
    /// sha256 of its JSON text.
    pub(super) sha256: String,
    /// Length of that text in bytes.
    pub(super) size: usize,
    /// The text itself, where the set is small; else it is under a part key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Box<RawValue>>,
}

impl Manifest {
    /// The manifest of a set.
    pub(super) fn of(app: &AppId, set: &CaptureSet, sequence: i64) -> Result<Self, serde_json::Error> {
        let total: usize = set.objects().values().map(|object| object.json().len()).sum();
        let inline = total <= INLINE_LIMIT;
        let mut counts = BTreeMap::new();
        let mut parts = Vec::with_capacity(set.objects().len());
        for (place, object) in set.objects() {
            *counts.entry(place.kind().kind().to_owned()).or_default() += 1;
            let text = object.json();
            parts.push(Part {
                key: S3Key::object(app, place.clone()).to_string(),
                sha256: codec::digest(text),
                size: text.len(),
                object: inline.then(|| RawValue::from_string(text.to_owned())).transpose()?,
            });
        }
        Ok(Self {
            format: FORMAT.into(),
            writer: set.writer.clone(),
            sequence,
            time: set.time,
            vrg_uid: set.vrg_uid.clone(),
            counts,
            parts,
        })
    }

    /// Its body. The texts of the objects go through unchanged, so that their digests stay true.
    pub(super) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(codec::encode(&serde_json::to_string(self)?))
    }

    /// Reads a manifest, and proves every object that stands in it by its digest.
    pub(super) fn read(store: &S3Store, app: &AppId, object: &StoredObject) -> Result<Self, S3Error> {
        let key = S3Key::manifest(app).to_string();
        let manifest: Self = codec::decode(&object.body).map_err(|error| corrupt(store, &key, error))?;
        if manifest.format != FORMAT {
            let error = CodecError::WrongKind { expected: FORMAT, found: manifest.format };
            return Err(corrupt(store, &key, error));
        }
        for part in &manifest.parts {
            if let Some(text) = &part.object {
                prove(part, text.get()).map_err(|error| corrupt(store, &key, error))?;
            }
        }
        Ok(manifest)
    }

    /// Whether both hold the same objects of the same writer, whatever their sequence and time.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        let digests = |manifest: &Self| -> Vec<(String, String)> {
            manifest.parts.iter().map(|part| (part.key.clone(), part.sha256.clone())).collect()
        };
        self.writer == other.writer && self.vrg_uid == other.vrg_uid && digests(self) == digests(other)
    }

    /// Digests of the objects that are under part keys of their own.
    pub(super) fn separate_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.object.is_none())
    }

    /// The part of one object.
    pub(super) fn part(&self, app: &AppId, place: &ObjectRef) -> Option<&Part> {
        let key = S3Key::object(app, place.clone()).to_string();
        self.parts.iter().find(|part| part.key == key)
    }

    /// Where its objects belong; parts whose key is not of the layout are left out.
    pub(super) fn places(&self) -> impl Iterator<Item = (ObjectRef, &Part)> {
        self.parts.iter().filter_map(|part| match part.key.parse::<S3Key>() {
            Ok(S3Key { content: KeyContent::Object(place), .. }) => Some((place, part)),
            _ => None,
        })
    }

    /// All its objects; those that are under keys of their own are fetched from the store.
    pub(super) async fn objects(&self, store: &S3Store, app: &AppId) -> Result<Objects, S3Error> {
        let mut objects = Objects::new();
        for (place, part) in self.places() {
            let text = match &part.object {
                Some(text) => text.get().to_owned(),
                None => fetch(store, app, part).await?,
            };
            objects.insert(place, CapturedObject::from_text(text));
        }
        Ok(objects)
    }
}

async fn fetch(store: &S3Store, app: &AppId, part: &Part) -> Result<String, S3Error> {
    let key = S3Key::part(app, &part.sha256).to_string();
    let object = store.get(&key).await?;
    let text = codec::unpack(&object.body).map_err(|error| corrupt(store, &key, error))?;
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    prove(part, text).map_err(|error| corrupt(store, &key, error))?;
    Ok(text.to_owned())
}

fn prove(part: &Part, text: &str) -> Result<(), CodecError> {
    let found = codec::digest(text);
    if found == part.sha256 { Ok(()) } else { Err(CodecError::Digest { expected: part.sha256.clone(), found }) }
}
