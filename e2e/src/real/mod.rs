//! The real parts, on loopback: Kubernetes clusters, Open Cluster Management's programs, S3 servers.
//!
//! | module | what lives there |
//! |---|---|
//! | [`programs`] | which programs there are, and where they are found |
//! | [`build`] | making them with the installed Go |
//! | [`keeper`] | the process that ends a program when the world ends |
//! | [`process`] | one program: stopped, killed, paused, started again |
//! | [`identity`] | authorities, certificates, kubeconfigs |
//! | [`cluster`], [`files`] | etcd, API server and controller manager of one cluster; what they read |
//! | [`ocm`] | Open Cluster Management's agents and controller, their definitions and rights |
//! | [`disk`] | a disk under one of them that can be full |
//! | [`s3`] | the S3 servers |
//! | [`operator`] | Kaedama's own operators as processes, with the rights of `deploy/` |
//! | [`gate`] | the agents' way to the hub, which can be cut |
//! | [`options`], [`logs`] | what a world is made of; where its logs are |
//! | [`ports`], [`ready`] | ports that nobody else takes; waiting until something serves |
//!
//! [`Real::start`] brings all of it up; whatever ends the process that called it, ends all of it.

pub mod build;
mod cluster;
mod disk;
mod error;
pub(crate) mod files;
mod gate;
mod identity;
pub mod keeper;
mod logs;
mod ocm;
pub(crate) mod operator;
mod options;
mod ports;
pub(crate) mod process;
pub mod programs;
mod ready;
mod s3;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::future::{join, try_join, try_join_all};
use kube::Client;
use tokio::time::Instant;

pub use cluster::CONTROLLERS;
pub use error::RealError;
pub use identity::Identity;
pub use logs::LOGS;
pub use ocm::definitions::Definitions;
pub use operator::Operators;
pub use options::{Options, Part, Times};
pub use process::Process;
pub use s3::S3Access;

use cluster::Cluster;
use gate::Gate;
use logs::Logs;
use ocm::definitions::{self, Side};
use ocm::{Registration, rights};
use operator::Operator;
use ports::Ports;
use process::HeldFolder;
use ready::Server;
use s3::Store;

/// Name of the hub among the clusters.
pub const HUB: &str = "hub";

/// A world of real parts. It ends when this is dropped; every program of it ends, too, however this process does.
pub struct Real {
    registration: Option<Registration>,
    placement: Option<Server>,
    agents: BTreeMap<String, Server>,
    stores: BTreeMap<String, Store>,
    operators: BTreeMap<String, Operator>,
    gates: BTreeMap<String, Gate>,
    /// Clusters without power, and whether their operator ran.
    dead: tokio::sync::Mutex<BTreeMap<String, bool>>,
    hub: Cluster,
    clusters: Vec<Cluster>,
    times: Times,
    logs: Logs,
    /// Last: removed when all programs are gone.
    data: HeldFolder,
}

impl Real {
    /// Brings the world up, its parts side by side, and waits until each serves.
    ///
    /// # Errors
    /// Each is one line that says what did not come up, where its log is, and what to do. What was started is ended.
    pub async fn start(options: Options) -> Result<Self, RealError> {
        options.programs.require(&options.needed())?;
        let began = Instant::now();
        let mut world = Self::prepare(&options).await?;
        let clusters = try_join_all(world.all().map(Cluster::start));
        let stores = try_join_all(world.stores.values().map(|store| store.server.start()));
        try_join(clusters, stores).await?;
        world.times.clusters = began.elapsed();

        let began = Instant::now();
        let definitions =
            async { if options.ocm || options.registration { world.define(&options).await } else { Ok(()) } };
        let deployed = async {
            let Some(operators) = &options.operators else { return Ok(()) };
            let kubectl = options.programs.path(programs::Program::Kubectl)?;
            try_join_all(world.all().map(|cluster| operator::deploy(cluster, kubectl, operators))).await.map(drop)
        };
        try_join(definitions, deployed).await?;
        world.times.definitions = began.elapsed();
        let began = Instant::now();
        let agents = try_join_all(world.agents.values().chain(&world.placement).map(Server::start));
        let registration = async {
            if options.registration {
                let clusters = world.clusters.iter();
                Registration::start(&world.hub, clusters, options.lease_seconds, options.patience).await.map(Some)
            } else {
                Ok(None)
            }
        };
        let (_, registration) = try_join(agents, registration).await?;
        world.registration = registration;
        world.times.agents = began.elapsed();
        world.logs.keep = world.logs.named;
        Ok(world)
    }

