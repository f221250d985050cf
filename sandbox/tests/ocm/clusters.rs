//! Registration, leases and placement.

use std::time::Duration;

use kaedama_shared::api::condition::{ConditionStatus, find, is_true};
use kaedama_shared::api::ocm::cluster::{CLUSTER_AVAILABLE, HUB_ACCEPTED, ID_CLAIM, JOINED, NAME_CLAIM, PRODUCT_CLAIM};
use kaedama_shared::api::ocm::placement::SCHEDULING_DISABLE;
use kaedama_shared::api::ocm::{ManagedCluster, ManagedClusterSetBinding, Placement, PlacementDecision};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{World, merge, seconds, until};

async fn cluster_where(world: &World, what: &str, holds: impl Fn(&ManagedCluster) -> bool) -> ManagedCluster {
    let api: Api<ManagedCluster> = world.hub.global();
    until(what, async || api.get_opt("dr1").await.unwrap().filter(&holds)).await
}

fn available(cluster: &ManagedCluster) -> ConditionStatus {
    find(cluster.conditions(), CLUSTER_AVAILABLE).map(|condition| condition.status.clone()).unwrap_or_default()
}

async fn joined(world: &World) -> ManagedCluster {
    cluster_where(world, "dr1 has joined and claims its identity", |cluster| {
        available(cluster) == ConditionStatus::True && cluster.claim(ID_CLAIM).is_some()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_cluster_joins_with_its_conditions_claims_and_lease() {
    let mut world = World::new().await;
    world.registration();
    let cluster = joined(&world).await;
    assert!(is_true(cluster.conditions(), HUB_ACCEPTED) && is_true(cluster.conditions(), JOINED));
    assert_eq!(cluster.claim(NAME_CLAIM), Some("dr1"));
    assert!(cluster.claim(PRODUCT_CLAIM).is_some());
    let system = world.dr1.api("v1", "Namespace", "").get("kube-system").await.unwrap();
    assert_eq!(cluster.claim(ID_CLAIM), system.metadata.uid.as_deref());
    assert_eq!(cluster.metadata.labels.unwrap()["name"], "dr1");
    assert!(cluster.spec.taints.is_empty());
    let leases = world.hub.api("coordination.k8s.io/v1", "Lease", "dr1");
    let first = leases.get("managed-cluster-lease").await.unwrap().data["spec"]["renewTime"].clone();
    seconds(61).await;
    assert_ne!(leases.get("managed-cluster-lease").await.unwrap().data["spec"]["renewTime"], first);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_heard_of_for_five_leases_is_unknown_until_it_is_back() {
    let mut world = World::new().await;
    world.registration();
    joined(&world).await;
    seconds(1000).await;
    assert_eq!(available(&joined(&world).await), ConditionStatus::True);
    world.dr1.kill();
    let died = Instant::now();
    let cluster =
        cluster_where(&world, "dr1 is unknown", |cluster| available(cluster) == ConditionStatus::Unknown).await;
    let took = died.elapsed().as_secs();
    assert!((240..=301).contains(&took), "took {took} s");
    assert_eq!(find(cluster.conditions(), CLUSTER_AVAILABLE).unwrap().reason, "ManagedClusterLeaseUpdateStopped");
    assert!(is_true(cluster.conditions(), JOINED), "joined never goes back");
    let cluster = cluster_where(&world, "dr1 is tainted", |cluster| !cluster.spec.taints.is_empty()).await;
    assert_eq!(cluster.spec.taints[0].key, "cluster.open-cluster-management.io/unreachable");
    let other: ManagedCluster = world.hub.global().get("dr2").await.unwrap();
    assert_eq!(available(&other), ConditionStatus::True);

    seconds(600).await;
    world.dr1.revive();
    let back = Instant::now();
    cluster_where(&world, "dr1 is available", |cluster| available(cluster) == ConditionStatus::True).await;
    cluster_where(&world, "the taint is gone", |cluster| cluster.spec.taints.is_empty()).await;
    assert!(back.elapsed() < Duration::from_secs(5), "took {:?}", back.elapsed());
    seconds(3600).await;
    assert_eq!(available(&joined(&world).await), ConditionStatus::True);
}

async fn bind(world: &World) {
    let binding = json!({"metadata": {"name": "default", "namespace": "apps"}, "spec": {"clusterSet": "default"}});
    let bindings: Api<ManagedClusterSetBinding> = world.hub.typed("apps");
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

async fn place(world: &World, metadata: Value, spec: Value) {
    let placements: Api<Placement> = world.hub.typed("apps");
    let placement = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    placements.create(&PostParams::default(), &placement).await.unwrap();
}

async fn decided(world: &World, what: &str, wanted: &[&str]) {
    let decisions: Api<PlacementDecision> = world.hub.typed("apps");
    until(what, async || {
        let decision = decisions.get_opt("p-decision-1").await.unwrap()?;
        let clusters: Vec<&str> = decision.decisions().iter().map(|one| one.cluster_name.as_str()).collect();
        (decision.status.is_some() && clusters == wanted).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_placement_is_decided_and_a_dead_cluster_leaves_the_decision() {
    let mut world = World::new().await;
    world.registration();
    world.placement();
    joined(&world).await;
    bind(&world).await;
    place(&world, json!({"name": "p"}), json!({"numberOfClusters": 1, "clusterSets": ["default"]})).await;
    decided(&world, "the first cluster is chosen", &["dr1"]).await;
    let decisions: Api<PlacementDecision> = world.hub.typed("apps");
    let labelled = ListParams::default().labels("cluster.open-cluster-management.io/placement=p");
    let [decision] = decisions.list(&labelled).await.unwrap().items.try_into().unwrap();
    let owners = decision.metadata.owner_references.unwrap();
    assert_eq!((owners[0].kind.as_str(), owners[0].controller), ("Placement", Some(true)));
    let placements: Api<Placement> = world.hub.typed("apps");
    until("the placement is satisfied", async || {
        let status = placements.get("p").await.unwrap().status?;
        (status.number_of_selected_clusters == 1 && is_true(&status.conditions, "PlacementSatisfied")).then_some(())
    })
    .await;
    world.dr1.kill();
    decided(&world, "the living cluster is chosen", &["dr2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_placement_with_scheduling_disabled_is_left_alone() {
    let mut world = World::new().await;
    world.registration();
    world.placement();
    joined(&world).await;
    bind(&world).await;
    place(&world, json!({"name": "p", "annotations": {SCHEDULING_DISABLE: "true"}}), json!({})).await;
    let decisions: Api<PlacementDecision> = world.hub.typed("apps");
    let placements: Api<Placement> = world.hub.typed("apps");
    seconds(60).await;
    assert!(decisions.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert_eq!(placements.get("p").await.unwrap().status, None);
    merge(&placements, "p", json!({"metadata": {"annotations": {SCHEDULING_DISABLE: null}}})).await;
    decided(&world, "the controller takes over", &["dr1", "dr2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_placement_that_cannot_be_carried_out_says_why() {
    let mut world = World::new().await;
    world.registration();
    world.placement();
    joined(&world).await;
    bind(&world).await;
    let cel = json!({"predicates": [{"requiredClusterSelector": {"celSelector": {"celExpressions": ["true"]}}}]});
    place(&world, json!({"name": "p"}), cel).await;
    let placements: Api<Placement> = world.hub.typed("apps");
    let message = until("the placement is misconfigured", async || {
        let status = placements.get("p").await.unwrap().status?;
        let condition = find(&status.conditions, "PlacementMisconfigured")?;
        condition.is_true().then(|| condition.message.clone())
    })
    .await;
    assert!(message.contains("celSelector"), "{message}");
}
