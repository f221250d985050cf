//! The hub of the model: its objects, its passes, and what must never happen.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use kaedama_shared::api::conditions::{drpc as drpc_types, drpolicy};
use kaedama_shared::api::{
    Condition, ConditionStatus, DRAction, DRCluster, DRPlacementControl, DRPolicy, DRPolicyStatus, DRState,
    Progression, Time, condition,
};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use kaedama_shared::seen::Seen;
use serde_json::json;

use super::site::{Cluster, Work};
use crate::drpc::decide::{decide, needs_stores};
use crate::drpc::plan::{Action, Plan};
use crate::drpc::snapshot::{Decisions, ObjectId, PlacementSite, Settings, Site, Snapshot, VrgWork};
use crate::drpc::status::status;

pub(super) const CLUSTERS: [&str; 2] = ["dr1", "dr2"];

/// Hub and clusters.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) drpc: Option<DRPlacementControl>,
    pub(super) placement: PlacementSite,
    pub(super) policy: DRPolicy,
    pub(super) drclusters: BTreeMap<String, DRCluster>,
    pub(super) works: BTreeMap<String, Work>,
    pub(super) namespaces: BTreeMap<String, ObjectId>,
    pub(super) clusters: BTreeMap<String, Cluster>,
    /// Clusters that Open Cluster Management takes for lost.
    pub(super) lost: Vec<String>,
    /// Clusters that have no ManagedCluster any more; they are lost as well.
    pub(super) detached: Vec<String>,
    pub(super) stored: Seen<kaedama_shared::api::VolumeReplicationGroup>,
    /// Writes to the hub, in order.
    pub(super) writes: Vec<String>,
    /// A failover was ordered at some time: then, and only then, two primaries may exist for a while.
    pub(super) failover_ordered: bool,
    /// The last write that an application has acknowledged.
    pub(super) acknowledged: u64,
    pub(super) version: u64,
}

/// How far a pass gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crash {
    Never,
    /// After so many writes.
    After(usize),
}

pub(super) fn id(name: &str, uid: u64, version: u64) -> ObjectId {
    ObjectId { name: name.to_owned(), uid: format!("uid-{uid}"), resource_version: version.to_string() }
}

impl World {
    /// Two clusters that work, a policy, a Placement and a new DRPC that prefers dr1.
    pub(super) fn new() -> Self {
        let mut drpc: DRPlacementControl = serde_json::from_value(json!({
            "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPlacementControl",
            "metadata": { "name": "web", "namespace": "shop", "uid": "drpc-uid", "generation": 1, "resourceVersion": "1" },
            "spec": {
                "drPolicyRef": { "name": "gold" }, "placementRef": { "name": "place" },
                "preferredCluster": "dr1", "pvcSelector": {},
            },
        }))
        .unwrap();
        drpc.metadata.annotations = Some(BTreeMap::new());
        let mut policy: DRPolicy = serde_json::from_value(json!({
            "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPolicy", "metadata": { "name": "gold" },
            "spec": { "drClusters": CLUSTERS, "schedulingInterval": "5m" },
        }))
        .unwrap();
        let valid =
            Condition { status: ConditionStatus::True, type_: drpolicy::VALIDATED.to_owned(), ..Default::default() };
        let mut policy_status = DRPolicyStatus { conditions: vec![valid], ..Default::default() };
        policy_status.async_.peer_classes =
            serde_json::from_value(json!([{ "storageClassName": "fast", "replicationID": "r" }])).unwrap();
        policy.status = Some(policy_status);
        let drcluster = |name: &str| {
            serde_json::from_value::<DRCluster>(json!({
                "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster",
                "metadata": { "name": name, "generation": 1 }, "spec": { "s3ProfileName": format!("s3-{name}") },
            }))
            .unwrap()
        };
        let cluster =
            |name: &str| Cluster { name: name.to_owned(), alive: true, connected: true, ..Default::default() };
        World {
            now: "2026-03-01T03:00:00Z".parse().unwrap(),
            drpc: Some(drpc),
            placement: PlacementSite {
                id: id("place", 9, 1),
                annotations: [(names::SCHEDULING_DISABLE.to_owned(), "true".to_owned())].into(),
                finalizers: vec![],
                deleting: false,
                decisions: Decisions::None,
            },
            policy,
            drclusters: CLUSTERS.map(|name| (name.to_owned(), drcluster(name))).into(),
            works: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            clusters: CLUSTERS.map(|name| (name.to_owned(), cluster(name))).into(),
            lost: vec![],
            detached: vec![],
            stored: Seen::Absent,
            writes: vec![],
            failover_ordered: false,
            acknowledged: 0,
            version: 100,
        }
    }

