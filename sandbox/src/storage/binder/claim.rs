//! One pass of a claim.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::harness::{ObjectKey, controller::Next};

use super::{
    BIND_COMPLETED, Context,
    bind::{bind, claim_phase},
    matching::{Relation, choose, relation},
    protection, provision,
};
use crate::storage::kit::{PassError, annotation, fetch, is_deleting};

pub(super) async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    if context.claim_at_rest(&key) {
        return Ok(Next::Await);
    }
    let api = context.cluster.within::<PersistentVolumeClaim>(key.namespace());
    let Some(claim) = fetch(&api, &key.name).await? else { return Ok(Next::Await) };
    let claim = if context.settings.protect {
        match protection::claim(&context, claim).await? {
            Some(claim) => claim,
            None => return Ok(Next::Await),
        }
    } else {
        claim
    };
    if !context.settings.bind {
        return provision::on_request(&context, claim).await;
    }
    if annotation(&claim, BIND_COMPLETED).is_some() {
        return bound(&context, claim).await;
    }
    if is_deleting(&claim) {
        return Ok(Next::Await);
    }
    unbound(&context, claim).await
}

async fn unbound(context: &Context, claim: PersistentVolumeClaim) -> Result<Next, PassError> {
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty());
    let Some(name) = named else { return find(context, claim).await };
    let volume = fetch(&context.cluster.all::<PersistentVolume>(), &name).await?;
    match volume {
        Some(volume) if relation(&volume, &claim) != Relation::Others => bind(context, volume, claim).await?,
        // It waits for the volume to appear, or to be given up by the other claim.
        _ => claim_phase(context, claim, "Pending", None).await?,
    }
    Ok(Next::Await)
}

async fn find(context: &Context, claim: PersistentVolumeClaim) -> Result<Next, PassError> {
    let Some(chosen) = choose(&context.volumes.list(), &claim) else {
        return provision::provision(context, claim).await;
    };
    // The cache may be behind: what is bound is the volume as it is now, if it still is the right one.
    let name = chosen.metadata.name.clone().unwrap_or_default();
    match fetch(&context.cluster.all::<PersistentVolume>(), &name).await? {
        Some(volume) if relation(&volume, &claim) != Relation::Others => bind(context, volume, claim).await?,
        _ => return Ok(Next::BackOff),
    }
    Ok(Next::Await)
}

async fn bound(context: &Context, claim: PersistentVolumeClaim) -> Result<Next, PassError> {
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
    let volume = fetch(&context.cluster.all::<PersistentVolume>(), &name).await?;
    let Some(volume) = volume else {
        claim_phase(context, claim, "Lost", None).await?;
        return Ok(Next::Await);
    };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let ours = reference.is_none_or(|reference| reference.uid == claim.metadata.uid);
    if ours {
        bind(context, volume, claim).await?;
    } else {
        // Bound to a volume that is bound to somebody else.
        claim_phase(context, claim, "Lost", None).await?;
    }
    Ok(Next::Await)
}
