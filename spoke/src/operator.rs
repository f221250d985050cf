//! The operator as a whole: configuration, lease, caches, controllers, health and metrics.
//!
//! [`run`] is the same in production and in a test or demo, where several operators live in one process: nothing here is
//! global.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_shared::clock::Clock;
use kaedama_shared::config::config_map::at_start;
use kaedama_shared::config::{ConfigError, LastRead, Loaded, RamenConfig, Role};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::client::Clients;
use kaedama_shared::harness::controller::{Controller, Settings};
use kaedama_shared::harness::events::{Recorder, SPOKE_COMPONENT};
use kaedama_shared::harness::health::Health;
use kaedama_shared::harness::http::{self, BindError};
use kaedama_shared::harness::leader::step::InvalidTimings;
use kaedama_shared::harness::leader::{self, Election, LeadError, Leadership, Timings};
use kaedama_shared::harness::metrics::{self, HarnessMetrics};
use kaedama_shared::s3::{HttpConnector, S3Options};
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::cluster::Caches;
use crate::drclusterconfig::controller::Offers;
use crate::stores::Stores;
use crate::vrg::controller::Groups;
use crate::vrg::observe::Observer;
use crate::vrg::owner;
use crate::vrg::told::Told;

/// How the operator identifies itself.
const COMPONENT: &str = "kaedama-spoke";
/// Name of the lease in the metrics.
const LEASE: &str = "spoke";

/// What an operator is made of.
#[derive(Clone)]
pub struct SpokeOptions {
    /// A client of the cluster; time bounds are put around it.
    pub client: Client,
    /// Where the time comes from.
    pub clock: Clock,
    /// How the stores are reached.
    pub s3: HttpConnector,
    /// PEM certificates trusted for every store, besides the system's; empty for none.
    pub s3_ca_bundle: Vec<u8>,
    /// The operator's namespace.
    pub namespace: String,
    /// Which process this is: the pod's name.
    pub instance: String,
    /// The candidate in the election: see [`leader::identity`].
    pub identity: String,
    /// Whether only one of several processes works. The configuration can switch it off, not on.
    pub leader_election: bool,
    /// Where health and metrics are served; none for nowhere.
    pub endpoints: Option<Endpoints>,
}

/// Where health and metrics are served, over what the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Address for health; the configuration's where it is none, nowhere where it is empty.
    pub health: Option<String>,
    /// The same for metrics, as plain HTTP.
    pub metrics: Option<String>,
}

