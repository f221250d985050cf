//! The S3 stores of the groups: reading for a restore, claiming, clearing, and keeping them up to date.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Stores`] | the stores of all groups |
//! | `memory` | what is known of one store of one group, and when it is tried again |
//! | `probe` | noticing that a store is back |
//! | `content` | between what the stores hold and what decisions know |
//! | `clear` | what goes from the stores with the group |
//!
//! Writing goes on beside the passes: a store that does not answer holds no pass up. What was written is remembered
//! per group and store; a store that fails is tried again with growing delays, apart from the healthy ones.

mod clear;
mod content;
mod memory;
mod probe;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::core::v1::Secret;
use kaedama_shared::clock::Clock;
use kaedama_shared::config::{ProfileChoice, RamenConfig, S3StoreProfile};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::Cache;
use kaedama_shared::s3::capture::{self, CaptureError, raise_epoch, read_newest_capture, write_capture_beside};
use kaedama_shared::s3::{
    Credentials, Operation, PerStore, S3Error, S3ErrorKind, S3Options, S3Store, StorePool, StoreSet,
};
use kaedama_shared::seen::Seen;
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::vrg::order::{Intent, Order, Role, Writer};
use crate::vrg::recovery::{self, Capture, PartKey};
use crate::vrg::snapshot::{EpochClaim, Holdings, StoreRead, StoreView};
use content::{Job, app, fingerprint, judged, record, unwritable};
use memory::{Memory, satisfies};

/// In a failover, how long a silent store is waited for once another has given a complete set.
const PATIENCE: Duration = Duration::from_secs(3);
/// The stores of all groups of this cluster.
pub struct Stores {
    pool: StorePool,
    clock: Clock,
    namespace: String,
    client: Client,
    secrets: Cache<Secret>,
    config: Mutex<Result<Arc<RamenConfig>, String>>,
    memory: Mutex<HashMap<ObjectKey, HashMap<String, Memory>>>,
    /// Stores that could not be reached and are asked whether they are back.
    probed: Mutex<BTreeSet<String>>,
    /// Told when something of a group's stores has changed.
    wake: UnboundedSender<ObjectKey>,
    tasks: TaskTracker,
}

impl Stores {
    /// No store is opened yet.
    #[must_use]
    pub fn new(
        options: S3Options,
        client: Client,
        namespace: &str,
        secrets: Cache<Secret>,
        wake: UnboundedSender<ObjectKey>,
    ) -> Self {
        let clock = options.clock;
        Self {
            pool: StorePool::new(options),
            clock,
            namespace: namespace.to_owned(),
            client,
            secrets,
            config: Mutex::new(Err("the operator's configuration has not been read yet".to_owned())),
            memory: Mutex::default(),
            probed: Mutex::default(),
            wake,
            tasks: TaskTracker::new(),
        }
    }

