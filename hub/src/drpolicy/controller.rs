//! Observing and acting for a DRPolicy.

use std::collections::BTreeMap;
use std::sync::Arc;

use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::{DRPlacementControl, DRPolicy};
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::Change;
use kaedama_shared::harness::controller::{Controller, Next};
use kaedama_shared::names;
use kaedama_shared::seen::Seen;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::caches::Caches;
use crate::configuration::Configuration;
use crate::drcluster::controller::{cluster_id, report};
use crate::drpc::act::FIELD_MANAGER;
use crate::error::PassError;

use super::decide::{Action, Member, Snapshot, decide};

/// What a pass needs.
#[derive(Clone)]
pub struct Context {
    /// Client of the hub, for writing.
    pub client: Client,
    /// Everything that is read.
    pub caches: Caches,
    /// Settings.
    pub configuration: Configuration,
    /// Where the time comes from.
    pub clock: Clock,
}

/// The controller with its triggers.
pub fn controller(caches: &Caches) -> Controller<ObjectKey> {
    let keys = |names: Vec<String>| names.into_iter().map(ObjectKey::cluster).collect::<Vec<_>>();
    let (drclusters, managed, works, all) = (caches.clone(), caches.clone(), caches.clone(), caches.clone());
    let overlapping = caches.clone();
    Controller::new("drpolicy")
        .primary(&caches.policies)
        // A policy that conflicts with another is looked at again when that one changes.
        .watches(&caches.policies, move |change: &Change<DRPolicy>| {
            let unchanged = matches!((&change.before, &change.after), (Some(before), Seen::Present(after))
                if before.spec == after.spec && before.status.as_ref().map(|s| &s.sync) == after.status.as_ref().map(|s| &s.sync));
            let clusters = change.latest().filter(|_| !unchanged).map(|policy| policy.spec.dr_clusters.clone());
            let names: Vec<String> =
                clusters.iter().flatten().flat_map(|cluster| overlapping.policies_of_cluster(cluster)).collect();
            keys(names.into_iter().filter(|name| *name != change.key.name).collect())
        })
        .watches(&caches.drclusters, move |change| keys(drclusters.policies_of_cluster(&change.key.name)))
        .watches(&caches.managed_clusters, move |change| keys(managed.policies_of_cluster(&change.key.name)))
        .watches(&caches.works, move |change: &Change<ManifestWork>| {
            if change.key.name == names::DRCLUSTERCONFIG_WORK {
                keys(works.policies_of_cluster(change.key.namespace()))
            } else {
                Vec::new()
            }
        })
        .watches(&caches.drpcs, |change: &Change<DRPlacementControl>| {
            // A policy that is being deleted waits for its last user.
            let gone = change.is_deletion().then(|| change.latest()).flatten();
            gone.and_then(|drpc| drpc.spec.dr_policy_ref.name.clone()).map(ObjectKey::cluster)
        })
        .watches(&caches.config_maps, move |_| {
            all.policies.list().iter().map(|policy| ObjectKey::of(policy.as_ref())).collect::<Vec<_>>()
        })
}

/// One pass.
pub async fn pass(context: Context, key: ObjectKey) -> Result<Next, PassError> {
    let Some(policy) = context.caches.policies.get(&key) else {
        return Ok(Next::Await);
    };
    let snapshot = observe(&context, &policy);
    let plan = decide(&snapshot);
    let api: Api<DRPolicy> = Api::all(context.client.clone());
    if let Some(action) = plan.action {
        let mut finalizers = policy.metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != names::DRPOLICY_FINALIZER);
        if action == Action::Claim {
            finalizers.push(names::DRPOLICY_FINALIZER.to_owned());
        }
        let patch = json!({ "metadata": {
            "resourceVersion": policy.metadata.resource_version,
            "finalizers": finalizers,
            "labels": { names::BACKUP: names::BACKUP_VALUE },
        }});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        let written = api.patch(&key.name, &params, &Patch::Merge(&patch)).await;
        let written = written.map_err(PassError::api(|| format!("write DRPolicy {key}")))?;
        if action == Action::Release {
            return Ok(Next::Await);
        }
        context.caches.policies.note_written(written);
    }
    if policy.status.as_ref() != Some(&plan.status) {
        let written = crate::status_write::write(&api, policy.as_ref(), &plan.status).await;
        let written = written.map_err(PassError::api(|| format!("write the status of DRPolicy {key}")))?;
        context.caches.policies.note_written(written);
    }
    Ok(if plan.retry { Next::BackOff } else { Next::Await })
}

fn observe(context: &Context, policy: &DRPolicy) -> Snapshot {
    let caches = &context.caches;
    let name = policy.metadata.name.clone().unwrap_or_default();
    let member = |cluster: &String| Member {
        name: cluster.clone(),
        drcluster: caches
            .drclusters
            .seen(&ObjectKey::cluster(cluster.clone()))
            .map(|drcluster| drcluster.as_ref().clone()),
        cluster_id: cluster_id(caches, cluster),
        report: {
            let key = ObjectKey::namespaced(cluster.clone(), names::DRCLUSTERCONFIG_WORK);
            report(&caches.works.seen(&key).map(|work| work.as_ref().clone()))
        },
    };
    let managed = caches.managed_clusters.list();
    let by_id = managed.iter().filter_map(|cluster| {
        let id = cluster.claim(kaedama_shared::api::ocm::cluster::ID_CLAIM)?;
        Some((id.to_owned(), cluster.metadata.name.clone()?))
    });
    let users = caches.drpcs.seen_all().map(|drpcs| {
        let uses = |drpc: &&Arc<DRPlacementControl>| drpc.spec.dr_policy_ref.name.as_deref() == Some(&name);
        drpcs.iter().filter(uses).map(|drpc| ObjectKey::of(drpc.as_ref()).to_string()).collect()
    });
    let others = caches.policies.filter(|other| other.metadata.uid != policy.metadata.uid);
    Snapshot {
        now: context.clock.now(),
        policy: policy.clone(),
        config: context.configuration.settings().map(drop),
        clusters: policy.spec.dr_clusters.iter().map(member).collect(),
        others: others.iter().map(|other| other.as_ref().clone()).collect(),
        cluster_names: by_id.collect::<BTreeMap<_, _>>(),
        users,
    }
}
