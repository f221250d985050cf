//! Registration of clusters: [`agent`] on a cluster, [`hub`] on the hub.
//!
//! The lease is the sign of life: the agent renews it, the hub calls a cluster Unknown when it is older than five of its
//! durations, and taints it. The agent that comes back renews its lease and reports itself available at once.

pub mod agent;
pub mod hub;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kaedama_shared::api::condition::Condition;
use kaedama_shared::api::ocm::ManagedCluster;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::runtime::{Attempt, Error};

/// When a lease was renewed last.
fn renewed(lease: &Lease) -> Option<jiff::Timestamp> {
    lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0)
}

/// How old something is; zero for what lies in the future.
fn age(of: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    Duration::try_from(now.duration_since(of)).unwrap_or(Duration::ZERO)
}

/// Writes the whole list of conditions, if nobody has changed the cluster meanwhile: agent and hub both write it.
async fn write_conditions(hub: &Client, cluster: &ManagedCluster, conditions: &[Condition]) -> Result<(), Error> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let change = json!({
        "metadata": {"resourceVersion": cluster.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    let api: Api<ManagedCluster> = Api::all(hub.clone());
    let written = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&change)).await;
    written.map(|_| ()).attempt(|| format!("writing the conditions of cluster {name}"))
}
