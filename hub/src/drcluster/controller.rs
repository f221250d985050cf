//! Observing and acting for a DRCluster.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc::UnboundedReceiver;

use kaedama_shared::api::ocm::{ManagedCluster, ManagedClusterAddOn, ManifestWork, cluster as cluster_types};
use kaedama_shared::api::{self, DRCluster, condition};
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::Change;
use kaedama_shared::harness::controller::{Controller, Next};
use kaedama_shared::names;
use kaedama_shared::report::{CLUSTER_REPORT_PATH, ClusterReport, FEEDBACK_REPORT};
use kaedama_shared::seen::Seen;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::caches::Caches;
use crate::configuration::Configuration;
use crate::drpc::act::FIELD_MANAGER;
use crate::error::PassError;
use crate::{status_write, unlabelled, works};

use super::decide::{Action, Plan, decide, undelivered};
use super::manifests;
use super::snapshot::Snapshot;
use super::stores::{StoreChecks, due_after};

/// Name of VolSync's add-on.
const VOLSYNC_ADD_ON: &str = "volsync";

/// What a pass needs.
#[derive(Clone)]
pub struct Context {
    /// Client of the hub, for writing.
    pub client: Client,
    /// Everything that is read.
    pub caches: Caches,
    /// Settings and stores.
    pub configuration: Configuration,
    /// Where the time comes from.
    pub clock: Clock,
    /// What the clusters' stores answered.
    pub stores: StoreChecks,
    /// Clusters whose VolSync add-on was seen to.
    pub add_ons: Arc<Mutex<BTreeSet<String>>>,
}

/// The controller with its triggers.
pub fn controller(caches: &Caches, answered: UnboundedReceiver<ObjectKey>) -> Controller<ObjectKey> {
    let (all, all_of_secrets) = (caches.clone(), caches.clone());
    let list = |caches: &Caches| {
        caches.drclusters.list().iter().map(|drcluster| ObjectKey::of(drcluster.as_ref())).collect::<Vec<_>>()
    };
    Controller::new("drcluster")
        .primary(&caches.drclusters)
        .watches(&caches.policies, move |change| {
            let clusters = |policy: &Arc<api::DRPolicy>| policy.spec.dr_clusters.clone();
            let unchanged = matches!((&change.before, &change.after), (Some(before), Seen::Present(after))
                if before.spec == after.spec && before.metadata.deletion_timestamp == after.metadata.deletion_timestamp);
            let latest = change.latest().filter(|_| !unchanged).map(clusters).unwrap_or_default();
            latest.into_iter().map(ObjectKey::cluster).collect::<Vec<_>>()
        })
        .watches(&caches.works, |change: &Change<ManifestWork>| {
            let work = change.latest()?;
            let ours = [names::DRCLUSTER_WORK, names::DRCLUSTERCONFIG_WORK];
            let ours = work.metadata.name.as_deref().is_some_and(|name| ours.contains(&name));
            ours.then(|| ObjectKey::cluster(work.metadata.namespace.clone().unwrap_or_default()))
        })
        .watches(&caches.managed_clusters, |change: &Change<ManagedCluster>| {
            let facts = |cluster: &ManagedCluster| {
                let joined = condition::is_true(cluster.conditions(), cluster_types::JOINED);
                (joined, cluster.claim(cluster_types::ID_CLAIM).map(str::to_owned))
            };
            let unchanged = matches!((&change.before, &change.after), (Some(before), Seen::Present(after))
                if facts(before) == facts(after));
            (!unchanged).then(|| ObjectKey::cluster(change.key.name.clone()))
        })
        .keys(answered)
        .watches(&caches.config_maps, move |_| list(&all))
        .watches(&caches.secrets, move |_| list(&all_of_secrets))
}

/// One pass.
pub async fn pass(context: Context, key: ObjectKey) -> Result<Next, PassError> {
    let Some(drcluster) = context.caches.drclusters.get(&key) else {
        return Ok(Next::Await);
    };
    let snapshot = observe(&context, &drcluster);
    let mut plan = decide(&snapshot);
    for action in &plan.actions {
        match act(&context, &snapshot, action).await {
            Ok(()) => {}
            // Decided on an older version: another look.
            Err(error) if error.is_conflict() => return Ok(Next::BackOff),
            // What could be found out is shown all the same, the fence above all.
            Err(error) => {
                undelivered(&snapshot, &mut plan.status, error.to_string());
                write_status(&context, &drcluster, &plan).await?;
                return Err(error);
            }
        }
    }
    if plan.actions.contains(&Action::Release) {
        return Ok(Next::Await);
    }
    write_status(&context, &drcluster, &plan).await?;
    Ok(match (plan.retry, due_after(&key.name, &snapshot.store)) {
        (true, _) => Next::BackOff,
        (false, Some(after)) => Next::After(after),
        (false, None) => Next::Await,
    })
}

