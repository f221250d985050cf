//! What the stores hold after an odd course of things: objects that cannot be stored as they are now, sets of another
//! product, and what a first placement leaves that never came to be.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::clock::Clock;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::s3::capture::{
    CaptureError, CaptureSet, EpochRecord, Reading, Source, Written, raise_epoch, read_newest_capture, withdraw_claim,
    write_capture,
};
use kaedama_shared::s3::{AppId, Credentials, HttpConnector, ObjectRef, PerStore, S3Options, S3Store, StoreSet, codec};
use kube::api::{Api, Patch};
use serde_json::{Value, json};
use support::s3::{S3Network, S3Server, S3ServerOptions};
use support::{World, eventually};

const CLAIMS: [&str; 2] = ["a", "b"];
const BUCKET: &str = "bucket";
const MANIFEST: &str = "shop/web/kaedama/v1/manifest";

/// Two stores, and an application with some volumes.
struct Two {
    s1: S3Server,
    s2: S3Server,
    network: S3Network,
}

impl Two {
    fn new() -> Self {
        let server = || S3Server::new(S3ServerOptions::new(BUCKET, clock()));
        let (s1, s2, network) = (server(), server(), S3Network::new());
        network.add("s1", &s1);
        network.add("s2", &s2);
        Self { s1, s2, network }
    }

    /// The clients of a process that has just started.
    fn stores(&self) -> StoreSet {
        let options = S3Options::new(clock()).with_http(HttpConnector::Given(self.network.http_client()));
        let profile = |name: &str| S3StoreProfile {
            s3_profile_name: name.into(),
            s3_bucket: BUCKET.into(),
            s3_compatible_endpoint: format!("http://{name}"),
            s3_region: "r".into(),
            ..S3StoreProfile::default()
        };
        let keys = Credentials::new("access", "secret");
        StoreSet::new(["s1", "s2"].map(|name| S3Store::connect(&profile(name), &keys, &options).unwrap()))
    }
}

fn clock() -> Clock {
    Clock::starting_at("2041-05-06T07:08:09Z".parse().unwrap())
}

fn app() -> AppId {
    AppId::new("shop", "web")
}

fn writer(epoch: u64, cluster: &str) -> EpochRecord {
    EpochRecord { epoch, cluster: cluster.into(), action_id: format!("uid-{epoch}") }
}

fn places(name: &str) -> [ObjectRef; 2] {
    [ObjectRef::Pv(format!("pv-{name}")), ObjectRef::pvc("shop", name)]
}

fn volume(name: &str, note: &str) -> Value {
    json!({"metadata": {"name": format!("pv-{name}"), "annotations": {"note": note}},
           "spec": {"claimRef": {"namespace": "shop", "name": name}}})
}

fn claim(name: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"volumeName": format!("pv-{name}")}})
}

fn vrg(updated: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"replicationState": "primary"},
           "status": {"lastUpdateTime": updated}})
}

/// The set of a primary with these volumes, each with a note by which its copies are told apart.
fn set(writer: EpochRecord, volumes: &[(&str, &str)]) -> CaptureSet {
    let mut set = CaptureSet::new(writer, "uid", "2041-05-06T07:00:00Z".parse().unwrap());
    for (name, note) in volumes {
        let [pv, pvc] = places(name);
        set.insert(pv, &volume(name, note)).unwrap();
        set.insert(pvc, &claim(name)).unwrap();
    }
    set.insert(ObjectRef::Vrg, &vrg("2041-05-06T07:00:00Z")).unwrap();
    set
}

fn keeping(mut set: CaptureSet, name: &str) -> CaptureSet {
    places(name).into_iter().for_each(|place| set.keep(place));
    set
}