    /// Folders, certificates, ports, arguments: all that can be made before anything runs.
    async fn prepare(options: &Options) -> Result<Self, RealError> {
        let logs = Logs::new(options.logs.as_deref())?;
        let data = tempfile::Builder::new().prefix("kaedama-real-").tempdir();
        let data = data.map_err(RealError::io("make a temporary folder"))?;
        // From here on the keeper removes it.
        let data = HeldFolder::new(&options.keeper, data.keep()).await?;
        let mut ports = Ports::new(options.first_port)?;
        let setup = cluster::Setup {
            keeper: &options.keeper,
            programs: &options.programs,
            data: data.path(),
            logs: &logs.folder,
            fsync: options.fsync,
            compaction: options.compaction,
            controllers: &options.controllers,
            patience: options.patience,
        };
        let hub = Cluster::prepare(HUB, &setup, &mut ports)?;
        let clusters = options.clusters.iter().map(|name| Cluster::prepare(name, &setup, &mut ports));
        let clusters = clusters.collect::<Result<Vec<_>, _>>()?;
        let mut stores = BTreeMap::new();
        if options.s3 {
            for cluster in &clusters {
                let (keeper, programs) = (&options.keeper, &options.programs);
                let store = Store::prepare(cluster, keeper, programs, options.s3_tls, options.patience, &mut ports)?;
                stores.insert(cluster.name.clone(), store);
            }
        }
        let mut operators = BTreeMap::new();
        for cluster in std::iter::once(&hub).chain(&clusters) {
            if let Some(programs) = &options.operators {
                let operator = Operator::prepare(cluster, &options.keeper, programs, &mut ports)?;
                operators.insert(cluster.name.clone(), operator);
            }
        }
        let (mut agents, mut gates) = (BTreeMap::new(), BTreeMap::new());
        let mut placement = None;
        if options.ocm {
            let setup = ocm::Setup {
                keeper: &options.keeper,
                programs: &options.programs,
                patience: options.patience,
                agent_qps: options.agent_qps,
            };
            for cluster in &clusters {
                let gate = Gate::open(ports.take()?, hub.port()).await?;
                agents.insert(cluster.name.clone(), ocm::work_agent(&setup, &hub, cluster, gate.port(), &mut ports)?);
                gates.insert(cluster.name.clone(), gate);
            }
            placement = Some(ocm::placement_controller(&setup, &hub, &mut ports)?);
        }
        let times = Times::default();
        let (registration, dead) = (None, tokio::sync::Mutex::default());
        Ok(Self { registration, placement, agents, stores, operators, gates, dead, hub, clusters, times, logs, data })
    }

    /// Open Cluster Management's kinds and roles, everywhere.
    async fn define(&self, options: &Options) -> Result<(), RealError> {
        let own = options.programs.definitions();
        let (choice, patience) = (options.definitions, options.patience);
        let admin = Identity::admin();
        let on_hub = async {
            let client = self.hub.client(&admin, "kaedama-real").await?;
            definitions::install(&self.hub, &client, &definitions::of(Side::Hub, choice, own)?, patience).await?;
            rights::hub(&self.hub, &client).await?;
            try_join_all(self.clusters.iter().map(|cluster| rights::on_hub(&self.hub, &client, &cluster.name))).await
        };
        let on_clusters = try_join_all(self.clusters.iter().map(async |cluster| {
            let client = cluster.client(&admin, "kaedama-real").await?;
            definitions::install(cluster, &client, &definitions::of(Side::Spoke, choice, own)?, patience).await?;
            rights::spoke(cluster, &client).await
        }));
        try_join(on_hub, on_clusters).await.map(drop)
    }

    fn all(&self) -> impl Iterator<Item = &Cluster> {
        std::iter::once(&self.hub).chain(&self.clusters)
    }

