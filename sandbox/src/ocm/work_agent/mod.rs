//! The work agent of one cluster: carries ManifestWorks from the hub to the cluster, and their status back.
//!
//! | module | what lives there |
//! |---|---|
//! | [`manifest`] | one manifest with the options that apply to it |
//! | [`apply`] | applying it by its update strategy; looking at what is on the cluster |
//! | [`merge`] | what the Update strategy makes of an existing object (pure) |
//! | [`owner`] | ownership by the AppliedManifestWork, and letting go of objects |
//! | [`informers`] | watches on the applied objects |
//! | [`feedback`], [`jsonpath`] | the values that are reported back (pure) |
//! | [`status`] | the status of a work (pure) |
//! | [`record`] | the AppliedManifestWork: what was applied, and letting go of what is not named any more |
//! | [`removal`] | the end of a work: deletion, and eviction of what the hub does not know |
//!
//! What differs from OCM's agent: executors, condition rules and `ignoreFields` are refused, each in the condition of
//! the manifest; AppliedManifestWorks of other hubs are left alone; the backoff ends at 2 s instead of 1000 s; a cluster
//! whose API server does not answer at all is taken for dead, agent included, so nothing is reported then.

mod apply;
mod feedback;
mod informers;
mod jsonpath;
mod manifest;
mod merge;
mod owner;
mod record;
mod removal;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaedama_shared::api::ocm::work::{AppliedManifestWork, ManifestWork, ManifestWorkStatus, WORK_FINALIZER};
use kaedama_shared::clock::Clock;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::runtime::kinds::Kinds;
use super::runtime::{
    Attempt, Change, Error, Guarded, ObjectKey, Pass, Queue, Store, backoff, follow, is_not_found, serve,
};
use apply::{Look, Outcome};
use feedback::Limits;
use informers::{Informers, Notice};
use manifest::Manifest;

/// How a work agent behaves. The defaults are those of OCM.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where times in objects come from.
    pub clock: Clock,
    /// URL of the hub, from which the names of AppliedManifestWorks are derived.
    pub hub_url: String,
    /// Identity of the agent, written into AppliedManifestWorks.
    pub agent_id: String,
    /// How often objects are polled that are not watched, and the delay of what is not scraped by watch.
    pub status_sync_interval: Duration,
    /// How often everything is applied again, which is what repairs drift.
    pub resync_interval: Duration,
    /// Most watches for feedback that is scraped by watch (one per resource and namespace); the rest is polled.
    pub max_feedback_watches: usize,
    /// Objects, lists and floats may be fed back as JSON text (OCM's gate `RawFeedbackJsonString`).
    pub raw_feedback_json: bool,
    /// Longest JSON text that is fed back, in bytes.
    pub max_json_raw_length: usize,
    /// How long objects of a work stay that the hub does not know any more.
    pub eviction_grace: Duration,
}

impl Options {
    /// OCM's defaults, with this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            hub_url: "https://hub".into(),
            agent_id: "work-agent".into(),
            status_sync_interval: Duration::from_secs(10),
            resync_interval: Duration::from_secs(300),
            max_feedback_watches: 50,
            raw_feedback_json: false,
            max_json_raw_length: 1024,
            eviction_grace: Duration::from_secs(3600),
        }
    }
}

/// Runs the work agent of a cluster until the future is dropped. Connections that fail, on either side, are tried
/// again every 2 s at the latest.
pub async fn run(hub: Client, spoke: Client, cluster: &str, options: Options) {
    let (notices, heard) = mpsc::unbounded_channel();
    let agent = Agent {
        works: Store::new(),
        applied: Store::new(),
        kinds: Kinds::new(spoke.clone()),
        informers: Informers::new(spoke.clone(), options.max_feedback_watches, notices),
        queue: Queue::new(),
        progress: Mutex::default(),
        refresh: Mutex::default(),
        disowned: Mutex::default(),
        hub_hash: hub_hash(&options.hub_url),
        cluster: cluster.to_owned(),
        options,
        hub,
        spoke,
    };
    let works: Api<Guarded<ManifestWork>> = Api::namespaced(agent.hub.clone(), cluster);
    let applied: Api<Guarded<AppliedManifestWork>> = Api::all(agent.spoke.clone());
    tokio::join!(
        follow(works, Config::default(), &agent.works, |change| agent.queue.add(ObjectKey::of(change.object()).name)),
        follow(applied, Config::default(), &agent.applied, |change| agent.applied_changed(&change)),
        agent.hear(heard),
        async {
            // Before both lists are complete, absence proves nothing.
            agent.works.ready().await;
            agent.applied.ready().await;
            serve("work-agent", &agent.queue, |name| agent.pass(name)).await;
        },
    );
}

