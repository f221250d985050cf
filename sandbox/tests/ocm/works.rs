//! ManifestWorks.

use std::time::Duration;

use kaedama_shared::api::condition::{ConditionStatus, find};
use kaedama_shared::api::ocm::AppliedManifestWork;
use kaedama_shared::api::ocm::work::{APPLIED, AVAILABLE, FieldValue, STATUS_FEEDBACK_SYNCED, WORK_FINALIZER};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{World, config_map, exists, gone, manifests, merge, seconds, set_status, until, widget};

#[tokio::test(start_paused = true)]
async fn manifests_arrive_owned_and_recorded_and_the_work_says_so() {
    let mut world = World::new().await;
    world.work_agents();
    let start = Instant::now();
    world.create_work("w", manifests(&[config_map("c", "1"), widget("x", json!({"a": 1}))])).await;
    let work = world.applied("w").await;
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());

    assert!(work.metadata.finalizers.unwrap().contains(&WORK_FINALIZER.to_owned()));
    let status = work.status.unwrap();
    let applied = find(&status.conditions, APPLIED).unwrap();
    assert_eq!((applied.reason.as_str(), applied.observed_generation), ("AppliedManifestWorkComplete", 1));
    assert_eq!(find(&status.conditions, AVAILABLE).unwrap().reason, "ResourcesAvailable");
    let metas: Vec<_> = status.resource_status.manifests.iter().map(|one| &one.resource_meta).collect();
    assert_eq!((metas[0].ordinal, metas[0].resource.as_str(), metas[0].version.as_str()), (0, "configmaps", "v1"));
    assert_eq!((metas[1].ordinal, metas[1].resource.as_str(), metas[1].group.as_str()), (1, "widgets", "test.dev"));

    let records = world.dr1.global::<AppliedManifestWork>().list(&ListParams::default()).await.unwrap().items;
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.metadata.name, Some(format!("{}-w", record.spec.hub_hash)));
    assert_eq!(record.spec.hub_hash.len(), 64);
    assert_eq!(record.status.as_ref().unwrap().applied_resources.len(), 2);
    let object = world.dr1.api("v1", "ConfigMap", "app").get("c").await.unwrap();
    let owners = object.metadata.owner_references.unwrap();
    assert_eq!((owners.len(), Some(&owners[0].uid)), (1, record.metadata.uid.as_ref()));
    assert_eq!(owners[0].controller, None);
    assert!(world.dr2.api("v1", "ConfigMap", "app").get_opt("c").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_changed_work_changes_its_objects_and_prunes_what_it_dropped() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", manifests(&[config_map("a", "1"), config_map("b", "1")])).await;
    world.applied("w").await;
    merge(&world.works("dr1"), "w", json!({"spec": manifests(&[config_map("a", "2")])})).await;
    let work = world.applied("w").await;
    assert_eq!(work.metadata.generation, Some(2));
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    assert_eq!(maps.get("a").await.unwrap().data["data"]["v"], "2");
    gone(&maps, "b").await;
    assert_eq!(work.status.unwrap().resource_status.manifests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_work_takes_its_objects_and_waits_for_them() {
    let mut world = World::new().await;
    world.work_agents();
    let mut held = widget("held", json!({}));
    held["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    world.create_work("w", manifests(&[held, config_map("free", "1")])).await;
    world.applied("w").await;
    world.works("dr1").delete("w", &DeleteParams::default()).await.unwrap();
    gone(&world.dr1.api("v1", "ConfigMap", "app"), "free").await;
    seconds(60).await;
    let work = world.works("dr1").get("w").await.unwrap();
    assert!(work.metadata.deletion_timestamp.is_some());
    assert_eq!(find(&work.status.unwrap().conditions, "Deleting").unwrap().reason, "WorkDeleting");

    let widgets = world.dr1.api("test.dev/v1", "Widget", "app");
    assert!(widgets.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    merge(&widgets, "held", json!({"metadata": {"finalizers": null}})).await;
    let released = Instant::now();
    until("the work is gone", async || world.works("dr1").get_opt("w").await.unwrap().is_none().then_some(())).await;
    assert!(released.elapsed() < Duration::from_secs(3));
    assert!(world.dr1.global::<AppliedManifestWork>().list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn orphaned_objects_stay() {
    let mut world = World::new().await;
    world.work_agents();
    let mut all = manifests(&[config_map("all", "1")]);
    all["deleteOption"] = json!({"propagationPolicy": "Orphan"});
    let mut some = manifests(&[config_map("stays", "1"), config_map("goes", "1")]);
    some["deleteOption"] = json!({"propagationPolicy": "SelectivelyOrphan", "selectivelyOrphans": {"orphaningRules": [
        {"resource": "configmaps", "namespace": "app", "name": "stays"}]}});
    world.create_work("all", all).await;
    world.create_work("some", some).await;
    for name in ["all", "some"] {
        world.applied(name).await;
        world.works("dr1").delete(name, &DeleteParams::default()).await.unwrap();
        until("the work is gone", async || world.works("dr1").get_opt(name).await.unwrap().is_none().then_some(()))
            .await;
    }
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    for name in ["all", "stays"] {
        let object = maps.get(name).await.unwrap();
        assert_eq!(object.metadata.owner_references, None, "{name}");
    }
    gone(&maps, "goes").await;
}

#[tokio::test(start_paused = true)]
async fn an_object_of_two_works_goes_with_the_last() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("one", manifests(&[config_map("shared", "1")])).await;
    world.create_work("two", manifests(&[config_map("shared", "1")])).await;
    world.applied("one").await;
    world.applied("two").await;
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    assert_eq!(maps.get("shared").await.unwrap().metadata.owner_references.unwrap().len(), 2);
    world.works("dr1").delete("one", &DeleteParams::default()).await.unwrap();
    until("one is gone", async || world.works("dr1").get_opt("one").await.unwrap().is_none().then_some(())).await;
    seconds(5).await;
    assert_eq!(maps.get("shared").await.unwrap().metadata.owner_references.unwrap().len(), 1);
    world.works("dr1").delete("two", &DeleteParams::default()).await.unwrap();
    gone(&maps, "shared").await;
}

fn watched(scrape: &str) -> serde_json::Value {
    let mut spec = manifests(&[widget("x", json!({}))]);
    spec["manifestConfigs"] = json!([{
        "resourceIdentifier": {"group": "test.dev", "resource": "widgets", "namespace": "app", "name": "x"},
        "feedbackScrapeType": scrape,
        "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [
            {"name": "state", "path": ".status.state"},
            {"name": "ready", "path": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "whole", "path": ".status.detail"}]}]
    }]);
    spec
}

#[tokio::test(start_paused = true)]
async fn watched_feedback_follows_the_object_at_once_and_polled_feedback_at_the_next_poll() {
    for (scrape, at_least, at_most) in [("Watch", 0, 100), ("Poll", 1, 10_000)] {
        let mut world = World::new().await;
        world.work_agents();
        world.create_work("w", watched(scrape)).await;
        world.applied("w").await;
        seconds(33).await;
        let changed = Instant::now();
        let state = json!({"state": "Primary", "conditions": [{"type": "Ready", "status": "True"}]});
        set_status(&world.dr1.api("test.dev/v1", "Widget", "app"), "x", state).await;
        let work = world
            .work_where("w", "the state is fed back", |work| {
                let manifest = work.manifest_status(0);
                manifest.and_then(|manifest| manifest.value("state")) == Some(&FieldValue::of_string("Primary"))
            })
            .await;
        let took = changed.elapsed().as_millis();
        assert!((at_least..=at_most).contains(&took), "{scrape} took {took} ms");
        let manifest = work.manifest_status(0).unwrap().clone();
        assert_eq!(manifest.value("ready"), Some(&FieldValue::of_string("True")));
        assert_eq!(manifest.value("whole"), None);
        assert_eq!(find(&manifest.conditions, STATUS_FEEDBACK_SYNCED).unwrap().reason, "StatusFeedbackSynced");
    }
}

#[tokio::test(start_paused = true)]
async fn whole_objects_are_fed_back_where_the_gate_is_on() {
    for (gate, status) in [(false, ConditionStatus::False), (true, ConditionStatus::True)] {
        let mut world = World::new().await;
        world.work_agents_with(|options| options.raw_feedback_json = gate);
        world.create_work("w", watched("Watch")).await;
        world.applied("w").await;
        set_status(&world.dr1.api("test.dev/v1", "Widget", "app"), "x", json!({"state": "s", "detail": {"a": [1, 2]}}))
            .await;
        let work = world
            .work_where("w", "the state is fed back", |work| work.manifest_status(0).unwrap().value("state").is_some())
            .await;
        let manifest = work.manifest_status(0).unwrap();
        assert_eq!(manifest.value("whole").cloned(), gate.then(|| FieldValue::of_json(r#"{"a":[1,2]}"#.into())));
        assert_eq!(find(&manifest.conditions, STATUS_FEEDBACK_SYNCED).unwrap().status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_seen_at_the_next_poll_and_repaired_at_the_resync() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", watched("Watch")).await;
    world.applied("w").await;
    let widgets = world.dr1.api("test.dev/v1", "Widget", "app");
    set_status(&widgets, "x", json!({"state": "Primary"})).await;
    world
        .work_where("w", "the state is fed back", |work| work.manifest_status(0).unwrap().value("state").is_some())
        .await;
    widgets.delete("x", &DeleteParams::default()).await.unwrap();
    let work = world.work_where("w", "absence is reported", |work| !work.is_applied()).await;
    let available = find(work.conditions(), AVAILABLE).unwrap();
    assert_eq!(
        (available.status.clone(), available.reason.as_str()),
        (ConditionStatus::False, "ResourcesNotAvailable")
    );
    let manifest = work.manifest_status(0).unwrap();
    assert!(!manifest.is_available());
    assert_eq!(manifest.value("state"), Some(&FieldValue::of_string("Primary")), "values outlive their object");
    exists(&widgets, "x").await;
    world.applied("w").await;
}

#[tokio::test(start_paused = true)]
async fn strategies_differ_in_what_they_write() {
    let mut world = World::new().await;
    world.work_agents();
    let widgets = world.dr1.api("test.dev/v1", "Widget", "app");
    let looked_at = serde_json::from_value(widget("read", json!({"theirs": 1}))).unwrap();
    widgets.create(&PostParams::default(), &looked_at).await.unwrap();
    let spec = |value: i32| {
        let all = ["update", "once", "apply", "read"].map(|name| widget(name, json!({"ours": value})));
        let mut spec = manifests(&all);
        let config = |name: &str, strategy: &str| {
            json!({"resourceIdentifier": {"group": "test.dev", "resource": "widgets", "namespace": "app", "name": name},
                "updateStrategy": {"type": strategy}})
        };
        spec["manifestConfigs"] =
            json!([config("once", "CreateOnly"), config("apply", "ServerSideApply"), config("read", "ReadOnly")]);
        spec
    };
    world.create_work("w", spec(1)).await;
    world.applied("w").await;
    for name in ["update", "once", "apply"] {
        let theirs = Patch::Apply(json!({"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": name,
            "labels": {"theirs": "yes"}}, "spec": {"theirs": 1}}));
        widgets.patch(name, &PatchParams::apply("somebody"), &theirs).await.unwrap();
    }
    merge(&world.works("dr1"), "w", json!({"spec": spec(2)})).await;
    world.applied("w").await;
    let found = async |name: &str| widgets.get(name).await.unwrap();
    assert_eq!(found("update").await.data["spec"], json!({"ours": 2}), "replaced as a whole");
    assert_eq!(found("update").await.metadata.labels.unwrap()["theirs"], "yes", "metadata is merged");
    assert_eq!(found("once").await.data["spec"], json!({"ours": 1, "theirs": 1}));
    assert_eq!(found("apply").await.data["spec"], json!({"ours": 2, "theirs": 1}));
    assert_eq!(found("read").await.data["spec"], json!({"theirs": 1}));
    assert_eq!(found("read").await.metadata.owner_references, None);
    world.works("dr1").delete("w", &DeleteParams::default()).await.unwrap();
    gone(&widgets, "update").await;
    gone(&widgets, "apply").await;
    gone(&widgets, "once").await;
    assert!(widgets.get_opt("read").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_managers_is_reported_and_not_forced() {
    let mut world = World::new().await;
    let widgets = world.dr1.api("test.dev/v1", "Widget", "app");
    let theirs = Patch::Apply(widget("x", json!({"a": "theirs"})));
    widgets.patch("x", &PatchParams::apply("somebody"), &theirs).await.unwrap();
    world.work_agents();
    let mut spec = manifests(&[widget("x", json!({"a": "ours"})), config_map("c", "1")]);
    spec["manifestConfigs"] = json!([{"updateStrategy": {"type": "ServerSideApply"},
        "resourceIdentifier": {"group": "test.dev", "resource": "widgets", "namespace": "app", "name": "*"}}]);
    world.create_work("w", spec).await;
    let work =
        world.work_where("w", "the conflict is reported", |work| find(work.conditions(), APPLIED).is_some()).await;
    assert_eq!(find(work.conditions(), APPLIED).unwrap().reason, "AppliedManifestWorkFailed");
    let failed = find(&work.manifest_status(0).unwrap().conditions, APPLIED).unwrap();
    assert_eq!((failed.reason.as_str(), failed.status.clone()), ("AppliedManifestFailed", ConditionStatus::False));
    assert!(failed.message.contains("somebody"), "{}", failed.message);
    assert!(find(&work.manifest_status(1).unwrap().conditions, APPLIED).unwrap().is_true());
    assert_eq!(widgets.get("x").await.unwrap().data["spec"]["a"], "theirs");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kind_is_said_and_applied_when_its_definition_comes() {
    let mut world = World::new().await;
    world.work_agents();
    let gadget = json!({"apiVersion": "later.dev/v1", "kind": "Gadget", "metadata": {"name": "g", "namespace": "app"}});
    world.create_work("w", manifests(&[gadget])).await;
    let work = world.work_where("w", "a failure is reported", |work| find(work.conditions(), APPLIED).is_some()).await;
    let message = find(&work.manifest_status(0).unwrap().conditions, APPLIED).unwrap().message.clone();
    assert!(message.contains(r#"the server doesn't have a resource type "Gadget""#), "{message}");
    assert_eq!(find(&work.manifest_status(0).unwrap().conditions, AVAILABLE).unwrap().reason, "IncompleteResourceMeta");
    seconds(20).await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.later.dev"},
        "spec": {"group": "later.dev", "scope": "Namespaced",
            "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}
    });
    let definitions = world.dr1.api("apiextensions.k8s.io/v1", "CustomResourceDefinition", "");
    definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    let defined = Instant::now();
    world.applied("w").await;
    assert!(defined.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_dead_cluster_keeps_its_status_and_catches_up_when_it_is_back() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", manifests(&[config_map("c", "1")])).await;
    world.create_work("doomed", manifests(&[config_map("d", "1")])).await;
    world.applied("w").await;
    world.applied("doomed").await;
    let before = world.works("dr1").get("w").await.unwrap().status;
    world.dr1.kill();
    merge(&world.works("dr1"), "w", json!({"spec": manifests(&[config_map("c", "2")])})).await;
    world.works("dr1").delete("doomed", &DeleteParams::default()).await.unwrap();
    seconds(3600).await;
    assert_eq!(world.works("dr1").get("w").await.unwrap().status, before, "nothing tells that the cluster is dead");
    assert!(world.works("dr1").get("doomed").await.unwrap().metadata.deletion_timestamp.is_some());
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    assert_eq!(maps.get("c").await.unwrap().data["data"]["v"], "1");

    world.dr1.revive();
    let back = Instant::now();
    world.applied("w").await;
    assert_eq!(maps.get("c").await.unwrap().data["data"]["v"], "2");
    gone(&maps, "d").await;
    until("the work is gone", async || world.works("dr1").get_opt("doomed").await.unwrap().is_none().then_some(()))
        .await;
    assert!(back.elapsed() < Duration::from_secs(5), "took {:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_the_hub_does_not_know_is_evicted_after_the_grace_period_unless_it_comes_back() {
    let mut world = World::new().await;
    world.work_agents();
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    let lose = async |name: &str| {
        // As after a hub restore: the work is gone without its agent having been told.
        let api = world.works("dr1");
        api.delete(name, &DeleteParams::default()).await.unwrap();
        merge(&api, name, json!({"metadata": {"finalizers": null}})).await;
    };
    world.create_work("w", manifests(&[config_map("c", "1")])).await;
    world.applied("w").await;
    world.dr1.kill();
    lose("w").await;
    world.dr1.revive();
    seconds(3000).await;
    let uid = maps.get("c").await.unwrap().metadata.uid;
    world.create_work("w", manifests(&[config_map("c", "1")])).await;
    world.applied("w").await;
    seconds(3000).await;
    assert_eq!(maps.get("c").await.unwrap().metadata.uid, uid, "the same object, adopted");

    world.dr1.kill();
    lose("w").await;
    world.dr1.revive();
    seconds(3500).await;
    assert!(maps.get_opt("c").await.unwrap().is_some());
    seconds(200).await;
    assert!(maps.get_opt("c").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn objects_that_lose_their_owner_are_made_again() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", manifests(&[config_map("c", "1")])).await;
    world.applied("w").await;
    let maps = world.dr1.api("v1", "ConfigMap", "app");
    let uid = maps.get("c").await.unwrap().metadata.uid;
    let records = world.dr1.global::<AppliedManifestWork>();
    let record = records.list(&ListParams::default()).await.unwrap().items.remove(0).metadata.name.unwrap();
    merge(&records, &record, json!({"metadata": {"finalizers": null}})).await;
    records.delete(&record, &DeleteParams::default()).await.unwrap();
    until("the object is another one, owned", async || {
        let object = maps.get_opt("c").await.unwrap()?;
        (object.metadata.uid != uid && object.metadata.owner_references.is_some()).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_was_down_is_taken_up_again() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", manifests(&[config_map("c", "1")])).await;
    world.applied("w").await;
    world.hub.kill();
    seconds(100).await;
    merge(&world.works("dr1"), "w", json!({"spec": manifests(&[config_map("c", "2")])})).await;
    world.hub.revive();
    let back = Instant::now();
    world.applied("w").await;
    assert!(back.elapsed() < Duration::from_secs(3), "took {:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_happens() {
    let mut world = World::new().await;
    world.work_agents();
    world.create_work("w", watched("Watch")).await;
    world.applied("w").await;
    seconds(30).await;
    let (hub, spoke) = (world.hub.revision(), world.dr1.revision());
    seconds(7200).await;
    assert_eq!((world.hub.revision(), world.dr1.revision()), (hub, spoke));
}
