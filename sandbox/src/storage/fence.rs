//! Controller of NetworkFence, as csi-addons behaves: the storage takes no I/O from fenced networks.
//!
//! Deleting a NetworkFence does not unfence: callers set `Unfenced` first, and rely on that.

use std::{collections::BTreeSet, sync::Arc};

use kaedama_shared::{
    api::csiaddons::{FenceState, NETWORK_FENCE_FINALIZER, NetworkFence, NetworkFenceClass, NetworkFenceStatus},
    harness::{
        ObjectKey,
        cache::Cache,
        controller::{Controller, Next},
    },
};
use kube::api::PostParams;
use tokio_util::sync::CancellationToken;

use super::{
    fabric::Driver,
    kit::{Cluster, Doing, Marks, PassError, annotation, fetch, has_finalizer, is_deleting, settings, unless_gone},
};

/// Annotation with what is fenced now: generation, then the networks, separated by commas.
const FENCED_NETWORKS: &str = "sandbox.kaedama.dev/fenced-networks";
/// After a failure that no event ends.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs for one cluster and one driver until `stop` is cancelled or the future is dropped.
pub async fn run(cluster: Cluster, driver: Driver, stop: CancellationToken) {
    let fences: Cache<NetworkFence> = cluster.optional_cache("networkfences");
    let classes: Cache<NetworkFenceClass> = cluster.optional_cache("networkfenceclasses");
    let of_class = {
        let fences = fences.clone();
        move |change: &kaedama_shared::harness::cache::Change<NetworkFenceClass>| {
            let class = change.key.name.clone();
            let using = fences.filter(|fence| fence.spec.network_fence_class_name == class);
            using.iter().map(|fence| ObjectKey::of(&**fence)).collect::<Vec<_>>()
        }
    };
    let name = format!("networkfence {}", cluster.name);
    let context = Arc::new((cluster, driver));
    Controller::new(name)
        .settings(settings())
        .primary(&fences)
        .watches(&classes, of_class)
        .run(stop, move |key| {
            let context = context.clone();
            async move { pass(&context.0, &context.1, key).await }
        })
        .await;
}

async fn pass(cluster: &Cluster, driver: &Driver, key: ObjectKey) -> Result<Next, PassError> {
    let api = cluster.all::<NetworkFence>();
    let Some(fence) = fetch(&api, &key.name).await? else { return Ok(Next::Await) };
    let name = match driver_of(cluster, &fence).await? {
        Ok(name) => name,
        Err(why) => return report(cluster, fence, Err(why)).await,
    };
    if name != driver.name() {
        return Ok(Next::Await);
    }
    if is_deleting(&fence) {
        if has_finalizer(&fence, NETWORK_FENCE_FINALIZER) {
            let done = Marks { drop_finalizers: &[NETWORK_FENCE_FINALIZER], ..Marks::default() };
            done.set(&api, fence).await?;
        }
        return Ok(Next::Await);
    }
    let fenced = fence.spec.fence_state == FenceState::Fenced;
    let wanted: BTreeSet<String> = if fenced { fence.spec.cidrs.iter().cloned().collect() } else { BTreeSet::new() };
    let generation = fence.metadata.generation.unwrap_or_default();
    let record = record(generation, &wanted);
    let succeeded = fence.status.as_ref().is_some_and(|status| status.result == "Succeeded");
    // An answer is final for its generation, as in csi-addons.
    if succeeded && annotation(&fence, FENCED_NETWORKS) == Some(record.as_str()) {
        return Ok(Next::Await);
    }
    let mut gone: BTreeSet<String> = recorded(&fence);
    if !fenced {
        gone.extend(fence.spec.cidrs.iter().cloned());
    }
    // Networks that were taken off the list are not left fenced for ever.
    let gone: Vec<String> = gone.difference(&wanted).cloned().collect();
    let wanted: Vec<String> = wanted.into_iter().collect();
    let mut outcome = Ok(());
    if !gone.is_empty() {
        outcome = driver.fence(&gone, false).await;
    }
    if outcome.is_ok() && fenced {
        outcome = driver.fence(&wanted, true).await;
    }
    if outcome.is_ok() {
        let annotations = [(FENCED_NETWORKS, Some(record.as_str()))];
        let marks = Marks { add_finalizers: &[NETWORK_FENCE_FINALIZER], annotations: &annotations, ..Marks::default() };
        let Some(fence) = marks.set(&api, fence).await? else { return Ok(Next::Await) };
        return report(cluster, fence, Ok(())).await;
    }
    report(cluster, fence, outcome.map_err(|error| error.message)).await
}

fn record(generation: i64, networks: &BTreeSet<String>) -> String {
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    format!("{generation},{}", networks.join(","))
}

fn recorded(fence: &NetworkFence) -> BTreeSet<String> {
    let record = annotation(fence, FENCED_NETWORKS).unwrap_or_default();
    record.split(',').skip(1).filter(|network| !network.is_empty()).map(str::to_owned).collect()
}

async fn driver_of(cluster: &Cluster, fence: &NetworkFence) -> Result<Result<String, String>, PassError> {
    let class = &fence.spec.network_fence_class_name;
    if class.is_empty() {
        let named = Some(fence.spec.driver.clone()).filter(|driver| !driver.is_empty());
        return Ok(named.ok_or_else(|| "neither a class nor a driver is named".to_owned()));
    }
    let found = fetch(&cluster.all::<NetworkFenceClass>(), class).await?;
    Ok(found.map(|class| class.spec.provisioner).ok_or_else(|| format!("NetworkFenceClass {class} not found")))
}

async fn report(cluster: &Cluster, mut fence: NetworkFence, outcome: Result<(), String>) -> Result<Next, PassError> {
    let next = if outcome.is_ok() { Next::Await } else { Next::After(RETRY) };
    let status = match outcome {
        Ok(()) => NetworkFenceStatus {
            result: "Succeeded".to_owned(),
            message: "the storage has done it".to_owned(),
            conditions: Vec::new(),
        },
        Err(message) => NetworkFenceStatus { result: "Failed".to_owned(), message, conditions: Vec::new() },
    };
    if fence.status.as_ref() != Some(&status) {
        fence.status = Some(status);
        let name = fence.metadata.name.clone().unwrap_or_default();
        let written = cluster.all::<NetworkFence>().replace_status(&name, &PostParams::default(), &fence).await;
        unless_gone(written).doing(|| format!("writing the status of NetworkFence {name}"))?;
    }
    Ok(next)
}
