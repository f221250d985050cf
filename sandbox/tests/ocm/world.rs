//! A hub and its clusters, with the controllers that a test starts.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_apiserver::ApiServer;
use kaedama_sandbox::ocm::{crds, gitops, placement, registration, view_agent, work_agent};
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::clock::Clock;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Resource};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// An API server that can be cut off: requests then fail as those to a machine that is gone.
pub struct Cluster {
    pub name: String,
    server: ApiServer,
    answers: Arc<AtomicBool>,
}

impl Cluster {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            server: ApiServer::builder(name).seed(7).build(),
            answers: Arc::new(AtomicBool::new(true)),
        }
    }

    /// A client that fails while the cluster is cut off.
    pub fn client(&self) -> Client {
        let (service, answers) = (self.server.service(), self.answers.clone());
        let gate = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (service, answers) = (service.clone(), answers.clone());
            async move {
                if !answers.load(Ordering::Relaxed) {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
                }
                match service.oneshot(request).await {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            }
        });
        Client::new(gate, "default")
    }

    /// A client of the test itself, which always works.
    pub fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let client = self.server.client("test");
        if namespace.is_empty() {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, namespace, &resource)
        }
    }

    pub fn typed<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.server.client("test"), namespace)
    }

    pub fn global<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.server.client("test"))
    }

    pub fn kill(&self) {
        self.answers.store(false, Ordering::Relaxed);
        self.server.end_watches();
    }

    pub fn revive(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }

    /// How many requests were answered so far.
    pub fn revision(&self) -> u64 {
        self.server.revision()
    }

    async fn namespace(&self, name: &str) {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        self.global::<Namespace>().create(&PostParams::default(), &namespace).await.unwrap();
    }
}

/// A hub with clusters dr1 and dr2, without any controller.
pub struct World {
    pub hub: Cluster,
    pub dr1: Cluster,
    pub dr2: Cluster,
    pub clock: Clock,
    running: Vec<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

impl World {
    pub async fn new() -> Self {
        let clock = Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap());
        let (hub, dr1, dr2) = (Cluster::new("hub"), Cluster::new("dr1"), Cluster::new("dr2"));
        define(&hub, crds::hub()).await;
        for spoke in [&dr1, &dr2] {
            hub.namespace(&spoke.name).await;
            define(spoke, crds::spoke()).await;
            define(spoke, vec![widgets()]).await;
            spoke.namespace("app").await;
        }
        hub.namespace("apps").await;
        Self { hub, dr1, dr2, clock, running: Vec::new() }
    }

    pub fn start(&mut self, controller: impl Future<Output = ()> + Send + 'static) {
        self.running.push(tokio::spawn(controller));
    }

    pub fn work_agents(&mut self) {
        self.work_agents_with(|_| {});
    }

    pub fn work_agents_with(&mut self, change: impl Fn(&mut work_agent::Options)) {
        let mut options = work_agent::Options::new(self.clock);
        change(&mut options);
        for (client, name) in [(self.dr1.client(), "dr1"), (self.dr2.client(), "dr2")] {
            let (hub, options) = (self.hub.client(), options.clone());
            self.start(async move { work_agent::run(hub, client, name, options).await });
        }
    }

    pub fn view_agent(&mut self) {
        let (hub, spoke, options) = (self.hub.client(), self.dr1.client(), view_agent::Options::new(self.clock));
        self.start(async move { view_agent::run(hub, spoke, "dr1", options).await });
    }

    pub fn registration(&mut self) {
        let (hub, clock) = (self.hub.client(), self.clock);
        self.start(registration::hub::run(hub, clock));
        for (spoke, name) in [(self.dr1.client(), "dr1"), (self.dr2.client(), "dr2")] {
            let (hub, options) = (self.hub.client(), registration::agent::Options::new(self.clock));
            self.start(async move { registration::agent::run(hub, spoke, name, options).await });
        }
    }

    pub fn placement(&mut self) {
        let (hub, clock) = (self.hub.client(), self.clock);
        self.start(placement::run(hub, clock));
    }

    pub fn gitops(&mut self) {
        let hub = self.hub.client();
        self.start(gitops::run(hub, gitops::Options::default()));
    }

    pub fn works(&self, cluster: &str) -> Api<ManifestWork> {
        self.hub.typed(cluster)
    }

    pub async fn create_work(&self, name: &str, spec: Value) {
        let work = json!({"apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
            "metadata": {"name": name}, "spec": spec});
        let work: ManifestWork = serde_json::from_value(work).unwrap();
        self.works("dr1").create(&PostParams::default(), &work).await.unwrap();
    }

    pub async fn applied(&self, name: &str) -> ManifestWork {
        let look = async || self.works("dr1").get_opt(name).await.unwrap().filter(ManifestWork::is_applied);
        match tokio::time::timeout(Duration::from_secs(900), until("the work is applied", look)).await {
            Ok(work) => work,
            Err(_) => panic!("never applied: {:#?}", self.works("dr1").get_opt(name).await.unwrap()),
        }
    }

    pub async fn work_where(&self, name: &str, what: &str, holds: impl Fn(&ManifestWork) -> bool) -> ManifestWork {
        until(what, async || self.works("dr1").get_opt(name).await.unwrap().filter(&holds)).await
    }
}

async fn define(cluster: &Cluster, definitions: Vec<CustomResourceDefinition>) {
    for definition in definitions {
        cluster.global::<CustomResourceDefinition>().create(&PostParams::default(), &definition).await.unwrap();
    }
}

/// A custom resource with a status subresource.
fn widgets() -> CustomResourceDefinition {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.test.dev"},
        "spec": {
            "group": "test.dev", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}}}]
        }
    }))
    .unwrap()
}

pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": name, "namespace": "app"}, "spec": spec})
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "app"}, "data": {"v": value}})
}

pub fn manifests(manifests: &[Value]) -> Value {
    json!({"workload": {"manifests": manifests}})
}

pub async fn merge<K>(api: &Api<K>, name: &str, change: Value) -> K
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap()
}

pub async fn set_status(api: &Api<DynamicObject>, name: &str, status: Value) {
    let change = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &change).await.unwrap();
}

/// Waits, in virtual time, until something is there.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let start = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(1800), "never came true: {what}");
        // Precise to a twentieth of the time that has passed, so that long waits cost few looks.
        let pause = (start.elapsed() / 20).clamp(Duration::from_millis(5), Duration::from_secs(1));
        tokio::time::sleep(pause).await;
    }
}

pub async fn gone(api: &Api<DynamicObject>, name: &str) {
    until(&format!("{name} is gone"), async || api.get_opt(name).await.unwrap().is_none().then_some(())).await;
}

pub async fn exists(api: &Api<DynamicObject>, name: &str) -> DynamicObject {
    until(&format!("{name} exists"), async || api.get_opt(name).await.unwrap()).await
}

pub async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
