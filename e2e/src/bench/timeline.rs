//! When each application reached what: watches over all of them, one per kind and cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use futures::StreamExt;
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::ground::Ground;
use kaedama_sandbox::world::look::describe;
use kaedama_shared::api::conditions::{drpc as drpc_types, vrg as vrg_types};
use kaedama_shared::api::ocm::PlacementDecision;
use kaedama_shared::api::ocm::placement::RETAINED_FOR_FAILOVER;
use kaedama_shared::api::{
    DRPlacementControl, DRState, Progression, ReplicationState, VolumeReplicationGroup, VolumeReplicationGroupReport,
    condition,
};
use kaedama_shared::report;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_all};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// What an application comes to in the course of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The placement decision names the target.
    Decided,
    /// The group on the target is primary, with its data ready and its objects stored.
    Ready,
    /// The DRPlacementControl says that the application is placed.
    Placed,
    /// And that everything was cleaned up, and the peer is ready.
    Completed,
    /// And that it is protected.
    Protected,
    /// It is gone.
    Gone,
}

impl Mark {
    /// As it is called in the report.
    pub fn name(self) -> &'static str {
        match self {
            Mark::Decided => "decision moved",
            Mark::Ready => "VRG ready",
            Mark::Placed => "placed",
            Mark::Completed => "completed",
            Mark::Protected => "protected",
            Mark::Gone => "gone",
        }
    }
}

/// What is under way for an application.
struct Run {
    since: Instant,
    phase: DRState,
    to: String,
    /// The generation that the order will have made.
    generation: i64,
    /// Those before it are not noted.
    first: Mark,
    marks: BTreeMap<Mark, Duration>,
}

#[derive(Default)]
struct State {
    runs: BTreeMap<String, Run>,
    drpcs: BTreeMap<String, DRPlacementControl>,
}

/// The watches, and what they have seen.
pub struct Timeline {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    _watches: Vec<AbortOnDropHandle<()>>,
}

impl Timeline {
    /// Begins to watch. An application is known by its namespace. In the sandbox the watches go past all links: they are no
    /// part of the world.
    ///
    /// # Errors
    /// There is no client of a cluster.
    pub fn start(world: &World) -> anyhow::Result<Self> {
        let (state, changed) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let embedded = matches!(world.options().ground, Ground::Embedded);
        let hub = if embedded { world.hub_server().client("kaedama-bench") } else { world.hub() };
        let mut watches = vec![
            follow(hub.clone(), &state, &changed, |state, drpc: DRPlacementControl, gone| state.drpc(drpc, gone)),
            follow(hub, &state, &changed, |state, decision: PlacementDecision, _| state.decision(&decision)),
        ];
        for cluster in world.clusters() {
            let client =
                if embedded { world.server(cluster)?.client("kaedama-bench") } else { world.cluster(cluster)? };
            let cluster = cluster.clone();
            // What the hub is told: the groups' own statuses follow at their leisure.
            let see = move |state: &mut State, told: VolumeReplicationGroupReport, gone: bool| {
                let group = told.status.filter(|_| !gone).and_then(|status| report::decode(&status.report).ok());
                if let Some(group) = group {
                    state.group(&cluster, &group);
                }
            };
            watches.push(follow(client, &state, &changed, see));
        }
        Ok(Timeline { state, changed, _watches: watches })
    }

    /// An action begins now.
    pub fn begin(&self, app: &str, phase: DRState, to: &str) {
        let mut state = self.lock();
        let generation = state.drpcs.get(app).and_then(|drpc| drpc.metadata.generation).unwrap_or(0) + 1;
        let first = Mark::Decided;
        let run = Run { since: Instant::now(), phase, to: to.to_owned(), generation, first, marks: BTreeMap::new() };
        state.runs.insert(app.to_owned(), run);
    }

    /// Goes on to wait for the end of an action that was ordered before, counting from now. Marks before `first` are of no
    /// interest any more; what it has come to already counts as reached at once.
    pub fn go_on(&self, app: &str, phase: DRState, to: &str, first: Mark) {
        let mut state = self.lock();
        let generation = state.drpcs.get(app).and_then(|drpc| drpc.metadata.generation).unwrap_or(0);
        let run = Run { since: Instant::now(), phase, to: to.to_owned(), generation, first, marks: BTreeMap::new() };
        state.runs.insert(app.to_owned(), run);
        if let Some(drpc) = state.drpcs.get(app).cloned() {
            state.drpc(drpc, false);
        }
    }

