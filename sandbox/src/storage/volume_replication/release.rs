//! Deletion of a VolumeReplication: replication is disabled, then everything is unmarked.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kaedama_shared::{
    api::csiaddons::{
        PVC_PROTECTION_FINALIZER, REPLICATION_FINALIZER, VR_NAME_ANNOTATION, VolumeGroupReplication,
        VolumeGroupReplicationContent, VolumeReplication, VolumeReplicationClass,
    },
    harness::{ObjectKey, controller::Next},
};

use super::{Context, reconcile::write, report::Report, source};
use crate::storage::{
    array::{Code, UnitId},
    kit::{Marks, PassError, annotation, fetch, has_finalizer},
};

pub(super) async fn release(context: &Context, vr: VolumeReplication) -> Result<Next, PassError> {
    let key = ObjectKey::of(&vr);
    // Without the finalizer it is another driver's, or was never worked on.
    if !has_finalizer(&vr, REPLICATION_FINALIZER) {
        context.forget(&key);
        return Ok(Next::Await);
    }
    let owned = find(context, &vr).await?;
    if owned.foreign {
        return Ok(Next::Await);
    }
    if let Some(unit) = &owned.unit {
        context.remember(unit, &key);
        match context.driver.disable(unit).await {
            Ok(()) => {}
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => {
                let generation = vr.metadata.generation.unwrap_or_default();
                let name = source::source_name(&vr.spec.data_source);
                let mut report = Report::new(vr.status.as_ref(), generation, context.cluster.clock.now(), name);
                report.message(&format!("could not be disabled for replication: {}", error.message));
                let retry = Next::After(context.timing.retry);
                return write(context, vr, report, retry).await;
            }
        }
    }
    unmark(context, &vr, owned).await?;
    let done = Marks { drop_finalizers: &[REPLICATION_FINALIZER], ..Marks::default() };
    done.set(&context.cluster.within::<VolumeReplication>(key.namespace()), vr).await?;
    context.forget(&key);
    Ok(Next::Await)
}

/// What is left of what a VolumeReplication replicates.
#[derive(Default)]
struct Remains {
    claim: Option<PersistentVolumeClaim>,
    group: Option<VolumeGroupReplication>,
    content: Option<VolumeGroupReplicationContent>,
    unit: Option<UnitId>,
    /// It is the business of another driver's controller.
    foreign: bool,
}

async fn find(context: &Context, vr: &VolumeReplication) -> Result<Remains, PassError> {
    let (namespace, name) = (source::namespace(vr), &vr.spec.data_source.name);
    let mut remains = Remains::default();
    let classes = context.cluster.all::<VolumeReplicationClass>();
    let class = fetch(&classes, &vr.spec.volume_replication_class).await?;
    remains.foreign = class.is_some_and(|class| class.spec.provisioner != context.driver.name());
    if vr.spec.data_source.kind == VolumeGroupReplication::KIND {
        remains.group = fetch(&context.cluster.within::<VolumeGroupReplication>(namespace), name).await?;
        if let Some(group) = &remains.group {
            let content = &group.spec.volume_group_replication_content_name;
            remains.content = fetch(&context.cluster.all::<VolumeGroupReplicationContent>(), content).await?;
        }
        let handle = remains.content.as_ref().map(|content| content.spec.volume_group_replication_handle.as_str());
        remains.unit = handle.filter(|handle| !handle.is_empty()).map(UnitId::from);
        return Ok(remains);
    }
    let claim = fetch(&context.cluster.within::<PersistentVolumeClaim>(namespace), name).await?;
    // A claim of that name that some other object replicates is none of ours.
    remains.claim = claim.filter(|claim| annotation(claim, VR_NAME_ANNOTATION) == vr.metadata.name.as_deref());
    if let Some(claim) = &remains.claim {
        match source::handle(context, claim).await? {
            Ok(unit) => remains.unit = Some(unit),
            // The volume was removed by force: there is nothing that could be disabled.
            Err(obstacle) => tracing::warn!(claim = %ObjectKey::of(claim), ?obstacle, "replication is not disabled"),
        }
    }
    Ok(remains)
}

async fn unmark(context: &Context, vr: &VolumeReplication, remains: Remains) -> Result<(), PassError> {
    let namespace = source::namespace(vr);
    let no_owner = [(VR_NAME_ANNOTATION, None)];
    if let Some(content) = remains.content {
        let marks = Marks { drop_finalizers: &[REPLICATION_FINALIZER], ..Marks::default() };
        marks.set(&context.cluster.all(), content).await?;
    }
    if let Some(group) = remains.group.filter(|g| annotation(g, VR_NAME_ANNOTATION) == vr.metadata.name.as_deref()) {
        let marks = Marks { annotations: &no_owner, ..Marks::default() };
        marks.set(&context.cluster.within(namespace), group).await?;
    }
    if let Some(claim) = remains.claim {
        let drop_finalizers = [PVC_PROTECTION_FINALIZER];
        let marks = Marks { drop_finalizers: &drop_finalizers, annotations: &no_owner, ..Marks::default() };
        marks.set(&context.cluster.within(namespace), claim).await?;
    }
    Ok(())
}
