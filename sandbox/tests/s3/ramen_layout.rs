//! Buckets that Ramen wrote.

use kaedama_sandbox::s3::S3Server;
use kaedama_shared::s3::capture::{CaptureError, Source, StoreReading, look_again, read_newest_capture, write_capture};
use kaedama_shared::s3::{ObjectRef, S3ErrorKind, StoreSet, codec};
use kaedama_shared::seen::Seen;
use serde_json::{Value, json};

use crate::world::*;

/// As Ramen leaves them: no kind, no apiVersion, null times and null lists.
fn ramens(mut object: Value) -> Vec<u8> {
    let members = object.as_object_mut().unwrap();
    members.remove("kind");
    members.remove("apiVersion");
    object["metadata"]["creationTimestamp"] = Value::Null;
    object["metadata"]["finalizers"] = Value::Null;
    object["notAField"] = json!({"a": 1});
    codec::encode(&serde_json::to_string(&object).unwrap())
}

fn put(server: &S3Server, key: &str, object: Value) {
    server.insert(BUCKET, &format!("shop/shop-drpc/{key}"), ramens(object));
}

fn fill(server: &S3Server, volumes: usize, updated: &str, state: &str) {
    for number in 0..volumes {
        let (volume, claim) = (format!("pv-{number}"), format!("data-{number}"));
        put(server, &format!("v1.PersistentVolume/{volume}"), pv(&volume, &claim));
        put(server, &format!("v1.PersistentVolumeClaim/shop/{claim}"), pvc(&claim, &volume));
    }
    put(server, "v1alpha1.VolumeReplicationGroup/a", vrg(updated, state));
    server.insert(BUCKET, "shop/shop-drpc/kube-objects/0/velero/backups/b/x.tar.gz", "not ours to read");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_ramen_is_restored_from() {
    let world = World::new();
    fill(&world.dr1, 3, "2041-05-06T07:00:00Z", "primary");
    // A claim under the key of older versions, of a type we do not read, and of another application.
    put(&world.dr1, "v1.PersistentVolume/pv-old", pv("pv-old", "data-old"));
    put(&world.dr1, "v1.PersistentVolumeClaim/data-old", pvc("data-old", "pv-old"));
    put(&world.dr1, "v1alpha1.SomethingElse/x", json!({"metadata": {}}));
    world.dr1.insert(BUCKET, "shop/shop-drpc-2/v1.PersistentVolume/pv-x", "x");

    let reading = read_newest_capture(&world.stores(), &app()).await;
    let Seen::Present(set) = reading.seen() else { panic!("{:?}", reading.seen()) };
    assert_eq!(set.source, Source::RamenLayout { updated: Some(at("2041-05-06T07:00:00Z")) });
    assert_eq!((set.profile.as_str(), set.gaps.as_slice()), ("dr1", [].as_slice()));
    let names = |names: Vec<Option<String>>| names.into_iter().flatten().collect::<Vec<_>>();
    let volumes = set.persistent_volumes().unwrap();
    assert_eq!(names(volumes.into_iter().map(|pv| pv.metadata.name).collect()), ["pv-0", "pv-1", "pv-2", "pv-old"]);
    let claims = set.persistent_volume_claims().unwrap();
    assert!(claims.iter().all(|claim| claim.metadata.creation_timestamp.is_none()));
    assert_eq!(
        names(claims.into_iter().map(|pvc| pvc.metadata.name).collect()),
        ["data-0", "data-1", "data-2", "data-old"]
    );
    assert!(set.objects.contains_key(&ObjectRef::pvc("shop", "data-old")));
    assert!(matches!(reading.stores[1].result, StoreReading::Empty));
}

#[tokio::test(start_paused = true)]
async fn of_two_buckets_the_latest_primary_is_taken_and_complete_before_incomplete() {
    let world = World::new();
    fill(&world.dr1, 1, "2041-05-06T07:00:00Z", "primary");
    fill(&world.dr2, 2, "2041-05-06T07:05:00Z", "primary");
    let newest =
        |reading: kaedama_shared::s3::capture::Reading| reading.newest.map(|set| (set.profile, set.gaps.len()));
    assert_eq!(newest(read_newest_capture(&world.stores(), &app()).await), Some(("dr2".into(), 0)));
    put(&world.dr2, "v1alpha1.VolumeReplicationGroup/a", vrg("2041-05-06T07:05:00Z", "secondary"));
    assert_eq!(newest(read_newest_capture(&world.stores(), &app()).await), Some(("dr1".into(), 0)));

    put(&world.dr2, "v1alpha1.VolumeReplicationGroup/a", vrg("2041-05-06T07:05:00Z", "primary"));
    world.dr2.remove(BUCKET, "shop/shop-drpc/v1.PersistentVolumeClaim/shop/data-1");
    assert_eq!(newest(read_newest_capture(&world.stores(), &app()).await), Some(("dr1".into(), 0)));
    // If nothing is complete, the newest is given with its gaps named.
    world.dr1.remove(BUCKET, "shop/shop-drpc/v1.PersistentVolume/pv-0");
    let reading = read_newest_capture(&world.stores(), &app()).await;
    let set = reading.newest.unwrap();
    assert_eq!(set.gaps, ["PersistentVolume pv-1 without its claim shop/data-1"]);
    assert_eq!(set.profile, "dr2");
}

#[tokio::test(start_paused = true)]
async fn two_volumes_of_one_claim_and_corrupt_objects_make_a_store_unusable() {
    let world = World::new();
    fill(&world.dr1, 1, "2041-05-06T07:00:00Z", "primary");
    put(&world.dr1, "v1.PersistentVolume/pv-9", pv("pv-9", "data-0"));
    fill(&world.dr2, 2, "2041-05-06T06:00:00Z", "primary");
    let reading = read_newest_capture(&world.stores(), &app()).await;
    let StoreReading::Unusable(error) = &reading.stores[0].result else { panic!("{:?}", reading.stores[0]) };
    assert_eq!(error.kind, S3ErrorKind::Conflict);
    assert!(error.detail.contains("pv-0 and pv-9 both claim shop/data-0"), "{error}");
    assert_eq!(reading.newest.as_ref().unwrap().profile, "dr2");

    let truncated = world.dr2.object(BUCKET, "shop/shop-drpc/v1.PersistentVolume/pv-1").unwrap();
    for body in [&truncated[..truncated.len() - 10], b""] {
        world.dr2.insert(BUCKET, "shop/shop-drpc/v1.PersistentVolume/pv-1", body);
        let reading = read_newest_capture(&world.stores(), &app()).await;
        let StoreReading::Unusable(error) = &reading.stores[1].result else { panic!("{:?}", reading.stores[1]) };
        assert_eq!((error.kind, error.key.as_str()), (S3ErrorKind::Corrupt, "shop/shop-drpc/v1.PersistentVolume/pv-1"));
        assert!(reading.seen().unknown().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn what_ramen_wrote_after_our_capture_set_is_newer() {
    let world = World::new();
    written(write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    // The operators were changed to Ramen's, and a volume was added.
    fill(&world.dr2, 2, "2041-05-06T09:00:00Z", "primary");
    let reading = read_newest_capture(&world.stores(), &app()).await;
    let set = reading.newest.unwrap();
    assert_eq!(set.source, Source::RamenLayout { updated: Some(at("2041-05-06T09:00:00Z")) });
    assert_eq!(set.persistent_volumes().unwrap().len(), 2);
    // A secondary's copy, or an older one, changes nothing.
    for (updated, state) in [("2041-05-06T09:00:00Z", "secondary"), ("2041-05-06T06:00:00Z", "primary")] {
        fill(&world.dr2, 2, updated, state);
        let set = read_newest_capture(&world.stores(), &app()).await.newest.unwrap();
        assert!(matches!(set.source, Source::Capture { epoch: 1, .. }), "{updated} {state}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_write_over_a_bucket_of_ramen_keeps_what_it_does_not_know() {
    let world = World::new();
    fill(&world.dr1, 2, "2041-05-06T07:00:00Z", "primary");
    written(write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:30:00Z", 2)).await);
    let keys = world.dr1.keys(BUCKET);
    assert!(keys.contains(&"shop/shop-drpc/kube-objects/0/velero/backups/b/x.tar.gz".to_owned()), "{keys:?}");
    let reading = read_newest_capture(&world.stores(), &app()).await;
    assert!(matches!(reading.newest.unwrap().source, Source::Capture { epoch: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_second_look_at_a_store_that_ramen_took_over_overwrites_nothing() {
    let world = World::new();
    let stores = world.stores();
    write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await;
    fill(&world.dr1, 2, "2041-05-06T08:00:00Z", "primary");
    for _ in 0..2 {
        let answers = look_again(&stores, &app(), &writer(1, "dr1")).await;
        let Err(CaptureError::Store(why)) = &answers[0].result else { panic!("{:?}", answers[0].result) };
        assert!(why.kind == S3ErrorKind::Conflict && why.to_string().contains("2041-05-06T08:00:00Z"), "{why}");
        assert!(matches!(answers[1].result, Ok(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn two_volumes_of_one_claim_make_a_store_unusable_beside_an_older_set_of_ours_too() {
    let server = server();
    let stores = StoreSet::new([store(&server)]);
    write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await;
    fill(&server, 1, "2041-05-06T08:00:00Z", "primary");
    put(&server, "v1.PersistentVolume/pv-twin", pv("pv-twin", "data-0"));
    let reading = read_newest_capture(&stores, &app()).await;
    assert!(matches!(&reading.stores[0].result, StoreReading::Unusable(_)), "{:?}", reading.stores[0].result);
    assert!(reading.newest.is_none());
}