    fn cluster(&self, name: &str) -> Result<&Cluster, RealError> {
        self.all().find(|cluster| cluster.name == name).ok_or_else(|| RealError::NoSuch {
            what: format!("cluster {name}"),
            has: self.all().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Names of the clusters, the hub first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.all().map(|cluster| cluster.name.clone()).collect()
    }

    /// Names of the managed clusters.
    #[must_use]
    pub fn managed(&self) -> Vec<String> {
        self.clusters.iter().map(|cluster| cluster.name.clone()).collect()
    }

    /// Address of a cluster's API server.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn url(&self, cluster: &str) -> Result<&str, RealError> {
        self.cluster(cluster).map(Cluster::url)
    }

    /// A kubeconfig for anyone, as YAML, with a client certificate inside. It stays valid over restarts.
    ///
    /// # Errors
    /// [`RealError::NoSuch`]; [`RealError::Groups`] for an identity in more than two groups.
    pub fn kubeconfig(&self, cluster: &str, identity: &Identity) -> Result<String, RealError> {
        self.cluster(cluster)?.kubeconfig(identity)
    }

    /// The same as a file, which only its owner may read.
    ///
    /// # Errors
    /// As [`Real::kubeconfig`]; the file cannot be written.
    pub fn write_kubeconfig(&self, cluster: &str, identity: &Identity, path: &Path) -> Result<(), RealError> {
        files::write_private(path, &self.kubeconfig(cluster, identity)?)
    }

    /// The same as configuration of a client.
    ///
    /// # Errors
    /// As [`Real::kubeconfig`].
    pub async fn config(&self, cluster: &str, identity: &Identity) -> Result<kube::Config, RealError> {
        self.cluster(cluster)?.config(identity).await
    }

    /// A client that gives up after 15 s without an answer, tries nothing twice, and is called `agent` in audit logs.
    ///
    /// # Errors
    /// As [`Real::kubeconfig`].
    pub async fn client(&self, cluster: &str, identity: &Identity, agent: &str) -> Result<Client, RealError> {
        self.cluster(cluster)?.client(identity, agent).await
    }

    /// How to reach the store of a managed cluster.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn s3(&self, cluster: &str) -> Result<&S3Access, RealError> {
        self.store(cluster).map(|store| &store.access)
    }

    fn store(&self, cluster: &str) -> Result<&Store, RealError> {
        self.stores.get(cluster).ok_or_else(|| none(Part::S3, cluster, &self.stores))
    }

