//! Class parameters: the reserved ones, and what the storage makes of the others.

use std::{collections::BTreeMap, time::Duration};

use kaedama_shared::api::{
    GoDuration,
    csiaddons::{RESERVED_PARAMETER_PREFIX, SCHEDULING_INTERVAL},
    parse_scheduling_interval,
};

use crate::storage::{
    SHIP_EVERY,
    array::{Code, Mode, Replication, StorageError, SyncPolicy},
};

/// Names of the reserved parameters, after their prefix.
const RESERVED: [&str; 4] = [
    "replication-secret-name",
    "replication-secret-namespace",
    "group-replication-secret-name",
    "group-replication-secret-namespace",
];
/// Snapshots or synchronous writes.
const MIRRORING_MODE: &str = "mirroringMode";
/// What a synchronous write does while the peer cannot have it.
const SYNC_POLICY: &str = "syncPolicy";
/// The array that the replica goes to.
const PEER_ARRAY: &str = "peerArray";
/// When a promotion may be forced.
const FORCE_PROMOTE: &str = "replication.unified.io/force-promote";
/// An asynchronous class without an interval ships this often.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);

/// When a promotion may be forced after it was refused without force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForcePolicy {
    /// At once, as csi-addons does.
    Auto,
    /// Only with the annotation that names the generation.
    Annotation,
    /// Not at all.
    Never,
}

/// Checks the reserved parameters of a class.
pub(super) fn validate(parameters: &BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in parameters {
        let Some(name) = key.strip_prefix(RESERVED_PARAMETER_PREFIX) else { continue };
        if !RESERVED.contains(&name) {
            return Err(format!("unknown reserved parameter {key}"));
        }
        if value.is_empty() {
            return Err(format!("reserved parameter {key} is empty"));
        }
    }
    Ok(())
}

/// When a class lets a promotion be forced. Unknown values are as cautious as can be.
pub(super) fn force_policy(parameters: &BTreeMap<String, String>) -> ForcePolicy {
    match parameters.get(FORCE_PROMOTE).map(String::as_str) {
        None | Some("" | "auto") => ForcePolicy::Auto,
        Some("annotation") => ForcePolicy::Annotation,
        Some(_) => ForcePolicy::Never,
    }
}

/// What the storage is asked for.
pub(super) fn replication(parameters: &BTreeMap<String, String>) -> Result<Replication, StorageError> {
    let text = |key: &str| parameters.get(key).map(String::as_str).unwrap_or_default();
    let mode = match text(MIRRORING_MODE) {
        "" | "snapshot" => Mode::Async { interval: interval(text(SHIP_EVERY), text(SCHEDULING_INTERVAL))? },
        "sync" => Mode::Sync {
            policy: match text(SYNC_POLICY) {
                "" | "stall" => SyncPolicy::Stall,
                "degrade" => SyncPolicy::Degrade,
                other => return Err(unusable(SYNC_POLICY, other)),
            },
        },
        other => return Err(unusable(MIRRORING_MODE, other)),
    };
    let peer = Some(text(PEER_ARRAY)).filter(|peer| !peer.is_empty()).map(Into::into);
    Ok(Replication { mode, peer })
}

fn unusable(key: &str, value: &str) -> StorageError {
    StorageError::new(Code::InvalidArgument, format!("parameter {key} has the unusable value {value:?}"))
}

fn interval(ship_every: &str, scheduling: &str) -> Result<Duration, StorageError> {
    let (key, value, read) = match (ship_every, scheduling) {
        ("", "") => return Ok(DEFAULT_INTERVAL),
        ("", text) => (SCHEDULING_INTERVAL, text, parse_scheduling_interval(text).map(Duration::from_secs)),
        (text, _) => (SHIP_EVERY, text, text.parse().map(GoDuration::to_std)),
    };
    read.ok().filter(|interval| !interval.is_zero()).ok_or_else(|| unusable(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_known_reserved_parameters_with_a_value_pass() {
        assert_eq!(validate(&class(&[("schedulingInterval", ""), ("anything", "")])), Ok(()));
        assert_eq!(validate(&class(&[("replication.storage.openshift.io/replication-secret-name", "s")])), Ok(()));
        assert!(validate(&class(&[("replication.storage.openshift.io/replication-secret-name", "")])).is_err());
        assert!(validate(&class(&[("replication.storage.openshift.io/other", "x")])).is_err());
    }

    #[test]
    fn intervals_are_minutes_hours_and_days() {
        let every = |text| replication(&class(&[("schedulingInterval", text)])).map(|r| r.mode);
        let minutes = |n: u64| Ok(Mode::Async { interval: Duration::from_secs(60 * n) });
        assert_eq!(every("5m"), minutes(5));
        assert_eq!(every("1d"), minutes(24 * 60));
        assert_eq!(every(""), minutes(60));
        assert_eq!(every("soon").unwrap_err().code, Code::InvalidArgument);
        assert_eq!(every("0m").unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn the_storage_may_ship_more_often_than_the_class_says() {
        let every = |text| {
            replication(&class(&[("schedulingInterval", "5m"), (SHIP_EVERY, text)])).map(|replication| replication.mode)
        };
        assert_eq!(every("500ms"), Ok(Mode::Async { interval: Duration::from_millis(500) }));
        assert_eq!(every("0s").unwrap_err().code, Code::InvalidArgument);
        assert_eq!(every("often").unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn synchronous_mirroring_stalls_unless_told_otherwise() {
        let mode = |pairs: &[_]| replication(&class(pairs)).map(|r| r.mode);
        assert_eq!(mode(&[("mirroringMode", "sync")]), Ok(Mode::Sync { policy: SyncPolicy::Stall }));
        let degrade = [("mirroringMode", "sync"), ("syncPolicy", "degrade")];
        assert_eq!(mode(&degrade), Ok(Mode::Sync { policy: SyncPolicy::Degrade }));
        assert_eq!(mode(&[("mirroringMode", "journal")]).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn an_unknown_force_policy_never_forces() {
        let policy = |text| force_policy(&class(&[(FORCE_PROMOTE, text)]));
        assert_eq!(force_policy(&class(&[])), ForcePolicy::Auto);
        assert_eq!(policy("annotation"), ForcePolicy::Annotation);
        assert_eq!(policy("never"), ForcePolicy::Never);
        assert_eq!(policy("always"), ForcePolicy::Never);
    }
}
