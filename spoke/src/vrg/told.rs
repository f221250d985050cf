//! What was last reported of each group. It is newer than the stored status: the hub acts on reports, so they go first,
//! and the status follows when the group has come to rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaedama_shared::api::{VolumeReplicationGroup, VolumeReplicationGroupReport, VolumeReplicationGroupStatus};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::{names, report};

/// The reports, by group. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Told {
    last: Arc<Mutex<HashMap<ObjectKey, Arc<VolumeReplicationGroup>>>>,
}

impl Told {
    /// The object that asks for a report on a group.
    #[must_use]
    pub fn place(group: &ObjectKey) -> ObjectKey {
        ObjectKey::cluster(names::group_report(group.namespace(), &group.name))
    }

    /// What was reported of the group that is stored: by this process, or by the one before it.
    pub fn of(
        &self,
        stored: &VolumeReplicationGroup,
        report: &VolumeReplicationGroupReport,
    ) -> Option<Arc<VolumeReplicationGroup>> {
        let text = report.status.as_ref().map(|status| status.report.as_str()).unwrap_or_default();
        if text.is_empty() {
            // The hub has made it anew.
            return None;
        }
        let key = ObjectKey::of(stored);
        let mut last = self.lock();
        if !last.contains_key(&key) {
            last.insert(key.clone(), Arc::new(report::decode(text).ok()?));
        }
        last.get(&key).filter(|told| told.metadata.uid == stored.metadata.uid).cloned()
    }

    /// The group with the newest status that is known of it.
    #[must_use]
    pub fn newest(
        &self,
        stored: Arc<VolumeReplicationGroup>,
        report: Option<&VolumeReplicationGroupReport>,
    ) -> Arc<VolumeReplicationGroup> {
        let Some(told) = report.and_then(|report| self.of(&stored, report)) else { return stored };
        let time = |group: &VolumeReplicationGroup| {
            group.status.as_ref().and_then(|status| status.last_update_time.as_ref()).map(|time| time.0)
        };
        if told.status == stored.status || time(&told) < time(&stored) {
            return stored;
        }
        Arc::new(VolumeReplicationGroup { status: told.status.clone(), ..(*stored).clone() })
    }

    /// This was reported.
    pub fn set(&self, told: VolumeReplicationGroup) {
        self.lock().insert(ObjectKey::of(&told), Arc::new(told));
    }

    /// The group is gone.
    pub fn forget(&self, group: &ObjectKey) {
        self.lock().remove(group);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Arc<VolumeReplicationGroup>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a report still holds: the same object, ordered to do the same, in the same state.
#[must_use]
pub fn still_holds(
    told: &VolumeReplicationGroup,
    stored: &VolumeReplicationGroup,
    status: &VolumeReplicationGroupStatus,
) -> bool {
    let (before, now) = (&told.metadata, &stored.metadata);
    let same_order = before.generation == now.generation
        && before.annotations == now.annotations
        && before.deletion_timestamp == now.deletion_timestamp;
    same_order && told.status.as_ref().is_some_and(|told| same(told, status))
}

/// Whether two statuses say the same, whenever they were written.
#[must_use]
pub fn same(a: &VolumeReplicationGroupStatus, b: &VolumeReplicationGroupStatus) -> bool {
    a == &VolumeReplicationGroupStatus { last_update_time: a.last_update_time.clone(), ..b.clone() }
}

#[cfg(test)]
mod tests {
    use kaedama_shared::api::{Time, VRGState, VolumeReplicationGroupReportStatus};

    use super::*;

    fn group(uid: &str, state: VRGState, at: &str) -> VolumeReplicationGroup {
        let mut group = VolumeReplicationGroup::new("web", Default::default());
        group.metadata.uid = Some(uid.to_owned());
        group.status = Some(VolumeReplicationGroupStatus {
            state,
            last_update_time: Some(Time(at.parse().unwrap())),
            ..Default::default()
        });
        group
    }

    fn report(of: &VolumeReplicationGroup) -> VolumeReplicationGroupReport {
        let status = VolumeReplicationGroupReportStatus { report: report::encode(of) };
        VolumeReplicationGroupReport { status: Some(status), ..Default::default() }
    }

    #[test]
    fn the_later_of_report_and_stored_status_counts() {
        let stored = Arc::new(group("u", VRGState::Unknown, "2026-03-01T00:00:00Z"));
        let later = report(&group("u", VRGState::Primary, "2026-03-01T00:00:01Z"));
        let state = |group: Arc<VolumeReplicationGroup>| group.status.clone().unwrap().state;
        assert_eq!(state(Told::default().newest(stored.clone(), Some(&later))), VRGState::Primary);
        assert_eq!(state(Told::default().newest(stored.clone(), None)), VRGState::Unknown);
        let earlier = report(&group("u", VRGState::Primary, "2026-02-01T00:00:00Z"));
        assert_eq!(state(Told::default().newest(stored.clone(), Some(&earlier))), VRGState::Unknown);
        let of_another = report(&group("v", VRGState::Primary, "2026-03-01T00:00:01Z"));
        assert_eq!(state(Told::default().newest(stored.clone(), Some(&of_another))), VRGState::Unknown);
        let unreadable = VolumeReplicationGroupReport::default();
        assert_eq!(state(Told::default().newest(stored, Some(&unreadable))), VRGState::Unknown);
    }

    #[test]
    fn a_report_holds_until_the_order_or_the_state_changes() {
        let told = group("u", VRGState::Primary, "2026-03-01T00:00:00Z");
        let status = told.status.clone().unwrap();
        assert!(still_holds(&told, &told, &status));
        let later = group("u", VRGState::Primary, "2026-03-01T00:00:09Z");
        assert!(still_holds(&told, &later, &later.status.clone().unwrap()), "only the time differs");
        let mut ordered = told.clone();
        ordered.metadata.annotations = Some([("kaedama.dev/action".to_owned(), "another".to_owned())].into());
        assert!(!still_holds(&told, &ordered, &status), "another action, the same state");
        let other = group("u", VRGState::Secondary, "2026-03-01T00:00:00Z");
        assert!(!still_holds(&told, &told, &other.status.unwrap()));
    }
}
