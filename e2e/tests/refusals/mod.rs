//! Bad input: each is refused with a condition that names the field and the remedy, nothing is lost by it, and mending the
//! input heals it.
//!
//! | module | whose input |
//! |---|---|
//! | `orders` | the spec and annotations of a DRPlacementControl |
//! | `placing` | its Placement and decisions |
//! | `policies` | DRPolicy and DRCluster |
//! | `stores` | S3 profiles, secrets and buckets |
//! | `claims` | the application's own claims and classes |

pub mod claims;
pub mod orders;
pub mod placing;
pub mod policies;
pub mod stores;

/// Every scenario of this folder, handed to a macro. One with a reason cannot be told on real clusters.
macro_rules! every {
    ($($each:tt)*) => {
        $($each)*! {
            refusals:
            claims {
                a_claim_without_a_replication_class_says_so_and_the_others_stay_protected,
                a_claim_of_an_unknown_class_says_so_and_the_others_stay_protected,
            }
            orders {
                an_order_that_makes_no_sense_moves_nothing_and_is_taken_back_by_mending_it,
                what_must_not_change_is_kept_by_the_api_server,
                a_malformed_record_is_shown_and_rebuilt_once_it_is_removed,
                what_is_not_built_is_refused_to_a_newcomer_before_anything_is_made,
            }
            placing {
                a_placement_that_is_missing_is_waited_for,
                a_placement_that_others_decide_is_not_fought_over,
                a_second_drpc_on_a_placement_does_not_disturb_the_first,
                decisions_that_contradict_each_other_stop_every_move,
                an_application_that_runs_elsewhere_is_not_moved_by_protecting_it,
            }
            policies {
                the_api_server_refuses_policies_that_cannot_be,
                a_policy_that_does_not_exist_is_waited_for,
                a_policy_names_the_cluster_that_it_lacks_and_an_application_of_it_waits,
                what_is_in_use_is_not_deleted_and_goes_when_its_last_user_has_gone,
                an_application_of_a_policy_on_its_way_out_can_still_fail_over,
            }
            stores {
                a_store_that_cannot_be_used_is_named_and_tried_again_when_it_is_mended,
                a_bucket_that_is_missing_is_told_from_a_store_that_does_not_answer = "it takes a bucket away from the sandbox's store",
                a_profile_that_is_not_configured_is_named,
            }
        }
    };
}
pub(crate) use every;

use std::time::Duration;

use kaedama_e2e::bytes::audit;
use kaedama_e2e::objects::{decisions, site};
use kaedama_e2e::start::writes;
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::look::describe;
use kaedama_shared::api::conditions::drpc::AVAILABLE;
use kaedama_shared::api::{Condition, DRPlacementControl, condition};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, TypeMeta};
use serde_json::Value;

/// The longest that a refusal or a recovery from one may take, in the world's time.
const PATIENCE: Duration = Duration::from_secs(120);

fn condition_of(drpc: &DRPlacementControl, type_: &str) -> Option<Condition> {
    condition::find(&drpc.status.as_ref()?.conditions, type_).cloned()
}

/// Waits until `Available` of a DRPlacementControl is False for its present generation, with all of these in its message.
async fn refused(world: &World, app: &App, words: &[&str]) -> anyhow::Result<DRPlacementControl> {
    let what = format!("a refusal that says {words:?}");
    let seen = world
        .until_drpc(app, &what, |drpc| {
            condition_of(drpc, AVAILABLE).is_some_and(|available| {
                available.is_false()
                    && available.is_at(drpc.metadata.generation.unwrap_or_default())
                    && words.iter().all(|word| available.message.contains(word))
            })
        })
        .await?;
    Ok(seen)
}

/// Waits until the DRPlacementControl is content again.
async fn healed(world: &World, app: &App) -> anyhow::Result<DRPlacementControl> {
    let seen = world
        .until_drpc(app, "that it is mended", |drpc| {
            let generation = drpc.metadata.generation.unwrap_or_default();
            condition_of(drpc, AVAILABLE).is_some_and(|available| available.is_true() && available.is_at(generation))
        })
        .await?;
    Ok(seen)
}

