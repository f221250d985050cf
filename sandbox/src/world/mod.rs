//! A whole disaster-recovery world: a hub, managed clusters, stores, storage arrays, and everything that runs on them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`World`] | the handle: start, look, break and mend |
//! | [`options`] | what a world is made of |
//! | [`ground`] | what it stands on: clusters of this process, or given ones |
//! | `install` | what a platform team would install: definitions, namespaces, configuration, classes |
//! | `machine` | what runs on one machine and stops when it is switched off |
//! | [`app`] | applications: their manifests, and how one is put under protection |
//! | [`look`] | waiting for, and reading, what the world has come to |
//!
//! The operators in it are the real ones; Open Cluster Management, storage and applications are the sandbox's, and
//! speak to the clusters through clients only.

pub mod app;
pub mod ground;
mod install;
pub mod look;
mod machine;
pub mod options;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaedama_apiserver::ApiServer;
use kaedama_shared::clock::Clock;
use kube::Client;
use tokio_util::task::AbortOnDropHandle;

use crate::network::{self, Link};
use crate::s3::{S3Network, S3Server, S3ServerOptions};
use crate::storage::array::{ArrayId, LinkSettings};
use crate::storage::fabric::StorageFabric;
use crate::workload::Ledger;
use crate::workload::pod::Logs;
use ground::{Given, Ground, HUB, StoreAccess};
use machine::Machine;
pub use options::{Options, Replication};

/// Namespace of the operators, on the hub and on the managed clusters.
pub const OPERATOR_NAMESPACE: &str = "ramen-system";
/// The provisioner of the sandbox's storage.
pub const DRIVER: &str = "sandbox.storage.kaedama.dev";
/// The storage class that applications use.
pub const STORAGE_CLASS: &str = "sandbox-block";

/// The most that anything may take. The world's time: in simulation it passes at once.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a world could not be made, or a wish could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// An API server refused.
    #[error("cannot {what}: {source}")]
    Api {
        /// What was attempted.
        what: String,
        /// The answer.
        #[source]
        source: kube::Error,
    },
    /// It did not come to be in time.
    #[error("{what} did not happen within {seconds} s; {state}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// How things stand instead.
        state: String,
    },
    /// There is no cluster of this name.
    #[error("there is no cluster {0} in this world")]
    NoCluster(String),
    /// Whoever owns the clusters could not do it.
    #[error("cannot {what}: {why}")]
    Ground {
        /// What was attempted.
        what: String,
        /// Why not.
        why: String,
    },
}

/// How many events of a resource an API server keeps. A watch that is opened again resumes from one that is seconds old;
/// ten thousand of them, which is what the server keeps by itself, take gigabytes where a hundred applications move.
const HISTORY: usize = 1_000;

/// One managed cluster.
#[derive(Clone)]
struct Site {
    /// Its API server; what is stored there survives a power cut.
    server: ApiServer,
    /// The whole cluster is up.
    power: Link,
    /// The connection between the cluster and the hub.
    wan: Link,
    /// The cluster's way to the stores.
    s3: S3Network,
}

/// A world that runs. Clones are handles on the same; everything in it ends with the last of them.
#[derive(Clone)]
pub struct World {
    options: Options,
    hub: ApiServer,
    hub_s3: S3Network,
    sites: BTreeMap<String, Site>,
    /// What runs on each cluster that is switched on, the hub among them.
    machines: Arc<Mutex<BTreeMap<String, Machine>>>,
    stores: BTreeMap<String, S3Server>,
    fabric: StorageFabric,
    ledger: Ledger,
    /// What pods have told, where applications are pods.
    logs: Logs,
    _storage: Arc<AbortOnDropHandle<()>>,
}

