//! Metro or regional: how the policy's clusters share an application's storage.

use kaedama_shared::api::{DRPolicy, parse_scheduling_interval};

use super::facts;
use super::snapshot::Snapshot;

/// How the application's volumes are replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrType {
    /// Metro: both clusters use one storage.
    Sync,
    /// Regional: by schedule.
    Async,
}

/// The type of an application. What its VRG was made as stays, whatever happens to the policy's peer classes: a policy
/// that loses them for a moment must not turn a regional application into a metro one. A hub that was restored has no
/// works, and asks the clusters and the stores.
pub fn dr_type(s: &Snapshot) -> DrType {
    let sent = s.sites.iter().filter_map(|site| site.work.present()).map(|work| &work.vrg);
    let seen = s.sites.iter().filter_map(|site| site.vrg.present()).chain(s.stored.present());
    let made_as = sent.chain(seen).find_map(|vrg| {
        match (facts::is_primary(vrg) || facts::is_secondary(vrg), &vrg.spec.sync, &vrg.spec.async_) {
            (true, Some(_), None) => Some(DrType::Sync),
            (true, None, Some(_)) => Some(DrType::Async),
            _ => None,
        }
    });
    made_as.or_else(|| s.policy.present().map(of_policy)).unwrap_or(DrType::Async)
}

/// The type of a policy, by its peer classes; without any, by its interval.
pub fn of_policy(policy: &DRPolicy) -> DrType {
    let status = policy.status.as_ref();
    let has_sync = status.is_some_and(|status| !status.sync.peer_classes.is_empty());
    let has_async = status.is_some_and(|status| !status.async_.peer_classes.is_empty());
    // The schema lets no interval through that cannot be parsed.
    let interval = parse_scheduling_interval(&policy.spec.scheduling_interval).unwrap_or_default();
    match (has_sync, has_async) {
        (true, _) => DrType::Sync,
        (false, true) => DrType::Async,
        (false, false) if interval == 0 => DrType::Sync,
        (false, false) => DrType::Async,
    }
}
