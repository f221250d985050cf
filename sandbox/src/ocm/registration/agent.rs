//! The registration agent of one cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use kaedama_shared::api::condition::{Condition, ConditionStatus, is_true, set};
use kaedama_shared::api::ocm::cluster::{
    CLUSTER_AVAILABLE, CLUSTER_LEASE, CLUSTER_SET_LABEL, Claim, ClusterClaimSpec, ClusterVersion,
    DEFAULT_LEASE_SECONDS, HUB_ACCEPTED, ID_CLAIM, JOINED, ManagedClusterSpec, ManagedClusterStatus, NAME_CLAIM,
    PRODUCT_CLAIM,
};
use kaedama_shared::api::ocm::{ClusterClaim, ManagedCluster};
use kaedama_shared::clock::Clock;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;

use super::super::runtime::{
    Attempt, Error, Guarded, ObjectKey, Pass, Queue, Store, follow, is_conflict, is_not_found, is_silence, serve,
};
use super::{age, renewed};

/// Claims that are copied whatever their number.
const RESERVED: [&str; 4] =
    [ID_CLAIM, "kubeversion.open-cluster-management.io", "platform.open-cluster-management.io", PRODUCT_CLAIM];
/// Most other claims that are copied, by name.
const MAX_CUSTOM_CLAIMS: usize = 20;
/// Label of a claim that stays on its cluster.
const SPOKE_ONLY: &str = "open-cluster-management.io/spoke-only";

/// How a registration agent behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where times in objects come from.
    pub clock: Clock,
    /// Seconds between two renewals of the lease, written into a ManagedCluster that the agent makes.
    pub lease_seconds: i32,
    /// Labels of a ManagedCluster that the agent makes, beside `name` and the cluster set `default`.
    pub labels: BTreeMap<String, String>,
    /// Claims to make on the cluster where they are missing, beside `id.k8s.io`, `name` and the product.
    pub claims: BTreeMap<String, String>,
    /// Value of the product claim.
    pub product: String,
    /// A ManagedCluster that the agent makes is accepted at once, as by an administrator.
    pub accepted: bool,
}

impl Options {
    /// OCM's defaults, with this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            lease_seconds: DEFAULT_LEASE_SECONDS,
            labels: BTreeMap::new(),
            claims: BTreeMap::new(),
            product: "Other".into(),
            accepted: true,
        }
    }
}

/// Joins the cluster to the hub and keeps it joined until the future is dropped.
pub async fn run(hub: Client, spoke: Client, cluster: &str, options: Options) {
    let agent = Agent {
        clusters: Store::new(),
        claims: Store::new(),
        queue: Queue::new(),
        cluster: cluster.to_owned(),
        options,
        hub,
        spoke,
    };
    let own = Config::default().fields(&format!("metadata.name={cluster}"));
    let clusters: Api<Guarded<ManagedCluster>> = Api::all(agent.hub.clone());
    let claims: Api<Guarded<ClusterClaim>> = Api::all(agent.spoke.clone());
    tokio::join!(
        follow(clusters, own, &agent.clusters, |_| agent.queue.add(Task::Status)),
        follow(claims, Config::default(), &agent.claims, |_| agent.queue.add(Task::Status)),
        async {
            agent.clusters.ready().await;
            agent.claims.ready().await;
            agent.queue.add(Task::Claims);
            agent.queue.add(Task::Status);
            serve("registration-agent", &agent.queue, |task| agent.pass(task)).await;
        },
    );
}

/// What the agent has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// Make the cluster's claims.
    Claims,
    /// Renew the lease.
    Lease,
    /// Report the cluster.
    Status,
}

impl std::fmt::Display for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, out)
    }
}

struct Agent {
    hub: Client,
    spoke: Client,
    cluster: String,
    options: Options,
    clusters: Store<ManagedCluster>,
    claims: Store<ClusterClaim>,
    queue: Queue<Task>,
}

