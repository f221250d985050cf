//! How the state of a managed cluster's objects travels back to the hub.
//!
//! OCM's work agent feeds scalar fields of an applied object back into the ManifestWork, within milliseconds when it
//! watches the object. A string has no length limit of its own, lists and objects are not carried at all. So the
//! spoke writes one string: of a VolumeReplicationGroup the object's identity, its spec as the spoke has it, and its
//! status. The hub reads it from the feedback value [`FEEDBACK_REPORT`].
//!
//! The string of a group stands in an object of its own, a [`VolumeReplicationGroupReport`]: the agent watches a limited number of pairs of resource and namespace, and
//! groups are in the namespaces of their applications. A spoke that reports nothing (the reference product's) is read
//! through a ManagedClusterView.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::VolumeReplicationGroup;
#[cfg(doc)]
use crate::api::VolumeReplicationGroupReport;

/// Name of the feedback value that carries the report.
pub const FEEDBACK_REPORT: &str = "report";
/// JSONPath of the report on a cluster in its DRClusterConfig.
pub const CLUSTER_REPORT_PATH: &str = ".status.hubReport";
/// JSONPath of the report on a group in its VolumeReplicationGroupReport.
pub const GROUP_REPORT_PATH: &str = ".status.report";

/// A class of a managed cluster, with what pairing needs to know of it. All classes have the same shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassFacts {
    /// `metadata.name`.
    pub name: String,
    /// CSI driver: `provisioner` of a StorageClass, `spec.provisioner` of a replication class, `driver` of a snapshot
    /// class.
    pub provisioner: String,
    /// The labels whose keys begin with `ramendr.openshift.io/`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Parameter `schedulingInterval` of a replication class; empty elsewhere.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheduling_interval: String,
}

/// What a managed cluster offers for disaster recovery: one string in the status of its DRClusterConfig instead of one
/// view per class. Every list is sorted by name and holds the classes that the status lists by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterReport {
    /// Version of the shape.
    pub shape: u32,
    /// `metadata.generation` of the DRClusterConfig.
    pub generation: i64,
    /// StorageClasses.
    pub storage_classes: Vec<ClassFacts>,
    /// VolumeReplicationClasses.
    pub volume_replication_classes: Vec<ClassFacts>,
    /// VolumeGroupReplicationClasses.
    pub volume_group_replication_classes: Vec<ClassFacts>,
    /// VolumeSnapshotClasses.
    pub volume_snapshot_classes: Vec<ClassFacts>,
    /// VolumeGroupSnapshotClasses.
    pub volume_group_snapshot_classes: Vec<ClassFacts>,
    /// Networks of the nodes, as CIDRs, of all `storageAccessDetails`.
    pub cidrs: Vec<String>,
}

impl ClusterReport {
    /// The string for `status.hubReport`.
    #[must_use]
    pub fn encode(mut self) -> String {
        self.shape = SHAPE;
        // Strings and numbers serialise always.
        serde_json::to_string(&self).unwrap_or_default()
    }

    /// Reads the string.
    ///
    /// # Errors
    /// It is malformed, or written by a newer spoke.
    pub fn decode(text: &str) -> Result<Self, ReportError> {
        let report: Self = serde_json::from_str(text)?;
        if report.shape > SHAPE {
            return Err(ReportError::NewerShape(report.shape));
        }
        Ok(report)
    }
}

/// Version of the report's shape; a hub that meets a newer one falls back to the view.
const SHAPE: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Report {
    shape: u32,
    object: VolumeReplicationGroup,
}

/// Why a report cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not the JSON that we write.
    #[error("the report cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer spoke.
    #[error("the report has shape {0}, this hub reads {SHAPE}")]
    NewerShape(u32),
}

/// Builds the report of a group. Managed fields and the resourceVersion, which status writes change, are left out.
pub fn encode(vrg: &VolumeReplicationGroup) -> String {
    let mut object = vrg.clone();
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    let report = Report { shape: SHAPE, object };
    // Our own types serialise always; an empty report reads as "no report".
    serde_json::to_string(&report).unwrap_or_default()
}

/// Reads a report.
pub fn decode(text: &str) -> Result<VolumeReplicationGroup, ReportError> {
    let report: Report = serde_json::from_str(text)?;
    if report.shape > SHAPE {
        return Err(ReportError::NewerShape(report.shape));
    }
    Ok(report.object)
}
