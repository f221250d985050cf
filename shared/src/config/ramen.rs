//! `RamenConfig` and its sections.

use serde::{Deserialize, Serialize};

use super::Role;
use super::profiles::S3StoreProfile;

/// `apiVersion` of a RamenConfig.
pub const API_VERSION: &str = "ramendr.openshift.io/v1alpha1";
/// `kind` of a RamenConfig.
pub const KIND: &str = "RamenConfig";

/// The configuration of one operator, complete: what the user left out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RamenConfig {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// `dr-hub`, `dr-cluster` or empty. Informational: the environment decides the role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ramen_controller_type: String,
    /// Leader election.
    pub leader_election: LeaderElection,
    /// The metrics endpoint.
    pub metrics: Metrics,
    /// The probes.
    pub health: Health,
    /// Workers of the controllers that may have several; see [`RamenConfig::workers`].
    pub max_concurrent_reconciles: i64,
    /// The S3 stores.
    pub s3_store_profiles: Vec<S3StoreProfile>,
    /// How the hub deploys the spokes' operator.
    pub dr_cluster_operator: DrClusterOperator,
    /// VolSync.
    pub vol_sync: VolSync,
    /// Capture of Kubernetes objects.
    pub kube_object_protection: KubeObjectProtection,
    /// Applications across several namespaces.
    pub multi_namespace: MultiNamespace,
    /// Whether a PVC that was deselected or deleted is released from protection.
    pub volume_unprotection_enabled: bool,
    /// The namespace of discovered applications, on hub and spokes.
    pub ramen_ops_namespace: String,
    /// Whether a restored namespace keeps its security-context-constraint annotations.
    #[serde(rename = "retainNamespaceSCCAcrossPeers")]
    pub retain_namespace_scc_across_peers: bool,
}

/// `leaderElection`: the two members that Ramen reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderElection {
    /// Whether a lease is taken before anything is reconciled.
    pub leader_elect: bool,
    /// The name of the lease.
    pub resource_name: String,
}

/// `metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Address, or `"0"` for none.
    pub bind_address: String,
}

/// `health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Address; the paths are always `/readyz` and `/healthz`.
    pub health_probe_bind_address: String,
}

/// `drClusterOperator`. Names that are empty have a fallback, given by the methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrClusterOperator {
    /// Whether the hub deploys the spokes' operator through ManifestWork.
    pub deployment_automation_enabled: bool,
    /// Whether the hub distributes the S3 secrets; needs the deployment too.
    pub s3_secret_distribution_enabled: bool,
    /// OLM channel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub channel_name: String,
    /// OLM package.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub package_name: String,
    /// Namespace of the spokes' operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace_name: String,
    /// OLM catalog source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub catalog_source_name: String,
    /// Namespace of the catalog source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub catalog_source_namespace_name: String,
    /// OLM cluster service version to start with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_service_version_name: String,
}

fn or<'a>(name: &'a str, fallback: &'a str) -> &'a str {
    if name.is_empty() { fallback } else { name }
}

impl DrClusterOperator {
    /// OLM channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        or(&self.channel_name, "alpha")
    }

    /// OLM package.
    #[must_use]
    pub fn package(&self) -> &str {
        or(&self.package_name, "ramen-dr-cluster-operator")
    }

    /// Namespace of the spokes' operator; that of the hub's operator if none is given.
    #[must_use]
    pub fn namespace<'a>(&'a self, hub_operator_namespace: &'a str) -> &'a str {
        or(&self.namespace_name, hub_operator_namespace)
    }

    /// OLM catalog source.
    #[must_use]
    pub fn catalog_source(&self) -> &str {
        or(&self.catalog_source_name, "ramen-catalog")
    }

    /// Namespace of the catalog source; that of the hub's operator if none is given.
    #[must_use]
    pub fn catalog_source_namespace<'a>(&'a self, hub_operator_namespace: &'a str) -> &'a str {
        or(&self.catalog_source_namespace_name, hub_operator_namespace)
    }

    /// OLM cluster service version to start with.
    #[must_use]
    pub fn cluster_service_version(&self) -> &str {
        or(&self.cluster_service_version_name, "ramen-dr-cluster-operator.v0.0.1")
    }

    /// Whether S3 secrets are distributed: only where the operator is deployed too.
    #[must_use]
    pub fn distributes_s3_secrets(&self) -> bool {
        self.deployment_automation_enabled && self.s3_secret_distribution_enabled
    }
}

