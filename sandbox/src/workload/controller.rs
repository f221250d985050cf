//! One pass of a Deployment: whether it is an application, what it needs to run, and what its status says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentCondition, DeploymentStatus},
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
};
use kaedama_shared::harness::{
    ObjectKey,
    cache::{Cache, Change},
    controller::{Controller, Next},
};
use kube::api::PostParams;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use super::{
    APP_LABEL, Ledger, Location, RATE, RECORD_BYTES, WRITER, pods,
    writer::{Plan, Writers},
};
use crate::storage::{
    Cluster, Driver, VolumeHandle,
    array::What,
    kit::{Doing, News, PassError, annotation, fetch, is_deleting, news, settings, unless_gone},
};

/// How applications run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Show attached volumes as VolumeAttachments, as an attaching CSI driver does.
    pub attachments: bool,
    /// An application that cannot start looks again after this long, unless something happens before.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { attachments: true, retry: Duration::from_secs(10) }
    }
}

struct Context {
    cluster: Cluster,
    driver: Driver,
    settings: Settings,
    writers: Writers,
}

/// Runs the applications of one cluster until `stop` is cancelled or the future is dropped: then they stop at once.
pub async fn run(cluster: Cluster, driver: Driver, ledger: Ledger, workload: Settings, stop: CancellationToken) {
    let events = driver.fabric().subscribe();
    let deployments: Cache<Deployment> = cluster.cache("deployments");
    let claims: Cache<PersistentVolumeClaim> = cluster.cache("persistentvolumeclaims of applications");
    let app_pods: Cache<Pod> = cluster.cache("pods of applications");
    let (changed, mut changes) = unbounded_channel();
    let writers = Writers::new(cluster.clone(), driver.clone(), ledger, changed);
    let name = format!("application {}", cluster.name);
    let context = Arc::new(Context { cluster, driver, settings: workload, writers });

    let told = {
        let deployments = deployments.clone();
        news(events).filter(|news| std::future::ready(matters(news))).flat_map(move |_| {
            let apps = deployments.filter(is_app);
            stream::iter(apps.iter().map(|app| ObjectKey::of(&**app)).collect::<Vec<_>>())
        })
    };
    let of_claim = {
        let deployments = deployments.clone();
        move |change: &Change<PersistentVolumeClaim>| {
            let using = deployments.filter(|app| {
                app.metadata.namespace == change.key.namespace && claims_of(app).contains(&change.key.name)
            });
            using.iter().map(|app| ObjectKey::of(&**app)).collect::<Vec<_>>()
        }
    };
    let controller = Controller::new(name)
        .settings(settings())
        .primary(&deployments)
        .watches(&claims, of_claim)
        .watches(&app_pods, |change| {
            let pod = change.latest()?;
            let app = pod.metadata.labels.as_ref()?.get(APP_LABEL)?;
            Some(ObjectKey::namespaced(change.key.namespace(), app.clone()))
        })
        .keys(told)
        .keys(stream::poll_fn(move |cx| changes.poll_recv(cx)));
    let passes = {
        let context = context.clone();
        controller.run(stop, move |key| pass(context.clone(), key))
    };
    tokio::select! {
        () = passes => {}
        () = context.writers.run() => {}
    }
}

/// Whether a storage event may let an application start, or end what kept it from writing.
fn matters(news: &News) -> bool {
    match news {
        News::Everything => true,
        News::Event(event) => match event.what {
            What::Promoted { .. } | What::Power { .. } | What::Fence { .. } | What::Link { .. } => true,
            What::Demoted | What::Disabled | What::Deleted { .. } => true,
            What::Created | What::Enabled | What::Synced(_) | What::PeerPromoted => false,
            What::Discarded(_) | What::SplitBrain | What::Members => false,
        },
    }
}

fn is_app(deployment: &Deployment) -> bool {
    let label = deployment.metadata.labels.as_ref().and_then(|labels| labels.get(WRITER));
    label.map(String::as_str) == Some("true") || annotation(deployment, WRITER) == Some("true")
}

fn claims_of(deployment: &Deployment) -> Vec<String> {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let volumes = template.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).map(|c| c.claim_name.clone()).collect()
}

async fn pass(context: Arc<Context>, key: ObjectKey) -> Result<Next, PassError> {
    let deployment = fetch(&context.cluster.within::<Deployment>(key.namespace()), &key.name).await?;
    let Some(deployment) = deployment.filter(|deployment| is_app(deployment) && !is_deleting(deployment)) else {
        context.writers.stop(&key);
        pods::remove(&context.cluster, &key).await?;
        return Ok(Next::Await);
    };
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1).max(0);
    if replicas == 0 {
        context.writers.stop(&key);
        pods::remove(&context.cluster, &key).await?;
        write_status(&context, deployment, 0, Ok(())).await?;
        return Ok(Next::Await);
    }
    let count = usize::try_from(replicas).unwrap_or_default();
    if !context.writers.is_running(&key) {
        // Whoever looks whether a claim is in use must see the pods before the first write.
        pods::keep(&context.cluster, &deployment, count, false).await?;
    }
    let outcome = match volumes(&context, &deployment).await? {
        Ok(found) => start(&context, &deployment, found).await?,
        Err(why) => {
            context.writers.stop(&key);
            Err(why)
        }
    };
    pods::keep(&context.cluster, &deployment, count, outcome.is_ok()).await?;
    let next = if outcome.is_ok() { Next::Await } else { Next::After(context.settings.retry) };
    write_status(&context, deployment, replicas, outcome).await?;
    Ok(next)
}

