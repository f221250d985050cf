//! The controller: what wakes an application's pass, and the pass itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kaedama_shared::api::conditions::drpc as types;
use kaedama_shared::api::ocm::{ManagedCluster, ManagedClusterView, ManifestWork};
use kaedama_shared::api::{
    DRCluster, DRPlacementControl, DRPlacementControlStatus, DRPolicy, DRState, Progression, condition,
};
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::Change;
use kaedama_shared::harness::controller::{Controller, Next};
use kaedama_shared::harness::events::{Note, Recorder};
use kaedama_shared::harness::news::{GATHER, GATHER_UNDER_WAY, News};
use kaedama_shared::names;
use kaedama_shared::seen::Seen;
use kube::{Client, Resource};

use crate::caches::Caches;
use crate::configuration::Configuration;

use super::act::{ActError, Actor};
use super::decide::{self, decide};
use super::observe::observe;
use super::plan::{Outlook, Plan, Verdict};
use super::snapshot::Snapshot;
use super::status::status;
use super::stored;

/// What a pass needs.
#[derive(Clone)]
pub struct Context {
    /// Client of the hub, for writing.
    pub client: Client,
    /// Everything that is read.
    pub caches: Caches,
    /// Settings and stores.
    pub configuration: Configuration,
    /// Where the time comes from.
    pub clock: Clock,
    /// Events of DRPCs.
    pub recorder: Recorder,
    /// Statuses that may wait for more.
    pub news: News<ObjectKey>,
    /// How often in a row a DRPC's plan was decided on old versions.
    pub stale: Arc<Mutex<BTreeMap<ObjectKey, u32>>>,
}

/// What changed is usually in the caches after this long.
const SOON: Duration = Duration::from_millis(25);
/// After so many old views in a row the watch is not merely late, and the delays grow.
const OFTEN: u32 = 8;

/// The controller with its triggers.
pub fn controller(caches: &Caches) -> Controller<ObjectKey> {
    let of_cluster = |caches: &Caches| {
        let caches = caches.clone();
        move |cluster: &str| caches.drpcs_of_cluster(cluster)
    };
    let (policies, placements, decisions) = (caches.clone(), caches.clone(), caches.clone());
    let (drclusters, managed) = (of_cluster(caches), of_cluster(caches));
    let all = caches.clone();
    let namesakes = caches.clone();
    Controller::new("drpc")
        .primary(&caches.drpcs)
        // Who was refused for an older DRPC of the same name is looked at again when that one has gone.
        .watches(&caches.drpcs, move |change: &Change<DRPlacementControl>| {
            let name = change.is_deletion().then(|| change.key.name.clone());
            let namesakes = name.map(|name| namesakes.drpcs.grouped(&name));
            namesakes.into_iter().flatten().map(|drpc| ObjectKey::of(drpc.as_ref())).collect::<Vec<_>>()
        })
        .watches(&caches.works, |change: &Change<ManifestWork>| owner(change))
        .watches(&caches.views, |change: &Change<ManagedClusterView>| owner(change))
        .watches(&caches.policies, move |change: &Change<DRPolicy>| {
            if same_policy(change) { Vec::new() } else { policies.drpcs_of_policy(&change.key.name) }
        })
        .watches(
            &caches.drclusters,
            move |change: &Change<DRCluster>| {
                if same_drcluster(change) { Vec::new() } else { drclusters(&change.key.name) }
            },
        )
        .watches(&caches.managed_clusters, move |change: &Change<ManagedCluster>| {
            if same_availability(change) { Vec::new() } else { managed(&change.key.name) }
        })
        .watches(&caches.placements, move |change| {
            placements.drpcs_of_placement(change.key.namespace(), &change.key.name)
        })
        .watches(&caches.decisions, move |change| {
            let labels = change.latest().and_then(|decision| decision.metadata.labels.clone()).unwrap_or_default();
            match labels.get(names::PLACEMENT) {
                Some(placement) => decisions.drpcs_of_placement(change.key.namespace(), placement),
                None => Vec::new(),
            }
        })
        .watches(&caches.config_maps, move |change| {
            let is_config = change.key.name == kaedama_shared::config::Role::Hub.config_map_name();
            let drpcs = if is_config { all.drpcs.list() } else { Vec::new() };
            drpcs.iter().map(|drpc| ObjectKey::of(drpc.as_ref())).collect::<Vec<_>>()
        })
}

/// The DRPC that a work or view was made for.
fn owner<K: Resource>(change: &Change<K>) -> Option<ObjectKey> {
    let object = change.latest()?;
    let annotations = object.meta().annotations.as_ref()?;
    Some(ObjectKey::namespaced(
        annotations.get(names::DRPC_NAMESPACE)?.clone(),
        annotations.get(names::DRPC_NAME)?.clone(),
    ))
}

/// Nothing that a DRPC looks at has changed.
fn same_policy(change: &Change<DRPolicy>) -> bool {
    let (Some(before), Seen::Present(after)) = (&change.before, &change.after) else { return false };
    let verdict = |policy: &DRPolicy| {
        let status = policy.status.clone().unwrap_or_default();
        let validated = condition::is_true(&status.conditions, kaedama_shared::api::conditions::drpolicy::VALIDATED);
        (
            policy.metadata.generation,
            policy.metadata.deletion_timestamp.is_some(),
            validated,
            status.sync,
            status.async_,
        )
    };
    verdict(before) == verdict(after)
}