impl World {
    /// Starts a world: clusters joined, policy valid, no application yet.
    pub async fn start(options: Options) -> Result<Self, WorldError> {
        let clock = options.clock;
        let fabric = StorageFabric::new(clock);
        fabric.set_latency(options.storage_latency);
        let storage = {
            let fabric = fabric.clone();
            Arc::new(AbortOnDropHandle::new(tokio::spawn(async move { fabric.run().await })))
        };
        let mut stores = BTreeMap::new();
        let embedded = matches!(options.ground, Ground::Embedded);
        for cluster in options.clusters.iter().filter(|_| embedded) {
            stores.insert(profile(cluster), S3Server::new(S3ServerOptions::new(bucket(cluster), clock)));
        }
        let network = || {
            let network = S3Network::new();
            for cluster in &options.clusters {
                if let Some(store) = stores.get(&profile(cluster)) {
                    network.add(store_host(cluster), store);
                }
            }
            network
        };
        let server = |name: &str| ApiServer::builder(name).clock(move || clock.now()).watch_history(HISTORY).build();
        let world = World {
            hub: server("hub"),
            hub_s3: network(),
            machines: Arc::default(),
            sites: options
                .clusters
                .iter()
                .map(|name| {
                    let site = Site {
                        server: server(name),
                        power: Link::new(name),
                        wan: Link::new(&format!("the hub from {name}")),
                        s3: network(),
                    };
                    (name.clone(), site)
                })
                .collect(),
            stores,
            ledger: Ledger::new(fabric.clone()),
            logs: Logs::default(),
            fabric,
            options,
            _storage: storage,
        };
        if let Some(given) = world.given() {
            for cluster in [HUB].into_iter().chain(world.options.clusters.iter().map(String::as_str)) {
                given.client(cluster, "kaedama-sandbox")?;
            }
        }
        world.wire_storage();
        install::hub(&world).await?;
        for name in world.options.clusters.clone() {
            install::cluster(&world, &name).await?;
            world.boot(&name);
        }
        world.boot(HUB);
        if let Some(given) = world.given() {
            for cluster in world.options.clusters.iter().map(String::as_str).chain([HUB]) {
                given.start_operator(cluster)?;
            }
        }
        install::policy(&world).await?;
        Ok(world)
    }

    fn may_break(&self, what: &str) -> Result<(), WorldError> {
        self.given().map_or(Ok(()), |given| given.may_break(what))
    }

    fn wire_storage(&self) {
        let clusters = &self.options.clusters;
        match self.options.replication {
            Replication::Regional { .. } => {
                for cluster in clusters {
                    self.fabric.add_array(&array(cluster));
                    self.fabric.attach(cluster, DRIVER, &array(cluster));
                }
                for (at, one) in clusters.iter().enumerate() {
                    for other in clusters.iter().skip(at + 1) {
                        self.fabric.link(&array(one), &array(other), LinkSettings::default());
                    }
                }
            }
            // One storage system, stretched over both sites.
            Replication::Metro => {
                let shared: ArrayId = "metro".into();
                self.fabric.add_array(&shared);
                for cluster in clusters {
                    self.fabric.attach(cluster, DRIVER, &shared);
                }
            }
        }
    }

    /// What the world was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The world's time.
    pub fn clock(&self) -> Clock {
        self.options.clock
    }

    /// The managed clusters, in the policy's order.
    pub fn clusters(&self) -> &[String] {
        &self.options.clusters
    }

    /// The hub's API server in this process. On a given ground nobody uses it: see [`World::hub`].
    pub fn hub_server(&self) -> &ApiServer {
        &self.hub
    }

    /// A cluster's API server in this process; on a given ground as [`World::hub_server`].
    pub fn server(&self, cluster: &str) -> Result<&ApiServer, WorldError> {
        self.site(cluster).map(|site| &site.server)
    }

    /// A client of the hub.
    pub fn hub(&self) -> Client {
        self.hub_client("kaedama-sandbox")
    }