    /// The configuration that profiles are looked up in from now on.
    pub fn configure(&self, config: Result<Arc<RamenConfig>, String>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Waits for writes that are under way.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What is known of a group's stores. Of what this cluster knew as another writer, or before it was a secondary,
    /// nothing is believed: others have written since.
    #[must_use]
    pub fn views(&self, group: &ObjectKey, order: &Order) -> Vec<StoreView> {
        let mut memory = self.lock();
        if order.role == Role::Secondary {
            memory.remove(group);
        }
        let of_group = memory.entry(group.clone()).or_default();
        order
            .profiles
            .iter()
            .map(|profile| {
                let fingerprint = self.profile(profile).map(|profile| fingerprint(&profile)).unwrap_or_default();
                let known = of_group.entry(profile.clone()).or_default();
                if known.fingerprint != fingerprint || known.epoch != order.writer.epoch {
                    *known = Memory {
                        fingerprint: fingerprint.clone(),
                        epoch: order.writer.epoch,
                        busy: known.busy,
                        ..Memory::default()
                    };
                }
                StoreView {
                    profile: profile.clone(),
                    fingerprint,
                    holds: known.holds.clone(),
                    failure: known.failure.clone(),
                }
            })
            .collect()
    }

    /// The group is gone: nothing of it is remembered.
    pub fn forget(&self, group: &ObjectKey) {
        self.lock().remove(group);
    }

    /// Reads every store for the newest complete set. All at the same time; in a failover a silent one is not waited for
    /// to the end once another has given a set.
    pub async fn read(&self, group: &ObjectKey, order: &Order) -> Vec<(String, StoreRead)> {
        let app = app(group);
        let planned = order.intent == Intent::Relocate || order.intent.is_way_back();
        let reads = order.profiles.iter().map(|profile| {
            let app = app.clone();
            async move {
                let mut set = StoreSet::default();
                set.push(profile.clone(), self.open(profile).await);
                (profile.clone(), judged(read_newest_capture(&set, &app).await, planned))
            }
        });
        let mut running: futures::stream::FuturesUnordered<_> = reads.collect();
        let mut answers: BTreeMap<String, StoreRead> = BTreeMap::new();
        let mut limit: Option<Instant> = None;
        loop {
            use futures::StreamExt as _;
            let next = tokio::select! {
                biased;
                next = running.next() => next,
                () = tokio::time::sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => None,
            };
            let Some((profile, read)) = next else { break };
            if order.intent == Intent::Failover && matches!(&read, StoreRead::Set(set) if set.gaps.is_empty()) {
                limit.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            answers.insert(profile, read);
        }
        self.learn(group, &answers);
        let silent = || StoreRead::Unreadable(format!("no answer within {PATIENCE:?} after another store answered"));
        order.profiles.iter().map(|profile| (profile.clone(), answers.remove(profile).unwrap_or_else(silent))).collect()
    }

    /// What was read from a store need not be written to it again.
    fn learn(&self, group: &ObjectKey, answers: &BTreeMap<String, StoreRead>) {
        let mut memory = self.lock();
        let of_group = memory.entry(group.clone()).or_default();
        for (profile, read) in answers {
            let StoreRead::Set(set) = read else { continue };
            if set.capture.is_none() {
                continue;
            }
            let volumes = set.volumes.iter().map(|volume| {
                let name = volume.metadata.name.clone().unwrap_or_default();
                (PartKey::Volume(name), recovery::store_volume(volume).digest)
            });
            let claims = set
                .claims
                .iter()
                .map(|claim| (PartKey::Claim(ObjectKey::of(claim)), recovery::store_claim(claim).digest));
            let holds = Holdings { parts: volumes.chain(claims).collect(), group: String::new() };
            let known = of_group.entry(profile.clone()).or_default();
            known.holds = Some(holds);
            known.seen = Some(Instant::now());
        }
    }

    /// Tells the stores that this cluster is the writer. `silent` says which are known not to answer.
    pub async fn claim(&self, group: &ObjectKey, order: &Order, silent: &(dyn Fn(&str) -> bool + Sync)) -> EpochClaim {
        let mut set = StoreSet::default();
        let mut missed: Vec<String> = Vec::new();
        for profile in &order.profiles {
            if silent(profile) {
                missed.push(format!("{profile}: could not be read"));
            } else {
                set.push(profile.clone(), self.open(profile).await);
            }
        }
        let results = raise_epoch(&set, &app(group), &record(&order.writer)).await;
        let mut taken = 0;
        for PerStore { profile, result } in results {
            match result {
                Ok(()) => taken += 1,
                Err(error) if error.is_superseded() => {
                    return EpochClaim::Refused(format!("a newer primary is known: {error}"));
                }
                // What was changed after it was read may hold more than what is about to be restored.
                Err(error @ CaptureError::Changed { .. }) => return EpochClaim::Refused(error.to_string()),
                Err(error) => missed.push(format!("{profile}: {error}")),
            }
        }
        match (taken, missed.is_empty()) {
            (0, _) => EpochClaim::Refused(format!("no store could be told of the new primary: {}", missed.join("; "))),
            (_, true) => EpochClaim::Made(None),
            (_, false) => EpochClaim::Made(Some(missed.join("; "))),
        }
    }

    /// Brings the stores to hold `capture`, beside the passes, and looks from time to time whether they still do. Returns
    /// when a store is due again.
    pub fn keep(self: &Arc<Self>, group: &ObjectKey, uid: &str, order: &Order, capture: &Capture) -> Option<Duration> {
        let now = Instant::now();
        let mut due: Vec<(String, bool)> = Vec::new();
        let mut look: Vec<String> = Vec::new();
        let mut next: Option<Instant> = None;
        {
            let mut memory = self.lock();
            let of_group = memory.entry(group.clone()).or_default();
            for profile in &order.profiles {
                let known = of_group.entry(profile.clone()).or_default();
                if known.busy {
                    continue;
                }
                let holds = known.holds.as_ref().is_some_and(|holds| satisfies(holds, capture));
                let at = if holds { Some(known.look_at(group)) } else { known.retry_at };
                match at.filter(|at| *at > now) {
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {
                        known.busy = true;
                        match holds {
                            true => look.push(profile.clone()),
                            false => due.push((profile.clone(), known.failure.is_some())),
                        }
                    }
                }
            }
        }
        for profile in look {
            let (stores, group, writer) = (self.clone(), group.clone(), order.writer.clone());
            self.tasks.spawn(async move { stores.look_again(group, profile, writer).await });
        }
        // A store that failed before is written on its own, so that it holds no healthy one up.
        let (failing, healthy): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, failing)| *failing);
        let alone = failing.into_iter().map(|(profile, _)| vec![profile]);
        let together: Vec<String> = healthy.into_iter().map(|(profile, _)| profile).collect();
        for profiles in alone.chain([together]).filter(|profiles| !profiles.is_empty()) {
            let job = Job {
                group: group.clone(),
                uid: uid.to_owned(),
                writer: order.writer.clone(),
                profiles,
                all: order.profiles.clone(),
                capture: capture.clone(),
            };
            let stores = self.clone();
            self.tasks.spawn(async move { stores.write(job).await });
        }
        next.map(|at| at.saturating_duration_since(now))
    }

