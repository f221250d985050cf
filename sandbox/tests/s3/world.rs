//! Two stores, and an application with three volumes.

use jiff::Timestamp;
use kaedama_sandbox::s3::{S3Network, S3Server, S3ServerOptions};
use kaedama_shared::clock::Clock;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::s3::capture::{CaptureError, CaptureSet, EpochRecord, Written};
use kaedama_shared::s3::{AppId, Credentials, HttpConnector, ObjectRef, PerStore, S3Options, S3Store, StoreSet};
use serde_json::{Value, json};

pub const BUCKET: &str = "bucket";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A date far from the machine's, so that nothing can depend on the machine's clock.
pub fn clock() -> Clock {
    Clock::starting_at(at("2041-05-06T07:08:09Z"))
}

pub fn app() -> AppId {
    AppId::new("shop", "shop-drpc")
}

pub fn profile(name: &str) -> S3StoreProfile {
    S3StoreProfile {
        s3_profile_name: name.into(),
        s3_bucket: BUCKET.into(),
        s3_compatible_endpoint: format!("http://s3.{name}:9000"),
        s3_region: "us-east-1".into(),
        ..S3StoreProfile::default()
    }
}

pub fn credentials() -> Credentials {
    Credentials::new("access", "secret")
}

pub fn server() -> S3Server {
    S3Server::new(S3ServerOptions::new(BUCKET, clock()))
}

pub fn options(server: &S3Server) -> S3Options {
    S3Options::new(clock()).with_http(HttpConnector::Given(server.http_client()))
}

/// A client of one store, with nothing remembered.
pub fn store(server: &S3Server) -> S3Store {
    S3Store::connect(&profile("dr1"), &credentials(), &options(server)).unwrap()
}

/// Two stores on one network.
pub struct World {
    pub dr1: S3Server,
    pub dr2: S3Server,
    pub network: S3Network,
}

impl World {
    pub fn new() -> Self {
        let (dr1, dr2, network) = (server(), server(), S3Network::new());
        network.add("s3.dr1:9000", &dr1);
        network.add("s3.dr2:9000", &dr2);
        Self { dr1, dr2, network }
    }

    /// The clients of a process that has just started.
    pub fn stores(&self) -> StoreSet {
        let options = S3Options::new(clock()).with_http(HttpConnector::Given(self.network.http_client()));
        let open = |name| S3Store::connect(&profile(name), &credentials(), &options).unwrap();
        StoreSet::new([open("dr1"), open("dr2")])
    }

    pub fn requests(&self) -> u64 {
        self.dr1.request_count() + self.dr2.request_count()
    }

    pub fn reset_requests(&self) {
        self.dr1.reset_requests();
        self.dr2.reset_requests();
    }
}

pub fn writer(epoch: u64, cluster: &str) -> EpochRecord {
    EpochRecord { epoch, cluster: cluster.into(), action_id: format!("uid-{epoch}") }
}

pub fn pv(name: &str, claim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"note": "<a> & b"}},
        "spec": {
            "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "shop", "name": claim},
            "csi": {"driver": "d", "volumeHandle": format!("handle-{name}")},
        },
    })
}

pub fn pvc(name: &str, volume: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"volumeName": volume, "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound"},
    })
}

pub fn vrg(updated: &str, state: &str) -> Value {
    json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "VolumeReplicationGroup",
        "metadata": {"namespace": "shop", "name": "shop-drpc"},
        "spec": {"replicationState": state, "s3Profiles": ["dr1", "dr2"]},
        "status": {"lastUpdateTime": updated, "state": "Primary"},
    })
}

/// The set of a primary with `volumes` volumes, as of `updated`.
pub fn set(writer: EpochRecord, updated: &str, volumes: usize) -> CaptureSet {
    let mut set = CaptureSet::new(writer, "vrg-uid", at(updated));
    for number in 0..volumes {
        let (volume, claim) = (format!("pv-{number}"), format!("data-{number}"));
        set.insert(ObjectRef::Pv(volume.clone()), &pv(&volume, &claim)).unwrap();
        set.insert(ObjectRef::pvc("shop", &claim), &pvc(&claim, &volume)).unwrap();
    }
    set.insert(ObjectRef::Vrg, &vrg(updated, "primary")).unwrap();
    set
}

pub fn written(results: Vec<PerStore<Result<Written, CaptureError>>>) -> Vec<Written> {
    results.into_iter().map(|member| member.result.unwrap()).collect()
}
