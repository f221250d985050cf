//! What may be wrong with an application's Placement and its decisions.

use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_e2e::objects::placement;
use kaedama_e2e::start::{app, deployed, dr1, dr2, pass, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::DRState;
use kaedama_shared::api::ocm::{Placement, PlacementDecision};
use kaedama_shared::names;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{create, healed, merge, refused, state, unharmed};

/// The annotations of a Placement that nobody but us decides.
pub fn unscheduled() -> Value {
    json!({ names::SCHEDULING_DISABLE: "true" })
}

fn of(app: &App, annotations: Value) -> Value {
    json!({
        "apiVersion": Placement::API_VERSION,
        "kind": Placement::KIND,
        "metadata": { "name": app.name, "namespace": app.namespace, "annotations": annotations },
        "spec": { "clusterSets": ["default"], "numberOfClusters": 1 },
    })
}

/// Namespace and GitOps description of an application, and its Placement with these annotations.
pub async fn prepare(world: &World, app: &App, annotations: Value) -> anyhow::Result<()> {
    describe(world, app).await?;
    create(world.hub(), &of(app, annotations)).await
}

async fn describe(world: &World, app: &App) -> anyhow::Result<()> {
    create(world.hub(), &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": app.namespace } }))
        .await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.hub(), &app.namespace);
    maps.create(&PostParams::default(), &app.description().config_map()).await?;
    Ok(())
}

pub async fn a_placement_that_is_missing_is_waited_for() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = app("web", dr1());
    describe(&world, &app).await?;
    create(world.hub(), &app.drpc(&world.options().policy)).await?;
    let missing = format!("there is no Placement web in namespace {}", app.namespace);
    refused(&world, &app, &["spec.placementRef", &missing, "create it"]).await?;
    create(world.hub(), &of(&app, unscheduled())).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    unharmed(&world, &app, dr1()).await
}

pub async fn a_placement_that_others_decide_is_not_fought_over() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = app("web", dr1());
    prepare(&world, &app, json!({})).await?;
    create(world.hub(), &app.drpc(&world.options().policy)).await?;
    refused(&world, &app, &["Placement web", names::SCHEDULING_DISABLE, "\"true\""]).await?;
    pass(10).await;
    let untouched = placement(&world, &app).await?;
    assert!(untouched.finalizers().is_empty() && untouched.annotations().is_empty(), "{:?}", untouched.metadata);
    merge(world.hub(), &of(&app, unscheduled())).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    unharmed(&world, &app, dr1()).await
}

pub async fn a_second_drpc_on_a_placement_does_not_disturb_the_first() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1())).await?;
    let mut rival = app.drpc(&world.options().policy);
    rival["metadata"]["name"] = json!("rival");
    rival["spec"]["preferredCluster"] = json!(dr2());
    create(world.hub(), &rival).await?;
    let second = App { name: "rival".to_owned(), ..app.clone() };
    refused(&world, &second, &["Placement web", &format!("{}/web", app.namespace), "use another Placement"]).await?;
    pass(10).await;
    unharmed(&world, &app, dr1()).await?;
    world.unprotect(&second).await?;
    world.until_gone(world.drpcs(&app.namespace), "rival").await?;
    pass(10).await;
    let kept = placement(&world, &app).await?;
    assert_eq!(kept.annotations().get(names::DRPC_NAME), Some(&app.name), "{:?}", kept.metadata);
    assert!(kept.finalizers().contains(&names::DRPC_FINALIZER.to_owned()), "{:?}", kept.metadata);
    healed(&world, &app).await?;
    unharmed(&world, &app, dr1()).await
}

pub async fn decisions_that_contradict_each_other_stop_every_move() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1())).await?;
    let decisions: Api<PlacementDecision> = Api::namespaced(world.hub(), &app.namespace);
    let second = json!({
        "apiVersion": PlacementDecision::API_VERSION,
        "kind": PlacementDecision::KIND,
        "metadata": {
            "name": "web-decision-stray",
            "namespace": app.namespace,
            "labels": { "cluster.open-cluster-management.io/placement": app.name },
        },
    });
    create(world.hub(), &second).await?;
    refused(&world, &app, &["several PlacementDecisions", "web-decision-stray", "delete all but the right one"])
        .await?;
    world.edit(&app, json!({ "action": "Failover", "failoverCluster": dr2() })).await?;
    refused(&world, &app, &["several PlacementDecisions"]).await?;
    pass(10).await;
    unharmed(&world, &app, dr1()).await?;
    decisions.delete("web-decision-stray", &DeleteParams::default()).await?;
    world.completed(&app, DRState::FailedOver).await?;
    Ok(())
}

pub async fn an_application_that_runs_elsewhere_is_not_moved_by_protecting_it() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = app("web", dr1());
    prepare(&world, &app, unscheduled()).await?;
    let decision = json!({
        "apiVersion": PlacementDecision::API_VERSION,
        "kind": PlacementDecision::KIND,
        "metadata": {
            "name": "web-decision-1",
            "namespace": app.namespace,
            "labels": { "cluster.open-cluster-management.io/placement": app.name },
        },
    });
    create(world.hub(), &decision).await?;
    let api: Api<PlacementDecision> = Api::namespaced(world.hub(), &app.namespace);
    let placed = json!({ "status": { "decisions": [{ "clusterName": dr1(), "reason": "" }] } });
    api.patch_status("web-decision-1", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(placed)).await?;
    pass(20).await;
    let mut wanted = app.drpc(&world.options().policy);
    wanted["spec"]["preferredCluster"] = json!(dr2());
    create(world.hub(), &wanted).await?;
    let (wrong, right) =
        (format!("spec.preferredCluster is {}", dr2()), format!("set spec.preferredCluster to {}", dr1()));
    refused(&world, &app, &[&wrong, &right]).await?;
    world.edit(&app, json!({ "preferredCluster": dr1() })).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    unharmed(&world, &app, dr1()).await.map_err(|error| error.context("after it was protected where it is"))?;
    assert!(state(&world, &app).await?.contains("Deployed"));
    Ok(())
}
