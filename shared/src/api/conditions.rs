//! The condition types of every kind, as they stand on the wire.

/// Of a DRPolicy.
pub mod drpolicy {
    /// The policy can be used.
    pub const VALIDATED: &str = "Validated";
    /// The networks of the policy's mapping exist on both clusters; absent without a mapping.
    pub const NETWORK_ATTACHMENTS_VALIDATED: &str = "NetworkAttachmentsValidated";
}

/// Of a DRCluster.
pub mod drcluster {
    /// The cluster can be used.
    pub const VALIDATED: &str = "Validated";
    /// The cluster is kept away from storage.
    pub const FENCED: &str = "Fenced";
    /// No fence resource is left. Always written together with [`FENCED`].
    pub const CLEAN: &str = "Clean";
    /// The node addresses fit the detected ones; absent while none are configured.
    pub const CIDRS_VALIDATED: &str = "CIDRsValidated";
}

/// Of a DRPlacementControl.
pub mod drpc {
    /// The application runs where it should. Always at index 0.
    pub const AVAILABLE: &str = "Available";
    /// The other cluster could take over. Always at index 1.
    pub const PEER_READY: &str = "PeerReady";
    /// Data and objects of the application are protected. Always at index 2.
    pub const PROTECTED: &str = "Protected";
    /// The applications that share a group agree on the action.
    pub const GLOBAL_ACTION: &str = "GlobalAction";
    /// The policy's network mapping could be read.
    pub const NETWORK_MAPPING_LOADED: &str = "NetworkMappingLoaded";
    /// The conditions that every DRPlacementControl has, in their fixed order.
    pub const FIXED: [&str; 3] = [AVAILABLE, PEER_READY, PROTECTED];
}

/// Of a VolumeReplicationGroup.
pub mod vrg {
    /// The volumes are in the wanted role.
    pub const DATA_READY: &str = "DataReady";
    /// The peer has all data.
    pub const DATA_PROTECTED: &str = "DataProtected";
    /// Volumes and claims are restored.
    pub const CLUSTER_DATA_READY: &str = "ClusterDataReady";
    /// The application's Kubernetes objects are restored.
    pub const KUBE_OBJECTS_READY: &str = "KubeObjectsReady";
    /// Volumes, claims and objects are stored.
    pub const CLUSTER_DATA_PROTECTED: &str = "ClusterDataProtected";
    /// Removal of the application on the old primary.
    pub const AUTO_CLEANUP: &str = "AutoCleanup";
    /// Nothing on this cluster contradicts what is stored.
    pub const NO_CLUSTER_DATA_CONFLICT: &str = "NoClusterDataConflict";
    /// The recipe's hooks ran.
    pub const HOOKS_READY: &str = "HooksReady";
    /// The applications that share a group agree on the role; optional.
    pub const GLOBAL_STATE: &str = "GlobalState";
    /// No claim of a shared group is in use; optional.
    pub const GLOBAL_SECONDARY: &str = "GlobalSecondary";
    /// The peer's destinations are known; optional.
    pub const DESTINATION_INFO_AVAILABLE: &str = "DestinationInfoAvailable";
    /// The conditions that are created on first sight, in this order.
    pub const INITIAL: [&str; 8] = [
        DATA_READY,
        DATA_PROTECTED,
        CLUSTER_DATA_READY,
        KUBE_OBJECTS_READY,
        CLUSTER_DATA_PROTECTED,
        AUTO_CLEANUP,
        NO_CLUSTER_DATA_CONFLICT,
        HOOKS_READY,
    ];
}

/// Of one protected claim in a VolumeReplicationGroup.
pub mod pvc {
    pub use super::vrg::{CLUSTER_DATA_PROTECTED, DATA_PROTECTED, DATA_READY};
    /// VolSync: the source is set up.
    pub const REPLICATION_SOURCE_SETUP: &str = "ReplicationSourceSetup";
    /// VolSync: the destination is set up.
    pub const REPLICATION_DESTINATION_SETUP: &str = "ReplicationDestinationSetup";
    /// VolSync: the claim is restored.
    pub const PVS_RESTORED: &str = "PVsRestored";
    /// VolSync: the final synchronisation runs.
    pub const FINAL_SYNC_IN_PROGRESS: &str = "FinalSyncInProgress";
}

/// Of a DRClusterConfig.
pub mod drclusterconfig {
    /// The configuration was carried out.
    pub const PROCESSED: &str = "Processed";
    /// The storage of the cluster can be reached.
    pub const REACHABLE: &str = "Reachable";
}

/// Of a MaintenanceMode.
pub mod maintenance_mode {
    /// The storage is ready for a failover.
    pub const FAILOVER_ACTIVATED: &str = "FailoverActivated";
}

/// Of a ReplicationGroupSource or ReplicationGroupDestination.
pub mod replication_group {
    /// The group is being synchronised.
    pub const SYNCHRONIZING: &str = "Synchronizing";
}
