//! What was read from the works last. Most passes find in a work what the pass before found there, and reading it again
//! from its text was much of what they cost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::report::{self, ReportError};
use serde_json::Value;

/// The groups that works deliver and report, by work. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    last: Arc<Mutex<HashMap<ObjectKey, Last>>>,
}

#[derive(Debug, Default)]
struct Last {
    /// The group that the work delivers, with its manifest. Not with a version: a hub that was restored from a backup
    /// gives the same versions to other manifests.
    delivered: Option<(Value, VolumeReplicationGroup)>,
    /// The group that was reported, with the text of the report.
    reported: Option<(String, VolumeReplicationGroup)>,
}

impl Decoded {
    /// The group that a work delivers: its first manifest. None where it holds no manifest.
    ///
    /// # Errors
    /// The manifest is no VolumeReplicationGroup.
    pub fn delivered(&self, work: &ManifestWork) -> Option<Result<VolumeReplicationGroup, serde_json::Error>> {
        let manifest = work.spec.workload.manifests.first()?;
        let key = ObjectKey::of(work);
        if let Some(Last { delivered: Some((of, group)), .. }) = self.lock().get(&key)
            && of == manifest
        {
            return Some(Ok(group.clone()));
        }
        let group: Result<VolumeReplicationGroup, _> = serde_json::from_value(manifest.clone());
        if let Ok(group) = &group {
            self.lock().entry(key).or_default().delivered = Some((manifest.clone(), group.clone()));
        }
        Some(group)
    }

    /// The group of this report, which was fed back into the work.
    ///
    /// # Errors
    /// As [`report::decode`].
    pub fn reported(&self, work: &ManifestWork, text: &str) -> Result<VolumeReplicationGroup, ReportError> {
        let key = ObjectKey::of(work);
        if let Some(Last { reported: Some((of, group)), .. }) = self.lock().get(&key)
            && of == text
        {
            return Ok(group.clone());
        }
        let group = report::decode(text)?;
        self.lock().entry(key).or_default().reported = Some((text.to_owned(), group.clone()));
        Ok(group)
    }

    /// The work is gone.
    pub fn forget(&self, work: &ObjectKey) {
        self.lock().remove(work);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn work(group: &str) -> ManifestWork {
        let mut work = ManifestWork::default();
        work.metadata.name = Some("web".into());
        let group = VolumeReplicationGroup::new(group, Default::default());
        work.spec.workload.manifests = vec![serde_json::to_value(group).unwrap()];
        work
    }

    #[test]
    fn what_a_work_delivers_is_that_of_its_manifest() {
        let decoded = Decoded::default();
        let name = |work: &ManifestWork| decoded.delivered(work).unwrap().unwrap().metadata.name.unwrap();
        assert_eq!((name(&work("a")), name(&work("a"))), ("a".into(), "a".into()));
        assert_eq!(name(&work("b")), "b", "whatever version the work has");
        let mut malformed = work("c");
        malformed.spec.workload.manifests = vec![json!({"metadata": 7})];
        assert!(decoded.delivered(&malformed).unwrap().is_err());
        malformed.spec.workload.manifests.clear();
        assert!(decoded.delivered(&malformed).is_none());
        assert_eq!(name(&work("b")), "b");
    }

    #[test]
    fn a_report_is_that_of_its_text() {
        let (decoded, work) = (Decoded::default(), work("a"));
        let text = |name: &str| report::encode(&VolumeReplicationGroup::new(name, Default::default()));
        let name = |text: &str| decoded.reported(&work, text).ok().and_then(|group| group.metadata.name);
        assert_eq!((name(&text("a")), name(&text("a"))), (Some("a".into()), Some("a".into())));
        assert_eq!(name(&text("b")), Some("b".into()));
        assert_eq!(name("no report"), None);
        assert_eq!(name(&text("b")), Some("b".into()));
        decoded.forget(&ObjectKey::of(&work));
        assert!(decoded.lock().is_empty());
    }
}
