//! VolumeReplicationGroupReport: the way of a group's state from its cluster to the hub. Not part of RamenDR's API.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tolerant;

/// Group of the kinds that RamenDR does not have.
pub const OWN_GROUP: &str = "kaedama.dev";

/// Which group is reported on.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kaedama.dev",
    version = "v1alpha1",
    kind = "VolumeReplicationGroupReport",
    plural = "volumereplicationgroupreports",
    shortname = "vrgreport",
    status = "VolumeReplicationGroupReportStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Asks the operator of a managed cluster to report on a VolumeReplicationGroup. The hub delivers it beside the group; \
           its name is the group's namespace and name, with a dot between them.",
    printcolumn = r#"{"name":"namespace","type":"string","jsonPath":".spec.volumeReplicationGroup.namespace"}"#,
    printcolumn = r#"{"name":"group","type":"string","jsonPath":".spec.volumeReplicationGroup.name"}"#,
    printcolumn = r#"{"name":"age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
#[schemars(extend("required" = ["volumeReplicationGroup"]))]
pub struct VolumeReplicationGroupReportSpec {
    /// The group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub volume_replication_group: ReportedGroup,
}

tolerant::absent_is_default!(VolumeReplicationGroupReportSpec);

/// Names a VolumeReplicationGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "namespace"]))]
pub struct ReportedGroup {
    /// Name of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub name: String,
    /// Namespace of the group.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub namespace: String,
}

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeReplicationGroupReportStatus {
    /// The group as the hub needs to see it, as one compact JSON string: Open Cluster Management feeds strings back to
    /// the hub, and no lists or objects.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    pub report: String,
}