impl Agent {
    async fn pass(&self, task: Task) -> Result<Pass, Error> {
        if task == Task::Claims {
            return self.make_claims().await;
        }
        let Some(cluster) = self.clusters.get(&ObjectKey::new("", &self.cluster)) else {
            self.create().await?;
            return Ok(Pass::Done);
        };
        if cluster.metadata.deletion_timestamp.is_some() || !is_true(cluster.conditions(), HUB_ACCEPTED) {
            // The next change of the ManagedCluster brings the agent back here.
            return Ok(Pass::Done);
        }
        if task == Task::Lease { self.renew(&cluster).await } else { self.report(&cluster).await }
    }

    async fn create(&self) -> Result<(), Error> {
        let spec = ManagedClusterSpec {
            hub_accepts_client: self.options.accepted,
            lease_duration_seconds: Some(self.options.lease_seconds),
            ..ManagedClusterSpec::default()
        };
        let mut new = ManagedCluster::new(&self.cluster, spec);
        let mut labels = BTreeMap::from([
            ("name".to_owned(), self.cluster.clone()),
            (CLUSTER_SET_LABEL.to_owned(), "default".to_owned()),
        ]);
        labels.extend(self.options.labels.clone());
        new.metadata.labels = Some(labels);
        let api: Api<ManagedCluster> = Api::all(self.hub.clone());
        match api.create(&PostParams::default(), &new).await {
            Err(error) if is_conflict(&error) => Ok(()),
            created => created.map(|_| ()).attempt(|| format!("joining cluster {}", self.cluster)),
        }
    }

    /// Makes the claims that are missing on the cluster; those that exist are somebody's decision.
    async fn make_claims(&self) -> Result<Pass, Error> {
        let namespaces: Api<Namespace> = Api::all(self.spoke.clone());
        let system = namespaces.get_opt("kube-system").await.attempt(|| "reading namespace kube-system".into())?;
        let mut wanted = BTreeMap::from([
            (NAME_CLAIM.to_owned(), self.cluster.clone()),
            (PRODUCT_CLAIM.to_owned(), self.options.product.clone()),
        ]);
        wanted.extend(self.options.claims.clone());
        let id = system.and_then(|system| system.metadata.uid);
        let complete = id.is_some() || wanted.contains_key(ID_CLAIM);
        if let Some(id) = id {
            wanted.entry(ID_CLAIM.to_owned()).or_insert(id);
        }
        let api: Api<ClusterClaim> = Api::all(self.spoke.clone());
        for (name, value) in wanted {
            if self.claims.get(&ObjectKey::new("", &name)).is_some() {
                continue;
            }
            let claim = ClusterClaim::new(&name, ClusterClaimSpec { value });
            match api.create(&PostParams::default(), &claim).await {
                Err(error) if is_conflict(&error) => {}
                created => created.map(|_| ()).attempt(|| format!("making claim {name}"))?,
            }
        }
        Ok(if complete { Pass::Done } else { Pass::Pending })
    }

