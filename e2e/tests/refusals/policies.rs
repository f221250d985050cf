//! What may be wrong with policies and clusters.

use kaedama_e2e::objects::{decisions, site};
use kaedama_e2e::start::{app, deployed, dr1, dr2, pass, regional};
use kaedama_shared::api::conditions::{drcluster, drpolicy};
use kaedama_shared::api::ocm::ManagedCluster;
use kaedama_shared::api::{DRAction, DRCluster, DRPolicy, DRState};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{create, denied, healed, laid_over, refused, says, unharmed};

/// An object as somebody keeps it in a file.
fn kept<K: kube::Resource<DynamicType = ()> + serde::Serialize>(object: &K) -> anyhow::Result<Value> {
    let meta = object.meta();
    Ok(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": meta.name, "labels": meta.labels, "annotations": meta.annotations },
        "spec": serde_json::to_value(object)?["spec"],
    }))
}

fn policy(name: &str, clusters: &[&str], interval: &str) -> Value {
    json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1",
        "kind": "DRPolicy",
        "metadata": { "name": name },
        "spec": { "drClusters": clusters, "schedulingInterval": interval },
    })
}

pub async fn the_api_server_refuses_policies_that_cannot_be() -> anyhow::Result<()> {
    let world = regional().await?;
    let cases = [
        (policy("one", &["dr1"], "1m"), "drClusters requires a list of 2 clusters"),
        (policy("three", &["dr1", "dr2", "dr3"], "1m"), "drClusters requires a list of 2 clusters"),
        (policy("often", &["dr1", "dr2"], "30s"), "spec.schedulingInterval"),
    ];
    for (bad, words) in cases {
        let answer = denied(world.hub(), &bad, false).await?;
        assert!(answer.contains(words), "{bad}: {answer}");
    }
    let existing = world.options().policy.clone();
    let cases = [
        (json!({ "drClusters": ["dr1", "dr3"] }), "drClusters is immutable"),
        (json!({ "schedulingInterval": "5m" }), "schedulingInterval is immutable"),
        (
            json!({ "replicationClassSelector": { "matchLabels": { "a": "b" } } }),
            "replicationClassSelector is immutable",
        ),
    ];
    for (change, words) in cases {
        let bad = laid_over(policy(&existing, &["dr1", "dr2"], "1m"), &json!({ "spec": change }));
        let answer = denied(world.hub(), &bad, true).await?;
        assert!(answer.contains(words), "{change}: {answer}");
    }
    let moved = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster", "metadata": { "name": "dr1" },
        "spec": { "s3ProfileName": "another" },
    });
    let answer = denied(world.hub(), &moved, true).await?;
    assert!(answer.contains("s3ProfileName is immutable"), "{answer}");
    Ok(())
}

pub async fn a_policy_that_does_not_exist_is_waited_for() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = app("web", dr1());
    super::placing::prepare(&world, &app, super::placing::unscheduled()).await?;
    create(world.hub(), &app.drpc("gold")).await?;
    refused(&world, &app, &["spec.drPolicyRef", "there is no DRPolicy gold", "create it"]).await?;
    create(world.hub(), &policy("gold", &[dr1(), dr2()], "1m")).await?;
    world.completed(&app, DRState::Deployed).await?;
    world.protected(&app).await?;
    unharmed(&world, &app, dr1()).await?;
    // It goes with its last user.
    world.unprotect(&app).await?;
    let policies: Api<DRPolicy> = Api::all(world.hub());
    policies.delete("gold", &DeleteParams::default()).await?;
    world.until_gone(policies, "gold").await?;
    assert!(world.audit(&app).is_some_and(|audit| audit.is_clean()));
    Ok(())
}

