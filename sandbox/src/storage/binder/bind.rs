//! The four writes that bind a volume and a claim, and the phases of both.

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus, PersistentVolumeStatus,
};
use kaedama_shared::harness::ObjectKey;
use kube::api::PostParams;

use super::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, Context,
    matching::{Relation, relation},
};
use crate::storage::kit::{Doing, PassError};

/// Binds both to each other, in the binder's order: volume, its phase, claim, its phase. Each write that is not needed is
/// left out, so that a pass that was cut off is finished by the next one.
pub(super) async fn bind(
    context: &Context,
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
) -> Result<(), PassError> {
    let volume = volume_to_claim(context, volume, &claim).await?;
    let volume = volume_phase(context, volume, "Bound", None).await?;
    let claim = claim_to_volume(context, claim, &volume).await?;
    claim_phase(context, claim, "Bound", Some(&volume)).await
}

async fn volume_to_claim(
    context: &Context,
    mut volume: PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> Result<PersistentVolume, PassError> {
    let by_controller = relation(&volume, claim) != Relation::Ours;
    let before = volume.clone();
    let spec = volume.spec.get_or_insert_default();
    if spec.claim_ref.as_ref().and_then(|r| r.uid.as_ref()) != claim.metadata.uid.as_ref() {
        spec.claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: claim.metadata.namespace.clone(),
            name: claim.metadata.name.clone(),
            uid: claim.metadata.uid.clone(),
            resource_version: claim.metadata.resource_version.clone(),
            field_path: None,
        });
    }
    if by_controller {
        volume.metadata.annotations.get_or_insert_default().insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    if volume == before { Ok(volume) } else { write_volume(context, &volume).await }
}

pub(super) async fn write_volume(context: &Context, volume: &PersistentVolume) -> Result<PersistentVolume, PassError> {
    let name = volume.metadata.name.clone().unwrap_or_default();
    let written = context.cluster.all::<PersistentVolume>().replace(&name, &PostParams::default(), volume).await;
    written.doing(|| format!("writing PersistentVolume {name}"))
}

async fn claim_to_volume(
    context: &Context,
    mut claim: PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Result<PersistentVolumeClaim, PassError> {
    let before = claim.clone();
    let annotations = claim.metadata.annotations.get_or_insert_default();
    let spec = claim.spec.get_or_insert_default();
    if spec.volume_name.as_deref().is_none_or(str::is_empty) {
        spec.volume_name.clone_from(&volume.metadata.name);
        annotations.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    annotations.insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
    if claim == before { Ok(claim) } else { write_claim(context, &claim).await }
}

pub(super) async fn write_claim(
    context: &Context,
    claim: &PersistentVolumeClaim,
) -> Result<PersistentVolumeClaim, PassError> {
    let key = ObjectKey::of(claim);
    let api = context.cluster.within::<PersistentVolumeClaim>(key.namespace());
    let written = api.replace(&key.name, &PostParams::default(), claim).await;
    written.doing(|| format!("writing PersistentVolumeClaim {key}"))
}

/// Sets a claim's phase; of a bound one also what it got.
pub(super) async fn claim_phase(
    context: &Context,
    mut claim: PersistentVolumeClaim,
    phase: &str,
    volume: Option<&PersistentVolume>,
) -> Result<(), PassError> {
    let before = claim.status.clone().unwrap_or_default();
    let spec = volume.and_then(|volume| volume.spec.as_ref());
    let status = PersistentVolumeClaimStatus {
        phase: Some(phase.to_owned()),
        access_modes: spec.and_then(|spec| spec.access_modes.clone()),
        capacity: spec.and_then(|spec| spec.capacity.clone()),
        ..before.clone()
    };
    if status == before {
        return Ok(());
    }
    let key = ObjectKey::of(&claim);
    claim.status = Some(status);
    let api = context.cluster.within::<PersistentVolumeClaim>(key.namespace());
    let written = api.replace_status(&key.name, &PostParams::default(), &claim).await;
    written.map(|_| ()).doing(|| format!("writing the status of PersistentVolumeClaim {key}"))
}

/// Sets a volume's phase; with a failed one, why.
pub(super) async fn volume_phase(
    context: &Context,
    mut volume: PersistentVolume,
    phase: &str,
    why: Option<&str>,
) -> Result<PersistentVolume, PassError> {
    let before = volume.status.clone().unwrap_or_default();
    if before.phase.as_deref() == Some(phase) && before.message.as_deref() == why {
        return Ok(volume);
    }
    let status = PersistentVolumeStatus {
        phase: Some(phase.to_owned()),
        message: why.map(str::to_owned),
        last_phase_transition_time: Some(context.cluster.clock.time()),
        ..before
    };
    let name = volume.metadata.name.clone().unwrap_or_default();
    volume.status = Some(status);
    let api = context.cluster.all::<PersistentVolume>();
    let written = api.replace_status(&name, &PostParams::default(), &volume).await;
    written.doing(|| format!("writing the status of PersistentVolume {name}"))
}
