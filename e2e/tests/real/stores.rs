//! The S3 servers, through the client that the operators use.

use kaedama_e2e::real::{Real, S3Access};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::{Credentials, S3ErrorKind, S3Options, S3Store};

fn store(access: &S3Access, credentials: &Credentials) -> S3Store {
    S3Store::connect(&access.profile("store"), credentials, &S3Options::new(Clock::system())).unwrap()
}

pub async fn conditions_are_honoured(world: &Real) {
    for cluster in world.managed() {
        let access = world.s3(&cluster).unwrap();
        let store = store(access, &access.credentials);
        store.head_bucket().await.unwrap();
        assert_eq!(store.get("epoch").await.unwrap_err().kind, S3ErrorKind::Absent);

        let first = store.put_if_absent("epoch", b"1".to_vec()).await.unwrap();
        let refused = store.put_if_absent("epoch", b"other".to_vec()).await.unwrap_err();
        assert_eq!(refused.kind, S3ErrorKind::Conflict, "{refused}");
        let second = store.put_if_match("epoch", b"2".to_vec(), &first).await.unwrap();
        let refused = store.put_if_match("epoch", b"other".to_vec(), &first).await.unwrap_err();
        assert_eq!(refused.kind, S3ErrorKind::Conflict, "{refused}");

        let read = store.get("epoch").await.unwrap();
        assert_eq!((read.body.as_slice(), read.etag), (b"2".as_slice(), second));
        assert_eq!(store.list("ep").await.unwrap(), ["epoch"]);
    }
    let access = world.s3("dr1").unwrap();
    let wrong = Credentials::new(&access.credentials.access_key_id, "guessed");
    let refused = store(access, &wrong).get("epoch").await.unwrap_err();
    assert_eq!(refused.kind, S3ErrorKind::Denied, "{refused}");
}

pub async fn what_was_stored_is_still_there(world: &Real) {
    let access = world.s3("dr1").unwrap();
    let read = store(access, &access.credentials).get("epoch").await.unwrap();
    assert_eq!(read.body, b"2");
}
