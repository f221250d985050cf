//! The condition `Protected`: the first rule that fires decides.

use kaedama_shared::api::conditions::vrg as types;
use kaedama_shared::api::reasons;
use kaedama_shared::api::{Condition, DRAction, ReplicationState, VRGState, VolumeReplicationGroup, condition};
use kaedama_shared::names;

use super::facts;
use super::plan::Verdict;
use super::snapshot::Snapshot;

/// Reasons that are errors; any other False is progress.
const ERRORS: [&str; 6] = [
    reasons::vrg::ERROR,
    reasons::vrg::UNKNOWN_ERROR,
    reasons::vrg::UPLOAD_ERROR,
    reasons::vrg::ANNOTATION_FAILED,
    reasons::vrg::CLUSTER_DATA_CONFLICT_PRIMARY,
    reasons::vrg::CLUSTER_DATA_CONFLICT_SECONDARY,
];

/// What the VRG on `cluster` says about the application's protection.
pub fn protected(reported: Option<(&str, &VolumeReplicationGroup)>) -> Verdict {
    let Some((cluster, vrg)) = reported else {
        return Verdict::unknown("Unknown", "No VolumeReplicationGroup has reported yet");
    };
    let subject = format!(
        "VolumeReplicationGroup ({}/{}) on cluster {cluster}",
        vrg.metadata.namespace.as_deref().unwrap_or_default(),
        vrg.metadata.name.as_deref().unwrap_or_default()
    );
    let Some(status) = &vrg.status else {
        return Verdict::unknown("Unknown", format!("{subject} has no status yet"));
    };
    let conditions = &status.conditions;
    let generation = vrg.metadata.generation.unwrap_or_default();
    let primary = vrg.spec.replication_state == ReplicationState::Primary;
    let hooks = condition::find(conditions, types::HOOKS_READY);
    if let Some(hooks) = hooks.filter(|c| c.is_false() && c.is_at(generation) && c.reason == reasons::vrg::HOOK_FAILED)
    {
        return Verdict::no("Error", format!("{subject}: {}", hooks.message));
    }
    let optional_on_secondary = |type_: &str| primary || condition::find(conditions, type_).is_some();
    let mut needed: Vec<&str> = Vec::new();
    if primary {
        needed.push(types::CLUSTER_DATA_READY);
    }
    if optional_on_secondary(types::DATA_READY) && !is_accepted_secondary(vrg, conditions) {
        needed.push(types::DATA_READY);
    }
    if optional_on_secondary(types::DATA_PROTECTED) && !is_replicating(conditions, generation) {
        needed.push(types::DATA_PROTECTED);
    }
    if condition::find(conditions, types::DESTINATION_INFO_AVAILABLE).is_some() {
        needed.push(types::DESTINATION_INFO_AVAILABLE);
    }
    needed.push(types::NO_CLUSTER_DATA_CONFLICT);
    for type_ in needed {
        if let Some(verdict) = unmet(&subject, conditions, type_, generation) {
            return verdict;
        }
    }
    if !facts::is_observed(vrg) {
        return Verdict::no("Unknown", format!("{subject} has not worked on its latest change yet"));
    }
    let expected = if primary { VRGState::Primary } else { VRGState::Secondary };
    if status.state != expected {
        return Verdict::no("Progressing", format!("{subject} is becoming {expected}"));
    }
    let shares_group = vrg.metadata.labels.iter().flatten().any(|(key, _)| key == names::GLOBAL_VGR);
    if vrg.spec.async_.is_some() && !shares_group && status.last_group_sync_time.is_none() && primary {
        return Verdict::no("Progressing", format!("{subject} has not completed its first synchronisation"));
    }
    if primary && let Some(verdict) = unmet(&subject, conditions, types::CLUSTER_DATA_PROTECTED, generation) {
        return verdict;
    }
    Verdict::yes("Protected", format!("{subject} is protecting required resources and data"))
}

fn unmet(subject: &str, conditions: &[Condition], type_: &str, generation: i64) -> Option<Verdict> {
    let Some(condition) = condition::find(conditions, type_).filter(|condition| condition.is_at(generation)) else {
        return Some(Verdict::unknown(
            "Unknown",
            format!("{subject} does not report {type_} for its latest change yet"),
        ));
    };
    if condition.is_true() {
        return None;
    }
    let message = format!("{subject}: {type_}: {}", condition.message);
    Some(match condition.is_false() {
        false => Verdict::unknown("Unknown", message),
        true if ERRORS.contains(&condition.reason.as_str()) => Verdict::no("Error", message),
        true => Verdict::no("Progressing", message),
    })
}

/// On a primary, False/Replicating is the healthy value: the next change is always still on its way.
fn is_replicating(conditions: &[Condition], generation: i64) -> bool {
    condition::find(conditions, types::DATA_PROTECTED)
        .is_some_and(|c| c.is_false() && c.is_at(generation) && c.reason == reasons::vrg::REPLICATING)
}

/// A secondary that catches up after a regional failover.
fn is_accepted_secondary(vrg: &VolumeReplicationGroup, conditions: &[Condition]) -> bool {
    facts::is_secondary(vrg)
        && vrg.spec.async_.is_some()
        && vrg.spec.action == Some(DRAction::Failover)
        && condition::find(conditions, types::DATA_READY)
            .is_some_and(|c| c.is_false() && c.reason == reasons::vrg::REPLICATING)
}

/// The conditions of the reported VRG, with a conflict that any VRG reports folded in.
pub fn with_conflicts(s: &Snapshot, conditions: &[Condition]) -> Vec<Condition> {
    let mut conditions = conditions.to_vec();
    let conflict = s
        .sites
        .iter()
        .filter_map(|site| site.vrg.present())
        .filter_map(|vrg| {
            let found = condition::find(&vrg.status.as_ref()?.conditions, types::NO_CLUSTER_DATA_CONFLICT)?;
            found.is_false().then(|| (facts::is_primary(vrg), found.clone()))
        })
        .max_by_key(|(primary, _)| *primary);
    if let Some((_, conflict)) = conflict {
        match conditions.iter_mut().find(|condition| condition.type_ == conflict.type_) {
            Some(existing) => *existing = conflict,
            None => conditions.push(conflict),
        }
    }
    conditions
}
