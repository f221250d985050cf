//! Which clusters a Placement selects. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kaedama_shared::api::ocm::cluster::{CLUSTER_SET_LABEL, Taint};
use kaedama_shared::api::ocm::placement::{PlacementSpec, RequiredClusterSelector, Toleration};
use kaedama_shared::api::ocm::{ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, Placement};
use kube::ResourceExt;

use super::super::selector::{all_hold, fits};

/// What the selection depends on, beside the Placement.
pub(super) struct World {
    /// All clusters.
    pub(super) clusters: Vec<Arc<ManagedCluster>>,
    /// All cluster sets.
    pub(super) sets: Vec<Arc<ManagedClusterSet>>,
    /// All bindings, of every namespace.
    pub(super) bindings: Vec<Arc<ManagedClusterSetBinding>>,
    /// Clusters that are decided for the Placement already.
    pub(super) decided: BTreeSet<String>,
    /// How many decisions of other Placements name a cluster.
    pub(super) load: BTreeMap<String, usize>,
}

/// What was selected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The clusters, by name.
    pub(super) clusters: Vec<String>,
    /// Reason and message.
    pub(super) outcome: (&'static str, &'static str),
}

const ALL: (&str, &str) = ("AllDecisionsScheduled", "all decisions are made");
const NOT_ALL: (&str, &str) = ("NotAllDecisionsScheduled", "fewer clusters match than are asked for");
const NO_BINDINGS: (&str, &str) = ("NoManagedClusterSetBindings", "no cluster set is bound in the namespace");
const NO_INTERSECTION: (&str, &str) = ("NoIntersection", "none of the named cluster sets is bound in the namespace");
const ALL_EMPTY: (&str, &str) = ("AllManagedClusterSetsEmpty", "the bound cluster sets hold no cluster");
const NO_MATCH: (&str, &str) = ("NoManagedClusterMatched", "no cluster matches");

impl Selection {
    /// Everything that the Placement asks for was selected.
    pub(super) fn satisfied(&self) -> bool {
        self.outcome == ALL
    }

    fn none(outcome: (&'static str, &'static str)) -> Self {
        Self { clusters: Vec::new(), outcome }
    }
}

/// Selects clusters for a Placement.
///
/// # Errors
/// When the Placement uses something that is not supported; the text says what.
pub(super) fn select(placement: &Placement, world: &World) -> Result<Selection, String> {
    let spec = &placement.spec;
    refuse_unsupported(spec)?;
    let namespace = placement.namespace().unwrap_or_default();
    let bound: BTreeSet<&str> = world
        .bindings
        .iter()
        .filter(|binding| binding.namespace().as_deref() == Some(namespace.as_str()))
        .map(|binding| binding.spec.cluster_set.as_str())
        .filter(|set| world.sets.iter().any(|known| known.name_any() == *set))
        .collect();
    if bound.is_empty() {
        return Ok(Selection::none(NO_BINDINGS));
    }
    let named = |set: &&str| spec.cluster_sets.is_empty() || spec.cluster_sets.iter().any(|named| named == set);
    let sets: BTreeSet<&str> = bound.into_iter().filter(named).collect();
    if sets.is_empty() {
        return Ok(Selection::none(NO_INTERSECTION));
    }
    let mut members = Vec::new();
    for cluster in &world.clusters {
        if in_any(cluster, &sets, &world.sets)? {
            members.push(cluster);
        }
    }
    if members.is_empty() {
        return Ok(Selection::none(ALL_EMPTY));
    }
    let mut candidates = Vec::new();
    for cluster in members {
        let decided = world.decided.contains(&cluster.name_any());
        if matches(cluster, spec)? && tolerated(cluster, spec, decided) {
            candidates.push(cluster.name_any());
        }
    }
    if candidates.is_empty() {
        return Ok(Selection::none(NO_MATCH));
    }
    let load = |name: &String| world.load.get(name).copied().unwrap_or_default();
    candidates.sort_by_key(|name| (!world.decided.contains(name), load(name), name.clone()));
    let wanted = spec.number_of_clusters.map(|number| usize::try_from(number).unwrap_or(0));
    let outcome = if wanted.is_some_and(|wanted| wanted > candidates.len()) { NOT_ALL } else { ALL };
    candidates.truncate(wanted.unwrap_or(usize::MAX));
    candidates.sort();
    Ok(Selection { clusters: candidates, outcome })
}

