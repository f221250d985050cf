//! From a VolumeReplication to its class, and to the unit on the storage that it speaks for.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::csiaddons::{
    DataSource, REPLICATION_GROUP, VGR_NAME_ANNOTATION, VR_NAME_ANNOTATION, VolumeGroupReplication,
    VolumeGroupReplicationContent, VolumeReplication, VolumeReplicationClass,
};
use kaedama_shared::harness::ObjectKey;

use super::{Context, parameters};
use crate::storage::{
    array::UnitId,
    kit::{PassError, annotation, fetch, is_deleting},
};

/// Why the storage cannot be asked yet.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// It belongs to another driver's controller.
    NotOurs,
    /// It is reported in the message only: conditions keep what they said.
    Held(String),
    /// The setup is wrong: the failure row of the wanted state.
    Failed {
        /// What could not be done, as a phrase about the volume.
        what: &'static str,
        /// Why.
        detail: String,
        /// Whether looking again could help by itself.
        retry: bool,
    },
}

/// What a VolumeReplication speaks for.
pub(super) struct Target {
    pub(super) unit: UnitId,
    pub(super) owned: Owned,
}

/// The objects that are marked as replicated.
pub(super) enum Owned {
    Claim(Box<PersistentVolumeClaim>),
    Group(Box<VolumeGroupReplication>, Box<VolumeGroupReplicationContent>),
}

type Found<T> = Result<Result<T, Obstacle>, PassError>;

fn failed<T>(what: &'static str, detail: impl Into<String>) -> Found<T> {
    Ok(Err(Obstacle::Failed { what, detail: detail.into(), retry: true }))
}

/// What the messages about this object are about.
pub(super) fn source_name(source: &DataSource) -> &'static str {
    if source.kind == VolumeGroupReplication::KIND { "volume group" } else { "volume" }
}

pub(super) async fn class(context: &Context, vr: &VolumeReplication) -> Found<VolumeReplicationClass> {
    let name = &vr.spec.volume_replication_class;
    if name.is_empty() {
        return failed("has no class", "spec.volumeReplicationClass is empty");
    }
    let cached = context.classes.get(&ObjectKey::cluster(name.clone())).map(|class| (*class).clone());
    let class = match cached {
        Some(class) => Some(class),
        None => fetch(&context.cluster.all::<VolumeReplicationClass>(), name).await?,
    };
    let Some(class) = class else {
        return failed("has no class", format!("VolumeReplicationClass {name} not found"));
    };
    if class.spec.provisioner != context.driver.name() {
        return Ok(Err(Obstacle::NotOurs));
    }
    match parameters::validate(&class.spec.parameters) {
        Ok(()) => Ok(Ok(class)),
        Err(why) => failed("has an invalid class", format!("VolumeReplicationClass {name}: {why}")),
    }
}

pub(super) async fn target(context: &Context, vr: &VolumeReplication) -> Found<Target> {
    let source = &vr.spec.data_source;
    match (source.api_group.as_str(), source.kind.as_str()) {
        (_, "PersistentVolumeClaim") => claim(context, vr).await,
        (REPLICATION_GROUP, VolumeGroupReplication::KIND) => group(context, vr).await,
        _ => Ok(Err(Obstacle::Failed {
            what: "has an unsupported data source",
            detail: format!("kind {} of group {:?}", source.kind, source.api_group),
            retry: false,
        })),
    }
}

async fn claim(context: &Context, vr: &VolumeReplication) -> Found<Target> {
    let (namespace, name) = (namespace(vr), &vr.spec.data_source.name);
    let Some(claim) = fetch(&context.cluster.within::<PersistentVolumeClaim>(namespace), name).await? else {
        return failed("has no claim", format!("PersistentVolumeClaim {namespace}/{name} not found"));
    };
    let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending");
    if phase != "Bound" {
        return failed("has no bound claim", format!("PersistentVolumeClaim {namespace}/{name} is {phase}"));
    }
    let own = vr.metadata.name.as_deref();
    let owner = annotation(&claim, VR_NAME_ANNOTATION);
    if is_deleting(&claim) && owner != own {
        return failed("has no claim", format!("PersistentVolumeClaim {namespace}/{name} is being deleted"));
    }
    if let Some(group) = annotation(&claim, VGR_NAME_ANNOTATION) {
        return Ok(Err(Obstacle::Held(format!(
            "PersistentVolumeClaim {name} belongs to VolumeGroupReplication {group}"
        ))));
    }
    if let Some(other) = owner.filter(|owner| Some(*owner) != own)
        && fetch(&context.cluster.within::<VolumeReplication>(namespace), other).await?.is_some()
    {
        return Ok(Err(Obstacle::Held(format!("PersistentVolumeClaim {name} belongs to VolumeReplication {other}"))));
    }
    match handle(context, &claim).await? {
        Ok(unit) => Ok(Ok(Target { unit, owned: Owned::Claim(Box::new(claim)) })),
        Err(obstacle) => Ok(Err(obstacle)),
    }
}

/// The handle of the volume behind a claim.
pub(super) async fn handle(context: &Context, claim: &PersistentVolumeClaim) -> Found<UnitId> {
    let name = claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()).unwrap_or_default();
    let Some(pv) = fetch(&context.cluster.all::<PersistentVolume>(), name).await? else {
        return failed("has no volume", format!("PersistentVolume {name:?} not found"));
    };
    match pv.spec.and_then(|spec| spec.csi) {
        None => failed("cannot be replicated", format!("PersistentVolume {name} is not a CSI volume")),
        Some(csi) if csi.driver != context.driver.name() => {
            let detail = format!("PersistentVolume {name} is of driver {}, the class of another", csi.driver);
            failed("cannot be replicated", detail)
        }
        Some(csi) => Ok(Ok(csi.volume_handle.into())),
    }
}

async fn group(context: &Context, vr: &VolumeReplication) -> Found<Target> {
    let (namespace, name) = (namespace(vr), &vr.spec.data_source.name);
    let Some(group) = fetch(&context.cluster.within::<VolumeGroupReplication>(namespace), name).await? else {
        return failed("has no group", format!("VolumeGroupReplication {namespace}/{name} not found"));
    };
    let content = group.spec.volume_group_replication_content_name.clone();
    if content.is_empty() {
        return failed("has no content", format!("VolumeGroupReplication {name} names no content"));
    }
    let Some(content) = fetch(&context.cluster.all::<VolumeGroupReplicationContent>(), &content).await? else {
        return failed("has no content", format!("VolumeGroupReplicationContent {content} not found"));
    };
    if content.spec.volume_group_replication_handle.is_empty() {
        return Ok(Err(Obstacle::Held("the storage has not made the group yet".to_owned())));
    }
    let own = vr.metadata.name.as_deref();
    if let Some(other) = annotation(&group, VR_NAME_ANNOTATION).filter(|owner| Some(*owner) != own) {
        return Ok(Err(Obstacle::Held(format!("VolumeGroupReplication {name} belongs to VolumeReplication {other}"))));
    }
    let unit = content.spec.volume_group_replication_handle.as_str().into();
    Ok(Ok(Target { unit, owned: Owned::Group(Box::new(group), Box::new(content)) }))
}

pub(super) fn namespace(vr: &VolumeReplication) -> &str {
    vr.metadata.namespace.as_deref().unwrap_or_default()
}
