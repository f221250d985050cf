//! Two clusters, two stores, and the parts of the world around the operator that it waits for: whoever binds claims, and
//! the storage that answers VolumeReplications. The API server and the stores are real; the storage is a rule.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "support of tests")]

#[path = "../../../sandbox/src/s3/mod.rs"]
pub mod s3;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_apiserver::ApiServer;
use kaedama_shared::api::csiaddons::{DesiredState, VolumeReplication, VolumeReplicationClass};
use kaedama_shared::api::{Condition, VolumeReplicationGroup, VolumeReplicationGroupReport, crdgen};
use kaedama_shared::clock::Clock;
use kaedama_shared::report;
use kaedama_shared::s3::HttpConnector;
use kaedama_spoke::operator::{self, SpokeOptions};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use s3::{S3Network, S3Server, S3ServerOptions};

pub const OPERATOR: &str = "ramen-system";
pub const APP: &str = "shop";

/// One managed cluster with a running operator.
pub struct Cluster {
    pub name: String,
    pub server: ApiServer,
    pub client: Client,
    _stop: DropGuard,
}

pub struct World {
    pub dr1: Cluster,
    pub dr2: Cluster,
    pub s1: S3Server,
    pub s2: S3Server,
}

impl World {
    pub async fn start() -> Self {
        let clock = Clock::system();
        let (s1, s2) = (
            S3Server::new(S3ServerOptions::new("bucket", clock)),
            S3Server::new(S3ServerOptions::new("bucket", clock)),
        );
        let network = S3Network::new();
        network.add("s1", &s1);
        network.add("s2", &s2);
        let http = HttpConnector::Given(network.http_client());
        Self {
            dr1: Cluster::start("dr1", clock, http.clone()).await,
            dr2: Cluster::start("dr2", clock, http).await,
            s1,
            s2,
        }
    }

    pub fn s3_requests(&self) -> u64 {
        self.s1.request_count() + self.s2.request_count()
    }

