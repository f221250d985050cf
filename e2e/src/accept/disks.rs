//! Objects that stand for disks of somebody else's storage. Without them nobody would find the disk, its replica, or the
//! replication between the two: they go by the storage's own hand, or stay and are reported.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::discovery::Scope;
use kube::{Api, ResourceExt};

use super::Refusal;
use super::check_storage::REPLICATION;
use super::clusters::Site;
use super::find::*;
use super::mark::{LABEL, is_run};
use super::sweep::{GOING, until_gone};

/// The group of what replicates.
const GROUP: &str = "replication.storage.openshift.io";
/// The replications themselves; to be deleted before the claims that they speak of.
const REPLICATIONS: [&str; 2] = ["VolumeReplication", "VolumeGroupReplication"];

/// Whether an object is known to the storage, where that is not the sandbox's.
pub(super) fn is_of_storage(found: &Found) -> bool {
    let (group, kind) = (found.kind.0.group.as_str(), found.kind.0.kind.as_str());
    group == GROUP || group.is_empty() && ["PersistentVolumeClaim", "PersistentVolume"].contains(&kind)
}

/// Whether the storage of a cluster is somebody's: replication is defined there, and by no run. Where that cannot be told
/// it is.
pub(super) async fn are_real(site: &Site) -> bool {
    let definitions = Api::<CustomResourceDefinition>::all(site.client.clone());
    match definitions.get_metadata_opt(REPLICATION).await {
        Ok(found) => found.is_some_and(|definition| !definition.labels().get(LABEL).is_some_and(|run| is_run(run))),
        Err(_) => true,
    }
}

/// Has the storage end the replication of what a run left: while the claims are there, for by these it is told which
/// volume is meant.
pub(super) async fn end_replication(site: &Site, traces: &Traces) -> Result<(), Refusal> {
    if !are_real(site).await {
        return Ok(());
    }
    let kinds = kinds(site).await?;
    let is_one = |(resource, can): &&Kind| {
        resource.group == GROUP && REPLICATIONS.contains(&resource.kind.as_str()) && can.scope == Scope::Namespaced
    };
    let namespaces = namespaces(site, &kinds, traces).await?;
    let there = async || {
        let mut all = Vec::new();
        for namespace in &namespaces {
            for kind in kinds.iter().filter(is_one) {
                all.extend(list(site, kind, Some(&namespace.name), "").await?);
            }
        }
        Ok(all)
    };
    let going = there().await?;
    for found in &going {
        let deleted = found.delete(&site.client).await;
        deleted.map_err(|error| failed(site, &format!("delete {}", found.text()), &error))?;
    }
    until_gone(site, going, GOING).await;
    // An operator that still protects the application makes another one.
    match there().await?.first() {
        None => Ok(()),
        Some(found) => Err(Refusal::new(
            format!("{}: {} does not go: the storage still replicates its volume", site.name, found.text()),
            "its status and the log of the storage's controller say why, or an operator has made it again; then run \
             `accept clean`",
        )),
    }
}
