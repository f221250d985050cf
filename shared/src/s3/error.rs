//! What went wrong on an S3 store, told apart by what it means for a disaster-recovery decision.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What was attempted on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Building the client from its profile and credentials.
    Open,
    /// HeadBucket.
    HeadBucket,
    /// ListObjectsV2 of a prefix, all pages.
    List,
    /// GetObject, and reading what came.
    Get,
    /// PutObject, conditional or not.
    Put,
    /// DeleteObject or DeleteObjects.
    Delete,
}

impl Operation {
    /// One word, for the label of a metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HeadBucket => "head_bucket",
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open the store",
            Self::HeadBucket => "look for the bucket",
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
        })
    }
}

/// The kind of failure. Only [`S3ErrorKind::Absent`] proves that an object is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum S3ErrorKind {
    /// The store answered that there is no such object.
    Absent,
    /// The store answered that there is no such bucket. Says nothing about the object.
    NoBucket,
    /// The store refused the credentials, the signature or the access.
    Denied,
    /// No usable answer: connection, time-out, overload, server error. What was written may or may not be there.
    Unreachable,
    /// The object is there and is not what its key says.
    Corrupt,
    /// A conditional write lost against another writer.
    Conflict,
    /// The store does not know this operation or condition.
    Unsupported,
    /// The configuration is wrong; names the field.
    Config(&'static str),
    /// Anything else that the store answered.
    Other,
}

/// A failed operation on one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Error {
    /// Name of the S3 profile.
    pub profile: String,
    /// What was attempted.
    pub operation: Operation,
    /// On which key or prefix; empty for the bucket as a whole.
    pub key: String,
    /// What it means.
    pub kind: S3ErrorKind,
    /// What the store or the transport said.
    pub detail: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl S3Error {
    /// An error without an underlying one.
    pub fn new(profile: &str, operation: Operation, key: &str, kind: S3ErrorKind, detail: impl Into<String>) -> Self {
        Self { profile: profile.into(), operation, key: key.into(), kind, detail: detail.into(), source: None }
    }

    /// The same error with the one that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Whether the store proved that the object is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.kind == S3ErrorKind::Absent
    }

    /// Whether the store itself could not be asked, so that trying again may help.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.kind == S3ErrorKind::Unreachable
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            S3ErrorKind::Absent => "nothing has been stored under this key",
            S3ErrorKind::NoBucket => "create the bucket, or correct s3Bucket in the profile",
            S3ErrorKind::Denied => {
                "check the keys in the profile's secret, the bucket's policy and that the clocks of both sides agree"
            }
            S3ErrorKind::Unreachable => "check s3CompatibleEndpoint, the network path and the store itself",
            S3ErrorKind::Corrupt => {
                "restore the object from another store, or delete it and let the primary write it again"
            }
            S3ErrorKind::Conflict => "another writer was faster; read again and decide again",
            S3ErrorKind::Unsupported => {
                "the store lacks a function that is needed; use a store with conditional writes (If-Match, If-None-Match)"
            }
            S3ErrorKind::Config(_) => "correct this field of the profile in the operator's ConfigMap",
            S3ErrorKind::Other => "see the store's own log",
        }
    }

    pub(super) fn from_sdk<E>(profile: &str, operation: Operation, key: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (kind, detail) = match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code();
                let text = match (code, service.err().message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    _ => format!("HTTP status {}", status.unwrap_or_default()),
                };
                (classify(operation, code, status.unwrap_or_default()), text)
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                (S3ErrorKind::Config("s3CompatibleEndpoint"), format!("{}", DisplayErrorContext(&error)))
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                (S3ErrorKind::Unreachable, format!("{}", DisplayErrorContext(&error)))
            }
            _ => (S3ErrorKind::Other, format!("{}", DisplayErrorContext(&error))),
        };
        Self::new(profile, operation, key, kind, detail).caused_by(error)
    }

    /// The error of one key out of a DeleteObjects answer.
    pub(super) fn from_code(profile: &str, operation: Operation, key: &str, code: &str, message: &str) -> Self {
        Self::new(profile, operation, key, classify(operation, Some(code), 0), format!("{code}: {message}"))
    }
}

