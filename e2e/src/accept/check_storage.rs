//! What has to be true of storage that is installed, and of nodes that run pods; or of clusters without either.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kaedama_sandbox::world::STORAGE_CLASS;
use kaedama_shared::api::DRPolicySpec;
use kaedama_shared::api::csiaddons::VolumeReplicationClass;
use kaedama_shared::names;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::check::Look;
use super::clusters::{Site, Sites};
use super::mark::run_of;
use super::{Refusal, brief};
use crate::objects::claimed_in;

/// Who replicates volumes, where that is somebody of the installation.
pub(super) const REPLICATION: &str = "volumereplications.replication.storage.openshift.io";
/// How volumes are replicated there.
const REPLICATION_CLASSES: &str = "volumereplicationclasses.replication.storage.openshift.io";

/// Group, resource, verbs.
pub(super) type Rights = &'static [(&'static str, &'static str, &'static [&'static str])];

/// What the sandbox's storage and applications do on a managed cluster.
pub(super) const NO_STORAGE_RIGHTS: Rights = &[
    ("", "persistentvolumes", &["list", "create", "patch", "delete"]),
    ("", "persistentvolumeclaims", &["list", "patch", "delete"]),
    ("", "pods", &["list", "create", "delete"]),
    ("apps", "deployments", &["list"]),
    ("storage.k8s.io", "storageclasses", &["list", "create", "delete"]),
    ("storage.k8s.io", "volumeattachments", &["create", "delete"]),
    ("replication.storage.openshift.io", "volumereplications/status", &["update", "patch"]),
];

/// What is done on a managed cluster whose own storage and nodes are used: nothing to any volume.
pub(super) const STORAGE_RIGHTS: Rights = &[
    ("", "nodes", &["list"]),
    ("", "persistentvolumes", &["list"]),
    ("", "persistentvolumeclaims", &["list", "patch", "delete"]),
    ("", "pods", &["list", "watch", "get", "delete"]),
    ("", "pods/log", &["get"]),
    ("apps", "deployments", &["list"]),
    ("storage.k8s.io", "storageclasses", &["list"]),
    ("replication.storage.openshift.io", "volumereplicationclasses", &["list"]),
    ("replication.storage.openshift.io", "volumereplications", &["list", "delete"]),
];

impl Look<'_> {
    /// Nothing is there that the sandbox's storage would be in the way of.
    pub(super) async fn no_storage(&mut self) -> Result<(), Refusal> {
        if self.has_kind(REPLICATION).await? {
            self.refuse(
                format!("storage: sandbox, and {REPLICATION} is installed there"),
                "its controller and the sandbox's would both answer; write storage: installed and applications: installed",
            );
        }
        let class = self.get(Api::<StorageClass>::all(self.site.client.clone()), STORAGE_CLASS).await?;
        if class.is_some() {
            self.refuse(
                format!("there is a storage class {STORAGE_CLASS}, the name of the sandbox's"),
                "`accept clean` removes that of an earlier run; otherwise rename it",
            );
        }
        Ok(())
    }

    /// Volumes of an earlier run, which is refused.
    pub(super) async fn volumes_left(&mut self) -> Result<bool, Refusal> {
        let volumes: Vec<PersistentVolume> = all(self.site).await?;
        let ours = volumes.iter().find(|volume| claimed_in(volume).and_then(run_of).is_some());
        if let Some(volume) = ours {
            self.refuse(
                format!("PersistentVolume {} of an earlier run is still there", volume.name_any()),
                "`accept clean` says what keeps it",
            );
        }
        Ok(ours.is_some())
    }

    /// Somebody answers a VolumeReplication, and a node runs pods.
    pub(super) async fn storage(&mut self) -> Result<(), Refusal> {
        for kind in [REPLICATION, REPLICATION_CLASSES] {
            if !self.has_kind(kind).await? {
                self.refuse(
                    format!("storage: installed, and {kind} is missing"),
                    "install csi-addons with a driver that replicates, or write storage: sandbox and applications: sandbox",
                );
            }
        }
        let nodes: Vec<Node> = all(self.site).await?;
        if !nodes.iter().any(is_ready) {
            self.refuse(
                format!("applications: installed, and none of its {} nodes is Ready", nodes.len()),
                "`kubectl get nodes` has to show one that runs pods",
            );
        } else if !nodes.iter().any(|node| is_ready(node) && is_open(node)) {
            self.refuse(
                "applications: installed, and every node that is Ready has a taint",
                "the pods of applications tolerate none: take it off one node (`kubectl describe nodes` shows them)",
            );
        }
        Ok(())
    }
}

