//! The placement controller: turns Placements into PlacementDecisions.
//!
//! What it does as OCM's does: sets bound in the namespace and named by the Placement, predicates by label and claim,
//! taints and tolerations, the number of clusters; clusters that are decided already are kept, then those with the
//! fewest decisions are taken, then by name. What it cannot do (CEL selectors, own prioritizers, spread policies,
//! decision groups, tolerations with an end) is reported as `PlacementMisconfigured`, and the decision stays as it is.
//! A Placement with the scheduling-disable annotation is left alone altogether, its decisions and its status.

mod select;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_shared::api::condition::{Condition, ConditionStatus, set};
use kaedama_shared::api::ocm::placement::{
    Decision, DecisionGroup, GROUP_INDEX_LABEL, GROUP_NAME_LABEL, MISCONFIGURED, PLACEMENT_LABEL, PlacementStatus,
    SATISFIED, SCHEDULING_DISABLE,
};
use kaedama_shared::api::ocm::{
    ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, Placement, PlacementDecision,
};
use kaedama_shared::clock::Clock;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::runtime::{
    Attempt, Change, Error, Guarded, ObjectKey, Pass, Queue, Store, follow, is_conflict, is_not_found, serve,
};
use select::{Selection, World, select};

/// Most decisions in one PlacementDecision.
const PER_DECISION: usize = 100;

/// Decides Placements until the future is dropped. Runs on the hub.
pub async fn run(hub: Client, clock: Clock) {
    let controller = Controller {
        placements: Store::new(),
        decisions: Store::new(),
        clusters: Store::new(),
        sets: Store::new(),
        bindings: Store::new(),
        queue: Queue::new(),
        hub: hub.clone(),
        clock,
    };
    let placements: Api<Guarded<Placement>> = Api::all(hub.clone());
    let decisions: Api<Guarded<PlacementDecision>> = Api::all(hub.clone());
    let clusters: Api<Guarded<ManagedCluster>> = Api::all(hub.clone());
    let sets: Api<Guarded<ManagedClusterSet>> = Api::all(hub.clone());
    let bindings: Api<Guarded<ManagedClusterSetBinding>> = Api::all(hub);
    let all = Config::default;
    tokio::join!(
        follow(placements, all(), &controller.placements, |change: Change<'_, Placement>| {
            controller.queue.add(ObjectKey::of(change.object()));
        }),
        follow(decisions, all(), &controller.decisions, |change: Change<'_, PlacementDecision>| {
            let decision = change.object();
            if let Some(placement) = decision.labels().get(PLACEMENT_LABEL) {
                controller.queue.add(ObjectKey::new(&decision.namespace().unwrap_or_default(), placement));
            }
        }),
        follow(clusters, all(), &controller.clusters, |_| controller.look_at_all()),
        follow(sets, all(), &controller.sets, |_| controller.look_at_all()),
        follow(bindings, all(), &controller.bindings, |_| controller.look_at_all()),
        async {
            controller.placements.ready().await;
            controller.decisions.ready().await;
            controller.clusters.ready().await;
            controller.sets.ready().await;
            controller.bindings.ready().await;
            serve("placement", &controller.queue, |key| controller.pass(key)).await;
        },
    );
}

struct Controller {
    hub: Client,
    clock: Clock,
    placements: Store<Placement>,
    decisions: Store<PlacementDecision>,
    clusters: Store<ManagedCluster>,
    sets: Store<ManagedClusterSet>,
    bindings: Store<ManagedClusterSetBinding>,
    queue: Queue<ObjectKey>,
}

impl Controller {
    fn look_at_all(&self) {
        for placement in self.placements.all() {
            self.queue.add(ObjectKey::of(placement.as_ref()));
        }
    }

    async fn pass(&self, key: ObjectKey) -> Result<Pass, Error> {
        let Some(placement) = self.placements.get(&key) else { return Ok(Pass::Done) };
        let disabled = placement.annotations().get(SCHEDULING_DISABLE).is_some_and(|value| value == "true");
        if disabled || placement.metadata.deletion_timestamp.is_some() {
            return Ok(Pass::Done);
        }
        let decisions = self.decisions.all();
        let (own, others): (Vec<_>, Vec<_>) = decisions.into_iter().partition(|decision| belongs(decision, &key));
        let mut load: BTreeMap<String, usize> = BTreeMap::new();
        for decision in others.iter().flat_map(|decision| decision.decisions()) {
            *load.entry(decision.cluster_name.clone()).or_default() += 1;
        }
        let decided = own.iter().flat_map(|decision| decision.decisions()).map(|one| one.cluster_name.clone());
        let world = World {
            clusters: self.clusters.all(),
            sets: self.sets.all(),
            bindings: self.bindings.all(),
            decided: decided.collect(),
            load,
        };
        let mut status = placement.status.clone().unwrap_or_default();
        let before = status.clone();
        let generation = placement.metadata.generation.unwrap_or_default();
        let now = self.clock.now_seconds();
        match select(&placement, &world) {
            Ok(selection) => {
                let names = self.write_decisions(&placement, &key, &selection.clusters, &own).await?;
                fill(&mut status, &selection, names, generation, now);
            }
            Err(why) => {
                let misconfigured =
                    Condition::new(MISCONFIGURED, ConditionStatus::True, "NotSupported", why, generation);
                set(&mut status.conditions, misconfigured, now);
            }
        }
        if status != before {
            self.write_status(&key, &status).await?;
        }
        Ok(Pass::Done)
    }

