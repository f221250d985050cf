//! A managed cluster of the model.
//!
//! Agent, spoke, storage and application each move by a call of their own, so that a test decides in what order and how
//! late they do. What a cluster reports and what is true there are two things.

use kaedama_shared::api::conditions::vrg as types;
use kaedama_shared::api::{
    Condition, ConditionStatus, DRAction, ReplicationState, Time, VRGState, VolumeReplicationGroup,
    VolumeReplicationGroupStatus, condition, reasons::vrg as reasons,
};

use crate::drpc::facts;
use crate::drpc::snapshot::ObjectId;

/// The ManifestWork with the VRG, as it lies on the hub.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) id: ObjectId,
    /// None: a work that only asks.
    pub(crate) vrg: Option<VolumeReplicationGroup>,
    pub(crate) deleting: bool,
    /// What was fed back last.
    pub(crate) report: Option<VolumeReplicationGroup>,
    /// The agent has answered for this content, and there was no VRG.
    pub(crate) missing: bool,
}

/// The cluster itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Spoke, storage and application work.
    pub(crate) alive: bool,
    /// The work agent has contact with the hub.
    pub(crate) connected: bool,
    pub(crate) vrg: Option<VolumeReplicationGroup>,
    /// The VRG as the spoke last reported it.
    pub(crate) reported: Option<VolumeReplicationGroup>,
    /// The VRG came with a work of this uid, which owns it.
    pub(crate) owner: String,
    /// The application runs.
    pub(crate) app: bool,
    /// Number of the last write that is on the volumes here.
    pub(crate) data: u64,
    /// The volumes are writable here.
    pub(crate) writable: bool,
}

impl Cluster {
    /// The agent compares the work with the cluster, and feeds back.
    pub(crate) fn agent(&mut self, work: Option<&mut Work>) {
        if !(self.alive && self.connected) {
            return;
        }
        let Some(work) = work else { return };
        if work.deleting {
            if self.owner == work.id.uid {
                self.vrg = None;
                self.reported = None;
                self.writable = false;
            }
            return;
        }
        if let Some(wanted) = &work.vrg {
            self.apply(wanted);
            self.owner.clone_from(&work.id.uid);
        }
        self.feed_back(work);
    }

    /// A deleted work goes when its cluster has finished.
    pub(crate) fn finishes(&self, work: &Work) -> bool {
        work.deleting && self.alive && self.connected && (self.vrg.is_none() || self.owner != work.id.uid)
    }

    fn apply(&mut self, wanted: &VolumeReplicationGroup) {
        let Some(have) = &mut self.vrg else {
            let mut made = wanted.clone();
            made.metadata.generation = Some(1);
            self.vrg = Some(made);
            return;
        };
        if have.spec != wanted.spec {
            have.spec.clone_from(&wanted.spec);
            have.metadata.generation = have.metadata.generation.map(|generation| generation + 1);
        }
        // Open Cluster Management merges metadata maps.
        have.metadata
            .annotations
            .get_or_insert_default()
            .extend(wanted.metadata.annotations.clone().unwrap_or_default());
    }

    fn feed_back(&self, work: &mut Work) {
        work.missing = self.vrg.is_none();
        // What the spoke wrote, and no later.
        if self.reported.is_some() {
            work.report.clone_from(&self.reported);
        }
    }

    /// The spoke takes one step. Storage can hand its data over while the peer is there. Returns the number of the last
    /// write when everything has been handed over.
    pub(crate) fn spoke(&mut self, peer_is_there: bool) -> Option<u64> {
        if !self.alive {
            return None;
        }
        let (app, data, writable) = (self.app, self.data, self.writable);
        let vrg = self.vrg.as_mut()?;
        let generation = vrg.metadata.generation.unwrap_or_default();
        let observed = vrg.status.as_ref().is_some_and(|status| status.observed_generation == generation);
        let mut status = vrg.status.clone().unwrap_or_default();
        let mut handed_over = None;
        if !observed {
            status.observed_generation = generation;
            status.state = VRGState::Unknown;
            status.prepare_for_final_sync_complete = false;
            status.final_sync_complete = false;
            say(&mut status, types::DATA_READY, false, reasons::PROGRESSING, generation);
        } else if vrg.spec.replication_state == ReplicationState::Primary {
            if !condition::is_true(&status.conditions, types::CLUSTER_DATA_READY) || !writable {
                say(&mut status, types::CLUSTER_DATA_READY, true, reasons::RESTORED, generation);
                self.writable = true;
            } else {
                for type_ in [types::DATA_READY, types::CLUSTER_DATA_READY, types::CLUSTER_DATA_PROTECTED] {
                    say(&mut status, type_, true, reasons::READY, generation);
                }
                say(&mut status, types::DATA_PROTECTED, false, reasons::REPLICATING, generation);
                say(&mut status, types::NO_CLUSTER_DATA_CONFLICT, true, reasons::NO_CONFLICT_DETECTED, generation);
                status.state = VRGState::Primary;
                status.last_group_sync_time = Some(Time("2026-03-01T00:00:00Z".parse().unwrap()));
                status.prepare_for_final_sync_complete = vrg.spec.prepare_for_final_sync;
                status.final_sync_complete = vrg.spec.run_final_sync && !app;
            }
        } else {
            let failover = vrg.spec.action == Some(DRAction::Failover);
            // A planned demotion waits until the application has let go; after a failover it is cut off.
            if failover || !writable || !app && peer_is_there {
                if writable && !failover {
                    handed_over = Some(data);
                }
                self.writable = false;
                for type_ in [types::DATA_READY, types::DATA_PROTECTED] {
                    say(&mut status, type_, true, reasons::REPLICATING, generation);
                }
                status.conditions.retain(|condition| condition.type_ != types::CLUSTER_DATA_READY);
                say(&mut status, types::NO_CLUSTER_DATA_CONFLICT, true, reasons::NO_CONFLICT_DETECTED, generation);
                status.state = VRGState::Secondary;
            }
        }
        vrg.status = Some(status);
        self.reported = Some(vrg.clone());
        handed_over
    }

    /// GitOps starts and stops the application by the decisions.
    pub(crate) fn gitops(&mut self, decided: bool) {
        if self.alive {
            self.app = decided;
        }
    }

    /// The role that the VRG on the cluster has.
    pub(crate) fn is_primary(&self) -> bool {
        self.vrg.as_ref().is_some_and(facts::is_primary)
    }

    /// Ready to run the application, in truth and not by report.
    pub(crate) fn is_ready(&self) -> bool {
        self.vrg.as_ref().is_some_and(facts::is_ready_primary)
    }
}

fn say(status: &mut VolumeReplicationGroupStatus, type_: &str, holds: bool, reason: &str, generation: i64) {
    let new = Condition::new(type_, ConditionStatus::from(holds), reason, "as the model has it", generation);
    condition::set(&mut status.conditions, new, "2026-03-01T00:00:00Z".parse().unwrap());
}
