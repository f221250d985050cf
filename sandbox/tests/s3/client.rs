//! Operations and errors of one store.

use std::time::Duration;

use jiff::SignedDuration;
use kaedama_sandbox::s3::{Failure, S3Server, S3ServerOptions};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::{Credentials, HttpConnector, S3ErrorKind, S3Options, S3Store, StorePool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn what_is_put_is_got_and_what_is_deleted_is_absent() {
    let server = server();
    let store = store(&server);
    store.head_bucket().await.unwrap();
    let etag = store.put("a/b c+d/ü", b"one".to_vec()).await.unwrap();
    let object = store.get("a/b c+d/ü").await.unwrap();
    assert_eq!((object.body.as_slice(), object.etag), (b"one".as_slice(), etag));
    assert_eq!(server.keys(BUCKET), ["a/b c+d/ü"]);
    store.delete("a/b c+d/ü").await.unwrap();
    store.delete("a/b c+d/ü").await.unwrap();
    assert!(store.get("a/b c+d/ü").await.unwrap_err().is_absent());
}

#[tokio::test(start_paused = true)]
async fn conditional_writes_have_one_winner() {
    let store = store(&server());
    let first = store.put_if_absent("k", b"1".to_vec()).await.unwrap();
    assert_eq!(store.put_if_absent("k", b"2".to_vec()).await.unwrap_err().kind, S3ErrorKind::Conflict);
    let second = store.put_if_match("k", b"2".to_vec(), &first).await.unwrap();
    assert_eq!(store.put_if_match("k", b"3".to_vec(), &first).await.unwrap_err().kind, S3ErrorKind::Conflict);
    assert_eq!(store.put_if_match("gone", b"3".to_vec(), &second).await.unwrap_err().kind, S3ErrorKind::Conflict);
    assert_eq!(store.get("k").await.unwrap().body, b"2");
}

#[tokio::test(start_paused = true)]
async fn a_listing_has_all_pages_and_only_the_prefix() {
    let server = server();
    for number in 0..2500 {
        server.insert(BUCKET, &format!("many/{number:04}"), "x");
    }
    server.insert(BUCKET, "manyother", "x");
    let store = store(&server);
    let keys = store.list("many/").await.unwrap();
    assert_eq!(keys.len(), 2500);
    assert_eq!((keys[0].as_str(), keys[2499].as_str()), ("many/0000", "many/2499"));
    assert_eq!(server.requests()["ListObjectsV2"], 3);
    assert_eq!(store.list("none/").await.unwrap(), [""; 0]);

    server.reset_requests();
    assert_eq!(store.delete_prefix("many/").await.unwrap(), 2500);
    assert_eq!(server.keys(BUCKET), ["manyother"]);
    assert_eq!(server.request_count(), 6, "three pages, three batches");
    assert!(store.delete_prefix("/").await.is_err());
    store.delete_many(&[]).await.unwrap();
    assert_eq!(server.request_count(), 6, "neither asked the store");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_apart() {
    let server = server();
    let good = store(&server);
    let kind = |result: Result<_, kaedama_shared::s3::S3Error>| {
        result.map(|_: kaedama_shared::s3::StoredObject| ()).unwrap_err()
    };

    let error = kind(good.get("ns/app/x").await);
    assert_eq!((error.kind, error.key.as_str(), error.profile.as_str()), (S3ErrorKind::Absent, "ns/app/x", "dr1"));

    for (id, secret) in [("access", "wrong"), ("nobody", "secret")] {
        let store = S3Store::connect(&profile("dr1"), &Credentials::new(id, secret), &options(&server)).unwrap();
        assert_eq!(kind(store.get("x").await).kind, S3ErrorKind::Denied);
        assert_eq!(store.head_bucket().await.unwrap_err().kind, S3ErrorKind::Denied);
        assert_eq!(store.put("x", vec![1]).await.unwrap_err().kind, S3ErrorKind::Denied);
        assert_eq!(store.list("x").await.unwrap_err().kind, S3ErrorKind::Denied);
    }
    let skewed = Clock::starting_at(clock().now().checked_add(SignedDuration::from_hours(1)).unwrap());
    let options = S3Options { clock: skewed, ..options(&server) };
    let store = S3Store::connect(&profile("dr1"), &credentials(), &options).unwrap();
    let error = kind(store.get("x").await);
    assert_eq!(error.kind, S3ErrorKind::Denied);
    assert!(error.to_string().contains("RequestTimeTooSkewed"), "{error}");

    server.set_read_only(true);
    assert_eq!(good.put("x", vec![1]).await.unwrap_err().kind, S3ErrorKind::Denied);
    good.list("").await.unwrap();

    server.remove_bucket(BUCKET);
    assert_eq!(kind(good.get("x").await).kind, S3ErrorKind::NoBucket);
    assert_eq!(good.head_bucket().await.unwrap_err().kind, S3ErrorKind::NoBucket);
    assert_eq!(good.list("x").await.unwrap_err().kind, S3ErrorKind::NoBucket);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_tried_once_more() {
    let server = server();
    let store = store(&server);
    server.insert(BUCKET, "k", "x");
    for failure in [Failure::SlowDown, Failure::InternalError] {
        server.fail_next(1, failure);
        store.get("k").await.unwrap();
        server.fail_next(2, failure);
        assert_eq!(store.get("k").await.unwrap_err().kind, S3ErrorKind::Unreachable);
        store.get("k").await.unwrap();
    }
    server.fail_next(1, Failure::AccessDenied);
    assert_eq!(store.get("k").await.unwrap_err().kind, S3ErrorKind::Denied, "a refusal is final");

    server.lose_next_answers(1);
    store.put("k2", b"y".to_vec()).await.unwrap();
    server.set_down(true);
    let error = store.get("k").await.unwrap_err();
    assert_eq!(error.kind, S3ErrorKind::Unreachable);
    assert!(error.to_string().contains("the S3 store is down"), "{error}");
    server.set_down(false);
    store.get("k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_whose_answer_is_lost_is_not_repeated() {
    let server = server();
    let store = store(&server);
    server.lose_next_answers(1);
    assert_eq!(store.put_if_absent("k", b"x".to_vec()).await.unwrap_err().kind, S3ErrorKind::Unreachable);
    assert_eq!(server.requests()["PutObject"], 1);
    assert_eq!(server.object(BUCKET, "k").unwrap(), b"x");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_all_pages_and_repetitions() {
    let server = server();
    let store = store(&server);
    for number in 0..5000 {
        server.insert(BUCKET, &format!("many/{number:04}"), "x");
    }
    // Each page is in time; the fifth comes after the deadline.
    server.set_delay(Duration::from_secs(3));
    let began = Instant::now();
    let error = store.list("many/").await.unwrap_err();
    assert_eq!((error.kind, began.elapsed()), (S3ErrorKind::Unreachable, Duration::from_secs(12)));
    assert!(error.detail.contains("12s"), "{error}");
    let began = Instant::now();
    store.get("many/0001").await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_pool_keeps_a_client_until_its_profile_changes() {
    let server = server();
    let pool = StorePool::new(options(&server));
    let first = pool.open(&profile("dr1"), &credentials()).unwrap();
    first.head_bucket().await.unwrap();
    assert!(pool.open(&profile("dr1"), &Credentials::new("access", "rotated")).unwrap().head_bucket().await.is_err());
    let mut moved = profile("dr1");
    moved.s3_bucket = "elsewhere".into();
    assert_eq!(pool.open(&moved, &credentials()).unwrap().head_bucket().await.unwrap_err().kind, S3ErrorKind::NoBucket);
    pool.open(&profile("dr1"), &credentials()).unwrap().head_bucket().await.unwrap();
}

/// Over a socket, with the SDK's own HTTP client and the machine's clock on both sides.
#[tokio::test]
async fn the_same_over_http() {
    let clock = Clock::system();
    let server = S3Server::new(S3ServerOptions::new(BUCKET, clock));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut profile = profile("dr1");
    profile.s3_compatible_endpoint = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn({
        let (server, shutdown) = (server.clone(), shutdown.clone());
        async move { server.serve(listener, shutdown).await }
    });
    let options = S3Options { http: HttpConnector::Network, ..S3Options::new(clock) };
    let store = S3Store::connect(&profile, &credentials(), &options).unwrap();
    store.head_bucket().await.unwrap();
    let etag = store.put_if_absent("ns/app/k", b"one".to_vec()).await.unwrap();
    assert_eq!(store.put_if_absent("ns/app/k", vec![]).await.unwrap_err().kind, S3ErrorKind::Conflict);
    store.put_if_match("ns/app/k", b"two".to_vec(), &etag).await.unwrap();
    assert_eq!(store.get("ns/app/k").await.unwrap().body, b"two");
    assert_eq!(store.list("ns/").await.unwrap(), ["ns/app/k"]);
    assert_eq!(store.delete_prefix("ns/app/").await.unwrap(), 1);
    assert!(store.get("ns/app/k").await.unwrap_err().is_absent());
    let wrong = S3Store::connect(&profile, &Credentials::new("access", "wrong"), &options).unwrap();
    assert_eq!(wrong.head_bucket().await.unwrap_err().kind, S3ErrorKind::Denied);

    server.set_down(true);
    assert_eq!(store.get("x").await.unwrap_err().kind, S3ErrorKind::Unreachable);
    server.set_down(false);
    store.head_bucket().await.unwrap();
    shutdown.cancel();
    drop((store, wrong));
    serving.await.unwrap().unwrap();
    let gone = S3Store::connect(&profile, &credentials(), &options).unwrap();
    assert_eq!(gone.head_bucket().await.unwrap_err().kind, S3ErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn objects_are_deleted_one_by_one_where_the_store_wants_the_older_checksum() {
    let options = S3ServerOptions { deletes_without_md5: false, ..S3ServerOptions::new(BUCKET, clock()) };
    let server = S3Server::new(options);
    let store = store(&server);
    for round in 0..2 {
        for key in 0..20 {
            store.put(&format!("some/{key}"), b"x".to_vec()).await.unwrap();
        }
        server.reset_requests();
        assert_eq!(store.delete_prefix("some/").await.unwrap(), 20);
        assert_eq!(server.keys(BUCKET), [""; 0]);
        // It is asked for several at a time once.
        assert_eq!(server.requests().get("DeleteObjects").copied().unwrap_or_default(), u64::from(round == 0));
    }
}