/// The application runs on `cluster` and nowhere else, with all that it ever wrote.
async fn unharmed(world: &World, app: &App, cluster: &str) -> anyhow::Result<()> {
    assert_eq!(decisions(world, app).await?, [cluster]);
    // A pod may still wait for its image.
    writes(world, app, cluster, 0).await;
    let written = audit(world, cluster, app)?.acknowledged;
    writes(world, app, cluster, written + 10).await;
    let audit = audit(world, cluster, app)?;
    assert!(audit.is_clean(), "{audit:#?}");
    assert_eq!(audit.writers, [cluster]);
    assert!(audit.acknowledged > written, "it goes on writing: {audit:#?}");
    let home = site(world, cluster, app).await?;
    assert_eq!(home.role(), "primary/Primary");
    for other in world.clusters().iter().filter(|other| *other != cluster) {
        assert_eq!(site(world, other, app).await?.role(), "secondary/Secondary");
    }
    Ok(())
}

/// Waits until an object of the hub has this condition with this status and reason, and all of these words in its message.
async fn says<K>(
    world: &World,
    api: Api<K>,
    name: &str,
    wanted: (&str, &str, &str),
    words: &[&str],
) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Send
        + 'static,
{
    let (type_, status, reason) = wanted;
    let of = |object: &K| -> Option<Condition> {
        let object = serde_json::to_value(object).ok()?;
        let conditions: Vec<Condition> = serde_json::from_value(object.pointer("/status/conditions")?.clone()).ok()?;
        condition::find(&conditions, type_).cloned()
    };
    let what = format!("{} {name} with {type_}={status}/{reason} and {words:?}", K::kind(&()));
    let fits = |object: &K| {
        of(object).is_some_and(|seen| {
            seen.status.to_string() == status
                && seen.reason == reason
                && words.iter().all(|word| seen.message.contains(word))
        })
    };
    world.until(api, name, &what, PATIENCE, fits, |object| format!("it is {:?}", of(object))).await?;
    Ok(())
}

/// The endpoint of any object.
fn endpoint(client: kube::Client, object: &Value) -> anyhow::Result<(Api<DynamicObject>, String)> {
    let types: TypeMeta = serde_json::from_value(object.clone())?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    Ok((api, object["metadata"]["name"].as_str().unwrap_or_default().to_owned()))
}

/// Creates any object.
async fn create(client: kube::Client, object: &Value) -> anyhow::Result<()> {
    let (api, _) = endpoint(client, object)?;
    api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
    Ok(())
}

/// Merges into an object that is there; `object` names it and holds the change, with nulls for what is removed.
async fn merge(client: kube::Client, object: &Value) -> anyhow::Result<()> {
    let (api, name) = endpoint(client, object)?;
    api.patch(&name, &PatchParams::default(), &Patch::Merge(object)).await?;
    Ok(())
}

/// What the API server says against a change.
async fn denied(client: kube::Client, object: &Value, patch: bool) -> anyhow::Result<String> {
    let done = if patch { merge(client, object).await } else { create(client, object).await };
    let Err(error) = done else { anyhow::bail!("the API server took {object}") };
    Ok(error.to_string())
}

/// Lays `change` over an object, nulls included: in a merge patch they remove.
fn laid_over(mut object: Value, change: &Value) -> Value {
    match (object.as_object_mut(), change.as_object()) {
        (Some(fields), Some(changes)) => {
            for (key, change) in changes {
                let field = fields.entry(key.clone()).or_insert(Value::Null);
                *field = laid_over(field.take(), change);
            }
            object
        }
        _ => change.clone(),
    }
}

/// How a DRPlacementControl stands, for messages of assertions.
async fn state(world: &World, app: &App) -> anyhow::Result<String> {
    Ok(describe(&world.drpcs(&app.namespace).get(&app.name).await?))
}
