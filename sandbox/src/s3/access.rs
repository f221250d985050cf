//! What every request passes before it is carried out: its signature, its date, the count, the faults.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::{Failure, State, lock};

/// How far the date of a request may be off, as in S3.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The operations that change something.
const WRITES: [&str; 4] = ["PutObject", "DeleteObject", "DeleteObjects", "CreateBucket"];

/// The access key of the store.
pub(super) struct Keys(pub(super) Arc<State>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.options.access_key_id {
            Ok(SecretKey::from(self.0.options.secret_access_key.as_str()))
        } else {
            Err(s3_error!(InvalidAccessKeyId, "The access key id does not exist in our records."))
        }
    }
}

/// Comes after the signature was found good, and before the operation.
pub(super) struct Gate(pub(super) Arc<State>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "A signature is required."));
        }
        let sent = request.headers().get("x-amz-date").and_then(|date| date.to_str().ok()).and_then(amz_date);
        let off = sent.map(|sent| self.0.options.clock.now().duration_since(sent).abs());
        if off.is_none_or(|off| off > MAX_SKEW) {
            return Err(s3_error!(RequestTimeTooSkewed, "The date of the request is too far from the store's."));
        }
        let operation = operation_name(request.s3_op().name());
        *lock(&self.0.requests).entry(operation).or_default() += 1;
        let mut faults = lock(&self.0.faults);
        if faults.frozen && WRITES.contains(&operation) {
            return Err(s3_error!(AccessDenied, "Writes are not allowed."));
        }
        let Some((failure, count)) = faults.failing else { return Ok(()) };
        faults.failing = (count > 1).then_some((failure, count - 1));
        Err(S3Error::with_message(code(failure), "A fault was injected."))
    }
}

fn code(failure: Failure) -> S3ErrorCode {
    match failure {
        Failure::SlowDown => S3ErrorCode::SlowDown,
        Failure::InternalError => S3ErrorCode::InternalError,
        Failure::AccessDenied => S3ErrorCode::AccessDenied,
    }
}

/// `20300102T030405Z`.
fn amz_date(text: &str) -> Option<Timestamp> {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|at| at.timestamp())
}

/// The operations that are counted under their own name.
fn operation_name(name: &str) -> &'static str {
    const KNOWN: [&str; 11] = [
        "HeadBucket",
        "CreateBucket",
        "ListBuckets",
        "GetBucketLocation",
        "ListObjectsV2",
        "GetObject",
        "HeadObject",
        "PutObject",
        "DeleteObject",
        "DeleteObjects",
        "ListObjects",
    ];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("other")
}
