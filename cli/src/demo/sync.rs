//! When the storage last had everything on the other side.

use jiff::Timestamp;
use kaedama_sandbox::storage::array::{Event, What};
use kaedama_sandbox::storage::{UnitId, VolumeHandle};

/// The moment up to which the peer has all of these volumes, by the transfers that were complete at `by`. `None` where
/// one of them was never shipped.
pub fn synced_until<'a>(
    history: &[Event],
    volumes: impl IntoIterator<Item = &'a VolumeHandle>,
    by: Timestamp,
) -> Option<Timestamp> {
    let latest = |volume: &VolumeHandle| {
        let unit = UnitId::from(volume);
        let mut taken = history.iter().filter(|event| event.unit == unit && event.at <= by).filter_map(|event| {
            let What::Synced(report) = &event.what else { return None };
            Some(report.at)
        });
        taken.next_back()
    };
    // One volume without a transfer is one without a copy.
    let all: Option<Vec<Timestamp>> = volumes.into_iter().map(latest).collect();
    all?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kaedama_sandbox::storage::array::SyncReport;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn synced(unit: &str, taken: i64, complete: i64) -> Event {
        let duration = Duration::from_secs((complete - taken).unsigned_abs());
        let report = SyncReport { at: at(taken), duration, bytes: 1 };
        Event { at: at(complete), array: "one".into(), unit: unit.into(), what: What::Synced(report) }
    }

    #[test]
    fn the_volume_that_is_furthest_behind_counts_and_only_by_what_arrived() {
        let volumes: [VolumeHandle; 2] = ["a".into(), "b".into()];
        let history = [synced("a", 10, 11), synced("b", 12, 13), synced("a", 20, 21), synced("b", 22, 26)];
        assert_eq!(synced_until(&history, &volumes, at(30)), Some(at(20)));
        assert_eq!(synced_until(&history, &volumes, at(25)), Some(at(12)));
        assert_eq!(synced_until(&history, &volumes, at(12)), None);
        assert_eq!(synced_until(&history, &[], at(30)), None);
    }
}
