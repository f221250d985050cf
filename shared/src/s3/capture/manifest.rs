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
    /// Who may write: the epoch.
    writer: EpochRecord,
    /// The set; none while a writer has only said that it may write, and nobody has written a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
}

/// A set as it is stored. A new writer takes it over as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    /// Who put these objects together: the writer, or one before it.
    pub(super) author: EpochRecord,
    /// Rises with every set: at least the milliseconds since 1970 of its time, so that it rises even where the writer
    /// could not read what it wrote before.
    pub(super) sequence: i64,
    pub(super) time: Timestamp,
    vrg_uid: String,
    /// How many objects of each type, for whoever looks at it.
    counts: BTreeMap<String, usize>,
    /// Whether Ramen's layout had all of these objects when this was written.
    layout_complete: bool,
    /// All objects but the VolumeReplicationGroup, which changes more often and is in Ramen's layout only.
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
    size: usize,
    /// The text itself, where the set is small; else it is under a part key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Box<RawValue>>,
}

impl Manifest {
    /// The manifest of a set. Its layout is still to be written.
    pub(super) fn of(app: &AppId, set: &CaptureSet, sequence: i64) -> Result<Self, serde_json::Error> {
        let total: usize = set.parts().map(|(_, object)| object.json().len()).sum();
        let inline = total <= INLINE_LIMIT;
        let mut counts = BTreeMap::new();
        let mut parts = Vec::with_capacity(set.objects().len());
        for (place, object) in set.parts() {
            *counts.entry(place.kind().kind().to_owned()).or_default() += 1;
            let text = object.json();
            parts.push(Part {
                key: S3Key::object(app, place.clone()).to_string(),
                sha256: codec::digest(text),
                size: text.len(),
                object: inline.then(|| RawValue::from_string(text.to_owned())).transpose()?,
            });
        }
        let content = Content {
            author: set.writer.clone(),
            sequence,
            time: set.time,
            vrg_uid: set.vrg_uid.clone(),
            counts,
            layout_complete: false,
            parts,
        };
        Ok(Self { format: FORMAT.into(), writer: set.writer.clone(), content: Some(content) })
    }

    /// What is stored, with `writer` as the one that may write from now on.
    pub(super) fn claim(stored: Option<&Self>, writer: &EpochRecord) -> Self {
        let content = stored.and_then(|stored| stored.content.clone());
        Self { format: FORMAT.into(), writer: writer.clone(), content }
    }

    /// The same, when Ramen's layout has all of its objects.
    pub(super) fn with_complete_layout(&self) -> Self {
        let mut complete = self.clone();
        if let Some(content) = &mut complete.content {
            content.layout_complete = true;
        }
        complete
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
        for part in manifest.parts() {
            if let Some(text) = &part.object {
                prove(part, text.get()).map_err(|error| corrupt(store, &key, error))?;
            }
        }
        Ok(manifest)
    }

    /// The writer that a damaged manifest names, if that much can be read.
    pub(super) fn writer_of(body: &[u8]) -> Option<EpochRecord> {
        #[derive(Deserialize)]
        struct Head {
            writer: EpochRecord,
        }
        codec::decode(body).ok().map(|Head { writer }| writer)
    }

    pub(super) fn writer(&self) -> &EpochRecord {
        &self.writer
    }

    pub(super) fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    fn parts(&self) -> &[Part] {
        self.content.as_ref().map_or(&[], |content| &content.parts)
    }

    /// Whether Ramen's layout had all of the objects when this was written.
    pub(super) fn layout_complete(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.layout_complete)
    }

    /// Key and digest of each object.
    pub(super) fn digests(&self) -> Vec<(String, String)> {
        self.parts().iter().map(|part| (part.key.clone(), part.sha256.clone())).collect()
    }

    /// The objects that are under part keys of their own.
    pub(super) fn separate_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts().iter().filter(|part| part.object.is_none())
    }

    /// Where its objects belong; parts whose key is not of the layout are left out.
    pub(super) fn places(&self) -> impl Iterator<Item = (ObjectRef, &Part)> {
        self.parts().iter().filter_map(|part| match part.key.parse::<S3Key>() {
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