fn refuse_unsupported(spec: &PlacementSpec) -> Result<(), String> {
    let uses = |member: Option<&serde_json::Value>, lists: &[&str]| {
        member.is_some_and(|member| {
            lists.iter().any(|list| {
                member.pointer(list).is_some_and(|list| list.as_array().is_some_and(|list| !list.is_empty()))
            })
        })
    };
    if uses(spec.prioritizer_policy.as_ref(), &["/configurations"]) {
        return Err("prioritizerPolicy.configurations is not supported: clusters are kept steady and balanced".into());
    }
    if uses(spec.spread_policy.as_ref(), &["/spreadConstraints"]) {
        return Err("spreadPolicy is not supported".into());
    }
    if uses(spec.decision_strategy.as_ref(), &["/groupStrategy/decisionGroups"]) {
        return Err("decisionStrategy with decision groups is not supported".into());
    }
    if spec.predicates.iter().any(|predicate| predicate.required_cluster_selector.cel_selector.is_some()) {
        return Err("celSelector is not supported".into());
    }
    if spec.tolerations.iter().any(|toleration| toleration.toleration_seconds.is_some()) {
        return Err("tolerationSeconds is not supported".into());
    }
    Ok(())
}

fn in_any(cluster: &ManagedCluster, wanted: &BTreeSet<&str>, sets: &[Arc<ManagedClusterSet>]) -> Result<bool, String> {
    for set in sets.iter().filter(|set| wanted.contains(set.name_any().as_str())) {
        let selector = set.spec.cluster_selector.clone().unwrap_or_default();
        let inside = match selector.selector_type.as_str() {
            "" | "ExclusiveClusterSetLabel" => cluster.labels().get(CLUSTER_SET_LABEL) == Some(&set.name_any()),
            "LabelSelector" => fits(&selector.label_selector.unwrap_or_default(), cluster.labels())?,
            other => return Err(format!("cluster set {} has a selector of unknown type {other:?}", set.name_any())),
        };
        if inside {
            return Ok(true);
        }
    }
    Ok(false)
}

fn matches(cluster: &ManagedCluster, spec: &PlacementSpec) -> Result<bool, String> {
    for predicate in &spec.predicates {
        if selected(cluster, &predicate.required_cluster_selector)? {
            return Ok(true);
        }
    }
    Ok(spec.predicates.is_empty())
}

fn selected(cluster: &ManagedCluster, selector: &RequiredClusterSelector) -> Result<bool, String> {
    let by_label = match &selector.label_selector {
        Some(labels) => fits(labels, cluster.labels())?,
        None => true,
    };
    let by_claim = match &selector.claim_selector {
        Some(claims) => {
            let known = cluster.status.iter().flat_map(|status| &status.cluster_claims);
            let known = known.map(|claim| (claim.name.clone(), claim.value.clone())).collect();
            all_hold(&claims.match_expressions, &known)?
        }
        None => true,
    };
    Ok(by_label && by_claim)
}

