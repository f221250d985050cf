//! What carries applications to the clusters that a Placement's decision names, as OCM's subscriptions and Argo CD's
//! ApplicationSets with a cluster-decision generator do.
//!
//! An application is a ConfigMap on the hub, in the namespace of its Placement:
//!
//! ```yaml
//! apiVersion: v1
//! kind: ConfigMap
//! metadata:
//!   name: shop                                   # name of the application
//!   namespace: apps                              # where its Placement is
//!   labels: {gitops.kaedama.dev/application: "true"}
//! data:
//!   placement: shop-placement                    # the Placement
//!   namespace: shop                              # namespace on the clusters, for manifests that name none
//!   manifests: |                                 # YAML documents
//!     apiVersion: v1
//!     kind: PersistentVolumeClaim
//!     …
//! ```
//!
//! The clusters are those of **all** entries of the PlacementDecisions with the Placement's label, retained ones
//! included: that is what such entries are for. Each gets one ManifestWork, named `<namespace>-<name>-app`; a cluster
//! that is no longer named loses it, and with it the application. The namespace is created where it is missing and
//! stays when the application goes. Manifests are applied on the server's side, so that what others write into them
//! (the binder into a claim, for one) is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_shared::api::ocm::placement::PLACEMENT_LABEL;
use kaedama_shared::api::ocm::work::{
    DeleteOption, ManifestConfig, ManifestWorkSpec, ResourceIdentifier, SelectivelyOrphan, ServerSideApply,
    UpdateStrategy, Workload, propagation, strategy,
};
use kaedama_shared::api::ocm::{ManifestWork, PlacementDecision};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::runtime::{
    Attempt, Change, Error, Guarded, ObjectKey, Pass, Queue, Store, follow, is_conflict, is_not_found, serve,
};

/// Label of a ConfigMap that describes an application; its value is `"true"`.
pub const APPLICATION_LABEL: &str = "gitops.kaedama.dev/application";
/// Label of a ManifestWork: namespace of the application.
pub const WORK_NAMESPACE_LABEL: &str = "gitops.kaedama.dev/application-namespace";
/// Label of a ManifestWork: name of the application.
pub const WORK_NAME_LABEL: &str = "gitops.kaedama.dev/application-name";

/// How applications are carried.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long after a decision has changed the change is followed. ApplicationSets take up to 180 s.
    pub reaction: Duration,
}

/// An application: what [`Application::config_map`] turns into the ConfigMap that the controller reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    /// Name of the application.
    pub name: String,
    /// Namespace on the hub: that of the Placement.
    pub namespace: String,
    /// Name of the Placement.
    pub placement: String,
    /// Namespace on the clusters, for manifests that name none.
    pub target_namespace: String,
    /// The objects.
    pub manifests: Vec<Value>,
}

impl Application {
    /// The ConfigMap that describes the application.
    #[must_use]
    pub fn config_map(&self) -> ConfigMap {
        // JSON is YAML, and a value always has a JSON text.
        let manifests: Vec<String> = self.manifests.iter().map(Value::to_string).collect();
        let mut map = ConfigMap::default();
        map.metadata.name = Some(self.name.clone());
        map.metadata.namespace = Some(self.namespace.clone());
        map.metadata.labels = Some(BTreeMap::from([(APPLICATION_LABEL.into(), "true".into())]));
        map.data = Some(BTreeMap::from([
            ("placement".into(), self.placement.clone()),
            ("namespace".into(), self.target_namespace.clone()),
            ("manifests".into(), manifests.join("\n---\n")),
        ]));
        map
    }

    fn read(map: &ConfigMap) -> Result<Self, String> {
        let data = map.data.as_ref();
        let text = |key: &str| data.and_then(|data| data.get(key)).cloned().unwrap_or_default();
        let mut manifests = Vec::new();
        for document in serde_yaml::Deserializer::from_str(&text("manifests")) {
            match Value::deserialize(document) {
                Ok(Value::Null) => {}
                Ok(manifest) => manifests.push(manifest),
                Err(error) => return Err(format!("the manifests are not YAML: {error}")),
            }
        }
        if text("placement").is_empty() {
            return Err("no placement is named".into());
        }
        Ok(Self {
            name: map.name_any(),
            namespace: map.namespace().unwrap_or_default(),
            placement: text("placement"),
            target_namespace: text("namespace"),
            manifests,
        })
    }

