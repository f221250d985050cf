//! The writes of a pass as the API server would carry them out: each on the version that it was decided on.

use kaedama_shared::names;
use serde_json::json;

use super::site::Work;
use super::world::{World, id};
use crate::drpc::plan::Action;
use crate::drpc::snapshot::{Decisions, ObjectId, Snapshot};

impl World {
    /// Carries one write out, as the API server would: none where the version is another.
    pub(super) fn apply(&mut self, s: &Snapshot, action: &Action) -> Option<()> {
        self.check(s, action);
        let version = self.next_version();
        match action {
            Action::MarkDrpc(marks) => {
                let drpc = self.drpc.as_mut()?;
                (drpc.metadata.resource_version == s.drpc.metadata.resource_version).then_some(())?;
                let annotations = drpc.metadata.annotations.get_or_insert_default();
                if let Some(record) = &marks.record {
                    annotations.insert(names::ACTION_RECORD.to_owned(), record.to_annotation());
                }
                if let Some((cluster, action)) = &marks.last {
                    annotations.insert(names::LAST_APP_DEPLOYMENT_CLUSTER.to_owned(), cluster.clone());
                    annotations.insert(names::LAST_ACTION.to_owned(), action.clone());
                }
                if let Some(namespace) = &marks.app_namespace {
                    annotations.insert(names::APP_NAMESPACE.to_owned(), namespace.clone());
                }
                if let Some(ownership) = &marks.ownership {
                    drpc.metadata.finalizers = Some(vec![names::DRPC_FINALIZER.to_owned()]);
                    drpc.metadata.labels = Some([(names::BACKUP.to_owned(), names::BACKUP_VALUE.to_owned())].into());
                    let owner = serde_json::from_value(json!({
                        "apiVersion": "v1", "kind": "Placement", "name": ownership.placement, "uid": ownership.uid,
                    }));
                    drpc.metadata.owner_references = Some(vec![owner.unwrap()]);
                }
                drpc.metadata.resource_version = Some(version.to_string());
                let step = marks.record.as_ref().map(|record| format!(" {:?}", record.step)).unwrap_or_default();
                self.writes.push(format!("mark{step}"));
            }
            Action::ClaimPlacement(_) => {
                self.placement.finalizers.push(names::DRPC_FINALIZER.to_owned());
                self.placement.annotations.insert(names::DRPC_NAME.to_owned(), "web".to_owned());
                self.placement.annotations.insert(names::DRPC_NAMESPACE.to_owned(), "shop".to_owned());
                self.writes.push("claim".to_owned());
            }
            Action::EnsureNamespace { cluster, .. } => {
                self.namespaces.insert(cluster.clone(), id("ns", version, version));
                self.writes.push(format!("namespace {cluster}"));
            }
            Action::Ask { cluster } => {
                self.works.contains_key(cluster).then_some(()).map_or(Some(()), |()| None)?;
                let work =
                    Work { id: id("vrg", version, version), vrg: None, deleting: false, report: None, missing: false };
                self.works.insert(cluster.clone(), work);
                self.writes.push(format!("ask {cluster}"));
            }
            Action::CreateVrgWork { cluster, question, vrg, .. } => {
                let have = self.works.get(cluster).map(|work| work.id.clone());
                (have == *question).then_some(())?;
                let uid = have.map_or(format!("uid-{version}"), |id| id.uid);
                let id = ObjectId { uid, ..id("vrg", version, version) };
                let report = self.works.get(cluster).and_then(|work| work.report.clone());
                let missing = report.is_none();
                let work = Work { id, vrg: Some((**vrg).clone()), deleting: false, report, missing };
                self.works.insert(cluster.clone(), work);
                self.writes.push(format!("create {cluster} {}", vrg.spec.replication_state));
            }
            Action::UpdateVrgWork { cluster, work, vrg, .. } => {
                let have = self.works.get_mut(cluster).filter(|have| have.id == *work && !have.deleting)?;
                have.vrg = Some((**vrg).clone());
                have.id.resource_version = version.to_string();
                let flags = match (vrg.spec.prepare_for_final_sync, vrg.spec.run_final_sync) {
                    (true, _) => " prepare",
                    (_, true) => " final-sync",
                    (false, false) => "",
                };
                self.writes.push(format!("update {cluster} {}{flags}", vrg.spec.replication_state));
            }
            Action::Decide { decision, entries, .. } => {
                let id = match (decision, &self.placement.decisions) {
                    (Some(decided_on), Decisions::One { id, .. }) if id == decided_on => {
                        ObjectId { resource_version: version.to_string(), ..id.clone() }
                    }
                    (None, Decisions::None) => id("place-decision-1", version, version),
                    _ => return None,
                };
                self.placement.decisions = Decisions::One { id, entries: entries.clone() };
                self.writes.push(format!("decide {}", self.decided().join(" ")));
            }
            Action::DeleteVrgWork { cluster, work } => {
                let have = self.works.get_mut(cluster).filter(|have| have.id == *work)?;
                have.deleting = true;
                self.writes.push(format!("delete {cluster}"));
                if have.vrg.is_none() {
                    self.works.remove(cluster);
                }
            }
            Action::DeleteNamespaceWork { cluster, .. } => {
                self.namespaces.remove(cluster);
            }
            Action::EnsureView { .. } | Action::DeleteView { .. } => {}
            Action::ReleasePlacement(_) => self.placement.finalizers.clear(),
            Action::ReleaseDrpc => self.drpc = None,
        }
        Some(())
    }
}
