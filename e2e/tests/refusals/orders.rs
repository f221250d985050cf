//! What a user may write into a DRPlacementControl by mistake.

use kaedama_e2e::objects::{message, site, stage};
use kaedama_e2e::start::{app, deployed, dr1, dr2, drpc, either, pass, regional};
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::conditions::drpc::AVAILABLE;
use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::names;
use serde_json::{Value, json};

use super::{create, denied, healed, laid_over, merge, placing, refused, unharmed};

fn named(app: &App, rest: &Value) -> Value {
    let object = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1",
        "kind": "DRPlacementControl",
        "metadata": { "name": app.name, "namespace": app.namespace },
    });
    laid_over(object, rest)
}

pub async fn an_order_that_makes_no_sense_moves_nothing_and_is_taken_back_by_mending_it() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    let content = json!({
        "action": null, "failoverCluster": null, "preferredCluster": dr1(), "dryRun": null, "protectedNamespaces": null,
    });
    let (one, other) = (dr1(), dr2());
    let all = format!("{one}, {other}");
    let choose = format!("choose one of {all}");
    let cases: [(Value, &[&str]); 7] = [
        (json!({ "action": "Failover", "failoverCluster": "dr9" }), &["spec.failoverCluster is dr9", &choose]),
        (
            json!({ "action": "Failover", "failoverCluster": dr1() }),
            &[&format!("spec.failoverCluster is {one}"), "already lives", &format!("name the other cluster ({other})")],
        ),
        (json!({ "action": "Failover" }), &["missing value for spec.failoverCluster", &format!("one of {all}")]),
        (json!({ "preferredCluster": null }), &["spec.preferredCluster is missing", &format!("one of {all}")]),
        (json!({ "action": "Relocate", "preferredCluster": "dr9" }), &["spec.preferredCluster is dr9", &choose]),
        (
            json!({ "dryRun": true, "action": "Failover", "failoverCluster": dr2() }),
            &["spec.dryRun", "not supported by this version yet", "remove it"],
        ),
        (json!({ "protectedNamespaces": ["elsewhere"] }), &["spec.protectedNamespaces", "remove it"]),
    ];
    for (spec, words) in cases {
        world.edit(&app, spec).await?;
        refused(&world, &app, words).await?;
        pass(10).await;
        unharmed(&world, &app, dr1()).await?;
        world.edit(&app, content.clone()).await?;
        let seen = healed(&world, &app).await?;
        assert_eq!(stage(&seen), "Deployed/Completed");
    }
    // And it can still be moved.
    world.order(&app, DRAction::Failover, dr2()).await?;
    world.completed(&app, DRState::FailedOver).await?;
    Ok(())
}

pub async fn what_must_not_change_is_kept_by_the_api_server() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1())).await?;
    let cases = [
        (json!({ "spec": { "drPolicyRef": { "name": "other" } } }), "drPolicyRef is immutable"),
        (json!({ "spec": { "placementRef": { "name": "other" } } }), "placementRef is immutable"),
        (json!({ "spec": { "pvcSelector": { "matchLabels": { "app": "other" } } } }), "pvcSelector is immutable"),
        (json!({ "spec": { "action": "Failback" } }), "Unsupported value: \"Failback\""),
    ];
    for (change, words) in cases {
        let answer = denied(world.hub(), &named(&app, &change), true).await?;
        assert!(answer.contains(words), "{change}: {answer}");
    }
    unharmed(&world, &app, dr1()).await
}

pub async fn a_malformed_record_is_shown_and_rebuilt_once_it_is_removed() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1())).await?;
    let annotate =
        |value: Value| named(&app, &json!({ "metadata": { "annotations": { names::ACTION_RECORD: value } } }));
    for garbage in ["{", "{\"epoch\": \"three\"}", dr1()] {
        merge(world.hub(), &annotate(json!(garbage))).await?;
        refused(&world, &app, &[names::ACTION_RECORD, "remove the annotation"]).await?;
        // An order is not carried out by somebody who does not know what came before.
        world.order(&app, DRAction::Failover, dr2()).await?;
        pass(10).await;
        unharmed(&world, &app, dr1()).await?;
        world.edit(&app, json!({ "action": null, "failoverCluster": null })).await?;
        merge(world.hub(), &annotate(Value::Null)).await?;
        let seen = healed(&world, &app).await?;
        assert_eq!(stage(&seen), "Deployed/Completed", "{}", message(&seen, AVAILABLE));
    }
    let record = drpc(&world, &app).await?.metadata.annotations.unwrap_or_default();
    assert!(record[names::ACTION_RECORD].contains(&format!("\"to\":\"{}\"", dr1())), "{record:?}");
    unharmed(&world, &app, dr1()).await
}

pub async fn what_is_not_built_is_refused_to_a_newcomer_before_anything_is_made() -> anyhow::Result<()> {
    let groups = json!({ "metadata": { "annotations": { names::IS_CG_ENABLED: "true" } } });
    let without_groups = json!({ "metadata": { "annotations": { names::IS_CG_ENABLED: null } } });
    let objects = json!({ "spec": { "kubeObjectProtection": {} } });
    let without_objects = json!({ "spec": { "kubeObjectProtection": null } });
    let cases =
        [(groups, without_groups, names::IS_CG_ENABLED), (objects, without_objects, "spec.kubeObjectProtection")];
    // A world for each; real clusters are for one.
    for (asked, mended, field) in cases.into_iter().take(either(2, 1)) {
        let world = regional().await?;
        let app = app("web", dr1());
        placing::prepare(&world, &app, placing::unscheduled()).await?;
        create(world.hub(), &laid_over(app.drpc(&world.options().policy), &asked)).await?;
        refused(&world, &app, &[field, "not supported by this version yet", "remove it"]).await?;
        pass(10).await;
        assert_eq!(site(&world, dr1(), &app).await?.role(), "none");
        merge(world.hub(), &named(&app, &mended)).await?;
        world.completed(&app, DRState::Deployed).await?;
        world.protected(&app).await?;
        unharmed(&world, &app, dr1()).await?;
    }
    Ok(())
}