    /// The work that brings the application to a cluster.
    fn work(&self) -> ManifestWork {
        let mut manifests: Vec<Value> = Vec::new();
        if !self.target_namespace.is_empty() {
            manifests
                .push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.target_namespace}}));
        }
        for manifest in &self.manifests {
            let mut manifest = manifest.clone();
            if !self.target_namespace.is_empty()
                && let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.entry("namespace").or_insert_with(|| self.target_namespace.clone().into());
            }
            manifests.push(manifest);
        }
        let identifiers: Vec<ResourceIdentifier> = manifests.iter().map(identifier).collect();
        let stays =
            |identifier: &&ResourceIdentifier| identifier.group.is_empty() && identifier.resource == "namespaces";
        let orphaning_rules = identifiers.iter().filter(stays).cloned().collect();
        let mut work = ManifestWork::new(
            &format!("{}-{}-app", self.namespace, self.name),
            ManifestWorkSpec {
                delete_option: Some(DeleteOption {
                    propagation_policy: propagation::SELECTIVELY_ORPHAN.into(),
                    selectively_orphans: Some(SelectivelyOrphan { orphaning_rules }),
                    ttl_seconds_after_finished: None,
                }),
                manifest_configs: identifiers.into_iter().map(server_side).collect(),
                workload: Workload { manifests },
                executor: None,
            },
        );
        work.metadata.labels = Some(BTreeMap::from([
            (WORK_NAMESPACE_LABEL.into(), self.namespace.clone()),
            (WORK_NAME_LABEL.into(), self.name.clone()),
        ]));
        work
    }
}

fn identifier(manifest: &Value) -> ResourceIdentifier {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&manifest["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    // The kind may not be served on the hub, so its plural is derived. A wrong guess costs the apply strategy only.
    let gvk = GroupVersionKind::gvk(group, version, &text(&manifest["kind"]));
    let namespace = if gvk.kind == "Namespace" { String::new() } else { text(&manifest["metadata"]["namespace"]) };
    ResourceIdentifier {
        group: group.to_owned(),
        resource: ApiResource::from_gvk(&gvk).plural,
        namespace,
        name: text(&manifest["metadata"]["name"]),
    }
}

fn server_side(resource_identifier: ResourceIdentifier) -> ManifestConfig {
    ManifestConfig {
        resource_identifier,
        update_strategy: Some(UpdateStrategy {
            type_: strategy::SERVER_SIDE_APPLY.into(),
            server_side_apply: Some(ServerSideApply { force: Some(true), ..ServerSideApply::default() }),
        }),
        ..ManifestConfig::default()
    }
}

/// Carries applications until the future is dropped. Runs on the hub.
pub async fn run(hub: Client, options: Options) {
    let controller = Controller {
        applications: Store::new(),
        decisions: Store::new(),
        works: Store::new(),
        queue: Queue::new(),
        read: Mutex::default(),
        carried: Mutex::default(),
        options,
        hub: hub.clone(),
    };
    let queue = &controller.queue;
    let applications: Api<Guarded<ConfigMap>> = Api::all(hub.clone());
    let decisions: Api<Guarded<PlacementDecision>> = Api::all(hub.clone());
    let works: Api<Guarded<ManifestWork>> = Api::all(hub);
    let labelled = Config::default().labels(&format!("{APPLICATION_LABEL}=true"));
    let carried = Config::default().labels(WORK_NAME_LABEL);
    tokio::join!(
        follow(applications, labelled, &controller.applications, |change: Change<'_, ConfigMap>| {
            queue.add(ObjectKey::of(change.object()));
        }),
        follow(decisions, Config::default(), &controller.decisions, |change: Change<'_, PlacementDecision>| {
            controller.decision_changed(change.object());
        }),
        follow(works, carried, &controller.works, |change: Change<'_, ManifestWork>| {
            if controller.is_new(&change) {
                queue.extend_from(application_of(change.object()));
            }
        }),
        async {
            controller.applications.ready().await;
            controller.decisions.ready().await;
            controller.works.ready().await;
            serve("gitops", queue, |key| controller.pass(key)).await;
        },
    );
}