fn is_ready(node: &Node) -> bool {
    let closed = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    !closed && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether nothing keeps pods without tolerations off a node.
fn is_open(node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.into_iter().all(|taint| taint.effect == "PreferNoSchedule")
}

async fn all<K>(site: &Site) -> Result<Vec<K>, Refusal>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let listed = Api::<K>::all(site.client.clone()).list(&ListParams::default()).await;
    listed.map(|list| list.items).map_err(|error| {
        Refusal::new(
            format!("cannot list {}: {}", K::plural(&()), brief(&error)),
            "the user of the kubeconfig needs the rights of a cluster administrator",
        )
    })
}

/// The classes of one cluster.
struct Side {
    cluster: String,
    storage: Vec<StorageClass>,
    replication: Vec<VolumeReplicationClass>,
}

/// The StorageClass is on both clusters, and a VolumeReplicationClass of each replicates its volumes as the policy has it.
/// What is well, in lines.
///
/// # Errors
/// It is not so, or the classes cannot be read.
pub(super) async fn classes(sites: &Sites, class: &str, policy: &DRPolicySpec) -> Result<Vec<String>, Vec<Refusal>> {
    let mut sides = Vec::new();
    for site in sites.managed() {
        let read =
            async { Ok(Side { cluster: site.name.clone(), storage: all(site).await?, replication: all(site).await? }) };
        sides.push(read.await.map_err(|refusal: Refusal| vec![refusal.within(&site.name)])?);
    }
    judge(&sides, class, policy)
}

/// The class on one cluster, with what replicates its volumes there.
struct Pair<'a> {
    side: &'a Side,
    storage: &'a StorageClass,
    replication: &'a VolumeReplicationClass,
}

fn judge(sides: &[Side], class: &str, policy: &DRPolicySpec) -> Result<Vec<String>, Vec<Refusal>> {
    let (mut pairs, mut refusals) = (Vec::new(), Vec::new());
    // Labels count where both clusters have them: otherwise the hub finds no pair.
    let labelled = everywhere(sides, class);
    for side in sides {
        match pair(side, class, policy, labelled) {
            Ok(pair) => pairs.push(pair),
            Err(refusal) => refusals.push(refusal.within(&side.cluster)),
        }
    }
    if refusals.is_empty() {
        refusals = labels(&pairs, sides, class);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let well = |pair: &Pair<'_>| {
        let (by, every) = (pair.replication.name_any(), &policy.scheduling_interval);
        format!(
            "{}: StorageClass {class} is replicated by VolumeReplicationClass {by} every {every}",
            pair.side.cluster
        )
    };
    Ok(pairs.iter().map(well).collect())
}

/// Whether every cluster's StorageClass of this name says which storage it is of.
fn everywhere(sides: &[Side], class: &str) -> bool {
    let labelled = |storage: &StorageClass| storage.name_any() == class && storage_id(storage).is_some();
    sides.iter().all(|side| side.storage.iter().any(labelled))
}

