//! The server: what it is made of, and how it is made.

use crate::account::Accounting;
use crate::controllers;
use crate::discovery::Documents;
use crate::ids::Ids;
use crate::registry::Registry;
use crate::service::ApiService;
use crate::store::{Change, Key, Store};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the time of day comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Events kept per resource, for watches that resume and lists that continue. Older revisions answer 410.
    pub watch_history: usize,
    /// The version that `/version` reports, `v1.35.0`.
    pub version: String,
    /// Time between bookmarks of a watch that asked for them.
    pub bookmark_interval: Duration,
    /// Time after which a watch ends that did not ask for a time-out.
    pub watch_timeout: Duration,
    /// Seed of uids and generated names; random when absent.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            watch_history: 10_000,
            version: "v1.35.0".to_owned(),
            bookmark_interval: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1800),
            seed: None,
        }
    }
}

/// Makes an [`ApiServer`].
#[must_use]
pub struct ApiServerBuilder {
    name: String,
    clock: Option<Clock>,
    options: Options,
}

impl ApiServerBuilder {
    /// Sets the clock. Without it the time is that of the tokio runtime, counted from 2026-01-01: it stands still while a
    /// paused runtime does.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets how many events are kept per resource.
    pub fn watch_history(mut self, events: usize) -> Self {
        self.options.watch_history = events;
        self
    }

    /// Sets the version that `/version` reports, `v1.35.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = version.into();
        self
    }

    /// Sets the seed of uids and generated names, so that a run can be replayed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Sets all options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Makes the server. The controllers run on the current tokio runtime; when there is none, on that of the first request.
    pub fn build(self) -> ApiServer {
        let (changes, receiver) = mpsc::unbounded_channel();
        let clock = self.clock.unwrap_or_else(runtime_clock);
        let inner = Arc::new(Inner {
            name: self.name,
            clock,
            store: Store::new(self.options.watch_history, changes),
            registry: Registry::new(),
            accounting: Accounting::default(),
            ids: Ids::new(self.options.seed),
            options: self.options,
            documents: Documents::default(),
            expiries: Mutex::new(VecDeque::new()),
            addresses: AtomicU32::new(0),
            changes: Mutex::new(Some(receiver)),
            definitions: Mutex::new(()),
        });
        controllers::bootstrap(&inner);
        if tokio::runtime::Handle::try_current().is_ok() {
            inner.start();
        }
        ApiServer { inner }
    }
}

/// 2026-01-01T00:00:00Z and the time that the runtime has counted since.
fn runtime_clock() -> Clock {
    let start = std::sync::OnceLock::new();
    Arc::new(move || {
        let now = tokio::time::Instant::now();
        let since = now.duration_since(*start.get_or_init(|| now));
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Timestamp::new(
            1_767_225_600_i64.saturating_add(seconds),
            i32::try_from(since.subsec_nanos()).unwrap_or_default(),
        )
        .unwrap_or(Timestamp::MAX)
    })
}

/// An API server in this process. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Starts making a server with this name.
    pub fn builder(name: impl Into<String>) -> ApiServerBuilder {
        ApiServerBuilder { name: name.into(), clock: None, options: Options::default() }
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The server as a `tower` service: a transport for `kube::Client::new` that can be wrapped in layers.
    pub fn service(&self) -> ApiService {
        ApiService::new(Arc::clone(&self.inner))
    }

    /// A client of this server, in process, with this User-Agent. Its default namespace is `default`.
    pub fn client(&self, user_agent: &str) -> kube::Client {
        kube::Client::new(self.service().with_user_agent(user_agent), "default")
    }

    /// Counts of the requests so far.
    pub fn accounting(&self) -> &Accounting {
        &self.inner.accounting
    }

    /// The revision of the last write: what a list answers as its resourceVersion.
    pub fn revision(&self) -> u64 {
        self.inner.store.revision()
    }

    /// Drops all history, as a compaction of etcd does: watches and lists from older revisions answer 410.
    pub fn compact(&self) {
        self.inner.store.compact();
    }

    /// Ends every watch, as a restart of the API server does. Clients reconnect.
    pub fn end_watches(&self) {
        self.inner.store.end_watches();
    }
}

/// What all clones share.
pub(crate) struct Inner {
    pub name: String,
    pub clock: Clock,
    pub store: Store,
    pub registry: Registry,
    pub accounting: Accounting,
    pub ids: Ids,
    pub options: Options,
    /// OpenAPI documents of the resources that are served.
    pub documents: Documents,
    /// When events expire, in order: time, place, revision.
    pub expiries: Mutex<VecDeque<(Timestamp, Key, u64)>>,
    /// How many addresses services have been given.
    addresses: AtomicU32,
    changes: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
    /// Held while a CRD is being brought into the registry, so that two writes of one do not cross.
    pub definitions: Mutex<()>,
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The next address for a service, of 10.96.0.0/16. Addresses are not used again.
    pub(crate) fn next_address(&self) -> String {
        // The first ten are kept for those who choose theirs, as is 10.96.0.1 for the API itself.
        let number = 10 + self.addresses.fetch_add(1, Ordering::Relaxed) % 65_000;
        format!("10.96.{}.{}", number / 256, number % 256)
    }

    /// Starts the controllers, unless they run. Has to be called on a tokio runtime.
    pub(crate) fn start(self: &Arc<Self>) {
        let receiver = self.changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(receiver) = receiver {
            tokio::spawn(controllers::run(Arc::downgrade(self), receiver));
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("name", &self.name).finish_non_exhaustive()
    }
}
