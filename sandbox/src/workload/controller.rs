//! One pass of a Deployment: whether it is an application, what it needs to run, and what its status says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentCondition, DeploymentStatus},
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::VolumeAttachment,
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
    array::{Event, What},
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
    /// Which volumes an application was found to have.
    volumes: Mutex<BTreeMap<ObjectKey, BTreeSet<VolumeHandle>>>,
}

impl Context {
    fn remember(&self, key: &ObjectKey, found: &Found) {
        let handles = found.values().map(|(_, handle)| handle.clone()).collect();
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), handles);
    }

    fn forget(&self, key: &ObjectKey) {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Whether an event of one volume is none of an application's business: it was found to have others. One whose
    /// volumes are not known yet is looked at for any.
    fn is_of_others(&self, key: &ObjectKey, volume: Option<&VolumeHandle>) -> bool {
        let volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = volumes.get(key).zip(volume);
        known.is_some_and(|(known, volume)| !known.contains(volume))
    }
}

/// Runs the applications of one cluster until `stop` is cancelled or the future is dropped: then they stop at once.
pub async fn run(cluster: Cluster, driver: Driver, ledger: Ledger, workload: Settings, stop: CancellationToken) {
    let events = driver.fabric().subscribe();
    let deployments: Cache<Deployment> = cluster.cache("deployments");
    let claims: Cache<PersistentVolumeClaim> = cluster.cache("persistentvolumeclaims of applications");
    let app_pods: Cache<Pod> = cluster.cache("pods of applications");
    let attachments: Cache<VolumeAttachment> = cluster.cache("volumeattachments of applications");
    let (changed, mut changes) = unbounded_channel();
    let writers = Writers::new(cluster.clone(), driver.clone(), ledger, changed);
    let name = format!("application {}", cluster.name);
    let context = Arc::new(Context { cluster, driver, settings: workload, writers, volumes: Mutex::default() });

    let told = {
        let (deployments, context) = (deployments.clone(), context.clone());
        news(events).filter(|news| std::future::ready(matters(news))).flat_map(move |news| {
            let volume = match &news {
                // It is gone, and was a volume.
                News::Event(Event { unit, what: What::Deleted { .. }, .. }) => Some(unit.as_str().into()),
                News::Event(event) => context.driver.volume(&event.unit),
                News::Everything => None,
            };
            let apps =
                deployments.filter(|app| is_app(app) && !context.is_of_others(&ObjectKey::of(app), volume.as_ref()));
            stream::iter(apps.iter().map(|app| ObjectKey::of(&**app)).collect::<Vec<_>>())
        })
    };
    let of_claim = {
        let deployments = deployments.clone();
        move |change: &Change<PersistentVolumeClaim>| {
            let using = deployments.within(change.key.namespace(), |app| claims_of(app).contains(&change.key.name));
            using.iter().map(|app| ObjectKey::of(&**app)).collect::<Vec<_>>()
        }
    };
    // A cluster that died while an application ended has them still: they are taken away as by whoever attaches volumes.
    let of_gone = {
        let deployments = deployments.clone();
        move |change: &Change<VolumeAttachment>| {
            let app = pods::owner(change.latest()?)?;
            deployments.get(&app).is_none().then_some(app)
        }
    };
    let controller = Controller::new(name)
        .settings(settings())
        .watches(&deployments, |change| is_new(change, deployment_facts).then(|| change.key.clone()))
        .watches(&claims, move |change| if is_new(change, claim_facts) { of_claim(change) } else { Vec::new() })
        .watches(&app_pods, |change| {
            if !is_new(change, pod_facts) {
                return None;
            }
            let pod = change.latest()?;
            let app = pod.metadata.labels.as_ref()?.get(APP_LABEL)?;
            Some(ObjectKey::namespaced(change.key.namespace(), app.clone()))
        })
        .watches(&attachments, of_gone)
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

/// Whether what a pass goes by is another than before. Most changes are the passes' own statuses, and marks on claims.
fn is_new<K, F: PartialEq>(change: &Change<K>, facts: impl Fn(&K) -> F) -> bool {
    let (Some(before), Some(after)) = (&change.before, change.after.present()) else { return true };
    facts(before) != facts(after)
}

fn deployment_facts(deployment: &Deployment) -> impl PartialEq + use<> {
    let meta = &deployment.metadata;
    let status = deployment.status.clone().map(|status| (status.observed_generation, status.ready_replicas));
    (meta.uid.clone(), meta.generation, meta.labels.clone(), meta.annotations.clone(), is_deleting(deployment), status)
}

fn claim_facts(claim: &PersistentVolumeClaim) -> impl PartialEq + use<> {
    let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    (claim.metadata.uid.clone(), phase, volume, is_deleting(claim))
}

fn pod_facts(pod: &Pod) -> impl PartialEq + use<> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
    (pod.metadata.uid.clone(), pod.metadata.labels.clone(), phase, is_deleting(pod))
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
        context.forget(&key);
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
        Ok(found) => {
            context.remember(&key, &found);
            start(&context, &deployment, found).await?
        }
        Err(why) => {
            context.forget(&key);
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
