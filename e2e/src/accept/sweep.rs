//! Removing what a run has made and [`super::find`] finds.
//!
//! Whoever made an object was asked to remove it before ([`super::tidy`]). Here it is removed whoever still runs:
//! where a finalizer is not honoured in time, it is taken off.

use std::time::Duration;

use futures::future::join_all;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::{DRCluster, DRClusterConfig};
use kaedama_shared::names;
use kaedama_shared::s3::S3Store;
use kube::api::{ApiResource, GroupVersionKind, TypeMeta};
use kube::core::discovery::{ApiCapabilities, Scope};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::clusters::{Site, Sites};
use super::find::*;
use super::mark::LABEL;
use super::{Refusal, disks};

/// How long others have for what they do when something is deleted, after a run.
pub const AFTER_A_RUN: Duration = Duration::from_secs(45);
/// The same where whoever made it is gone: what others see to, such as agents, is done in seconds.
pub const LATER: Duration = Duration::from_secs(8);
/// How long something may take to go when nobody holds it any more.
pub(super) const GOING: Duration = Duration::from_secs(120);

/// Deletes these, waits until they are gone, and takes finalizers off what does not go. What cannot be deleted does not keep
/// the others from it.
async fn remove(site: &Site, found: Vec<Found>, orderly: Duration) -> Result<(), Refusal> {
    let mut all = Ok(());
    let mut going = Vec::new();
    for object in found {
        match object.delete(&site.client).await {
            Ok(()) => going.push(object),
            Err(error) => all = all.and(Err(failed(site, &format!("delete {}", object.text()), &error))),
        }
    }
    let left = until_gone(site, going, orderly).await;
    let real = left.iter().any(disks::is_of_storage) && disks::are_real(site).await;
    for object in &left {
        let stripped = match real && disks::is_of_storage(object) {
            true => object.strip_ours(&site.client).await,
            false => {
                tracing::warn!(cluster = site.name, object = object.text(), "its finalizers are taken off");
                object.strip(&site.client).await
            }
        };
        if let Err(error) = stripped {
            all = all.and(Err(failed(site, &format!("release {}", object.text()), &error)));
        }
    }
    match until_gone(site, left, GOING).await.first() {
        None => all,
        Some(object) => all.and(Err(Refusal::new(
            format!("{}: {} does not go", site.name, object.text()),
            "look at what holds it, then run `accept clean`",
        ))),
    }
}

pub(super) async fn until_gone(site: &Site, mut found: Vec<Found>, patience: Duration) -> Vec<Found> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let mut left = Vec::new();
        for object in found {
            if object.is_there(&site.client).await {
                left.push(object);
            }
        }
        if left.is_empty() || tokio::time::Instant::now() >= until {
            return left;
        }
        found = left;
        tokio::time::sleep(STEP).await;
    }
}

/// Empties the run's namespaces, and deletes them. In this order: a namespace that is deleted with something in it that
/// takes its time is looked at by its controller less and less often.
async fn remove_namespaces(site: &Site, kinds: &[Kind], found: Vec<Found>, orderly: Duration) -> Result<(), Refusal> {
    for namespace in &found {
        let mut content = Vec::new();
        for kind in kinds.iter().filter(|(resource, can)| can.scope == Scope::Namespaced && resource.kind != "Event") {
            match list(site, kind, Some(&namespace.name), "").await {
                Ok(found) => content.extend(found),
                // Nobody answers for that kind; whether there is any, the end of the namespace will show.
                Err(refusal) => tracing::warn!(cluster = site.name, %refusal, "cannot be listed"),
            }
        }
        // What every namespace has is made again at once.
        let of_all = |found: &Found| ["default", "kube-root-ca.crt"].contains(&found.name.as_str());
        content.retain(|found| !of_all(found));
        remove(site, content, orderly).await?;
    }
    for namespace in &found {
        let deleted = namespace.delete(&site.client).await;
        deleted.map_err(|error| failed(site, &format!("delete {}", namespace.text()), &error))?;
    }
    match until_gone(site, found, GOING).await.first() {
        None => Ok(()),
        Some(namespace) => Err(Refusal::new(
            format!("{}: {} does not go", site.name, namespace.text()),
            format!("`kubectl get namespace {} -o yaml` says what holds it", namespace.name),
        )),
    }
}

