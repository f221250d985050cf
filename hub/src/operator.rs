//! The whole operator: leader election, caches, three controllers. The binary runs it in a pod, the sandbox in a task.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_shared::clock::Clock;
use kaedama_shared::config::config_map::at_start;
use kaedama_shared::config::{ConfigError, LastRead, Loaded, Role};
use kaedama_shared::harness::cache::Scope;
use kaedama_shared::harness::client::Clients;
use kaedama_shared::harness::controller::Settings;
use kaedama_shared::harness::events::{HUB_COMPONENT, Recorder};
use kaedama_shared::harness::health::Health;
use kaedama_shared::harness::leader::step::InvalidTimings;
use kaedama_shared::harness::leader::{Election, LeadError, Leadership, Timings, lead};
use kaedama_shared::harness::metrics::HarnessMetrics;
use kaedama_shared::harness::news::News;
use kaedama_shared::s3::S3Options;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::configuration::Configuration;
use crate::metrics::HubMetrics;
use crate::{drcluster, drpc, drpolicy};

/// What the operator is started with.
pub struct Options {
    /// Clients of the hub.
    pub clients: Clients,
    /// Namespace of the operator: its ConfigMap, its secrets, its lease.
    pub namespace: String,
    /// Identity of this process in the election.
    pub identity: String,
    /// Where the time comes from.
    pub clock: Clock,
    /// How stores are reached.
    pub s3: S3Options,
    /// The harness' metrics.
    pub metrics: HarnessMetrics,
    /// Told when the operator is ready.
    pub health: Option<Health>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Its ConfigMap cannot be read as a configuration.
    #[error("the operator's configuration is invalid: {0}")]
    Configuration(#[from] ConfigError),
    /// Its ConfigMap cannot be read or written.
    #[error("cannot {what}: {source}")]
    Api {
        /// What was attempted.
        what: String,
        /// The answer.
        #[source]
        source: kube::Error,
    },
    /// The election was configured wrongly.
    #[error("leader election: {0}")]
    Timings(#[from] InvalidTimings),
    /// The lease was lost.
    #[error(transparent)]
    Lead(#[from] LeadError),
}

/// Runs until `stop` is cancelled or the lease is lost.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), OperatorError> {
    let loaded = configure(&options.clients.requests, &options.namespace).await?;
    run_with(options, loaded, HubMetrics::default(), stop).await
}

/// The same, with what [`configure`] returned and gauges that are registered somewhere.
pub async fn run_with(
    options: Options,
    loaded: Loaded,
    gauges: HubMetrics,
    stop: CancellationToken,
) -> Result<(), OperatorError> {
    let read = LastRead::after_start(&loaded);
    let config = loaded.config;
    if !config.leader_election.leader_elect {
        control(&options, &gauges, config.workers(), read, Leadership::without_election(), stop).await;
        return Ok(());
    }
    let name = config.lease_name(Role::Hub);
    let election = Election::new(&options.namespace, name, &options.identity, Timings::default())?;
    let (lease, clock) = (options.clients.lease.clone(), options.clock);
    let workers = config.workers();
    let work = |leadership| {
        options.metrics.lease(name, &leadership);
        control(&options, &gauges, workers, read.clone(), leadership, stop.clone())
    };
    match lead(election, lease, clock, stop.clone(), work).await {
        Ok(()) | Err(LeadError::Stopped { .. }) => Ok(()),
        Err(lost) => Err(lost.into()),
    }
}

/// The configuration in the operator's namespace: its ConfigMap with the defaults merged in, written back where something
/// was missing.
///
/// # Errors
/// [`OperatorError::Configuration`] and [`OperatorError::Api`].
pub async fn configure(client: &Client, namespace: &str) -> Result<Loaded, OperatorError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let name = Role::Hub.config_map_name();
    let what = |verb: &str| format!("{verb} ConfigMap {namespace}/{name}");
    let failed = |verb: &str| {
        let what = what(verb);
        move |source| OperatorError::Api { what, source }
    };
    let existing = api.get_opt(name).await.map_err(failed("read"))?;
    let (wanted, loaded) = at_start(existing.as_ref(), Role::Hub, namespace, None)?;
    match &existing {
        Some(existing) if *existing == wanted => {}
        Some(_) => drop(api.replace(name, &PostParams::default(), &wanted).await.map_err(failed("write"))?),
        None => drop(api.create(&PostParams::default(), &wanted).await.map_err(failed("create"))?),
    }
    Ok(loaded)
}

/// The controllers, until `stop`.
async fn control(
    options: &Options,
    gauges: &HubMetrics,
    workers: usize,
    read: LastRead,
    leadership: Leadership,
    stop: CancellationToken,
) {
    let clients = options.clients.clone().gated(&leadership);
    let scope = Scope::default().metrics(&options.metrics);
    let caches = Caches::start(&clients.watches, &options.namespace, &scope);
    if let Some(health) = &options.health {
        let drpcs = caches.drpcs.clone();
        health.ready_when("caches", move || drpcs.doubt().map_or(Ok(()), Err));
    }
    let configuration = Configuration::new(&caches, &options.namespace, options.s3.clone(), read);
    gauges.read_from(&caches, &configuration);
    let client = clients.requests.clone();
    let recorder =
        Recorder::new(client.clone(), HUB_COMPONENT, options.identity.clone(), options.clock).metrics(&options.metrics);
    let drpc_context = drpc::controller::Context {
        client: client.clone(),
        caches: caches.clone(),
        configuration: configuration.clone(),
        clock: options.clock,
        recorder,
        news: News::default(),
        stale: Arc::default(),
    };
    let (stores, answered) = drcluster::stores::StoreChecks::new();
    let drcluster_context = drcluster::controller::Context {
        client: client.clone(),
        caches: caches.clone(),
        configuration: configuration.clone(),
        clock: options.clock,
        stores,
        add_ons: Arc::default(),
    };
    let drpolicy_context =
        drpolicy::controller::Context { client, caches: caches.clone(), configuration, clock: options.clock };
    let settings = Settings::default();
    tokio::join!(
        drcluster::controller::controller(&caches, answered)
            .settings(settings)
            .concurrency(8)
            .metrics(&options.metrics)
            .run(stop.clone(), move |key| drcluster::controller::pass(drcluster_context.clone(), key)),
        drpolicy::controller::controller(&caches)
            .settings(settings)
            .concurrency(8)
            .metrics(&options.metrics)
            .run(stop.clone(), move |key| drpolicy::controller::pass(drpolicy_context.clone(), key)),
        drpc::controller::controller(&caches)
            .settings(settings)
            .concurrency(workers)
            .metrics(&options.metrics)
            .run(stop, move |key| drpc::controller::pass(drpc_context.clone(), key)),
    );
    gauges.stop();
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