/// `volSync`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolSync {
    /// Whether VolSync is left alone.
    pub disabled: bool,
    /// CSI driver of CephFS; see [`VolSync::ceph_fs_csi_driver`].
    #[serde(default, rename = "cephFSCSIDriverName", skip_serializing_if = "String::is_empty")]
    pub ceph_fs_csi_driver_name: String,
    /// `Direct`, `Snapshot` or empty; see [`VolSync::copy_method`].
    pub destination_copy_method: String,
}

impl VolSync {
    /// CSI driver of CephFS.
    #[must_use]
    pub fn ceph_fs_csi_driver(&self) -> &str {
        or(&self.ceph_fs_csi_driver_name, "openshift-storage.cephfs.csi.ceph.com")
    }

    /// How a ReplicationDestination copies. The default that is written is `Direct`; a configuration that holds an
    /// empty value means `Snapshot`.
    #[must_use]
    pub fn copy_method(&self) -> &str {
        or(&self.destination_copy_method, "Snapshot")
    }
}

/// `kubeObjectProtection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeObjectProtection {
    /// Whether no Kubernetes objects are captured.
    pub disabled: bool,
    /// Velero's namespace.
    pub velero_namespace_name: String,
}

/// `multiNamespace`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MultiNamespace {
    /// Whether recipes and applications may span namespaces. Ramen's member name has a capital F.
    #[serde(rename = "FeatureEnabled")]
    pub feature_enabled: bool,
    /// Whether VolSync is used for them.
    pub volsync_supported: bool,
}

impl RamenConfig {
    /// The defaults of the table, as Ramen writes them when the ConfigMap is missing.
    #[must_use]
    pub fn defaults(role: Role) -> Self {
        Self {
            api_version: API_VERSION.into(),
            kind: KIND.into(),
            ramen_controller_type: String::new(),
            leader_election: LeaderElection { leader_elect: true, resource_name: role.lease_name().into() },
            metrics: Metrics { bind_address: "0.0.0.0:9289".into() },
            health: Health { health_probe_bind_address: ":8081".into() },
            max_concurrent_reconciles: 50,
            s3_store_profiles: Vec::new(),
            dr_cluster_operator: DrClusterOperator {
                deployment_automation_enabled: true,
                s3_secret_distribution_enabled: true,
                channel_name: String::new(),
                package_name: String::new(),
                namespace_name: String::new(),
                catalog_source_name: String::new(),
                catalog_source_namespace_name: String::new(),
                cluster_service_version_name: String::new(),
            },
            vol_sync: VolSync {
                disabled: false,
                ceph_fs_csi_driver_name: String::new(),
                destination_copy_method: "Direct".into(),
            },
            kube_object_protection: KubeObjectProtection { disabled: false, velero_namespace_name: "velero".into() },
            multi_namespace: MultiNamespace { feature_enabled: true, volsync_supported: true },
            volume_unprotection_enabled: true,
            ramen_ops_namespace: "ramen-ops".into(),
            retain_namespace_scc_across_peers: true,
        }
    }

    /// Workers of the controllers that may have several: at least one.
    #[must_use]
    pub fn workers(&self) -> usize {
        usize::try_from(self.max_concurrent_reconciles).unwrap_or(1).max(1)
    }

    /// Name of the lease of the election.
    #[must_use]
    pub fn lease_name(&self, role: Role) -> &str {
        or(&self.leader_election.resource_name, role.lease_name())
    }

    /// The address of the metrics endpoint, if it is wanted.
    #[must_use]
    pub fn metrics_address(&self) -> Option<&str> {
        let address = self.metrics.bind_address.as_str();
        (address != "0").then_some(address)
    }

    /// What the hub gives to the spokes: the same configuration under the spokes' lease name.
    #[must_use]
    pub fn for_spokes(&self) -> Self {
        let mut config = self.clone();
        config.leader_election.resource_name = Role::Spoke.lease_name().into();
        config
    }
}
