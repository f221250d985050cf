//! An S3 store in memory.
//!
//! One [`S3Server`] is one store with its own buckets, access key, faults and request count. It is spoken to in three
//! ways, and all three go through the same signature check and the same operations:
//!
//! * [`S3Server::http_client`]: a transport for the AWS SDK, in this process, without a socket, so that it works in virtual
//!   time;
//! * [`S3Network`]: the same for several stores, told apart by the host of their endpoint, with connections that can be cut
//!   per client;
//! * [`S3Server::serve`]: HTTP on a listener, for programs outside.
//!
//! | module | what lives there |
//! |---|---|
//! | `buckets` | the objects, and conditional writes under one lock |
//! | `service` | the S3 operations, on the `s3s` crate |
//! | `access` | signatures, the request count, faults that the store answers with |
//! | `transport` | the ways in, and faults of the connection |
//!
//! Not supported, and answered with `NotImplemented`: multi-part uploads, copies, versions, tags, policies.

mod access;
mod buckets;
mod service;
mod transport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaedama_shared::clock::Clock;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use buckets::Buckets;
pub use transport::S3Network;

/// What a store is made with.
#[derive(Clone, Debug)]
pub struct S3ServerOptions {
    /// The access key id that it knows.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Buckets that exist from the start.
    pub buckets: Vec<String>,
    /// Its clock: gives `LastModified`, and refuses requests whose date is more than 15 minutes off.
    pub clock: Clock,
    /// Whether it knows `If-Match` and `If-None-Match` on writes; if not, it answers them with `NotImplemented`.
    pub conditional_writes: bool,
    /// Whether it deletes several objects in one request without `Content-MD5`; if not, it answers that with
    /// `InvalidRequest`, as older stores do.
    pub deletes_without_md5: bool,
}

impl S3ServerOptions {
    /// A store with one bucket and the access key `access`/`secret`.
    #[must_use]
    pub fn new(bucket: impl Into<String>, clock: Clock) -> Self {
        Self {
            access_key_id: "access".into(),
            secret_access_key: "secret".into(),
            buckets: vec![bucket.into()],
            clock,
            conditional_writes: true,
            deletes_without_md5: true,
        }
    }
}

/// An error that the store is told to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 503 `SlowDown`.
    SlowDown,
    /// 500 `InternalError`.
    InternalError,
    /// 403 `AccessDenied`.
    AccessDenied,
}

/// Faults in force.
#[derive(Debug, Default)]
struct Faults {
    down: bool,
    delay: Duration,
    failing: Option<(Failure, u32)>,
    lost_answers: u32,
    frozen: bool,
}

#[derive(Debug)]
struct State {
    options: S3ServerOptions,
    buckets: Mutex<Buckets>,
    faults: Mutex<Faults>,
    requests: Mutex<BTreeMap<&'static str, u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store. A clone is the same store.
#[derive(Clone, Debug)]
pub struct S3Server {
    state: Arc<State>,
    service: S3Service,
}

impl S3Server {
    /// A new store, with nothing in its buckets.
    #[must_use]
    pub fn new(options: S3ServerOptions) -> Self {
        let buckets = Buckets::with(&options.buckets);
        let state = Arc::new(State {
            options,
            buckets: Mutex::new(buckets),
            faults: Mutex::default(),
            requests: Mutex::default(),
        });
        let mut builder = S3ServiceBuilder::new(service::Operations(state.clone()));
        builder.set_auth(access::Keys(state.clone()));
        builder.set_access(access::Gate(state.clone()));
        // The library compares the date of a request with the machine's clock. The gate does it with the store's own
        // clock, which may be virtual, so the library's limit is put out of reach (136 years).
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { state, service: builder.build() }
    }

    /// Whether nobody can connect to it. It keeps its content.
    pub fn set_down(&self, down: bool) {
        lock(&self.state.faults).down = down;
    }

    /// Every request waits this long before it is looked at.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.state.faults).delay = delay;
    }

    /// The next `count` requests are answered with this error, and not carried out.
    pub fn fail_next(&self, count: u32, failure: Failure) {
        lock(&self.state.faults).failing = (count > 0).then_some((failure, count));
    }

    /// The next `count` writes are carried out, and the connection breaks before the answer.
    pub fn lose_next_answers(&self, count: u32) {
        lock(&self.state.faults).lost_answers = count;
    }

    /// Whether writes are answered with `AccessDenied`; reads go on. What a bucket policy or a full store looks like.
    pub fn set_read_only(&self, frozen: bool) {
        lock(&self.state.faults).frozen = frozen;
    }

    /// Requests that reached the store with a good signature since the last reset, by S3 operation.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.state.requests).clone()
    }

    /// The sum of [`S3Server::requests`].
    #[must_use]
    pub fn request_count(&self) -> u64 {
        lock(&self.state.requests).values().sum()
    }

    /// Begins to count anew.
    pub fn reset_requests(&self) {
        lock(&self.state.requests).clear();
    }

    /// The keys of a bucket, in order, past all faults and uncounted.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        lock(&self.state.buckets).keys(bucket)
    }

    /// The body of an object, past all faults and uncounted.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        Some(lock(&self.state.buckets).get(bucket, key)?.body.to_vec())
    }

    /// Puts an object as another client of the store would, past all faults and uncounted; makes the bucket if needed.
    pub fn insert(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>) {
        let now = self.state.options.clock.now();
        lock(&self.state.buckets).insert(bucket, key, body.into().into(), now);
    }

    /// Removes an object past all faults and uncounted; says whether it was there.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        lock(&self.state.buckets).remove(bucket, key)
    }

    /// Removes a bucket with all that is in it; says whether it was there.
    pub fn remove_bucket(&self, bucket: &str) -> bool {
        lock(&self.state.buckets).remove_bucket(bucket)
    }
}
