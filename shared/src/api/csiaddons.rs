//! Kinds of csi-addons and of the snapshot projects that we write and read: only the fields that we use.
//!
//! | group | kinds |
//! |---|---|
//! | `replication.storage.openshift.io/v1alpha1` | VolumeReplication, VolumeReplicationClass, VolumeGroupReplication, VolumeGroupReplicationClass, VolumeGroupReplicationContent |
//! | `csiaddons.openshift.io/v1alpha1` | NetworkFence, NetworkFenceClass |
//! | `snapshot.storage.k8s.io/v1` | VolumeSnapshotClass |
//! | `groupsnapshot.storage.k8s.io/v1` | VolumeGroupSnapshotClass |
//!
//! Reading takes `null` for empty and ignores what it does not know; writing leaves out what is empty.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time},
};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use super::{Condition, GoDuration, open_enum::open_enum, tolerant};

/// Group of the replication kinds.
pub const REPLICATION_GROUP: &str = "replication.storage.openshift.io";
/// Group of the fencing kinds.
pub const CSIADDONS_GROUP: &str = "csiaddons.openshift.io";

/// Finalizer on a VolumeReplication and on a group's content: replication must be disabled before it may go.
pub const REPLICATION_FINALIZER: &str = "replication.storage.openshift.io";
/// Finalizer on a claim that a VolumeReplication replicates.
pub const PVC_PROTECTION_FINALIZER: &str = "replication.storage.openshift.io/pvc-protection";
/// Finalizer on a VolumeGroupReplication, on its content and on its member claims.
pub const VGR_PROTECTION_FINALIZER: &str = "replication.storage.openshift.io/vgr-protection";
/// Finalizer on a NetworkFence.
pub const NETWORK_FENCE_FINALIZER: &str = "csiaddons.openshift.io/network-fence";
/// Annotation of a claim or group: the VolumeReplication that owns it.
pub const VR_NAME_ANNOTATION: &str = "replication.storage.openshift.io/volume-replication-name";
/// Annotation of a claim: the VolumeGroupReplication that owns it.
pub const VGR_NAME_ANNOTATION: &str = "replication.storage.openshift.io/volume-group-replication-name";
/// Annotation of a VolumeGroupReplication: the content that owns it.
pub const VGR_CONTENT_NAME_ANNOTATION: &str = "replication.storage.openshift.io/volume-group-replication-content-name";
/// Annotation of a group's VolumeReplication and content: `<namespace>/<name>` of the VolumeGroupReplication.
pub const VGR_REF_ANNOTATION: &str = "replication.storage.openshift.io/volumegroupref";
/// Prefix of the class parameters that csi-addons reads itself and never hands to a driver.
pub const RESERVED_PARAMETER_PREFIX: &str = "replication.storage.openshift.io/";
/// Class parameter: the time from one snapshot to the next, for example `5m`.
pub const SCHEDULING_INTERVAL: &str = "schedulingInterval";

/// Condition types of a VolumeReplication (and of a group, which shows those of its VolumeReplication).
pub mod condition {
    /// The last transition is complete.
    pub const COMPLETED: &str = "Completed";
    /// The copy is not known to be good.
    pub const DEGRADED: &str = "Degraded";
    /// Changes are being copied from the primary.
    pub const RESYNCING: &str = "Resyncing";
    /// The prerequisites of replication are met.
    pub const VALIDATED: &str = "Validated";
    /// The peer follows this primary.
    pub const REPLICATING: &str = "Replicating";
    /// The peer's volume id is known.
    pub const DESTINATION_INFO_AVAILABLE: &str = "DestinationInfoAvailable";
}

