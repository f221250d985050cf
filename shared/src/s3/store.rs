//! One bucket of one profile, and the operations on it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::capture::Remembered;
use super::connect::{self, Credentials, S3Options};
use super::error::{Operation, S3Error, S3ErrorKind};
use super::layout::AppId;
use crate::config::S3StoreProfile;
use crate::harness::metrics::HarnessMetrics;

/// S3's own limit of keys in one DeleteObjects.
const DELETE_BATCH: usize = 1000;
/// Objects that are deleted at the same time from a store that does not know that request.
const DELETES: usize = 8;

/// An object as it was read.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// Its body.
    pub body: Vec<u8>,
    /// Its entity tag, for a later conditional write. Opaque; with its quotes.
    pub etag: String,
}

/// The condition of a write.
enum Condition<'a> {
    None,
    Absent,
    Matches(&'a str),
}

/// The store of one profile. A clone is the same store: connections and memory are shared.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    profile: String,
    bucket: String,
    client: Client,
    deadline: Duration,
    retries: u32,
    retry_pause: Duration,
    metrics: Option<HarnessMetrics>,
    /// The store refused to delete several objects in one request.
    deletes_singly: AtomicBool,
    memory: Mutex<HashMap<AppId, Remembered>>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("profile", &self.inner.profile)
            .field("bucket", &self.inner.bucket)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// The store of a profile. No request is sent.
    ///
    /// # Errors
    /// [`S3ErrorKind::Config`] with the field of the profile that is wrong.
    pub fn connect(profile: &S3StoreProfile, credentials: &Credentials, options: &S3Options) -> Result<Self, S3Error> {
        let client = connect::client(profile, credentials, options)?;
        Ok(Self {
            inner: Arc::new(Inner {
                profile: profile.s3_profile_name.clone(),
                bucket: profile.s3_bucket.clone(),
                client,
                deadline: options.deadline,
                retries: options.retries,
                retry_pause: options.retry_pause,
                metrics: options.metrics.clone(),
                deletes_singly: AtomicBool::new(false),
                memory: Mutex::new(HashMap::new()),
            }),
        })
    }

    /// The name of its profile.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.inner.profile
    }

    /// The name of its bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.inner.bucket
    }

    /// Proves that the bucket is there and may be used (HeadBucket).
    ///
    /// # Errors
    /// [`S3ErrorKind::NoBucket`], [`S3ErrorKind::Denied`], [`S3ErrorKind::Unreachable`] or a configuration error.
    pub async fn head_bucket(&self) -> Result<(), S3Error> {
        let operation = Operation::HeadBucket;
        let attempt = || {
            let request = self.inner.client.head_bucket().bucket(&self.inner.bucket);
            async move { request.send().await.map(drop).map_err(|error| self.sdk(operation, "", error)) }
        };
        self.within_deadline(operation, "", self.repeating(attempt)).await
    }

    /// All keys that begin with `prefix`, in the store's order (by bytes). All pages share one deadline.
    ///
    /// # Errors
    /// Any [`S3Error`]; never a part of the keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, S3Error> {
        let operation = Operation::List;
        let pages = async {
            let mut keys = Vec::new();
            let mut token: Option<String> = None;
            loop {
                let attempt = || {
                    let request = self
                        .inner
                        .client
                        .list_objects_v2()
                        .bucket(&self.inner.bucket)
                        .prefix(prefix)
                        .set_continuation_token(token.clone());
                    async move { request.send().await.map_err(|error| self.sdk(operation, prefix, error)) }
                };
                let page = self.repeating(attempt).await?;
                keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
                token = page.next_continuation_token;
                if page.is_truncated != Some(true) {
                    return Ok(keys);
                }
                if token.is_none() {
                    // Going on would read the first page for ever; stopping would hide keys.
                    let detail = "the listing says that it goes on, and not where";
                    return Err(self.error(operation, prefix, S3ErrorKind::Other, detail));
                }
            }
        };
        self.within_deadline(operation, prefix, pages).await
    }

    /// The object under `key`.
    ///
    /// # Errors
    /// [`S3ErrorKind::Absent`] only if the store says so; else any [`S3Error`].
    pub async fn get(&self, key: &str) -> Result<StoredObject, S3Error> {
        let operation = Operation::Get;
        let attempt = || {
            let request = self.inner.client.get_object().bucket(&self.inner.bucket).key(key);
            async move {
                let answer = request.send().await.map_err(|error| self.sdk(operation, key, error))?;
                let etag = answer.e_tag.unwrap_or_default();
                let body = answer.body.collect().await.map_err(|error| {
                    self.error(operation, key, S3ErrorKind::Unreachable, "the connection broke off within the body")
                        .caused_by(error)
                })?;
                Ok(StoredObject { body: body.into_bytes().to_vec(), etag })
            }
        };
        self.within_deadline(operation, key, self.repeating(attempt)).await
    }

    /// Writes `body` under `key`, whatever is there; returns the new entity tag.
    ///
    /// # Errors
    /// Any [`S3Error`]. After [`S3ErrorKind::Unreachable`] the object may have been written.
    pub async fn put(&self, key: &str, body: Vec<u8>) -> Result<String, S3Error> {
        let attempt = || self.put_once(key, body.clone(), &Condition::None);
        self.within_deadline(Operation::Put, key, self.repeating(attempt)).await
    }

    /// Writes `body` under `key` if nothing is there; returns the new entity tag. Not repeated.
    ///
    /// # Errors
    /// [`S3ErrorKind::Conflict`] if something is there. After [`S3ErrorKind::Unreachable`] it may have been written.
    pub async fn put_if_absent(&self, key: &str, body: Vec<u8>) -> Result<String, S3Error> {
        self.within_deadline(Operation::Put, key, self.put_once(key, body, &Condition::Absent)).await
    }

    /// Writes `body` under `key` if what is there has this entity tag; returns the new one. Not repeated.
    ///
    /// # Errors
    /// [`S3ErrorKind::Conflict`] if something else or nothing is there. After [`S3ErrorKind::Unreachable`] it may have
    /// been written.
    pub async fn put_if_match(&self, key: &str, body: Vec<u8>, etag: &str) -> Result<String, S3Error> {
        let put = self.put_once(key, body, &Condition::Matches(etag));
        self.within_deadline(Operation::Put, key, put).await.map_err(|mut error| {
            // Some stores answer NoSuchKey when there is nothing to match.
            if error.kind == S3ErrorKind::Absent {
                error.kind = S3ErrorKind::Conflict;
            }
            error
        })
    }

    fn put_once<'a>(
        &'a self,
        key: &'a str,
        body: Vec<u8>,
        condition: &Condition<'_>,
    ) -> impl Future<Output = Result<String, S3Error>> + Send + use<'a> {
        let request = self.inner.client.put_object().bucket(&self.inner.bucket).key(key).body(ByteStream::from(body));
        let request = match condition {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(etag) => request.if_match(*etag),
        };
        async move {
            let request = request.customize().mutate_request(|request| {
                // The SDK would add a default one; Ramen's objects have none.
                request.headers_mut().remove("content-type");
            });
            let answer = request.send().await.map_err(|error| self.sdk(Operation::Put, key, error))?;
            Ok(answer.e_tag.unwrap_or_default())
        }
    }

    /// Deletes the object under `key`. That nothing is there is no error.
    ///
    /// # Errors
    /// Any [`S3Error`] but absence.
    pub async fn delete(&self, key: &str) -> Result<(), S3Error> {
        let operation = Operation::Delete;
        let attempt = || {
            let request = self.inner.client.delete_object().bucket(&self.inner.bucket).key(key);
            async move {
                match request.send().await.map_err(|error| self.sdk(operation, key, error)) {
                    Err(error) if !error.is_absent() => Err(error),
                    _ => Ok(()),
                }
            }
        };
        self.within_deadline(operation, key, self.repeating(attempt)).await
    }

    /// Deletes several objects, 1000 per request. Keys that are not there are no error; no keys, no request.
    ///
    /// A store that refuses the request as it is sent today, with a checksum in place of the older Content-MD5, is asked
    /// for one object after the other from then on.
    ///
    /// # Errors
    /// The first failure; the others may have been deleted.
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), S3Error> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.within_deadline(Operation::Delete, first, async {
            for batch in keys.chunks(DELETE_BATCH) {
                if !self.inner.deletes_singly.load(Ordering::Relaxed) {
                    match self.repeating(|| self.delete_batch(batch)).await {
                        Err(error) if matches!(error.kind, S3ErrorKind::Other | S3ErrorKind::Unsupported) => {
                            tracing::info!(%error, "objects are deleted one at a time from now on");
                            self.inner.deletes_singly.store(true, Ordering::Relaxed);
                        }
                        result => {
                            result?;
                            continue;
                        }
                    }
                }
                let singly = stream::iter(batch.to_vec()).map(|key| async move { self.delete(&key).await });
                singly.buffer_unordered(DELETES).try_collect::<()>().await?;
            }
            Ok(())
        })
        .await
    }

    async fn delete_batch(&self, keys: &[String]) -> Result<(), S3Error> {
        let operation = Operation::Delete;
        let first = keys.first().map(String::as_str).unwrap_or_default();
        let built = |error| self.error(operation, first, S3ErrorKind::Other, "request not built").caused_by(error);
        let mut delete = Delete::builder().quiet(true);
        for key in keys {
            delete = delete.objects(ObjectIdentifier::builder().key(key).build().map_err(built)?);
        }
        let delete = delete.build().map_err(built)?;
        let request = self.inner.client.delete_objects().bucket(&self.inner.bucket).delete(delete);
        let answer = request.send().await.map_err(|error| self.sdk(operation, first, error))?;
        let refused = answer.errors().iter().find(|error| error.code() != Some("NoSuchKey"));
        match refused {
            None => Ok(()),
            Some(error) => Err(S3Error::from_code(
                self.profile(),
                operation,
                error.key().unwrap_or(first),
                error.code().unwrap_or_default(),
                error.message().unwrap_or_default(),
            )),
        }
    }

    /// Deletes every object whose key begins with `prefix`; returns how many there were. An empty prefix is refused.
    ///
    /// # Errors
    /// Any [`S3Error`]; some objects may have been deleted.
    pub async fn delete_prefix(&self, prefix: &str) -> Result<usize, S3Error> {
        if prefix.trim_matches('/').is_empty() {
            let detail = "refused to delete everything in the bucket";
            return Err(self.error(Operation::Delete, prefix, S3ErrorKind::Other, detail));
        }
        let keys = self.list(prefix).await?;
        self.delete_many(&keys).await?;
        Ok(keys.len())
    }

    /// What this process knows of the applications in the bucket.
    pub(super) fn memory(&self) -> MutexGuard<'_, HashMap<AppId, Remembered>> {
        self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, operation: Operation, key: &str, kind: S3ErrorKind, detail: &str) -> S3Error {
        S3Error::new(self.profile(), operation, key, kind, detail)
    }

    fn sdk<E>(
        &self,
        operation: Operation,
        key: &str,
        error: aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> S3Error
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        S3Error::from_sdk(self.profile(), operation, key, error)
    }

    async fn repeating<T, F, A>(&self, attempt: F) -> Result<T, S3Error>
    where
        F: Fn() -> A,
        A: Future<Output = Result<T, S3Error>>,
    {
        let mut repeated = 0;
        loop {
            match attempt().await {
                Err(error) if error.is_unreachable() && repeated < self.inner.retries => {
                    repeated += 1;
                    tracing::debug!(%error, repeated, "S3 operation is repeated");
                    tokio::time::sleep(self.inner.retry_pause).await;
                }
                result => return result,
            }
        }
    }

    async fn within_deadline<T>(
        &self,
        operation: Operation,
        key: &str,
        work: impl Future<Output = Result<T, S3Error>>,
    ) -> Result<T, S3Error> {
        let begun = Instant::now();
        let answer = tokio::time::timeout(self.inner.deadline, work).await;
        if let Some(metrics) = &self.inner.metrics {
            metrics.s3_operation(self.profile(), operation.word(), outcome(&answer), begun.elapsed());
        }
        answer.unwrap_or_else(|_| {
            let detail = format!("no answer within {:?}", self.inner.deadline);
            Err(self.error(operation, key, S3ErrorKind::Unreachable, &detail))
        })
    }
}

/// How an operation ended, for the metrics.
fn outcome<T>(answer: &Result<Result<T, S3Error>, Elapsed>) -> &'static str {
    match answer {
        Ok(Ok(_)) => "ok",
        Ok(Err(error)) => match error.kind {
            S3ErrorKind::Absent => "not_found",
            S3ErrorKind::Conflict => "conflict",
            _ => "error",
        },
        Err(_) => "timeout",
    }
}
