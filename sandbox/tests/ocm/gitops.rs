//! Applications that follow a decision.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_sandbox::ocm::gitops::Application;
use kaedama_shared::api::ocm::placement::{Decision, PLACEMENT_LABEL, RETAINED_FOR_FAILOVER};
use kaedama_shared::api::ocm::{ManifestWork, PlacementDecision};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{World, exists, gone, merge, seconds, until};

async fn decide(world: &World, decisions: &[Decision]) {
    let api: Api<PlacementDecision> = world.hub.typed("apps");
    let mut decision = PlacementDecision::new("p-decision-1");
    decision.metadata.labels = Some([(PLACEMENT_LABEL.to_owned(), "p".to_owned())].into());
    if api.get_opt("p-decision-1").await.unwrap().is_none() {
        api.create(&PostParams::default(), &decision).await.unwrap();
    }
    let status = Patch::Merge(json!({"status": {"decisions": decisions}}));
    api.patch_status("p-decision-1", &PatchParams::default(), &status).await.unwrap();
}

async fn shop(world: &World) -> Api<ConfigMap> {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let application = Application {
        name: "shop".into(),
        namespace: "apps".into(),
        placement: "p".into(),
        target_namespace: "shop".into(),
        manifests: vec![
            claim,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"v": "1"}}),
        ],
    };
    let maps: Api<ConfigMap> = world.hub.typed("apps");
    maps.create(&PostParams::default(), &application.config_map()).await.unwrap();
    maps
}

#[tokio::test(start_paused = true)]
async fn an_application_moves_with_the_decision() {
    let mut world = World::new().await;
    world.work_agents();
    world.gitops();
    let description = shop(&world).await;
    let (here, there) =
        (world.dr1.api("v1", "PersistentVolumeClaim", "shop"), world.dr2.api("v1", "PersistentVolumeClaim", "shop"));
    seconds(5).await;
    assert!(here.get_opt("data").await.unwrap().is_none(), "not decided, not placed");
    decide(&world, &[Decision::new("dr1", "dr1")]).await;
    exists(&here, "data").await;
    assert!(there.get_opt("data").await.unwrap().is_none());

    // What others write into a claim is left alone when the application changes.
    merge(&here, "data", json!({"spec": {"volumeName": "pv-1"}})).await;
    let data = description.get("shop").await.unwrap().data.unwrap();
    let changed = data["manifests"].replace(r#""v":"1""#, r#""v":"2""#);
    merge(&description, "shop", json!({"data": {"manifests": changed}})).await;
    let settings = world.dr1.api("v1", "ConfigMap", "shop");
    until("the change arrives", async || {
        (settings.get("settings").await.unwrap().data["data"]["v"] == "2").then_some(())
    })
    .await;
    assert_eq!(here.get("data").await.unwrap().data["spec"]["volumeName"], "pv-1");

    let moved = Instant::now();
    decide(&world, &[Decision::new("dr2", "dr2")]).await;
    exists(&there, "data").await;
    gone(&here, "data").await;
    assert!(moved.elapsed() < Duration::from_secs(1), "took {:?}", moved.elapsed());
    assert!(world.dr1.api("v1", "Namespace", "").get_opt("shop").await.unwrap().is_some(), "the namespace stays");
    description.delete("shop", &DeleteParams::default()).await.unwrap();
    gone(&there, "data").await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_decision_keeps_the_application_on_a_dead_cluster_and_its_end_removes_it() {
    let mut world = World::new().await;
    world.work_agents();
    world.gitops();
    shop(&world).await;
    let (here, there) =
        (world.dr1.api("v1", "PersistentVolumeClaim", "shop"), world.dr2.api("v1", "PersistentVolumeClaim", "shop"));
    decide(&world, &[Decision::new("dr1", "dr1")]).await;
    exists(&here, "data").await;
    world.dr1.kill();
    decide(&world, &[Decision::new("dr1", RETAINED_FOR_FAILOVER), Decision::new("dr2", "dr2")]).await;
    exists(&there, "data").await;
    world.dr1.revive();
    seconds(60).await;
    assert!(here.get_opt("data").await.unwrap().is_some(), "retained");

    // Withdrawn while dead: the work waits for the cluster, and the application goes when it is back.
    world.dr1.kill();
    decide(&world, &[Decision::new("dr2", "dr2")]).await;
    seconds(60).await;
    let works: Api<ManifestWork> = world.hub.typed("dr1");
    let waiting = works.list(&ListParams::default()).await.unwrap().items;
    assert!(waiting.len() == 1 && waiting[0].metadata.deletion_timestamp.is_some());
    world.dr1.revive();
    gone(&here, "data").await;
    until("the work is gone", async || {
        works.list(&ListParams::default()).await.unwrap().items.is_empty().then_some(())
    })
    .await;
}
