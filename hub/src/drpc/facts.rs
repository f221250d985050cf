//! What a VolumeReplicationGroup says, asked in the domain's words.
//!
//! A condition counts only for the generation that it was computed for (rule S30): a stale True opens no gate.

use kaedama_shared::api::condition;
use kaedama_shared::api::conditions::vrg as types;
use kaedama_shared::api::{Condition, DRAction, ReplicationState, VRGState, VolumeReplicationGroup};
use kaedama_shared::record::ActionRecord;

/// What one condition says about the generation at hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Says<'a> {
    /// True for this generation.
    True,
    /// False for this generation, with its reason and message.
    False(&'a Condition),
    /// Missing, stale or Unknown.
    Nothing,
}

/// Reads a condition of a VRG for its current generation.
pub fn says<'a>(vrg: &'a VolumeReplicationGroup, type_: &str) -> Says<'a> {
    let generation = vrg.metadata.generation.unwrap_or_default();
    let found = vrg.status.as_ref().and_then(|status| condition::find(&status.conditions, type_));
    match found.filter(|condition| condition.is_at(generation)) {
        Some(condition) if condition.is_true() => Says::True,
        Some(condition) if condition.is_false() => Says::False(condition),
        Some(_) | None => Says::Nothing,
    }
}

/// True where the condition is True for the current generation.
pub fn holds(vrg: &VolumeReplicationGroup, type_: &str) -> bool {
    says(vrg, type_) == Says::True
}

/// The spec asks for primary.
pub fn is_primary(vrg: &VolumeReplicationGroup) -> bool {
    vrg.spec.replication_state == ReplicationState::Primary
}

/// Told to be primary, and not to come to rest.
pub fn stays_primary(vrg: &VolumeReplicationGroup) -> bool {
    is_primary(vrg) && !vrg.spec.prepare_for_final_sync && !vrg.spec.run_final_sync
}

/// The spec asks for the action that the record is of. The reference product changes it, and leaves the record.
pub fn is_for(vrg: &VolumeReplicationGroup, record: &ActionRecord) -> bool {
    vrg.spec.action.as_ref().map(DRAction::as_str).unwrap_or_default() == record.kind.as_spec()
}

/// The spec asks for secondary.
pub fn is_secondary(vrg: &VolumeReplicationGroup) -> bool {
    vrg.spec.replication_state == ReplicationState::Secondary
}

/// The spoke has worked on the current generation.
pub fn is_observed(vrg: &VolumeReplicationGroup) -> bool {
    vrg.status.as_ref().is_some_and(|status| status.observed_generation == vrg.metadata.generation.unwrap_or_default())
}

/// Reports state Secondary for the current generation.
pub fn is_settled_secondary(vrg: &VolumeReplicationGroup) -> bool {
    is_secondary(vrg) && is_observed(vrg) && state(vrg) == VRGState::Secondary
}

/// Reports state Primary, with data and cluster data ready, for the current generation (rule S11). With object
/// protection on, the Kubernetes objects have to be back too.
pub fn is_ready_primary(vrg: &VolumeReplicationGroup) -> bool {
    is_primary(vrg)
        && is_observed(vrg)
        && state(vrg) == VRGState::Primary
        && holds(vrg, types::DATA_READY)
        && holds(vrg, types::CLUSTER_DATA_READY)
        && (vrg.spec.kube_object_protection.is_none() || holds(vrg, types::KUBE_OBJECTS_READY))
}

/// `status.state`.
pub fn state(vrg: &VolumeReplicationGroup) -> VRGState {
    vrg.status.as_ref().map(|status| status.state.clone()).unwrap_or_default()
}

/// Why a VRG is not a ready primary, in words for the person who waits.
pub fn unready(vrg: &VolumeReplicationGroup) -> String {
    if !is_observed(vrg) {
        return "its cluster has not yet worked on the change".to_owned();
    }
    let mut types = vec![types::CLUSTER_DATA_READY, types::DATA_READY];
    if vrg.spec.kube_object_protection.is_some() {
        types.push(types::KUBE_OBJECTS_READY);
    }
    for type_ in types {
        match says(vrg, type_) {
            Says::True => {}
            Says::False(condition) => return format!("{type_}: {} ({})", condition.message, condition.reason),
            Says::Nothing => return format!("{type_} is not known yet"),
        }
    }
    "its state is not reported as Primary yet".to_owned()
}

/// Why a VRG is not a settled secondary, in words for the person who waits.
pub fn unsettled(vrg: &VolumeReplicationGroup) -> String {
    if !is_observed(vrg) {
        return "its cluster has not yet worked on the change".to_owned();
    }
    for type_ in [types::DATA_READY, types::DATA_PROTECTED] {
        if let Says::False(condition) = says(vrg, type_) {
            return format!("{type_}: {} ({})", condition.message, condition.reason);
        }
    }
    "its volumes are becoming secondary".to_owned()
}
