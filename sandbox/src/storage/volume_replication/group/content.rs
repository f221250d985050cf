//! One pass of a VolumeGroupReplicationContent: the group on the storage.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kaedama_shared::{
    api::csiaddons::{
        NameReference, PersistentVolumeMapping, REPLICATION_FINALIZER, VGR_CONTENT_NAME_ANNOTATION,
        VGR_PROTECTION_FINALIZER, VolumeGroupReplication, VolumeGroupReplicationContent,
        VolumeGroupReplicationContentStatus,
    },
    harness::{ObjectKey, controller::Next},
};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::Context;
use crate::storage::{
    array::{Code, SideState, UnitId, VolumeHandle},
    kit::{Doing, Marks, PassError, annotation, fetch, has_finalizer, is_deleting, unless_gone},
};

pub(super) async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    let api = context.cluster.all::<VolumeGroupReplicationContent>();
    let Some(content) = fetch(&api, &key.name).await? else { return Ok(Next::Await) };
    if content.spec.provisioner != context.driver.name() {
        return Ok(Next::Await);
    }
    let group = group_of(&context, &content).await?;
    if is_deleting(&content) {
        return delete(&context, content, group).await;
    }
    // A content without a group waits to be adopted by one.
    let Some(group) = group.filter(|group| !is_deleting(group)) else { return Ok(Next::Await) };
    if let Some(other) = annotation(&group, VGR_CONTENT_NAME_ANNOTATION).filter(|owner| *owner != key.name) {
        tracing::warn!(content = %key, group = %ObjectKey::of(&group), other, "the group belongs to another content");
        return Ok(Next::After(context.timing.retry));
    }
    let owner = [(VGR_CONTENT_NAME_ANNOTATION, Some(key.name.as_str()))];
    let namespace = group.metadata.namespace.clone().unwrap_or_default();
    let marks = Marks { annotations: &owner, ..Marks::default() };
    marks.set(&context.cluster.within::<VolumeGroupReplication>(&namespace), group).await?;
    let marks = Marks { add_finalizers: &[VGR_PROTECTION_FINALIZER], ..Marks::default() };
    let Some(content) = marks.set(&api, content).await? else { return Ok(Next::Await) };

    let handles: Vec<VolumeHandle> = content.spec.source.volume_handles.iter().map(|h| h.as_str().into()).collect();
    if content.spec.volume_group_replication_handle.is_empty() {
        let made = context.driver.create_group(&key.name, &handles).await;
        let unit = made.doing(|| format!("creating the group of VolumeGroupReplicationContent {key}"))?;
        let patch = json!({
            "metadata": {"resourceVersion": content.metadata.resource_version},
            "spec": {"volumeGroupReplicationHandle": unit.as_str()},
        });
        let written = api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        unless_gone(written).doing(|| format!("writing VolumeGroupReplicationContent {key}"))?;
        // The write wakes this controller again, with the handle.
        return Ok(Next::Await);
    }
    let unit = UnitId::from(content.spec.volume_group_replication_handle.as_str());
    let acknowledged: Vec<&str> = mapped(&content).map(|mapping| mapping.volume_handle.as_str()).collect();
    if acknowledged != content.spec.source.volume_handles {
        match context.driver.set_group_members(&unit, &handles).await {
            Ok(()) => {}
            // A secondary's members follow those of the primary.
            Err(error) if error.code == Code::FailedPrecondition => {
                tracing::debug!(content = %key, %error, "the group's members are pending");
                return Ok(Next::After(context.timing.retry));
            }
            Err(error) => return Err(error).doing(|| format!("changing the members of group {unit}")),
        }
    }
    let status = status(&context, &content).await?;
    write(&context, content, status).await
}

fn mapped(content: &VolumeGroupReplicationContent) -> impl Iterator<Item = &PersistentVolumeMapping> {
    content.status.iter().flat_map(|status| &status.persistent_volume_mapping_list)
}

