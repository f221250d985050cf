//! Watches on the applied objects: one per resource and namespace, shared by all works.
//!
//! OCM's agent watches only objects whose feedback is scraped by `Watch`, up to a limit, and reads the others at an
//! interval. Here all are watched, and a change of an object that OCM would have polled is reported when that poll would
//! have seen it: the same delays at the hub, and no requests while nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use kaedama_shared::api::ocm::work::ResourceMeta;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::super::runtime::kinds::{Served, Versioned};
use super::super::runtime::{ObjectKey, backoff};

/// What is watched by one informer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    group: String,
    resource: String,
    namespace: String,
}

/// An object of some resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    scope: Scope,
    key: ObjectKey,
}

/// Something happened to an object of a work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The work.
    pub(super) work: String,
    /// OCM's agent would have watched the object, and it exists: report at once. Else report when OCM's agent would have
    /// polled.
    pub(super) at_once: bool,
}

struct Informer {
    live: Arc<AtomicBool>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    informers: BTreeMap<Scope, Informer>,
    /// Works by object, and whether OCM's agent would watch it for the work.
    works: BTreeMap<Target, BTreeMap<String, bool>>,
    /// What OCM's agent would watch.
    scraped: BTreeSet<Scope>,
    /// The objects of each work, where all that should be are watched as OCM's agent would.
    complete: BTreeMap<String, Vec<(Target, bool)>>,
}

/// The watches of one agent.
pub(super) struct Informers {
    client: Client,
    limit: usize,
    state: Arc<Mutex<State>>,
    notices: mpsc::UnboundedSender<Notice>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Informers {
    /// Tells of changes through the channel; at once for at most `limit` pairs of resource and namespace.
    pub(super) fn new(client: Client, limit: usize, notices: mpsc::UnboundedSender<Notice>) -> Self {
        Self { client, limit, state: Arc::default(), notices }
    }

    /// Makes the objects of a work exactly these, each with whether its feedback is scraped by watch. Tells whether all
    /// watches are live; while one is not, the objects have to be polled.
    pub(super) fn set(&self, work: &str, objects: &[(&ResourceMeta, &Served, bool)]) -> bool {
        let mut state = lock(&self.state);
        let targets: Vec<(Target, bool)> =
            objects.iter().map(|(meta, served, watched)| (target(meta, served), *watched)).collect();
        if state.complete.get(work) == Some(&targets) {
            let live =
                |scope| state.informers.get(scope).is_some_and(|known: &Informer| known.live.load(Ordering::Relaxed));
            return targets.iter().all(|(target, _)| live(&target.scope));
        }
        for works in state.works.values_mut() {
            works.remove(work);
        }
        let (mut all_live, mut complete) = (true, true);
        for ((target, watched), (_, served, _)) in targets.iter().cloned().zip(objects) {
            let scope = target.scope.clone();
            let watched = &watched;
            let at_once = *watched && (state.scraped.contains(&scope) || state.scraped.len() < self.limit);
            if at_once {
                state.scraped.insert(scope.clone());
            } else if *watched {
                tracing::debug!(resource = %scope.resource, namespace = %scope.namespace, "no watch left, polling");
                complete = false;
            }
            state.works.entry(target).or_default().insert(work.to_owned(), at_once);
            all_live &= self.watch(&mut state, scope, served);
        }
        state.works.retain(|_, works| !works.is_empty());
        let at_once = state.works.iter().filter(|(_, works)| works.values().any(|at_once| *at_once));
        state.scraped = at_once.map(|(target, _)| target.scope.clone()).collect();
        let wanted: BTreeSet<Scope> = state.works.keys().map(|target| target.scope.clone()).collect();
        state.informers.retain(|scope, _| wanted.contains(scope));
        match complete && !targets.is_empty() {
            true => state.complete.insert(work.to_owned(), targets),
            false => state.complete.remove(work),
        };
        all_live
    }

    /// Starts the watch of a scope where there is none. Tells whether it is live.
    fn watch(&self, state: &mut State, scope: Scope, served: &Served) -> bool {
        if let Some(informer) = state.informers.get(&scope) {
            return informer.live.load(Ordering::Relaxed);
        }
        let api = served.versions(&self.client, &scope.namespace);
        // A watch counts as live until it fails: its first list tells of everything that it might have missed.
        let live = Arc::new(AtomicBool::new(true));
        let task = follow(api, scope.clone(), self.state.clone(), live.clone(), self.notices.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        state.informers.insert(scope, Informer { live, _task: task });
        true
    }
}

fn target(meta: &ResourceMeta, served: &Served) -> Target {
    let namespace = if served.namespaced { meta.namespace.clone() } else { String::new() };
    let key = ObjectKey::new(&namespace, &meta.name);
    Target { scope: Scope { group: meta.group.clone(), resource: meta.resource.clone(), namespace }, key }
}

async fn follow(
    api: Api<Versioned>,
    scope: Scope,
    state: Arc<Mutex<State>>,
    live: Arc<AtomicBool>,
    notices: mpsc::UnboundedSender<Notice>,
) {
    let mut events = pin!(watcher(api, Config::default()));
    let mut failures = 0;
    let mut versions: BTreeMap<ObjectKey, Option<String>> = BTreeMap::new();
    let mut listed = BTreeMap::new();
    let tell = |key: &ObjectKey, exists: bool| {
        let target = Target { scope: scope.clone(), key: key.clone() };
        for (work, at_once) in lock(&state).works.get(&target).into_iter().flatten() {
            // The receiver lives as long as the agent; without it there is nobody to tell.
            let _ = notices.send(Notice { work: work.clone(), at_once: *at_once && exists });
        }
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(ObjectKey::of(&object), object.metadata.resource_version);
            }
            Ok(Event::InitDone) => {
                let before = std::mem::replace(&mut versions, std::mem::take(&mut listed));
                live.store(true, Ordering::Relaxed);
                failures = 0;
                for (key, version) in &versions {
                    if before.get(key) != Some(version) {
                        tell(key, true);
                    }
                }
                for key in before.keys().filter(|key| !versions.contains_key(key)) {
                    tell(key, false);
                }
            }
            Ok(Event::Apply(object)) => {
                let key = ObjectKey::of(&object);
                versions.insert(key.clone(), object.metadata.resource_version);
                tell(&key, true);
            }
            Ok(Event::Delete(object)) => {
                let key = ObjectKey::of(&object);
                versions.remove(&key);
                tell(&key, false);
            }
            Err(error) => {
                if failures == 0 {
                    tracing::debug!(resource = %scope.resource, namespace = %scope.namespace, %error, "watch failed");
                    live.store(false, Ordering::Relaxed);
                    // From now on these objects have to be polled.
                    let known = |target: &&Target| target.scope == scope;
                    let targets: Vec<ObjectKey> =
                        lock(&state).works.keys().filter(known).map(|target| target.key.clone()).collect();
                    targets.iter().for_each(|key| tell(key, false));
                }
                tokio::time::sleep(backoff(failures)).await;
                failures += 1;
            }
        }
    }
}