    /// Writes the decisions, at most 100 per object, and removes objects that are not needed any more.
    async fn write_decisions(
        &self,
        placement: &Placement,
        key: &ObjectKey,
        clusters: &[String],
        own: &[std::sync::Arc<PlacementDecision>],
    ) -> Result<Vec<String>, Error> {
        let api: Api<PlacementDecision> = Api::namespaced(self.hub.clone(), &key.namespace);
        let mut chunks: Vec<&[String]> = clusters.chunks(PER_DECISION).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let mut names = Vec::new();
        for (index, chunk) in chunks.into_iter().enumerate() {
            let name = format!("{}-decision-{}", key.name, index + 1);
            let doing = || format!("writing PlacementDecision {}/{name}", key.namespace);
            let known = own.iter().find(|decision| decision.name_any() == name);
            if known.is_none() {
                match api.create(&PostParams::default(), &decision(placement, key, &name)).await {
                    Err(error) if is_conflict(&error) => {}
                    created => created.map(|_| ()).attempt(doing)?,
                }
            }
            let wanted: Vec<Decision> = chunk.iter().map(|cluster| Decision::new(cluster, "")).collect();
            let has_status = known.is_some_and(|known| known.status.is_some());
            if !has_status || known.is_some_and(|known| known.decisions() != wanted) {
                // Through the status subresource: a status in the create call is dropped.
                let change = json!({"status": {"decisions": wanted}});
                let written = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
                written.map(|_| ()).attempt(doing)?;
            }
            names.push(name);
        }
        for extra in own.iter().map(|decision| decision.name_any()).filter(|name| !names.contains(name)) {
            match api.delete(&extra, &DeleteParams::default()).await {
                Err(error) if is_not_found(&error) => {}
                deleted => {
                    deleted.map(|_| ()).attempt(|| format!("deleting PlacementDecision {}/{extra}", key.namespace))?
                }
            }
        }
        Ok(names)
    }

    async fn write_status(&self, key: &ObjectKey, status: &PlacementStatus) -> Result<(), Error> {
        let api: Api<Placement> = Api::namespaced(self.hub.clone(), &key.namespace);
        let change = json!({"status": {
            "numberOfSelectedClusters": status.number_of_selected_clusters,
            "decisionGroups": status.decision_groups,
            "conditions": status.conditions,
        }});
        match api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&change)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(|_| ()).attempt(|| format!("writing the status of Placement {key}")),
        }
    }
}

fn belongs(decision: &PlacementDecision, placement: &ObjectKey) -> bool {
    decision.metadata.namespace.as_deref() == Some(placement.namespace.as_str())
        && decision.labels().get(PLACEMENT_LABEL) == Some(&placement.name)
}

fn decision(placement: &Placement, key: &ObjectKey, name: &str) -> PlacementDecision {
    let mut decision = PlacementDecision::new(name);
    decision.metadata.namespace = Some(key.namespace.clone());
    decision.metadata.labels = Some(BTreeMap::from([
        (PLACEMENT_LABEL.into(), key.name.clone()),
        (GROUP_INDEX_LABEL.into(), "0".into()),
        (GROUP_NAME_LABEL.into(), String::new()),
    ]));
    decision.metadata.owner_references = Some(vec![OwnerReference {
        api_version: Placement::API_VERSION.into(),
        kind: Placement::KIND.into(),
        name: key.name.clone(),
        uid: placement.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    decision
}

fn fill(
    status: &mut PlacementStatus,
    selection: &Selection,
    names: Vec<String>,
    generation: i64,
    now: jiff::Timestamp,
) {
    let count = i32::try_from(selection.clusters.len()).unwrap_or(i32::MAX);
    status.number_of_selected_clusters = count;
    status.decision_groups = vec![DecisionGroup { decisions: names, cluster_count: count, ..DecisionGroup::default() }];
    let (reason, message) = selection.outcome;
    let satisfied = if selection.satisfied() { ConditionStatus::True } else { ConditionStatus::False };
    set(&mut status.conditions, Condition::new(SATISFIED, satisfied, reason, message, generation), now);
    let fine = Condition::new(
        MISCONFIGURED,
        ConditionStatus::False,
        "Succeedconfigured",
        "the placement can be used",
        generation,
    );
    set(&mut status.conditions, fine, now);
}
