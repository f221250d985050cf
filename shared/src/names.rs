//! Labels, annotations, finalizers and object names: the wire contract, in one place.
//!
//! Keys and names are those of the reference product, so that either can take over from the other. Keys under
//! `kaedama.dev/` are additions that the reference product ignores.

/// API group of our kinds.
pub const GROUP: &str = "ramendr.openshift.io";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";

// ---- annotations -------------------------------------------------------------------------------------------------

/// DRPC identity on Placements, ManifestWorks and views: name.
pub const DRPC_NAME: &str = "drplacementcontrol.ramendr.openshift.io/drpc-name";
/// DRPC identity on Placements, ManifestWorks and views: namespace.
pub const DRPC_NAMESPACE: &str = "drplacementcontrol.ramendr.openshift.io/drpc-namespace";
/// On a VRG: `metadata.uid` of the DRPC that owns it.
pub const DRPC_UID: &str = "drplacementcontrol.ramendr.openshift.io/drpc-uid";
/// On a VRG: the cluster it was made for.
pub const DESTINATION_CLUSTER: &str = "drplacementcontrol.ramendr.openshift.io/destination-cluster";
/// On a DRPC: last cluster chosen.
pub const LAST_APP_DEPLOYMENT_CLUSTER: &str = "drplacementcontrol.ramendr.openshift.io/last-app-deployment-cluster";
/// On a DRPC: last action, empty for none.
pub const LAST_ACTION: &str = "drplacementcontrol.ramendr.openshift.io/last-action";
/// On a DRPC: the VRG namespace.
pub const APP_NAMESPACE: &str = "drplacementcontrol.ramendr.openshift.io/app-namespace";
/// Test failover in progress (DRPC: `true`; VRG: `true`, then `false`).
pub const TEST_FAILOVER_DRY_RUN: &str = "drplacementcontrol.ramendr.openshift.io/test-failover-dryrun";
/// User's wish for consistency groups.
pub const IS_CG_ENABLED: &str = "drplacementcontrol.ramendr.openshift.io/is-cg-enabled";
/// Only the value `false` disables Submariner.
pub const IS_SUBMARINER_ENABLED: &str = "drplacementcontrol.ramendr.openshift.io/is-submariner-enabled";
/// `true` forces VolSync.
pub const USE_VOLSYNC: &str = "drplacementcontrol.ramendr.openshift.io/use-volsync-for-pvc-protection";
/// `true` asks for incremental transfer by an external mover.
pub const ENABLE_DIFF: &str = "drplacementcontrol.ramendr.openshift.io/enable-diff";
/// On a DRPC: JSON counters of actions, for the metrics.
pub const DR_ACTION_COUNT: &str = "drplacementcontrol.ramendr.openshift.io/dr-action-count";
/// On works and views that a DRCluster owns.
pub const DRCLUSTER_NAME: &str = "drcluster.ramendr.openshift.io/drcluster-name";
/// On class and DRClusterConfig views: the cluster; maps a view back to its policies.
pub const DRPOLICY_VIEW: &str = "drpolicy.ramendr.openshift.io";
/// On a Placement (user): switches OCM's own scheduling off.
pub const SCHEDULING_DISABLE: &str = "cluster.open-cluster-management.io/experimental-scheduling-disable";
/// On DRPC and VRG: the action record, JSON (see [`crate::record`]).
pub const ACTION_RECORD: &str = "kaedama.dev/action";
/// On a VRG: lets its deletion go on although a store cannot be reached; the value names the profiles given up,
/// comma-separated.
pub const ABANDON_S3: &str = "kaedama.dev/abandon-s3-profiles";

/// On a VRG: lets the action that it names go on although every store says that it holds nothing of the application. For a
/// hub that keeps no action records: `true`.
pub const ACCEPT_EMPTY_S3: &str = "kaedama.dev/accept-empty-stores";

/// PVC: protected by VolumeReplication; value [`PROTECTED`].
pub const VR_PROTECTED: &str = "volumereplicationgroups.ramendr.openshift.io/vr-protected";
/// PVC and PV: stored in every profile; value tells which version was.
pub const VR_ARCHIVED: &str = "volumereplicationgroups.ramendr.openshift.io/vr-archived";
/// PV: its reclaim policy was changed to Retain by us; value [`RETAINED`].
pub const VR_RETAINED: &str = "volumereplicationgroups.ramendr.openshift.io/vr-retained";
/// PV, PVC: created or adopted by a restore; value `True`.
pub const RESTORED: &str = "volumereplicationgroups.ramendr.openshift.io/ramen-restore";
/// PV: volume handle on the peer.
pub const DESTINATION_VOLUME_HANDLE: &str = "ramendr.openshift.io/destination-volume-handle";
/// VolumeReplicationClass: breaks ties between matching classes.
pub const IS_DEFAULT_CLASS: &str = "replication.storage.openshift.io/is-default-class";
/// Value of [`VR_PROTECTED`].
pub const PROTECTED: &str = "protected";
/// Value of [`VR_RETAINED`].
pub const RETAINED: &str = "retained";

// ---- labels ------------------------------------------------------------------------------------------------------

