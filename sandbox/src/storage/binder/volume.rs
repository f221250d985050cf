//! One pass of a volume: its phase, and what becomes of it when its claim is gone.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::harness::{ObjectKey, controller::Next};
use kube::api::DeleteParams;

use super::{
    BOUND_BY_CONTROLLER, Context, PROVISIONED_BY,
    bind::{volume_phase, write_volume},
    claim_of, protection,
};
use crate::storage::{
    array::{Code, VolumeHandle},
    kit::{Doing, PassError, annotation, fetch, is_deleting, unless_gone},
};

pub(super) async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    if context.volume_at_rest(&key) {
        return Ok(Next::Await);
    }
    let Some(volume) = fetch(&context.cluster.all::<PersistentVolume>(), &key.name).await? else {
        return Ok(Next::Await);
    };
    let volume = if context.settings.protect {
        match protection::volume(&context, volume).await? {
            Some(volume) => volume,
            None => return Ok(Next::Await),
        }
    } else {
        volume
    };
    if !context.settings.bind {
        // The volumes of others are none of a provisioner's business.
        let ours = is_of(context.driver.name(), &volume);
        return if ours && phase(&volume) == "Released" { reclaim(&context, volume).await } else { Ok(Next::Await) };
    }
    let Some(claim_key) = claim_of(&volume) else {
        volume_phase(&context, volume, "Available", None).await?;
        return Ok(Next::Await);
    };
    let uid = claim_uid(&volume);
    if uid.is_empty() {
        // Meant for a claim that has not taken it yet.
        volume_phase(&context, volume, "Available", None).await?;
        return Ok(Next::Await);
    }
    let api = context.cluster.within::<PersistentVolumeClaim>(claim_key.namespace());
    let claim = fetch(&api, &claim_key.name).await?;
    // A claim of the same name with another uid is another claim.
    let Some(claim) = claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid)) else {
        return release(&context, volume).await;
    };
    let bound_to = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    if bound_to.is_empty() {
        // The claim's own pass binds them.
        return Ok(Next::Await);
    }
    if Some(bound_to) == volume.metadata.name.as_deref() {
        volume_phase(&context, volume, "Bound", None).await?;
        return Ok(Next::Await);
    }
    give_up(&context, volume).await
}

fn phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn claim_uid(volume: &PersistentVolume) -> &str {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.and_then(|reference| reference.uid.as_deref()).unwrap_or_default()
}

fn policy(volume: &PersistentVolume) -> &str {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    policy.unwrap_or("Retain")
}

/// The claim took another volume: one that was made for it goes, one that was found for it is free again.
async fn give_up(context: &Context, mut volume: PersistentVolume) -> Result<Next, PassError> {
    if annotation(&volume, PROVISIONED_BY).is_some() && policy(&volume) == "Delete" {
        return release(context, volume).await;
    }
    let chosen = annotation(&volume, BOUND_BY_CONTROLLER).is_some();
    if let Some(annotations) = &mut volume.metadata.annotations {
        annotations.remove(BOUND_BY_CONTROLLER);
    }
    let spec = volume.spec.get_or_insert_default();
    if chosen {
        spec.claim_ref = None;
    } else if let Some(reference) = &mut spec.claim_ref {
        reference.uid = None;
        reference.resource_version = None;
    }
    let volume = write_volume(context, &volume).await?;
    volume_phase(context, volume, "Available", None).await?;
    Ok(Next::Await)
}

async fn release(context: &Context, volume: PersistentVolume) -> Result<Next, PassError> {
    let volume = match phase(&volume) {
        "Released" | "Failed" => volume,
        _ => volume_phase(context, volume, "Released", None).await?,
    };
    reclaim(context, volume).await
}

/// Whether this driver made a volume, and serves it.
fn is_of(driver: &str, volume: &PersistentVolume) -> bool {
    let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
    csi.is_some_and(|csi| csi.driver == driver) && annotation(volume, PROVISIONED_BY) == Some(driver)
}

/// What the reclaim policy says. Data is deleted only here.
async fn reclaim(context: &Context, volume: PersistentVolume) -> Result<Next, PassError> {
    if policy(&volume) != "Delete" || phase(&volume) == "Failed" {
        return Ok(Next::Await);
    }
    let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
    let Some(csi) = csi.filter(|_| annotation(&volume, PROVISIONED_BY).is_some()) else {
        let why = "no driver is known that could delete it";
        volume_phase(context, volume, "Failed", Some(why)).await?;
        return Ok(Next::Await);
    };
    if !is_of(context.driver.name(), &volume) {
        return Ok(Next::Await);
    }
    let name = volume.metadata.name.clone().unwrap_or_default();
    let handle = VolumeHandle::from(csi.volume_handle.as_str());
    match context.driver.delete_volume(&handle).await {
        Ok(outcome) => tracing::info!(volume = name, %handle, ?outcome, "volume reclaimed"),
        Err(error) if error.code == Code::InvalidArgument => {
            volume_phase(context, volume, "Failed", Some(&error.message)).await?;
            return Ok(Next::Await);
        }
        // Replicas are refused until they follow a primary: the storage's events bring the next attempt.
        Err(error) => {
            tracing::debug!(volume = name, %error, "volume is not deleted yet");
            return Ok(Next::After(context.settings.retry));
        }
    }
    if !is_deleting(&volume) {
        let deleted = context.cluster.all::<PersistentVolume>().delete(&name, &DeleteParams::default()).await;
        unless_gone(deleted).doing(|| format!("deleting PersistentVolume {name}"))?;
    }
    Ok(Next::Await)
}
