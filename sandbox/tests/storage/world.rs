//! Two clusters with linked storage, and short names for what the tests do with them.

use std::{fmt::Debug, future::Future, time::Duration};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim},
        storage::v1::StorageClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kaedama_apiserver::ApiServer;
use kaedama_sandbox::{
    network::{self, Link},
    storage::{
        ArrayId, Cluster, DEFAULT_DRIVER, Driver, StorageFabric, VolumeHandle, array::LinkSettings, binder, crds,
        fence, volume_replication,
    },
    workload::{self, AppId, Ledger},
};
use kaedama_shared::{
    api::csiaddons::{VolumeReplication, VolumeReplicationClass},
    clock::Clock,
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

pub const NS: &str = "shop";
pub const MINUTE: Duration = Duration::from_secs(60);

/// Two clusters, `dr1` on array `a` and `dr2` on array `b`.
pub struct Pair {
    pub clock: Clock,
    pub fabric: StorageFabric,
    pub ledger: Ledger,
    pub dr1: Site,
    pub dr2: Site,
    _timer: JoinSet<()>,
}

/// A cluster, and what runs on it.
pub struct Site {
    pub server: ApiServer,
    pub client: Client,
    pub driver: Driver,
    /// What lies between the controllers and the API server.
    pub link: Link,
    pub stop: CancellationToken,
    cluster: Cluster,
    ledger: Ledger,
    running: JoinSet<()>,
}

impl Pair {
    /// Storage of their own, linked.
    pub async fn start() -> Self {
        Self::on(["a", "b"]).await
    }

    /// One storage for both.
    pub async fn metro() -> Self {
        Self::on(["a", "a"]).await
    }

    async fn on(arrays: [&str; 2]) -> Self {
        let clock = Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap());
        let fabric = StorageFabric::new(clock);
        for name in ["a", "b"] {
            fabric.add_array(&name.into());
        }
        fabric.link(&"a".into(), &"b".into(), LinkSettings::default());
        fabric.attach("dr1", DEFAULT_DRIVER, &arrays[0].into());
        fabric.attach("dr2", DEFAULT_DRIVER, &arrays[1].into());
        fabric.set_addresses("dr1", vec!["10.1.0.0/16".to_owned()]);
        fabric.set_addresses("dr2", vec!["10.2.0.0/16".to_owned()]);
        let ledger = Ledger::new(fabric.clone());
        let mut timer = JoinSet::new();
        let timed = fabric.clone();
        timer.spawn(async move { timed.run().await });
        let dr1 = Site::start("dr1", &fabric, &ledger, clock).await;
        let dr2 = Site::start("dr2", &fabric, &ledger, clock).await;
        Self { clock, fabric, ledger, dr1, dr2, _timer: timer }
    }

    pub fn app(&self) -> AppId {
        AppId::new(NS, "db")
    }

    /// Copies a claim and its volume to the other cluster, cleaned as an operator that restores them from a store does.
    pub async fn restore(&self, claim: &str, pv: &PersistentVolume, pvc: &PersistentVolumeClaim) {
        let mut pv = pv.clone();
        pv.metadata.resource_version = None;
        pv.metadata.uid = None;
        if let Some(reference) = pv.spec.as_mut().and_then(|spec| spec.claim_ref.as_mut()) {
            (reference.uid, reference.resource_version, reference.api_version) = (None, None, None);
        }
        let mut pvc = pvc.clone();
        pvc.metadata.resource_version = None;
        pvc.metadata.uid = None;
        pvc.metadata.finalizers = None;
        pvc.metadata.annotations = None;
        pvc.metadata.deletion_timestamp = None;
        let post = PostParams::default();
        self.dr2.all::<PersistentVolume>().create(&post, &pv).await.unwrap();
        self.dr2.within::<PersistentVolumeClaim>().create(&post, &pvc).await.unwrap();
        self.dr2.bound(claim).await;
    }
}