/// An application's claims, each with its volume's name and handle.
type Found = BTreeMap<String, (String, VolumeHandle)>;

/// The volumes of an application, or why they cannot be mounted.
async fn volumes(context: &Context, deployment: &Deployment) -> Result<Result<Found, String>, PassError> {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let mut found = Found::new();
    for name in claims_of(deployment) {
        let Some(claim) = fetch(&context.cluster.within::<PersistentVolumeClaim>(namespace), &name).await? else {
            return Ok(Err(format!("PersistentVolumeClaim {name} not found")));
        };
        if is_deleting(&claim) && !context.writers.is_running(&ObjectKey::of(deployment)) {
            return Ok(Err(format!("PersistentVolumeClaim {name} is being deleted")));
        }
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        if phase != "Bound" {
            return Ok(Err(format!("PersistentVolumeClaim {name} is {phase}")));
        }
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
        let pv = fetch(&context.cluster.all::<PersistentVolume>(), &volume).await?;
        let csi = pv.and_then(|pv| pv.spec).and_then(|spec| spec.csi);
        let Some(csi) = csi.filter(|csi| csi.driver == context.driver.name()) else {
            return Ok(Err(format!("PersistentVolume {volume} is not of driver {}", context.driver.name())));
        };
        found.insert(name, (volume, csi.volume_handle.into()));
    }
    Ok(Ok(found))
}

/// Starts the application, or lets it go on. `Err`: why it cannot write.
async fn start(context: &Context, deployment: &Deployment, found: Found) -> Result<Result<(), String>, PassError> {
    let key = ObjectKey::of(deployment);
    if context.settings.attachments {
        // The volumes are attached before the first write, and detached after the last.
        let volumes: Vec<String> = found.values().map(|(volume, _)| volume.clone()).collect();
        pods::attach(&context.cluster, &key, context.driver.name(), &volumes).await?;
    }
    let plan = Plan {
        location: Location {
            cluster: context.cluster.name.clone(),
            driver: context.driver.name().to_owned(),
            volumes: found.into_iter().map(|(claim, (_, handle))| (claim, handle)).collect(),
        },
        period: period(deployment),
        size: annotation(deployment, RECORD_BYTES).and_then(|text| text.parse().ok()).unwrap_or(0),
    };
    if let Err(error) = context.writers.start(&key, plan) {
        return Ok(Err(error.to_string()));
    }
    Ok(context.writers.failing(&key).map_or(Ok(()), Err))
}

/// Time between records: from the annotated rate, within a millisecond and a day.
fn period(deployment: &Deployment) -> Duration {
    let rate = annotation(deployment, RATE).and_then(|text| text.parse::<f64>().ok()).filter(|rate| *rate > 0.0);
    Duration::from_secs_f64((1.0 / rate.unwrap_or(1.0)).clamp(0.001, 86_400.0))
}

async fn write_status(
    context: &Context,
    mut deployment: Deployment,
    replicas: i32,
    outcome: Result<(), String>,
) -> Result<(), PassError> {
    let before = deployment.status.clone().unwrap_or_default();
    let ready = if outcome.is_ok() { replicas } else { 0 };
    let (reason, message) = match &outcome {
        Ok(()) => ("MinimumReplicasAvailable", "the application writes".to_owned()),
        Err(why) => ("MinimumReplicasUnavailable", why.clone()),
    };
    let status = if outcome.is_ok() { "True" } else { "False" };
    let now = context.cluster.clock.time();
    let old = before.conditions.iter().flatten().find(|condition| condition.type_ == "Available");
    let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    let unchanged = old.filter(|old| old.status == status && old.message.as_deref() == Some(&message));
    let available = DeploymentCondition {
        type_: "Available".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.clone()),
        last_transition_time: since.or_else(|| Some(now.clone())),
        last_update_time: unchanged.and_then(|old| old.last_update_time.clone()).or(Some(now)),
    };
    let count = |number: i32| Some(number).filter(|number| *number > 0);
    let status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: count(replicas),
        updated_replicas: count(replicas),
        ready_replicas: count(ready),
        available_replicas: count(ready),
        unavailable_replicas: count(replicas - ready),
        conditions: Some(vec![available]),
        ..before.clone()
    };
    if status == before {
        return Ok(());
    }
    deployment.status = Some(status);
    let key = ObjectKey::of(&deployment);
    let api = context.cluster.within::<Deployment>(key.namespace());
    let written = api.replace_status(&key.name, &PostParams::default(), &deployment).await;
    unless_gone(written).doing(|| format!("writing the status of Deployment {key}"))?;
    Ok(())
}