impl Queue<ObjectKey> {
    fn extend_from(&self, key: Option<ObjectKey>) {
        if let Some(key) = key {
            self.add(key);
        }
    }
}

fn application_of(work: &ManifestWork) -> Option<ObjectKey> {
    let labels = work.metadata.labels.as_ref()?;
    Some(ObjectKey::new(labels.get(WORK_NAMESPACE_LABEL)?, labels.get(WORK_NAME_LABEL)?))
}

fn is_of(work: &ManifestWork, application: &ObjectKey) -> bool {
    let label = |key| work.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    label(WORK_NAMESPACE_LABEL) == Some(&application.namespace) && label(WORK_NAME_LABEL) == Some(&application.name)
}

struct Controller {
    hub: Client,
    options: Options,
    applications: Store<ConfigMap>,
    decisions: Store<PlacementDecision>,
    works: Store<ManifestWork>,
    queue: Queue<ObjectKey>,
    /// The applications as they were read last, with the version of their ConfigMap.
    read: Mutex<BTreeMap<ObjectKey, Read>>,
    /// The works as they were seen last.
    carried: Mutex<BTreeMap<ObjectKey, Carried>>,
}

/// An application as it was read, and the version of what it was read from.
type Read = (Option<String>, Arc<Application>);

/// What of a work concerns its application: all but its status.
#[derive(PartialEq, Eq)]
struct Carried {
    uid: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    deleted: bool,
}