fn pair<'a>(side: &'a Side, class: &str, policy: &DRPolicySpec, labelled: bool) -> Result<Pair<'a>, Refusal> {
    let Some(storage) = side.storage.iter().find(|storage| storage.name_any() == class) else {
        let has: Vec<String> = side.storage.iter().map(ResourceExt::name_any).collect();
        return Err(Refusal::new(
            format!("there is no StorageClass {class}"),
            format!("write as storageClass one that both clusters have; this one has {}", list(&has)),
        ));
    };
    if storage.reclaim_policy.as_deref().is_some_and(|policy| policy != "Delete") {
        return Err(Refusal::new(
            format!("StorageClass {class} keeps its volumes (reclaimPolicy: Retain)"),
            "write as storageClass one with reclaimPolicy: Delete, or the volumes of every run would stay",
        ));
    }
    if storage.labels().contains_key(names::OFFLOADED) {
        return Err(Refusal::new(
            format!("replication of StorageClass {class} is left to the storage (label {})", names::OFFLOADED),
            "Kaedama has not built that: write as storageClass one that VolumeReplications replicate",
        ));
    }
    let interval = &policy.scheduling_interval;
    let of = |replication: &VolumeReplicationClass| replication.spec.parameters.get("schedulingInterval").cloned();
    let same: Vec<_> = side.replication.iter().filter(|one| one.spec.provisioner == storage.provisioner).collect();
    let fitting: Vec<&VolumeReplicationClass> = same
        .iter()
        .copied()
        .filter(|one| of(one).as_ref() == Some(interval) && selects(&policy.replication_class_selector, one.labels()))
        .filter(|one| !labelled || same_label(storage, one, names::STORAGE_ID))
        .collect();
    // Of several for one storage, those of the right pair.
    let of_pair: Vec<_> =
        fitting.iter().copied().filter(|one| labelled && same_label(storage, one, names::REPLICATION_ID)).collect();
    let fitting = if of_pair.is_empty() { fitting } else { of_pair };
    let is_default = |one: &&VolumeReplicationClass| {
        one.annotations().get(names::IS_DEFAULT_CLASS).is_some_and(|value| value == "true")
    };
    let defaults: Vec<&VolumeReplicationClass> = fitting.iter().copied().filter(is_default).collect();
    match (fitting.as_slice(), defaults.as_slice()) {
        ([one], _) | (_, [one]) => Ok(Pair { side, storage, replication: one }),
        ([], _) => {
            let has: Vec<String> =
                same.iter().map(|one| format!("{} ({})", one.name_any(), of(one).unwrap_or_default())).collect();
            let id = storage_id(storage).filter(|_| labelled);
            let id = id.map_or(String::new(), |id| format!(" and label {}={id}", names::STORAGE_ID));
            Err(Refusal::new(
                format!(
                    "no VolumeReplicationClass of provisioner {} has schedulingInterval {interval}{id}",
                    storage.provisioner
                ),
                format!("make one, or write as schedulingInterval that of one that there is: {}", list(&has)),
            ))
        }
        (several, _) => {
            let has: Vec<String> = several.iter().map(|one| one.name_any()).collect();
            Err(Refusal::new(
                format!("several VolumeReplicationClasses fit StorageClass {class}: {}", list(&has)),
                format!("mark one of them with the annotation {}=true", names::IS_DEFAULT_CLASS),
            ))
        }
    }
}

/// By their labels the classes of two clusters are recognised as a pair. Where none has any, provisioner and interval are
/// enough; where some have, the others are not replicated.
fn labels(pairs: &[Pair<'_>], sides: &[Side], class: &str) -> Vec<Refusal> {
    let [one, other] = pairs else { return Vec::new() };
    let (Some(left), Some(right)) = (storage_id(one.storage), storage_id(other.storage)) else {
        let mut others = sides.iter().flat_map(|side| &side.storage).map(ResourceExt::name_any);
        let Some(labelled) = others.find(|name| everywhere(sides, name)) else { return Vec::new() };
        let without = if storage_id(one.storage).is_none() { one } else { other };
        let what = format!(
            "StorageClass {class} has no label {}, and {labelled} has: volumes of {class} are not replicated",
            names::STORAGE_ID
        );
        let refusal = Refusal::new(what, "label it, and its VolumeReplicationClass alike, on both clusters");
        return vec![refusal.within(&without.side.cluster)];
    };
    if left == right {
        return vec![Refusal::new(
            format!("StorageClass {class} has label {}={left} on both clusters", names::STORAGE_ID),
            "that is one storage system under both: write as storageClass one that is replicated between two",
        )];
    }
    let mut refusals = Vec::new();
    for pair in pairs {
        if !same_label(pair.storage, pair.replication, names::REPLICATION_ID) {
            let what = format!(
                "StorageClass {class} and VolumeReplicationClass {} do not have the same label {}",
                pair.replication.name_any(),
                names::REPLICATION_ID
            );
            let remedy = "both have to, and both clusters the same value";
            refusals.push(Refusal::new(what, remedy).within(&pair.side.cluster));
        }
    }
    let id = |pair: &Pair<'_>| pair.storage.labels().get(names::REPLICATION_ID).cloned();
    if refusals.is_empty() && id(one) != id(other) {
        let value = |pair: &Pair<'_>| id(pair).unwrap_or_default();
        refusals.push(Refusal::new(
            format!(
                "label {} of StorageClass {class} is {} on {} and {} on {}",
                names::REPLICATION_ID,
                value(one),
                one.side.cluster,
                value(other),
                other.side.cluster
            ),
            "it names the pair: write the same value on both clusters",
        ));
    }
    refusals
}

fn storage_id(class: &StorageClass) -> Option<&String> {
    class.metadata.labels.as_ref()?.get(names::STORAGE_ID).filter(|id| !id.is_empty())
}

fn same_label(storage: &StorageClass, replication: &VolumeReplicationClass, label: &str) -> bool {
    let value = storage.labels().get(label).filter(|value| !value.is_empty());
    value.is_some() && value == replication.labels().get(label)
}

/// The operators heed only the labels of a selector.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten();
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
#[path = "check_storage_tests.rs"]
mod tests;
