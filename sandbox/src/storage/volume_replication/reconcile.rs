//! One pass of a VolumeReplication: the order of work.

use std::sync::Arc;

use kaedama_shared::{
    api::csiaddons::{
        DesiredState, PVC_PROTECTION_FINALIZER, REPLICATION_FINALIZER, VR_NAME_ANNOTATION, VolumeGroupReplication,
        VolumeGroupReplicationContent, VolumeReplication,
    },
    harness::{ObjectKey, controller::Next},
};
use kube::api::PostParams;

use super::{
    Context, release,
    report::{Report, is_finished_secondary},
    source::{self, Obstacle, Owned, Target},
    states::Work,
};
use crate::storage::kit::{Doing, Marks, PassError, fetch, is_deleting, unless_gone};

pub(super) async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    let api = context.cluster.within::<VolumeReplication>(key.namespace());
    let Some(vr) = fetch(&api, &key.name).await? else {
        context.forget(&key);
        return Ok(Next::Await);
    };
    if is_deleting(&vr) {
        return release::release(&context, vr).await;
    }
    let generation = vr.metadata.generation.unwrap_or_default();
    if vr.spec.replication_state == DesiredState::Secondary && is_finished_secondary(vr.status.as_ref(), generation) {
        return Ok(Next::Await);
    }
    let mut report = Report::new(
        vr.status.as_ref(),
        generation,
        context.cluster.clock.now(),
        source::source_name(&vr.spec.data_source),
    );
    let found = match source::class(&context, &vr).await? {
        Ok(class) => source::target(&context, &vr).await?.map(|target| (class, target)),
        Err(obstacle) => Err(obstacle),
    };
    let (class, target) = match found {
        Ok(found) => found,
        Err(obstacle) => {
            let next = stopped(&context, &vr, &mut report, obstacle);
            return write(&context, vr, report, next).await;
        }
    };
    context.remember(&target.unit, &key);
    let Some(vr) = claim(&context, vr, &target).await? else { return Ok(Next::Await) };
    let work = Work {
        driver: &context.driver,
        timing: context.timing,
        unit: &target.unit,
        vr: &vr,
        parameters: &class.spec.parameters,
    };
    let next = match &vr.spec.replication_state {
        DesiredState::Primary => work.primary(&mut report).await,
        DesiredState::Secondary => work.secondary(&mut report).await,
        DesiredState::Resync => work.resync(&mut report).await,
        other @ (DesiredState::Unset | DesiredState::Other(_)) => {
            report.message(&format!("is asked for the unknown state {:?}", other.as_str()));
            Next::Await
        }
    };
    write(&context, vr, report, next).await
}

fn stopped(context: &Context, vr: &VolumeReplication, report: &mut Report, obstacle: Obstacle) -> Next {
    match obstacle {
        Obstacle::NotOurs => {
            report.status = vr.status.clone().unwrap_or_default();
            Next::Await
        }
        Obstacle::Held(why) => {
            report.status = vr.status.clone().unwrap_or_default();
            report.status.message = why;
            Next::After(context.timing.retry)
        }
        Obstacle::Failed { what, detail, retry } => {
            report.setup_failed(&vr.spec.replication_state, what, &detail);
            // Most of what can be wrong here is watched; the rest is looked at again.
            if retry { Next::After(context.timing.retry) } else { Next::Await }
        }
    }
}

/// Marks the VolumeReplication and what it replicates, before the storage is told anything.
async fn claim(
    context: &Context,
    vr: VolumeReplication,
    target: &Target,
) -> Result<Option<VolumeReplication>, PassError> {
    let namespace = source::namespace(&vr).to_owned();
    let own = Marks { add_finalizers: &[REPLICATION_FINALIZER], ..Marks::default() };
    let Some(vr) = own.set(&context.cluster.within(&namespace), vr).await? else { return Ok(None) };
    let owner = [(VR_NAME_ANNOTATION, vr.metadata.name.as_deref())];
    match &target.owned {
        Owned::Claim(claim) if is_deleting(&**claim) => {}
        Owned::Claim(claim) => {
            let add_finalizers = [PVC_PROTECTION_FINALIZER];
            let marks = Marks { add_finalizers: &add_finalizers, annotations: &owner, ..Marks::default() };
            marks.set(&context.cluster.within(&namespace), (**claim).clone()).await?;
        }
        Owned::Group(group, content) => {
            let marks = Marks { annotations: &owner, ..Marks::default() };
            marks.set(&context.cluster.within::<VolumeGroupReplication>(&namespace), (**group).clone()).await?;
            if !is_deleting(&**content) {
                let marks = Marks { add_finalizers: &[REPLICATION_FINALIZER], ..Marks::default() };
                marks.set(&context.cluster.all::<VolumeGroupReplicationContent>(), (**content).clone()).await?;
            }
        }
    }
    Ok(Some(vr))
}

/// Writes the status, if it says anything new.
pub(super) async fn write(
    context: &Context,
    mut vr: VolumeReplication,
    report: Report,
    next: Next,
) -> Result<Next, PassError> {
    if vr.status.clone().unwrap_or_default() == report.status {
        return Ok(next);
    }
    let (namespace, name) = (source::namespace(&vr).to_owned(), vr.metadata.name.clone().unwrap_or_default());
    vr.status = Some(report.status);
    let api = context.cluster.within::<VolumeReplication>(&namespace);
    let written = api.replace_status(&name, &PostParams::default(), &vr).await;
    unless_gone(written).doing(|| format!("writing the status of VolumeReplication {namespace}/{name}"))?;
    Ok(next)
}