impl Site {
    async fn start(name: &str, fabric: &StorageFabric, ledger: &Ledger, clock: Clock) -> Self {
        let server = ApiServer::builder(name).clock(move || clock.now()).build();
        let client = server.client("test");
        let driver = fabric.driver(name, DEFAULT_DRIVER);
        let link = Link::new(name);
        let cluster = Cluster::new(name, network::client(&server, "storage", std::slice::from_ref(&link)), clock);
        let stop = CancellationToken::new();
        let running = JoinSet::new();
        let mut site = Self { server, client, driver, link, stop, cluster, ledger: ledger.clone(), running };
        for definition in crds::all() {
            site.all::<CustomResourceDefinition>().create(&PostParams::default(), &definition).await.unwrap();
        }
        site.apply::<Namespace>(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})).await;
        for (class, policy) in [("fast", "Delete"), ("kept", "Retain")] {
            site.apply::<StorageClass>(json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
                "provisioner": DEFAULT_DRIVER, "reclaimPolicy": policy, "volumeBindingMode": "Immediate"
            }))
            .await;
        }
        site.class("vrc-5m", json!({"schedulingInterval": "5m"})).await;
        site.power_on();
        site
    }

    /// Starts the controllers.
    pub fn power_on(&mut self) {
        let (cluster, driver) = (self.cluster.clone(), self.driver.clone());
        let stop = self.stop.clone();
        let timing = volume_replication::Timing::default();
        self.running.spawn(binder::run(cluster.clone(), driver.clone(), binder::Settings::default(), stop.clone()));
        self.running.spawn(volume_replication::run(cluster.clone(), driver.clone(), timing, stop.clone()));
        self.running.spawn(fence::run(cluster.clone(), driver.clone(), stop.clone()));
        let workload = workload::run(cluster, driver, self.ledger.clone(), workload::Settings::default(), stop);
        self.running.spawn(workload);
    }

    /// Waits until every controller has ended by itself.
    pub async fn ended(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Everything on the cluster stops at once.
    pub async fn power_off(&mut self) {
        self.running.shutdown().await;
    }

    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    pub fn within<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NS)
    }

    /// Creates an object, of whatever kind, in the tests' namespace when it is namespaced.
    pub async fn apply<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api: Api<K> = match &object.meta().namespace {
            // Built by hand: the scope is not known to the compiler here.
            Some(_) => return self.create_namespaced(object).await,
            None => Api::all(self.client.clone()),
        };
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn create_namespaced<K>(&self, object: K) -> K
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let url = K::url_path(&(), object.meta().namespace.as_deref());
        let body = serde_json::to_vec(&object).unwrap();
        let request = kube::core::Request::new(url).create(&PostParams::default(), body).unwrap();
        self.client.request(request).await.unwrap()
    }

    pub async fn class(&self, name: &str, parameters: Value) {
        self.apply::<VolumeReplicationClass>(json!({
            "metadata": {"name": name}, "spec": {"provisioner": DEFAULT_DRIVER, "parameters": parameters}
        }))
        .await;
    }

    pub async fn claim(&self, name: &str, class: &str) {
        self.apply::<PersistentVolumeClaim>(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": NS, "labels": {"app": "db"}},
            "spec": {
                "storageClassName": class, "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}
            }
        }))
        .await;
    }

    /// Starts the application `db`, which writes a record a second to the claims.
    pub async fn deploy(&self, claims: &[&str]) {
        let volumes: Vec<Value> =
            claims.iter().map(|c| json!({"name": c, "persistentVolumeClaim": {"claimName": c}})).collect();
        self.apply::<Deployment>(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "db", "namespace": NS, "labels": {workload::WRITER: "true"}},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "db", "image": "db"}], "volumes": volumes}
                }
            }
        }))
        .await;
    }

    pub async fn undeploy(&self) {
        self.within::<Deployment>().delete("db", &DeleteParams::default()).await.unwrap();
    }

    /// Creates the VolumeReplication of a claim, or changes what it is asked for.
    pub async fn replicate(&self, claim: &str, state: &str, auto_resync: bool) {
        let api = self.within::<VolumeReplication>();
        if api.get_opt(claim).await.unwrap().is_some() {
            let spec = json!({"spec": {"replicationState": state, "autoResync": auto_resync}});
            api.patch(claim, &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
            return;
        }
        self.apply::<VolumeReplication>(json!({
            "metadata": {"name": claim, "namespace": NS},
            "spec": {
                "volumeReplicationClass": "vrc-5m", "replicationState": state, "autoResync": auto_resync,
                "dataSource": {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": claim}
            }
        }))
        .await;
    }

    pub async fn vr(&self, claim: &str) -> Option<VolumeReplication> {
        self.within().get_opt(claim).await.unwrap()
    }

    /// Waits until a VolumeReplication's conditions are exactly these, all of them of its present generation.
    pub async fn conditions(&self, claim: &str, expected: &[&str]) {
        until(&format!("VolumeReplication {claim} has {expected:?}"), || async {
            let vr = self.vr(claim).await.ok_or("it does not exist")?;
            let generation = vr.metadata.generation.unwrap_or_default();
            let status = vr.status.unwrap_or_default();
            let current = status.observed_generation == generation;
            let mut row: Vec<String> = status
                .conditions
                .iter()
                .filter(|condition| condition.is_at(generation))
                .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
                .collect();
            row.sort();
            if current && row == expected { Ok(()) } else { Err(format!("{row:?}: {}", status.message)) }
        })
        .await;
    }

    pub async fn bound(&self, claim: &str) -> (PersistentVolume, PersistentVolumeClaim) {
        self.claim_phase(claim, "Bound").await;
        let pvc = self.within::<PersistentVolumeClaim>().get(claim).await.unwrap();
        let name = pvc.spec.as_ref().unwrap().volume_name.clone().unwrap();
        until(&format!("PersistentVolume {name} is Bound"), || async {
            match self.pv_phase(&name).await.as_deref() {
                Some("Bound") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        (self.all::<PersistentVolume>().get(&name).await.unwrap(), pvc)
    }

    pub async fn claim_phase(&self, claim: &str, expected: &str) {
        until(&format!("PersistentVolumeClaim {claim} is {expected}"), || async {
            let pvc = self.within::<PersistentVolumeClaim>().get_opt(claim).await.unwrap();
            let phase = pvc.and_then(|pvc| pvc.status).and_then(|status| status.phase);
            if phase.as_deref() == Some(expected) { Ok(()) } else { Err(format!("{phase:?}")) }
        })
        .await;
    }

    pub async fn pv_phase(&self, name: &str) -> Option<String> {
        let pv = self.all::<PersistentVolume>().get_opt(name).await.unwrap();
        pv.and_then(|pv| pv.status).and_then(|status| status.phase)
    }

    pub async fn available(&self, expected: i32) {
        until(&format!("db has {expected} replicas available"), || async {
            let deployment = self.within::<Deployment>().get("db").await.unwrap();
            let status = deployment.status.unwrap_or_default();
            let available = status.available_replicas.unwrap_or_default();
            if available == expected { Ok(()) } else { Err(format!("{:?}", status.conditions)) }
        })
        .await;
    }

    pub async fn gone<K>(&self, api: Api<K>, name: &str)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        until(&format!("{} {name} is gone", K::kind(&())), || async {
            match api.get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(object) => Err(format!("finalizers {:?}", object.meta().finalizers)),
            }
        })
        .await;
    }
}

pub fn handle(pv: &PersistentVolume) -> VolumeHandle {
    pv.spec.as_ref().unwrap().csi.as_ref().unwrap().volume_handle.as_str().into()
}

/// The bytes of a volume on an array; `None` when there is no such volume.
pub fn bytes(fabric: &StorageFabric, array: &str, handle: &VolumeHandle) -> Option<Vec<u8>> {
    let array = ArrayId::from(array);
    fabric.with(|arrays, _| arrays.inspect(&array, handle)).map(|content| content.to_bytes())
}

/// Waits, in virtual time, until `check` is content; fails with its last objection.
pub async fn until<F, E>(what: &str, mut check: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
    E: Into<String>,
{
    let mut objection = String::new();
    for _ in 0..600 {
        match check().await {
            Ok(()) => return,
            Err(why) => objection = why.into(),
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("waited a minute until {what}: {objection}");
}
