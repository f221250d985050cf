//! DRPlacementControl: an application's disaster recovery, as its administrator sees and steers it.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::drpc_state::{DRState, Progression};
use super::duration::GoDuration;
use super::kube_objects::KubeObjectProtectionSpec;
use super::open_enum::open_enum;
use super::protected_pvc::PVCGroup;
use super::static_ip::DiscoveredResource;
use super::volsync::VolSyncSpec;
use super::{schema, tolerant};

open_enum! {
    /// What an administrator can order.
    pub enum DRAction (closed) {
        /// Bring the application up on the other cluster, without the current one.
        Failover => "Failover",
        /// Move the application to its preferred cluster, with both clusters working and without loss.
        Relocate => "Relocate",
    }
}

/// What an administrator wants for an application.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "DRPlacementControl",
    plural = "drplacementcontrols",
    shortname = "drpc",
    namespaced,
    status = "DRPlacementControlStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "preferredCluster", "type": "string", "jsonPath": ".spec.preferredCluster"}"#,
    printcolumn = r#"{"name": "failoverCluster", "type": "string", "jsonPath": ".spec.failoverCluster"}"#,
    printcolumn = r#"{"name": "desiredState", "type": "string", "jsonPath": ".spec.action"}"#,
    printcolumn = r#"{"name": "currentState", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "progression", "type": "string", "jsonPath": ".status.progression", "priority": 2}"#,
    printcolumn = r#"{"name": "start time", "type": "string", "jsonPath": ".status.actionStartTime", "priority": 2}"#,
    printcolumn = r#"{"name": "duration", "type": "string", "jsonPath": ".status.actionDuration", "priority": 2}"#,
    printcolumn = r#"{"name": "peer ready", "type": "string", "jsonPath": ".status.conditions[1].status", "priority": 2}"#,
    doc = "Disaster recovery of one application: where it runs, where it can go, and the order to move it."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["drPolicyRef", "placementRef", "pvcSelector"]))]
pub struct DRPlacementControlSpec {
    /// The order: Failover or Relocate. Absent means to deploy the application on its preferred cluster.
    #[serde(deserialize_with = "tolerant::choice", skip_serializing_if = "Option::is_none")]
    pub action: Option<DRAction>,
    /// The policy that protects the application. Only the name matters.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(
        schema_with = "schema::object_reference",
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "drPolicyRef is immutable" },
        ])
    )]
    pub dr_policy_ref: ObjectReference,
    /// Test the failover and change nothing for the running application. Only with Failover.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub dry_run: bool,
    /// Where Failover goes. Required for Failover; nothing is chosen by itself.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub failover_cluster: String,
    /// Capture of Kubernetes objects; absent without it.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub kube_object_protection: Option<KubeObjectProtectionSpec>,
    /// The Placement or PlacementRule that places the application. Only name and namespace matter.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(
        schema_with = "schema::object_reference",
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "placementRef is immutable" },
        ])
    )]
    pub placement_ref: ObjectReference,
    /// Home of the application: where it is deployed first, and where Relocate goes.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub preferred_cluster: String,
    /// The namespaces of an application that was not deployed from the hub.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub protected_namespaces: Vec<String>,
    /// The claims to protect; empty selects all of the application's namespaces.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(
        schema_with = "schema::label_selector",
        extend("x-kubernetes-validations" = [
            { "rule": "self == oldSelf", "message": "pvcSelector is immutable" },
        ])
    )]
    pub pvc_selector: LabelSelector,
    /// Keep the security-context-constraint annotations of the namespaces on the peer.
    #[serde(
        rename = "retainNamespaceSCCAcrossPeers",
        deserialize_with = "tolerant::nullable",
        skip_serializing_if = "tolerant::empty"
    )]
    pub retain_namespace_scc_across_peers: bool,
    /// How VolSync's mover pods run; the other members have no effect here.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub vol_sync_spec: VolSyncSpec,
}

tolerant::absent_is_default!(DRPlacementControlSpec);

/// Where an application stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DRPlacementControlStatus {
    /// How long the last action took; absent while it runs.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub action_duration: Option<GoDuration>,
    /// When the current or last action began.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub action_start_time: Option<Time>,
    /// Conditions: Available, PeerReady and Protected in this order, then others.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// Bytes of the last synchronisation, over all claims.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_bytes: Option<i64>,
    /// The longest of the claims' last synchronisations.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_duration: Option<GoDuration>,
    /// Point in time up to which the peer has all data of the application.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_group_sync_time: Option<Time>,
    /// End of the last complete capture of Kubernetes objects.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_kube_object_protection_time: Option<Time>,
    /// When this status was written.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// Generation at the last change of the phase.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub observed_generation: i64,
    /// Phase of the application.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub phase: DRState,
    /// The preferred cluster as it was at the first deployment.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub preferred_decision: PlacementDecision,
    /// Step of the running action.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub progression: Progression,
    /// The application's VolumeReplicationGroup, as it was last seen.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub resource_conditions: VRGConditions,
}

/// A cluster that an application is placed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementDecision {
    /// Name of the cluster.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub cluster_name: String,
    /// Namespace of the cluster on the hub.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub cluster_namespace: String,
}

/// The VolumeReplicationGroup that a status reports about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VRGConditions {
    /// The group's conditions.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// The group's identity and what it protects.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub resource_meta: VRGResourceMeta,
}

/// Identity of a VolumeReplicationGroup and what it protects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["generation", "kind", "name", "namespace"]))]
pub struct VRGResourceMeta {
    /// Generation of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub generation: i64,
    /// Kind of the object: VolumeReplicationGroup.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub kind: String,
    /// Name of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Namespace of the group on its cluster.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub namespace: String,
    /// Names of the protected claims, without their namespaces.
    #[serde(rename = "protectedpvcs", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub protected_pvcs: Vec<String>,
    /// Virtual machines with static addresses.
    #[serde(
        rename = "protectedStaticIPVMs",
        deserialize_with = "tolerant::list",
        skip_serializing_if = "tolerant::empty"
    )]
    pub protected_static_ip_vms: Vec<DiscoveredResource>,
    /// The consistency groups.
    #[serde(rename = "pvcgroups", deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub pvc_groups: Vec<PVCGroup>,
    /// Resource version of the group.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub resource_version: String,
}
