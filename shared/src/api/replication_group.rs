//! ReplicationGroupSource and ReplicationGroupDestination: consistency groups that are sent as volume group snapshots.
//!
//! Made by the spoke operator for itself, never by users.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectReference, TypedLocalObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::GoDuration;
use super::volsync::{VolSyncReplicationDestinationSpec, VolSyncReplicationSourceSpec};
use super::{schema, tolerant};

/// What is sent, and when.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "ReplicationGroupSource",
    plural = "replicationgroupsources",
    shortname = "rgs",
    namespaced,
    status = "ReplicationGroupSourceStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Last sync", "type": "string", "format": "date-time", "jsonPath": ".status.lastSyncTime"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.lastSyncDuration"}"#,
    printcolumn = r#"{"name": "Next sync", "type": "string", "format": "date-time", "jsonPath": ".status.nextSyncTime"}"#,
    printcolumn = r#"{"name": "Source", "type": "string", "jsonPath": ".spec.volumeGroupSnapshotSource"}"#,
    printcolumn = r#"{"name": "Last sync start", "type": "string", "format": "date-time", "jsonPath": ".status.lastSyncStartTime"}"#,
    doc = "A group of claims that is snapshotted at one point in time and sent to the peer."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(
    rename = "ReplicationGroupSourceSpec",
    extend("required" = ["volumeGroupSnapshotClassName", "volumeGroupSnapshotSource"])
)]
pub struct ReplicationGroupSourceSpec {
    /// The claims of the group and where each is sent.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub rs_specs: Vec<VolSyncReplicationSourceSpec>,
    /// When the group is sent; absent means all the time.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "Option::is_none")]
    pub trigger: Option<ReplicationGroupTrigger>,
    /// Class of the group snapshots.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub volume_group_snapshot_class_name: String,
    /// Selects the claims of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(schema_with = "schema::label_selector")]
    pub volume_group_snapshot_source: LabelSelector,
}

tolerant::absent_is_default!(ReplicationGroupSourceSpec);

/// What starts a synchronisation. With both members the manual one wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationGroupTrigger {
    /// Any text; a new one starts one synchronisation, which is over when status.lastManualSync has the same text.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub manual: String,
    /// Schedule in cron's five fields, or an alias such as @hourly.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(regex(
        pattern = r"^(@(annually|yearly|monthly|weekly|daily|hourly))|((((\d+,)*\d+|(\d+(\/|-)\d+)|\*(\/\d+)?)\s?){5})$"
    ))]
    pub schedule: String,
}

/// How far the group is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationGroupSourceStatus {
    /// Conditions of the group: Synchronizing.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// The manual trigger that was last carried out.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub last_manual_sync: String,
    /// How long the last synchronisation took.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub last_sync_duration: Option<GoDuration>,
    /// When the running synchronisation began.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_sync_start_time: Option<Time>,
    /// When the last synchronisation ended.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When the next scheduled synchronisation begins.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub next_sync_time: Option<Time>,
    /// VolSync's objects for the claims of the group.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::object_references")]
    pub replication_sources: Vec<ObjectReference>,
}

/// What is received.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "ramendr.openshift.io",
    version = "v1alpha1",
    kind = "ReplicationGroupDestination",
    plural = "replicationgroupdestinations",
    shortname = "rgd",
    namespaced,
    status = "ReplicationGroupDestinationStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Last sync", "type": "string", "format": "date-time", "jsonPath": ".status.lastSyncTime"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.lastSyncDuration"}"#,
    printcolumn = r#"{"name": "Last sync start", "type": "string", "format": "date-time", "jsonPath": ".status.lastSyncStartTime"}"#,
    doc = "A group of claims that is received from the peer, and the newest complete set of images."
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(rename = "ReplicationGroupDestinationSpec")]
pub struct ReplicationGroupDestinationSpec {
    /// Nothing is received while this is set.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub paused: bool,
    /// The claims of the group.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub rd_specs: Vec<VolSyncReplicationDestinationSpec>,
    /// Which VolumeSnapshotClasses may be used; empty allows all.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::label_selector")]
    pub volume_snapshot_class_selector: LabelSelector,
}

tolerant::absent_is_default!(ReplicationGroupDestinationSpec);

/// How far the group is received.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationGroupDestinationStatus {
    /// Conditions of the group: Synchronizing.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    pub conditions: Vec<Condition>,
    /// How long the last synchronisation took.
    #[serde(deserialize_with = "tolerant::duration", skip_serializing_if = "Option::is_none")]
    pub last_sync_duration: Option<GoDuration>,
    /// When the running synchronisation began.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_sync_start_time: Option<Time>,
    /// When the last synchronisation ended.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// The newest complete set of images, by name of the claim.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::typed_local_references")]
    pub latest_image: BTreeMap<String, TypedLocalObjectReference>,
    /// When the next scheduled synchronisation begins.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub next_sync_time: Option<Time>,
    /// VolSync's objects for the claims of the group.
    #[serde(deserialize_with = "tolerant::list", skip_serializing_if = "tolerant::empty")]
    #[schemars(schema_with = "schema::object_references")]
    pub replication_destinations: Vec<ObjectReference>,
}
