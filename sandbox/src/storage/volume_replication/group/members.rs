//! Which claims belong to a group, and how they are marked.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::csiaddons::{
    VGR_NAME_ANNOTATION, VGR_PROTECTION_FINALIZER, VR_NAME_ANNOTATION, VolumeGroupReplication,
    VolumeGroupReplicationContent,
};
use kube::{
    api::ListParams,
    core::{Selector, SelectorExt as _},
};

use super::Context;
use crate::storage::kit::{Doing, Marks, PassError, annotation, fetch, has_finalizer, is_deleting};

/// The most volumes that a group may have.
const LIMIT: usize = 100;

/// The claims of a group's namespace, by what they are to the group.
pub(super) struct Members {
    /// Selected claims that are bound, with their volumes' handles, by name.
    pub(super) bound: BTreeMap<String, (PersistentVolumeClaim, String)>,
    /// Selected claims that are not bound yet, by name.
    pub(super) unbound: Vec<String>,
    /// Claims that carry the group's mark and are not selected any more.
    pub(super) leaving: Vec<PersistentVolumeClaim>,
}

impl Members {
    /// The handles of the volumes, sorted.
    pub(super) fn handles(&self) -> Vec<String> {
        let mut handles: Vec<String> = self.bound.values().map(|(_, handle)| handle.clone()).collect();
        handles.sort();
        handles
    }
}

/// Finds the members. `Err`: why the group cannot be formed.
pub(super) async fn find(
    context: &Context,
    group: &VolumeGroupReplication,
) -> Result<Result<Members, String>, PassError> {
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let own = group.metadata.name.as_deref();
    let selector: Selector = match group.spec.source.selector.clone().try_into() {
        Ok(selector) => selector,
        Err(error) => return Ok(Err(format!("the selector cannot be used: {error}"))),
    };
    let listed = context.cluster.within::<PersistentVolumeClaim>(namespace).list(&ListParams::default()).await;
    let mut members = Members { bound: BTreeMap::new(), unbound: Vec::new(), leaving: Vec::new() };
    for claim in listed.doing(|| format!("listing claims of {namespace}"))? {
        let name = claim.metadata.name.clone().unwrap_or_default();
        let owner = annotation(&claim, VGR_NAME_ANNOTATION);
        let labels = claim.metadata.labels.clone().unwrap_or_default();
        let dropped = is_deleting(&claim) && !has_finalizer(&claim, VGR_PROTECTION_FINALIZER);
        if dropped || !selector.matches(&labels) {
            if owner.is_some() && owner == own {
                members.leaving.push(claim);
            }
            continue;
        }
        if let Some(other) = owner.filter(|owner| Some(*owner) != own) {
            return Ok(Err(format!("PersistentVolumeClaim {name} belongs to VolumeGroupReplication {other}")));
        }
        if let Some(other) = annotation(&claim, VR_NAME_ANNOTATION) {
            return Ok(Err(format!("PersistentVolumeClaim {name} belongs to VolumeReplication {other}")));
        }
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        if phase != Some("Bound") {
            members.unbound.push(name);
            continue;
        }
        match handle(context, &claim).await? {
            Ok(handle) => members.bound.insert(name, (claim, handle)),
            Err(why) => return Ok(Err(why)),
        };
    }
    if members.bound.len() > LIMIT {
        return Ok(Err(format!("{} claims are selected, {LIMIT} are allowed", members.bound.len())));
    }
    Ok(Ok(members))
}

async fn handle(context: &Context, claim: &PersistentVolumeClaim) -> Result<Result<String, String>, PassError> {
    let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    let Some(pv) = fetch(&context.cluster.all::<PersistentVolume>(), name).await? else {
        return Ok(Err(format!("PersistentVolume {name:?} not found")));
    };
    Ok(match pv.spec.and_then(|spec| spec.csi) {
        None => Err(format!("PersistentVolume {name} is not a CSI volume")),
        Some(csi) if csi.driver != context.driver.name() => {
            Err(format!("PersistentVolume {name} is of driver {}, the class of another", csi.driver))
        }
        Some(csi) => Ok(csi.volume_handle),
    })
}

/// Marks the members before the storage is told of them.
pub(super) async fn mark(
    context: &Context,
    group: &VolumeGroupReplication,
    members: &Members,
) -> Result<(), PassError> {
    let namespace = group.metadata.namespace.as_deref().unwrap_or_default();
    let owner = [(VGR_NAME_ANNOTATION, group.metadata.name.as_deref())];
    let marks = Marks { add_finalizers: &[VGR_PROTECTION_FINALIZER], annotations: &owner, ..Marks::default() };
    for (claim, _) in members.bound.values().filter(|(claim, _)| !is_deleting(claim)) {
        marks.set(&context.cluster.within(namespace), claim.clone()).await?;
    }
    Ok(())
}

/// Takes the marks off a claim. One that is gone is fine.
pub(super) async fn release(context: &Context, namespace: &str, claim: PersistentVolumeClaim) -> Result<(), PassError> {
    let no_owner = [(VGR_NAME_ANNOTATION, None)];
    let marks = Marks { drop_finalizers: &[VGR_PROTECTION_FINALIZER], annotations: &no_owner, ..Marks::default() };
    marks.set(&context.cluster.within(namespace), claim).await?;
    Ok(())
}

/// Releases the claims that left, once the storage has taken their volumes out of the group: a volume that is
/// still replicated must not lose its protection.
pub(super) async fn release_left(
    context: &Context,
    content: &VolumeGroupReplicationContent,
    namespace: &str,
    leaving: Vec<PersistentVolumeClaim>,
) -> Result<(), PassError> {
    for claim in leaving {
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
        let mapped = content.status.iter().flat_map(|status| &status.persistent_volume_mapping_list);
        if !mapped.into_iter().any(|mapping| mapping.name == volume) {
            release(context, namespace, claim).await?;
        }
    }
    Ok(())
}