fn observe(context: &Context, drcluster: &DRCluster) -> Snapshot {
    let caches = &context.caches;
    let name = drcluster.metadata.name.clone().unwrap_or_default();
    let policies = caches.policies.filter(|policy| policy.spec.dr_clusters.contains(&name));
    let alive = policies.iter().filter(|policy| policy.metadata.deletion_timestamp.is_none());
    let schedules: BTreeSet<String> = alive
        .clone()
        .map(|policy| policy.spec.scheduling_interval.clone())
        .filter(|interval| !interval.is_empty())
        .collect();
    let settings = context.configuration.settings();
    let automatic = settings
        .as_ref()
        .is_ok_and(|config| config.dr_cluster_operator.deployment_automation_enabled && !config.vol_sync.disabled);
    let add_on_due = automatic && !context.add_ons.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
    let bundle = settings.and_then(|config| {
        manifests::bundle(&config, context.configuration.namespace()).map_err(|error| error.to_string())
    });
    let work =
        |work: &str| caches.works.seen(&ObjectKey::namespaced(name.clone(), work)).map(|work| work.as_ref().clone());
    let config_work = work(names::DRCLUSTERCONFIG_WORK);
    Snapshot {
        now: context.clock.now(),
        drcluster: drcluster.clone(),
        bundle,
        cluster_id: cluster_id(caches, &name),
        policies: policies.iter().filter_map(|policy| policy.metadata.name.clone()).collect(),
        schedules: schedules.into_iter().collect(),
        store: context.stores.look(&context.configuration, drcluster),
        add_on_due,
        operator_work: work(names::DRCLUSTER_WORK),
        report: report(&config_work),
        config_work,
    }
}

/// The identity of a managed cluster that has joined.
pub fn cluster_id(caches: &Caches, cluster: &str) -> Result<String, String> {
    let managed = match caches.managed_clusters.seen(&ObjectKey::cluster(cluster)) {
        Seen::Present(managed) => managed,
        Seen::Absent => {
            return Err(format!("there is no ManagedCluster {cluster}; import the cluster, or correct the name"));
        }
        Seen::Unknown(why) => return Err(why),
    };
    if !condition::is_true(managed.conditions(), cluster_types::JOINED) {
        return Err(format!("ManagedCluster {cluster} has not joined"));
    }
    managed.claim(cluster_types::ID_CLAIM).map(str::to_owned).ok_or_else(|| {
        format!(
            "ManagedCluster {cluster} has no claim {}: create a ClusterClaim of that name on the cluster, with a value of \
             its own",
            cluster_types::ID_CLAIM
        )
    })
}

/// What a cluster reported through the work of its DRClusterConfig.
pub fn report(config_work: &Seen<ManifestWork>) -> Seen<ClusterReport> {
    let work = match config_work {
        Seen::Present(work) => work,
        Seen::Absent => return Seen::Absent,
        Seen::Unknown(why) => return Seen::Unknown(why.clone()),
    };
    let text = work
        .manifest_status(0)
        .filter(|manifest| manifest.is_available())
        .and_then(|manifest| manifest.value(FEEDBACK_REPORT))
        .and_then(|value| value.string.as_deref());
    match text.map(ClusterReport::decode) {
        Some(Ok(report)) => Seen::Present(report),
        Some(Err(error)) => Seen::Unknown(error.to_string()),
        None => Seen::Unknown("the cluster's operator has not reported its storage classes yet".to_owned()),
    }
}

