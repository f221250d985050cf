//! What the reference product left behind, and an API server that refuses.

use kaedama_shared::api::conditions::drpc::AVAILABLE;
use kaedama_shared::api::{DRPlacementControlStatus, condition};
use kaedama_shared::names;

use super::*;

fn status(drpc: &DRPlacementControl) -> DRPlacementControlStatus {
    drpc.status.clone().unwrap_or_default()
}

/// Managers that have a share in the status.
fn sharers(drpc: &DRPlacementControl) -> Vec<String> {
    let entries = drpc.metadata.managed_fields.iter().flatten();
    let with_members = entries.filter(|entry| {
        let members = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:status")?.as_object().cloned());
        members.is_some_and(|members| members.keys().any(|key| key != "f:phase" && key != "f:conditions"))
    });
    with_members.filter_map(|entry| entry.manager.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_status_of_the_reference_product_is_taken_over_with_all_its_members() {
    let mut world = deployed().await;
    let theirs = json!({ "status": { "actionDuration": "99s", "lastGroupSyncBytes": 7, "progression": "Completed" } });
    let manager = PatchParams { field_manager: Some("manager".into()), ..Default::default() };
    let written = world.drpcs().patch_status("web", &manager, &Patch::Merge(&theirs)).await.unwrap();
    assert!(sharers(&written).contains(&"manager".to_owned()), "{:?}", written.metadata.managed_fields);
    world.run("that no old size is shown", |drpc| status(drpc).last_group_sync_bytes.is_none()).await;
    let drpc = world.drpc().await;
    assert_eq!(sharers(&drpc), [drpc::act::FIELD_MANAGER]);
    assert!(status(&drpc).action_duration.is_some() && status(&drpc).progression.to_string() == "Completed");
    world.assert_quiet().await;
    // What was left as it was is taken back when its time has come.
    world.clusters.get_mut("dr2").unwrap().alive = false;
    world.order(json!({ "action": "Failover", "failoverCluster": "dr2" })).await;
    world.run("FailingOver", |drpc| status(drpc).phase.to_string() == "FailingOver").await;
    assert_eq!(status(&world.drpc().await).action_duration, None);
}

#[tokio::test(start_paused = true)]
async fn works_without_a_label_are_found_and_labelled() {
    let mut world = deployed().await;
    let is_of_namespace = |work: &ManifestWork| work.name_any().ends_with("-ns-mw");
    for cluster in CLUSTERS {
        for work in world.works(cluster).list(&Default::default()).await.unwrap().items {
            let unlabelled = json!({ "metadata": { "labels": { names::CREATED_BY: null } } });
            let api = world.works(cluster);
            api.patch(&work.name_any(), &PatchParams::default(), &Patch::Merge(&unlabelled)).await.unwrap();
        }
    }
    for _ in 0..50 {
        world.round().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for cluster in CLUSTERS {
        let works = world.works(cluster).list(&Default::default()).await.unwrap().items;
        assert!(works.len() >= 3);
        for work in works.iter().filter(|work| !is_of_namespace(work)) {
            assert_eq!(work.labels().get(names::CREATED_BY).map(String::as_str), Some("true"), "{}", work.name_any());
        }
    }
    let drpc = world.drpc().await;
    assert_eq!(status(&drpc).phase.to_string(), "Deployed");
    world.fail_over_from_the_dead().await;
    assert!(world.decided().await.contains(&"dr2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_is_shown() {
    let mut world = deployed().await;
    let crds: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let name = "manifestworks.work.open-cluster-management.io";
    let accepting = crds.get(name).await.unwrap();
    let mut refusing = serde_json::to_value(&accepting).unwrap();
    refusing["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"] = json!(["quota"]);
    let refusing: CustomResourceDefinition = serde_json::from_value(refusing).unwrap();
    crds.replace(name, &PostParams::default(), &refusing).await.unwrap();
    world.order(json!({ "action": "Failover", "failoverCluster": "dr2" })).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let drpc = world.drpc().await;
    let available = condition::find(&status(&drpc).conditions, AVAILABLE).cloned().unwrap();
    assert!(available.is_false() && available.message.contains("cannot rewrite ManifestWork dr2"), "{available:?}");
    assert_eq!(status(&drpc).phase.to_string(), "Deployed", "what was not done is not shown as done");
    let mut accepting = accepting;
    accepting.metadata.resource_version = crds.get(name).await.unwrap().metadata.resource_version;
    crds.replace(name, &PostParams::default(), &accepting).await.unwrap();
    world.completed("FailedOver").await;
}