    /// The audit log of a cluster: a line of JSON for each request, without bodies.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn audit_log(&self, cluster: &str) -> Result<PathBuf, RealError> {
        self.cluster(cluster).map(Cluster::audit_log)
    }

    /// The access log of a managed cluster's store: a line for each request, in the form of S3's server access logs.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn s3_access_log(&self, cluster: &str) -> Result<PathBuf, RealError> {
        self.store(cluster).map(|store| store.access_log.clone())
    }

    /// The folder of all logs: one folder for each cluster.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs.folder
    }

    /// The folder of all that the programs store, removed when the world ends.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Keeps the logs, whatever happens.
    pub fn keep_logs(&mut self) {
        self.logs.keep = true;
    }

    /// What bring-up took.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// A program, to be stopped, killed, paused and started again. For [`Part::Placement`] the cluster is [`HUB`].
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn process(&self, cluster: &str, part: Part) -> Result<&Process, RealError> {
        Ok(match part {
            Part::Etcd => &self.cluster(cluster)?.etcd,
            Part::ApiServer => &self.cluster(cluster)?.api_server,
            Part::ControllerManager => &self.cluster(cluster)?.controller_manager,
            Part::WorkAgent => &self.agent(cluster)?.process,
            Part::Placement => &self.placement_of(cluster)?.process,
            Part::S3 => &self.store(cluster)?.server.process,
            Part::Operator => &self.operator(cluster)?.process,
        })
    }

    fn agent(&self, cluster: &str) -> Result<&Server, RealError> {
        self.agents.get(cluster).ok_or_else(|| none(Part::WorkAgent, cluster, &self.agents))
    }

    fn placement_of(&self, cluster: &str) -> Result<&Server, RealError> {
        let placement = self.placement.as_ref().filter(|_| cluster == HUB);
        placement.ok_or_else(|| none(Part::Placement, cluster, &BTreeMap::<String, ()>::new()))
    }

    fn operator(&self, cluster: &str) -> Result<&Operator, RealError> {
        self.operators.get(cluster).ok_or_else(|| none(Part::Operator, cluster, &self.operators))
    }

    /// Starts the operator of a cluster, and starts it again whenever it ends.
    ///
    /// # Errors
    /// [`RealError::NoSuch`], [`RealError::Keeper`].
    pub async fn start_operator(&self, cluster: &str) -> Result<(), RealError> {
        self.operator(cluster)?.start().await
    }

    /// Kills the operator of a cluster, and starts it as another pod: one that has to wait for the lease of the dead one.
    ///
    /// # Errors
    /// There is none, or it cannot be started.
    pub async fn replace_operator(&self, cluster: &str) -> Result<(), RealError> {
        self.operator(cluster)?.replace().await
    }

    /// Kills the operator of a cluster; it is not started again.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub async fn kill_operator(&self, cluster: &str) -> Result<(), RealError> {
        self.operator(cluster)?.kill().await;
        Ok(())
    }

    /// Cuts the way of a managed cluster's work agent to the hub, open connections included, or mends it.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub fn set_link(&self, cluster: &str, up: bool) -> Result<(), RealError> {
        let gate = self.gates.get(cluster).ok_or_else(|| none(Part::WorkAgent, cluster, &self.gates))?;
        gate.set_up(up);
        Ok(())
    }

    /// Every program, with what holds it.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let agents = self.agents.values().chain(&self.placement).map(|agent| &agent.process);
        let operators = self.operators.values().map(|operator| operator.process.as_ref());
        let stores = self.stores.values().map(|store| &store.server.process);
        self.all().flat_map(Cluster::processes).chain(agents).chain(stores).chain(operators)
    }

    /// Waits until a part serves, after it was started again. The three parts of a cluster's control plane are waited
    /// for together.
    ///
    /// # Errors
    /// [`RealError::Ended`], [`RealError::NotReady`], [`RealError::NoSuch`].
    pub async fn ready(&self, cluster: &str, part: Part) -> Result<(), RealError> {
        match part {
            Part::Etcd | Part::ApiServer | Part::ControllerManager => self.cluster(cluster)?.ready().await,
            Part::WorkAgent => self.agent(cluster)?.ready().await,
            Part::Placement => self.placement_of(cluster)?.ready().await,
            Part::S3 => self.store(cluster)?.server.ready().await,
            Part::Operator => self.operator(cluster)?.process.check().await,
        }
    }

    /// Renews the certificate of a cluster's servers, as an administrator does: a new one of the same authority, and the
    /// servers are started again. Waits until they serve.
    ///
    /// # Errors
    /// As [`Real::start`].
    pub async fn renew_certificate(&self, name: &str) -> Result<(), RealError> {
        let cluster = self.cluster(name)?;
        cluster.renew()?;
        cluster.etcd.restart().await?;
        cluster.api_server.restart().await?;
        cluster.ready().await
    }

    /// Kills everything on a managed cluster at once, its store included: the site is gone. The disks stay.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub async fn kill_cluster(&self, name: &str) -> Result<(), RealError> {
        let cluster = self.cluster(name)?;
        let operator = self.operators.get(name);
        // It is not to be started again on a machine without power, and is when there is power again.
        let runs = operator.is_some_and(Operator::is_wanted);
        futures::future::join_all(operator.into_iter().map(Operator::kill)).await;
        self.dead.lock().await.insert(name.to_owned(), runs);
        let control_plane = cluster.processes();
        let agents = self.agents.get(name).map(|agent| &agent.process).into_iter();
        let stores = self.stores.get(name).map(|store| &store.server.process).into_iter();
        futures::future::join_all(control_plane.into_iter().chain(agents).chain(stores).map(Process::kill)).await;
        Ok(())
    }

    /// Starts everything on a killed cluster again, and waits until it serves.
    ///
    /// # Errors
    /// As [`Real::start`].
    pub async fn revive_cluster(&self, name: &str) -> Result<(), RealError> {
        let cluster = self.cluster(name)?;
        let stores = try_join_all(self.stores.get(name).map(|store| store.server.start()));
        let (cluster, stores) = join(cluster.start(), stores).await;
        cluster?;
        stores?;
        try_join_all(self.agents.get(name).map(Server::start)).await?;
        if self.dead.lock().await.remove(name) == Some(true) {
            self.start_operator(name).await?;
        }
        Ok(())
    }
}

fn none<T>(part: Part, cluster: &str, has: &BTreeMap<String, T>) -> RealError {
    let has = if has.is_empty() { "none".to_owned() } else { has.keys().cloned().collect::<Vec<_>>().join(", ") };
    RealError::NoSuch { what: format!("{part} of {cluster}"), has }
}

impl Drop for Real {
    /// Ends all programs, as a power cut does, and waits for them.
    fn drop(&mut self) {
        self.registration = None;
        // All are told before one is waited for.
        for operator in self.operators.values_mut() {
            operator.let_go();
        }
        for agent in self.agents.values_mut().chain(&mut self.placement) {
            agent.process.let_go();
        }
        for store in self.stores.values_mut() {
            store.server.process.let_go();
        }
        for cluster in std::iter::once(&mut self.hub).chain(&mut self.clusters) {
            cluster.let_go();
        }
    }
}
