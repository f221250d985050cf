//! What a world stands on: clusters of this process, or clusters that somebody else has made.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use super::WorldError;

/// What a world stands on.
#[derive(Clone, Default)]
pub enum Ground {
    /// API servers, stores and operators in this process: everything is the sandbox's, and time may be virtual.
    #[default]
    Embedded,
    /// Clusters, stores and operators that somebody else owns. The sandbox adds what is missing there (storage,
    /// applications, registration, and the like) as clients of those clusters.
    Given(Arc<dyn Given>),
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Ground::Embedded => "Embedded",
            Ground::Given(_) => "Given",
        })
    }
}

/// Which of the parts that the sandbox has stand-ins for are there already, and are left to their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Open Cluster Management's work agents.
    pub work_agents: bool,
    /// Its placement controller.
    pub placement: bool,
    /// A controller manager that binds claims and volumes, and protects them.
    pub binder: bool,
    /// A controller manager that protects claims and volumes in use.
    pub protection: bool,
    /// Open Cluster Management's registration: the clusters are joined, and somebody keeps their leases.
    pub registration: bool,
    /// What answers a ManagedClusterView.
    pub views: bool,
    /// Kaedama, configured, with a DRPolicy for these clusters: none of its objects are made.
    pub operators: bool,
    /// Operator Lifecycle Manager may act on what the hub operator delivers for it. Then nothing is delivered for it,
    /// and its kinds are not made: nobody wants another operator installed.
    pub olm: bool,
}

/// How to reach a cluster's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAccess {
    /// The endpoint, with its scheme.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket, which exists.
    pub bucket: String,
    /// The key that may do everything there.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Authorities that the store's certificate is trusted by, as the profile has them; empty for the usual ones.
    pub ca_certificates: String,
}

/// Who owns the clusters of a [`Ground::Given`]. Clusters are called by their name, the hub by [`HUB`].
///
/// What changes the world may block the calling thread until it is done.
pub trait Given: Send + Sync + 'static {
    /// A client of a cluster that may do everything there, under this user agent.
    ///
    /// # Errors
    /// There is no such cluster.
    fn client(&self, cluster: &str, agent: &str) -> Result<Client, WorldError>;

    /// What is there already.
    fn parts(&self) -> Parts;

    /// How to reach the store of a cluster.
    ///
    /// # Errors
    /// The cluster has none.
    fn store(&self, cluster: &str) -> Result<StoreAccess, WorldError>;

    /// The keys in the store of a cluster, whether it is reachable or not.
    fn keys(&self, cluster: &str) -> Vec<String>;

    /// What is stored under a key there.
    fn object(&self, cluster: &str, key: &str) -> Option<Vec<u8>>;

    /// Starts the operator of a cluster, where definitions, configuration and secrets are in place now.
    ///
    /// # Errors
    /// It cannot be started.
    fn start_operator(&self, cluster: &str) -> Result<(), WorldError>;

    /// Stops the operator of a cluster at once, without a goodbye.
    ///
    /// # Errors
    /// There is none.
    fn kill_operator(&self, cluster: &str) -> Result<(), WorldError>;

    /// Destroys a cluster with everything on it, or brings it back as it was.
    ///
    /// # Errors
    /// It does not come back.
    fn set_power(&self, cluster: &str, up: bool) -> Result<(), WorldError>;

    /// Cuts or mends what connects a cluster's own programs (such as its work agent) with the hub.
    ///
    /// # Errors
    /// There is no such cluster.
    fn set_link(&self, cluster: &str, up: bool) -> Result<(), WorldError>;

    /// Takes a cluster's store off the network, or puts it back.
    ///
    /// # Errors
    /// It does not come back.
    fn set_store(&self, cluster: &str, up: bool) -> Result<(), WorldError>;

    /// How long anything may take.
    fn patience(&self) -> Duration;

    /// Whether clusters, links, stores and operators may be broken here. Asked before anything is.
    ///
    /// # Errors
    /// They belong to somebody who did not ask for it.
    fn may_break(&self, what: &str) -> Result<(), WorldError> {
        let _ = what;
        Ok(())
    }
}

/// Name of the hub among the clusters of a [`Given`].
pub const HUB: &str = "hub";
