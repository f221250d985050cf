//! Open Cluster Management on the real clusters: its own work agents and placement controller, with the rights that an
//! installation gives them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`definitions`] | the definitions of its kinds, put in place and served |
//! | [`rights`] | the roles of its programs |
//!
//! Registration is not among the programs that run: joining, leases and their judgement are done by the sandbox's
//! stand-ins, over the same API servers.

pub(super) mod definitions;
pub(super) mod rights;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use kaedama_sandbox::ocm::registration;
use kaedama_shared::api::condition::is_true;
use kaedama_shared::api::ocm::ManagedCluster;
use kaedama_shared::api::ocm::cluster::CLUSTER_AVAILABLE;
use kaedama_shared::clock::Clock;
use kube::Api;
use tokio_util::task::AbortOnDropHandle;

use super::cluster::Cluster;
use super::error::RealError;
use super::files::write_private;
use super::identity::Identity;
use super::ports::{Port, Ports};
use super::process::{Process, Start};
use super::programs::{Program, Programs};
use super::ready::{Server, Waiting, wait};

/// Namespace of the agents on a managed cluster.
pub(super) const AGENT_NAMESPACE: &str = "open-cluster-management-agent";
/// Service account of the work agent there.
pub(super) const WORK_ACCOUNT: &str = "klusterlet-work-sa";
/// Namespace of the hub's controllers.
pub(super) const HUB_NAMESPACE: &str = "open-cluster-management-hub";
/// Service account of the placement controller there.
pub(super) const PLACEMENT_ACCOUNT: &str = "placement-controller-sa";

/// Who a cluster's agents are on the hub.
pub(super) fn agent_on_hub(cluster: &str) -> Identity {
    let group = format!("system:open-cluster-management:{cluster}");
    Identity::user(format!("{group}:agent")).group(group).group("system:open-cluster-management:managed-clusters")
}

/// What every agent is started with.
pub(super) struct Setup<'a> {
    pub keeper: &'a Path,
    pub programs: &'a Programs,
    pub patience: Duration,
    /// As [`super::Options::agent_qps`].
    pub agent_qps: Option<u32>,
}

/// The work agent of a cluster, which reaches the hub by a port of its own.
pub(super) fn work_agent(
    setup: &Setup<'_>,
    hub: &Cluster,
    cluster: &Cluster,
    through: u16,
    ports: &mut Ports,
) -> Result<Server, RealError> {
    let name = &cluster.name;
    let account = Identity::service_account(AGENT_NAMESPACE, WORK_ACCOUNT);
    let own = cluster.folder().join("work-agent.kubeconfig");
    write_private(&own, &cluster.kubeconfig(&account)?)?;
    // The agent looks for further files beside the hub's kubeconfig: it has a folder of its own.
    let folder = cluster.folder().join("hub-kubeconfig");
    std::fs::create_dir_all(&folder).map_err(RealError::io(format!("make {}", folder.display())))?;
    let to_hub = folder.join("kubeconfig");
    write_private(&to_hub, &hub.kubeconfig_through(through, &agent_on_hub(name))?)?;
    let port = ports.take()?;
    let mut arguments: Vec<OsString> = vec![
        "agent".into(),
        "--kubeconfig".into(),
        own.into(),
        "--namespace".into(),
        AGENT_NAMESPACE.into(),
        "--disable-leader-election".into(),
        "--listen".into(),
        format!("127.0.0.1:{}", port.number()).into(),
        "--spoke-cluster-name".into(),
        name.into(),
        "--agent-id".into(),
        format!("{name}-agent").into(),
        "--workload-source-driver".into(),
        "kube".into(),
        "--workload-source-config".into(),
        to_hub.into(),
        "--hub-kubeconfig-dir".into(),
        folder.into(),
        "--status-sync-interval".into(),
        "10s".into(),
        "--appliedmanifestwork-eviction-grace-period".into(),
        "60m".into(),
    ];
    if let Some(often) = setup.agent_qps {
        // A burst is twice as much, as in its own settings.
        for (flag, value) in [("qps", often), ("burst", 2 * often)] {
            arguments.extend(["", "hub-"].map(|of| format!("--{of}kube-api-{flag}={value}").into()));
        }
    }
    agent(setup, Program::Work, &format!("work agent of {name}"), cluster, arguments, port)
}

/// The placement controller of the hub.
pub(super) fn placement_controller(setup: &Setup<'_>, hub: &Cluster, ports: &mut Ports) -> Result<Server, RealError> {
    let account = Identity::service_account(HUB_NAMESPACE, PLACEMENT_ACCOUNT);
    let own = hub.folder().join("placement.kubeconfig");
    write_private(&own, &hub.kubeconfig(&account)?)?;
    let port = ports.take()?;
    let arguments: [OsString; 8] = [
        "controller".into(),
        "--kubeconfig".into(),
        own.into(),
        "--namespace".into(),
        HUB_NAMESPACE.into(),
        "--disable-leader-election".into(),
        "--listen".into(),
        format!("127.0.0.1:{}", port.number()).into(),
    ];
    agent(setup, Program::Placement, "placement controller", hub, arguments, port)
}

/// One of its programs.
fn agent(
    setup: &Setup<'_>,
    program: Program,
    name: &str,
    cluster: &Cluster,
    arguments: impl IntoIterator<Item = OsString>,
    port: Port,
) -> Result<Server, RealError> {
    let mut command: Vec<OsString> = vec![setup.programs.path(program)?.into()];
    command.extend(arguments);
    let log = cluster.logs().join(format!("ocm-{program}.log"));
    let start = Start { name: name.to_owned(), command, environment: Vec::new(), log };
    Ok(Server { process: Process::new(setup.keeper, start), patience: setup.patience, port })
}

/// Joins the clusters and keeps their leases, until it is dropped.
pub(super) struct Registration {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Registration {
    /// Starts the stand-ins, and waits until every cluster is available.
    pub(super) async fn start<'a>(
        hub: &Cluster,
        clusters: impl Iterator<Item = &'a Cluster> + Clone,
        lease_seconds: i32,
        patience: Duration,
    ) -> Result<Self, RealError> {
        let clock = Clock::system();
        let admin = Identity::admin();
        let to_hub = hub.client(&admin, "ocm-registration").await?;
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(registration::hub::run(to_hub, clock)))];
        for cluster in clusters.clone() {
            let to_hub = hub.client(&admin, "ocm-registration-agent").await?;
            let own = cluster.client(&admin, "ocm-registration-agent").await?;
            let mut options = registration::agent::Options::new(clock);
            options.lease_seconds = lease_seconds;
            let name = cluster.name.clone();
            tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
                registration::agent::run(to_hub, own, &name, options).await;
            })));
        }
        let joined = Api::<ManagedCluster>::all(hub.client(&admin, "kaedama-real").await?);
        for cluster in clusters {
            let what = format!("registration of {}", cluster.name);
            let waiting = Waiting { what: &what, log: hub.api_server.log(), patience };
            let look = async || {
                let found = joined.get_opt(&cluster.name).await.map_err(|error| error.to_string())?;
                match found {
                    Some(found) if is_true(found.conditions(), CLUSTER_AVAILABLE) => Ok(()),
                    Some(_) => Err("it is not available".to_owned()),
                    None => Err("it has not joined".to_owned()),
                }
            };
            wait(waiting, &[&hub.api_server, &cluster.api_server], look).await?;
        }
        Ok(Self { _tasks: tasks })
    }
}