    /// Whether the cluster's API server is healthy; an error where it does not answer at all.
    async fn healthy(&self) -> Result<Result<String, String>, Error> {
        match self.spoke.apiserver_version().await {
            Ok(version) => Ok(Ok(version.git_version)),
            Err(source) if is_silence(&source) => {
                Err(Error::Request { doing: "asking the cluster's API server for its version".into(), source })
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    async fn renew(&self, cluster: &ManagedCluster) -> Result<Pass, Error> {
        // A dead cluster has no living agent.
        self.healthy().await?.ok();
        let seconds = cluster.lease_seconds();
        let api: Api<Lease> = Api::namespaced(self.hub.clone(), &self.cluster);
        let spec = LeaseSpec {
            holder_identity: Some(CLUSTER_LEASE.into()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(self.options.clock.micro_time()),
            ..LeaseSpec::default()
        };
        let change = json!({"spec": spec});
        let doing = || format!("renewing the lease of cluster {}", self.cluster);
        match api.patch(CLUSTER_LEASE, &PatchParams::default(), &Patch::Merge(&change)).await {
            Err(error) if is_not_found(&error) => {
                let mut lease = Lease { spec: Some(spec), ..Lease::default() };
                lease.metadata.name = Some(CLUSTER_LEASE.into());
                api.create(&PostParams::default(), &lease).await.attempt(doing)?;
            }
            renewed => renewed.map(|_| ()).attempt(doing)?,
        }
        Ok(Pass::Again(Duration::from_secs(u64::from(seconds.unsigned_abs()))))
    }

    async fn report(&self, cluster: &ManagedCluster) -> Result<Pass, Error> {
        let healthy = self.healthy().await?;
        let leases: Api<Lease> = Api::namespaced(self.hub.clone(), &self.cluster);
        let lease = leases.get_opt(CLUSTER_LEASE).await;
        let lease = lease.attempt(|| format!("reading the lease of cluster {}", self.cluster))?;
        let now = self.options.clock.now();
        let period = Duration::from_secs(u64::from(cluster.lease_seconds().unsigned_abs()));
        let left = lease.as_ref().and_then(renewed).and_then(|at| period.checked_sub(age(at, now)));
        if left.is_none() {
            // Renewed before reporting: otherwise the hub would judge the old lease again.
            self.renew(cluster).await?;
        }
        self.queue.add_after(Task::Lease, left.unwrap_or(period));
        let before = cluster.status.clone().unwrap_or_default();
        let mut status = before.clone();
        let now = self.options.clock.now_seconds();
        let joined = Condition::new(JOINED, ConditionStatus::True, "ManagedClusterJoined", "the cluster has joined", 0);
        set(&mut status.conditions, joined, now);
        let available = match &healthy {
            Ok(version) => {
                status.version = Some(ClusterVersion { kubernetes: version.clone() });
                let message = "the cluster's API server is healthy";
                Condition::new(CLUSTER_AVAILABLE, ConditionStatus::True, "ManagedClusterAvailable", message, 0)
            }
            Err(why) => {
                let reason = "ManagedClusterKubeAPIServerUnavailable";
                Condition::new(CLUSTER_AVAILABLE, ConditionStatus::False, reason, why.clone(), 0)
            }
        };
        set(&mut status.conditions, available, now);
        status.cluster_claims = self.copied_claims();
        if status != before {
            self.write(cluster, &status).await?;
        }
        // The agent's own check of its API server; while it is healthy the lease's renewal does as well.
        Ok(if healthy.is_ok() { Pass::Done } else { Pass::Again(Duration::from_secs(60)) })
    }

    async fn write(&self, cluster: &ManagedCluster, status: &ManagedClusterStatus) -> Result<(), Error> {
        let change = json!({
            "metadata": {"resourceVersion": cluster.metadata.resource_version},
            "status": {
                "conditions": status.conditions,
                "clusterClaims": status.cluster_claims,
                "version": status.version,
            },
        });
        let api: Api<ManagedCluster> = Api::all(self.hub.clone());
        let written = api.patch_status(&self.cluster, &PatchParams::default(), &Patch::Merge(&change)).await;
        written.map(|_| ()).attempt(|| format!("reporting cluster {}", self.cluster))
    }

    fn copied_claims(&self) -> Vec<Claim> {
        let all = self.claims.all();
        let shared = |claim: &&std::sync::Arc<ClusterClaim>| {
            !claim.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(SPOKE_ONLY))
        };
        let claims = all.iter().filter(shared).map(|claim| Claim {
            name: claim.metadata.name.clone().unwrap_or_default(),
            value: claim.spec.value.clone(),
        });
        let (mut copied, custom): (Vec<Claim>, Vec<Claim>) =
            claims.partition(|claim| RESERVED.contains(&claim.name.as_str()));
        copied.extend(custom.into_iter().take(MAX_CUSTOM_CLAIMS));
        copied
    }
}