/// No taint keeps the cluster out. `NoSelectIfNew` keeps out only what is not decided yet.
fn tolerated(cluster: &ManagedCluster, spec: &PlacementSpec, decided: bool) -> bool {
    cluster.spec.taints.iter().all(|taint| {
        let harmless = match taint.effect.as_str() {
            "NoSelect" => false,
            "NoSelectIfNew" => decided,
            _ => true,
        };
        harmless || spec.tolerations.iter().any(|toleration| tolerates(toleration, taint))
    })
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key == taint.key || (toleration.key.is_empty() && toleration.operator == "Exists");
    effect && key && (toleration.operator == "Exists" || toleration.value == taint.value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn world(clusters: &[(&str, Value)]) -> World {
        let cluster = |(name, spec): &(&str, Value)| {
            read(
                json!({"metadata": {"name": name, "labels": {"name": name, CLUSTER_SET_LABEL: "default"}}, "spec": spec,
                "status": {"clusterClaims": [{"name": "region", "value": name}]}}),
            )
        };
        World {
            clusters: clusters.iter().map(cluster).collect(),
            sets: vec![read(json!({"metadata": {"name": "default"}})), read(json!({"metadata": {"name": "empty"}}))],
            bindings: vec![read(
                json!({"metadata": {"name": "default", "namespace": "n"}, "spec": {"clusterSet": "default"}}),
            )],
            decided: BTreeSet::new(),
            load: BTreeMap::new(),
        }
    }

    fn chosen(spec: Value, world: &World) -> Result<(Vec<String>, &'static str), String> {
        let placement: Arc<Placement> = read(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec}));
        select(&placement, world).map(|selection| (selection.clusters, selection.outcome.0))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn sets_have_to_be_bound_and_named() {
        let mut world = world(&[("a", json!({})), ("b", json!({}))]);
        assert_eq!(chosen(json!({}), &world), Ok((names(&["a", "b"]), "AllDecisionsScheduled")));
        assert_eq!(chosen(json!({"clusterSets": ["other"]}), &world), Ok((vec![], "NoIntersection")));
        world.bindings.clear();
        assert_eq!(chosen(json!({}), &world), Ok((vec![], "NoManagedClusterSetBindings")));
        let binding = json!({"metadata": {"name": "empty", "namespace": "n"}, "spec": {"clusterSet": "empty"}});
        world.bindings.push(read(binding));
        assert_eq!(chosen(json!({}), &world), Ok((vec![], "AllManagedClusterSetsEmpty")));
    }

    #[test]
    fn predicates_are_alternatives_of_labels_and_claims() {
        let world = world(&[("a", json!({})), ("b", json!({})), ("c", json!({}))]);
        let label = json!({"requiredClusterSelector": {"labelSelector": {"matchLabels": {"name": "a"}}}});
        let claim = json!({"requiredClusterSelector": {"claimSelector": {"matchExpressions": [
            {"key": "region", "operator": "In", "values": ["c"]}]}}});
        assert_eq!(chosen(json!({"predicates": [label, claim]}), &world).unwrap().0, names(&["a", "c"]));
        let neither = json!({"requiredClusterSelector": {"labelSelector": {"matchLabels": {"name": "x"}}}});
        assert_eq!(chosen(json!({"predicates": [neither]}), &world), Ok((vec![], "NoManagedClusterMatched")));
    }

    #[test]
    fn the_decided_stay_and_the_idle_come_next() {
        let mut world = world(&[("a", json!({})), ("b", json!({})), ("c", json!({}))]);
        world.load.insert("a".into(), 2);
        assert_eq!(chosen(json!({"numberOfClusters": 1}), &world).unwrap().0, names(&["b"]));
        world.decided.insert("a".into());
        assert_eq!(chosen(json!({"numberOfClusters": 1}), &world).unwrap().0, names(&["a"]));
        assert_eq!(
            chosen(json!({"numberOfClusters": 4}), &world),
            Ok((names(&["a", "b", "c"]), "NotAllDecisionsScheduled"))
        );
    }

    #[test]
    fn taints_keep_clusters_out_unless_tolerated() {
        let taint = |effect: &str| json!({"taints": [{"key": "k", "effect": effect}]});
        let mut world =
            world(&[("a", taint("NoSelect")), ("b", taint("NoSelectIfNew")), ("c", taint("PreferNoSelect"))]);
        assert_eq!(chosen(json!({}), &world).unwrap().0, names(&["c"]));
        world.decided.extend(names(&["a", "b"]));
        assert_eq!(chosen(json!({}), &world).unwrap().0, names(&["b", "c"]));
        let tolerant = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
        assert_eq!(chosen(tolerant, &world).unwrap().0, names(&["a", "b", "c"]));
    }

    #[test]
    fn what_is_not_supported_is_said() {
        let world = world(&[("a", json!({}))]);
        for spec in [
            json!({"predicates": [{"requiredClusterSelector": {"celSelector": {"celExpressions": ["true"]}}}]}),
            json!({"prioritizerPolicy": {"configurations": [{"scoreCoordinate": {"builtIn": "Steady"}}]}}),
            json!({"spreadPolicy": {"spreadConstraints": [{"topologyKey": "zone"}]}}),
            json!({"tolerations": [{"key": "k", "tolerationSeconds": 5}]}),
        ] {
            assert!(chosen(spec.clone(), &world).unwrap_err().contains("not supported"), "{spec}");
        }
        assert!(chosen(json!({"prioritizerPolicy": {"mode": "Additive"}}), &world).is_ok());
    }
}