/// Deletes works, and, where no agent does, what they brought.
async fn remove_works(sites: &Sites, traces: &Traces, orderly: Duration) -> Result<(), Refusal> {
    let hub = sites.hub();
    let works = works(hub, traces).await?;
    if works.is_empty() {
        return Ok(());
    }
    let gvk = GroupVersionKind::gvk("work.open-cluster-management.io", "v1", "ManifestWork");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "manifestworks");
    let kind =
        (resource, ApiCapabilities { scope: Scope::Namespaced, subresources: Vec::new(), operations: Vec::new() });
    let found = |work: &ManifestWork| Found {
        kind: kind.clone(),
        namespace: work.namespace(),
        name: work.name_any(),
        uid: work.uid().unwrap_or_default(),
        is_marked: false,
        on_no_node: false,
    };
    for work in &works {
        let deleted = found(work).delete(&hub.client).await;
        deleted.map_err(|error| failed(hub, &format!("delete {}", found(work).text()), &error))?;
    }
    let left = until_gone(hub, works.iter().map(found).collect(), orderly).await;
    // What holds them is, in most cases, that something which they brought does not go.
    for site in sites.managed() {
        let kinds = kinds(site).await?;
        let mut brought = Vec::new();
        for object in left.iter().filter(|object| object.namespace.as_ref() == Some(&site.name)) {
            let work = works.iter().find(|work| work.uid().as_deref() == Some(object.uid.as_str()));
            let manifests = work.map(|work| &work.spec.workload.manifests);
            for manifest in manifests.into_iter().flatten() {
                brought.extend(there(site, &kinds, &json!(manifest)).await?);
            }
        }
        remove(site, brought, orderly).await?;
    }
    remove(hub, left, orderly).await
}

/// What a work brought to a cluster, if it is there. Without namespaces: those of the run go by their names.
async fn there(site: &Site, kinds: &[Kind], manifest: &Value) -> Result<Option<Found>, Refusal> {
    let Ok(types) = serde_json::from_value::<TypeMeta>(manifest.clone()) else { return Ok(None) };
    let (Ok(gvk), Some(name)) = (GroupVersionKind::try_from(&types), manifest["metadata"]["name"].as_str()) else {
        return Ok(None);
    };
    let fits = |(resource, _): &&Kind| resource.group == gvk.group && resource.kind == gvk.kind;
    let Some(kind) = kinds.iter().find(fits).filter(|_| gvk.kind != "Namespace") else { return Ok(None) };
    let namespace = manifest["metadata"]["namespace"].as_str();
    let there = api(&site.client, kind, namespace).get_metadata_opt(name).await;
    let there = there.map_err(|error| failed(site, &format!("read {} {name}", gvk.kind), &error))?;
    Ok(there.map(|there| Found {
        kind: kind.clone(),
        namespace: there.namespace(),
        name: name.to_owned(),
        uid: there.uid().unwrap_or_default(),
        is_marked: false,
        on_no_node: false,
    }))
}

/// Removes all traces from the clusters. Whoever made something has `orderly` for what belongs to its end.
///
/// # Errors
/// Something cannot be removed; of the rest as much as can be is. Where a storage still replicates, nothing is: works bring
/// claims, and agents bring again what is removed without its work.
pub async fn clusters(sites: &Sites, traces: &Traces, orderly: Duration) -> Result<(), Refusal> {
    let ends = join_all(sites.managed().iter().map(|site| disks::end_replication(site, traces))).await;
    // With their claims the storage would lose sight of what is still replicated.
    ends.into_iter().collect::<Result<(), Refusal>>()?;
    let works = remove_works(sites, traces, orderly).await;
    // A namespace takes seconds to go, and one cluster does not wait for another.
    let each = sites.all.iter().map(|site| cluster(site, traces, works.is_ok(), orderly));
    let all = join_all(each).await.into_iter().fold(Ok(()), Result::and);
    works.and(all)
}

async fn cluster(site: &Site, traces: &Traces, works_are_gone: bool, orderly: Duration) -> Result<(), Refusal> {
    let kinds = kinds(site).await?;
    let found = namespaces(site, &kinds, traces).await?;
    let gone = remove_namespaces(site, &kinds, found, orderly).await;
    let volumes = volumes(site, &kinds, traces).await?;
    let gone = gone.and(remove(site, volumes.simulated, orderly).await);
    let gone = gone.and(removed_by_others(site, volumes.real, &volumes.retained).await);
    let is = |found: &Found, kind: &str| found.kind.0.kind == kind;
    let (found, _) = marked(site, &kinds, traces).await;
    let (definitions, found): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| is(found, "CustomResourceDefinition"));
    let (namespaces, mut found): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| is(found, "Namespace"));
    for namespace in &namespaces {
        taken_over(site, &kinds, namespace).await?;
    }
    // What lies in a namespace with the mark goes with it.
    found.retain(|found| !namespaces.iter().any(|namespace| found.namespace.as_ref() == Some(&namespace.name)));
    // By a DRCluster the works are found that were sent for it.
    found.retain(|found| works_are_gone || !is(found, &DRCluster::kind(&())));
    let gone = gone.and(remove(site, found, orderly).await);
    let gone = gone.and(remove_namespaces(site, &kinds, namespaces, orderly).await);
    // Without its definition nothing of a kind could be removed any more.
    gone?;
    remove_definitions(site, &kinds, definitions, orderly).await
}