    /// Waits until every application that is under way has this mark.
    ///
    /// # Errors
    /// Some had not after `patience`; the text says how one of them stands.
    pub async fn all(&self, mark: Mark, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let news = self.changed.notified();
            let left = self.without(mark);
            let Some(first) = left.first() else { return Ok(()) };
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                let stands = self.lock().drpcs.get(first).map(describe).unwrap_or_default();
                bail!("{} applications are not {} after {patience:?}; {first}: {stands}", left.len(), mark.name());
            }
        }
    }

    fn without(&self, mark: Mark) -> Vec<String> {
        let state = self.lock();
        let missing = state.runs.iter().filter(|(_, run)| !run.marks.contains_key(&mark));
        missing.map(|(app, _)| app.clone()).collect()
    }

    /// How long each application took to each mark of its last action.
    pub fn durations(&self) -> BTreeMap<Mark, Vec<Duration>> {
        let mut all: BTreeMap<Mark, Vec<Duration>> = BTreeMap::new();
        for run in self.lock().runs.values() {
            for (mark, took) in &run.marks {
                all.entry(*mark).or_default().push(*took);
            }
        }
        all.values_mut().for_each(|took| took.sort());
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mark(&mut self, app: &str, mark: Mark, reached: impl Fn(&Run) -> bool) {
        let Some(run) = self.runs.get_mut(app) else { return };
        if mark >= run.first && !run.marks.contains_key(&mark) && reached(run) {
            run.marks.insert(mark, run.since.elapsed());
        }
    }

    fn drpc(&mut self, drpc: DRPlacementControl, gone: bool) {
        let app = drpc.metadata.namespace.clone().unwrap_or_default();
        if gone {
            self.drpcs.remove(&app);
            return self.mark(&app, Mark::Gone, |_| true);
        }
        let status = drpc.status.clone().unwrap_or_default();
        let is = |type_| condition::is_true(&status.conditions, type_);
        let placed = |run: &Run| {
            let seen = status.observed_generation >= run.generation;
            seen && status.phase == run.phase && is(drpc_types::AVAILABLE)
        };
        let completed =
            |run: &Run| placed(run) && status.progression == Progression::Completed && is(drpc_types::PEER_READY);
        self.mark(&app, Mark::Placed, placed);
        self.mark(&app, Mark::Completed, completed);
        self.mark(&app, Mark::Protected, |run| completed(run) && is(drpc_types::PROTECTED));
        self.drpcs.insert(app, drpc);
    }

    fn decision(&mut self, decision: &PlacementDecision) {
        let app = decision.metadata.namespace.clone().unwrap_or_default();
        self.mark(&app, Mark::Decided, |run| {
            let mut entries = decision.decisions().iter();
            entries.any(|entry| entry.cluster_name == run.to && entry.reason != RETAINED_FOR_FAILOVER)
        });
    }

    fn group(&mut self, cluster: &str, group: &VolumeReplicationGroup) {
        let app = group.metadata.namespace.clone().unwrap_or_default();
        let status = group.status.clone().unwrap_or_default();
        let generation = group.metadata.generation.unwrap_or_default();
        let is = |type_| condition::is_true_at(&status.conditions, type_, generation);
        let ready = group.spec.replication_state == ReplicationState::Primary
            && is(vrg_types::DATA_READY)
            && is(vrg_types::CLUSTER_DATA_READY);
        self.mark(&app, Mark::Ready, |run| ready && cluster == run.to);
    }
}

/// A watch that broke off is opened again soon, and always as soon: a cluster that comes back is seen at once, and a
/// figure never holds a pause that grew.
struct Soon;

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {}
}

/// Shows `see` every object of a kind as it comes, and whether it is gone.
fn follow<K>(
    client: Client,
    state: &Arc<Mutex<State>>,
    changed: &Arc<Notify>,
    see: impl Fn(&mut State, K, bool) + Send + 'static,
) -> AbortOnDropHandle<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let (state, changed) = (state.clone(), changed.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut events = std::pin::pin!(watch_all(Api::all(client), watcher::Config::default()).backoff(Soon));
        while let Some(event) = events.next().await {
            let (object, gone) = match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
                Ok(Event::Delete(object)) => (object, true),
                Ok(Event::Init | Event::InitDone) | Err(_) => continue,
            };
            see(&mut state.lock().unwrap_or_else(PoisonError::into_inner), object, gone);
            changed.notify_waiters();
        }
    }))
}