/// On everything that we create; value `true`.
pub const CREATED_BY: &str = "ramendr.openshift.io/created-by-ramen";
/// Hub backup inclusion; value [`BACKUP_VALUE`].
pub const BACKUP: &str = "cluster.open-cluster-management.io/backup";
/// Value of [`BACKUP`].
pub const BACKUP_VALUE: &str = "ramen";
/// Hub backup exclusion; value `true`.
pub const EXCLUDE_FROM_BACKUP: &str = "velero.io/exclude-from-backup";
/// On a PlacementDecision: its Placement.
pub const PLACEMENT: &str = "cluster.open-cluster-management.io/placement";
/// Shared volume group of several applications.
pub const GLOBAL_VGR: &str = "ramendr.openshift.io/global-vgr";
/// Namespace of the owning VRG, on PVC, VR and others.
pub const OWNER_NAMESPACE: &str = "ramendr.openshift.io/owner-namespace-name";
/// Name of the owning VRG, on PVC, VR and others.
pub const OWNER_NAME: &str = "ramendr.openshift.io/owner-name";
/// Consistency group of a PVC.
pub const CONSISTENCY_GROUP: &str = "ramendr.openshift.io/consistency-group";
/// Identity of a storage instance, on classes (an annotation on NetworkFenceClass).
pub const STORAGE_ID: &str = "ramendr.openshift.io/storageid";
/// Identity of a replication pair, on VolumeReplicationClass and StorageClass.
pub const REPLICATION_ID: &str = "ramendr.openshift.io/replicationid";
/// Identity of a group replication pair.
pub const GROUP_REPLICATION_ID: &str = "ramendr.openshift.io/groupreplicationid";
/// StorageClass (presence): the storage system drives replication.
pub const OFFLOADED: &str = "ramendr.openshift.io/offloaded";
/// VolumeGroupReplicationClass: one shared group.
pub const GLOBAL: &str = "ramendr.openshift.io/global";
/// Comma-separated maintenance modes that an action needs.
pub const MAINTENANCE_MODES: &str = "ramendr.openshift.io/maintenancemodes";
/// NetworkAttachmentDefinition (user) that takes part in DR.
pub const DR_NETWORK: &str = "ramendr.openshift.io/dr-network";
/// ClusterRole whose rules the work agent gets.
pub const AGGREGATE_TO_WORK: &str = "open-cluster-management.io/aggregate-to-work";

// ---- finalizers --------------------------------------------------------------------------------------------------

/// On DRPC and Placement.
pub const DRPC_FINALIZER: &str = "drpc.ramendr.openshift.io/finalizer";
/// On DRPolicy.
pub const DRPOLICY_FINALIZER: &str = "drpolicies.ramendr.openshift.io/ramen";
/// On DRCluster.
pub const DRCLUSTER_FINALIZER: &str = "drclusters.ramendr.openshift.io/ramen";
/// On DRClusterConfig.
pub const DRCLUSTERCONFIG_FINALIZER: &str = "drclusterconfigs.ramendr.openshift.io/finalizer";
/// On VRG.
pub const VRG_FINALIZER: &str = "volumereplicationgroups.ramendr.openshift.io/vrg-protection";
/// On a PVC that VolumeReplication protects.
pub const PVC_VR_FINALIZER: &str = "volumereplicationgroups.ramendr.openshift.io/pvc-vr-protection";

// ---- decisions ---------------------------------------------------------------------------------------------------

/// Reason of a placement decision that only keeps the application from being removed.
pub const RETAINED_FOR_FAILOVER: &str = "RetainedForFailover";
/// Profile name that means: no store.
pub const NO_S3: &str = "NoS3";

// ---- object names ------------------------------------------------------------------------------------------------

/// ManifestWork that carries an application's VRG.
pub fn vrg_work(drpc: &str, vrg_namespace: &str) -> String {
    format!("{drpc}-{vrg_namespace}-vrg-mw")
}

/// Name of the VolumeReplicationGroupReport on a VRG. A namespace has no dot, so no two VRGs share one.
#[must_use]
pub fn group_report(vrg_namespace: &str, vrg: &str) -> String {
    format!("{vrg_namespace}.{vrg}")
}

/// ManifestWork that carries an application's namespace.
pub fn namespace_work(drpc: &str, namespace: &str) -> String {
    format!("{drpc}-{namespace}-ns-mw")
}

/// ManifestWork that carries the DRClusterConfig.
pub const DRCLUSTERCONFIG_WORK: &str = "drcconfig-mw";
/// ManifestWork that carries the roles for the work agent, and the spoke operator.
pub const DRCLUSTER_WORK: &str = "ramen-dr-cluster";

/// ManagedClusterView of a namespaced object; `kind` is the short type of the contract (`vrg`, `ns`, …).
pub fn view(name: &str, namespace: &str, kind: &str) -> String {
    format!("{name}-{namespace}-{kind}-mcv")
}

/// ManagedClusterView of a cluster-scoped object.
pub fn cluster_view(name: &str, kind: &str) -> String {
    format!("{name}-{kind}-mcv")
}

/// The `n`-th PlacementDecision of a Placement, from 1.
pub fn placement_decision(placement: &str, n: u32) -> String {
    format!("{placement}-decision-{n}")
}

/// Longest label value and object name segment that Kubernetes takes.
pub const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_contract() {
        assert_eq!(vrg_work("web", "shop"), "web-shop-vrg-mw");
        assert_eq!(namespace_work("web", "shop"), "web-shop-ns-mw");
        assert_eq!(view("web", "shop", "vrg"), "web-shop-vrg-mcv");
        assert_eq!(cluster_view("dr1", "drcconfig"), "dr1-drcconfig-mcv");
        assert_eq!(placement_decision("p", 1), "p-decision-1");
    }
}
