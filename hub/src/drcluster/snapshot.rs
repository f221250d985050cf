//! What one pass over a DRCluster knows.

use jiff::Timestamp;
use kaedama_shared::api::DRCluster;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::report::ClusterReport;
use kaedama_shared::seen::Seen;

/// One pass's knowledge.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Timestamp,
    /// The object that the pass is for.
    pub drcluster: DRCluster,
    /// The operator's configuration, as the manifests that a spoke is to have; the text says why it cannot be read.
    pub bundle: Result<Vec<serde_json::Value>, String>,
    /// Identity of the managed cluster (claim `id.k8s.io`); the text says why there is none.
    pub cluster_id: Result<String, String>,
    /// Names of the policies that name the cluster and are not being deleted.
    pub policies: Vec<String>,
    /// Their scheduling intervals: each once, none empty, sorted.
    pub schedules: Vec<String>,
    /// What the store answered.
    pub store: StoreCheck,
    /// ManifestWork with roles and configuration.
    pub operator_work: Seen<ManifestWork>,
    /// ManifestWork with the DRClusterConfig.
    pub config_work: Seen<ManifestWork>,
    /// What the cluster reports of itself.
    pub report: Seen<ClusterReport>,
    /// VolSync's add-on is wanted on the cluster, and this process has not made sure of it yet.
    pub add_on_due: bool,
}

/// What trying the store gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCheck {
    /// It has not answered yet: nobody waits for a store that may be as dead as its cluster.
    Untried,
    /// It can be used, or there is none to use.
    Good,
    /// It cannot: the reason of the condition, and the message.
    Bad {
        /// Reason, as the contract has it.
        reason: &'static str,
        /// What failed, and the remedy.
        message: String,
    },
}