/// SHA-256 in hex of the hub's URL.
fn hub_hash(url: &str) -> String {
    Sha256::digest(url.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Agent {
    hub: Client,
    spoke: Client,
    cluster: String,
    options: Options,
    hub_hash: String,
    works: Store<ManifestWork>,
    applied: Store<AppliedManifestWork>,
    kinds: Kinds,
    informers: Informers,
    queue: Queue<String>,
    /// What was done for each work. Only lost with the process: then everything is applied again.
    progress: Mutex<BTreeMap<String, Progress>>,
    /// When the status of each work is to be made again.
    refresh: Mutex<BTreeMap<String, Instant>>,
    /// Works whose AppliedManifestWork went away under them. Apart from the progress, which a pass under way will
    /// write when it ends.
    disowned: Mutex<BTreeSet<String>>,
}

#[derive(Clone)]
struct Progress {
    /// What was applied: uid, generation and labels of the work.
    of: Version,
    /// When it is applied again.
    apply_at: Instant,
    /// Tries in a row that left something to do.
    failures: u32,
    outcomes: Arc<Vec<(Manifest, Outcome)>>,
    /// The status as it was reported last.
    reported: ManifestWorkStatus,
    refreshed_at: Instant,
}

/// A change of any of these makes the agent apply a work at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    fn works_api(&self) -> Api<ManifestWork> {
        Api::namespaced(self.hub.clone(), &self.cluster)
    }

    fn applied_api(&self) -> Api<AppliedManifestWork> {
        Api::all(self.spoke.clone())
    }

    fn applied_name(&self, work: &str) -> String {
        format!("{}-{work}", self.hub_hash)
    }

    fn applied_changed(&self, change: &Change<'_, AppliedManifestWork>) {
        let spec = &change.object().spec;
        if spec.hub_hash != self.hub_hash {
            return;
        }
        if matches!(change, Change::Gone(_)) {
            // The owner of the work's objects is gone: it has to be made again.
            lock(&self.disowned).insert(spec.manifest_work_name.clone());
        }
        self.queue.add(spec.manifest_work_name.clone());
    }

    async fn hear(&self, mut notices: mpsc::UnboundedReceiver<Notice>) {
        while let Some(Notice { work, at_once }) = notices.recv().await {
            let refreshed = lock(&self.progress).get(&work).map(|progress| progress.refreshed_at);
            let Some(refreshed) = refreshed else { continue };
            let at = if at_once {
                Instant::now()
            } else {
                // The next tick of the poll that OCM's agent would do.
                let interval = self.options.status_sync_interval.max(Duration::from_millis(1));
                let ticks = refreshed.elapsed().as_nanos() / interval.as_nanos() + 1;
                refreshed + interval.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
            };
            self.refresh_at(&work, at);
            self.queue.add_at(work, at);
        }
    }

    fn refresh_at(&self, work: &str, at: Instant) {
        let mut refresh = lock(&self.refresh);
        let due = refresh.entry(work.to_owned()).or_insert(at);
        *due = (*due).min(at);
    }

    async fn pass(&self, name: String) -> Result<Pass, Error> {
        match self.works.get(&ObjectKey::new(&self.cluster, &name)) {
            None => self.missing(&name).await,
            Some(work) if work.metadata.deletion_timestamp.is_some() => self.remove(&work, &name).await,
            Some(work) => self.maintain(&work, &name).await,
        }
    }

    async fn maintain(&self, work: &ManifestWork, name: &str) -> Result<Pass, Error> {
        if !work.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == WORK_FINALIZER) {
            let mut finalizers = work.metadata.finalizers.clone().unwrap_or_default();
            finalizers.push(WORK_FINALIZER.into());
            self.set_work_finalizers(work, name, &finalizers).await?;
            // The write comes back as a change of the work.
            return Ok(Pass::Done);
        }
        let version = Version {
            uid: work.metadata.uid.clone(),
            generation: work.metadata.generation,
            labels: work.metadata.labels.clone(),
        };
        let known = lock(&self.progress).get(name).filter(|progress| progress.of.uid == version.uid).cloned();
        let disowned = lock(&self.disowned).remove(name);
        let mut progress = match known {
            Some(known) if known.of == version && known.apply_at > Instant::now() && !disowned => known,
            before => {
                let applied = self.apply(work, name, version, before).await;
                if disowned && applied.is_err() {
                    lock(&self.disowned).insert(name.to_owned());
                }
                let progress = applied?;
                self.refresh_at(name, Instant::now());
                lock(&self.progress).insert(name.to_owned(), progress.clone());
                progress
            }
        };
        self.refresh(work, name, &mut progress).await?;
        let refresh_at = lock(&self.refresh).get(name).copied().unwrap_or(progress.apply_at);
        let next = progress.apply_at.min(refresh_at);
        lock(&self.progress).insert(name.to_owned(), progress);
        Ok(Pass::Again(next.saturating_duration_since(Instant::now())))
    }

    /// Applies all manifests of a work and lets go of what it does not name any more.
    async fn apply(
        &self,
        work: &ManifestWork,
        name: &str,
        version: Version,
        before: Option<Progress>,
    ) -> Result<Progress, Error> {
        let manifests = manifest::manifests(&work.spec, &self.kinds).await?;
        let applied = self.applied_work(name).await?;
        let ours = owner::reference(&applied);
        let mut outcomes = Vec::new();
        for manifest in manifests {
            let outcome = if work.spec.executor.is_some() {
                let message = "executors are not supported by this agent".to_owned();
                Outcome::Failed { reason: "AppliedManifestFailed", message, retry: false }
            } else {
                apply::apply(&self.spoke, &manifest, &ours).await?
            };
            if let (true, Ok(served)) = (apply::kind_may_be_gone(&outcome), &manifest.served) {
                self.kinds.forget(&served.resource);
            }
            outcomes.push((manifest, outcome));
        }
        let settled = self.record_and_prune(&applied, &outcomes).await?;
        let retry = |outcome: &Outcome| matches!(outcome, Outcome::Failed { retry: true, .. });
        let unfinished = !settled || outcomes.iter().any(|(_, outcome)| retry(outcome));
        // A changed work starts its backoff anew.
        let failures = before.as_ref().filter(|before| before.of == version).map_or(0, |before| before.failures);
        let pause = if unfinished { backoff(failures) } else { self.options.resync_interval };
        let reported = before.map(|before| before.reported);
        Ok(Progress {
            of: version,
            apply_at: Instant::now() + pause,
            failures: if unfinished { failures.saturating_add(1) } else { 0 },
            outcomes: Arc::new(outcomes),
            reported: reported.or_else(|| work.status.clone()).unwrap_or_default(),
            refreshed_at: Instant::now(),
        })
    }

    /// Reports the status of a work where that is due.
    async fn refresh(&self, work: &ManifestWork, name: &str, progress: &mut Progress) -> Result<(), Error> {
        let due = lock(&self.refresh).get(name).is_some_and(|at| *at <= Instant::now());
        if !due {
            return Ok(());
        }
        // Taken out before looking: what changes from here on makes it due again.
        lock(&self.refresh).remove(name);
        let reported = self.report(work, name, progress).await;
        match &reported {
            Ok(false) => self.refresh_at(name, Instant::now() + self.options.status_sync_interval),
            Ok(true) => {}
            Err(_) => self.refresh_at(name, Instant::now()),
        }
        reported.map(|_| ())
    }

    /// Looks at all objects of a work and reports. Tells whether all of them are watched.
    async fn report(&self, work: &ManifestWork, name: &str, progress: &mut Progress) -> Result<bool, Error> {
        let watched: Vec<_> = progress
            .outcomes
            .iter()
            .filter_map(|(manifest, _)| {
                Some((&manifest.meta, manifest.served.as_ref().ok()?, manifest.options.watched))
            })
            .collect();
        let all_watched = self.informers.set(name, &watched);
        let mut seen = Vec::new();
        for (manifest, outcome) in progress.outcomes.iter() {
            let look: Look = apply::look(&self.spoke, manifest).await?;
            seen.push(status::Seen { manifest, outcome, look });
        }
        let limits =
            Limits { raw_json: self.options.raw_feedback_json, raw_json_length: self.options.max_json_raw_length };
        let generation = work.metadata.generation.unwrap_or_default();
        let now = self.options.clock.now_seconds();
        let status = status::status(&progress.reported, &seen, generation, limits, now);
        progress.refreshed_at = Instant::now();
        if status != progress.reported {
            self.write_status(name, &status).await?;
            progress.reported = status;
        }
        Ok(all_watched)
    }

    async fn write_status(&self, name: &str, status: &ManifestWorkStatus) -> Result<(), Error> {
        // Lists are written even when empty: a merge patch leaves alone what it does not name.
        let change = json!({"status": {
            "conditions": status.conditions,
            "resourceStatus": {"manifests": status.resource_status.manifests},
        }});
        match self.works_api().patch_status(name, &PatchParams::default(), &Patch::Merge(&change)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(|_| ()).attempt(|| format!("reporting the status of work {name}")),
        }
    }

    async fn set_work_finalizers(&self, work: &ManifestWork, name: &str, finalizers: &[String]) -> Result<(), Error> {
        let change = json!({"metadata": {"resourceVersion": work.metadata.resource_version, "finalizers": finalizers}});
        match self.works_api().patch(name, &PatchParams::default(), &Patch::Merge(&change)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(|_| ()).attempt(|| format!("changing the finalizers of work {name}")),
        }
    }
}