    async fn write(self: &Arc<Self>, job: Job) {
        let mut set = StoreSet::default();
        for profile in &job.profiles {
            set.push(profile.clone(), self.open(profile).await);
        }
        let mut beside = StoreSet::default();
        for profile in job.all.iter().filter(|profile| !job.profiles.contains(profile)) {
            beside.push(profile.clone(), self.open(profile).await);
        }
        let results = match job.set(&self.clock) {
            Ok(content) => write_capture_beside(&set, &beside, &app(&job.group), &content)
                .await
                .into_iter()
                .map(|answer| (answer.profile, answer.result.map(drop)))
                .collect(),
            Err(error) => job
                .profiles
                .iter()
                .map(|profile| (profile.clone(), Err(unwritable(profile, &error))))
                .collect::<Vec<_>>(),
        };
        let now = self.clock.now_seconds();
        {
            let mut memory = self.lock();
            let of_group = memory.entry(job.group.clone()).or_default();
            for (profile, result) in results {
                let known = of_group.entry(profile.clone()).or_default();
                known.busy = false;
                if known.epoch != job.writer.epoch {
                    // Written as the writer of another action: what was learnt is out of date.
                    continue;
                }
                match result {
                    Ok(()) => known.done(&job.capture),
                    Err(error) => {
                        known.failed(&error, now);
                        if matches!(&error, CaptureError::Store(error) if error.is_unreachable()) {
                            self.await_return(&profile);
                        }
                    }
                }
            }
        }
        // The receiver is gone only when the operator stops.
        let _ = self.wake.unbounded_send(job.group);
    }

    /// Asks a store whether it still holds what it did.
    async fn look_again(self: &Arc<Self>, group: ObjectKey, profile: String, writer: Writer) {
        let mut set = StoreSet::default();
        set.push(profile.clone(), self.open(&profile).await);
        let answer = capture::look_again(&set, &app(&group), &record(&writer)).await.pop().map(|answer| answer.result);
        let now = self.clock.now_seconds();
        {
            let mut memory = self.lock();
            let known = memory.entry(group.clone()).or_default().entry(profile.clone()).or_default();
            known.busy = false;
            match answer {
                // What was learnt is of another action.
                _ if known.epoch != writer.epoch => {}
                None | Some(Ok(true)) => known.looked(true),
                Some(Ok(false)) => {
                    tracing::warn!(%group, store = profile, "the store does not hold what was stored; it is stored again");
                    known.looked(false);
                }
                Some(Err(error)) => {
                    let unreachable = matches!(&error, CaptureError::Store(error) if error.is_unreachable());
                    known.failed(&error, now);
                    if unreachable {
                        self.await_return(&profile);
                    }
                }
            }
        }
        // The receiver is gone only when the operator stops.
        let _ = self.wake.unbounded_send(group);
    }

    async fn open(&self, name: &str) -> Result<S3Store, S3Error> {
        let wrong = |field: &'static str, text: String| {
            S3Error::new(name, Operation::Open, "", S3ErrorKind::Config(field), text)
        };
        let profile = self.profile(name).map_err(|why| wrong("s3StoreProfiles", why))?;
        let (namespace, secret) = profile.secret(&self.namespace);
        let key = ObjectKey::namespaced(namespace, secret);
        let seen = match namespace == self.namespace {
            true => self.secrets.seen(&key),
            false => {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                Seen::from_api(api.get_opt(secret).await).map(Arc::new)
            }
        };
        let secret = match seen {
            Seen::Present(secret) => secret,
            Seen::Absent => return Err(wrong("s3SecretRef", format!("Secret {key} does not exist"))),
            Seen::Unknown(why) => return Err(wrong("s3SecretRef", format!("Secret {key} cannot be read: {why}"))),
        };
        let credentials = Credentials::from_secret(&secret).map_err(|error| wrong("s3SecretRef", error.to_string()))?;
        self.pool.open(&profile, &credentials)
    }

    fn profile(&self, name: &str) -> Result<S3StoreProfile, String> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        match config.s3_profile(name).map_err(|error| error.to_string())? {
            ProfileChoice::Store(profile) => Ok(profile.clone()),
            ProfileChoice::None => Err(format!("profile {name} stands for no store")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, HashMap<String, Memory>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
