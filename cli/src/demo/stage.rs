//! The world with one application in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kaedama_sandbox::workload::{APP_LABEL, Audit};
use kaedama_sandbox::world::{Options, Replication, World, WorldError, app::App};
use kaedama_shared::api::condition;
use kaedama_shared::api::conditions::drpc as types;
use kaedama_shared::api::{DRPlacementControl, DRState, Progression};
use kaedama_shared::clock::Clock;
use kube::Api;
use kube::api::ListParams;

use super::front::{Front, FrontError};
use super::look::{Look, Place};
use super::sync::synced_until;

/// How often the storage ships. The policy says a minute, and nobody wants to watch that.
pub const EVERY: Duration = Duration::from_secs(3);
/// What policy and replication class say.
pub const INTERVAL: &str = "1m";
/// How long an action, or the application, may take.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Times that an audit is repeated while it finds something lost. A record that is written between the reading of the
/// volumes and the reading of the ledger looks lost once; one that is lost looks so every time.
const AUDITS: u32 = 4;

/// The world, its application, and the way in from outside.
pub struct Stage {
    /// The world.
    pub world: World,
    /// The application.
    pub app: App,
    front: Option<Front>,
    down: BTreeSet<String>,
}

impl Stage {
    /// Starts the world; the application is not in it yet.
    pub async fn open() -> Result<Self, WorldError> {
        let options = Options {
            replication: Replication::Regional { interval: INTERVAL.to_owned(), every: EVERY },
            ..Options::regional(Clock::system())
        };
        let world = World::start(options).await?;
        let home = world.clusters().first().cloned().unwrap_or_default();
        let app = App { namespace: "shop".to_owned(), records_per_second: 20, ..App::new("orders", &home) }.claims(3);
        Ok(Stage { world, app, front: None, down: BTreeSet::new() })
    }

    /// Serves the API servers for kubectl.
    pub async fn serve(&mut self, directory: &Path) -> Result<(), FrontError> {
        let mut servers = vec![("hub".to_owned(), self.world.hub_server().clone())];
        for cluster in self.world.clusters() {
            if let Ok(server) = self.world.server(cluster) {
                servers.push((cluster.clone(), server.clone()));
            }
        }
        self.front = Some(Front::open(servers, directory).await?);
        Ok(())
    }

    /// The way in from outside, if there is one.
    pub fn front(&self) -> Option<&Front> {
        self.front.as_ref()
    }

    /// The cluster that is not this one.
    pub fn other(&self, cluster: &str) -> String {
        self.world.clusters().iter().find(|name| *name != cluster).cloned().unwrap_or_default()
    }

    /// Whether a cluster was destroyed.
    pub fn is_down(&self, cluster: &str) -> bool {
        self.down.contains(cluster)
    }

    /// Destroys a cluster. Returns when.
    pub async fn kill(&mut self, cluster: &str) -> Result<Timestamp, WorldError> {
        let now = self.world.clock().now();
        self.world.kill(cluster)?;
        self.down.insert(cluster.to_owned());
        if let Some(front) = &mut self.front {
            front.down(cluster).await;
        }
        Ok(now)
    }

    /// Brings it back. The port can be lost to somebody else meanwhile: the cluster is up then, but not for kubectl.
    pub async fn revive(&mut self, cluster: &str) -> Result<Result<(), FrontError>, WorldError> {
        self.world.revive(cluster)?;
        self.down.remove(cluster);
        match &mut self.front {
            Some(front) => Ok(front.up(cluster).await),
            None => Ok(Ok(())),
        }
    }

    /// Records that were acknowledged so far.
    pub fn records(&self) -> u64 {
        self.world.ledger().acknowledged(&self.app.id())
    }

    /// Whether the application started last on this cluster.
    pub fn started_on(&self, cluster: &str) -> bool {
        self.world.ledger().location(&self.app.id()).is_some_and(|location| location.cluster == cluster)
    }

    /// What the application's volumes on a cluster hold of all that was acknowledged.
    pub fn audit(&self, cluster: &str) -> Option<Audit> {
        let mut best: Option<Audit> = None;
        for _ in 0..AUDITS {
            let audit = self.world.ledger().audit_on(&self.app.id(), cluster)?;
            let clean = audit.lost == 0;
            if best.as_ref().is_none_or(|best| audit.lost < best.lost) {
                best = Some(audit);
            }
            if clean {
                break;
            }
        }
        best
    }

