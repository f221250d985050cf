//! Who may write.

use std::time::Duration;

use kaedama_sandbox::s3::{S3Server, S3ServerOptions};
use kaedama_shared::s3::capture::{CaptureError, delete_application, raise_epoch, read_epoch};
use kaedama_shared::s3::{S3ErrorKind, StoreSet};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn an_epoch_only_rises_and_has_one_owner() {
    let world = World::new();
    let stores = world.stores();
    assert!(read_epoch(&stores, &app()).await.into_iter().all(|store| store.result.unwrap().is_none()));
    for _ in 0..2 {
        assert!(raise_epoch(&stores, &app(), &writer(2, "dr1")).await.iter().all(|store| store.result.is_ok()));
    }
    for store in raise_epoch(&stores, &app(), &writer(2, "dr2")).await {
        let error = store.result.unwrap_err();
        assert!(matches!(&error, CaptureError::EpochTaken { stored, .. } if **stored == writer(2, "dr1")), "{error}");
    }
    for store in raise_epoch(&stores, &app(), &writer(1, "dr1")).await {
        let error = store.result.unwrap_err();
        assert!(error.is_superseded());
        assert!(matches!(&error, CaptureError::StaleEpoch { stored, mine: 1, .. } if **stored == writer(2, "dr1")));
        assert!(error.to_string().contains("belongs to epoch 2 of cluster dr1 (action uid-2)"), "{error}");
    }
    raise_epoch(&stores, &app(), &writer(3, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    for store in read_epoch(&stores, &app()).await {
        assert_eq!(store.result.unwrap(), Some(writer(3, "dr2")));
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_race_exactly_one_wins() {
    let server = server();
    // All of them have read before any of them writes.
    server.set_delay(Duration::from_millis(10));
    for round in 1..=20_u64 {
        let race = |cluster: &'static str| {
            let stores = StoreSet::new([store(&server)]);
            async move { raise_epoch(&stores, &app(), &writer(round, cluster)).await.remove(0).result }
        };
        let results = tokio::join!(race("dr1"), race("dr2"), race("dr3"));
        let results = [results.0, results.1, results.2];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "round {round}");
        assert_eq!(server.requests()["PutObject"], 3 * round, "each of them came as far as writing");
        assert_eq!(results.iter().flat_map(|result| result.as_ref().err()).filter(|e| e.is_superseded()).count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up() {
    let server = server();
    let stores = StoreSet::new([store(&server)]);
    // The write is carried out and its answer is lost: the client cannot know, and looks.
    server.lose_next_answers(1);
    raise_epoch(&stores, &app(), &writer(1, "dr1")).await.into_iter().for_each(|store| store.result.unwrap());
    assert_eq!(server.requests()["PutObject"], 1);
    assert_eq!(read_epoch(&stores, &app()).await.remove(0).result.unwrap(), Some(writer(1, "dr1")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_does_not_hinder_the_other() {
    let world = World::new();
    let stores = world.stores();
    world.dr1.set_down(true);
    let mut results = raise_epoch(&stores, &app(), &writer(1, "dr2")).await;
    assert_eq!((results[0].profile.as_str(), results[1].profile.as_str()), ("dr1", "dr2"));
    results.remove(1).result.unwrap();
    let error = results.remove(0).result.unwrap_err();
    assert!(matches!(&error, CaptureError::Store(error) if error.is_unreachable()), "{error}");
    assert!(!error.is_superseded());
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_manifest_is_not_claimed_where_nothing_else_is_left() {
    let server = server();
    server.insert(BUCKET, "shop/shop-drpc/kaedama/v1/manifest", "");
    let stores = StoreSet::new([store(&server)]);
    let error = raise_epoch(&stores, &app(), &writer(1, "dr1")).await.remove(0).result.unwrap_err();
    assert!(matches!(&error, CaptureError::Store(error) if error.kind == S3ErrorKind::Corrupt), "{error}");
    assert_eq!(server.object(BUCKET, "shop/shop-drpc/kaedama/v1/manifest").unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditional_writes_still_keeps_older_epochs_out() {
    let server = S3Server::new(S3ServerOptions { conditional_writes: false, ..S3ServerOptions::new(BUCKET, clock()) });
    let stores = StoreSet::new([store(&server)]);
    let error = store(&server).put_if_absent("k", vec![1]).await.unwrap_err();
    assert_eq!(error.kind, S3ErrorKind::Unsupported);
    raise_epoch(&stores, &app(), &writer(1, "dr1")).await.remove(0).result.unwrap();
    raise_epoch(&stores, &app(), &writer(2, "dr2")).await.remove(0).result.unwrap();
    assert!(raise_epoch(&stores, &app(), &writer(1, "dr1")).await.remove(0).result.unwrap_err().is_superseded());
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_deletes_an_application() {
    let world = World::new();
    let stores = world.stores();
    raise_epoch(&stores, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    world.dr1.insert(BUCKET, "shop/shop-drpc/v1.PersistentVolume/pv-0", "x");
    world.dr1.insert(BUCKET, "shop/shop-drpc-2/v1.PersistentVolume/pv-0", "x");
    for store in delete_application(&stores, &app(), &writer(1, "dr1")).await {
        assert!(store.result.unwrap_err().is_superseded());
    }
    assert_eq!(world.dr1.keys(BUCKET).len(), 3);
    let deleted = delete_application(&stores, &app(), &writer(2, "dr2")).await;
    let deleted: Vec<usize> = deleted.into_iter().map(|store| store.result.unwrap()).collect();
    assert_eq!(deleted, [2, 1]);
    assert_eq!(world.dr1.keys(BUCKET), ["shop/shop-drpc-2/v1.PersistentVolume/pv-0"]);
}