/// Reasons of the conditions of a VolumeReplication: the complete list.
pub mod reason {
    /// Completed: the volume is primary.
    pub const PROMOTED: &str = "Promoted";
    /// Completed: the volume is secondary.
    pub const DEMOTED: &str = "Demoted";
    /// Completed: enabling or promoting failed.
    pub const FAILED_TO_PROMOTE: &str = "FailedToPromote";
    /// Completed: demoting failed.
    pub const FAILED_TO_DEMOTE: &str = "FailedToDemote";
    /// Degraded: something failed.
    pub const ERROR: &str = "Error";
    /// Degraded: demoted and not known to be in sync.
    pub const VOLUME_DEGRADED: &str = "VolumeDegraded";
    /// Degraded: the copy is good.
    pub const HEALTHY: &str = "Healthy";
    /// Resyncing: the storage copies.
    pub const RESYNC_TRIGGERED: &str = "ResyncTriggered";
    /// Completed and Resyncing: the resync was refused.
    pub const FAILED_TO_RESYNC: &str = "FailedToResync";
    /// Resyncing: nothing is copied.
    pub const NOT_RESYNCING: &str = "NotResyncing";
    /// Validated: replication could be enabled.
    pub const PREREQUISITE_MET: &str = "PrerequisiteMet";
    /// Validated: the storage lacks something.
    pub const PREREQUISITE_NOT_MET: &str = "PrerequisiteNotMet";
    /// Replicating: the peer follows (or, with status Unknown, nobody can tell).
    pub const REPLICATING: &str = "Replicating";
    /// Replicating: the peer does not follow.
    pub const NOT_REPLICATING: &str = "NotReplicating";
    /// DestinationInfoAvailable: the id is in the status.
    pub const DESTINATION_INFO_UPDATED: &str = "DestinationInfoUpdated";
    /// DestinationInfoAvailable: not asked yet.
    pub const DESTINATION_INFO_PENDING: &str = "DestinationInfoPending";
    /// DestinationInfoAvailable: the storage did not tell.
    pub const FAILED_TO_GET_DESTINATION_INFO: &str = "FailedToGetDestinationInfo";
}

