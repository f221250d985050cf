//! The reasons of every condition, as they stand on the wire. A value may serve several conditions of a kind.

/// Of a DRPolicy's conditions.
pub mod drpolicy {
    /// Validated is True.
    pub const SUCCEEDED: &str = "Succeeded";
    /// The operator's ConfigMap could not be read.
    pub const CONFIG_MAP_GET_FAILED: &str = "ConfigMapGetFailed";
    /// The namespace for discovered applications could not be made on the hub.
    pub const NAMESPACE_CREATE_FAILED: &str = "NamespaceCreateFailed";
    /// The clusters or their identities could not be read. Begins with a small letter.
    pub const DR_CLUSTER_DETAILS_FAILED: &str = "drClusterDetailsFailed";
    /// The list of clusters is empty.
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    /// A DRCluster of the policy does not exist.
    pub const DR_CLUSTER_NOT_FOUND: &str = "DRClusterNotFound";
    /// No DRCluster of the policy is validated.
    pub const DR_CLUSTERS_UNAVAILABLE: &str = "DRClustersUnavailable";
    /// The finalizer could not be written.
    pub const FINALIZER_ADD_FAILED: &str = "FinalizerAddFailed";
    /// Synchronous and asynchronous peers in one policy, or clusters that overlap with an older policy.
    pub const DR_POLICY_CONFLICT_FOUND: &str = "DRPolicyConflictFound";
    /// A network of the mapping does not exist on a cluster.
    pub const NADS_MISSING: &str = "NADsMissing";
    /// NetworkAttachmentsValidated is True.
    pub const VALIDATED: &str = "Validated";
}

/// Of a DRCluster's conditions.
pub mod drcluster {
    /// First sight.
    pub const INITIALIZING: &str = "Initializing";
    /// Validated, or the node addresses, are in order.
    pub const SUCCEEDED: &str = "Succeeded";
    /// The operator's ConfigMap could not be read.
    pub const CONFIG_MAP_GET_FAILED: &str = "ConfigMapGetFailed";
    /// The finalizer could not be written.
    pub const FINALIZER_ADD_FAILED: &str = "FinalizerAddFailed";
    /// The ManifestWork for the spoke could not be written.
    pub const DR_CLUSTERS_DEPLOY_FAILED: &str = "DrClustersDeployFailed";
    /// The S3 profile or its secret is missing or wrong. Begins with a small letter.
    pub const S3_CONNECTION_FAILED: &str = "s3ConnectionFailed";
    /// The bucket could not be found. Begins with a small letter.
    pub const S3_BUCKET_NOT_FOUND: &str = "s3BucketNotFound";
    /// The bucket could not be listed. Begins with a small letter.
    pub const S3_LIST_FAILED: &str = "s3ListFailed";
    /// The ManifestWork for the spoke is not applied or not available.
    pub const DR_CLUSTERS_DEPLOY_STATUS_CHECK_FAILED: &str = "DrClustersDeployStatusCheckFailed";
    /// The DRClusterConfig is not applied, or the cluster has no identity yet.
    pub const DR_CLUSTER_CONFIG_IN_PROGRESS: &str = "DRClusterConfigInProgress";
    /// The node addresses are wrong.
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    /// Nothing is fenced.
    pub const CLEAN: &str = "Clean";
    /// The fence is being put up.
    pub const FENCING: &str = "Fencing";
    /// The fence could not be put up.
    pub const FENCE_ERROR: &str = "FenceError";
    /// The cluster is fenced.
    pub const FENCED: &str = "Fenced";
    /// The fence is being lifted.
    pub const UNFENCING: &str = "Unfencing";
    /// The fence could not be lifted.
    pub const UNFENCE_ERROR: &str = "UnfenceError";
    /// The fence is lifted.
    pub const UNFENCED: &str = "Unfenced";
    /// The fence resource is being removed.
    pub const CLEANING: &str = "Cleaning";
    /// The fence resource could not be removed. Declared by RamenDR, which never writes it.
    pub const CLEAN_ERROR: &str = "CleanError";
    /// Configured node addresses that were not detected: allowed.
    pub const UNDETECTED_CIDRS_FOUND: &str = "UndetectedCIDRsFound";
    /// A node address is not in CIDR notation.
    pub const INVALID_CIDRS_FORMAT: &str = "InvalidCIDRsFormat";
    /// Detected node addresses are not configured: a fence would leave them open.
    pub const DETECTED_CIDRS_UNCONFIGURED: &str = "DetectedCIDRsUnconfigured";
}