/// The volumes of the newest set, each with its note, and how many claims it has.
fn held(reading: &Reading) -> (Vec<(String, String)>, usize) {
    let set = reading.newest.as_ref().unwrap();
    let noted = |volume: PersistentVolume| {
        (volume.metadata.name.unwrap(), volume.metadata.annotations.unwrap().remove("note").unwrap())
    };
    let volumes = set.persistent_volumes().unwrap().into_iter().map(noted).collect();
    (volumes, set.persistent_volume_claims().unwrap().len())
}

fn pairs(volumes: &[(&str, &str)]) -> (Vec<(String, String)>, usize) {
    let volumes: Vec<_> = volumes.iter().map(|(name, note)| (format!("pv-{name}"), (*note).to_owned())).collect();
    let claims = volumes.len();
    (volumes, claims)
}

fn sequence(reading: &Reading) -> (u64, i64) {
    match reading.newest.as_ref().unwrap().source {
        Source::Capture { epoch, sequence, .. } => (epoch, sequence),
        Source::RamenLayout { .. } => panic!("a capture set"),
    }
}

fn all_stored(results: Vec<PerStore<Result<Written, CaptureError>>>) {
    for store in results {
        store.result.unwrap();
    }
}

fn nothing_to_keep(results: &[PerStore<Result<Written, CaptureError>>]) {
    for store in results {
        assert!(matches!(store.result, Err(CaptureError::NothingToKeep { .. })), "{:?}", store.result);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_as_its_writer_stored_it_last_in_every_store() {
    let two = Two::new();
    let stores = two.stores();
    let first = set(writer(1, "dr1"), &[("a", "1"), ("b", "1")]);
    all_stored(write_capture(&stores, &app(), &first).await);
    // One store misses a state of what is kept later.
    two.s1.set_down(true);
    let second = set(writer(1, "dr1"), &[("a", "2"), ("b", "1")]);
    assert!(write_capture(&stores, &app(), &second).await[1].result.is_ok());
    two.s1.set_down(false);

    // By the process that wrote it, and by one that knows nothing yet.
    for (stores, note) in [(stores, "2"), (two.stores(), "3")] {
        let next = keeping(set(writer(1, "dr1"), &[("b", note), ("c", note)]), "a");
        all_stored(write_capture(&stores, &app(), &next).await);
        let all = pairs(&[("a", "2"), ("b", note), ("c", note)]);
        assert_eq!(held(&read_newest_capture(&two.stores(), &app()).await), all);
        for down in [&two.s1, &two.s2] {
            down.set_down(true);
            assert_eq!(held(&read_newest_capture(&two.stores(), &app()).await), all, "each store has all of it");
            down.set_down(false);
        }
        two.s1.reset_requests();
        all_stored(write_capture(&stores, &app(), &next).await);
        assert_eq!(two.s1.request_count(), 0, "there is nothing new");
    }
}

#[tokio::test(start_paused = true)]
async fn no_set_is_stored_without_what_it_keeps_or_with_half_of_it() {
    let two = Two::new();
    let old = two.stores();
    let first = set(writer(1, "dr1"), &[("a", "dr1's"), ("b", "1")]);
    all_stored(write_capture(&old, &app(), &first).await);
    let before = sequence(&read_newest_capture(&two.stores(), &app()).await);
    let never_stored = keeping(set(writer(1, "dr1"), &[("a", "1"), ("b", "2")]), "c");
    nothing_to_keep(&write_capture(&old, &app(), &never_stored).await);
    let mut half = set(writer(1, "dr1"), &[("a", "1"), ("b", "2")]);
    let [_, claim_of_b] = places("b");
    half.keep(claim_of_b);
    half.keep(ObjectRef::Pv("pv-elsewhere".into()));
    nothing_to_keep(&write_capture(&old, &app(), &half).await);

    // The next primary owns the set. What is in it is not of its making yet: the handles are those of the other cluster.
    let new = two.stores();
    read_newest_capture(&new, &app()).await;
    raise_epoch(&new, &app(), &writer(2, "dr2")).await.into_iter().for_each(|store| store.result.unwrap());
    nothing_to_keep(&write_capture(&new, &app(), &keeping(set(writer(2, "dr2"), &[("b", "2")]), "a")).await);
    let reading = read_newest_capture(&two.stores(), &app()).await;
    assert_eq!(held(&reading), pairs(&[("a", "dr1's"), ("b", "1")]));
    assert_eq!(sequence(&reading), before);
    // Once it has stored the whole itself, it is.
    let own = set(writer(2, "dr2"), &[("a", "dr2's"), ("b", "1")]);
    all_stored(write_capture(&new, &app(), &own).await);
    let next = keeping(set(writer(2, "dr2"), &[("b", "2")]), "a");
    all_stored(write_capture(&new, &app(), &next).await);
    let reading = read_newest_capture(&two.stores(), &app()).await;
    assert_eq!(held(&reading), pairs(&[("a", "dr2's"), ("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn a_later_set_with_gaps_is_told_of_also_within_one_store() {
    let two = Two::new();
    let stores = two.stores();
    let whole = set(writer(1, "dr1"), &[("a", "1")]);
    all_stored(write_capture(&stores, &app(), &whole).await);
    let put = |server: &S3Server, key: &str, object: Value| {
        server.insert(BUCKET, &format!("shop/web/{key}"), codec::encode(&object.to_string()));
    };
    // Another product goes on as the primary, and its set loses a claim.
    put(&two.s1, "v1.PersistentVolume/pv-b", volume("b", "2"));
    put(&two.s1, "v1.PersistentVolumeClaim/shop/b", claim("b"));
    put(&two.s1, "v1.PersistentVolume/pv-z", volume("z", "2"));
    put(&two.s1, "v1alpha1.VolumeReplicationGroup/a", vrg("2041-05-06T08:00:00Z"));
    let reading = read_newest_capture(&two.stores(), &app()).await;
    assert_eq!(held(&reading), pairs(&[("a", "1")]));
    let [later] = reading.passed_over.as_slice() else { panic!("{:?}", reading.passed_over) };
    assert_eq!((later.profile.as_str(), later.gaps.len()), ("s1", 1), "{:?}", later.gaps);
    let names = later.persistent_volume_claims().unwrap().into_iter().map(|claim| claim.metadata.name.unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    // Whole, it is the newest itself; older, it is what was before.
    put(&two.s1, "v1.PersistentVolumeClaim/shop/z", claim("z"));
    assert!(read_newest_capture(&two.stores(), &app()).await.passed_over.is_empty());
    two.s1.remove(BUCKET, "shop/web/v1.PersistentVolumeClaim/shop/z");
    put(&two.s1, "v1alpha1.VolumeReplicationGroup/a", vrg("2041-05-06T06:00:00Z"));
    assert!(read_newest_capture(&two.stores(), &app()).await.passed_over.is_empty());
}

/// The keys of a store's manifest, and each object as it stands there.
fn manifest(server: &S3Server) -> Vec<(String, Value)> {
    let body = server.object(BUCKET, MANIFEST).unwrap_or_default();
    let Ok(manifest) = codec::decode::<Value>(&body) else { return Vec::new() };
    let parts = manifest.pointer("/content/parts").and_then(Value::as_array).cloned().unwrap_or_default();
    parts.into_iter().map(|part| (part["key"].as_str().unwrap().to_owned(), part["object"].clone())).collect()
}

fn size_of(server: &S3Server, claim: &str) -> Option<String> {
    let key = format!("shop/web/v1.PersistentVolumeClaim/shop/{claim}");
    let (_, object) = manifest(server).into_iter().find(|(found, _)| *found == key)?;
    Some(object.pointer("/spec/resources/requests/storage")?.as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_waits_to_be_resized_keeps_no_other_from_being_stored() {
    let world = World::start().await;
    world.dr1.claims(&CLAIMS).await;
    world.dr1.order("primary", None, 1, "dr1").await;
    world.dr1.settles_as("Primary").await;
    world.dr1.is_stored().await;
    let claims: Api<PersistentVolumeClaim> = world.dr1.api();
    let larger = Patch::Merge(json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}));
    claims.patch("a", &Default::default(), &larger).await.unwrap();
    // Without a pod its file system is not resized, and it stays as it is.
    world.dr1.claims(&["c"]).await;
    for server in [&world.s1, &world.s2] {
        eventually("the new claim is stored", || async { size_of(server, "c").is_some() }).await;
        assert_eq!(size_of(server, "a").as_deref(), Some("1Gi"), "as it was stored before");
    }
    let resized = Patch::Merge(json!({"status": {"capacity": {"storage": "2Gi"}}}));
    claims.patch_status("a", &Default::default(), &resized).await.unwrap();
    world.dr1.is_stored().await;
    for server in [&world.s1, &world.s2] {
        eventually("it is stored as it is", || async { size_of(server, "a").as_deref() == Some("2Gi") }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_taken_back_only_where_nothing_was_stored_under_it() {
    let two = Two::new();
    let stores = two.stores();
    let mine = writer(1, "dr1");
    raise_epoch(&stores, &app(), &mine).await.into_iter().for_each(|store| store.result.unwrap());
    write_capture(&stores, &app(), &set(mine.clone(), &[("a", "1")])).await;
    two.s2.remove(BUCKET, MANIFEST);
    raise_epoch(&two.stores(), &app(), &mine).await.into_iter().for_each(|store| store.result.unwrap());
    let withdrawn = async |who: &EpochRecord| {
        let answers = withdraw_claim(&two.stores(), &app(), who).await;
        answers.into_iter().map(|store| store.result.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(withdrawn(&writer(1, "dr2")).await, [false, false], "it is another's");
    assert_eq!(withdrawn(&mine).await, [false, true]);
    assert_eq!(withdrawn(&mine).await, [false, false]);
    assert!(two.s1.keys(BUCKET).contains(&MANIFEST.to_owned()));
    assert!(two.s2.keys(BUCKET).len() >= 3, "the rest stays: {:?}", two.s2.keys(BUCKET));
    two.s1.set_down(true);
    assert!(withdraw_claim(&two.stores(), &app(), &mine).await[0].result.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_placement_that_is_called_off_leaves_nothing_in_the_stores() {
    let world = World::start().await;
    // One store belongs to somebody who came later.
    let profile = S3StoreProfile {
        s3_profile_name: "s2".into(),
        s3_bucket: BUCKET.into(),
        s3_compatible_endpoint: "http://s2".into(),
        s3_region: "r".into(),
        ..S3StoreProfile::default()
    };
    let options = S3Options::new(Clock::system()).with_http(HttpConnector::Given(world.s2.http_client()));
    let second = S3Store::connect(&profile, &Credentials::new("access", "secret"), &options).unwrap();
    let later = raise_epoch(&StoreSet::new([second]), &app(), &writer(5, "dr9")).await.remove(0);
    later.result.unwrap();
    world.dr1.order("primary", None, 1, "dr1").await;
    let refused = |group: &VolumeReplicationGroup| {
        support::said(group, "ClusterDataReady").is_some_and(|ready| ready.message.contains("a newer primary is known"))
    };
    world.dr1.until("be refused", refused).await;
    assert_eq!(world.s1.keys(BUCKET), [MANIFEST], "this one was told before the other refused");
    let groups: Api<VolumeReplicationGroup> = world.dr1.api();
    groups.delete("web", &Default::default()).await.unwrap();
    eventually("the group is gone", || async { groups.get_opt("web").await.unwrap().is_none() }).await;
    assert_eq!(world.s1.keys(BUCKET), [""; 0]);
    assert_eq!(world.s2.keys(BUCKET), [MANIFEST], "that is the other's");
}
