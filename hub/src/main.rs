//! The hub operator as a process: `kaedama-hub`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Parser;
use kaedama_hub::metrics::HubMetrics;
use kaedama_hub::operator::{Options, configure, run_with};
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::client::{Clients, config, user_agent};
use kaedama_shared::harness::health::Health;
use kaedama_shared::harness::leader::identity;
use kaedama_shared::harness::metrics::{self, HarnessMetrics};
use kaedama_shared::harness::{http, logs, shutdown};
use kaedama_shared::s3::{S3Options, ca_bundle_of_environment};
use prometheus_client::registry::Registry;

/// Objects come and go as JSON, in small pieces: see `docs/decisions/0009-allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Disaster recovery for applications on Kubernetes: the hub operator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Kubeconfig of the hub; without it the pod's service account is used.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Accepted and ignored: the configuration is the ConfigMap in the operator's namespace.
    #[arg(long)]
    config: Option<String>,
    /// Which operator this is: dr-hub.
    #[arg(long, env = "RAMEN_CONTROLLER_TYPE", hide = true)]
    controller_type: Option<String>,
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Name of the pod: identity in the election.
    #[arg(long, env = "POD_NAME", default_value = "kaedama-hub")]
    pod: String,
    /// Its uid: with it a container that is started again goes on with its lease.
    #[arg(long, env = "POD_UID")]
    pod_uid: Option<String>,
    /// Where health is served, instead of where the configuration says; empty for nowhere.
    #[arg(long)]
    health_address: Option<String>,
    /// Where metrics are served, as plain HTTP, instead of where the configuration says; empty for nowhere.
    #[arg(long)]
    metrics_address: Option<String>,
    /// How logs are written: json or text.
    #[arg(long, default_value = "json", alias = "zap-encoder")]
    log_format: logs::Format,
    /// What is logged: a level, or in the syntax of RUST_LOG.
    #[arg(long, env = "RUST_LOG", default_value = "info", alias = "zap-log-level")]
    log: String,
    /// Flags of RamenDR's logger that mean nothing here, so that its Deployments can be used as they are.
    #[command(flatten)]
    zap: Zap,
}

/// What RamenDR's logger also understands.
#[derive(Debug, clap::Args)]
struct Zap {
    /// Accepted and ignored.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    zap_devel: Option<bool>,
    /// Accepted and ignored.
    #[arg(long, hide = true)]
    zap_stacktrace_level: Option<String>,
    /// Accepted and ignored.
    #[arg(long, hide = true)]
    zap_time_encoding: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let clock = Clock::system();
    logs::init(arguments.log_format, &logs::filter_for_level(&arguments.log), clock)?;
    match arguments.controller_type.as_deref() {
        Some("dr-hub") => {}
        Some(other) => bail!("RAMEN_CONTROLLER_TYPE is {other}; this program is the hub operator, dr-hub"),
        None => bail!("RAMEN_CONTROLLER_TYPE is not set; set it to dr-hub"),
    }
    let Some(namespace) = arguments.namespace else {
        bail!("POD_NAMESPACE is not set; set it to the operator's own namespace");
    };
    let stop = shutdown::on_signals().context("cannot listen for signals")?;
    let kubeconfig = config(arguments.kubeconfig.as_deref(), None).await?;
    let clients = Clients::from_config(kubeconfig, &user_agent("kaedama-hub"))?;
    let mut registry = Registry::default();
    let harness = HarnessMetrics::register(&mut registry);
    let gauges = HubMetrics::register(&mut registry);
    let registry = Arc::new(registry);
    let health = Health::new();
    let loaded = configure(&clients.requests, &namespace).await?;
    let config = &loaded.config;
    let health_address = arguments.health_address.unwrap_or_else(|| config.health.health_probe_bind_address.clone());
    let configured = || config.metrics_address().unwrap_or_default().to_owned();
    let metrics_address = arguments.metrics_address.unwrap_or_else(configured);
    let mut s3 = S3Options::new(clock).with_metrics(&harness);
    s3.ca_bundle = ca_bundle_of_environment()?;
    if let Some(listener) = http::bind(&health_address).await? {
        tokio::spawn(http::serve(listener, health.router(), stop.clone()));
    }
    if !metrics_address.is_empty()
        && let Some(listener) = http::bind(&metrics_address).await?
    {
        tokio::spawn(http::serve(listener, metrics::router(registry, harness.clone()), stop.clone()));
    }
    let options = Options {
        clients,
        identity: identity(&arguments.pod, arguments.pod_uid.as_deref(), clock),
        namespace,
        clock,
        s3,
        metrics: harness,
        health: Some(health),
    };
    run_with(options, loaded, gauges, stop).await.context("the hub operator ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_ramendrs_deployments_are_understood() {
        let flags = [
            "operator",
            "--zap-devel",
            "--zap-encoder=console",
            "--zap-log-level=2",
            "--zap-stacktrace-level=error",
            "--zap-time-encoding=iso8601",
            "--config=/controller_manager_config.yaml",
        ];
        let arguments = Arguments::try_parse_from(flags).unwrap();
        assert_eq!((arguments.log_format, arguments.log.as_str()), (logs::Format::Text, "2"));
        assert!(Arguments::try_parse_from(["operator", "--zap-devel=false"]).is_ok());
    }
}
