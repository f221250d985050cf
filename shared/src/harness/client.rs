//! Kubernetes clients with the profiles that disaster recovery needs.
//!
//! kube's defaults have no read time-out (a partition then holds a pass for ever) and retry 429, 503 and 504 fifteen
//! times with delays of up to 1000 s. Here nothing is retried below the controllers, whose back-off is bounded and
//! visible, and every request is answered or given up within a known time. Time-outs are a layer above the transport,
//! so they hold in virtual time and for in-process transports as well.
//!
//! Three clients, because each has its own connections: a burst of requests cannot hold the lease's renewal up.

use std::path::Path;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::leader::Leadership;
use service::Bounded;

mod service;

/// Time bounds of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Until the head of the answer is there.
    pub answer: Duration,
    /// Between two pieces of the answer's body. `None` for watches, whose reader knows how long silence is normal.
    pub body: Option<Duration>,
}

impl Profile {
    /// For ordinary requests.
    pub const REQUESTS: Self = Self { answer: Duration::from_secs(15), body: Some(Duration::from_secs(15)) };
    /// For watches (and the lists they begin with).
    pub const WATCHES: Self = Self { answer: Duration::from_secs(15), body: None };
    /// For the lease: half of the renew deadline, so that a renewal that hangs can be tried again in time.
    pub const LEASE: Self = Self { answer: Duration::from_secs(5), body: Some(Duration::from_secs(5)) };
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig is missing or malformed, or the named context is not in it.
    #[error("cannot read the kubeconfig {path}")]
    Kubeconfig {
        /// The file, or the search path of `KUBECONFIG`.
        path: String,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// No kubeconfig was named, and this process does not run in a pod.
    #[error("neither a kubeconfig was given nor does this process run in a cluster")]
    NotInCluster(#[from] kube::config::InClusterError),
    /// The configuration cannot be used (certificates, credentials, proxy).
    #[error("cannot make a client for {url}")]
    Unusable {
        /// Address of the API server.
        url: String,
        /// What is wrong.
        source: kube::Error,
    },
}

/// A request was refused or given up on this side; inside of a [`kube::Error::Service`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No answer in time. What was asked for may have been done all the same.
    #[error("{method} {path}: no answer within {} s", after.as_secs_f64())]
    TimedOut {
        /// The request's method.
        method: Method,
        /// The request's path, without its query.
        path: String,
        /// The bound that was exceeded.
        after: Duration,
    },
    /// This process does not lead, or cannot be sure that it still does: nothing was sent.
    #[error("{method} {path}: not sent, this process does not hold the lease")]
    NotLeading {
        /// The request's method.
        method: Method,
        /// The request's path, without its query.
        path: String,
    },
}

/// The [`Refusal`] that `error` stands for, if this side refused.
#[must_use]
pub fn refusal(error: &kube::Error) -> Option<&Refusal> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}

/// Whether nobody knows if the request was carried out: it was sent, and no answer came. A write that ended like this
/// may have happened.
#[must_use]
pub fn outcome_unknown(error: &kube::Error) -> bool {
    match error {
        // 504 comes from in front of the API server, or from it when storage did not answer in time.
        kube::Error::Api(status) => status.code >= 500,
        kube::Error::BuildRequest(_) => false,
        other => !matches!(refusal(other), Some(Refusal::NotLeading { .. })),
    }
}

/// Makes the crypto provider of this build the process's default. With two providers linked rustls has no default of
/// its own; calling this again is harmless.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, by an earlier call or by the embedding program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// `component/version`: how an operator presents itself in the API server's audit log.
#[must_use]
pub fn user_agent(component: &str) -> String {
    format!("{component}/{}", env!("CARGO_PKG_VERSION"))
}

/// The configuration from `kubeconfig` (and `context` in it), else from the files that `KUBECONFIG` names, else from
/// the pod's service account. The file `~/.kube/config` is not used unasked: an operator started on a laptop by
/// mistake shall not find a cluster there.
///
/// # Errors
///
/// [`ClientError`] when the chosen source cannot be read.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ClientError> {
    install_tls_provider();
    let variable = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty());
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let (read, path) = match (kubeconfig, variable) {
        (Some(path), _) => (Kubeconfig::read_from(path).map(Some), path.display().to_string()),
        (None, Some(variable)) => (Kubeconfig::from_env(), variable),
        (None, None) => return Ok(Config::incluster()?),
    };
    let wrap = |source| ClientError::Kubeconfig { path: path.clone(), source };
    match read.map_err(wrap)? {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(wrap),
        None => Ok(Config::incluster()?),
    }
}

/// The clients of one operator for one cluster.
#[derive(Clone)]
pub struct Clients {
    /// For everything that a pass reads and writes.
    pub requests: Client,
    /// For [`super::cache::Cache`].
    pub watches: Client,
    /// For [`super::leader::lead`].
    pub lease: Client,
}

impl Clients {
    /// Three clients with their own connections. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unusable`] when the configuration's certificates or credentials cannot be used.
    pub fn from_config(config: Config, agent: &str) -> Result<Self, ClientError> {
        install_tls_provider();
        Ok(Self {
            requests: connect(config.clone(), agent, Profile::REQUESTS)?,
            watches: connect(config.clone(), agent, Profile::WATCHES)?,
            lease: connect(config, agent, Profile::LEASE)?,
        })
    }

    /// The same bounds around a client that exists, in process or otherwise. Must be called within a tokio runtime.
    #[must_use]
    pub fn from_client(client: &Client, agent: &str) -> Self {
        Self {
            requests: bounded(client, agent, Profile::REQUESTS),
            watches: bounded(client, agent, Profile::WATCHES),
            lease: bounded(client, agent, Profile::LEASE),
        }
    }

    /// The same clients, whose `requests` refuse to write whenever `leadership` is not held: the check is made at the
    /// write, not at the beginning of the pass.
    #[must_use]
    pub fn gated(self, leadership: &Leadership) -> Self {
        Self { requests: gated(&self.requests, leadership), ..self }
    }
}

/// A client for `config` with one profile. Must be called within a tokio runtime.
///
/// # Errors
///
/// [`ClientError::Unusable`] when the configuration's certificates or credentials cannot be used.
pub fn connect(mut config: Config, agent: &str, profile: Profile) -> Result<Client, ClientError> {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(profile.answer);
    // The bounds above the transport count from when a request is sent; the transport's own would count the time that
    // a pooled connection was idle.
    config.read_timeout = None;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|source| ClientError::Unusable { url, source })?;
    Ok(bounded(&client, agent, profile))
}

/// `client` with the bounds of `profile`. Must be called within a tokio runtime.
#[must_use]
pub fn bounded(client: &Client, agent: &str, profile: Profile) -> Client {
    let agent = HeaderValue::from_str(agent).ok();
    wrap(client, Bounded { inner: client.clone(), profile: Some(profile), agent, gate: None })
}

/// `client`, refusing every method that writes while `leadership` is not held. Must be called within a tokio runtime.
#[must_use]
pub fn gated(client: &Client, leadership: &Leadership) -> Client {
    wrap(client, Bounded { inner: client.clone(), profile: None, agent: None, gate: Some(leadership.clone()) })
}

fn wrap(client: &Client, service: Bounded) -> Client {
    Client::new(service, client.default_namespace()).with_valid_until(*client.valid_until())
}

#[cfg(test)]
mod tests;
