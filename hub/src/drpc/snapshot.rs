//! Everything that one pass over a DRPlacementControl knows, as a plain value.
//!
//! Made by `observe`, read by `decide` and `status`. What came from outside of the hub's own API server is a
//! [`Seen`]: a cluster that was not heard from is unknown, whatever its last report said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kaedama_shared::api::{DRCluster, DRPlacementControl, DRPolicy, VolumeReplicationGroup};
use kaedama_shared::record::ActionRecord;
use kaedama_shared::seen::Seen;

/// Identity and version of an object that an action is decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion` at the time of the observation.
    pub resource_version: String,
}

/// One pass's knowledge.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the snapshot was taken.
    pub now: Timestamp,
    /// The object that the pass is for.
    pub drpc: DRPlacementControl,
    /// What the operator's configuration says; the text says why it cannot be read.
    pub config: Result<Settings, String>,
    /// The user's placement object.
    pub placement: Seen<PlacementSite>,
    /// The policy that the DRPC names.
    pub policy: Seen<DRPolicy>,
    /// Another DRPC that protects the same namespace on a common cluster, and came first.
    pub conflict: Option<String>,
    /// Namespace of the VRG on the clusters.
    pub vrg_namespace: String,
    /// One entry for each cluster of the policy, in the policy's order.
    pub sites: Vec<Site>,
    /// Why the list of works cannot be believed, if it cannot: there may be clusters that no site stands for.
    pub doubt: Option<String>,
    /// What the stores say about the application; read only where the clusters leave it open.
    pub stored: Seen<VolumeReplicationGroup>,
}

/// The parts of the operator's configuration that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of discovered applications.
    pub ops_namespace: String,
    /// VolSync is switched off for all.
    pub volsync_disabled: bool,
    /// Capture of Kubernetes objects is switched off for all.
    pub kube_objects_disabled: bool,
}

/// The user's Placement, and the decisions in its name.
#[derive(Clone, Debug)]
pub struct PlacementSite {
    /// The Placement.
    pub id: ObjectId,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// What is decided.
    pub decisions: Decisions,
}

/// The decisions of a Placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decisions {
    /// No PlacementDecision object.
    None,
    /// Exactly one.
    One {
        /// The PlacementDecision.
        id: ObjectId,
        /// Its entries.
        entries: Vec<Decision>,
    },
    /// More than one object: nobody can say where the application lives.
    Ambiguous(Vec<String>),
}

/// One entry of a PlacementDecision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The cluster.
    pub cluster: String,
    /// The reason given.
    pub reason: String,
}

impl Decision {
    /// True where the entry only keeps the application from being removed.
    pub fn is_retained(&self) -> bool {
        self.reason == kaedama_shared::names::RETAINED_FOR_FAILOVER
    }
}

impl Decisions {
    /// All entries.
    pub fn entries(&self) -> &[Decision] {
        match self {
            Decisions::One { entries, .. } => entries,
            Decisions::None | Decisions::Ambiguous(_) => &[],
        }
    }

    /// The cluster that the application is placed on.
    pub fn live(&self) -> Option<&str> {
        self.entries().iter().find(|entry| !entry.is_retained()).map(|entry| entry.cluster.as_str())
    }

    /// Why the decisions do not say where the application is, if they do not.
    pub fn ambiguity(&self) -> Option<String> {
        match self {
            Decisions::Ambiguous(names) => Some(format!(
                "several PlacementDecisions name this Placement ({}); delete all but the right one",
                names.join(", ")
            )),
            Decisions::One { id, entries } => {
                let live: Vec<&str> =
                    entries.iter().filter(|entry| !entry.is_retained()).map(|entry| entry.cluster.as_str()).collect();
                (live.len() > 1).then(|| {
                    format!(
                        "PlacementDecision {} holds more than one live decision ({}); remove all but the right one",
                        id.name,
                        live.join(", ")
                    )
                })
            }
            Decisions::None => None,
        }
    }
}

/// One cluster of the policy, as this pass sees it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Name of the ManagedCluster and DRCluster.
    pub cluster: String,
    /// The DRCluster.
    pub drcluster: Seen<DRCluster>,
    /// The cluster is heard from; the text says why it counts as lost.
    pub reachable: Result<(), String>,
    /// There is no ManagedCluster of this name, which is certain.
    pub detached: bool,
    /// The ManifestWork with the application's namespace.
    pub namespace_work: Seen<ObjectId>,
    /// The ManifestWork with the VRG.
    pub work: Seen<VrgWork>,
    /// In its place, a ManifestWork that only asks whether there is a VRG, and writes none. `work` is absent then.
    pub question: Option<ObjectId>,
    /// The VRG as the cluster last reported it, unknown while the cluster is not heard from. Absent only where the
    /// cluster was asked and said so: that no work was delivered proves nothing after the loss of a hub.
    pub vrg: Seen<VolumeReplicationGroup>,
    /// The view of the VRG, where one is asked for.
    pub view: Option<ObjectId>,
    /// The work was applied a good while ago, and nothing came back: its spoke writes no report, so a view is needed.
    pub mute: bool,
}

/// The ManifestWork that carries a VRG.
#[derive(Clone, Debug)]
pub struct VrgWork {
    /// The work.
    pub id: ObjectId,
    /// The VRG in its first manifest.
    pub vrg: VolumeReplicationGroup,
    /// What the cluster last fed back, however long ago. Good for learning what once was; never for what is.
    pub last_report: Option<VolumeReplicationGroup>,
    /// The last report came with the work itself, and not through a view.
    pub reported: bool,
    /// It is being deleted.
    pub deleting: bool,
}

impl Snapshot {
    /// The site of a cluster.
    pub fn site(&self, cluster: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.cluster == cluster)
    }

    /// The sites of all other clusters.
    pub fn others<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Site> {
        self.sites.iter().filter(move |site| site.cluster != cluster)
    }

    /// Where the application is placed now.
    pub fn live_decision(&self) -> Option<&str> {
        self.placement.present().and_then(|placement| placement.decisions.live())
    }

    /// `metadata.generation` of the DRPC.
    pub fn generation(&self) -> i64 {
        self.drpc.metadata.generation.unwrap_or_default()
    }

    /// The DRPC's annotations.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.drpc.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

impl Site {
    /// The reported VRG, where it answers to `record`: written after the action reached the cluster.
    ///
    /// A report of an earlier action says nothing about this one, however good it looks.
    pub fn answer(&self, record: &ActionRecord) -> Option<&VolumeReplicationGroup> {
        self.vrg.present().filter(|vrg| action_of(vrg).is_some_and(|theirs| theirs.id == record.id))
    }

    /// The state that the VRG in the work asks for.
    pub fn asked(&self) -> Option<&VrgWork> {
        self.work.present().filter(|work| !work.deleting)
    }

    /// The report answers what the work asks for now. While a change is on its way, a report from before it says nothing
    /// about where the cluster is heading: a primary that was told to step down may be half-way through.
    pub fn in_step(&self) -> bool {
        let Some(vrg) = self.vrg.present() else { return false };
        let Some(work) = self.asked() else { return self.work.is_absent() };
        let role = |vrg: &VolumeReplicationGroup| {
            let spec = &vrg.spec;
            (spec.replication_state.clone(), spec.prepare_for_final_sync, spec.run_final_sync)
        };
        action_of(vrg).map(|record| record.id) == action_of(&work.vrg).map(|record| record.id)
            && role(vrg) == role(&work.vrg)
    }
}

/// The action that a VRG was written for.
pub fn action_of(vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    ActionRecord::from_annotations(vrg.metadata.annotations.as_ref()?).ok().flatten()
}
