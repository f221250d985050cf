//! Writing and reading capture sets.

use std::time::Duration;

use kaedama_sandbox::s3::{S3Server, S3ServerOptions};
use kaedama_shared::s3::capture::{
    CaptureError, Source, StoreReading, look_again, raise_epoch, read_newest_capture, write_capture,
    write_capture_beside,
};
use kaedama_shared::s3::{ObjectRef, PerStore, S3ErrorKind, StoreSet};
use kaedama_shared::seen::Seen;
use serde_json::{Value, json};

use crate::world::*;

const MANIFEST: &str = "shop/shop-drpc/kaedama/v1/manifest";

fn source(reading: &kaedama_shared::s3::capture::Reading) -> (&str, u64, usize) {
    let Seen::Present(set) = reading.seen() else { panic!("{:?}", reading.seen()) };
    let Source::Capture { epoch, .. } = set.source else { panic!("{:?}", set.source) };
    (&set.profile, epoch, set.persistent_volumes().unwrap().len())
}

#[tokio::test(start_paused = true)]
async fn a_failover_of_three_volumes_takes_at_most_eight_requests_on_two_stores() {
    let world = World::new();
    let old = world.stores();
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3)).await);
    world.reset_requests();

    // The new primary reads, becomes the owner of what it read, and stores itself as the primary.
    let stores = world.stores();
    let reading = read_newest_capture(&stores, &app()).await;
    raise_epoch(&stores, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    let first = set(writer(2, "dr2"), "2041-05-06T07:10:00Z", 3);
    for store in written(write_capture(&stores, &app(), &first).await) {
        assert_eq!((store.manifest, store.objects), (false, 1));
    }
    assert!(world.requests() <= 8, "{:?} {:?}", world.dr1.requests(), world.dr2.requests());

    let Seen::Present(set) = reading.seen() else { panic!("{:?}", reading.seen()) };
    let volumes: Vec<Value> =
        set.persistent_volumes().unwrap().iter().map(|pv| serde_json::to_value(pv).unwrap()).collect();
    assert_eq!(volumes, [pv("pv-0", "data-0"), pv("pv-1", "data-1"), pv("pv-2", "data-2")]);
    assert_eq!(set.persistent_volume_claims().unwrap().len(), 3);
    assert_eq!(set.vrg::<Value>().unwrap(), Some(vrg("2041-05-06T07:00:00Z", "primary")));
    assert_eq!(set.gaps, [""; 0]);
    assert_eq!(reading.unread().count(), 0);

    // It is the new one's set now, and the old one learns that even if its VolumeReplicationGroup is all that changed.
    let now = read_newest_capture(&world.stores(), &app()).await;
    assert_eq!(source(&now), ("dr1", 2, 3));
    assert_eq!(now.newest.unwrap().vrg::<Value>().unwrap(), Some(vrg("2041-05-06T07:10:00Z", "primary")));
    let mut late = crate::world::set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3);
    late.insert(ObjectRef::Vrg, &vrg("2041-05-06T08:00:00Z", "primary")).unwrap();
    let results = write_capture(&old, &app(), &late).await;
    assert!(results.iter().all(|store| store.result.as_ref().is_err_and(CaptureError::is_superseded)));
    let stored = read_newest_capture(&world.stores(), &app()).await.newest.unwrap();
    assert_eq!(stored.vrg::<Value>().unwrap(), Some(vrg("2041-05-06T07:10:00Z", "primary")));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_for_what_was_read() {
    let world = World::new();
    let old = world.stores();
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    let new = world.stores();
    read_newest_capture(&new, &app()).await;
    // Another volume is protected, and called so, before the claim.
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 2)).await);
    for store in raise_epoch(&new, &app(), &writer(2, "dr2")).await {
        assert!(matches!(store.result, Err(CaptureError::Changed { .. })), "{:?}", store.result);
    }
    assert_eq!(source(&read_newest_capture(&new, &app()).await).2, 2);
    raise_epoch(&new, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_claim_alone_makes_an_old_set_no_newer_and_a_promotion_does() {
    let world = World::new();
    written(write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    world.dr1.set_down(true);
    let newer = set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 2);
    assert!(write_capture(&world.stores(), &app(), &newer).await[1].result.is_ok());
    world.dr1.set_down(false);
    // The claim reaches only the store that is behind, and its writer dies.
    world.dr2.set_down(true);
    let new = world.stores();
    read_newest_capture(&new, &app()).await;
    raise_epoch(&new, &app(), &writer(2, "dr2")).await.remove(0).result.unwrap();
    world.dr2.set_down(false);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr2", 1, 2));

    // A primary that went on from that store has decided otherwise.
    world.dr2.set_down(true);
    let promoted = set(writer(2, "dr2"), "2041-05-06T06:00:00Z", 1);
    let results = write_capture(&new, &app(), &promoted).await;
    assert!(results[0].result.as_ref().is_ok_and(|store| !store.manifest), "{:?}", results[0].result);
    world.dr2.set_down(false);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr1", 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_may_be_incomplete_is_written_again() {
    let server = server();
    let stores = || StoreSet::new([store(&server)]);
    let take_over = async |epoch, cluster| {
        let stores = stores();
        read_newest_capture(&stores, &app()).await;
        raise_epoch(&stores, &app(), &writer(epoch, cluster)).await.remove(0).result.unwrap();
        let set = set(writer(epoch, cluster), "2041-05-06T07:10:00Z", 1);
        written(write_capture(&stores, &app(), &set).await).remove(0).objects
    };
    // The writer dies between its manifest and the layout.
    server.set_delay(Duration::from_millis(10));
    let first = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1);
    let (before, app_id) = (stores(), app());
    let cut = tokio::time::timeout(Duration::from_millis(25), write_capture(&before, &app_id, &first)).await;
    assert!(cut.is_err());
    assert_eq!(server.keys(BUCKET), [MANIFEST]);
    server.set_delay(Duration::ZERO);
    assert_eq!(take_over(2, "dr2").await, 3);
    // Now it is complete, and known to be.
    assert_eq!(take_over(3, "dr1").await, 1);
    // Another product has been at work.
    let body = kaedama_shared::s3::codec::encode(&vrg("2041-05-06T06:00:00Z", "primary").to_string());
    server.insert(BUCKET, "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/a", body);
    server.remove(BUCKET, "shop/shop-drpc/v1.PersistentVolume/pv-0");
    assert_eq!(take_over(4, "dr2").await, 3);
    assert!(server.keys(BUCKET).contains(&"shop/shop-drpc/v1.PersistentVolume/pv-0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_manifest_does_not_let_an_older_writer_in() {
    let server = server();
    let stores = || StoreSet::new([store(&server)]);
    written(write_capture(&stores(), &app(), &set(writer(2, "dr2"), "2041-05-06T07:00:00Z", 1)).await);
    server.insert(BUCKET, MANIFEST, "");
    let late = set(writer(1, "dr1"), "2041-05-06T07:30:00Z", 1);
    assert!(write_capture(&stores(), &app(), &late).await.remove(0).result.unwrap_err().is_superseded());
    assert!(raise_epoch(&stores(), &app(), &writer(1, "dr1")).await.remove(0).result.unwrap_err().is_superseded());
    assert_eq!(server.object(BUCKET, MANIFEST).unwrap(), b"");
    // A newer one restores from Ramen's layout, and what is left there stays readable after its claim.
    for _ in 0..2 {
        let reading = read_newest_capture(&stores(), &app()).await;
        assert!(matches!(reading.newest.unwrap().source, Source::RamenLayout { .. }));
        raise_epoch(&stores(), &app(), &writer(3, "dr1")).await.remove(0).result.unwrap();
    }
    written(write_capture(&stores(), &app(), &set(writer(3, "dr1"), "2041-05-06T07:40:00Z", 1)).await);
    assert_eq!(source(&read_newest_capture(&stores(), &app()).await).1, 3);
}

#[tokio::test(start_paused = true)]
async fn ramens_layout_is_written_beside_the_capture_set() {
    let world = World::new();
    written(write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    let keys = [
        MANIFEST,
        "shop/shop-drpc/v1.PersistentVolume/pv-0",
        "shop/shop-drpc/v1.PersistentVolumeClaim/shop/data-0",
        "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/a",
    ];
    assert_eq!(
        (world.dr1.keys(BUCKET), world.dr2.keys(BUCKET)),
        (keys.map(String::from).into(), keys.map(String::from).into())
    );
    let body = world.dr1.object(BUCKET, keys[1]).unwrap();
    let text = String::from_utf8(kaedama_shared::s3::codec::unpack(&body).unwrap()).unwrap();
    assert!(text.ends_with("}\n") && text.contains(r#""note":"\u003ca\u003e \u0026 b""#), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), pv("pv-0", "data-0"));
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_written_again() {
    let world = World::new();
    let stores = world.stores();
    let first = written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3)).await);
    assert_eq!((first[0].objects, first[0].manifest), (7, true));
    world.reset_requests();
    let same = written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3)).await);
    assert_eq!((same[0].objects, same[0].manifest, same[0].sequence), (0, false, first[0].sequence));
    assert_eq!(world.requests(), 0);

    let mut changed = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3);
    changed.insert(ObjectRef::Pv("pv-1".into()), &json!({"metadata": {"name": "pv-1"}, "spec": {"x": 1.5}})).unwrap();
    let third = written(write_capture(&stores, &app(), &changed).await);
    assert_eq!((third[0].objects, third[0].manifest), (1, true));
    assert!(third[0].sequence > first[0].sequence);
    // Each store: the manifest, the volume, and the note that the layout is complete.
    assert_eq!(world.requests(), 6);

    world.reset_requests();
    changed.insert(ObjectRef::Vrg, &vrg("2041-05-06T07:20:00Z", "primary")).unwrap();
    let fourth = written(write_capture(&stores, &app(), &changed).await);
    assert_eq!((fourth[0].objects, fourth[0].manifest), (1, false));
    assert_eq!(world.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stale_writer_is_refused_and_touches_nothing() {
    let world = World::new();
    let old = world.stores();
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 2)).await);
    let new = world.stores();
    raise_epoch(&new, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    written(write_capture(&new, &app(), &set(writer(2, "dr2"), "2041-05-06T07:10:00Z", 2)).await);
    let before = |world: &World| -> Vec<Option<Vec<u8>>> {
        world.dr1.keys(BUCKET).iter().map(|key| world.dr1.object(BUCKET, key)).collect()
    };
    let kept = before(&world);

    // The old primary wakes up, with its memory and without.
    for stores in [old, world.stores()] {
        let late = set(writer(1, "dr1"), "2041-05-06T08:00:00Z", 3);
        for store in write_capture(&stores, &app(), &late).await {
            let error = store.result.unwrap_err();
            assert!(matches!(&error, CaptureError::StaleEpoch { stored, mine: 1, .. } if stored.epoch == 2), "{error}");
        }
    }
    assert_eq!(before(&world), kept);
    let reading = read_newest_capture(&world.stores(), &app()).await;
    assert_eq!(source(&reading).1, 2);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_superseded_after_its_last_look_is_not_acknowledged() {
    let world = World::new();
    let old = world.stores();
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    // Raised, and nothing written by the new primary yet.
    raise_epoch(&world.stores(), &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    let layout = world.dr1.object(BUCKET, "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/a");
    let results = write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:30:00Z", 2)).await;
    assert!(results.iter().all(|store| store.result.as_ref().is_err_and(CaptureError::is_superseded)));
    assert_eq!(world.dr1.object(BUCKET, "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/a"), layout);
    // The new primary goes on from there.
    written(write_capture(&world.stores(), &app(), &set(writer(2, "dr2"), "2041-05-06T07:40:00Z", 2)).await);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr1", 2, 2));
}

#[tokio::test(start_paused = true)]
async fn old_and_new_primary_in_flight_together_leave_the_new_ones_set() {
    for head_start in 0..12 {
        let world = World::new();
        let old = world.stores();
        written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
        world.dr1.set_delay(Duration::from_millis(10));
        world.dr2.set_delay(Duration::from_millis(7));
        let promote = async {
            tokio::time::sleep(Duration::from_millis(5 * head_start)).await;
            let stores = world.stores();
            raise_epoch(&stores, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
            let seen = read_newest_capture(&stores, &app()).await;
            written(write_capture(&stores, &app(), &set(writer(2, "dr2"), "2041-05-06T07:05:00Z", 2)).await);
            seen
        };
        let late = set(writer(1, "dr1"), "2041-05-06T07:04:00Z", 2);
        let (app, late) = (app(), &late);
        let (acknowledged, seen) = tokio::join!(write_capture(&old, &app, late), promote);
        // What the old primary was told is safe, the new one has seen.
        if acknowledged.iter().all(|store| store.result.is_ok()) {
            assert_eq!(source(&seen).2, 2, "head start {head_start}");
        }
        assert_eq!(source(&read_newest_capture(&world.stores(), &app).await).1, 2, "head start {head_start}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_store_that_knows_of_the_new_primary_stops_the_old_one_on_all() {
    let world = World::new();
    world.dr1.set_down(true);
    let raised = raise_epoch(&world.stores(), &app(), &writer(2, "dr2")).await;
    assert!(raised[0].result.is_err() && raised[1].result.is_ok());
    world.dr1.set_down(false);
    let results = write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await;
    assert!(results.iter().all(|store| store.result.as_ref().is_err_and(CaptureError::is_superseded)));
    assert!(!world.dr1.keys(BUCKET).iter().any(|key| key.contains("PersistentVolume")), "{:?}", world.dr1.keys(BUCKET));
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_two_stores_is_taken_whichever_it_is() {
    let world = World::new();
    let stores = world.stores();
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    let turns = [(&world.dr1, &world.dr2, "dr2", 2, "07:01"), (&world.dr2, &world.dr1, "dr1", 3, "07:02")];
    for (down, up, profile, volumes, time) in turns {
        down.set_down(true);
        up.set_down(false);
        let newer = set(writer(1, "dr1"), &format!("2041-05-06T{time}:00Z"), volumes);
        // A process that knows nothing of what is in the store that is down.
        let results = write_capture(&world.stores(), &app(), &newer).await;
        assert_eq!(results.iter().filter(|store| store.result.is_ok()).count(), 1);
        down.set_down(false);
        let reading = read_newest_capture(&world.stores(), &app()).await;
        assert_eq!(source(&reading), (profile, 1, volumes));
    }
    // A later epoch beats a later sequence.
    world.dr2.set_down(true);
    raise_epoch(&world.stores(), &app(), &writer(2, "dr2")).await.remove(0).result.unwrap();
    let results = write_capture(&world.stores(), &app(), &set(writer(2, "dr2"), "2041-05-06T06:00:00Z", 3)).await;
    assert!(results[0].result.is_ok());
    world.dr2.set_down(false);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr1", 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_unknown_never_absent() {
    let world = World::new();
    let empty = read_newest_capture(&world.stores(), &app()).await;
    assert_eq!(empty.seen().map(drop), Seen::Absent);

    world.dr1.set_down(true);
    let reading = read_newest_capture(&world.stores(), &app()).await;
    assert!(matches!(reading.stores[0].result, StoreReading::Unknown(_)));
    assert!(matches!(reading.stores[1].result, StoreReading::Empty));
    assert!(reading.seen().unknown().is_some_and(|why| why.contains("dr1") && why.contains("unreachable")));

    // One holds a set, the other cannot be asked: present, and the doubt is on record.
    write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await;
    let reading = read_newest_capture(&world.stores(), &app()).await;
    assert_eq!(source(&reading), ("dr2", 1, 1));
    assert_eq!(reading.unread().map(|(profile, _)| profile).collect::<Vec<_>>(), ["dr1"]);

    // A missing bucket or a wrong key proves nothing either; nor does no store at all.
    world.dr1.set_down(false);
    world.dr1.remove_bucket(BUCKET);
    world.dr2.remove_bucket(BUCKET);
    assert!(read_newest_capture(&world.stores(), &app()).await.seen().unknown().is_some());
    assert!(read_newest_capture(&StoreSet::default(), &app()).await.seen().unknown().is_some());
    let mut unopened = StoreSet::default();
    let error = world.stores().stores().next().unwrap().get("x").await.unwrap_err();
    unopened.push("broken", Err(error));
    assert!(read_newest_capture(&unopened, &app()).await.seen().unknown().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_newest_set_is_reported_and_an_older_complete_one_is_taken() {
    let world = World::new();
    let stores = world.stores();
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    let damaged = world.dr1.object(BUCKET, MANIFEST).unwrap();
    world.dr1.insert(BUCKET, MANIFEST, &damaged[..damaged.len() / 2]);
    for key in world.dr1.keys(BUCKET).into_iter().filter(|key| key.contains("/v1")) {
        if key != MANIFEST {
            world.dr1.remove(BUCKET, &key);
        }
    }
    let reading = read_newest_capture(&world.stores(), &app()).await;
    let StoreReading::Unusable(error) = &reading.stores[0].result else { panic!("{:?}", reading.stores[0]) };
    assert_eq!((error.kind, error.key.as_str()), (S3ErrorKind::Corrupt, MANIFEST));
    assert_eq!(source(&reading), ("dr2", 1, 1));

    // The primary writes it again.
    written(write_capture(&world.stores(), &app(), &set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 1)).await);
    assert_eq!(read_newest_capture(&world.stores(), &app()).await.unread().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_object_in_the_manifest_is_noticed() {
    let server = server();
    let stores = StoreSet::new([store(&server)]);
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    let manifest = kaedama_shared::s3::codec::unpack(&server.object(BUCKET, MANIFEST).unwrap()).unwrap();
    let forged = String::from_utf8(manifest).unwrap().replace("handle-pv-0", "handle-pv-9");
    server.insert(BUCKET, MANIFEST, kaedama_shared::s3::codec::encode(&forged));
    let reading = read_newest_capture(&stores, &app()).await;
    // Ramen's layout in the same store is whole.
    let Seen::Present(set) = reading.seen() else { panic!("{:?}", reading.seen()) };
    assert!(matches!(set.source, Source::RamenLayout { .. }));
    let StoreReading::Set { doubts, .. } = &reading.stores[0].result else { panic!() };
    assert!(doubts[0].contains("sha256"), "{doubts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_lacks_a_stored_volume_is_refused_until_it_is_released() {
    let world = World::new();
    let stores = world.stores();
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 2)).await);
    let mut smaller = set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 1);
    for store in write_capture(&stores, &app(), &smaller).await {
        let Err(CaptureError::WouldLose { keys, .. }) = store.result else { panic!() };
        assert_eq!(keys, [ObjectRef::Pv("pv-1".into()), ObjectRef::pvc("shop", "data-1")]);
    }
    assert_eq!(source(&read_newest_capture(&stores, &app()).await).2, 2);

    world.dr1.insert(BUCKET, "shop/shop-drpc/v1.PersistentVolumeClaim/data-1", "of an older version");
    smaller.release(ObjectRef::Pv("pv-1".into()));
    smaller.release(ObjectRef::pvc("shop", "data-1"));
    let results = written(write_capture(&stores, &app(), &smaller).await);
    assert_eq!(results[0].deleted, 3);
    assert_eq!(source(&read_newest_capture(&stores, &app()).await).2, 1);
    assert!(!world.dr1.keys(BUCKET).iter().any(|key| key.contains("pv-1") || key.contains("data-1")));
}

#[tokio::test(start_paused = true)]
async fn a_large_set_is_in_parts_and_old_parts_go() {
    let server = server();
    let stores = StoreSet::new([store(&server)]);
    let large = |size: usize| {
        let mut set = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1);
        let mut volume = pv("pv-0", "data-0");
        volume["metadata"]["annotations"]["large"] = "x".repeat(size).into();
        set.insert(ObjectRef::Pv("pv-0".into()), &volume).unwrap();
        set
    };
    let parts = || server.keys(BUCKET).into_iter().filter(|key| key.contains("/parts/")).collect::<Vec<_>>();
    written(write_capture(&stores, &app(), &large(2_000_000)).await);
    let first = parts();
    assert_eq!(first.len(), 2);
    let reading = read_newest_capture(&stores, &app()).await;
    let Seen::Present(set) = reading.seen() else { panic!("{:?}", reading.seen()) };
    let volume = &set.persistent_volumes().unwrap()[0];
    assert_eq!(volume.metadata.annotations.as_ref().unwrap()["large"].len(), 2_000_000);

    written(write_capture(&stores, &app(), &large(2_000_001)).await);
    assert_eq!(parts().len(), 2);
    assert_eq!(parts().iter().filter(|part| first.contains(part)).count(), 1, "only the volume changed");

    // A part that is gone makes the set incomplete; it is not restored from.
    for part in parts() {
        server.remove(BUCKET, &part);
    }
    let reading = read_newest_capture(&stores, &app()).await;
    assert!(reading.newest.is_none(), "{:?}", reading.newest.map(|set| set.source));
    assert!(matches!(&reading.stores[0].result, StoreReading::Unusable(error) if error.kind == S3ErrorKind::Corrupt));
    assert!(!reading.seen().is_absent());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_manifest_is_looked_up() {
    let server = server();
    let stores = StoreSet::new([store(&server)]);
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    server.lose_next_answers(1);
    let results = written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 2)).await);
    assert!(!results[0].manifest, "found already written");
    assert_eq!(source(&read_newest_capture(&stores, &app()).await).2, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditional_writes_serves_too() {
    let server = S3Server::new(S3ServerOptions { conditional_writes: false, ..S3ServerOptions::new(BUCKET, clock()) });
    let stores = StoreSet::new([store(&server)]);
    for (minute, volumes) in [(0, 1), (1, 2)] {
        let set = set(writer(1, "dr1"), &format!("2041-05-06T07:0{minute}:00Z"), volumes);
        written(write_capture(&stores, &app(), &set).await);
    }
    assert_eq!(source(&read_newest_capture(&stores, &app()).await).2, 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_set_is_gone_is_no_set_of_no_volumes() {
    for claimed in [false, true] {
        let world = World::new();
        let stores = world.stores();
        let mut first = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3);
        let mut group = vrg("2041-05-06T07:00:00Z", "primary");
        group["status"]["protectedPVCs"] = json!([{ "namespace": "shop", "name": "data-0" }]);
        first.insert(ObjectRef::Vrg, &group).unwrap();
        written(write_capture(&stores, &app(), &first).await);
        // An expiry rule takes what is written once, and leaves what is written often.
        for key in world.dr1.keys(BUCKET).into_iter().filter(|key| !key.contains("VolumeReplicationGroup/")) {
            assert!(world.dr1.remove(BUCKET, &key), "{key}");
        }
        assert_eq!(world.dr1.keys(BUCKET).len(), 1);
        if claimed {
            let new = StoreSet::new([world.stores().stores().next().unwrap().clone()]);
            raise_epoch(&new, &app(), &writer(2, "dr2")).await.remove(0).result.unwrap();
        }
        let reading = read_newest_capture(&world.stores(), &app()).await;
        assert!(
            matches!(&reading.stores[0].result, StoreReading::Unusable(why) if why.to_string().contains("is gone"))
        );
        assert_eq!(source(&reading), ("dr2", 1, 3));
        world.dr2.set_down(true);
        let reading = read_newest_capture(&world.stores(), &app()).await;
        assert!(reading.seen().unknown().is_some(), "{:?}", reading.seen());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_emptied_is_filled_with_the_next_change_however_small() {
    let world = World::new();
    let stores = world.stores();
    written(write_capture(&stores, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3)).await);
    let all = world.dr1.keys(BUCKET);
    for key in &all {
        world.dr1.remove(BUCKET, key);
    }
    // Nothing but the group has changed.
    let mut changed = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3);
    changed.insert(ObjectRef::Vrg, &vrg("2041-05-06T08:00:00Z", "primary")).unwrap();
    written(write_capture(&stores, &app(), &changed).await);
    assert_eq!(world.dr1.keys(BUCKET), all);
    world.dr2.set_down(true);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr1", 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_second_look_tells_whether_a_store_still_holds_what_was_stored() {
    let world = World::new();
    let stores = world.stores();
    let first = set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 3);
    written(write_capture(&stores, &app(), &first).await);
    let same = |answers: Vec<PerStore<Result<bool, CaptureError>>>| -> Vec<Option<bool>> {
        answers.into_iter().map(|answer| answer.result.ok()).collect()
    };
    assert_eq!(same(look_again(&stores, &app(), &writer(1, "dr1")).await), [Some(true), Some(true)]);
    world.dr1.remove(BUCKET, MANIFEST);
    world.dr2.set_down(true);
    assert_eq!(same(look_again(&stores, &app(), &writer(1, "dr1")).await), [Some(false), None]);
    world.dr2.set_down(false);
    let stored = written(write_capture(&stores, &app(), &first).await);
    let late = look_again(&stores, &app(), &writer(0, "dr0")).await;
    assert!(late.iter().all(|answer| answer.result.as_ref().is_err_and(CaptureError::is_superseded)), "{late:?}");
    assert_eq!(stored.iter().map(|store| store.manifest).collect::<Vec<_>>(), [true, false]);
    assert_eq!(same(look_again(&stores, &app(), &writer(1, "dr1")).await), [Some(true), Some(true)]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_at_the_failover_is_brought_up_to_date_although_it_has_more() {
    let world = World::new();
    let old = world.stores();
    written(write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:00:00Z", 1)).await);
    // A volume is added while the other store is away, and then the cluster dies with its store.
    world.dr2.set_down(true);
    write_capture(&old, &app(), &set(writer(1, "dr1"), "2041-05-06T07:01:00Z", 2)).await.remove(0).result.unwrap();
    world.dr2.set_down(false);
    world.dr1.set_down(true);
    let new = world.stores();
    assert_eq!(source(&read_newest_capture(&new, &app()).await), ("dr2", 1, 1));
    raise_epoch(&new, &app(), &writer(2, "dr2")).await.remove(1).result.unwrap();
    let second = set(writer(2, "dr2"), "2041-05-06T07:02:00Z", 1);
    write_capture(&new, &app(), &second).await.remove(1).result.unwrap();
    world.dr1.set_down(false);
    // Also by a process that has just started, as soon as it has seen the other store. One that failed is written alone.
    for stores in [world.stores(), new] {
        write_capture(&stores, &app(), &second).await;
        let all: Vec<_> = stores.stores().cloned().collect();
        let (alone, beside) = (StoreSet::new([all[0].clone()]), StoreSet::new([all[1].clone()]));
        written(write_capture_beside(&alone, &beside, &app(), &second).await);
    }
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await).1, 2);
    world.dr2.set_down(true);
    assert_eq!(source(&read_newest_capture(&world.stores(), &app()).await), ("dr1", 2, 1));
    // What only this store knew of is still there for a person.
    assert!(world.dr1.keys(BUCKET).iter().any(|key| key.ends_with("pv-1")));
}
