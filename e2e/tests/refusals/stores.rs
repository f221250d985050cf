//! What may be wrong with the stores.

use kaedama_e2e::start::{app, deployed, dr1, pass, regional, without_policy};
use kaedama_sandbox::world::{OPERATOR_NAMESPACE, bucket};
use kaedama_shared::api::conditions::{drcluster, drpolicy};
use kaedama_shared::api::{DRCluster, DRPolicy};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{create, laid_over, merge, says, unharmed};

fn secret(keys: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "s3-secret-dr2", "namespace": OPERATOR_NAMESPACE },
        "stringData": keys,
    })
}

pub async fn a_store_that_cannot_be_used_is_named_and_tried_again_when_it_is_mended() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1())).await?;
    let drclusters: Api<DRCluster> = Api::all(world.hub());
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(world.hub(), OPERATOR_NAMESPACE);
    let access = world.store_access("dr2")?;
    let good = json!({ "AWS_ACCESS_KEY_ID": access.access_key_id, "AWS_SECRET_ACCESS_KEY": access.secret_access_key });
    let says = async |status: &str, reason: &str, words: &[&str]| {
        says(&world, drclusters.clone(), "dr2", (drcluster::VALIDATED, status, reason), words).await
    };

    merge(world.hub(), &secret(json!({ "AWS_SECRET_ACCESS_KEY": "wrong" }))).await?;
    says("False", "s3ConnectionFailed", &["S3 profile s3-dr2", "denied", "check the keys in the profile's secret"])
        .await?;
    // One store less is no reason to stop what is protected by the other.
    unharmed(&world, &app, "dr1").await?;
    let valid = (drpolicy::VALIDATED, "True", "Succeeded");
    super::says(&world, Api::<DRPolicy>::all(world.hub()), &world.options().policy, valid, &[]).await?;
    merge(world.hub(), &secret(good.clone())).await?;
    says("True", "Succeeded", &[]).await?;

    let without_key = laid_over(secret(json!({})), &json!({ "data": { "AWS_SECRET_ACCESS_KEY": null } }));
    merge(world.hub(), &without_key).await?;
    says("False", "s3ConnectionFailed", &["s3-dr2", "AWS_SECRET_ACCESS_KEY"]).await?;
    merge(world.hub(), &secret(good.clone())).await?;
    says("True", "Succeeded", &[]).await?;

    secrets.delete("s3-secret-dr2", &DeleteParams::default()).await?;
    says("False", "s3ConnectionFailed", &["s3-dr2", "there is no Secret", "s3-secret-dr2", "create it"]).await?;
    create(world.hub(), &secret(good.clone())).await?;
    says("True", "Succeeded", &[]).await?;
    unharmed(&world, &app, "dr1").await
}

pub async fn a_bucket_that_is_missing_is_told_from_a_store_that_does_not_answer() -> anyhow::Result<()> {
    let world = regional().await?;
    let store = world.store("dr2").unwrap().clone();
    let drclusters: Api<DRCluster> = Api::all(world.hub());
    let good = secret(json!({ "AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret" }));
    // A store that was good is tried again when its secret is written anew.
    let touch = async |round: &str| {
        let mut touched = good.clone();
        touched["metadata"]["annotations"] = json!({ "round": round });
        merge(world.hub(), &touched).await
    };
    let says = async |status: &str, reason: &str, words: &[&str]| {
        says(&world, drclusters.clone(), "dr2", (drcluster::VALIDATED, status, reason), words).await
    };
    assert!(store.remove_bucket(&bucket("dr2")));
    touch("1").await?;
    says("False", "s3BucketNotFound", &["S3 profile s3-dr2", "no such bucket"]).await?;
    store.insert(&bucket("dr2"), "made-again", "");
    says("True", "Succeeded", &[]).await?;

    world.set_store_down("dr2", true);
    touch("2").await?;
    says("False", "s3ConnectionFailed", &["S3 profile s3-dr2", "unreachable"]).await?;
    world.set_store_down("dr2", false);
    says("True", "Succeeded", &[]).await
}

pub async fn a_profile_that_is_not_configured_is_named() -> anyhow::Result<()> {
    // The profile is immutable, so a mistake in it is mended by making the DRCluster anew.
    let world = without_policy().await?;
    let drcluster = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster", "metadata": { "name": "dr2" },
    });
    let drclusters: Api<DRCluster> = Api::all(world.hub());
    drclusters.delete("dr2", &DeleteParams::default()).await?;
    world.until_gone(drclusters.clone(), "dr2").await?;
    let with = |profile: &str| {
        let mut object = drcluster.clone();
        object["spec"] = json!({ "s3ProfileName": profile });
        object
    };
    create(world.hub(), &with("nowhere")).await?;
    let failed = (drcluster::VALIDATED, "False", "s3ConnectionFailed");
    says(&world, drclusters.clone(), "dr2", failed, &["nowhere"]).await?;
    pass(5).await;
    drclusters.delete("dr2", &DeleteParams::default()).await?;
    world.until_gone(drclusters.clone(), "dr2").await?;
    create(world.hub(), &with("s3-dr2")).await?;
    says(&world, drclusters, "dr2", (drcluster::VALIDATED, "True", "Succeeded"), &[]).await
}