/// Of a DRPlacementControl's conditions. While an action runs, Available has the phase as its reason.
pub mod drpc {
    /// First sight.
    pub const INITIATING: &str = "Initiating";
    /// All is well, or a failover is allowed.
    pub const SUCCESS: &str = "Success";
    /// Stopped after the recovery of a hub.
    pub const PAUSED: &str = "Paused";
    /// Something failed.
    pub const ERROR: &str = "Error";
    /// Waiting for a placement.
    pub const WAITING: &str = "Waiting";
    /// The order is not valid.
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    /// There is no phase yet.
    pub const NONE: &str = "none";
    /// PeerReady while the application is being switched.
    pub const NOT_STARTED: &str = "NotStarted";
    /// Protection is being established.
    pub const PROGRESSING: &str = "Progressing";
    /// Declared by RamenDR, which never writes it.
    pub const CLEANING: &str = "Cleaning";
    /// Nothing is known about the protection.
    pub const UNKNOWN: &str = "Unknown";
    /// The application is protected.
    pub const PROTECTED: &str = "Protected";
    /// The applications that share a group agree.
    pub const CONSENSUS_REACHED: &str = "ConsensusReached";
    /// The applications that share a group do not agree.
    pub const CONSENSUS_NOT_REACHED: &str = "ConsensusNotReached";
    /// The network mapping was read.
    pub const NETWORK_MAPPING_LOADED: &str = "NetworkMappingLoaded";
    /// The network mapping could not be read.
    pub const NETWORK_MAPPING_LOAD_FAILED: &str = "NetworkMappingLoadFailed";
}