async fn act(context: &Context, s: &Snapshot, action: &Action) -> Result<(), PassError> {
    let cluster = s.drcluster.metadata.name.clone().unwrap_or_default();
    let drclusters: Api<DRCluster> = Api::all(context.client.clone());
    let works: Api<ManifestWork> = Api::namespaced(context.client.clone(), &cluster);
    match action {
        Action::Claim => {
            let mut finalizers = s.drcluster.metadata.finalizers.clone().unwrap_or_default();
            if !finalizers.iter().any(|finalizer| finalizer == names::DRCLUSTER_FINALIZER) {
                finalizers.push(names::DRCLUSTER_FINALIZER.to_owned());
            }
            let patch = json!({ "metadata": {
                "resourceVersion": s.drcluster.metadata.resource_version,
                "finalizers": finalizers,
                "labels": { names::BACKUP: names::BACKUP_VALUE },
            }});
            let written = drclusters.patch(&cluster, &params(), &Patch::Merge(&patch)).await;
            let written = written.map_err(PassError::api(|| format!("claim DRCluster {cluster}")))?;
            context.caches.drclusters.note_written(written);
        }
        Action::WriteWork { name, manifests, feedback } => {
            let written = write_work(&context.client, &works, s, name, manifests, *feedback).await;
            let written = written.map_err(PassError::api(|| format!("write ManifestWork {cluster}/{name}")))?;
            context.caches.works.note_written(written);
        }
        Action::DeleteWork { name, uid } => {
            let preconditions = Some(Preconditions { uid: Some(uid.clone()), ..Default::default() });
            match works.delete(name, &DeleteParams { preconditions, ..Default::default() }).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => {
                    answer.map_err(PassError::api(|| format!("delete ManifestWork {cluster}/{name}")))?;
                }
            }
        }
        Action::EnsureAddOn => {
            let add_ons: Api<ManagedClusterAddOn> = Api::namespaced(context.client.clone(), &cluster);
            let mut add_on = ManagedClusterAddOn::default();
            add_on.metadata.name = Some(VOLSYNC_ADD_ON.to_owned());
            add_on.metadata.namespace = Some(cluster.clone());
            let post = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
            match add_ons.create(&post, &add_on).await {
                // There already, or this hub has no add-ons.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                // A cluster without the add-on can be used all the same. It is tried again when something changes.
                Err(error) => {
                    tracing::warn!(cluster, %error, "cannot create ManagedClusterAddOn {VOLSYNC_ADD_ON}");
                    return Ok(());
                }
                Ok(_) => {}
            }
            context.add_ons.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster);
        }
        Action::Release => {
            let mut finalizers = s.drcluster.metadata.finalizers.clone().unwrap_or_default();
            finalizers.retain(|finalizer| finalizer != names::DRCLUSTER_FINALIZER);
            let patch = json!({ "metadata": {
                "resourceVersion": s.drcluster.metadata.resource_version, "finalizers": finalizers,
            }});
            let released = drclusters.patch(&cluster, &params(), &Patch::Merge(&patch)).await;
            released.map_err(PassError::api(|| format!("release DRCluster {cluster}")))?;
        }
    }
    Ok(())
}

async fn write_work(
    client: &Client,
    works: &Api<ManifestWork>,
    s: &Snapshot,
    name: &'static str,
    manifests: &[Value],
    with_feedback: bool,
) -> Result<ManifestWork, kube::Error> {
    let cluster = s.drcluster.metadata.name.as_deref().unwrap_or_default();
    let existing = if name == names::DRCLUSTER_WORK { &s.operator_work } else { &s.config_work };
    let mut work = existing.present().cloned().unwrap_or_else(|| ManifestWork {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(cluster.to_owned()),
            labels: Some([(names::CREATED_BY.to_owned(), "true".to_owned())].into()),
            annotations: Some([(names::DRCLUSTER_NAME.to_owned(), cluster.to_owned())].into()),
            ..Default::default()
        },
        ..Default::default()
    });
    work.status = None;
    work.spec.workload.manifests = manifests.to_vec();
    if name == names::DRCLUSTER_WORK {
        work.spec.delete_option = manifests::left_behind(manifests);
    }
    if with_feedback {
        let resource = "drclusterconfigs".to_owned();
        work.spec.manifest_configs =
            vec![works::reported(api::GROUP, resource, cluster.to_owned(), CLUSTER_REPORT_PATH)];
    }
    let post = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    match existing {
        Seen::Present(_) => works.replace(name, &post, &work).await,
        Seen::Absent | Seen::Unknown(_) => {
            let written = works.create(&post, &work).await;
            if unlabelled::is_taken(&written) {
                unlabelled::label_work(client, cluster, &work).await?;
            }
            written
        }
    }
}

async fn write_status(context: &Context, drcluster: &DRCluster, plan: &Plan) -> Result<(), PassError> {
    if drcluster.status.as_ref() == Some(&plan.status) {
        return Ok(());
    }
    let name = drcluster.metadata.name.as_deref().unwrap_or_default();
    let written = status_write::write(&Api::all(context.client.clone()), drcluster, &plan.status).await;
    let written = written.map_err(PassError::api(|| format!("write the status of DRCluster {name}")))?;
    context.caches.drclusters.note_written(written);
    Ok(())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() }
}