impl Controller {
    /// Whether more of a work has changed than its status.
    fn is_new(&self, change: &Change<'_, ManifestWork>) -> bool {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Applied(work) => {
                let meta = &work.metadata;
                let now = Carried {
                    uid: meta.uid.clone(),
                    generation: meta.generation,
                    labels: meta.labels.clone(),
                    deleted: meta.deletion_timestamp.is_some(),
                };
                let key = ObjectKey::of(*work);
                let same = carried.get(&key) == Some(&now);
                carried.insert(key, now);
                !same
            }
            Change::Gone(work) => {
                carried.remove(&ObjectKey::of(*work));
                true
            }
        }
    }

    /// An application from its ConfigMap.
    fn application(&self, key: &ObjectKey, map: &ConfigMap) -> Result<Arc<Application>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let version = map.metadata.resource_version.clone();
        if let Some((_, known)) = read.get(key).filter(|(of, _)| of.is_some() && *of == version) {
            return Ok(known.clone());
        }
        let application = Arc::new(Application::read(map)?);
        read.insert(key.clone(), (version, application.clone()));
        Ok(application)
    }

    fn decision_changed(&self, decision: &PlacementDecision) {
        let Some(placement) = decision.labels().get(PLACEMENT_LABEL) else { return };
        let namespace = decision.metadata.namespace.as_ref();
        for application in self.applications.all() {
            let named = application.data.as_ref().and_then(|data| data.get("placement"));
            if named == Some(placement) && application.metadata.namespace.as_ref() == namespace {
                self.queue.add_after(ObjectKey::of(application.as_ref()), self.options.reaction);
            }
        }
    }

    /// The clusters that the decisions of a Placement name, retained ones included.
    fn clusters(&self, namespace: &str, placement: &str) -> BTreeSet<String> {
        let of_placement = |decision: &&Arc<PlacementDecision>| {
            decision.metadata.namespace.as_deref() == Some(namespace)
                && decision.labels().get(PLACEMENT_LABEL).is_some_and(|label| label == placement)
        };
        let decisions = self.decisions.all();
        let named = decisions.iter().filter(of_placement).flat_map(|decision| decision.decisions().to_vec());
        named.map(|decision| decision.cluster_name).filter(|cluster| !cluster.is_empty()).collect()
    }

    async fn pass(&self, key: ObjectKey) -> Result<Pass, Error> {
        let map = self.applications.get(&key).filter(|map| map.metadata.deletion_timestamp.is_none());
        let application = match map.as_deref().map(|map| self.application(&key, map)).transpose() {
            Ok(application) => application,
            Err(why) => {
                // Nothing is taken away because of a mistake in the description.
                tracing::warn!(application = %key, %why, "application cannot be read");
                return Ok(Pass::Done);
            }
        };
        let mut wanted = BTreeMap::new();
        if let Some(application) = &application {
            for cluster in self.clusters(&key.namespace, &application.placement) {
                wanted.insert(cluster, application.work());
            }
        }
        let mut waiting = false;
        for work in self.works.all() {
            if !is_of(&work, &key) {
                continue;
            }
            let cluster = work.metadata.namespace.clone().unwrap_or_default();
            let wanted_here = wanted.remove(&cluster).filter(|wanted| wanted.metadata.name == work.metadata.name);
            match wanted_here {
                // The work's end comes as a change of it; then it is made anew.
                _ if work.metadata.deletion_timestamp.is_some() => {}
                None => self.delete(&cluster, &work).await?,
                Some(wanted) => self.update(&cluster, &work, &wanted).await?,
            }
        }
        for (cluster, work) in wanted {
            waiting |= !self.create(&cluster, &work).await?;
        }
        Ok(if waiting { Pass::Pending } else { Pass::Done })
    }

    fn api(&self, cluster: &str) -> Api<ManifestWork> {
        Api::namespaced(self.hub.clone(), cluster)
    }

    /// Tells whether the work is there; `false` while its cluster has no namespace yet.
    async fn create(&self, cluster: &str, work: &ManifestWork) -> Result<bool, Error> {
        match self.api(cluster).create(&PostParams::default(), work).await {
            Ok(_) => {
                tracing::info!(work = %work.name_any(), %cluster, "application placed");
                Ok(true)
            }
            Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(false),
            Err(error) => Err(error).attempt(|| format!("creating work {} for {cluster}", work.name_any())),
        }
    }

    async fn update(&self, cluster: &str, work: &ManifestWork, wanted: &ManifestWork) -> Result<(), Error> {
        // Compared as values: the server sorts keys and fills in defaults.
        let (now, then) = (json!(work.spec.workload), json!(wanted.spec.workload));
        if now == then {
            return Ok(());
        }
        let name = work.name_any();
        let change = json!({"metadata": {"resourceVersion": work.metadata.resource_version}, "spec": wanted.spec});
        let written = self.api(cluster).patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
        written.map(|_| ()).attempt(|| format!("changing work {name} for {cluster}"))
    }

    async fn delete(&self, cluster: &str, work: &ManifestWork) -> Result<(), Error> {
        let name = work.name_any();
        match self.api(cluster).delete(&name, &DeleteParams::default()).await {
            Ok(_) => {
                tracing::info!(work = %name, %cluster, "application withdrawn");
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(error).attempt(|| format!("deleting work {name} of {cluster}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> Application {
        Application {
            name: "shop".into(),
            namespace: "apps".into(),
            placement: "p".into(),
            target_namespace: "shop".into(),
            manifests: vec![json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}})],
        }
    }

    #[test]
    fn an_application_survives_its_config_map() {
        assert_eq!(Application::read(&application().config_map()), Ok(application()));
        assert!(Application::read(&ConfigMap::default()).is_err());
    }

    #[test]
    fn the_namespace_stays_and_claims_are_applied_on_the_server() {
        let work = application().work();
        assert_eq!(work.spec.workload.manifests[0]["kind"], "Namespace");
        assert_eq!(work.spec.workload.manifests[1]["metadata"]["namespace"], "shop");
        let option = work.spec.delete_option.unwrap();
        let rules = option.selectively_orphans.unwrap().orphaning_rules;
        assert_eq!(rules.iter().map(|rule| rule.resource.as_str()).collect::<Vec<_>>(), ["namespaces"]);
        let claim = &work.spec.manifest_configs[1];
        assert_eq!(claim.resource_identifier.resource, "persistentvolumeclaims");
        assert_eq!(claim.update_strategy.as_ref().unwrap().type_, strategy::SERVER_SIDE_APPLY);
    }
}