/// Why the operator ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SpokeError {
    /// The ConfigMap could not be read or written.
    #[error("cannot {what} ConfigMap {name}")]
    Config {
        /// What was attempted.
        what: &'static str,
        /// On which one.
        name: ObjectKey,
        /// What the API server said.
        source: kube::Error,
    },
    /// What is in the ConfigMap is wrong.
    #[error(transparent)]
    Malformed(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen")]
    Bind(#[from] BindError),
    /// Serving ended.
    #[error("cannot serve health or metrics")]
    Serve(#[from] io::Error),
    /// The lease's timings are wrong.
    #[error(transparent)]
    Timings(#[from] InvalidTimings),
    /// The lease was lost.
    #[error(transparent)]
    Lead(#[from] LeadError),
}

/// Runs the operator until `shutdown` is cancelled, or until the lease is lost.
///
/// # Errors
/// [`SpokeError`].
pub async fn run(options: SpokeOptions, shutdown: CancellationToken) -> Result<(), SpokeError> {
    let clients = Clients::from_client(&options.client, COMPONENT);
    let loaded = configure(&clients.requests, &options.namespace).await?;
    let (read, config) = (LastRead::after_start(&loaded), loaded.config);
    let mut registry = Registry::default();
    let harness = HarnessMetrics::register(&mut registry);
    let registry = Arc::new(registry);
    let health = Health::new();
    let serving = match &options.endpoints {
        Some(endpoints) => Some(serve(&config, endpoints, &health, registry, &harness, shutdown.clone()).await?),
        None => None,
    };
    harness.lease(LEASE, &Leadership::unheld());
    let wanted = options.leader_election && config.leader_election.leader_elect;
    let work = {
        let (options, config, harness, stop) = (options.clone(), config.clone(), harness.clone(), shutdown.clone());
        let (clients, health) = (clients.clone(), health.clone());
        move |leadership: Leadership| {
            harness.lease(LEASE, &leadership);
            lead(options, config, read, clients.gated(&leadership), harness, health, stop)
        }
    };
    let working = async {
        if !wanted {
            work(Leadership::without_election()).await;
            return Ok(());
        }
        let name = config.lease_name(Role::Spoke);
        let election = Election::new(&options.namespace, name, &options.identity, Timings::default())?;
        match leader::lead(election, clients.lease.clone(), options.clock, shutdown.clone(), work).await {
            Ok(()) | Err(LeadError::Stopped { .. }) => Ok(()),
            Err(lost) => Err(SpokeError::Lead(lost)),
        }
    };
    match serving {
        None => working.await,
        Some(serving) => tokio::select! {
            done = working => done,
            served = serving => served.map_err(SpokeError::Serve),
        },
    }
}

/// The configuration at start: made if missing, else the stored values over the defaults, written back.
async fn configure(client: &Client, namespace: &str) -> Result<Loaded, SpokeError> {
    let name = Role::Spoke.config_map_name();
    let key = ObjectKey::namespaced(namespace, name);
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let failed = |what: &'static str| {
        let name = key.clone();
        move |source| SpokeError::Config { what, name, source }
    };
    let existing = api.get_opt(name).await.map_err(failed("read"))?;
    let (map, loaded) = at_start(existing.as_ref(), Role::Spoke, namespace, None)?;
    match &existing {
        None => api.create(&PostParams::default(), &map).await.map(drop).map_err(failed("create"))?,
        Some(existing) if *existing != map => {
            api.replace(name, &PostParams::default(), &map).await.map(drop).map_err(failed("update"))?;
        }
        Some(_) => {}
    }
    Ok(loaded)
}

/// Serves health and metrics.
async fn serve(
    config: &RamenConfig,
    endpoints: &Endpoints,
    health: &Health,
    registry: Arc<Registry>,
    harness: &HarnessMetrics,
    stop: CancellationToken,
) -> Result<impl Future<Output = io::Result<()>> + use<>, SpokeError> {
    let probes = endpoints.health.as_deref().unwrap_or(&config.health.health_probe_bind_address);
    let probes = http::bind(probes).await?;
    let metrics = endpoints.metrics.as_deref().map_or_else(|| config.metrics_address(), Some);
    let metrics = match metrics.filter(|address| !address.is_empty()) {
        Some(address) => http::bind(address).await?,
        None => None,
    };
    let (health, router) = (health.router(), metrics::router(registry, harness.clone()));
    Ok(async move {
        let probes = async {
            match probes {
                Some(listener) => http::serve(listener, health, stop.clone()).await,
                None => std::future::pending().await,
            }
        };
        let metrics = async {
            match metrics {
                Some(listener) => http::serve(listener, router, stop.clone()).await,
                None => std::future::pending().await,
            }
        };
        tokio::try_join!(probes, metrics).map(drop)
    })
}

/// The operator while it leads.
async fn lead(
    options: SpokeOptions,
    config: RamenConfig,
    read: LastRead,
    clients: Clients,
    harness: HarnessMetrics,
    health: Health,
    stop: CancellationToken,
) {
    let caches = Caches::start(&clients.watches, &options.namespace, &harness);
    let seen = caches.clone();
    health.ready_when("caches", move || seen.doubt().map_or(Ok(()), Err));
    let (wake, woken) = mpsc::unbounded();
    let mut s3 = S3Options::new(options.clock).with_http(options.s3.clone()).with_metrics(&harness);
    s3.ca_bundle.clone_from(&options.s3_ca_bundle);
    let stores = Stores::new(s3, clients.requests.clone(), &options.namespace, caches.secrets.clone(), wake);
    let stores = Arc::new(stores);
    let observer = Observer {
        caches: caches.clone(),
        client: clients.requests.clone(),
        stores: stores.clone(),
        clock: options.clock,
        namespace: options.namespace.clone(),
        read,
        told: Told::default(),
    };
    let recorder = Recorder::new(clients.requests.clone(), SPOKE_COMPONENT, options.instance.clone(), options.clock)
        .metrics(&harness);
    let groups = Groups::new(observer, recorder);
    let offers = Offers::start(
        clients.requests.clone(),
        &clients.watches,
        options.clock,
        caches.storage_classes.clone(),
        caches.replication_classes.clone(),
        &caches.installations,
        &harness,
    );
    let controller = triggers(&caches).keys(woken).metrics(&harness).settings(Settings {
        concurrency: config.workers(),
        spacing: Duration::from_millis(2),
        ..Settings::default()
    });
    let groups = controller.run(stop.clone(), move |key| groups.clone().pass(key));
    tokio::join!(groups, offers.run(stop, &harness));
    stores.finish().await;
}

/// What wakes a group.
fn triggers(caches: &Caches) -> Controller<ObjectKey> {
    let all = {
        let groups = caches.groups.clone();
        move || groups.cache.list().iter().map(|group| ObjectKey::of(&**group)).collect::<Vec<_>>()
    };
    let near = {
        let groups = caches.groups.clone();
        move |namespace: &str| -> Vec<ObjectKey> {
            groups.cache.grouped(namespace).iter().map(|group| ObjectKey::of(&**group)).collect()
        }
    };
    let mut controller = Controller::new("volumereplicationgroup").primary(&caches.groups.cache);
    controller = controller.watches(&caches.reports.cache, |change| {
        // What it says was written here.
        let came_or_went = change.before.is_none() || change.is_deletion();
        let group = change.latest().map(|report| report.spec.volume_replication_group.clone());
        group.filter(|_| came_or_went).map(|group| ObjectKey::namespaced(group.namespace, group.name))
    });
    let by_namespace = near.clone();
    controller = controller.watches(&caches.claims.cache, move |change| {
        let owner = change.latest().and_then(|claim| owner::named_in(&claim.metadata));
        by_namespace(change.key.namespace()).into_iter().chain(owner).collect::<Vec<_>>()
    });
    let by_namespace = near.clone();
    controller = controller.watches(&caches.volumes.cache, move |change| {
        let claim = change.latest().and_then(|volume| volume.spec.as_ref()?.claim_ref.as_ref()?.namespace.clone());
        claim.map(|namespace| by_namespace(&namespace)).unwrap_or_default()
    });
    let by_namespace = near.clone();
    controller = controller.watches(&caches.replications.cache, move |change| {
        let owner = change.latest().and_then(|found| owner::named_in(&found.metadata));
        owner.map_or_else(|| by_namespace(change.key.namespace()), |owner| vec![owner])
    });
    let by_namespace = near.clone();
    controller = controller.watches(&caches.pods, move |change| {
        // Only that a pod is there or gone matters; its status changes all the time.
        let came_or_went = change.before.is_none() || change.is_deletion();
        if came_or_went { by_namespace(change.key.namespace()) } else { Vec::new() }
    });
    let volumes = caches.volumes.clone();
    controller = controller.watches(&caches.attachments, move |change| {
        let came_or_went = change.before.is_none() || change.is_deletion();
        let name =
            change.latest().and_then(|found| found.spec.source.persistent_volume_name.clone()).filter(|_| came_or_went);
        let volume = name.and_then(|name| volumes.get(&ObjectKey::cluster(name)));
        let claim = volume.and_then(|volume| volume.spec.as_ref()?.claim_ref.as_ref()?.namespace.clone());
        claim.map(|namespace| near(&namespace)).unwrap_or_default()
    });
    let everyone = all.clone();
    controller = controller.watches(&caches.storage_classes, move |_| everyone());
    let everyone = all.clone();
    controller = controller.watches(&caches.replication_classes, move |_| everyone());
    let everyone = all.clone();
    controller = controller.watches(&caches.config_maps, move |change| {
        if change.key.name == Role::Spoke.config_map_name() { everyone() } else { Vec::new() }
    });
    controller.watches(&caches.secrets, move |_| all())
}