    /// A client of a cluster; it fails while the cluster is down.
    pub fn cluster(&self, cluster: &str) -> Result<Client, WorldError> {
        self.site(cluster)?;
        Ok(self.own_client(cluster, "kaedama-sandbox"))
    }

    /// Who owns the clusters, where they are not of this process.
    fn given(&self) -> Option<&dyn Given> {
        match &self.options.ground {
            Ground::Embedded => None,
            Ground::Given(given) => Some(given.as_ref()),
        }
    }

    /// The longest that anything may take, in the world's time.
    pub fn patience(&self) -> Duration {
        self.given().map_or(PATIENCE, Given::patience)
    }

    fn hub_client(&self, agent: &str) -> Client {
        // A given ground has clients of all clusters of the world: looked at when the world starts.
        let given = self.given().and_then(|given| given.client(HUB, agent).ok());
        given.unwrap_or_else(|| self.hub.client(agent))
    }

    /// A client of a cluster, through the cluster's power.
    fn own_client(&self, cluster: &str, agent: &str) -> Client {
        let Ok(site) = self.site(cluster) else { return self.hub.client(agent) };
        let power = std::slice::from_ref(&site.power);
        match self.given().and_then(|given| given.client(cluster, agent).ok()) {
            Some(client) => network::over(&client, power),
            None => network::client(&site.server, agent, power),
        }
    }

    /// A client of the hub as a cluster has it.
    fn client_to_hub(&self, cluster: &str, agent: &str) -> Client {
        let Ok(site) = self.site(cluster) else { return self.hub.client(agent) };
        let links = [site.power.clone(), site.wan.clone()];
        match self.given().and_then(|given| given.client(HUB, agent).ok()) {
            Some(client) => network::over(&client, &links),
            None => network::client(&self.hub, agent, &links),
        }
    }

    /// How the operators reach the store of a cluster.
    pub fn store_access(&self, cluster: &str) -> Result<StoreAccess, WorldError> {
        if let Some(given) = self.given() {
            return given.store(cluster);
        }
        let keys = S3ServerOptions::new("", self.options.clock);
        Ok(StoreAccess {
            endpoint: format!("http://{}", store_host(cluster)),
            region: "sandbox".to_owned(),
            bucket: bucket(cluster),
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key,
            ca_certificates: String::new(),
        })
    }

    /// The keys in the store of a cluster, whether it is reachable or not.
    pub fn stored_keys(&self, cluster: &str) -> Vec<String> {
        match self.given() {
            Some(given) => given.keys(cluster),
            None => self.store(cluster).map(|store| store.keys(&bucket(cluster))).unwrap_or_default(),
        }
    }

    /// What is stored under a key in the store of a cluster, whether it is reachable or not.
    pub fn stored_object(&self, cluster: &str, key: &str) -> Option<Vec<u8>> {
        match self.given() {
            Some(given) => given.object(cluster, key),
            None => self.store(cluster).and_then(|store| store.object(&bucket(cluster), key)),
        }
    }

    /// The storage of all clusters.
    pub fn fabric(&self) -> &StorageFabric {
        &self.fabric
    }

    /// What the applications have written, kept outside of the world: it survives every disaster.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The store of a cluster in this process. None on a given ground.
    pub fn store(&self, cluster: &str) -> Option<&S3Server> {
        self.stores.get(&profile(cluster))
    }

    fn site(&self, cluster: &str) -> Result<&Site, WorldError> {
        self.sites.get(cluster).ok_or_else(|| WorldError::NoCluster(cluster.to_owned()))
    }

