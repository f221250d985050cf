//! The form of the manifest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CaptureSet, CapturedObject, EpochRecord, INLINE_LIMIT, corrupt};
use crate::s3::codec::{self, CodecError};
use crate::s3::error::S3Error;
use crate::s3::layout::{AppId, KeyContent, ObjectKind, ObjectRef, S3Key};
use crate::s3::store::{S3Store, StoredObject};

/// Says what this is to whoever finds it.
const FORMAT: &str = "kaedama.capture/v1";

/// The manifest: gzip JSON like everything else in the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    format: String,
    #[serde(flatten)]
    pub(super) writer: EpochRecord,
    /// Rises with every set of one epoch: at least the milliseconds since 1970 of its time, so that it rises even
    /// where the writer could not read what it wrote before.
    pub(super) sequence: i64,
    pub(super) time: Timestamp,
    pub(super) vrg_uid: String,
    /// How many objects of each type.
    counts: BTreeMap<String, usize>,
    pub(super) parts: Parts,
}

/// The objects of a set. A type of its own, because raw JSON does not go through serde's flattening.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts(pub(super) Vec<Part>);

/// One object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its key in Ramen's layout.
    pub(super) key: String,
    /// sha256 of its JSON text.
    pub(super) sha256: String,
    /// Length of that text in bytes.
    pub(super) size: usize,
    /// The text itself, where the set is small; else it is in a part of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Box<RawValue>>,
}