/// Of the conditions of a VolumeReplicationGroup and of its claims.
pub mod vrg {
    /// Not looked at yet.
    pub const INITIALIZING: &str = "Initializing";
    /// Does not apply in this state; the status is True.
    pub const UNUSED: &str = "Unused";
    /// DataReady on a primary: replication stands.
    pub const READY: &str = "Ready";
    /// Data flows. For DataProtected on a primary the status is False, and that is the healthy value.
    pub const REPLICATING: &str = "Replicating";
    /// DataReady on a secondary that has caught up and has no primary.
    pub const REPLICATED: &str = "Replicated";
    /// The peer has everything.
    pub const DATA_PROTECTED: &str = "DataProtected";
    /// Under way.
    pub const PROGRESSING: &str = "Progressing";
    /// Failed.
    pub const ERROR: &str = "Error";
    /// Failed and nobody can tell how; the status is Unknown.
    pub const UNKNOWN_ERROR: &str = "UnknownError";
    /// The claim's storage class has no peer; the status is Unknown.
    pub const PEER_CLASS_NOT_FOUND: &str = "PeerClassNotFound";
    /// The claim's storage class has no identity; the status is Unknown.
    pub const STORAGE_ID_NOT_FOUND: &str = "StorageIDNotFound";
    /// Volumes and claims are restored.
    pub const RESTORED: &str = "Restored";
    /// Kubernetes objects are restored.
    pub const KUBE_OBJECTS_RESTORED: &str = "KubeObjectsRestored";
    /// Being stored.
    pub const UPLOADING: &str = "Uploading";
    /// Stored.
    pub const UPLOADED: &str = "Uploaded";
    /// Could not be stored.
    pub const UPLOAD_ERROR: &str = "UploadError";
    /// An annotation could not be written.
    pub const ANNOTATION_FAILED: &str = "AnnotationFailed";
    /// The group itself could not be stored.
    pub const VRG_OBJECT_CAPTURE_ERROR: &str = "VolumeReplicationGroupObjectCaptureError";
    /// The capture has not begun.
    pub const KUBE_OBJECTS_CAPTURE_NOT_STARTED: &str = "KubeObjectsCaptureNotStarted";
    /// The capture's requests could not be read.
    pub const KUBE_OBJECTS_CAPTURE_REQUESTS_QUERY_ERROR: &str = "KubeObjectsCaptureRequestsQueryError";
    /// An old capture could not be deleted.
    pub const KUBE_OBJECTS_REPLICA_DELETE_ERROR: &str = "KubeObjectsReplicaDeleteError";
    /// The capture failed.
    pub const KUBE_OBJECTS_CAPTURE_ERROR: &str = "KubeObjectsCaptureError";
    /// The recipe's workflow failed.
    pub const KUBE_OBJECTS_WORKFLOW_ERROR: &str = "KubeObjectsWorkflowError";
    /// The capture's requests could not be deleted.
    pub const KUBE_OBJECTS_CAPTURE_REQUESTS_DELETE_ERROR: &str = "KubeObjectsCaptureRequestsDeleteError";
    /// VolSync: the source is set up.
    pub const SOURCE_INITIALIZED: &str = "SourceInitialized";
    /// VolSync: the destination is set up.
    pub const DESTINATION_INITIALIZED: &str = "DestinationInitialized";
    /// VolSync: the final synchronisation runs.
    pub const SYNCING: &str = "Syncing";
    /// VolSync: the final synchronisation is done.
    pub const SYNCED: &str = "Synced";
    /// Nothing contradicts what is stored.
    pub const NO_CONFLICT_DETECTED: &str = "NoConflictDetected";
    /// This primary contradicts what is stored.
    pub const CLUSTER_DATA_CONFLICT_PRIMARY: &str = "ClusterDataConflictPrimary";
    /// This secondary contradicts what is stored.
    pub const CLUSTER_DATA_CONFLICT_SECONDARY: &str = "ClusterDataConflictSecondary";
    /// The application cannot be removed without help.
    pub const NOT_FEASIBLE: &str = "NotFeasible";
    /// The application was removed.
    pub const COMPLETED: &str = "Completed";
    /// The applications that share a group agree.
    pub const CONSENSUS_REACHED: &str = "ConsensusReached";
    /// The applications that share a group do not agree.
    pub const CONSENSUS_NOT_REACHED: &str = "ConsensusNotReached";
    /// No claim of the shared group is in use.
    pub const PVCS_NOT_IN_USE: &str = "PVCsNotInUse";
    /// A claim of the shared group is in use.
    pub const PVCS_IN_USE: &str = "PVCsInUse";
    /// The hooks ran.
    pub const HOOK_EXECUTED: &str = "HookExecuted";
    /// A hook failed.
    pub const HOOK_FAILED: &str = "HookFailed";

    /// The reasons that count as errors when an application's protection is judged; every other reason of a False
    /// condition is progress.
    pub const ERRORS: [&str; 6] = [
        ERROR,
        UNKNOWN_ERROR,
        UPLOAD_ERROR,
        ANNOTATION_FAILED,
        CLUSTER_DATA_CONFLICT_PRIMARY,
        CLUSTER_DATA_CONFLICT_SECONDARY,
    ];

    /// Whether a reason counts as an error when an application's protection is judged.
    #[must_use]
    pub fn is_error(reason: &str) -> bool {
        ERRORS.contains(&reason)
    }
}

/// Of a DRClusterConfig's conditions.
pub mod drclusterconfig {
    /// First sight.
    pub const INITIALIZING: &str = "Initializing";
    /// Carried out.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Failed.
    pub const FAILED: &str = "Failed";
    /// Declared by RamenDR, which never writes it.
    pub const REACHABLE: &str = "Reachable";
    /// Declared by RamenDR, which never writes it.
    pub const UNREACHABLE: &str = "Unreachable";
}

/// Of the conditions of a ReplicationGroupSource or ReplicationGroupDestination.
pub mod replication_group {
    /// A synchronisation runs.
    pub const SYNC_IN_PROGRESS: &str = "SyncInProgress";
    /// Waiting for the next scheduled synchronisation.
    pub const WAITING_FOR_SCHEDULE: &str = "WaitingForSchedule";
    /// Waiting for the next manual trigger.
    pub const WAITING_FOR_MANUAL: &str = "WaitingForManual";
    /// Temporary objects are being removed.
    pub const CLEANING_UP: &str = "CleaningUp";
    /// Failed.
    pub const ERROR: &str = "Error";
}
