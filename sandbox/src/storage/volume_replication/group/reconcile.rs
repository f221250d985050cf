//! One pass of a VolumeGroupReplication: its content, its VolumeReplication, its status.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{ObjectReference, PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kaedama_shared::{
    api::csiaddons::{
        DataSource, NameReference, REPLICATION_GROUP, VGR_CONTENT_NAME_ANNOTATION, VGR_NAME_ANNOTATION,
        VGR_PROTECTION_FINALIZER, VGR_REF_ANNOTATION, VR_NAME_ANNOTATION, VolumeGroupReplication,
        VolumeGroupReplicationClass, VolumeGroupReplicationContent, VolumeGroupReplicationContentSource,
        VolumeGroupReplicationContentSpec, VolumeGroupReplicationStatus, VolumeReplication, VolumeReplicationSpec,
    },
    harness::{ObjectKey, controller::Next},
};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{
    Context,
    members::{self, Members},
};
use crate::storage::{
    kit::{Doing, Marks, PassError, annotation, fetch, has_finalizer, is_deleting, unless_gone},
    volume_replication::parameters,
};

/// Annotation with the selector as text.
const SELECTOR_ANNOTATION: &str = "pvcSelector";

pub(super) async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    let api = context.cluster.within::<VolumeGroupReplication>(key.namespace());
    let Some(group) = fetch(&api, &key.name).await? else { return Ok(Next::Await) };
    if group.spec.external {
        return Ok(Next::Await);
    }
    if is_deleting(&group) {
        return delete(&context, group).await;
    }
    let class = group.spec.volume_group_replication_class_name.clone();
    match fetch(&context.cluster.all::<VolumeGroupReplicationClass>(), &class).await? {
        None => return say(&context, group, &format!("VolumeGroupReplicationClass {class} not found")).await,
        Some(class) if class.spec.provisioner != context.driver.name() => return Ok(Next::Await),
        Some(class) => {
            if let Err(why) = parameters::validate(&class.spec.parameters) {
                return say(&context, group, &why).await;
            }
        }
    }
    let selector = group.spec.source.selector.clone();
    let selector = kube::core::Selector::try_from(selector).map(|s| s.to_string()).unwrap_or_default();
    let annotations = [(SELECTOR_ANNOTATION, Some(selector.as_str()))];
    let marks = Marks { add_finalizers: &[VGR_PROTECTION_FINALIZER], annotations: &annotations, ..Marks::default() };
    let Some(group) = marks.set(&api, group).await? else { return Ok(Next::Await) };
    let members = match members::find(&context, &group).await? {
        Ok(members) => members,
        Err(why) => return say(&context, group, &why).await,
    };
    members::mark(&context, &group, &members).await?;

    let Some(group) = name_parts(&context, group).await? else { return Ok(Next::Await) };
    let Some(content) = content(&context, &group, &members).await? else {
        let name = group.spec.volume_group_replication_content_name.clone();
        return say(&context, group, &format!("waiting for VolumeGroupReplicationContent {name}")).await;
    };
    members::release_left(&context, &content, key.namespace(), members.leaving.clone()).await?;
    if content.spec.volume_group_replication_handle.is_empty() {
        return Ok(Next::Await);
    }
    if group.spec.volume_replication_class_name.is_empty() {
        return say(&context, group, "spec.volumeReplicationClassName is empty").await;
    }
    let vr = replication(&context, &group).await?;
    copy_status(&context, group, &members, vr).await
}

/// Gives the content and the VolumeReplication their names, in the spec, once.
async fn name_parts(
    context: &Context,
    group: VolumeGroupReplication,
) -> Result<Option<VolumeGroupReplication>, PassError> {
    let uid = group.metadata.uid.clone().unwrap_or_default();
    let mut spec = serde_json::Map::new();
    if group.spec.volume_group_replication_content_name.is_empty() {
        spec.insert("volumeGroupReplicationContentName".to_owned(), json!(format!("vgrcontent-{uid}")));
    }
    if group.spec.volume_replication_name.is_empty() {
        spec.insert("volumeReplicationName".to_owned(), json!(format!("vr-{uid}")));
    }
    if spec.is_empty() {
        return Ok(Some(group));
    }
    let patch = json!({"metadata": {"resourceVersion": group.metadata.resource_version}, "spec": Value::Object(spec)});
    let key = ObjectKey::of(&group);
    let api = context.cluster.within::<VolumeGroupReplication>(key.namespace());
    let written = api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await;
    unless_gone(written).doing(|| format!("naming the parts of VolumeGroupReplication {key}"))
}

