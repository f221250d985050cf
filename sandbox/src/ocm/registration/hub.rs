//! The hub's part of registration: accepts clusters, gives each its namespace, judges leases, sets taints, and keeps
//! the built-in cluster sets.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kaedama_shared::api::condition::{Condition, ConditionStatus, find, set};
use kaedama_shared::api::ocm::cluster::{
    CLUSTER_AVAILABLE, CLUSTER_LEASE, CLUSTER_SET_LABEL, ClusterSelector, HUB_ACCEPTED, JOINED, LEASE_GRACE_FACTOR,
    ManagedClusterSetSpec, TAINT_UNAVAILABLE, TAINT_UNREACHABLE, Taint,
};
use kaedama_shared::api::ocm::{ManagedCluster, ManagedClusterSet};
use kaedama_shared::clock::Clock;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;

use super::super::runtime::{
    Attempt, Change, Error, Guarded, ObjectKey, Pass, Queue, Store, follow, is_conflict, serve,
};
use super::{age, renewed, write_conditions};

/// Accepts and judges clusters until the future is dropped. Runs on the hub.
pub async fn run(hub: Client, clock: Clock) {
    let controller =
        Controller { clusters: Store::new(), leases: Store::new(), queue: Queue::new(), hub: hub.clone(), clock };
    let clusters: Api<Guarded<ManagedCluster>> = Api::all(hub.clone());
    let leases: Api<Guarded<Lease>> = Api::all(hub);
    let named = Config::default().fields(&format!("metadata.name={CLUSTER_LEASE}"));
    tokio::join!(
        follow(clusters, Config::default(), &controller.clusters, |change: Change<'_, ManagedCluster>| {
            controller.queue.add(Task::Cluster(ObjectKey::of(change.object()).name));
        }),
        follow(leases, named, &controller.leases, |change: Change<'_, Lease>| controller.lease_changed(&change)),
        async {
            controller.clusters.ready().await;
            controller.leases.ready().await;
            controller.queue.add(Task::Sets);
            serve("registration", &controller.queue, |task| controller.pass(task)).await;
        },
    );
}

/// What the controller has to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// The built-in cluster sets.
    Sets,
    /// A cluster.
    Cluster(String),
}

impl std::fmt::Display for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sets => out.write_str("cluster sets"),
            Self::Cluster(name) => out.write_str(name),
        }
    }
}

struct Controller {
    hub: Client,
    clock: Clock,
    clusters: Store<ManagedCluster>,
    leases: Store<Lease>,
    queue: Queue<Task>,
}

impl Controller {
    fn clusters_api(&self) -> Api<ManagedCluster> {
        Api::all(self.hub.clone())
    }

    /// A renewal only moves the moment at which the lease will be too old, and that moment is looked at anyway: a
    /// cluster is judged then, not at every renewal.
    fn lease_changed(&self, change: &Change<'_, Lease>) {
        let name = ObjectKey::of(change.object()).namespace;
        let Some(cluster) = self.clusters.get(&ObjectKey::new("", &name)) else { return };
        let known = find(cluster.conditions(), CLUSTER_AVAILABLE).map(|condition| &condition.status);
        if matches!(change, Change::Gone(_)) || matches!(known, None | Some(ConditionStatus::Unknown)) {
            self.queue.add(Task::Cluster(name));
        }
    }

    async fn pass(&self, task: Task) -> Result<Pass, Error> {
        match task {
            Task::Sets => self.make_sets().await,
            Task::Cluster(name) => match self.clusters.get(&ObjectKey::new("", &name)) {
                Some(cluster) if cluster.metadata.deletion_timestamp.is_none() => self.judge(&cluster, &name).await,
                _ => Ok(Pass::Done),
            },
        }
    }

    async fn make_sets(&self) -> Result<Pass, Error> {
        let exclusive = ClusterSelector { selector_type: "ExclusiveClusterSetLabel".into(), label_selector: None };
        let everything =
            ClusterSelector { selector_type: "LabelSelector".into(), label_selector: Some(LabelSelector::default()) };
        let api: Api<ManagedClusterSet> = Api::all(self.hub.clone());
        for (name, selector) in [("default", exclusive), ("global", everything)] {
            let new = ManagedClusterSet::new(name, ManagedClusterSetSpec { cluster_selector: Some(selector) });
            match api.create(&PostParams::default(), &new).await {
                Err(error) if is_conflict(&error) => {}
                created => created.map(|_| ()).attempt(|| format!("making cluster set {name}"))?,
            }
        }
        Ok(Pass::Done)
    }