fn same_drcluster(change: &Change<DRCluster>) -> bool {
    let (Some(before), Seen::Present(after)) = (&change.before, &change.after) else { return false };
    let facts = |drcluster: &DRCluster| {
        let status = drcluster.status.clone().unwrap_or_default();
        let fenced = condition::find(&status.conditions, kaedama_shared::api::conditions::drcluster::FENCED)
            .map(|fenced| (fenced.status.clone(), fenced.observed_generation));
        (
            drcluster.metadata.generation,
            drcluster.metadata.deletion_timestamp.is_some(),
            fenced,
            status.maintenance_modes,
        )
    };
    facts(before) == facts(after)
}

fn same_availability(change: &Change<ManagedCluster>) -> bool {
    let (Some(before), Seen::Present(after)) = (&change.before, &change.after) else { return false };
    let available = |managed: &ManagedCluster| {
        let type_ = kaedama_shared::api::ocm::cluster::CLUSTER_AVAILABLE;
        condition::find(managed.conditions(), type_).map(|available| available.status.clone())
    };
    available(before) == available(after)
}

/// One pass.
pub async fn pass(context: Context, key: ObjectKey) -> Result<Next, ActError> {
    let Some(drpc) = context.caches.drpcs.get(&key) else {
        context.news.forget(&key);
        return Ok(Next::Await);
    };
    let mut snapshot = observe(&context.caches, &context.configuration, &drpc, context.clock.now());
    snapshot.conflict = snapshot.conflict.take().or_else(|| conflict(&context.caches, &snapshot));
    if decide::needs_stores(&snapshot) {
        snapshot.stored = stored::newest_primary(&context.configuration, &snapshot).await;
    }
    let plan = decide(&snapshot);
    let actor = Actor { client: &context.client, caches: &context.caches, s: &snapshot };
    match actor.carry_out(&plan.actions).await {
        Ok(()) => drop(context.stale.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)),
        // Somebody was faster; this pass's view is not worth a status.
        Err(ActError::Stale { what }) => {
            tracing::debug!(drpc = %key, what, "decided on an older version");
            let mut stale = context.stale.lock().unwrap_or_else(PoisonError::into_inner);
            let times = stale.entry(key).or_default();
            *times = times.saturating_add(1);
            return Ok(if *times > OFTEN { Next::BackOff } else { Next::After(SOON) });
        }
        Err(error) => {
            tell_refusal(&context, &actor, &plan, &error).await;
            return Err(error);
        }
    }
    if plan.actions.contains(&super::plan::Action::ReleaseDrpc) || is_released(&snapshot) {
        return Ok(Next::Await);
    }
    let after = status(&snapshot, &plan);
    if Some(&after) != drpc.status.as_ref() {
        let patience = match after.progression {
            _ if is_urgent(drpc.status.as_ref(), &after) => Duration::ZERO,
            Progression::Completed => GATHER,
            _ => GATHER_UNDER_WAY,
        };
        if let Some(wait) = context.news.hold(&key, patience) {
            return Ok(sooner(next(&plan), wait));
        }
        actor.status(&after).await?;
        for note in notes(&drpc, &after) {
            context.recorder.publish(&drpc.object_ref(&()), note).await;
        }
    }
    Ok(next(&plan))
}

/// A write was refused (a webhook, a quota, a missing right): that is shown, or nobody would learn why an order hangs.
/// Phase and progression stay as they are, for the plan was not carried out.
async fn tell_refusal(context: &Context, actor: &Actor<'_>, plan: &Plan, error: &ActError) {
    // What passes by itself (an API server that is busy) is nothing to tell.
    let ActError::Api { source: kube::Error::Api(answer), .. } = error else { return };
    if !matches!(answer.code, 400 | 403 | 404 | 413 | 422) {
        return;
    }
    let drpc = &actor.s.drpc;
    let before = drpc.status.clone().unwrap_or_default();
    let outlook = Outlook {
        phase: before.phase,
        progression: before.progression,
        available: Some(Verdict::no("Error", error.to_string())),
        peer_ready: None,
        started: None,
        ended: false,
        reported: plan.outlook.reported.clone(),
        waiting: None,
    };
    let after = status(actor.s, &Plan { actions: Vec::new(), outlook });
    if Some(&after) == drpc.status.as_ref() {
        return;
    }
    if let Err(unsaid) = actor.status(&after).await {
        tracing::warn!(drpc = %ObjectKey::of(drpc), %unsaid, "a refusal cannot be shown");
        return;
    }
    for note in notes(drpc, &after) {
        context.recorder.publish(&drpc.object_ref(&()), note).await;
    }
}

/// Nothing of ours is left on a DRPC or Placement that is going away.
fn is_released(s: &Snapshot) -> bool {
    let going = s.drpc.metadata.deletion_timestamp.is_some()
        || s.placement.present().is_some_and(|placement| placement.deleting);
    let ours = s.drpc.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRPC_FINALIZER);
    going && !ours
}