/// The group that a content refers to, if it still is that very object.
async fn group_of(
    context: &Context,
    content: &VolumeGroupReplicationContent,
) -> Result<Option<VolumeGroupReplication>, PassError> {
    let Some(reference) = &content.spec.volume_group_replication_ref else { return Ok(None) };
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let name = reference.name.as_deref().unwrap_or_default();
    let group = fetch(&context.cluster.within::<VolumeGroupReplication>(namespace), name).await?;
    Ok(group.filter(|group| group.metadata.uid == reference.uid))
}

/// Each volume of the group, in the order of the handles, which is also what was acknowledged by the storage.
async fn status(
    context: &Context,
    content: &VolumeGroupReplicationContent,
) -> Result<VolumeGroupReplicationContentStatus, PassError> {
    let pvs = context.cluster.all::<PersistentVolume>().list(&ListParams::default()).await;
    let pvs = pvs.doing(|| "listing PersistentVolumes".to_owned())?.items;
    let name_of = |handle: &str| {
        let of_handle = |pv: &&PersistentVolume| {
            let csi = pv.spec.as_ref().and_then(|spec| spec.csi.as_ref());
            csi.is_some_and(|csi| csi.driver == context.driver.name() && csi.volume_handle == handle)
        };
        pvs.iter().find(of_handle).and_then(|pv| pv.metadata.name.clone()).unwrap_or_default()
    };
    let mapping: Vec<PersistentVolumeMapping> = content
        .spec
        .source
        .volume_handles
        .iter()
        .map(|handle| PersistentVolumeMapping {
            name: name_of(handle),
            volume_handle: handle.clone(),
            destination_volume_handle: String::new(),
        })
        .collect();
    Ok(VolumeGroupReplicationContentStatus {
        persistent_volume_ref_list: mapping.iter().map(|m| NameReference { name: m.name.clone() }).collect(),
        persistent_volume_mapping_list: mapping,
        destination_volume_group_id: String::new(),
    })
}

async fn write(
    context: &Context,
    mut content: VolumeGroupReplicationContent,
    status: VolumeGroupReplicationContentStatus,
) -> Result<Next, PassError> {
    if content.status.as_ref() != Some(&status) {
        content.status = Some(status);
        let name = content.metadata.name.clone().unwrap_or_default();
        let api = context.cluster.all::<VolumeGroupReplicationContent>();
        let written = api.replace_status(&name, &PostParams::default(), &content).await;
        unless_gone(written).doing(|| format!("writing the status of VolumeGroupReplicationContent {name}"))?;
    }
    Ok(Next::Await)
}

/// The group on the storage goes when nothing replicates it here any more. Where its primary is elsewhere it is that
/// primary's, and only the object goes.
async fn delete(
    context: &Context,
    content: VolumeGroupReplicationContent,
    group: Option<VolumeGroupReplication>,
) -> Result<Next, PassError> {
    let in_use = group.as_ref().is_some_and(|group| !is_deleting(group));
    if in_use || has_finalizer(&content, REPLICATION_FINALIZER) {
        return Ok(Next::Await);
    }
    let handle = content.spec.volume_group_replication_handle.clone();
    if !handle.is_empty() {
        let unit = UnitId::from(handle);
        let state = context.driver.state(&unit).doing(|| format!("looking for group {unit}"))?;
        if state == SideState::Unreplicated {
            match context.driver.set_group_members(&unit, &[]).await {
                Err(error) if error.code != Code::NotFound => {
                    return Err(error).doing(|| format!("emptying group {unit}"));
                }
                _ => context.driver.delete_group(&unit).await.doing(|| format!("deleting group {unit}"))?,
            }
        }
    }
    if let Some(group) = group {
        let no_owner = [(VGR_CONTENT_NAME_ANNOTATION, None)];
        let namespace = group.metadata.namespace.clone().unwrap_or_default();
        let marks = Marks { annotations: &no_owner, ..Marks::default() };
        marks.set(&context.cluster.within::<VolumeGroupReplication>(&namespace), group).await?;
    }
    let done = Marks { drop_finalizers: &[VGR_PROTECTION_FINALIZER], ..Marks::default() };
    done.set(&context.cluster.all(), content).await?;
    Ok(Next::Await)
}
