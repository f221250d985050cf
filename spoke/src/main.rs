//! The spoke operator's process.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Parser;
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::{client, leader, logs, shutdown};
use kaedama_shared::s3::{HttpConnector, ca_bundle_of_environment};
use kaedama_spoke::operator::{self, Endpoints, SpokeOptions};

/// Objects come and go as JSON, in small pieces: see `docs/decisions/0009-allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The disaster-recovery operator of a managed cluster.
#[derive(Debug, Parser)]
#[command(name = "kaedama-spoke", version)]
struct Arguments {
    /// What this operator is; the binary of a managed cluster knows dr-cluster only.
    #[arg(long, env = "RAMEN_CONTROLLER_TYPE", value_name = "TYPE")]
    controller_type: Option<String>,
    /// Namespace of the operator, its configuration and its secrets.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Name of the pod, for events and for the lease.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "kaedama-spoke")]
    pod: String,
    /// Its uid: with it a container that is started again goes on with its lease.
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pod_uid: Option<String>,
    /// Kubeconfig; else that of KUBECONFIG, else the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where health is served, instead of where the configuration says; empty for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    health_address: Option<String>,
    /// Where metrics are served, instead of where the configuration says; empty for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    metrics_address: Option<String>,
    /// Log format: text or json.
    #[arg(long, default_value = "text", alias = "zap-encoder")]
    log_format: logs::Format,
    /// Log level or filter.
    #[arg(long, default_value = "info", alias = "zap-log-level")]
    log_level: String,
    /// Accepted and ignored: the configuration is in the ConfigMap.
    #[arg(long, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
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
    logs::init(arguments.log_format, &logs::filter_for_level(&arguments.log_level), clock)?;
    match arguments.controller_type.as_deref() {
        Some("dr-cluster") => {}
        Some(other) => {
            bail!("RAMEN_CONTROLLER_TYPE is {other:?}; this binary is the operator of managed clusters: set dr-cluster")
        }
        None => bail!("RAMEN_CONTROLLER_TYPE is not set: set dr-cluster"),
    }
    let namespace = arguments.namespace.filter(|namespace| !namespace.is_empty());
    let namespace = namespace.context("POD_NAMESPACE is not set: set the namespace of the operator")?;
    let stop = shutdown::on_signals()?;
    let config = client::config(arguments.kubeconfig.as_deref(), arguments.context.as_deref()).await?;
    let client = client::connect(config, &client::user_agent("kaedama-spoke"), client::Profile::WATCHES)?;
    let options = SpokeOptions {
        client,
        clock,
        s3: HttpConnector::Network,
        s3_ca_bundle: ca_bundle_of_environment()?,
        namespace,
        identity: leader::identity(&arguments.pod, arguments.pod_uid.as_deref(), clock),
        instance: arguments.pod,
        leader_election: true,
        endpoints: Some(Endpoints { health: arguments.health_address, metrics: arguments.metrics_address }),
    };
    operator::run(options, stop).await?;
    Ok(())
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
        assert_eq!((arguments.log_format, arguments.log_level.as_str()), (logs::Format::Text, "2"));
        assert!(Arguments::try_parse_from(["operator", "--zap-devel=false"]).is_ok());
    }
}
