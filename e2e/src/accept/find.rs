//! Finding what a run has made: by its mark, by the names of its namespaces, and by nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_sandbox::world::DRIVER;
use kaedama_shared::api::DRCluster;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::names;
use kaedama_shared::s3::S3Store;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::discovery::{ApiCapabilities, Scope};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::clusters::{Site, Sites};
use super::mark::{LABEL, PREFIX, is_run, run_of};
use super::{Refusal, brief};
use crate::objects::claimed_in;

/// Between two looks.
pub(super) const STEP: Duration = Duration::from_millis(300);

/// Whose traces are looked for.
#[derive(Clone, Debug)]
pub struct Traces {
    pub(super) selector: String,
    pub(super) prefix: String,
}

impl Traces {
    /// Those of one run, by its name.
    #[must_use]
    pub fn of(run: &str) -> Self {
        Self { selector: format!("{LABEL}={run}"), prefix: format!("{run}-") }
    }

    /// Those of one scenario of a run: what its namespaces begin with. They have no mark of their own.
    #[must_use]
    pub fn within(prefix: &str) -> Self {
        Self { selector: String::new(), prefix: format!("{prefix}-") }
    }

    /// Those of every run.
    #[must_use]
    pub fn all() -> Self {
        Self { selector: LABEL.to_owned(), prefix: PREFIX.to_owned() }
    }

    /// Whether something of this name is a run's: others may begin theirs alike.
    pub(super) fn names(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && run_of(name).is_some()
    }
}

/// A kind that can be listed and deleted.
pub(super) type Kind = (ApiResource, ApiCapabilities);

pub(super) fn failed(site: &Site, what: &str, error: &kube::Error) -> Refusal {
    Refusal::new(format!("{}: cannot {what}: {}", site.name, brief(error)), "mend it, then run `accept clean`")
}

/// All kinds of a cluster of which there can be objects.
///
/// # Errors
/// The cluster does not say.
pub async fn kinds(site: &Site) -> Result<Vec<Kind>, Refusal> {
    let discovery = match Discovery::new(site.client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        // Before Kubernetes 1.30 it may not know that way of asking.
        Err(_) => Discovery::new(site.client.clone())
            .run()
            .await
            .map_err(|error| failed(site, "find out which kinds it has", &error))?,
    };
    let mut all = Vec::new();
    for group in discovery.groups() {
        // Not those of the group's preferred version only: it need not have all kinds of the group.
        for (resource, can) in group.resources_by_stability() {
            if can.supports_operation(verbs::LIST) && can.supports_operation(verbs::DELETE) {
                all.push((resource, can));
            }
        }
    }
    all.sort_by(|(one, _), (other, _)| (&one.group, &one.plural).cmp(&(&other.group, &other.plural)));
    Ok(all)
}

pub(super) fn api(client: &Client, (resource, can): &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    match (namespace, &can.scope) {
        (Some(namespace), Scope::Namespaced) if !namespace.is_empty() => {
            Api::namespaced_with(client.clone(), namespace, resource)
        }
        _ => Api::all_with(client.clone(), resource),
    }
}

/// One object that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) uid: String,
    /// It has the mark of a run.
    pub(super) is_marked: bool,
    /// Nobody would end it: a pod of the sandbox's, which no node runs.
    pub(super) on_no_node: bool,
}

impl Found {
    pub(super) fn text(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.0.kind, self.name),
            None => format!("{} {}", self.kind.0.kind, self.name),
        }
    }

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        api(client, &self.kind, self.namespace.as_deref())
    }

    /// Deletes it: this object, not another one of its name.
    pub(super) async fn delete(&self, client: &Client) -> kube::Result<()> {
        let mut exactly = DeleteParams::background()
            .preconditions(kube::api::Preconditions { uid: Some(self.uid.clone()), resource_version: None });
        if self.on_no_node {
            exactly.grace_period_seconds = Some(0);
        }
        gone_is_fine(self.api(client).delete(&self.name, &exactly).await.map(drop))
    }

    pub(super) async fn is_there(&self, client: &Client) -> bool {
        match self.api(client).get_metadata_opt(&self.name).await {
            Ok(found) => found.is_some_and(|object| object.uid().as_deref() == Some(self.uid.as_str())),
            Err(_) => true,
        }
    }

    /// Takes Kaedama's finalizers off, and no others: those that run wait for what others do.
    pub(super) async fn strip_ours(&self, client: &Client) -> kube::Result<()> {
        let Some(object) = self.api(client).get_metadata_opt(&self.name).await? else { return Ok(()) };
        let ours = |finalizer: &String| finalizer.contains("ramendr.openshift.io/");
        let others: Vec<&String> = object.finalizers().iter().filter(|finalizer| !ours(finalizer)).collect();
        if others.len() == object.finalizers().len() {
            return Ok(());
        }
        let metadata = json!({ "uid": self.uid, "resourceVersion": object.resource_version(), "finalizers": others });
        let change = Patch::Merge(json!({ "metadata": metadata }));
        gone_is_fine(self.api(client).patch(&self.name, &PatchParams::default(), &change).await.map(drop))
    }

    pub(super) async fn strip(&self, client: &Client) -> kube::Result<()> {
        let change = Patch::Merge(json!({ "metadata": { "uid": self.uid, "finalizers": null } }));
        gone_is_fine(self.api(client).patch(&self.name, &PatchParams::default(), &change).await.map(drop))
    }
}