    /// Up to when the other side has everything, by what arrived there until `by`.
    pub fn synced_until(&self, by: Timestamp) -> Option<Timestamp> {
        let location = self.world.ledger().location(&self.app.id())?;
        synced_until(&self.world.fabric().history(), location.volumes.values(), by)
    }

    /// Seconds since the other side had everything.
    pub fn lag(&self) -> Option<f64> {
        let now = self.world.clock().now();
        self.synced_until(now).map(|synced| now.duration_since(synced).as_secs_f64())
    }

    /// The DRPlacementControl, if the hub has one.
    async fn drpc(&self) -> Option<DRPlacementControl> {
        self.world.drpcs(&self.app.namespace).get_opt(&self.app.name).await.ok().flatten()
    }

    /// Whether the action has come to its end and everything is protected.
    pub async fn is_protected(&self) -> bool {
        self.drpc().await.is_some_and(|drpc| {
            let status = drpc.status.clone().unwrap_or_default();
            finished(&drpc, &status.phase) && condition::is_true(&status.conditions, types::PROTECTED)
        })
    }

    /// How it stands.
    pub async fn look(&self) -> Look {
        let mut places = Vec::new();
        for cluster in self.world.clusters() {
            places.push((cluster.clone(), self.place(cluster).await));
        }
        let status = self.drpc().await.and_then(|drpc| drpc.status).unwrap_or_default();
        let phase = match (&status.phase, &status.progression) {
            (phase, Progression::Unset | Progression::Completed) => phase.to_string(),
            (_, progression) => progression.to_string(),
        };
        let every = EVERY.as_secs_f64();
        Look { app: self.app.name.clone(), places, records: self.records(), lag: self.lag(), every, phase }
    }

    async fn place(&self, cluster: &str) -> Place {
        if self.is_down(cluster) {
            return Place::Down;
        }
        let Ok(client) = self.world.cluster(cluster) else { return Place::Down };
        let labelled = ListParams::default().labels(&format!("{APP_LABEL}={}", self.app.name));
        let pods = Api::<Pod>::namespaced(client, &self.app.namespace).list(&labelled).await;
        let running = |pod: &Pod| {
            pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| phase == "Running")
        };
        if pods.is_ok_and(|pods| pods.items.iter().any(running)) { Place::Runs } else { Place::Idle }
    }
}

/// Whether the status is about the order that stands, and not still about the one before.
fn is_current(drpc: &DRPlacementControl) -> bool {
    let seen = drpc.status.as_ref().map_or(0, |status| status.observed_generation);
    seen == drpc.metadata.generation.unwrap_or_default()
}

/// Whether the application is placed by the order that stands, whatever is still to be cleaned up.
pub fn placed(drpc: &DRPlacementControl, phase: &DRState) -> bool {
    let status = drpc.status.clone().unwrap_or_default();
    is_current(drpc) && status.phase == *phase && condition::is_true(&status.conditions, types::AVAILABLE)
}

/// Whether the order that stands has come to its end.
pub fn finished(drpc: &DRPlacementControl, phase: &DRState) -> bool {
    is_current(drpc) && kaedama_sandbox::world::look::is_completed(drpc, phase)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_about_the_order_before_is_no_answer() {
        let drpc = |observed: i64| -> DRPlacementControl {
            let yes = |kind: &str| {
                json!({
                    "type": kind, "status": "True", "reason": "R", "message": "", "observedGeneration": observed,
                    "lastTransitionTime": "2026-03-01T03:00:00Z",
                })
            };
            serde_json::from_value(json!({
                "apiVersion": "ramendr.openshift.io/v1alpha1",
                "kind": "DRPlacementControl",
                "metadata": { "name": "orders", "namespace": "shop", "generation": 3 },
                "spec": { "drPolicyRef": { "name": "p" }, "placementRef": { "name": "orders" }, "pvcSelector": {} },
                "status": {
                    "phase": "Relocated", "progression": "Completed", "observedGeneration": observed,
                    "conditions": [yes("Available"), yes("PeerReady"), yes("Protected")],
                },
            }))
            .unwrap()
        };
        assert!(placed(&drpc(3), &DRState::Relocated) && finished(&drpc(3), &DRState::Relocated));
        assert!(!placed(&drpc(2), &DRState::Relocated) && !finished(&drpc(2), &DRState::Relocated));
        assert!(!placed(&drpc(3), &DRState::FailedOver));
    }
}
