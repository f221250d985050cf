//! Objects that stand for disks of somebody else's storage. Without them nobody would find the disk, its replica, or the
//! replication between the two: they go by the storage's own hand, or stay and are reported.

use kube::core::discovery::Scope;

use super::Refusal;
use super::clusters::Site;
use super::find::*;
use super::mark::LABEL;
use super::sweep::{GOING, until_gone};

const REPLICATION: &str = "replication.storage.openshift.io";
/// The replications themselves; to be deleted before the claims that they speak of.
const REPLICATIONS: [&str; 2] = ["VolumeReplication", "VolumeGroupReplication"];

/// Whether an object is known to the storage, where that is not the sandbox's.
pub(super) fn is_of_storage(found: &Found) -> bool {
    let (group, kind) = (found.kind.0.group.as_str(), found.kind.0.kind.as_str());
    group == REPLICATION || group.is_empty() && ["PersistentVolumeClaim", "PersistentVolume"].contains(&kind)
}

/// Whether the storage of a cluster is somebody's: replication is defined there, and by no run. Where that cannot be told
/// it is.
pub(super) async fn are_real(site: &Site, kinds: &[Kind]) -> bool {
    let Some(kind) = kinds.iter().find(|(resource, _)| resource.kind == "CustomResourceDefinition") else {
        return true;
    };
    match list(site, kind, None, &format!("!{LABEL}")).await {
        Ok(found) => found.iter().any(|found| found.name == format!("volumereplications.{REPLICATION}")),
        Err(_) => true,
    }
}

/// Has the storage end the replication of what a run left: while the claims are there, for by these it is told which
/// volume is meant.
pub(super) async fn end_replication(site: &Site, traces: &Traces) -> Result<(), Refusal> {
    let kinds = kinds(site).await?;
    if !are_real(site, &kinds).await {
        return Ok(());
    }
    let mut going = Vec::new();
    let is_one = |(resource, can): &&Kind| {
        resource.group == REPLICATION
            && REPLICATIONS.contains(&resource.kind.as_str())
            && can.scope == Scope::Namespaced
    };
    for namespace in namespaces(site, &kinds, traces).await? {
        for kind in kinds.iter().filter(is_one) {
            for found in list(site, kind, Some(&namespace.name), "").await? {
                let deleted = found.delete(&site.client).await;
                deleted.map_err(|error| failed(site, &format!("delete {}", found.text()), &error))?;
                going.push(found);
            }
        }
    }
    match until_gone(site, going, GOING).await.first() {
        None => Ok(()),
        Some(found) => Err(Refusal::new(
            format!("{}: {} does not go: the storage still replicates its volume", site.name, found.text()),
            "its status and the log of the storage's controller say why; then run `accept clean`",
        )),
    }
}
