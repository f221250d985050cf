//! Between what the stores hold and what decisions know.

use kaedama_shared::clock::Clock;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::s3::capture::{self, CaptureError, CaptureSet, EpochRecord, RecoverySet, Source, StoreReading};
use kaedama_shared::s3::codec::CodecError;
use kaedama_shared::s3::layout::ObjectRef;
use kaedama_shared::s3::{AppId, Operation, S3Error, S3ErrorKind};

use crate::vrg::order::Writer;
use crate::vrg::owner::hex;
use crate::vrg::recovery::{Capture, PartKey};
use crate::vrg::snapshot::{StoreRead, StoredSet};

/// One write of a group's set.
pub(super) struct Job {
    pub(super) group: ObjectKey,
    pub(super) uid: String,
    pub(super) writer: Writer,
    pub(super) profiles: Vec<String>,
    /// All profiles of the group, those that are written now among them.
    pub(super) all: Vec<String>,
    pub(super) capture: Capture,
}

impl Job {
    /// The set as the store module wants it.
    pub(super) fn set(&self, clock: &Clock) -> Result<CaptureSet, serde_json::Error> {
        let mut set = CaptureSet::new(record(&self.writer), self.uid.clone(), clock.now());
        for (key, stored) in &self.capture.parts {
            set.insert(place(key), &stored.object)?;
        }
        for key in &self.capture.forget {
            set.release(place(key));
        }
        if let Some(stored) = &self.capture.group {
            set.insert(ObjectRef::Vrg, &stored.object)?;
        }
        Ok(set)
    }
}

/// An object that cannot be written.
pub(super) fn unwritable(profile: &str, error: &serde_json::Error) -> CaptureError {
    S3Error::new(profile, Operation::Put, "", S3ErrorKind::Other, format!("an object has no JSON form: {error}")).into()
}

fn place(key: &PartKey) -> ObjectRef {
    match key {
        PartKey::Volume(name) => ObjectRef::Pv(name.clone()),
        PartKey::Claim(key) => ObjectRef::pvc(key.namespace(), key.name.clone()),
    }
}

/// The application of a group.
pub(super) fn app(group: &ObjectKey) -> AppId {
    AppId::new(group.namespace(), group.name.clone())
}

/// The writer as the stores know it.
pub(super) fn record(writer: &Writer) -> EpochRecord {
    EpochRecord { epoch: writer.epoch, cluster: writer.cluster.clone(), action_id: writer.action.clone() }
}

/// Which bucket behind which address.
pub(super) fn fingerprint(profile: &S3StoreProfile) -> String {
    use sha2::{Digest as _, Sha256};
    let text = format!("{}\n{}\n{}", profile.s3_compatible_endpoint, profile.s3_bucket, profile.s3_region);
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// One store's answer. A move that is `planned` takes no set of which it is not certain that there is no newer one.
pub(super) fn judged(reading: capture::Reading, planned: bool) -> StoreRead {
    let mut reading = reading;
    let unreadable = reading.stores.iter().find_map(|store| match &store.result {
        StoreReading::Unknown(error) | StoreReading::Unusable(error) => Some(error.to_string()),
        StoreReading::Set { doubts, .. } if planned && !doubts.is_empty() => Some(doubts.join("; ")),
        StoreReading::Set { .. } | StoreReading::Empty => None,
    });
    if let Some(why) = unreadable {
        return StoreRead::Unreadable(why);
    }
    let Some(set) = reading.newest.take() else { return StoreRead::Empty };
    let passed_over: Result<Vec<StoredSet>, CodecError> = reading.passed_over.iter().map(stored).collect();
    match stored(&set).and_then(|set| Ok(StoredSet { passed_over: passed_over?, ..set })) {
        Ok(set) => StoreRead::Set(Box::new(set)),
        Err(error) => StoreRead::Unreadable(error.to_string()),
    }
}

/// A set as decisions know it.
fn stored(set: &RecoverySet) -> Result<StoredSet, CodecError> {
    let (capture, time, cluster) = match &set.source {
        Source::Capture { epoch, sequence, cluster, time } => (Some((*epoch, *sequence)), Some(*time), cluster.clone()),
        Source::RamenLayout { updated } => (None, *updated, String::new()),
    };
    let (volumes, claims) = (set.persistent_volumes()?, set.persistent_volume_claims()?);
    Ok(StoredSet { capture, time, cluster, gaps: set.gaps.clone(), volumes, claims, passed_over: Vec::new() })
}

#[cfg(test)]
mod tests {
    use kaedama_shared::s3::PerStore;

    use super::*;

    #[test]
    fn only_a_planned_move_waits_for_what_is_in_doubt() {
        let source = Source::RamenLayout { updated: None };
        let result = StoreReading::Set { source, objects: 1, gaps: Vec::new(), doubts: vec!["a newer one?".into()] };
        let stores = vec![PerStore { profile: "s1".into(), result }];
        let reading = capture::Reading { stores, newest: None, passed_over: Vec::new() };
        assert!(matches!(judged(reading.clone(), true), StoreRead::Unreadable(why) if why.contains("a newer one?")));
        assert!(!matches!(judged(reading, false), StoreRead::Unreadable(_)));
    }
}
