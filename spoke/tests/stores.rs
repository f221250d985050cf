//! What the stores hold after an odd course of things: sets of another product, and what a first placement leaves that
//! never came to be.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use k8s_openapi::api::core::v1::PersistentVolume;
use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::clock::Clock;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::s3::capture::{
    CaptureError, CaptureSet, EpochRecord, Reading, Written, raise_epoch, read_epoch, read_newest_capture,
    withdraw_claim, write_capture,
};
use kaedama_shared::s3::{AppId, Credentials, HttpConnector, ObjectRef, PerStore, S3Options, S3Store, StoreSet, codec};
use kube::api::Api;
use serde_json::{Value, json};
use support::s3::{S3Network, S3Server, S3ServerOptions};
use support::{World, eventually};

/// The claims that the support waits for.
const CLAIMS: [&str; 1] = ["a"];
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
        StoreSet::new(["s1", "s2"].map(|name| connect(name, clock(), HttpConnector::Given(self.network.http_client()))))
    }
}

fn connect(name: &str, clock: Clock, http: HttpConnector) -> S3Store {
    let profile = S3StoreProfile {
        s3_profile_name: name.into(),
        s3_bucket: BUCKET.into(),
        s3_compatible_endpoint: format!("http://{name}"),
        s3_region: "r".into(),
        ..S3StoreProfile::default()
    };
    let options = S3Options::new(clock).with_http(http);
    S3Store::connect(&profile, &Credentials::new("access", "secret"), &options).unwrap()
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

fn all_stored(results: Vec<PerStore<Result<Written, CaptureError>>>) {
    for store in results {
        store.result.unwrap();
    }
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
    assert!(two.s2.keys(BUCKET).len() >= 3, "the rest stays: {:?}", two.s2.keys(BUCKET));
    let others = raise_epoch(&two.stores(), &app(), &writer(1, "dr2")).await;
    assert!(others[0].result.as_ref().is_err_and(CaptureError::is_superseded), "it is stored under the first");
    assert!(others[1].result.is_ok(), "{:?}", others[1].result);
    assert_eq!(withdrawn(&mine).await, [false, false], "it is another's by now");
    two.s1.set_down(true);
    assert!(withdraw_claim(&two.stores(), &app(), &mine).await[0].result.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_placement_that_is_called_off_leaves_nothing_in_the_stores() {
    let world = World::start().await;
    // One store belongs to somebody who came later.
    let store = |name: &str| {
        let server = if name == "s1" { &world.s1 } else { &world.s2 };
        connect(name, Clock::system(), HttpConnector::Given(server.http_client()))
    };
    let later = raise_epoch(&StoreSet::new([store("s2")]), &app(), &writer(5, "dr9")).await.remove(0);
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
    let owners = read_epoch(&StoreSet::new([store("s1"), store("s2")]), &app()).await;
    let owners: Vec<_> = owners.into_iter().map(|store| store.result.unwrap().unwrap()).collect();
    assert_eq!((owners[0].epoch, owners[0].cluster.as_str()), (0, ""), "nobody");
    assert_eq!(owners[1], writer(5, "dr9"), "that is the other's");
}