fn reference(group: &VolumeGroupReplication) -> ObjectReference {
    ObjectReference {
        api_version: Some(VolumeGroupReplication::API_VERSION.to_owned()),
        kind: Some(VolumeGroupReplication::KIND.to_owned()),
        name: group.metadata.name.clone(),
        namespace: group.metadata.namespace.clone(),
        uid: group.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The content as it should be, created or brought there. `None`: it was named beforehand and does not exist yet.
async fn content(
    context: &Context,
    group: &VolumeGroupReplication,
    members: &Members,
) -> Result<Option<VolumeGroupReplicationContent>, PassError> {
    let api = context.cluster.all::<VolumeGroupReplicationContent>();
    let name = &group.spec.volume_group_replication_content_name;
    let handles = members.handles();
    let back = ObjectKey::of(group).to_string();
    let Some(content) = fetch(&api, name).await? else {
        // A restored group names a content that is restored beside it.
        let own = format!("vgrcontent-{}", group.metadata.uid.as_deref().unwrap_or_default());
        if *name != own {
            return Ok(None);
        }
        let content = VolumeGroupReplicationContent {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                annotations: Some([(VGR_REF_ANNOTATION.to_owned(), back)].into()),
                ..ObjectMeta::default()
            },
            spec: VolumeGroupReplicationContentSpec {
                provisioner: context.driver.name().to_owned(),
                volume_group_replication_class_name: group.spec.volume_group_replication_class_name.clone(),
                source: VolumeGroupReplicationContentSource { volume_handles: handles },
                volume_group_replication_ref: Some(reference(group)),
                ..VolumeGroupReplicationContentSpec::default()
            },
            status: None,
        };
        let created = api.create(&PostParams::default(), &content).await;
        return created.map(Some).doing(|| format!("creating VolumeGroupReplicationContent {name}"));
    };
    let referred = content.spec.volume_group_replication_ref.as_ref().and_then(|r| r.uid.as_ref());
    let same = referred == group.metadata.uid.as_ref()
        && content.spec.source.volume_handles == handles
        && annotation(&content, VGR_REF_ANNOTATION) == Some(&back);
    if same || is_deleting(&content) {
        return Ok(Some(content));
    }
    let patch = json!({
        "metadata": {
            "resourceVersion": content.metadata.resource_version,
            "annotations": {VGR_REF_ANNOTATION: back},
        },
        "spec": {"source": {"volumeHandles": handles}, "volumeGroupReplicationRef": reference(group)},
    });
    let written = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
    written.map(Some).doing(|| format!("writing VolumeGroupReplicationContent {name}"))
}

/// The group's VolumeReplication, created or brought to the wanted state.
async fn replication(context: &Context, group: &VolumeGroupReplication) -> Result<VolumeReplication, PassError> {
    let key = ObjectKey::of(group);
    let api = context.cluster.within::<VolumeReplication>(key.namespace());
    let name = &group.spec.volume_replication_name;
    let (state, auto_resync) = (group.spec.replication_state.clone(), group.spec.auto_resync);
    if let Some(vr) = fetch(&api, name).await? {
        if is_deleting(&vr) || (vr.spec.replication_state == state && vr.spec.auto_resync == auto_resync) {
            return Ok(vr);
        }
        let patch = json!({"spec": {"replicationState": state, "autoResync": auto_resync}});
        let written = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        return written.doing(|| format!("writing VolumeReplication {name}"));
    }
    let owner = OwnerReference {
        api_version: VolumeGroupReplication::API_VERSION.to_owned(),
        kind: VolumeGroupReplication::KIND.to_owned(),
        name: key.name.clone(),
        uid: group.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let vr = VolumeReplication {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: group.metadata.namespace.clone(),
            annotations: Some([(VGR_REF_ANNOTATION.to_owned(), key.to_string())].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: VolumeReplicationSpec {
            volume_replication_class: group.spec.volume_replication_class_name.clone(),
            replication_state: state,
            data_source: DataSource {
                api_group: REPLICATION_GROUP.to_owned(),
                kind: VolumeGroupReplication::KIND.to_owned(),
                name: key.name.clone(),
            },
            auto_resync,
            replication_handle: String::new(),
        },
        status: None,
    };
    api.create(&PostParams::default(), &vr).await.doing(|| format!("creating VolumeReplication {name}"))
}

/// Shows the VolumeReplication's status as the group's. It is stamped with the group's generation only when the
/// VolumeReplication has dealt with what the group wants now.
async fn copy_status(
    context: &Context,
    group: VolumeGroupReplication,
    members: &Members,
    vr: VolumeReplication,
) -> Result<Next, PassError> {
    let mut status = group.status.clone().unwrap_or_default();
    let current = vr.spec.replication_state == group.spec.replication_state
        && vr.spec.auto_resync == group.spec.auto_resync
        && vr.status.as_ref().is_some_and(|s| Some(s.observed_generation) == vr.metadata.generation);
    if let Some(replication) = vr.status.filter(|_| current) {
        status.replication = replication;
        let generation = group.metadata.generation.unwrap_or_default();
        status.replication.observed_generation = generation;
        for condition in &mut status.replication.conditions {
            condition.observed_generation = generation;
        }
    }
    status.persistent_volume_claims_ref_list =
        members.bound.keys().map(|name| NameReference { name: name.clone() }).collect();
    if !members.unbound.is_empty() {
        status.replication.message = format!("claims are not bound yet: {}", members.unbound.join(", "));
    }
    write(context, group, status).await?;
    Ok(Next::Await)
}

async fn say(context: &Context, group: VolumeGroupReplication, message: &str) -> Result<Next, PassError> {
    let mut status = group.status.clone().unwrap_or_default();
    message.clone_into(&mut status.replication.message);
    write(context, group, status).await?;
    Ok(Next::After(context.timing.retry))
}

async fn write(
    context: &Context,
    mut group: VolumeGroupReplication,
    status: VolumeGroupReplicationStatus,
) -> Result<(), PassError> {
    if group.status.clone().unwrap_or_default() == status {
        return Ok(());
    }
    group.status = Some(status);
    let key = ObjectKey::of(&group);
    let api = context.cluster.within::<VolumeGroupReplication>(key.namespace());
    let written = api.replace_status(&key.name, &PostParams::default(), &group).await;
    unless_gone(written).doing(|| format!("writing the status of VolumeGroupReplication {key}"))?;
    Ok(())
}

/// The VolumeReplication goes first, then the content, then the claims are released.
async fn delete(context: &Context, group: VolumeGroupReplication) -> Result<Next, PassError> {
    if !has_finalizer(&group, VGR_PROTECTION_FINALIZER) {
        return Ok(Next::Await);
    }
    let key = ObjectKey::of(&group);
    let vrs = context.cluster.within::<VolumeReplication>(key.namespace());
    let contents = context.cluster.all::<VolumeGroupReplicationContent>();
    let (vr, content) = (&group.spec.volume_replication_name, &group.spec.volume_group_replication_content_name);
    let mut left =
        annotation(&group, VR_NAME_ANNOTATION).is_some() || annotation(&group, VGR_CONTENT_NAME_ANNOTATION).is_some();
    if let Some(found) = fetch(&vrs, vr).await? {
        left = true;
        if !is_deleting(&found) {
            let deleted = vrs.delete(vr, &DeleteParams::default()).await;
            unless_gone(deleted).doing(|| format!("deleting VolumeReplication {vr}"))?;
        }
    }
    if let Some(found) = fetch(&contents, content).await? {
        left = true;
        if !is_deleting(&found) {
            let deleted = contents.delete(content, &DeleteParams::default()).await;
            unless_gone(deleted).doing(|| format!("deleting VolumeGroupReplicationContent {content}"))?;
        }
    }
    if left {
        return Ok(Next::Await);
    }
    let claims = context.cluster.within::<PersistentVolumeClaim>(key.namespace()).list(&ListParams::default()).await;
    for claim in claims.doing(|| format!("listing claims of {}", key.namespace()))? {
        if annotation(&claim, VGR_NAME_ANNOTATION) == Some(&key.name) {
            members::release(context, key.namespace(), claim).await?;
        }
    }
    let done = Marks { drop_finalizers: &[VGR_PROTECTION_FINALIZER], ..Marks::default() };
    done.set(&context.cluster.within::<VolumeGroupReplication>(key.namespace()), group).await?;
    Ok(Next::Await)
}