pub async fn a_policy_names_the_cluster_that_it_lacks_and_an_application_of_it_waits() -> anyhow::Result<()> {
    let world = regional().await?;
    let policies: Api<DRPolicy> = Api::all(world.hub());
    create(world.hub(), &policy("gold", &[dr1(), "dr9"], "1m")).await?;
    let missing = (drpolicy::VALIDATED, "False", "DRClusterNotFound");
    says(&world, policies.clone(), "gold", missing, &["spec.drClusters", "there is no DRCluster dr9", "create it"])
        .await?;
    let app = app("web", dr1());
    super::placing::prepare(&world, &app, super::placing::unscheduled()).await?;
    create(world.hub(), &app.drpc("gold")).await?;
    refused(&world, &app, &["DRPolicy gold is not valid", "dr9"]).await?;
    assert!(decisions(&world, &app).await?.is_empty());
    // A name that Open Cluster Management does not know either.
    let unknown = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster", "metadata": { "name": "dr9" },
        "spec": { "s3ProfileName": "s3-dr1" },
    });
    create(world.hub(), &unknown).await?;
    let drclusters: Api<DRCluster> = Api::all(world.hub());
    assert!(Api::<ManagedCluster>::all(world.hub()).get_opt("dr9").await?.is_none());
    let undelivered = (drcluster::VALIDATED, "False", "DrClustersDeployFailed");
    let words = ["there is no ManagedCluster dr9", "import the cluster, or correct the name"];
    says(&world, drclusters.clone(), "dr9", undelivered, &words).await?;
    // The name is corrected: both go, and nothing else was touched by them.
    world.unprotect(&app).await?;
    world.until_gone(world.drpcs(&app.namespace), &app.name).await?;
    policies.delete("gold", &DeleteParams::default()).await?;
    drclusters.delete("dr9", &DeleteParams::default()).await?;
    world.until_gone(policies.clone(), "gold").await?;
    world.until_gone(drclusters, "dr9").await?;
    let valid = (drpolicy::VALIDATED, "True", "Succeeded");
    says(&world, policies, &world.options().policy, valid, &[]).await
}

pub async fn what_is_in_use_is_not_deleted_and_goes_when_its_last_user_has_gone() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", "dr1").claims(2)).await?;
    let name = world.options().policy.clone();
    let policies: Api<DRPolicy> = Api::all(world.hub());
    let drclusters: Api<DRCluster> = Api::all(world.hub());
    let files = [kept(&drclusters.get("dr2").await?)?, kept(&policies.get(&name).await?)?];
    policies.delete(&name, &DeleteParams::default()).await?;
    let used = (drpolicy::VALIDATED, "False", "ValidationFailed");
    let user = format!("cannot be deleted while it is used by {}/web", app.namespace);
    says(&world, policies.clone(), &name, used, &[&user]).await?;
    drclusters.delete("dr2", &DeleteParams::default()).await?;
    let named = (drcluster::VALIDATED, "False", "ValidationFailed");
    says(&world, drclusters.clone(), "dr2", named, &["cannot be deleted while it is part of DRPolicy", &name]).await?;
    pass(30).await;
    unharmed(&world, &app, "dr1").await?;
    // Claims and volumes outlive the protection.
    world.unprotect(&app).await?;
    world.until_gone(world.drpcs(&app.namespace), &app.name).await?;
    world.until_gone(policies.clone(), &name).await?;
    world.until_gone(drclusters.clone(), "dr2").await?;
    let home = site(&world, "dr1", &app).await?;
    assert_eq!((home.claims.len(), home.role().as_str()), (2, "none"));
    assert!(world.audit(&app).is_some_and(|audit| audit.is_clean()));
    // Both can be made again.
    for file in &files {
        create(world.hub(), file).await?;
    }
    says(&world, drclusters, "dr2", (drcluster::VALIDATED, "True", "Succeeded"), &[]).await?;
    says(&world, policies, &name, (drpolicy::VALIDATED, "True", "Succeeded"), &[]).await
}

pub async fn an_application_of_a_policy_on_its_way_out_can_still_fail_over() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", "dr1")).await?;
    let name = world.options().policy.clone();
    let policies: Api<DRPolicy> = Api::all(world.hub());
    let file = kept(&policies.get(&name).await?)?;
    policies.delete(&name, &DeleteParams::default()).await?;
    let used = (drpolicy::VALIDATED, "False", "ValidationFailed");
    says(&world, policies.clone(), &name, used, &[&format!("{}/web", app.namespace)]).await?;
    world.kill("dr1")?;
    world.order(&app, DRAction::Failover, "dr2").await?;
    world.placed(&app, DRState::FailedOver).await?;
    world.revive("dr1")?;
    world.completed(&app, DRState::FailedOver).await?;
    healed(&world, &app).await?;
    // Its last user gone, it goes too, and can be made again.
    world.unprotect(&app).await?;
    world.until_gone(policies.clone(), &name).await?;
    create(world.hub(), &file).await?;
    says(&world, policies, &name, (drpolicy::VALIDATED, "True", "Succeeded"), &[]).await
}