/// Waits until the storage has removed these volumes, those that it removes. They are left to it: with a volume's object its
/// disk would be lost from sight, with all that is on it.
async fn removed_by_others(site: &Site, real: Vec<Found>, retained: &[Found]) -> Result<(), Refusal> {
    let refused = |volumes: &[Found], why: &str, remedy: String| {
        let names: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        Err(Refusal::new(format!("{}: PersistentVolume {} {why}", site.name, names.join(", ")), remedy))
    };
    if let [first, ..] = retained {
        let patch = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
        return refused(
            retained,
            "of a run has reclaim policy Retain, so that nobody removes its disk",
            format!("`kubectl patch pv {} -p '{patch}'`, each of them, then run `accept clean`", first.name),
        );
    }
    match until_gone(site, real, GOING).await.as_slice() {
        [] => Ok(()),
        left => refused(
            left,
            "of a run is left to its provisioner, which has not removed it",
            format!("`kubectl describe pv {}` says why; then run `accept clean`", left[0].name),
        ),
    }
}

/// Refuses where somebody has put programs into a namespace that a run made: no run does. Then nothing with the mark is
/// removed, which may be theirs by now, such as roles that were applied again.
async fn taken_over(site: &Site, kinds: &[Kind], namespace: &Found) -> Result<(), Refusal> {
    for kind in kinds.iter().filter(|(resource, can)| resource.group == "apps" && can.scope == Scope::Namespaced) {
        if let Some(theirs) = list(site, kind, Some(&namespace.name), &format!("!{LABEL}")).await?.first() {
            return Err(Refusal::new(
                format!(
                    "{}: a run made namespace {}, and somebody put {} there",
                    site.name,
                    namespace.name,
                    theirs.text()
                ),
                format!("take the label {LABEL} off what is yours, the namespace too, then run `accept clean`"),
            ));
        }
    }
    Ok(())
}

/// Deletes definitions of kinds of which there is no object: with a definition goes all that it defines, and somebody may
/// have made use of it meanwhile.
async fn remove_definitions(
    site: &Site,
    kinds: &[Kind],
    definitions: Vec<Found>,
    orderly: Duration,
) -> Result<(), Refusal> {
    let mut going = Vec::new();
    for definition in definitions {
        let of = |(resource, _): &&Kind| definition.name == format!("{}.{}", resource.plural, resource.group);
        // A kind that is not served cannot be looked at: it stays.
        let Some(kind) = kinds.iter().find(of) else {
            tracing::warn!(cluster = site.name, kind = definition.name, "is not served, and stays");
            continue;
        };
        if kind.0.kind == DRClusterConfig::kind(&()) {
            // The one object that our operators make outside of namespaces: it is called as the cluster.
            let mut made = list(site, kind, None, &format!("{}=true", names::CREATED_BY)).await?;
            made.retain(|found| found.name == site.name);
            remove(site, made, orderly).await?;
        }
        match list(site, kind, None, "").await?.first() {
            None => {
                let deleted = definition.delete(&site.client).await;
                deleted.map_err(|error| failed(site, &format!("delete {}", definition.text()), &error))?;
                going.push(definition);
            }
            Some(object) => {
                tracing::warn!(cluster = site.name, kind = definition.name, object = object.text(), "is in use");
            }
        }
    }
    remove(site, going, orderly).await
}

/// Removes the keys that begin so from the stores.
///
/// # Errors
/// A store does not do it.
pub async fn stores<'a>(stores: impl Iterator<Item = &'a S3Store>, traces: &Traces) -> Result<(), Refusal> {
    for store in stores {
        let removed = store.delete_prefix(&traces.prefix).await;
        removed.map_err(|error| Refusal::new(error.to_string(), error.remedy()))?;
    }
    Ok(())
}
