//! Waiting for, and reading, what the world has come to.

use std::time::Duration;

use futures::StreamExt;
use kaedama_shared::api::conditions::{drpc as drpc_types, drpolicy as drpolicy_types};
use kaedama_shared::api::{DRPlacementControl, DRPolicy, DRState, Progression, condition};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::app::{App, Writers};
use super::{World, WorldError, array};
use crate::workload::{Audit, Books};

impl World {
    /// What is known of the applications' writes.
    fn books(&self) -> &dyn Books {
        match self.options.writers {
            Writers::Simulated => &self.ledger,
            Writers::Pods(_) => &self.logs,
        }
    }

    /// What an application's volumes hold of what was acknowledged to it, where it started last.
    pub fn audit(&self, app: &App) -> Option<Audit> {
        self.books().audit(&app.id())
    }

    /// As [`World::audit`], with its volumes on a cluster. `None` also where nobody can look into these: on storage of
    /// others only a pod can, which has them mounted.
    pub fn audit_on(&self, app: &App, cluster: &str) -> Option<Audit> {
        self.books().audit_on(&app.id(), cluster)
    }

    /// Whether an application's volumes can still be audited. Some scenarios end one with all that it wrote, on purpose.
    pub fn is_kept(&self, app: &App) -> bool {
        if self.options.writers != Writers::Simulated {
            return true;
        }
        let Some(location) = self.ledger.location(&app.id()) else { return false };
        let there =
            |cluster: &String, handle| self.fabric.with(|arrays, _| arrays.inspect(&array(cluster), handle)).is_some();
        location.volumes.values().all(|handle| self.clusters().iter().any(|cluster| there(cluster, handle)))
    }

    /// Waits until an object of the hub is as `wanted` has it, and returns it. `state` says in an error how it is instead.
    pub async fn until<K>(
        &self,
        api: Api<K>,
        name: &str,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&K) -> bool,
        state: impl Fn(&K) -> String,
    ) -> Result<K, WorldError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let mut last = "it is not there".to_owned();
        let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut objects = std::pin::pin!(watcher(api, named).default_backoff().applied_objects());
        let looking = async {
            // An error is a watch that broke off; it is opened again.
            while let Some(seen) = objects.as_mut().next().await {
                let Ok(object) = seen else { continue };
                if wanted(&object) {
                    return Some(object);
                }
                last = state(&object);
            }
            None
        };
        match tokio::time::timeout(patience, looking).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) | Err(_) => {
                Err(WorldError::TimedOut { what: what.to_owned(), seconds: patience.as_secs(), state: last })
            }
        }
    }

    /// Waits until an object of the hub is gone.
    pub async fn until_gone<K>(&self, api: Api<K>, name: &str) -> Result<(), WorldError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(watcher(api.clone(), named).default_backoff());
        let looking = async {
            loop {
                if matches!(api.get_opt(name).await, Ok(None)) {
                    return;
                }
                events.as_mut().next().await;
            }
        };
        tokio::time::timeout(self.patience(), looking).await.map_err(|_| WorldError::TimedOut {
            what: format!("the removal of {} {name}", K::kind(&())),
            seconds: self.patience().as_secs(),
            state: "it is still there".to_owned(),
        })
    }

    pub(super) async fn policy_valid(&self, name: &str) -> Result<(), WorldError> {
        let conditions = |policy: &DRPolicy| policy.status.clone().unwrap_or_default().conditions;
        let api: Api<DRPolicy> = Api::all(self.hub());
        let what = format!("the validation of DRPolicy {name}");
        let valid = |policy: &DRPolicy| condition::is_true(&conditions(policy), drpolicy_types::VALIDATED);
        let state = |policy: &DRPolicy| {
            condition::find(&conditions(policy), drpolicy_types::VALIDATED)
                .map(|validated| format!("{}: {}", validated.reason, validated.message))
                .unwrap_or_else(|| "nobody has looked at it".to_owned())
        };
        self.until(api, name, &what, self.patience(), valid, state).await.map(drop)
    }

    /// The DRPlacementControls of a namespace.
    pub fn drpcs(&self, namespace: &str) -> Api<DRPlacementControl> {
        Api::namespaced(self.hub(), namespace)
    }

    /// Waits until an application's DRPlacementControl is as `wanted` has it.
    pub async fn until_drpc(
        &self,
        app: &App,
        what: &str,
        wanted: impl Fn(&DRPlacementControl) -> bool,
    ) -> Result<DRPlacementControl, WorldError> {
        let what = format!("{}: {what}", app.id());
        self.until(self.drpcs(&app.namespace), &app.name, &what, self.patience(), wanted, describe).await
    }

    /// Waits until an action has come to its end: this phase, completed, the peer ready.
    pub async fn completed(&self, app: &App, phase: DRState) -> Result<DRPlacementControl, WorldError> {
        self.until_drpc(app, &format!("{phase}, completed"), |drpc| is_completed(drpc, &phase)).await
    }

    /// Waits until the application is placed by an action: this phase, whatever is still to be cleaned up.
    pub async fn placed(&self, app: &App, phase: DRState) -> Result<DRPlacementControl, WorldError> {
        self.until_drpc(app, &phase.to_string(), |drpc| {
            drpc.status.as_ref().is_some_and(|status| status.phase == phase) && is_available(drpc)
        })
        .await
    }

    /// Waits until everything of the application is protected.
    pub async fn protected(&self, app: &App) -> Result<DRPlacementControl, WorldError> {
        self.until_drpc(app, "Protected", |drpc| {
            let status = drpc.status.clone().unwrap_or_default();
            condition::is_true(&status.conditions, drpc_types::PROTECTED)
        })
        .await
    }
}

/// True where the action has come to its end.
pub fn is_completed(drpc: &DRPlacementControl, phase: &DRState) -> bool {
    let status = drpc.status.clone().unwrap_or_default();
    status.phase == *phase
        && status.progression == Progression::Completed
        && is_available(drpc)
        && condition::is_true(&status.conditions, drpc_types::PEER_READY)
}

/// True where the application is available as the DRPlacementControl's present spec has it: what is said of an earlier
/// one is no answer.
fn is_available(drpc: &DRPlacementControl) -> bool {
    let status = drpc.status.clone().unwrap_or_default();
    let available = condition::find(&status.conditions, drpc_types::AVAILABLE);
    available.is_some_and(|c| c.is_true() && c.is_at(drpc.metadata.generation.unwrap_or_default()))
}

/// One line that says how a DRPlacementControl stands.
pub fn describe(drpc: &DRPlacementControl) -> String {
    let status = drpc.status.clone().unwrap_or_default();
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| {
            format!("{}={}/{} ({})", condition.type_, condition.status, condition.reason, condition.message)
        })
        .collect();
    format!("it is {} / {}; {}", status.phase, status.progression, conditions.join("; "))
}
