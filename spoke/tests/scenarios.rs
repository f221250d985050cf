//! The operator on two clusters with two stores: what users see, and what it costs.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::csiaddons::VolumeReplication;
use kaedama_shared::api::{DRClusterConfig, VolumeReplicationGroup};
use kube::api::{Api, Patch};
use serde_json::json;
use support::{World, eventually, said};

const CLAIMS: [&str; 3] = ["a", "b", "c"];

async fn deployed() -> World {
    let world = World::start().await;
    world.dr1.claims(&CLAIMS).await;
    world.dr1.order("primary", None, 1, "dr1").await;
    world.dr1.settles_as("Primary").await;
    world.dr1.is_stored().await;
    world
}

async fn replications(cluster: &support::Cluster) -> usize {
    cluster.api::<VolumeReplication>().list(&Default::default()).await.unwrap().items.len()
}

async fn claims(cluster: &support::Cluster) -> usize {
    cluster.api::<PersistentVolumeClaim>().list(&Default::default()).await.unwrap().items.len()
}

async fn at_rest(world: &World) {
    // Whatever follows from the last write has followed; then nobody asks for anything.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    world.reset();
    tokio::time::sleep(Duration::from_millis(600)).await;
    for cluster in [&world.dr1, &world.dr2] {
        let (reads, writes, all) = cluster.requests();
        assert_eq!((reads, writes), (0, 0), "{} at rest: {all:?}", cluster.name);
    }
    assert_eq!(world.s3_requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_protected_and_then_left_in_peace() {
    let world = deployed().await;
    let group = world.dr1.group().await;
    assert_eq!(replications(&world.dr1).await, 3);
    let status = group.status.clone().unwrap();
    assert_eq!(status.protected_pvcs.len(), 3);
    assert!(status.last_group_sync_time.is_some());
    let reported = world.dr1.reported().await;
    assert_eq!((reported.metadata.uid, reported.status.unwrap().state), (group.metadata.uid, status.state));
    for store in [&world.s1, &world.s2] {
        let keys = store.keys("bucket");
        for name in CLAIMS {
            assert!(keys.contains(&format!("shop/web/v1.PersistentVolume/pv-{name}")), "{keys:?}");
            assert!(keys.contains(&format!("shop/web/v1.PersistentVolumeClaim/shop/{name}")), "{keys:?}");
        }
        assert!(keys.contains(&"shop/web/v1alpha1.VolumeReplicationGroup/a".to_owned()), "{keys:?}");
    }
    at_rest(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_given_to_who_asks_anew_and_ends_with_its_group() {
    let world = deployed().await;
    world.dr1.reports().delete("shop.web", &Default::default()).await.unwrap();
    world.dr1.ask().await;
    assert_eq!(world.dr1.reported().await.metadata.uid, world.dr1.group().await.metadata.uid);
    // Ordered anew in its annotations alone: the hub waits for an answer to exactly that.
    let annotations = json!({"metadata": {"annotations": {"example.com/order": "2"}}});
    let groups = world.dr1.api::<VolumeReplicationGroup>();
    groups.patch("web", &Default::default(), &Patch::Merge(annotations)).await.unwrap();
    eventually("the order is answered", || async {
        world.dr1.reported().await.metadata.annotations.unwrap().contains_key("example.com/order")
    })
    .await;
    groups.delete("web", &Default::default()).await.unwrap();
    eventually("nothing is said of a group that is gone", || async {
        world.dr1.reports().get("shop.web").await.unwrap().status.unwrap_or_default().report.is_empty()
    })
    .await;
    assert!(groups.get_opt("web").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_and_the_return_of_the_old_primary() {
    let world = deployed().await;
    world.reset();
    let begun = tokio::time::Instant::now();
    world.dr2.order("primary", Some("Failover"), 2, "dr2").await;
    let group = world.dr2.settles_as("Primary").await;
    let took = begun.elapsed();
    world.dr2.is_stored().await;
    assert!(said(&group, "ClusterDataReady").unwrap().is_true());
    assert_eq!((claims(&world.dr2).await, replications(&world.dr2).await), (3, 3));
    let (reads, writes, all) = world.dr2.requests();
    eprintln!(
        "failover took {took:?}; target: {reads} reads, {writes} writes, {} S3 requests: {all:?}",
        world.s3_requests()
    );
    assert!(world.s3_requests() <= 8, "{:?} {:?}", world.s1.requests(), world.s2.requests());
    assert!(reads <= 10, "{reads} reads: {all:?}");
    assert!(writes <= 3 * 10 + 10, "{writes} writes: {all:?}");

    world.dr1.order("secondary", Some("Failover"), 2, "dr2").await;
    world.dr1.settles_as("Secondary").await;
    assert_eq!(replications(&world.dr1).await, 0);
    let left = world.dr1.api::<PersistentVolumeClaim>().list(&Default::default()).await.unwrap().items;
    assert_eq!(left.len(), 3, "what the application did not delete stays");
    for claim in left {
        assert!(claim.metadata.finalizers.unwrap_or_default().iter().all(|finalizer| !finalizer.contains("ramendr")));
    }
    for name in CLAIMS {
        let volume = world.dr1.volumes().get(&format!("pv-{name}")).await.unwrap();
        assert_eq!(volume.spec.unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
    }
    let (old_reads, writes, all) = world.dr1.requests();
    eprintln!("source: {old_reads} reads, {writes} writes: {all:?}");
    assert!(reads + old_reads <= 20, "{} reads: {all:?}", reads + old_reads);
    assert!(writes <= 3 * 10 + 5, "{writes} writes: {all:?}");
    at_rest(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relocation_waits_for_the_application_and_loses_nothing() {
    let world = deployed().await;
    world.dr1.pod("a").await;
    world.dr1.order("secondary", Some("Relocate"), 2, "dr2").await;
    let waits = |group: &VolumeReplicationGroup| {
        said(group, "DataReady").is_some_and(|c| c.reason == "Progressing" && c.message.contains("application"))
    };
    world.dr1.until("waiting for the application", waits).await;
    for name in CLAIMS {
        world.dr1.api::<PersistentVolumeClaim>().delete(name, &Default::default()).await.unwrap();
    }
    let used =
        |group: &VolumeReplicationGroup| said(group, "DataReady").is_some_and(|c| c.message.contains("pod shop/pod-a"));
    world.dr1.until("waiting for the pod", used).await;
    assert!(replications(&world.dr1).await >= 1, "nothing is released while it is in use");
    world.dr1.api::<Pod>().delete("pod-a", &Default::default()).await.unwrap();
    let group = world.dr1.settles_as("Secondary").await;
    assert!(said(&group, "DataProtected").unwrap().is_true());
    assert_eq!((claims(&world.dr1).await, replications(&world.dr1).await), (0, 0));
    world.dr2.order("primary", Some("Relocate"), 2, "dr2").await;
    world.dr2.settles_as("Primary").await;
    assert_eq!((claims(&world.dr2).await, replications(&world.dr2).await), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failback_restores_on_the_first_cluster_again() {
    let world = deployed().await;
    world.dr2.order("primary", Some("Failover"), 2, "dr2").await;
    world.dr2.settles_as("Primary").await;
    world.dr2.is_stored().await;
    for name in CLAIMS {
        world.dr1.api::<PersistentVolumeClaim>().delete(name, &Default::default()).await.unwrap();
    }
    world.dr1.order("secondary", Some("Failover"), 2, "dr2").await;
    world.dr1.settles_as("Secondary").await;
    world.dr2.order("secondary", Some("Relocate"), 3, "dr1").await;
    world.dr2.stops().await;
    world.dr1.order("primary", Some("Relocate"), 3, "dr1").await;
    world.dr1.settles_as("Primary").await;
    world.dr1.is_stored().await;
    let moved = || async { (claims(&world.dr1).await, claims(&world.dr2).await) == (3, 0) };
    eventually("the claims are on dr1 and gone from dr2", moved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_store_is_named_and_filled_when_it_returns() {
    let world = World::start().await;
    world.s2.set_down(true);
    world.dr1.claims(&CLAIMS).await;
    world.dr1.order("primary", None, 1, "dr1").await;
    world.dr1.settles_as("Primary").await;
    let names_it = |group: &VolumeReplicationGroup| {
        said(group, "ClusterDataProtected").is_some_and(|c| c.reason == "UploadError" && c.message.contains("s2"))
    };
    world.dr1.until("the dead store named", names_it).await;
    let stored =
        || async { world.s1.keys("bucket").iter().any(|key| key.ends_with("v1alpha1.VolumeReplicationGroup/a")) };
    eventually("the good store is complete", stored).await;
    world.s2.set_down(false);
    world.dr1.is_stored().await;
    assert!(world.s2.keys("bucket").iter().any(|key| key.ends_with("v1alpha1.VolumeReplicationGroup/a")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_for_long_is_filled_as_soon_as_it_returns() {
    let world = World::start().await;
    world.s2.set_down(true);
    world.dr1.claims(&CLAIMS).await;
    world.dr1.order("primary", None, 1, "dr1").await;
    world.dr1.settles_as("Primary").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.s2.set_down(false);
    // Virtual time. By its own growing delays the group would try again up to a minute later.
    let back = tokio::time::Instant::now();
    world.dr1.is_stored().await;
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_goes_on_without_the_store_that_died_with_its_cluster() {
    let world = deployed().await;
    world.s1.set_down(true);
    world.dr2.order("primary", Some("Failover"), 2, "dr2").await;
    let group = world.dr2.settles_as("Primary").await;
    assert!(said(&group, "ClusterDataReady").unwrap().message.contains("s1"));
    assert_eq!(replications(&world.dr2).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_store_nothing_is_promoted() {
    let world = deployed().await;
    world.s1.set_down(true);
    world.s2.set_down(true);
    world.dr2.order("primary", Some("Failover"), 2, "dr2").await;
    let fails = |group: &VolumeReplicationGroup| {
        said(group, "ClusterDataReady").is_some_and(|c| c.is_false() && c.reason == "Error")
    };
    let group = world.dr2.until("an error", fails).await;
    assert_eq!(group.status.unwrap().state.as_str(), "Unknown");
    assert_eq!((claims(&world.dr2).await, replications(&world.dr2).await), (0, 0));
    world.s2.set_down(false);
    world.dr2.settles_as("Primary").await;
    assert_eq!(replications(&world.dr2).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_does_not_touch_what_the_new_one_stored() {
    let world = deployed().await;
    world.dr2.order("primary", Some("Failover"), 2, "dr2").await;
    world.dr2.settles_as("Primary").await;
    world.dr2.is_stored().await;
    // Nobody has told the old primary; its application is pruned.
    let before = world.s1.keys("bucket");
    world.dr1.api::<PersistentVolumeClaim>().delete("a", &Default::default()).await.unwrap();
    let refused = |group: &VolumeReplicationGroup| {
        said(group, "ClusterDataProtected").is_some_and(|c| c.is_false() && c.message.contains("epoch 2"))
    };
    world.dr1.until("refused", refused).await;
    assert_eq!(world.s1.keys("bucket"), before);
    assert_eq!(claims(&world.dr1).await, 3, "the claim is held until the hub decides");
    // Deleting the whole group there leaves the stores alone as well.
    world.dr1.order("secondary", Some("Failover"), 2, "dr2").await;
    world.dr1.settles_as("Secondary").await;
    world.dr1.api::<VolumeReplicationGroup>().delete("web", &Default::default()).await.unwrap();
    eventually("the group is gone", || async {
        world.dr1.api::<VolumeReplicationGroup>().get_opt("web").await.unwrap().is_none()
    })
    .await;
    assert_eq!(world.s1.keys("bucket"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_primary_clears_the_stores_and_releases_everything() {
    let world = deployed().await;
    world.dr1.api::<VolumeReplicationGroup>().delete("web", &Default::default()).await.unwrap();
    eventually("the group is gone", || async {
        world.dr1.api::<VolumeReplicationGroup>().get_opt("web").await.unwrap().is_none()
    })
    .await;
    assert_eq!(replications(&world.dr1).await, 0);
    assert_eq!((world.s1.keys("bucket"), world.s2.keys("bucket")), (vec![], vec![]));
    for claim in world.dr1.api::<PersistentVolumeClaim>().list(&Default::default()).await.unwrap().items {
        assert_eq!(claim.metadata.finalizers.unwrap_or_default().iter().filter(|f| f.contains("ramendr")).count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_written_does_not_outlive_a_deleted_group() {
    let world = deployed().await;
    // Each request takes long, so that the set with the new claim is on its way when the group is deleted.
    world.s1.set_delay(Duration::from_secs(2));
    world.reset();
    world.dr1.claims(&["d"]).await;
    eventually("a write under way", || async { world.s1.request_count() > 0 }).await;
    world.dr1.api::<VolumeReplicationGroup>().delete("web", &Default::default()).await.unwrap();
    eventually("the group is gone", || async {
        world.dr1.api::<VolumeReplicationGroup>().get_opt("web").await.unwrap().is_none()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.s1.keys("bucket"), world.s2.keys("bucket")), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_the_user_deletes_leaves_the_stores_and_goes() {
    let world = deployed().await;
    world.dr1.api::<PersistentVolumeClaim>().delete("a", &Default::default()).await.unwrap();
    eventually("the claim is gone", || async { claims(&world.dr1).await == 2 }).await;
    for store in [&world.s1, &world.s2] {
        let keys = store.keys("bucket");
        assert!(!keys.iter().any(|key| key.ends_with("/pv-a") || key.ends_with("/shop/a")), "{keys:?}");
        assert!(keys.iter().any(|key| key.ends_with("/pv-b")));
    }
    world
        .dr1
        .until("two claims", |group| group.status.as_ref().is_some_and(|status| status.protected_pvcs.len() == 2))
        .await;
    world.dr1.is_stored().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_a_synchronisation_are_one_report_one_status_and_no_upload() {
    let world = deployed().await;
    tokio::time::sleep(Duration::from_millis(1600)).await;
    world.reset();
    for name in CLAIMS {
        let patch = Patch::Merge(json!({"status": {"lastSyncTime": "2026-04-01T00:00:00Z"}}));
        world.dr1.api::<VolumeReplication>().patch_status(name, &Default::default(), &patch).await.unwrap();
    }
    let synced = |group: &VolumeReplicationGroup| {
        let status = group.status.as_ref();
        status
            .and_then(|status| status.last_group_sync_time.as_ref())
            .is_some_and(|time| time.0.to_string().starts_with("2026-04"))
    };
    world.dr1.until("the new time", synced).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (reads, writes, all) = world.dr1.requests();
    assert_eq!((reads, writes, world.s3_requests()), (0, 2, 0), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cluster_offers_is_published_and_follows_the_classes() {
    let world = World::start().await;
    let configs: Api<DRClusterConfig> = Api::all(world.dr1.client.clone());
    let config = json!({"apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRClusterConfig",
                        "metadata": {"name": "dr1"}, "spec": {"clusterID": "id"}});
    support::create(&configs, serde_json::from_value(config).unwrap()).await;
    let lists = |names: &'static [&'static str]| {
        let configs = configs.clone();
        move || {
            let configs = configs.clone();
            async move {
                let status = configs.get("dr1").await.unwrap().status.unwrap_or_default();
                let processed = status.conditions.iter().any(|c| c.type_ == "Processed" && c.is_true());
                processed && status.storage_classes == names
            }
        }
    };
    eventually("processed, nothing offered", lists(&[])).await;
    let classes: Api<StorageClass> = Api::all(world.dr1.client.clone());
    let label = |value: serde_json::Value| {
        Patch::Merge(json!({"metadata": {"labels": {"ramendr.openshift.io/storageid": value}}}))
    };
    classes.patch("rbd", &Default::default(), &label(json!("st"))).await.unwrap();
    eventually("the labelled class", lists(&["rbd"])).await;
    classes.patch("rbd", &Default::default(), &label(json!(null))).await.unwrap();
    eventually("the label is gone", lists(&[])).await;
    configs.delete("dr1", &Default::default()).await.unwrap();
    eventually("let go", || async { configs.get_opt("dr1").await.unwrap().is_none() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_storage_moves_without_replication_objects() {
    let world = World::start().await;
    world.dr1.claims(&CLAIMS).await;
    let spec = json!({"pvcSelector": {"matchLabels": {"app": "web"}}, "replicationState": "primary", "s3Profiles": ["s1", "s2"], "sync": {}});
    let mut group = json!({"apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "VolumeReplicationGroup",
                           "metadata": {"name": "web"}, "spec": spec});
    support::create(&world.dr1.api::<VolumeReplicationGroup>(), serde_json::from_value(group.clone()).unwrap()).await;
    world.dr1.settles_as("Primary").await;
    // The operator may see the group before the last of its claims, and is content with fewer until then.
    let all = |group: &VolumeReplicationGroup| {
        group.status.as_ref().is_some_and(|status| status.protected_pvcs.len() == CLAIMS.len())
    };
    world.dr1.until("all claims protected", all).await;
    world.dr1.is_stored().await;
    world.dr1.lets_go().await;
    let volume = world.dr1.volumes().get("pv-a").await.unwrap();
    assert_eq!(
        volume.spec.unwrap().persistent_volume_reclaim_policy.as_deref(),
        Some("Retain"),
        "the image is the peer's too"
    );
    group["spec"]["action"] = json!("Relocate");
    support::create(&world.dr2.api::<VolumeReplicationGroup>(), serde_json::from_value(group).unwrap()).await;
    world.dr2.settles_as("Primary").await;
    assert_eq!((claims(&world.dr2).await, replications(&world.dr2).await), (3, 0));
    // And back: the volumes of the first cluster are still there, released, and are taken again.
    world.dr2.lets_go().await;
    let patch = Patch::Merge(json!({"spec": {"replicationState": "primary", "action": "Relocate"}}));
    world.dr1.api::<VolumeReplicationGroup>().patch("web", &Default::default(), &patch).await.unwrap();
    world.dr1.settles_as("Primary").await;
    assert_eq!(claims(&world.dr1).await, 3);
}