    /// A world whose application runs on dr1 and is protected.
    pub(super) fn deployed() -> Self {
        static DEPLOYED: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::new();
            world.settle();
            assert_eq!(world.phase(), DRState::Deployed);
            assert_eq!(world.progression(), Progression::Completed);
            world.writes.clear();
            world
        });
        DEPLOYED.clone()
    }

    pub(super) fn drpc(&self) -> &DRPlacementControl {
        self.drpc.as_ref().unwrap()
    }

    pub(super) fn phase(&self) -> DRState {
        self.drpc().status.clone().unwrap_or_default().phase
    }

    pub(super) fn progression(&self) -> Progression {
        self.drpc().status.clone().unwrap_or_default().progression
    }

    pub(super) fn condition(&self, type_: &str) -> Condition {
        let status = self.drpc().status.clone().unwrap_or_default();
        condition::find(&status.conditions, type_).cloned().unwrap_or_default()
    }

    pub(super) fn available(&self) -> Condition {
        self.condition(drpc_types::AVAILABLE)
    }

    pub(super) fn peer_ready(&self) -> Condition {
        self.condition(drpc_types::PEER_READY)
    }

    pub(super) fn record(&self) -> Option<ActionRecord> {
        ActionRecord::from_annotations(self.drpc().metadata.annotations.as_ref().unwrap()).unwrap()
    }

    /// The clusters of the decisions; retained ones in brackets.
    pub(super) fn decided(&self) -> Vec<String> {
        let entries = self.placement.decisions.entries().iter();
        let mut all: Vec<String> = entries
            .map(|entry| if entry.is_retained() { format!("({})", entry.cluster) } else { entry.cluster.clone() })
            .collect();
        all.sort();
        all
    }

    pub(super) fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.get_mut(name).unwrap()
    }

    /// The state that the VRG in a cluster's work asks for.
    pub(super) fn asked(&self, cluster: &str) -> String {
        let vrg = self.works.get(cluster).and_then(|work| work.vrg.as_ref());
        vrg.map(|vrg| vrg.spec.replication_state.to_string()).unwrap_or_default()
    }

    /// An edit of the spec.
    pub(super) fn order(&mut self, action: Option<DRAction>, preferred: &str, failover: &str) {
        self.failover_ordered |= action == Some(DRAction::Failover);
        let version = self.next_version();
        let Some(drpc) = &mut self.drpc else { return };
        let before = drpc.spec.clone();
        drpc.spec.action = action;
        drpc.spec.preferred_cluster = preferred.to_owned();
        drpc.spec.failover_cluster = failover.to_owned();
        if drpc.spec != before {
            drpc.metadata.generation = drpc.metadata.generation.map(|generation| generation + 1);
            drpc.metadata.resource_version = Some(version.to_string());
        }
    }

    pub(super) fn fail_over(&mut self, to: &str) {
        let preferred = self.drpc().spec.preferred_cluster.clone();
        self.order(Some(DRAction::Failover), &preferred, to);
    }

    pub(super) fn relocate(&mut self, to: &str) {
        self.order(Some(DRAction::Relocate), to, "");
    }

    /// The cluster burns down, and everybody knows.
    pub(super) fn lose(&mut self, cluster: &str) {
        self.cluster(cluster).alive = false;
        self.lost.push(cluster.to_owned());
    }

    pub(super) fn restore(&mut self, name: &str) {
        let cluster = self.cluster(name);
        if !cluster.alive {
            // The spoke starts by looking at everything there is.
            cluster.reported.clone_from(&cluster.vrg);
        }
        cluster.alive = true;
        cluster.connected = true;
        self.lost.retain(|lost| lost != name);
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// What the hub sees at this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut seen = Snapshot {
            now: self.now,
            drpc: self.drpc().clone(),
            config: Ok(Settings {
                ops_namespace: "ramen-ops".into(),
                volsync_disabled: false,
                kube_objects_disabled: false,
            }),
            placement: Seen::Present(self.placement.clone()),
            policy: Seen::Present(self.policy.clone()),
            conflict: None,
            vrg_namespace: "shop".to_owned(),
            sites: CLUSTERS.iter().map(|cluster| self.site(cluster)).collect(),
            doubt: None,
            stored: Seen::Unknown("the stores were not read".to_owned()),
        };
        // As a pass does it.
        if needs_stores(&seen) {
            seen.stored = self.stored.clone();
        }
        seen
    }

    fn site(&self, cluster: &str) -> Site {
        let lost = self.lost.iter().any(|lost| lost == cluster);
        let reachable = if lost { Err("the cluster is not heard from".to_owned()) } else { Ok(()) };
        let found = self.works.get(cluster);
        let vrg = match (&reachable, found) {
            (Err(why), _) => Seen::Unknown(why.clone()),
            (Ok(()), None) => Seen::Unknown(format!("{cluster} has not been asked yet")),
            (Ok(()), Some(Work { vrg: None, missing: true, .. })) => Seen::Absent,
            (Ok(()), Some(Work { report: Some(report), missing: false, .. })) => Seen::Present(report.clone()),
            (Ok(()), Some(_)) => Seen::Unknown("its VolumeReplicationGroup is not there yet".to_owned()),
        };
        let work = match found {
            Some(Work { vrg: Some(vrg), id, deleting, report, .. }) => Seen::Present(VrgWork {
                id: id.clone(),
                vrg: vrg.clone(),
                last_report: report.clone(),
                reported: report.is_some(),
                deleting: *deleting,
            }),
            Some(Work { vrg: None, .. }) | None => Seen::Absent,
        };
        Site {
            cluster: cluster.to_owned(),
            drcluster: self.drclusters.get(cluster).cloned().map_or(Seen::Absent, Seen::Present),
            reachable,
            detached: self.detached.iter().any(|detached| detached == cluster),
            namespace_work: self.namespaces.get(cluster).cloned().map_or(Seen::Absent, Seen::Present),
            work,
            question: found.filter(|work| work.vrg.is_none()).map(|work| work.id.clone()),
            vrg,
            view: None,
            mute: false,
        }
    }

    /// One pass of the controller on what is there now.
    pub(super) fn pass(&mut self) -> Option<Plan> {
        self.drpc.as_ref()?;
        let snapshot = self.snapshot();
        Some(self.pass_on(&snapshot, Crash::Never))
    }

    /// One pass on a snapshot that may be out of date by now: every write is made on the version that was seen.
    pub(super) fn pass_on(&mut self, snapshot: &Snapshot, crash: Crash) -> Plan {
        let plan = decide(snapshot);
        assert_eq!(plan, decide(snapshot), "the same input gives the same plan");
        for (done, action) in plan.actions.iter().enumerate() {
            if matches!(crash, Crash::After(writes) if done >= writes) || self.apply(snapshot, action).is_none() {
                return plan;
            }
            if *action == Action::ReleaseDrpc {
                return plan;
            }
        }
        if matches!(crash, Crash::After(writes) if plan.actions.len() >= writes) {
            return plan;
        }
        let after = status(snapshot, &plan);
        let version = self.next_version();
        let Some(drpc) = &mut self.drpc else { return plan };
        if Some(&after) != snapshot.drpc.status.as_ref() {
            drpc.status = Some(after.clone());
            drpc.metadata.resource_version = Some(version.to_string());
            self.writes.push(format!("status {}/{}", after.phase, after.progression));
        }
        plan
    }

    /// One step of each part, in a fixed order.
    pub(super) fn tick(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        self.pass();
        for cluster in CLUSTERS {
            self.agent(cluster);
            self.spoke(cluster);
            self.agent(cluster);
            self.gitops(cluster);
            self.write(cluster);
        }
    }

    /// Every cluster takes up its works and reports; its application is left as it is.
    pub(super) fn clusters_answer(&mut self) {
        for cluster in CLUSTERS {
            self.agent(cluster);
            self.spoke(cluster);
            self.agent(cluster);
        }
    }

    /// Ticks until nothing moves any more. No part takes more than a few ticks for a step of its own, so nothing comes
    /// after so many quiet ones.
    pub(super) fn settle(&mut self) {
        const QUIET: usize = 10;
        let mut quiet = 0;
        for _ in 0..65 {
            let writes = self.writes.len();
            self.tick();
            quiet = if self.writes.len() == writes { quiet + 1 } else { 0 };
            if quiet == QUIET {
                return;
            }
        }
        let last = self.writes.len().saturating_sub(QUIET);
        panic!("it does not come to rest: {:?}", &self.writes[last..]);
    }

    pub(super) fn agent(&mut self, name: &str) {
        let cluster = self.clusters.get_mut(name).unwrap();
        cluster.agent(self.works.get_mut(name));
        if self.works.get(name).is_some_and(|work| cluster.finishes(work)) {
            self.works.remove(name);
        }
        self.check_primaries();
    }

    pub(super) fn spoke(&mut self, name: &str) {
        let peer = self.clusters.values().find(|peer| peer.name != name).unwrap().clone();
        let handed_over = self.clusters.get_mut(name).unwrap().spoke(peer.alive);
        if let Some(all) = handed_over {
            self.clusters.get_mut(&peer.name).unwrap().data = all;
        }
    }

    pub(super) fn gitops(&mut self, name: &str) {
        let decided = self.placement.decisions.entries().iter().any(|entry| entry.cluster == name);
        let cluster = self.clusters.get_mut(name).unwrap();
        let starts = decided && !cluster.app && cluster.alive;
        cluster.gitops(decided);
        let relocated = self.drpc.is_some() && self.record().is_some_and(|record| record.kind == ActionKind::Relocate);
        if starts && relocated && !self.failover_ordered {
            assert_eq!(self.clusters[name].data, self.acknowledged, "a relocate lost acknowledged writes");
        }
    }

    /// The application writes a record.
    pub(super) fn write(&mut self, name: &str) {
        let next = self.acknowledged + 1;
        let cluster = self.clusters.get_mut(name).unwrap();
        if cluster.app && cluster.alive && cluster.writable {
            cluster.data = next;
            self.acknowledged = next;
        }
    }

    /// The user deletes the DRPC.
    pub(super) fn delete(&mut self) {
        let now = self.now;
        let version = self.next_version();
        let drpc = self.drpc.as_mut().unwrap();
        drpc.metadata.deletion_timestamp = Some(Time(now));
        drpc.metadata.resource_version = Some(version.to_string());
    }

    /// The hub is restored from a backup: without status, works and decisions. That takes longer than a spoke takes to
    /// report, so what is reported afterwards is of the group as it is.
    pub(super) fn forget(&mut self) {
        for cluster in self.clusters.values_mut().filter(|cluster| cluster.alive) {
            cluster.reported.clone_from(&cluster.vrg);
        }
        let version = self.next_version();
        if let Some(drpc) = &mut self.drpc {
            drpc.status = None;
            drpc.metadata.resource_version = Some(version.to_string());
        }
        self.works.clear();
        self.namespaces.clear();
        self.placement.decisions = Decisions::None;
    }
}
