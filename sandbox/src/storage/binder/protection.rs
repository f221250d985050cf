//! The finalizers that keep claims and volumes while they are in use.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::ListParams;

use super::{Context, used_by};
use crate::storage::kit::{Doing, Marks, PassError, has_finalizer, is_deleting};
use kaedama_shared::harness::ObjectKey;

/// Keeps a claim while a pod uses it.
pub const PVC_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Keeps a volume while it is bound.
pub const PV_PROTECTION: &str = "kubernetes.io/pv-protection";

/// Protects a claim, or lets a deleted one go that no pod uses. `None`: it is gone, or going.
pub(super) async fn claim(
    context: &Context,
    claim: PersistentVolumeClaim,
) -> Result<Option<PersistentVolumeClaim>, PassError> {
    let key = ObjectKey::of(&claim);
    let api = context.cluster.within::<PersistentVolumeClaim>(key.namespace());
    if !is_deleting(&claim) {
        return Marks { add_finalizers: &[PVC_PROTECTION], ..Marks::default() }.set(&api, claim).await;
    }
    if !has_finalizer(&claim, PVC_PROTECTION) || in_use(context, &key).await? {
        return Ok(Some(claim));
    }
    Marks { drop_finalizers: &[PVC_PROTECTION], ..Marks::default() }.set(&api, claim).await
}

/// Whether a pod that was given to a node, and has not ended, mounts the claim. Asks the API server, not the cache: a
/// claim must not go under a pod that was just started.
async fn in_use(context: &Context, claim: &ObjectKey) -> Result<bool, PassError> {
    let holds = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|n| !n.is_empty()));
        placed && !matches!(phase, Some("Succeeded" | "Failed")) && used_by(Some(pod)).contains(claim)
    };
    if !context.pods.within(claim.namespace(), |pod| holds(pod)).is_empty() {
        return Ok(true);
    }
    let pods = context.cluster.within::<Pod>(claim.namespace()).list(&ListParams::default()).await;
    Ok(pods.doing(|| format!("listing pods of {}", claim.namespace()))?.items.iter().any(holds))
}

/// Protects a volume, or lets a deleted one go that is not bound. `None`: it is gone, or going.
pub(super) async fn volume(context: &Context, volume: PersistentVolume) -> Result<Option<PersistentVolume>, PassError> {
    let api = context.cluster.all::<PersistentVolume>();
    if !is_deleting(&volume) {
        return Marks { add_finalizers: &[PV_PROTECTION], ..Marks::default() }.set(&api, volume).await;
    }
    let bound = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if bound || !has_finalizer(&volume, PV_PROTECTION) {
        return Ok(Some(volume));
    }
    Marks { drop_finalizers: &[PV_PROTECTION], ..Marks::default() }.set(&api, volume).await
}