macro_rules! kind {
    (
        $(#[$doc:meta])*
        $kind:ident, $scope:ident, $group:literal, $version:literal, $plural:literal,
        { $( $(#[$field_doc:meta])* $field:ident as $wire:literal: $type:ty ),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default)]
        pub struct $kind {
            /// Name, namespace, labels and so on.
            #[serde(deserialize_with = "tolerant::nullable")]
            pub metadata: ObjectMeta,
            $( $(#[$field_doc])* #[serde(rename = $wire, deserialize_with = "tolerant::nullable")] pub $field: $type, )+
        }

        impl $kind {
            /// `apiVersion` of the kind, as written on the wire.
            pub const API_VERSION: &'static str = concat!($group, "/", $version);
            /// Name of the kind.
            pub const KIND: &'static str = stringify!($kind);
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // The length is a hint only.
                let mut out = serializer.serialize_struct(Self::KIND, 5)?;
                out.serialize_field("apiVersion", Self::API_VERSION)?;
                out.serialize_field("kind", Self::KIND)?;
                out.serialize_field("metadata", &self.metadata)?;
                $(
                    if self.$field == <$type>::default() {
                        out.skip_field($wire)?;
                    } else {
                        out.serialize_field($wire, &self.$field)?;
                    }
                )+
                out.end()
            }
        }

        impl kube::Resource for $kind {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                Self::KIND.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kind! {
    /// Replication of one claim, or of one group of claims.
    VolumeReplication, NamespaceResourceScope, "replication.storage.openshift.io", "v1alpha1", "volumereplications",
    {
        /// What is wanted.
        spec as "spec": VolumeReplicationSpec,
        /// What the controller reported last.
        status as "status": Option<VolumeReplicationStatus>,
    }
}

kind! {
    /// How volumes are replicated.
    VolumeReplicationClass, ClusterResourceScope, "replication.storage.openshift.io", "v1alpha1", "volumereplicationclasses",
    {
        /// What is wanted.
        spec as "spec": ReplicationClassSpec,
    }
}

kind! {
    /// How groups of volumes are replicated.
    VolumeGroupReplicationClass, ClusterResourceScope, "replication.storage.openshift.io", "v1alpha1", "volumegroupreplicationclasses",
    {
        /// What is wanted.
        spec as "spec": ReplicationClassSpec,
    }
}

kind! {
    /// Replication of all claims that a selector finds, as one.
    VolumeGroupReplication, NamespaceResourceScope, "replication.storage.openshift.io", "v1alpha1", "volumegroupreplications",
    {
        /// What is wanted.
        spec as "spec": VolumeGroupReplicationSpec,
        /// What the controller reported last.
        status as "status": Option<VolumeGroupReplicationStatus>,
    }
}

kind! {
    /// The storage's group behind a VolumeGroupReplication.
    VolumeGroupReplicationContent, ClusterResourceScope, "replication.storage.openshift.io", "v1alpha1", "volumegroupreplicationcontents",
    {
        /// What is wanted.
        spec as "spec": VolumeGroupReplicationContentSpec,
        /// What the controller reported last.
        status as "status": Option<VolumeGroupReplicationContentStatus>,
    }
}

kind! {
    /// Networks that are kept away from the storage.
    NetworkFence, ClusterResourceScope, "csiaddons.openshift.io", "v1alpha1", "networkfences",
    {
        /// What is wanted.
        spec as "spec": NetworkFenceSpec,
        /// What the controller reported last.
        status as "status": Option<NetworkFenceStatus>,
    }
}

kind! {
    /// How networks are fenced.
    NetworkFenceClass, ClusterResourceScope, "csiaddons.openshift.io", "v1alpha1", "networkfenceclasses",
    {
        /// What is wanted.
        spec as "spec": ReplicationClassSpec,
    }
}

kind! {
    /// How snapshots are taken.
    VolumeSnapshotClass, ClusterResourceScope, "snapshot.storage.k8s.io", "v1", "volumesnapshotclasses",
    {
        /// Name of the CSI driver.
        driver as "driver": String,
        /// `Delete` or `Retain`.
        deletion_policy as "deletionPolicy": String,
        /// The driver's own parameters.
        parameters as "parameters": BTreeMap<String, String>,
    }
}

kind! {
    /// How snapshots of groups are taken.
    VolumeGroupSnapshotClass, ClusterResourceScope, "groupsnapshot.storage.k8s.io", "v1", "volumegroupsnapshotclasses",
    {
        /// Name of the CSI driver.
        driver as "driver": String,
        /// `Delete` or `Retain`.
        deletion_policy as "deletionPolicy": String,
        /// The driver's own parameters.
        parameters as "parameters": BTreeMap<String, String>,
    }
}

open_enum! {
    /// What a VolumeReplication is asked to be. Lower case, unlike [`VolumeState`].
    #[derive(Default)]
    pub enum DesiredState (closed) {
        /// Never written.
        #[default]
        Unset => "",
        /// Writable, and the source.
        Primary => "primary",
        /// Read-only, receiving.
        Secondary => "secondary",
        /// Secondary, and told to throw divergent data away.
        Resync => "resync",
    }
}

open_enum! {
    /// What a VolumeReplication is: the last transition that was completed. Capitalised, unlike [`DesiredState`].
    #[derive(Default)]
    pub enum VolumeState (string) {
        /// Never written.
        #[default]
        Unset => "",
        /// Writable, and the source.
        Primary => "Primary",
        /// Read-only, receiving.
        Secondary => "Secondary",
        /// No transition was ever completed.
        Unknown => "Unknown",
    }
}

macro_rules! fields {
    ( $(#[$doc:meta])* $name:ident { $( $(#[$attribute:meta])* $field:ident: $type:ty ),+ $(,)? } ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $( $(#[$attribute])* pub $field: $type, )+
        }
    };
}

fields! {
    /// Spec of a [`VolumeReplication`].
    VolumeReplicationSpec {
        /// Name of the VolumeReplicationClass. Immutable.
        #[serde(deserialize_with = "tolerant::nullable")]
        volume_replication_class: String,
        /// The state that is asked for.
        #[serde(deserialize_with = "tolerant::nullable")]
        replication_state: DesiredState,
        /// The claim or group in the same namespace. Immutable.
        #[serde(deserialize_with = "tolerant::nullable")]
        data_source: DataSource,
        /// Whether a secondary may throw divergent data away.
        #[serde(deserialize_with = "tolerant::nullable")]
        auto_resync: bool,
        /// Handed to the driver as it is.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        replication_handle: String,
    }
}

fields! {
    /// What is replicated.
    DataSource {
        /// Group of the kind; empty for a claim.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        api_group: String,
        /// `PersistentVolumeClaim` or `VolumeGroupReplication`.
        #[serde(deserialize_with = "tolerant::nullable")]
        kind: String,
        /// Its name.
        #[serde(deserialize_with = "tolerant::nullable")]
        name: String,
    }
}

fields! {
    /// Status of a [`VolumeReplication`], and the part that a group has in common with it.
    VolumeReplicationStatus {
        /// The last transition that was completed.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "VolumeState::is_unset")]
        state: VolumeState,
        /// The last outcome, for people.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        message: String,
        /// See [`condition`].
        #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
        conditions: Vec<Condition>,
        /// The generation that the controller dealt with last.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        observed_generation: i64,
        /// When the last transition began.
        #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "tolerant::empty")]
        last_start_time: Option<Time>,
        /// When the last transition ended.
        #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "tolerant::empty")]
        last_completion_time: Option<Time>,
        /// The peer has everything up to this moment.
        #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "tolerant::empty")]
        last_sync_time: Option<Time>,
        /// How long the last transfer took.
        #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "tolerant::empty")]
        last_sync_duration: Option<GoDuration>,
        /// How many bytes the last transfer had; absent for none.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        last_sync_bytes: Option<i64>,
        /// The volume's id on the peer, when it differs and the driver tells it.
        #[serde(rename = "destinationVolumeID", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        destination_volume_id: String,
    }
}

fields! {
    /// Spec of the classes: [`VolumeReplicationClass`], [`VolumeGroupReplicationClass`], [`NetworkFenceClass`].
    ReplicationClassSpec {
        /// Name of the CSI driver. Immutable.
        #[serde(deserialize_with = "tolerant::nullable")]
        provisioner: String,
        /// Reserved ones, and the driver's own. Immutable.
        #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
        parameters: BTreeMap<String, String>,
    }
}

fields! {
    /// Spec of a [`VolumeGroupReplication`].
    VolumeGroupReplicationSpec {
        /// Name of the VolumeGroupReplicationClass. Immutable.
        #[serde(deserialize_with = "tolerant::nullable")]
        volume_group_replication_class_name: String,
        /// Class of the VolumeReplication that is made for the group. Immutable.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        volume_replication_class_name: String,
        /// Name of the VolumeReplication that is made for the group. Immutable once set.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        volume_replication_name: String,
        /// Name of the content. Immutable once set; set beforehand it adopts an existing content.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        volume_group_replication_content_name: String,
        /// The state that is asked for.
        #[serde(deserialize_with = "tolerant::nullable")]
        replication_state: DesiredState,
        /// Whether a secondary may throw divergent data away.
        #[serde(deserialize_with = "tolerant::nullable")]
        auto_resync: bool,
        /// Which claims. Immutable.
        #[serde(deserialize_with = "tolerant::nullable")]
        source: VolumeGroupReplicationSource,
        /// Some other controller owns this object.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        external: bool,
    }
}

fields! {
    /// Which claims a group has.
    VolumeGroupReplicationSource {
        /// Selects claims of the same namespace by their labels.
        #[serde(deserialize_with = "tolerant::nullable")]
        selector: LabelSelector,
    }
}

fields! {
    /// Status of a [`VolumeGroupReplication`].
    VolumeGroupReplicationStatus {
        /// The status of the group's VolumeReplication.
        #[serde(flatten)]
        replication: VolumeReplicationStatus,
        /// The present members.
        #[serde(rename = "persistentVolumeClaimsRefList", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
        persistent_volume_claims_ref_list: Vec<NameReference>,
    }
}

fields! {
    /// A reference to an object by its name.
    NameReference {
        /// The name.
        #[serde(deserialize_with = "tolerant::nullable")]
        name: String,
    }
}

fields! {
    /// Spec of a [`VolumeGroupReplicationContent`].
    VolumeGroupReplicationContentSpec {
        /// Name of the CSI driver.
        #[serde(deserialize_with = "tolerant::nullable")]
        provisioner: String,
        /// Name of the VolumeGroupReplicationClass.
        #[serde(deserialize_with = "tolerant::nullable")]
        volume_group_replication_class_name: String,
        /// The volumes.
        #[serde(deserialize_with = "tolerant::nullable")]
        source: VolumeGroupReplicationContentSource,
        /// The storage's id of the group; empty until it exists there.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        volume_group_replication_handle: String,
        /// The VolumeGroupReplication that it belongs to.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        volume_group_replication_ref: Option<ObjectReference>,
        /// What the driver told of the group. Immutable once set.
        #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
        volume_group_attributes: BTreeMap<String, String>,
    }
}

fields! {
    /// The volumes of a group.
    VolumeGroupReplicationContentSource {
        /// Their handles, sorted.
        #[serde(deserialize_with = "tolerant::list")]
        volume_handles: Vec<String>,
    }
}

fields! {
    /// Status of a [`VolumeGroupReplicationContent`].
    VolumeGroupReplicationContentStatus {
        /// The members' volumes. Superseded by the mapping list, still filled.
        #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
        persistent_volume_ref_list: Vec<NameReference>,
        /// Each volume with its handle here and on the peer.
        #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
        persistent_volume_mapping_list: Vec<PersistentVolumeMapping>,
        /// The storage's id of the group on the peer.
        #[serde(rename = "destinationVolumeGroupID", deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        destination_volume_group_id: String,
    }
}

fields! {
    /// A volume of a group, here and on the peer.
    PersistentVolumeMapping {
        /// Name of the PersistentVolume.
        #[serde(deserialize_with = "tolerant::nullable")]
        name: String,
        /// Its handle.
        #[serde(deserialize_with = "tolerant::nullable")]
        volume_handle: String,
        /// Its handle on the peer, when the driver tells it.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        destination_volume_handle: String,
    }
}

fields! {
    /// Spec of a [`NetworkFence`].
    NetworkFenceSpec {
        /// The networks.
        #[serde(deserialize_with = "tolerant::list")]
        cidrs: Vec<String>,
        /// `Fenced` or `Unfenced`.
        #[serde(deserialize_with = "tolerant::nullable")]
        fence_state: FenceState,
        /// Name of the NetworkFenceClass. Immutable.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        network_fence_class_name: String,
        /// Name of the CSI driver, when there is no class. Immutable.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        driver: String,
        /// The driver's Secret, when there is no class. Immutable.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        secret: Option<SecretName>,
        /// The driver's own parameters. Immutable.
        #[serde(deserialize_with = "tolerant::map", skip_serializing_if = "tolerant::empty")]
        parameters: BTreeMap<String, String>,
    }
}

fields! {
    /// Where a Secret is.
    SecretName {
        /// Its name.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        name: String,
        /// Its namespace.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        namespace: String,
    }
}

open_enum! {
    /// What a NetworkFence is asked to be.
    #[derive(Default)]
    pub enum FenceState (closed) {
        /// I/O from the networks is refused.
        #[default]
        Fenced => "Fenced",
        /// I/O from the networks is taken.
        Unfenced => "Unfenced",
    }
}

fields! {
    /// Status of a [`NetworkFence`].
    NetworkFenceStatus {
        /// `Succeeded` or `Failed`.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        result: String,
        /// Details for people.
        #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
        message: String,
        /// csi-addons writes none.
        #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
        conditions: Vec<Condition>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_and_unknown_values_are_read() {
        let read: VolumeReplication = serde_json::from_value(json!({
            "metadata": {"name": "data", "creationTimestamp": null},
            "spec": {"replicationState": "later", "dataSource": null, "autoResync": null},
            "status": {"conditions": null, "lastSyncTime": null, "lastSyncDuration": "", "state": null}
        }))
        .unwrap();
        assert_eq!(read.spec.replication_state, DesiredState::Other("later".to_owned()));
        assert_eq!(read.status, Some(VolumeReplicationStatus::default()));
        let empty: VolumeGroupReplication = serde_json::from_value(json!({"metadata": null, "spec": null})).unwrap();
        assert_eq!(empty, VolumeGroupReplication::default());
    }

    #[test]
    fn what_is_written_is_what_csi_addons_writes() {
        let object = json!({
            "apiVersion": "replication.storage.openshift.io/v1alpha1",
            "kind": "VolumeReplication",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {
                "volumeReplicationClass": "vrc-5m",
                "replicationState": "primary",
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "data"},
                "autoResync": false
            },
            "status": {
                "state": "Primary",
                "lastSyncTime": "2030-01-01T00:05:00Z",
                "lastSyncDuration": "1m3s",
                "lastSyncBytes": 4096,
                "observedGeneration": 2,
                "destinationVolumeID": "other"
            }
        });
        let read: VolumeReplication = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), object);
    }

    #[test]
    fn a_group_shows_the_status_of_its_replication() {
        let status = json!({
            "state": "Secondary",
            "lastSyncBytes": 7,
            "persistentVolumeClaimsRefList": [{"name": "one"}, {"name": "two"}]
        });
        let read: VolumeGroupReplicationStatus = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(read.replication.state, VolumeState::Secondary);
        assert_eq!(serde_json::to_value(read).unwrap(), status);
    }
}
