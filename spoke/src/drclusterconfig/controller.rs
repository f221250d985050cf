//! Watches what the cluster offers, and writes it into the DRClusterConfig.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::DRClusterConfig;
use kaedama_shared::api::csiaddons::{
    NetworkFenceClass, SCHEDULING_INTERVAL, VolumeGroupReplicationClass, VolumeGroupSnapshotClass,
    VolumeReplicationClass, VolumeSnapshotClass,
};
use kaedama_shared::clock::Clock;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::backoff::Backoff;
use kaedama_shared::harness::cache::{Cache, Installations, Scope};
use kaedama_shared::harness::controller::{Controller, Next, Settings};
use kaedama_shared::harness::metrics::HarnessMetrics;
use kaedama_shared::names;
use kaedama_shared::report::ClassFacts;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::offer::{self, Found};
use crate::vrg::act::FIELD_MANAGER;
use crate::vrg::snapshot::annotation;

/// Label of what an early release of the reference product left behind.
const LEFT_OVER: &str = "drclusterconfigs.ramendr.openshift.io/owner=ramen";
/// The prefix of the labels that pairing looks at.
const LABELS: &str = "ramendr.openshift.io/";

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum PassFailed {
    /// A class list cannot be believed.
    #[error("what the cluster offers is not known: {0}")]
    Unknown(String),
    /// A write failed.
    #[error("cannot {what} DRClusterConfig {name}")]
    Write {
        /// What was attempted.
        what: &'static str,
        /// On which object.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
}

/// The controller.
#[derive(Clone)]
pub struct Offers {
    client: Client,
    clock: Clock,
    configs: Cache<DRClusterConfig>,
    storage: Cache<StorageClass>,
    replications: Cache<VolumeReplicationClass>,
    group_replications: Cache<VolumeGroupReplicationClass>,
    snapshots: Cache<VolumeSnapshotClass>,
    group_snapshots: Cache<VolumeGroupSnapshotClass>,
    fences: Cache<NetworkFenceClass>,
    nodes: Cache<DynamicObject>,
    networks: Cache<DynamicObject>,
    cleaned: Arc<OnceCell<()>>,
}

impl Offers {
    /// Starts watching. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        requests: Client,
        watches: &Client,
        clock: Clock,
        storage: Cache<StorageClass>,
        replications: Cache<VolumeReplicationClass>,
        installations: &Installations,
        metrics: &HarnessMetrics,
    ) -> Self {
        let optional = || Scope::default().optional_by(installations).metrics(metrics);
        let nodes = resource("csiaddons.openshift.io", "v1alpha1", "CSIAddonsNode", "csiaddonsnodes");
        let networks =
            resource("k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition", "network-attachment-definitions");
        // Older roles of RamenDR do not have this kind.
        let marked = optional().dispensable().labels(format!("{}=true", names::DR_NETWORK));
        Self {
            client: requests,
            clock,
            configs: Cache::start("drclusterconfigs", Api::all(watches.clone()), optional()),
            storage,
            replications,
            group_replications: watch("volumegroupreplicationclasses", watches, optional()),
            snapshots: watch("volumesnapshotclasses", watches, optional()),
            group_snapshots: watch("volumegroupsnapshotclasses", watches, optional()),
            fences: watch("networkfenceclasses", watches, optional()),
            nodes: Cache::start("csiaddonsnodes", Api::all_with(watches.clone(), &nodes), optional()),
            networks: Cache::start("network-attachment-definitions", Api::all_with(watches.clone(), &networks), marked),
            cleaned: Arc::default(),
        }
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken, metrics: &HarnessMetrics) {
        let settings = Settings {
            backoff: Backoff { base: std::time::Duration::from_secs(1), cap: std::time::Duration::from_secs(300) },
            ..Settings::default()
        };
        let controller = Controller::new("drclusterconfig").settings(settings).metrics(metrics).primary(&self.configs);
        let controller = self.on(controller, &self.storage);
        let controller = self.on(controller, &self.replications);
        let controller = self.on(controller, &self.group_replications);
        let controller = self.on(controller, &self.snapshots);
        let controller = self.on(controller, &self.group_snapshots);
        let controller = self.on(controller, &self.fences);
        let controller = self.on(controller, &self.nodes);
        let controller = self.on(controller, &self.networks);
        controller.run(stop, move |key| self.clone().pass(key)).await;
    }

    /// Any change of what is offered concerns every configuration.
    fn on<K>(&self, controller: Controller<ObjectKey>, cache: &Cache<K>) -> Controller<ObjectKey>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let configs = self.configs.clone();
        controller
            .watches(cache, move |_| configs.list().iter().map(|config| ObjectKey::of(&**config)).collect::<Vec<_>>())
    }

    async fn pass(self, key: ObjectKey) -> Result<Next, PassFailed> {
        let Some(config) = self.configs.get(&key) else { return Ok(Next::Await) };
        let api: Api<DRClusterConfig> = Api::all(self.client.clone());
        let failed = |what: &'static str| {
            let name = key.name.clone();
            move |source| PassFailed::Write { what, name, source }
        };
        let held = config.metadata.finalizers.iter().flatten().any(|own| own == names::DRCLUSTERCONFIG_FINALIZER);
        let deleting = config.metadata.deletion_timestamp.is_some();
        // Held and to be let go, or not held and to be held.
        if deleting == held
            && let Err(error) = self.finalizer(&api, &config, !deleting).await
        {
            return if is_overtaken(&error) { Ok(Next::BackOff) } else { Err(failed("write the finalizer of")(error)) };
        }
        if deleting {
            return Ok(Next::Await);
        }
        self.cleaned.get_or_init(|| self.clean_up()).await;
        let found = self.found().map_err(PassFailed::Unknown)?;
        let status = offer::status(&config, &found, self.clock.now_seconds());
        if config.status.as_ref() == Some(&status) {
            return Ok(Next::Await);
        }
        // Fields that are empty now are written as null, so that a merge takes the old value away.
        let mut body = json!(config.status.clone().unwrap_or_default());
        for value in body.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            *value = serde_json::Value::Null;
        }
        if let (Some(all), serde_json::Value::Object(new)) = (body.as_object_mut(), json!(status)) {
            all.extend(new);
        }
        let body = json!({ "status": body });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(&key.name, &params, &Patch::Merge(body)).await {
            Ok(_) => Ok(Next::Await),
            Err(error) if is_overtaken(&error) => Ok(Next::BackOff),
            Err(error) => Err(failed("write the status of")(error)),
        }
    }

    async fn finalizer(
        &self,
        api: &Api<DRClusterConfig>,
        config: &DRClusterConfig,
        hold: bool,
    ) -> Result<(), kube::Error> {
        let mut object = config.clone();
        let finalizers = object.metadata.finalizers.get_or_insert_default();
        finalizers.retain(|own| own != names::DRCLUSTERCONFIG_FINALIZER);
        if hold {
            finalizers.push(names::DRCLUSTERCONFIG_FINALIZER.to_owned());
        }
        let name = object.metadata.name.clone().unwrap_or_default();
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        api.replace(&name, &params, &object).await.map(drop)
    }

    /// Everything that the cluster has, if all of it can be believed.
    fn found(&self) -> Result<Found, String> {
        let doubts = [
            self.storage.doubt(),
            self.replications.doubt(),
            self.group_replications.doubt(),
            self.snapshots.doubt(),
            self.group_snapshots.doubt(),
            self.fences.doubt(),
            self.nodes.doubt(),
            self.networks.doubt(),
        ];
        if let Some(why) = doubts.into_iter().flatten().next() {
            return Err(why);
        }
        let fences = self.fences.list();
        let fences = fences.iter().filter(|class| annotation(&class.metadata, names::STORAGE_ID).is_some());
        Ok(Found {
            storage: self.storage.list().iter().map(|class| facts(&class.metadata, &class.provisioner, None)).collect(),
            snapshots: self.snapshots.list().iter().map(|class| facts(&class.metadata, &class.driver, None)).collect(),
            group_snapshots: self
                .group_snapshots
                .list()
                .iter()
                .map(|class| facts(&class.metadata, &class.driver, None))
                .collect(),
            replications: self
                .replications
                .list()
                .iter()
                .map(|class| facts(&class.metadata, &class.spec.provisioner, Some(&class.spec.parameters)))
                .collect(),
            group_replications: self
                .group_replications
                .list()
                .iter()
                .map(|class| facts(&class.metadata, &class.spec.provisioner, Some(&class.spec.parameters)))
                .collect(),
            fences: fences
                .map(|class| (class.metadata.name.clone().unwrap_or_default(), class.spec.provisioner.clone()))
                .collect(),
            nodes: self.nodes.list().iter().map(|node| (**node).clone()).collect(),
            networks: self.networks.list().iter().map(|network| (**network).clone()).collect(),
            configs: self.configs.list().len(),
        })
    }

    /// Removes the claims of clusters that an early release of the reference product made. Once per start; it does not
    /// matter if it fails.
    async fn clean_up(&self) {
        let claims = resource("cluster.open-cluster-management.io", "v1alpha1", "ClusterClaim", "clusterclaims");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &claims);
        let Ok(found) = api.list_metadata(&ListParams::default().labels(LEFT_OVER)).await else { return };
        for claim in found.items {
            let name = claim.metadata.name.unwrap_or_default();
            if let Err(error) = api.delete(&name, &kube::api::DeleteParams::default()).await {
                tracing::warn!(claim = name, %error, "left-over ClusterClaim stays");
            }
        }
    }
}

fn watch<K>(name: &str, client: &Client, scope: Scope) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    Cache::start(name, Api::all(client.clone()), scope)
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn is_overtaken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

fn facts(meta: &ObjectMeta, provisioner: &str, parameters: Option<&BTreeMap<String, String>>) -> ClassFacts {
    let labels = meta.labels.iter().flatten().filter(|(key, _)| key.starts_with(LABELS));
    ClassFacts {
        name: meta.name.clone().unwrap_or_default(),
        provisioner: provisioner.to_owned(),
        labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        scheduling_interval: parameters.and_then(|all| all.get(SCHEDULING_INTERVAL)).cloned().unwrap_or_default(),
    }
}
