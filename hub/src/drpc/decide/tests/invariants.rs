//! What must never happen, and what has to be so when everything has come to rest.

use jiff::SignedDuration;
use kaedama_shared::api::{DRState, Progression};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};

use super::site::Cluster;
use super::world::{CLUSTERS, World};
use crate::drpc::decide::decide;
use crate::drpc::facts;
use crate::drpc::plan::{Action, DrpcMarks, Permit};
use crate::drpc::snapshot::{Decision, Decisions, Site, Snapshot};
use crate::drpc::status::status;

impl World {
    /// What must not happen, whatever came before.
    pub(super) fn check(&self, s: &Snapshot, action: &Action) {
        match action {
            Action::UpdateVrgWork { cluster, vrg, permit, .. } => {
                let before = s.site(cluster).and_then(Site::asked).map(|work| facts::is_primary(&work.vrg));
                match (before, facts::is_primary(vrg), permit) {
                    (Some(false), true, permit) => assert!(matches!(permit, Permit::Promote(_)), "{action:?}"),
                    (Some(true), false, permit) => assert!(matches!(permit, Permit::Demote(_)), "{action:?}"),
                    _ => {}
                }
            }
            Action::MarkDrpc(marks) => self.check_placed(s, marks),
            Action::Decide { decision, entries, .. } => {
                let live: Vec<&Decision> = entries.iter().filter(|entry| !entry.is_retained()).collect();
                assert!(live.len() <= 1, "two live decisions: {entries:?}");
                let version = match &self.placement.decisions {
                    Decisions::One { id, .. } => Some(id),
                    Decisions::None | Decisions::Ambiguous(_) => None,
                };
                // What was decided on an outdated decision is refused.
                if version == decision.as_ref() {
                    self.check_decision(s, entries);
                }
            }
            _ => {}
        }
    }

    /// A record gets to `Placed` only when its target says, in what this very pass sees, that it is ready; and it is.
    fn check_placed(&self, s: &Snapshot, marks: &DrpcMarks) {
        let Some(record) = marks.record.as_ref().filter(|record| record.step >= Step::Placed) else { return };
        let is_placed = |before: &ActionRecord| before.id == record.id && before.step >= Step::Placed;
        if self.records(s).iter().any(is_placed) || record.kind == ActionKind::Deploy {
            return;
        }
        let said = s.site(&record.to).and_then(|site| site.answer(record)).is_some_and(facts::is_ready_primary);
        assert!(said, "{} is recorded as placed and has not said that it is ready", record.to);
        let truth = &self.clusters[&record.to];
        // What was decided on an outdated DRPC is refused.
        let counts = s.drpc.metadata.resource_version == self.drpc().metadata.resource_version;
        assert!(!counts || truth.is_primary() && truth.writable, "{} is recorded as placed and is not", record.to);
    }

    /// The record of the DRPC as it is, and as the pass saw it.
    fn records(&self, s: &Snapshot) -> Vec<ActionRecord> {
        let seen = s.drpc.metadata.annotations.as_ref().and_then(|a| ActionRecord::from_annotations(a).unwrap());
        self.record().into_iter().chain(seen).collect()
    }

    fn check_decision(&self, s: &Snapshot, entries: &[Decision]) {
        let had = |cluster: &str| {
            s.placement.present().unwrap().decisions.entries().iter().any(|entry| entry.cluster == cluster)
        };
        let record = self.record().unwrap();
        for entry in entries.iter().filter(|entry| !had(&entry.cluster)) {
            let truth = self.clusters.get(&entry.cluster).unwrap();
            let first = record.kind == ActionKind::Deploy;
            // Restored and promoted. A home that has just been handed another record is that, and has only not said so yet.
            let restored = truth.is_primary() && truth.writable;
            assert!(first || restored, "{} is decided for and is not restored and promoted", entry.cluster);
            // The home said that it was ready when its record got to this step, see `check_placed`. A pass that crashed
            // after it, or a hub that lost its decisions, makes up for the decision although the home is silent by now, or
            // has just been handed another record: only a later record takes it out of charge, and then `restored` fails.
            // A pass on an old view goes by the record that it saw; where a decision exists, its version refuses that.
            let is_placed = |record: &ActionRecord| record.to == entry.cluster && record.step >= Step::Placed;
            let placed = self.records(s).iter().any(is_placed);
            assert!(first || placed, "{} is decided for and has never said that it is ready", entry.cluster);
        }
        // Whoever loses its decision loses the application, and with it the claims.
        for gone in s.placement.present().unwrap().decisions.entries() {
            if entries.iter().any(|entry| entry.cluster == gone.cluster) {
                continue;
            }
            let truth = self.clusters.get(&gone.cluster).unwrap();
            let vrg = truth.vrg.as_ref();
            let at_rest = vrg.is_none_or(|vrg| facts::is_secondary(vrg) && facts::is_observed(vrg));
            let leaving = vrg.is_some_and(|vrg| {
                vrg.spec.prepare_for_final_sync && vrg.status.as_ref().unwrap().prepare_for_final_sync_complete
                    || vrg.spec.run_final_sync
            });
            assert!(at_rest || leaving, "{} loses its decision while it is a plain primary", gone.cluster);
        }
    }

    pub(super) fn check_primaries(&self) {
        let primaries: Vec<&Cluster> = self.clusters.values().filter(|cluster| cluster.is_primary()).collect();
        assert!(primaries.len() < 2 || self.failover_ordered, "two primaries, and no failover was ordered");
    }

    /// The application is on its home, its peer stands by, nothing is left to do.
    pub(super) fn assert_at_rest(&mut self, home: &str, phase: DRState) {
        let peer = CLUSTERS.into_iter().find(|cluster| *cluster != home).unwrap();
        assert_eq!(self.phase(), phase, "{:?} {:?}", self.available(), self.writes);
        assert_eq!(self.progression(), Progression::Completed);
        assert!(self.available().is_true());
        assert_eq!((self.peer_ready().is_true(), self.peer_ready().reason.as_str()), (true, "Success"));
        assert_eq!(self.decided(), [home]);
        assert_eq!((self.asked(home).as_str(), self.asked(peer).as_str()), ("primary", "secondary"));
        assert!(self.clusters[home].is_ready() && self.clusters[home].app);
        assert!(!self.clusters[peer].is_primary() && !self.clusters[peer].app);
        let snapshot = self.snapshot();
        let plan = decide(&snapshot);
        assert!(plan.actions.is_empty(), "at rest nothing is planned: {:?}", plan.actions);
        assert!(plan.outlook.waiting.is_none(), "at rest nothing is waited for: {:?}", plan.outlook.waiting);
        let later = Snapshot { now: self.now.checked_add(SignedDuration::from_hours(5)).unwrap(), ..snapshot };
        assert_eq!(Some(status(&later, &decide(&later))), later.drpc.status, "at rest no status is written");
    }
}