    async fn judge(&self, cluster: &ManagedCluster, name: &str) -> Result<Pass, Error> {
        let now = self.clock.now_seconds();
        let mut conditions = cluster.conditions().to_vec();
        if !cluster.spec.hub_accepts_client {
            let denied = Condition::new(
                HUB_ACCEPTED,
                ConditionStatus::False,
                "HubClusterAdminDenied",
                "the cluster is not accepted",
                0,
            );
            // Only a cluster that was accepted before is told that it is not any more.
            if find(&conditions, HUB_ACCEPTED).is_some() && set(&mut conditions, denied, now) {
                write_conditions(&self.hub, cluster, &conditions).await?;
            }
            return Ok(Pass::Done);
        }
        if self.default_set(cluster, name).await? {
            return Ok(Pass::Done);
        }
        self.make_namespace(name).await?;
        let lease = self.lease(cluster, name).await?;
        let accepted = Condition::new(
            HUB_ACCEPTED,
            ConditionStatus::True,
            "HubClusterAdminAccepted",
            "the cluster is accepted",
            0,
        );
        let mut changed = set(&mut conditions, accepted, now);
        let grace = u64::from(cluster.lease_seconds().unsigned_abs()) * u64::from(LEASE_GRACE_FACTOR.unsigned_abs());
        let grace = Duration::from_secs(grace);
        let old = renewed(&lease).map_or(grace, |at| age(at, self.clock.now()));
        let joined = find(&conditions, JOINED).is_some();
        if joined && old >= grace {
            let message = "the cluster's agent has stopped renewing its lease";
            let unknown = Condition::new(
                CLUSTER_AVAILABLE,
                ConditionStatus::Unknown,
                "ManagedClusterLeaseUpdateStopped",
                message,
                0,
            );
            if set(&mut conditions, unknown, now) {
                tracing::info!(cluster = name, "cluster is not heard of any more");
                changed = true;
            }
        }
        if changed {
            write_conditions(&self.hub, cluster, &conditions).await?;
            // The write comes back as a change of the cluster.
            return Ok(Pass::Done);
        }
        if joined {
            self.taint(cluster, name).await?;
        }
        Ok(match grace.checked_sub(old) {
            Some(left) if !left.is_zero() => Pass::Again(left),
            _ => Pass::Done,
        })
    }

    /// A cluster without a set belongs to the set `default`. Tells whether it was put there just now.
    async fn default_set(&self, cluster: &ManagedCluster, name: &str) -> Result<bool, Error> {
        if cluster.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(CLUSTER_SET_LABEL)) {
            return Ok(false);
        }
        let change = json!({"metadata": {"labels": {CLUSTER_SET_LABEL: "default"}}});
        let labelled = self.clusters_api().patch(name, &PatchParams::default(), &Patch::Merge(&change)).await;
        labelled.map(|_| true).attempt(|| format!("putting cluster {name} into the default set"))
    }

    async fn make_namespace(&self, name: &str) -> Result<(), Error> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let label = "cluster.open-cluster-management.io/managedCluster".to_owned();
        namespace.metadata.labels = Some(BTreeMap::from([(label, name.to_owned())]));
        if self.leases.get(&ObjectKey::new(name, CLUSTER_LEASE)).is_some() {
            return Ok(());
        }
        let api: Api<Namespace> = Api::all(self.hub.clone());
        match api.create(&PostParams::default(), &namespace).await {
            Err(error) if is_conflict(&error) => Ok(()),
            created => created.map(|_| ()).attempt(|| format!("making the namespace of cluster {name}")),
        }
    }

    /// The lease of a cluster. The hub makes it, so that a cluster that is never heard of gets old, too.
    async fn lease(&self, cluster: &ManagedCluster, name: &str) -> Result<Lease, Error> {
        if let Some(lease) = self.leases.get(&ObjectKey::new(name, CLUSTER_LEASE)) {
            return Ok(lease.as_ref().clone());
        }
        let api: Api<Lease> = Api::namespaced(self.hub.clone(), name);
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(CLUSTER_LEASE.into()),
                lease_duration_seconds: Some(cluster.lease_seconds()),
                renew_time: Some(self.clock.micro_time()),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        lease.metadata.name = Some(CLUSTER_LEASE.into());
        let doing = || format!("making the lease of cluster {name}");
        match api.create(&PostParams::default(), &lease).await {
            Err(error) if is_conflict(&error) => api.get(CLUSTER_LEASE).await.attempt(doing),
            created => created.attempt(doing),
        }
    }

    /// Sets the taints that follow from the cluster's availability, and leaves others alone.
    async fn taint(&self, cluster: &ManagedCluster, name: &str) -> Result<(), Error> {
        let state = find(cluster.conditions(), CLUSTER_AVAILABLE).map(|condition| condition.status.clone());
        let key = match state {
            Some(ConditionStatus::True) => None,
            Some(ConditionStatus::False) => Some(TAINT_UNAVAILABLE),
            _ => Some(TAINT_UNREACHABLE),
        };
        let ours = |taint: &Taint| taint.key == TAINT_UNAVAILABLE || taint.key == TAINT_UNREACHABLE;
        let mut taints: Vec<Taint> = cluster
            .spec
            .taints
            .iter()
            .filter(|taint| !ours(taint) || Some(taint.key.as_str()) == key)
            .cloned()
            .collect();
        if let Some(key) = key
            && !taints.iter().any(|taint| taint.key == key)
        {
            taints.push(Taint {
                key: key.into(),
                effect: "NoSelect".into(),
                time_added: Some(self.clock.time()),
                ..Taint::default()
            });
        }
        if taints == cluster.spec.taints {
            return Ok(());
        }
        let change =
            json!({"metadata": {"resourceVersion": cluster.metadata.resource_version}, "spec": {"taints": taints}});
        let written = self.clusters_api().patch(name, &PatchParams::default(), &Patch::Merge(&change)).await;
        written.map(|_| ()).attempt(|| format!("setting the taints of cluster {name}"))
    }
}