/// From the store's error code, else from the HTTP status. A 404 without one of S3's own codes proves nothing: it may
/// come from a proxy or from an endpoint that is no S3 store at all.
fn classify(operation: Operation, code: Option<&str>, status: u16) -> S3ErrorKind {
    match code.unwrap_or_default() {
        "NoSuchKey" => return S3ErrorKind::Absent,
        "NoSuchBucket" => return S3ErrorKind::NoBucket,
        "AccessDenied"
        | "AllAccessDisabled"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "NotSignedUp"
        | "RequestTimeTooSkewed"
        | "AccountProblem" => return S3ErrorKind::Denied,
        "PreconditionFailed" | "ConditionalRequestConflict" | "OperationAborted" => return S3ErrorKind::Conflict,
        "NotImplemented" | "MethodNotAllowed" => return S3ErrorKind::Unsupported,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return S3ErrorKind::Config("s3Region");
        }
        "InvalidBucketName" => return S3ErrorKind::Config("s3Bucket"),
        "SlowDown"
        | "ServiceUnavailable"
        | "InternalError"
        | "RequestTimeout"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "Busy" => return S3ErrorKind::Unreachable,
        _ => {}
    }
    match status {
        // HeadBucket has no body to carry a code.
        404 if operation == Operation::HeadBucket => S3ErrorKind::NoBucket,
        301 | 307 if operation == Operation::HeadBucket => S3ErrorKind::Config("s3Region"),
        401 | 403 => S3ErrorKind::Denied,
        412 | 409 => S3ErrorKind::Conflict,
        501 | 405 => S3ErrorKind::Unsupported,
        429 | 408 | 500.. => S3ErrorKind::Unreachable,
        _ => S3ErrorKind::Other,
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 profile {}: cannot {}", self.profile, self.operation)?;
        if !self.key.is_empty() {
            write!(f, " {}", self.key)?;
        }
        let kind = match self.kind {
            S3ErrorKind::Absent => "absent",
            S3ErrorKind::NoBucket => "no such bucket",
            S3ErrorKind::Denied => "denied",
            S3ErrorKind::Unreachable => "unreachable",
            S3ErrorKind::Corrupt => "corrupt",
            S3ErrorKind::Conflict => "conflict",
            S3ErrorKind::Unsupported => "unsupported",
            S3ErrorKind::Config(field) => {
                return write!(f, ": configuration field {field}: {}; {}", self.detail, self.remedy());
            }
            S3ErrorKind::Other => "failed",
        };
        write!(f, ": {kind} ({}); {}", self.detail, self.remedy())
    }
}

impl Error for S3Error {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stores_own_codes_prove_absence() {
        assert_eq!(classify(Operation::Get, Some("NoSuchKey"), 404), S3ErrorKind::Absent);
        assert_eq!(classify(Operation::Get, Some("NoSuchBucket"), 404), S3ErrorKind::NoBucket);
        assert_eq!(classify(Operation::Get, None, 404), S3ErrorKind::Other);
        assert_eq!(classify(Operation::HeadBucket, None, 404), S3ErrorKind::NoBucket);
    }

    #[test]
    fn overload_and_server_errors_are_no_answer() {
        for (code, status) in [(Some("SlowDown"), 503), (None, 503), (None, 500), (None, 429), (Some("Unheard"), 502)] {
            assert_eq!(classify(Operation::Get, code, status), S3ErrorKind::Unreachable, "{code:?} {status}");
        }
    }

    #[test]
    fn the_text_names_profile_operation_key_and_remedy() {
        let error = S3Error::new("dr1", Operation::Get, "ns/app/x", S3ErrorKind::Denied, "AccessDenied: no");
        let text = error.to_string();
        assert_eq!(
            text,
            "S3 profile dr1: cannot get ns/app/x: denied (AccessDenied: no); check the keys in the profile's secret, \
             the bucket's policy and that the clocks of both sides agree"
        );
        let error = S3Error::new("dr1", Operation::Open, "", S3ErrorKind::Config("s3Bucket"), "is empty");
        assert_eq!(
            error.to_string(),
            "S3 profile dr1: cannot open the store: configuration field s3Bucket: is empty; correct this field of \
             the profile in the operator's ConfigMap"
        );
    }
}
