//! What runs on one machine, and stops at once when the machine is switched off.

use std::future::Future;

use kaedama_shared::harness::client::{Clients, user_agent};
use kaedama_shared::harness::metrics::HarnessMetrics;
use kaedama_shared::s3::{HttpConnector, S3Options};
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::app::Writers;
use super::{DRIVER, OPERATOR_NAMESPACE, Replication, Site, World};
use crate::storage::{binder, fence, volume_replication};
use crate::{ocm, storage, workload};

/// The tasks of one machine.
pub(super) struct Machine {
    tasks: Vec<AbortOnDropHandle<()>>,
    stop: CancellationToken,
}

impl Drop for Machine {
    /// As a power cut: nothing gets to say goodbye. Tasks that the tasks spawned end by their token.
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.clear();
    }
}

impl Machine {
    fn new() -> Self {
        Machine { tasks: Vec::new(), stop: CancellationToken::new() }
    }

    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// An operator that ends (a lost lease, an unreachable API server) is started again, as a pod is.
    fn keep<F, E>(
        &mut self,
        name: &'static str,
        runtime: Option<&Handle>,
        start: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send,
        E: std::fmt::Display + Send,
    {
        let stop = self.stop.clone();
        let task = async move {
            while !stop.is_cancelled() {
                if let Err(error) = start(stop.child_token()).await {
                    tracing::warn!(operator = name, %error, "the operator ended; it is started again");
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        };
        let task = match runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        };
        self.tasks.push(AbortOnDropHandle::new(task));
    }

    /// The hub: Open Cluster Management's controllers, GitOps, and the hub operator.
    pub(super) fn hub(world: &World) -> Self {
        let mut machine = Machine::new();
        let clock = world.options.clock;
        let client = |agent: &str| world.hub_client(agent);
        let there = world.given().map(super::ground::Given::parts);
        if there.is_none_or(|parts| !parts.registration) {
            machine.run(ocm::registration::hub::run(client("ocm-registration"), clock));
        }
        if there.is_none_or(|parts| !parts.placement) {
            machine.run(ocm::placement::run(client("ocm-placement"), clock));
        }
        machine.run(ocm::gitops::run(client("gitops"), ocm::gitops::Options::default()));
        if there.is_some() {
            // Its owner starts the operator, as a process of its own.
            return machine;
        }
        let requests = client("kaedama-hub");
        let s3 = S3Options::new(clock).with_http(HttpConnector::Given(world.hub_s3.http_client()));
        machine.keep("kaedama-hub", world.options.runtimes.hub.as_ref(), move |stop| {
            let options = kaedama_hub::operator::Options {
                clients: Clients::from_client(&requests, &user_agent("kaedama-hub")),
                namespace: OPERATOR_NAMESPACE.to_owned(),
                identity: "kaedama-hub-0".to_owned(),
                clock,
                s3: s3.clone(),
                metrics: HarnessMetrics::register(&mut Registry::default()),
                health: None,
            };
            kaedama_hub::operator::run(options, stop)
        });
        machine
    }

    /// A managed cluster: Open Cluster Management's agents, storage, applications, and the spoke operator.
    pub(super) fn cluster(world: &World, name: &str) -> Self {
        let mut machine = Machine::new();
        let Ok(Site { s3, .. }) = world.site(name) else { return machine };
        let clock = world.options.clock;
        let there = world.given().map(super::ground::Given::parts);
        let own = |agent: &str| world.own_client(name, agent);
        let hub = |agent: &str| world.client_to_hub(name, agent);
        let registration = {
            let mut options = ocm::registration::agent::Options::new(clock);
            options.lease_seconds = world.options.lease_seconds;
            options
        };
        let named = |task: &str| (hub(task), own(task), name.to_owned());
        if there.is_none_or(|parts| !parts.registration) {
            let (to_hub, to_own, cluster) = named("ocm-registration-agent");
            machine.run(async move { ocm::registration::agent::run(to_hub, to_own, &cluster, registration).await });
        }
        if there.is_none_or(|parts| !parts.work_agents) {
            let (to_hub, to_own, cluster) = named("ocm-work-agent");
            let options = ocm::work_agent::Options::new(clock);
            machine.run(async move { ocm::work_agent::run(to_hub, to_own, &cluster, options).await });
        }
        if there.is_none_or(|parts| !parts.views) {
            let (to_hub, to_own, cluster) = named("ocm-view-agent");
            let options = ocm::view_agent::Options::new(clock);
            machine.run(async move { ocm::view_agent::run(to_hub, to_own, &cluster, options).await });
        }

        match world.options.writers {
            Writers::Simulated => machine.storage(world, name),
            Writers::Pods(_) => {
                let cluster = storage::Cluster::new(name, own("pod-logs"), clock);
                machine.run(workload::pod::follow(cluster, world.logs.clone(), machine.stop.clone()));
            }
        }
        if there.is_some() {
            return machine;
        }

        let options = kaedama_spoke::operator::SpokeOptions {
            client: own("kaedama-spoke"),
            clock,
            s3: HttpConnector::Given(s3.http_client()),
            s3_ca_bundle: Vec::new(),
            namespace: OPERATOR_NAMESPACE.to_owned(),
            instance: format!("kaedama-spoke-{name}"),
            identity: format!("kaedama-spoke-{name}"),
            leader_election: world.options.leader_election,
            endpoints: None,
        };
        let runtime = world.options.runtimes.spoke.as_ref();
        machine.keep("kaedama-spoke", runtime, move |stop| kaedama_spoke::operator::run(options.clone(), stop));
        machine
    }

    /// The sandbox's storage and applications.
    fn storage(&mut self, world: &World, name: &str) {
        let (clock, there) = (world.options.clock, world.given().map(super::ground::Given::parts));
        let kit = |agent: &str| storage::Cluster::new(name, world.own_client(name, agent), clock);
        let driver = || world.fabric.driver(name, DRIVER);
        let stop = self.stop.clone();
        let binding = match there {
            Some(parts) if parts.binder => binder::Settings::provisioner_only(),
            Some(parts) => binder::Settings { protect: !parts.protection, ..binder::Settings::default() },
            None => binder::Settings::default(),
        };
        self.run(binder::run(kit("pv-binder"), driver(), binding, stop.clone()));
        if matches!(world.options.replication, Replication::Regional { .. }) {
            let timing = volume_replication::Timing::default();
            self.run(volume_replication::run(kit("csi-addons"), driver(), timing, stop.clone()));
        }
        // It answers for fences that name no driver too, which on clusters of others may be somebody's.
        if world.may_break("networks").is_ok() {
            self.run(fence::run(kit("csi-addons-fence"), driver(), stop.clone()));
        }
        self.run(workload::run(kit("workloads"), driver(), world.ledger.clone(), workload::Settings::default(), stop));
    }
}