    fn machines(&self) -> MutexGuard<'_, BTreeMap<String, Machine>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn boot(&self, cluster: &str) {
        let machine = if cluster == HUB { Machine::hub(self) } else { Machine::cluster(self, cluster) };
        self.machines().insert(cluster.to_owned(), machine);
    }

    /// Destroys a cluster, at once: nothing on it runs or answers any more, its storage and its store are gone from
    /// the network. What its disks hold is kept, for [`World::revive`].
    pub fn kill(&self, cluster: &str) -> Result<(), WorldError> {
        self.may_break(cluster)?;
        self.site(cluster)?.power.set_up(false);
        self.machines().remove(cluster);
        if matches!(self.options.replication, Replication::Regional { .. }) {
            self.fabric.set_alive(&array(cluster), false);
        }
        match self.given() {
            Some(given) => given.set_power(cluster, false)?,
            None => self.set_store_down(cluster, true),
        }
        Ok(())
    }

    /// Brings a killed cluster back as it was when it died, with everything on it starting again.
    pub fn revive(&self, cluster: &str) -> Result<(), WorldError> {
        let site = self.site(cluster)?;
        if matches!(self.options.replication, Replication::Regional { .. }) {
            self.fabric.set_alive(&array(cluster), true);
        }
        match self.given() {
            Some(given) => given.set_power(cluster, true)?,
            None => self.set_store_down(cluster, false),
        }
        site.power.set_up(true);
        self.boot(cluster);
        Ok(())
    }

    /// Cuts or mends the connection between a cluster and the hub.
    pub fn set_link(&self, cluster: &str, up: bool) -> Result<(), WorldError> {
        self.may_break(&format!("the link of {cluster}"))?;
        self.site(cluster)?.wan.set_up(up);
        self.given().map_or(Ok(()), |given| given.set_link(cluster, up))
    }

    /// Brings everything back that was broken here: clusters, links, stores, the storage.
    pub fn mend(&self) -> Result<(), WorldError> {
        self.fabric.clear_faults();
        for (at, one) in self.clusters().iter().enumerate() {
            for other in self.clusters().iter().skip(at + 1) {
                self.set_replication_link(one, other, true);
            }
        }
        // What belongs to somebody else was not broken.
        if self.may_break("clusters").is_err() {
            return Ok(());
        }
        for cluster in self.clusters() {
            let site = self.site(cluster)?;
            if !site.power.is_up() {
                self.revive(cluster)?;
            }
            self.set_link(cluster, true)?;
            self.set_store_down(cluster, false);
        }
        Ok(())
    }

    /// Cuts or mends the replication link between two clusters' storage.
    pub fn set_replication_link(&self, one: &str, other: &str, up: bool) {
        self.fabric.set_link(&array(one), &array(other), up);
    }

    /// Takes a cluster's store off the network, or puts it back.
    pub fn set_store_down(&self, cluster: &str, down: bool) {
        if let Err(error) = self.may_break(&format!("the store of {cluster}")) {
            tracing::error!(%error, "the store is not touched");
            return;
        }
        if let Some(store) = self.store(cluster) {
            store.set_down(down);
        }
        if let Some(given) = self.given()
            && let Err(error) = given.set_store(cluster, !down)
        {
            tracing::error!(cluster, down, %error, "the store does not do as it is told");
        }
    }

    /// Stops the hub operator and starts it again: what it knew is gone.
    pub fn restart_hub(&self) {
        if let Err(error) = self.may_break("the hub operator") {
            tracing::error!(%error, "the hub operator is not restarted");
            return;
        }
        self.machines().remove(HUB);
        self.boot(HUB);
        if let Some(given) = self.given()
            && let Err(error) = given.kill_operator(HUB).and_then(|()| given.start_operator(HUB))
        {
            tracing::error!(%error, "the hub operator does not start again");
        }
    }
}

/// Name of a cluster's S3 profile.
pub fn profile(cluster: &str) -> String {
    format!("s3-{cluster}")
}

/// Name of the bucket in a cluster's store.
pub fn bucket(cluster: &str) -> String {
    format!("kaedama-{cluster}")
}

fn store_host(cluster: &str) -> String {
    format!("s3.{cluster}")
}

/// The storage array of a cluster.
pub fn array(cluster: &str) -> ArrayId {
    format!("array-{cluster}").as_str().into()
}