/// Whether a status says what somebody waits for: another phase, or whether the application is available and its peer
/// ready. How an action goes on in between is only told.
fn is_urgent(before: Option<&DRPlacementControlStatus>, after: &DRPlacementControlStatus) -> bool {
    let told = |status: &DRPlacementControlStatus| {
        let condition = |type_| condition::find(&status.conditions, type_).cloned().unwrap_or_default();
        let (available, peer) = (condition(types::AVAILABLE), condition(types::PEER_READY));
        let ended = status.progression == Progression::Completed;
        (status.phase.clone(), ended, status.observed_generation, available.status, available.reason, peer.status)
    };
    before.is_none_or(|before| told(before) != told(after))
}

fn sooner(next: Next, wait: Duration) -> Next {
    match next {
        Next::After(other) => Next::After(other.min(wait)),
        Next::Await | Next::BackOff => Next::After(wait),
    }
}

/// Watches wake the pass; while something is waited for, a bounded look is taken all the same.
fn next(plan: &Plan) -> Next {
    plan.outlook.waiting.as_ref().map_or(Next::Await, |waiting| Next::After(waiting.recheck))
}

/// Two DRPCs that could protect the same namespace on a common cluster: the one that came first goes on, the newcomer
/// is told (rule S22). Only discovered applications name namespaces; works of two managed ones must not collide.
fn conflict(caches: &Caches, s: &Snapshot) -> Option<String> {
    let mine = ObjectKey::of(&s.drpc);
    let name = s.drpc.metadata.name.as_deref().unwrap_or_default();
    let clusters: BTreeSet<&str> = s.sites.iter().map(|site| site.cluster.as_str()).collect();
    let namesakes = caches.drpcs.grouped(name).into_iter();
    let mut rivals = namesakes.filter(|other| {
        let other = other.as_ref();
        let namespace = other.metadata.annotations.iter().flatten().find(|(key, _)| *key == names::APP_NAMESPACE);
        let namespace = namespace.map(|(_, value)| value).or(other.metadata.namespace.as_ref());
        namespace == Some(&s.vrg_namespace) && ObjectKey::of(other) != mine && is_older(other, &s.drpc)
    });
    rivals.find_map(|other| {
        let policy = caches.policies.get(&ObjectKey::cluster(other.spec.dr_policy_ref.name.clone()?))?;
        policy.spec.dr_clusters.iter().find(|cluster| clusters.contains(cluster.as_str())).map(|cluster| {
            format!(
                "DRPlacementControl {} protects an application of the same name in namespace {} on {cluster} already; give \
                 this one another name",
                ObjectKey::of(other.as_ref()),
                s.vrg_namespace
            )
        })
    })
}

fn is_older(a: &DRPlacementControl, b: &DRPlacementControl) -> bool {
    let age = |drpc: &DRPlacementControl| {
        (drpc.metadata.creation_timestamp.as_ref().map(|time| time.0), drpc.metadata.uid.clone())
    };
    age(a) < age(b)
}

/// Events: one for each change of phase, and one where an order cannot be carried out.
fn notes(drpc: &DRPlacementControl, after: &DRPlacementControlStatus) -> Vec<Note> {
    let before = drpc.status.clone().unwrap_or_default();
    let mut notes = Vec::new();
    if before.phase != after.phase {
        notes.extend(match &after.phase {
            DRState::Deploying => Some(Note::normal("DRPCDeploying", "Deploying the application")),
            DRState::Deployed => Some(Note::normal("DRPCDeploySuccess", "The application is deployed")),
            DRState::FailingOver => Some(Note::warning("DRPCFailingOver", "Failing the application over")),
            DRState::FailedOver => Some(Note::normal("DRPCFailoverSuccess", "The application has failed over")),
            DRState::Relocating => Some(Note::normal("DRPCRelocating", "Relocating the application")),
            DRState::Relocated => Some(Note::normal("DRPCRelocationSuccess", "The application is relocated")),
            DRState::Unset | DRState::WaitForUser | DRState::Initiating | DRState::Deleting | DRState::Other(_) => None,
        });
    }
    let available = |status: &DRPlacementControlStatus| {
        condition::find(&status.conditions, types::AVAILABLE).cloned().unwrap_or_default()
    };
    let (was, is) = (available(&before), available(after));
    if is.is_false() && (was.reason, was.message) != (is.reason.clone(), is.message.clone()) {
        let refused = is.reason == "Error" || is.reason == "ValidationFailed";
        let fresh = matches!(after.phase, DRState::Unset | DRState::Deploying);
        let held_up = matches!(
            after.progression,
            Progression::CheckingFailoverPrerequisites
                | Progression::WaitForFencing
                | Progression::WaitForStorageMaintenanceActivation
        );
        if refused && fresh {
            notes.push(Note::warning("DRPCDeployFailed", is.message));
        } else if refused || held_up {
            notes.push(Note::warning("DRPCClusterSwitchFailed", is.message));
        }
    }
    notes
}
