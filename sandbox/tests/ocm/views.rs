//! ManagedClusterViews.

use std::time::Duration;

use kaedama_shared::api::condition::ConditionStatus;
use kaedama_shared::api::ocm::ManagedClusterView;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{World, merge, seconds, set_status, until, widget};

fn scope(name: &str) -> Value {
    json!({"scope": {"apiGroup": "test.dev", "version": "v1", "kind": "Widget", "name": name, "namespace": "app"}})
}

async fn create(views: &Api<ManagedClusterView>, name: &str, spec: Value) {
    let view = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
    views.create(&PostParams::default(), &view).await.unwrap();
}

async fn answered(views: &Api<ManagedClusterView>, name: &str) -> ManagedClusterView {
    until("the view has a condition", async || {
        views
            .get_opt(name)
            .await
            .unwrap()
            .filter(|view| view.status.as_ref().is_some_and(|status| !status.conditions.is_empty()))
    })
    .await
}

fn verdict(view: &ManagedClusterView) -> (ConditionStatus, String, String) {
    let conditions = &view.status.as_ref().unwrap().conditions;
    assert_eq!(conditions.len(), 1);
    assert_eq!(conditions[0].type_, "Processing");
    (conditions[0].status.clone(), conditions[0].reason.clone(), conditions[0].message.clone())
}

async fn with_widget() -> (World, Api<ManagedClusterView>) {
    let mut world = World::new().await;
    let object = serde_json::from_value(widget("x", json!({"a": 1}))).unwrap();
    world.dr1.api("test.dev/v1", "Widget", "app").create(&PostParams::default(), &object).await.unwrap();
    world.view_agent();
    let views = world.hub.typed("dr1");
    (world, views)
}

#[tokio::test(start_paused = true)]
async fn an_object_is_shown_at_once_and_refreshed_at_the_interval() {
    let (world, views) = with_widget().await;
    let start = Instant::now();
    create(&views, "v", scope("x")).await;
    let view = answered(&views, "v").await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!((verdict(&view).0, verdict(&view).1.as_str()), (ConditionStatus::True, "GetResourceProcessing"));
    let result = view.status.unwrap().result.unwrap();
    assert_eq!((&result["spec"], &result["kind"]), (&json!({"a": 1}), &json!("Widget")));
    assert!(result["metadata"]["managedFields"].is_array());

    seconds(1).await;
    let changed = Instant::now();
    set_status(&world.dr1.api("test.dev/v1", "Widget", "app"), "x", json!({"state": "Primary"})).await;
    until("the new state is shown", async || {
        let result = views.get("v").await.unwrap().status.unwrap().result.unwrap();
        (result["status"]["state"] == "Primary").then_some(())
    })
    .await;
    let took = changed.elapsed().as_secs();
    assert!((28..=30).contains(&took), "took {took} s");
}

#[tokio::test(start_paused = true)]
async fn absence_is_a_failed_read_and_the_old_result_stays() {
    let (world, views) = with_widget().await;
    create(&views, "none", scope("nobody")).await;
    let (status, reason, message) = verdict(&answered(&views, "none").await);
    assert_eq!((status, reason.as_str()), (ConditionStatus::False, "GetResourceFailed"));
    assert!(message.ends_with("not found"), "{message}");

    create(&views, "v", scope("x")).await;
    answered(&views, "v").await;
    world.dr1.api("test.dev/v1", "Widget", "app").delete("x", &DeleteParams::default()).await.unwrap();
    let view = until("the view fails", async || {
        views.get_opt("v").await.unwrap().filter(|view| verdict(view).0 == ConditionStatus::False)
    })
    .await;
    assert!(verdict(&view).2.ends_with("not found"));
    assert_eq!(view.status.unwrap().result.unwrap()["spec"], json!({"a": 1}));
}

#[tokio::test(start_paused = true)]
async fn another_scope_is_looked_at_at_once() {
    let (_world, views) = with_widget().await;
    create(&views, "v", scope("nobody")).await;
    answered(&views, "v").await;
    let changed = Instant::now();
    merge(&views, "v", json!({"spec": scope("x")})).await;
    until("the object is shown", async || {
        views.get_opt("v").await.unwrap().filter(|view| verdict(view).0 == ConditionStatus::True)
    })
    .await;
    assert!(changed.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_viewed_has_its_own_reason() {
    let (_world, views) = with_widget().await;
    for (name, spec, reason) in [
        (
            "no-name",
            json!({"scope": {"kind": "Widget", "version": "v1", "apiGroup": "test.dev"}}),
            "ResourceNameInvalid",
        ),
        ("no-kind", json!({"scope": {"name": "x"}}), "ResourceTypeInvalid"),
        (
            "no-version",
            json!({"scope": {"name": "x", "kind": "Widget", "apiGroup": "test.dev"}}),
            "ResourceTypeInvalid",
        ),
        (
            "unknown",
            json!({"scope": {"name": "x", "kind": "Gadget", "version": "v1", "apiGroup": "test.dev"}}),
            "ResourceGVKInvalid",
        ),
        (
            "secret",
            json!({"scope": {"name": "x", "kind": "Secret", "version": "v1", "namespace": "app"}}),
            "ResourceTypeInvalid",
        ),
    ] {
        create(&views, name, spec).await;
        assert_eq!(verdict(&answered(&views, name).await).1, reason, "{name}");
    }
    create(&views, "plural", json!({"scope": {"name": "x", "namespace": "app", "resource": "widgets.v1.test.dev"}}))
        .await;
    assert_eq!(verdict(&answered(&views, "plural").await).1, "GetResourceProcessing");
}

#[tokio::test(start_paused = true)]
async fn the_view_of_a_dead_cluster_looks_valid_for_ever() {
    let (world, views) = with_widget().await;
    create(&views, "v", scope("x")).await;
    let before = answered(&views, "v").await.status;
    world.dr1.kill();
    seconds(3600).await;
    assert_eq!(views.get("v").await.unwrap().status, before);
    set_status(&world.dr1.api("test.dev/v1", "Widget", "app"), "x", json!({"state": "late"})).await;
    world.dr1.revive();
    let back = Instant::now();
    until("the present state is shown", async || {
        let result = views.get("v").await.unwrap().status.unwrap().result.unwrap();
        (result["status"]["state"] == "late").then_some(())
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(5));
}