pub(super) fn gone_is_fine(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other,
    }
}

pub(super) async fn list(
    site: &Site,
    kind: &Kind,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Found>, Refusal> {
    let params = ListParams::default().labels(selector);
    let api = api(&site.client, kind, namespace);
    let mut listed = api.list_metadata(&params).await;
    for _ in 0..20 {
        // Whose definition is new, or was changed, is not served for a moment.
        let busy = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 429);
        if !listed.as_ref().is_err_and(busy) {
            break;
        }
        tokio::time::sleep(STEP).await;
        listed = api.list_metadata(&params).await;
    }
    let listed = match listed {
        Ok(list) => list.items,
        // Its definition went meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(failed(site, &format!("list {}.{}", kind.0.plural, kind.0.group), &error)),
    };
    let found = |object: kube::core::PartialObjectMeta<DynamicObject>| Found {
        kind: kind.clone(),
        namespace: object.namespace(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        is_marked: object.labels().get(LABEL).is_some_and(|run| is_run(run)),
        // Others' pods belong to ReplicaSets and the like.
        on_no_node: kind.0.kind == "Pod"
            && kind.0.group.is_empty()
            && object.owner_references().iter().any(|owner| owner.kind == "Deployment"),
    };
    Ok(listed.into_iter().map(found).collect())
}

/// Objects with the mark, outside of the run's namespaces, which go with these. And what could not be looked at: a kind
/// whose server does not answer must not keep the others from being removed.
pub(super) async fn marked(site: &Site, kinds: &[Kind], traces: &Traces) -> (Vec<Found>, Vec<Refusal>) {
    let (mut all, mut unknown) = (Vec::new(), Vec::new());
    if traces.selector.is_empty() {
        return (all, unknown);
    }
    for kind in kinds {
        match list(site, kind, None, &traces.selector).await {
            Ok(found) => all.extend(found),
            Err(refusal) => unknown.push(refusal),
        }
    }
    all.retain(|found| found.is_marked && !found.namespace.as_deref().is_some_and(|namespace| traces.names(namespace)));
    (all, unknown)
}

/// Volumes whose claims are, or were, in the run's namespaces.
#[derive(Default)]
pub(super) struct Volumes {
    /// Those of the sandbox's storage.
    pub(super) simulated: Vec<Found>,
    /// Those of the cluster's own storage, which its provisioner removes.
    pub(super) real: Vec<Found>,
    /// Those of the cluster's own storage which nobody removes: their reclaim policy says so.
    pub(super) retained: Vec<Found>,
}

pub(super) async fn volumes(site: &Site, kinds: &[Kind], traces: &Traces) -> Result<Volumes, Refusal> {
    let kind = core(site, kinds, "PersistentVolume")?;
    let all = Api::<PersistentVolume>::all(site.client.clone()).list(&ListParams::default()).await;
    let all = all.map_err(|error| failed(site, "list volumes", &error))?;
    let ours = |volume: &PersistentVolume| claimed_in(volume).is_some_and(|namespace| traces.names(namespace));
    let mut found = Volumes::default();
    for volume in all.items.into_iter().filter(ours) {
        let spec = volume.spec.clone().unwrap_or_default();
        let of_kind = if spec.csi.is_some_and(|csi| csi.driver == DRIVER) {
            &mut found.simulated
        } else if spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete") {
            &mut found.real
        } else {
            &mut found.retained
        };
        of_kind.push(Found {
            kind: kind.clone(),
            namespace: None,
            name: volume.name_any(),
            uid: volume.uid().unwrap_or_default(),
            is_marked: false,
            on_no_node: false,
        });
    }
    Ok(found)
}

pub(super) async fn namespaces(site: &Site, kinds: &[Kind], traces: &Traces) -> Result<Vec<Found>, Refusal> {
    let mut all = list(site, core(site, kinds, "Namespace")?, None, "").await?;
    all.retain(|found| traces.names(&found.name));
    Ok(all)
}

/// A kind that every cluster has.
pub(super) fn core<'a>(site: &Site, kinds: &'a [Kind], wanted: &str) -> Result<&'a Kind, Refusal> {
    let found = kinds.iter().find(|(resource, _)| resource.group.is_empty() && resource.kind == wanted);
    found
        .ok_or_else(|| Refusal::new(format!("{} does not list the kind {wanted}", site.name), "look at its API server"))
}

