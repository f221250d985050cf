//! What a client is built from: credentials, limits, the clock, the HTTP transport.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{
    AsyncSleep, BehaviorVersion, Credentials as SdkCredentials, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedHttpClient, Sleep, StalledStreamProtectionConfig, retry::RetryConfig,
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::error::{Operation, S3Error, S3ErrorKind};
use crate::clock::Clock;
use crate::config::S3StoreProfile;
use crate::harness::metrics::HarnessMetrics;

/// A static access key. Its secret half is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

impl Credentials {
    /// The pair of both halves.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self { access_key_id: access_key_id.into(), secret_access_key: secret_access_key.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// How requests reach the store.
#[derive(Clone, Debug, Default)]
pub enum HttpConnector {
    /// HTTP and HTTPS (rustls on aws-lc). Trusts the system's roots, the profile's `caCertificates` and
    /// [`S3Options::ca_bundle`].
    #[default]
    Network,
    /// A transport that is handed in: the sandbox's stores live in this process.
    Given(SharedHttpClient),
}

/// What all stores of a process have in common.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The most time for one operation, retries and all pages of a listing included. Ramen's value is 12 s.
    pub deadline: Duration,
    /// How many times an operation that can be repeated is tried again after [`S3ErrorKind::Unreachable`].
    /// Conditional writes are never repeated blindly: their first attempt may have been carried out.
    pub retries: u32,
    /// The pause before such a repetition.
    pub retry_pause: Duration,
    /// Where the date of signatures comes from.
    pub clock: Clock,
    /// The transport.
    pub http: HttpConnector,
    /// PEM certificates trusted for every profile, besides the system's (the content of the file that
    /// `AWS_CA_BUNDLE` names, which Ramen's client honours). Empty for none.
    pub ca_bundle: Vec<u8>,
    /// Where operations are counted.
    pub metrics: Option<HarnessMetrics>,
}

impl S3Options {
    /// Ramen's deadline of 12 s, one retry after 200 ms, the real network.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            deadline: Duration::from_secs(12),
            retries: 1,
            retry_pause: Duration::from_millis(200),
            clock,
            http: HttpConnector::Network,
            ca_bundle: Vec::new(),
            metrics: None,
        }
    }

    /// The same with another transport.
    #[must_use]
    pub fn with_http(mut self, http: HttpConnector) -> Self {
        self.http = http;
        self
    }

    /// The same, with its operations counted.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &HarnessMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }
}

/// The certificates that `AWS_CA_BUNDLE` names, for [`S3Options::ca_bundle`]; empty where it is not set.
///
/// # Errors
/// The file cannot be read; the text names it.
pub fn ca_bundle_of_environment() -> std::io::Result<Vec<u8>> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").map(std::path::PathBuf::from) else { return Ok(Vec::new()) };
    std::fs::read(&path).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot read AWS_CA_BUNDLE {}: {error}", path.display()))
    })
}

/// The SDK's client of one profile.
pub(super) fn client(
    profile: &S3StoreProfile,
    credentials: &Credentials,
    options: &S3Options,
) -> Result<aws_sdk_s3::Client, S3Error> {
    profile.validate().map_err(|error| {
        S3Error::new(&profile.s3_profile_name, Operation::Open, "", S3ErrorKind::Config(error.field), error.problem)
    })?;
    let http = match &options.http {
        HttpConnector::Given(http) => http.clone(),
        HttpConnector::Network => network(profile, options)?,
    };
    // The SDK's own retries have a random pause; ours have none, so that a simulation can be replayed.
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(profile.s3_compatible_endpoint.trim())
        .region(Region::new(profile.s3_region.trim().to_owned()))
        .force_path_style(true)
        .credentials_provider(SdkCredentials::new(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            None,
            None,
            "s3-profile",
        ))
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Trailing checksums are unknown to many S3-compatible stores.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .time_source(ClockTime(options.clock))
        .sleep_impl(TokioTimer)
        .http_client(http)
        .build();
    Ok(aws_sdk_s3::Client::from_conf(config))
}

fn network(profile: &S3StoreProfile, options: &S3Options) -> Result<SharedHttpClient, S3Error> {
    let config_error = |detail: String| {
        let kind = S3ErrorKind::Config("caCertificates");
        S3Error::new(&profile.s3_profile_name, Operation::Open, "", kind, detail)
    };
    // Reading the system's roots is slow, and plain HTTP needs none.
    let plain = profile.s3_compatible_endpoint.trim().starts_with("http://");
    let mut trust = if plain { TrustStore::empty() } else { TrustStore::default() };
    let of_profile = profile.ca_certificates().map_err(|error| config_error(error.problem))?;
    for bundle in [&of_profile, &options.ca_bundle] {
        if !bundle.is_empty() {
            check_pem(bundle).map_err(config_error)?;
            trust.add_pem_certificate(bundle.clone());
        }
    }
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| config_error(error.to_string()).caused_by(error))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https())
}

/// The HTTP client panics on certificates that it cannot read, so they are read here first.
fn check_pem(bundle: &[u8]) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate = certificate.map_err(|error| format!("is not a PEM certificate bundle: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no PEM certificate".into());
    }
    Ok(())
}

/// The handed-in clock as the SDK wants it.
#[derive(Debug)]
struct ClockTime(Clock);

impl TimeSource for ClockTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// Tokio's timer as the SDK wants it; virtual under `tokio::time::pause`.
#[derive(Debug)]
struct TokioTimer;

impl AsyncSleep for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> S3StoreProfile {
        S3StoreProfile {
            s3_profile_name: "dr1".into(),
            s3_bucket: "bucket".into(),
            s3_compatible_endpoint: "https://s3.example:9000".into(),
            s3_region: "r".into(),
            ..S3StoreProfile::default()
        }
    }

    fn kind(profile: &S3StoreProfile) -> S3ErrorKind {
        let options = S3Options::new(Clock::system());
        client(profile, &Credentials::new("a", "b"), &options).unwrap_err().kind
    }

    #[test]
    fn a_wrong_field_is_named() {
        let with = |change: fn(&mut S3StoreProfile)| {
            let mut profile = profile();
            change(&mut profile);
            kind(&profile)
        };
        assert_eq!(with(|p| p.s3_bucket.clear()), S3ErrorKind::Config("s3Bucket"));
        assert_eq!(
            with(|p| p.s3_compatible_endpoint = "s3.example".into()),
            S3ErrorKind::Config("s3CompatibleEndpoint")
        );
        assert_eq!(with(|p| p.s3_region.clear()), S3ErrorKind::Config("s3Region"));
        assert_eq!(with(|p| p.ca_certificates = "%%%".into()), S3ErrorKind::Config("caCertificates"));
        // Base64 of text that is no certificate.
        assert_eq!(with(|p| p.ca_certificates = "aGVsbG8=".into()), S3ErrorKind::Config("caCertificates"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?}", Credentials::new("the-id", "the-secret"));
        assert!(text.contains("the-id") && !text.contains("the-secret"), "{text}");
    }
}