    pub fn reset(&self) {
        self.s1.reset_requests();
        self.s2.reset_requests();
        self.dr1.server.accounting().take();
        self.dr2.server.accounting().take();
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn replication_crd(kind: &str, plural: &str, scope: &str) -> CustomResourceDefinition {
    read(json!({
        "metadata": {"name": format!("{plural}.replication.storage.openshift.io")},
        "spec": {
            "group": "replication.storage.openshift.io", "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
}

impl Cluster {
    async fn start(name: &str, clock: Clock, http: HttpConnector) -> Self {
        let server = ApiServer::builder(name).clock(move || clock.now()).build();
        let client = server.client("test");
        let mut definitions = crdgen::all_crds();
        definitions.push(replication_crd("VolumeReplication", "volumereplications", "Namespaced"));
        definitions.push(replication_crd("VolumeReplicationClass", "volumereplicationclasses", "Cluster"));
        for definition in definitions {
            create(&Api::all(client.clone()), definition).await;
        }
        for namespace in [OPERATOR, APP] {
            create(&Api::<Namespace>::all(client.clone()), read(json!({"metadata": {"name": namespace}}))).await;
        }
        let profile = |name: &str| {
            json!({"s3ProfileName": name, "s3Bucket": "bucket", "s3Region": "r", "s3CompatibleEndpoint": format!("http://{name}"),
                   "s3SecretRef": {"name": "keys"}})
        };
        let config = json!({"s3StoreProfiles": [profile("s1"), profile("s2")]});
        let map = json!({"metadata": {"name": "ramen-dr-cluster-operator-config"},
                         "data": {"ramen_manager_config.yaml": config.to_string()}});
        create(&Api::<ConfigMap>::namespaced(client.clone(), OPERATOR), read(map)).await;
        let keys = json!({"metadata": {"name": "keys"}, "stringData": {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}});
        create(&Api::<Secret>::namespaced(client.clone(), OPERATOR), read(keys)).await;
        let class = json!({"metadata": {"name": "rbd"}, "provisioner": "csi"});
        create(&Api::<StorageClass>::all(client.clone()), read(class)).await;
        let class = json!({"apiVersion": "replication.storage.openshift.io/v1alpha1", "kind": "VolumeReplicationClass",
            "metadata": {"name": "vrc"}, "spec": {"provisioner": "csi", "parameters": {"schedulingInterval": "5m"}}});
        create(&Api::<VolumeReplicationClass>::all(client.clone()), read(class)).await;
        let stop = CancellationToken::new();
        tokio::spawn(storage(client.clone(), stop.clone()));
        tokio::spawn(binder(client.clone(), stop.clone()));
        let options = SpokeOptions {
            client: server.client("operator"),
            clock,
            s3: http,
            s3_ca_bundle: Vec::new(),
            namespace: OPERATOR.into(),
            instance: name.into(),
            identity: name.into(),
            leader_election: false,
            endpoints: None,
        };
        let running = operator::run(options, stop.clone());
        tokio::spawn(async move { running.await.unwrap() });
        Self { name: name.into(), server, client, _stop: stop.drop_guard() }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), APP)
    }

    pub fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    pub async fn group(&self) -> VolumeReplicationGroup {
        self.api().get("web").await.unwrap()
    }

    /// Asks for a report, as our hub does. RamenDR's does not.
    pub async fn ask(&self) {
        let report = json!({
            "apiVersion": "kaedama.dev/v1alpha1", "kind": "VolumeReplicationGroupReport",
            "metadata": {"name": "shop.web"}, "spec": {"volumeReplicationGroup": {"namespace": APP, "name": "web"}},
        });
        let params = PatchParams::apply("hub").force();
        self.reports().patch("shop.web", &params, &Patch::Apply(report)).await.unwrap();
    }

    pub fn reports(&self) -> Api<VolumeReplicationGroupReport> {
        Api::all(self.client.clone())
    }

    /// What is reported of the group, as soon as something is.
    pub async fn reported(&self) -> VolumeReplicationGroup {
        for _ in 0..24_000 {
            let report = self.reports().get("shop.web").await.unwrap().status.unwrap_or_default().report;
            if !report.is_empty() {
                return report::decode(&report).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{}: nothing is reported", self.name);
    }

    /// Orders a role, as the hub would: creates the group or changes its spec and annotations.
    pub async fn order(&self, role: &str, action: Option<&str>, epoch: u64, to: &str) {
        let started = "2026-03-01T00:00:00Z";
        let kind = action.unwrap_or("Deploy");
        let record = json!({"id": format!("u-{epoch}"), "epoch": epoch, "kind": kind, "to": to, "generation": 1,
                            "started": started, "step": "Accepted"});
        let mut spec = json!({
            "pvcSelector": {"matchLabels": {"app": "web"}}, "replicationState": role, "s3Profiles": ["s1", "s2"],
            "async": {"schedulingInterval": "5m"},
        });
        if let Some(action) = action {
            spec["action"] = json!(action);
        }
        let body = json!({
            "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "VolumeReplicationGroup",
            "metadata": {"name": "web", "annotations": {
                "drplacementcontrol.ramendr.openshift.io/destination-cluster": self.name,
                "kaedama.dev/action": record.to_string(),
            }},
            "spec": spec,
        });
        self.ask().await;
        let params = PatchParams::apply("hub").force();
        self.api::<VolumeReplicationGroup>().patch("web", &params, &Patch::Apply(body)).await.unwrap();
    }

    /// Claims of the application, as it would create them; the binder provisions.
    pub async fn claims(&self, names: &[&str]) {
        for name in names {
            let claim = json!({
                "metadata": {"name": name, "labels": {"app": "web"}},
                "spec": {"storageClassName": "rbd", "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                         "resources": {"requests": {"storage": "1Gi"}}},
            });
            create(&self.api::<PersistentVolumeClaim>(), read(claim)).await;
        }
    }

    pub async fn pod(&self, claim: &str) {
        let pod = json!({"metadata": {"name": format!("pod-{claim}")}, "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}],
        }});
        create(&self.api::<Pod>(), read(pod)).await;
    }

    /// Requests of the operator that were not watches: reads, writes.
    pub fn requests(&self) -> (u64, u64, BTreeMap<String, u64>) {
        let (mut reads, mut writes, mut all) = (0, 0, BTreeMap::new());
        for (key, count) in self.server.accounting().read() {
            if key.user_agent != "kaedama-spoke" || key.verb == "watch" {
                continue;
            }
            match key.verb.as_str() {
                "get" | "list" => reads += count,
                _ => writes += count,
            }
            *all.entry(format!("{} {} {}", key.verb, key.resource, key.code)).or_default() += count;
        }
        (reads, writes, all)
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&VolumeReplicationGroup) -> bool) -> VolumeReplicationGroup {
        let mut last = None;
        for _ in 0..24_000 {
            if let Ok(Some(group)) = self.api::<VolumeReplicationGroup>().get_opt("web").await {
                if holds(&group) {
                    return group;
                }
                last = Some(group);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let text = serde_json::to_string_pretty(&last.and_then(|group| group.status));
        panic!("{}: never came to {what}; the status is {}", self.name, text.unwrap());
    }

    pub async fn settles_as(&self, state: &str) -> VolumeReplicationGroup {
        self.until(state, |group| {
            let generation = group.metadata.generation.unwrap_or_default();
            group
                .status
                .as_ref()
                .is_some_and(|status| status.state.as_str() == state && status.observed_generation == generation)
        })
        .await
    }

    /// A relocate from here.
    pub async fn lets_go(&self) {
        let order = Patch::Merge(json!({"spec": {"replicationState": "secondary", "action": "Relocate"}}));
        self.api::<VolumeReplicationGroup>().patch("web", &Default::default(), &order).await.unwrap();
        self.stops().await;
    }

    /// The application goes after the order was seen. A claim that a primary is not told to give up and that is deleted all
    /// the same leaves protection, and the stores.
    pub async fn stops(&self) {
        let seen = |group: &VolumeReplicationGroup| {
            let seen = group.status.as_ref().map(|status| status.observed_generation);
            seen.is_some() && seen == group.metadata.generation
        };
        self.until("see the order", seen).await;
        for name in crate::CLAIMS {
            self.api::<PersistentVolumeClaim>().delete(name, &Default::default()).await.unwrap();
        }
        self.settles_as("Secondary").await;
    }

    pub async fn is_stored(&self) {
        self.until("stored", |group| {
            said(group, "ClusterDataProtected").is_some_and(|c| c.is_true() && c.reason == "Uploaded")
        })
        .await;
    }
}

pub fn said(group: &VolumeReplicationGroup, type_: &str) -> Option<Condition> {
    let status = group.status.as_ref()?;
    kaedama_shared::api::condition::find(&status.conditions, type_).cloned()
}

pub async fn create<K>(api: &Api<K>, object: K)
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    api.create(&PostParams::default(), &object).await.unwrap();
}

pub async fn eventually<F, Fut>(what: &str, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..24_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// The storage: every VolumeReplication is what it is asked to be, at once. As secondary it is in step when its
/// `autoResync` is off, else it goes on being synchronised, as storage with a live primary reports it.
async fn storage(client: Client, stop: CancellationToken) {
    let api: Api<VolumeReplication> = Api::all(client.clone());
    let events = watcher(api, watcher::Config::default());
    let work = events.try_for_each(|event| {
        let client = client.clone();
        async move {
            if let watcher::Event::Apply(found) | watcher::Event::InitApply(found) = event {
                answer(&client, &found).await;
            }
            Ok(())
        }
    });
    tokio::select! { _ = work => {}, () = stop.cancelled() => {} }
}

async fn answer(client: &Client, found: &VolumeReplication) {
    let generation = found.metadata.generation.unwrap_or_default();
    if found.status.as_ref().is_some_and(|status| status.observed_generation == generation) {
        return;
    }
    let condition = |type_: &str, holds: bool, reason: &str| {
        json!({"type": type_, "status": if holds { "True" } else { "False" }, "reason": reason, "message": "m",
               "observedGeneration": generation, "lastTransitionTime": "2026-03-01T00:00:00Z"})
    };
    let resyncing = found.spec.auto_resync;
    let status = match found.spec.replication_state {
        DesiredState::Primary => json!({"state": "Primary", "observedGeneration": generation,
            "lastSyncTime": "2026-03-01T00:00:00Z", "lastSyncBytes": 10, "lastSyncDuration": "1s", "conditions": [
            condition("Completed", true, "Promoted"), condition("Degraded", false, "Healthy"),
            condition("Resyncing", false, "NotResyncing"), condition("Validated", true, "PrerequisiteMet")]}),
        _ => json!({"state": "Secondary", "observedGeneration": generation, "conditions": [
            condition("Completed", true, "Demoted"),
            condition("Degraded", resyncing, if resyncing { "VolumeDegraded" } else { "Healthy" }),
            condition("Resyncing", resyncing, if resyncing { "ResyncTriggered" } else { "NotResyncing" })]}),
    };
    let api: Api<VolumeReplication> = Api::namespaced(client.clone(), &found.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({"status": status}));
    // It may be gone by now.
    let _ = api.patch_status(&found.name_any(), &PatchParams::default(), &patch).await;
}

/// Whoever binds claims: to the volume that waits for them, else to a new one.
async fn binder(client: Client, stop: CancellationToken) {
    let api: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let events = watcher(api, watcher::Config::default());
    let work = events.try_for_each(|event| {
        let client = client.clone();
        async move {
            match event {
                watcher::Event::Apply(claim) | watcher::Event::InitApply(claim) => bind(&client, claim).await,
                watcher::Event::Delete(claim) => release(&client, claim).await,
                watcher::Event::Init | watcher::Event::InitDone => {}
            }
            Ok(())
        }
    });
    tokio::select! { _ = work => {}, () = stop.cancelled() => {} }
}

async fn bind(client: &Client, claim: PersistentVolumeClaim) {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase == Some("Bound") || claim.metadata.deletion_timestamp.is_some() {
        return;
    }
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let (namespace, name) = (claim.namespace().unwrap(), claim.name_any());
    let reference = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace, "name": name, "uid": claim.uid()});
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty());
    let volume = wanted.clone().unwrap_or_else(|| format!("pv-{name}"));
    if wanted.is_none() {
        let pv = json!({"metadata": {"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": "csi"}}, "spec": {
            "storageClassName": "rbd", "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Delete", "claimRef": reference,
            "csi": {"driver": "csi", "volumeHandle": format!("h-{name}"), "fsType": "ext4"}}});
        let _ = volumes.create(&PostParams::default(), &read(pv)).await;
    } else {
        // A volume that remembers another claim of this name is not bound.
        let Ok(Some(found)) = volumes.get_opt(&volume).await else { return };
        let uid = found.spec.and_then(|spec| spec.claim_ref).and_then(|reference| reference.uid);
        if uid.is_some() && uid != claim.uid() {
            return;
        }
        let patch = Patch::Merge(json!({"spec": {"claimRef": reference}}));
        volumes.patch(&volume, &PatchParams::default(), &patch).await.unwrap();
    }
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    volumes.patch_status(&volume, &PatchParams::default(), &bound).await.unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    if wanted.is_none() {
        let patch = Patch::Merge(json!({"spec": {"volumeName": volume}}));
        claims.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    }
    let bound = Patch::Merge(json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}));
    claims.patch_status(&name, &PatchParams::default(), &bound).await.unwrap();
}

async fn release(client: &Client, claim: PersistentVolumeClaim) {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let Some(name) = claim.spec.and_then(|spec| spec.volume_name) else { return };
    let Ok(Some(volume)) = volumes.get_opt(&name).await else { return };
    if volume.spec.and_then(|spec| spec.persistent_volume_reclaim_policy).as_deref() == Some("Delete") {
        let _ = volumes.delete(&name, &Default::default()).await;
    } else {
        let released = Patch::Merge(json!({"status": {"phase": "Released"}}));
        let _ = volumes.patch_status(&name, &PatchParams::default(), &released).await;
    }
}