/// Works on the hub that brought something of the run to a cluster.
pub(super) async fn works(hub: &Site, traces: &Traces) -> Result<Vec<ManifestWork>, Refusal> {
    let all = match Api::<ManifestWork>::all(hub.client.clone()).list(&ListParams::default()).await {
        // There is no Open Cluster Management, or there is none any more.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        all => all.map_err(|error| failed(hub, "list manifestworks", &error))?,
    };
    let mut own = BTreeSet::new();
    if !traces.selector.is_empty() {
        // What our own hub operator sent for a DRCluster that the run made.
        let marked = ListParams::default().labels(&traces.selector);
        match Api::<DRCluster>::all(hub.client.clone()).list(&marked).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            drclusters => {
                let drclusters = drclusters.map_err(|error| failed(hub, "list drclusters", &error))?;
                own.extend(drclusters.into_iter().map(|drcluster| drcluster.name_any()));
            }
        }
    }
    let marked = |work: &ManifestWork| {
        let (key, value) = traces.selector.split_once('=').unwrap_or((&traces.selector, ""));
        work.labels().get(key).is_some_and(|label| value.is_empty() || label == value)
    };
    let ours = |work: &ManifestWork| {
        let name = work.name_any();
        let of_drcluster = [names::DRCLUSTER_WORK, names::DRCLUSTERCONFIG_WORK].contains(&name.as_str());
        name.contains(&traces.prefix)
            || marked(work)
            || (of_drcluster && work.namespace().is_some_and(|cluster| own.contains(&cluster)))
    };
    Ok(all.items.into_iter().filter(ours).collect())
}

/// What there still is, each as `cluster: Kind name`.
///
/// # Errors
/// A cluster does not say.
pub async fn left(sites: &Sites, traces: &Traces) -> Result<Vec<String>, Refusal> {
    let mut all = Vec::new();
    for work in works(sites.hub(), traces).await? {
        all.push(format!("hub: ManifestWork {}/{}", work.namespace().unwrap_or_default(), work.name_any()));
    }
    let of_site = async |site: &Site| {
        let kinds = kinds(site).await?;
        let (mut found, unknown) = marked(site, &kinds, traces).await;
        found.extend(namespaces(site, &kinds, traces).await?);
        let volumes = volumes(site, &kinds, traces).await?;
        found.extend(volumes.simulated.into_iter().chain(volumes.real).chain(volumes.retained));
        let unknown = unknown.into_iter().map(|refusal| format!("not known: {refusal}"));
        Ok(found.iter().map(|found| format!("{}: {}", site.name, found.text())).chain(unknown).collect::<Vec<_>>())
    };
    for found in try_join_all(sites.all.iter().map(of_site)).await? {
        all.extend(found);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The runs of which something is left on the clusters or in the stores.
///
/// # Errors
/// A cluster or store does not say.
pub async fn runs<'a>(sites: &Sites, stores: impl Iterator<Item = &'a S3Store>) -> Result<BTreeSet<String>, Refusal> {
    let mut runs = BTreeSet::new();
    for site in &sites.all {
        let client = site.client.clone();
        let marked = ListParams::default().labels(LABEL);
        let named = Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await;
        let named = named.map_err(|error| failed(site, "list namespaces", &error))?;
        runs.extend(named.iter().filter_map(|namespace| run_of(&namespace.name_any())));
        let definitions = Api::<CustomResourceDefinition>::all(client.clone()).list(&marked).await;
        let definitions = definitions.map_err(|error| failed(site, "list definitions", &error))?;
        runs.extend(definitions.iter().filter_map(|object| object.labels().get(LABEL).cloned()));
        runs.extend(named.iter().filter_map(|object| object.labels().get(LABEL).cloned()));
        // Volumes outlive the namespaces of their claims.
        let volumes = Api::<PersistentVolume>::all(client.clone()).list(&ListParams::default()).await;
        let volumes = volumes.map_err(|error| failed(site, "list volumes", &error))?;
        runs.extend(volumes.iter().filter_map(|volume| run_of(claimed_in(volume)?)));
        for kind in kinds(site).await? {
            let found = api(&client, &kind, None).list_metadata(&marked).await;
            runs.extend(found.into_iter().flatten().filter_map(|object| object.labels().get(LABEL).cloned()));
        }
    }
    for store in stores {
        let keys = store.list(PREFIX).await.map_err(|error| Refusal::new(error.to_string(), error.remedy()))?;
        runs.extend(keys.iter().filter_map(|key| run_of(key)));
    }
    runs.retain(|run| is_run(run));
    Ok(runs)
}

/// The keys that are left in the stores.
///
/// # Errors
/// A store does not say.
pub async fn keys<'a>(stores: impl Iterator<Item = &'a S3Store>, traces: &Traces) -> Result<Vec<String>, Refusal> {
    let mut all = Vec::new();
    for store in stores {
        let keys = store.list(&traces.prefix).await;
        let keys = keys.map_err(|error| Refusal::new(error.to_string(), error.remedy()))?;
        all.extend(
            keys.into_iter().filter(|key| traces.names(key)).map(|key| format!("bucket {}: {key}", store.bucket())),
        );
    }
    Ok(all)
}
