//! Finding what a run has made, and removing it: by its mark, by the names of its namespaces, and by nothing else.
//!
//! Whoever made an object was asked to remove it before ([`super::tidy`]). Here it is removed whoever still runs:
//! where a finalizer is not honoured in time, it is taken off.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_shared::api::DRCluster;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::names;
use kaedama_shared::s3::S3Store;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, TypeMeta};
use kube::core::discovery::{ApiCapabilities, Scope};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::clusters::{Site, Sites};
use super::mark::{LABEL, PREFIX};
use super::{Refusal, brief};

/// How long others have for what they do when something is deleted, after a run.
pub const AFTER_A_RUN: Duration = Duration::from_secs(45);
/// The same where whoever made it is gone: what others see to, such as agents, is done in seconds.
pub const LATER: Duration = Duration::from_secs(8);
/// How long something may take to go when nobody holds it any more.
const GOING: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(300);

/// Whose traces are looked for.
#[derive(Clone, Debug)]
pub struct Traces {
    selector: String,
    prefix: String,
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

    fn names(&self, namespace: &str) -> bool {
        namespace.starts_with(&self.prefix)
    }
}

/// A kind that can be listed and deleted.
type Kind = (ApiResource, ApiCapabilities);

fn failed(site: &Site, what: &str, error: &kube::Error) -> Refusal {
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

fn api(client: &Client, (resource, can): &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    match (namespace, &can.scope) {
        (Some(namespace), Scope::Namespaced) if !namespace.is_empty() => {
            Api::namespaced_with(client.clone(), namespace, resource)
        }
        _ => Api::all_with(client.clone(), resource),
    }
}

/// One object that was found.
#[derive(Clone, Debug)]
struct Found {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    uid: String,
}

impl Found {
    fn text(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.0.kind, self.name),
            None => format!("{} {}", self.kind.0.kind, self.name),
        }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        api(client, &self.kind, self.namespace.as_deref())
    }

    /// Deletes it: this object, not another one of its name.
    async fn delete(&self, client: &Client) -> kube::Result<()> {
        let mut exactly = DeleteParams::background()
            .preconditions(kube::api::Preconditions { uid: Some(self.uid.clone()), resource_version: None });
        if self.kind.0.kind == "Pod" && self.kind.0.group.is_empty() {
            // Those of the sandbox are on no node, where somebody could end them.
            exactly.grace_period_seconds = Some(0);
        }
        gone_is_fine(self.api(client).delete(&self.name, &exactly).await.map(drop))
    }

    async fn is_there(&self, client: &Client) -> bool {
        match self.api(client).get_metadata_opt(&self.name).await {
            Ok(found) => found.is_some_and(|object| object.uid().as_deref() == Some(self.uid.as_str())),
            Err(_) => true,
        }
    }

    async fn strip(&self, client: &Client) -> kube::Result<()> {
        let change = Patch::Merge(json!({ "metadata": { "uid": self.uid, "finalizers": null } }));
        gone_is_fine(self.api(client).patch(&self.name, &PatchParams::default(), &change).await.map(drop))
    }
}

fn gone_is_fine(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other,
    }
}

async fn list(site: &Site, kind: &Kind, namespace: Option<&str>, selector: &str) -> Result<Vec<Found>, Refusal> {
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
    };
    Ok(listed.into_iter().map(found).collect())
}

/// Objects with the mark, outside of the run's namespaces, which go with these. And what could not be looked at: a kind
/// whose server does not answer must not keep the others from being removed.
async fn marked(site: &Site, kinds: &[Kind], traces: &Traces) -> (Vec<Found>, Vec<Refusal>) {
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
    all.retain(|found| !found.namespace.as_deref().is_some_and(|namespace| traces.names(namespace)));
    (all, unknown)
}

/// Volumes whose claims are, or were, in the run's namespaces.
async fn volumes(site: &Site, kinds: &[Kind], traces: &Traces) -> Result<Vec<Found>, Refusal> {
    let kind = core(site, kinds, "PersistentVolume")?;
    let all = Api::<PersistentVolume>::all(site.client.clone()).list(&ListParams::default()).await;
    let all = all.map_err(|error| failed(site, "list volumes", &error))?;
    let ours = |volume: &PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        claim.and_then(|claim| claim.namespace.as_deref()).is_some_and(|namespace| traces.names(namespace))
    };
    let found = |volume: PersistentVolume| Found {
        kind: kind.clone(),
        namespace: None,
        name: volume.name_any(),
        uid: volume.uid().unwrap_or_default(),
    };
    Ok(all.items.into_iter().filter(ours).map(found).collect())
}

async fn namespaces(site: &Site, kinds: &[Kind], traces: &Traces) -> Result<Vec<Found>, Refusal> {
    let mut all = list(site, core(site, kinds, "Namespace")?, None, "").await?;
    all.retain(|found| traces.names(&found.name));
    Ok(all)
}

/// A kind that every cluster has.
fn core<'a>(site: &Site, kinds: &'a [Kind], wanted: &str) -> Result<&'a Kind, Refusal> {
    let found = kinds.iter().find(|(resource, _)| resource.group.is_empty() && resource.kind == wanted);
    found
        .ok_or_else(|| Refusal::new(format!("{} does not list the kind {wanted}", site.name), "look at its API server"))
}

/// Works on the hub that brought something of the run to a cluster.
async fn works(hub: &Site, traces: &Traces) -> Result<Vec<ManifestWork>, Refusal> {
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

/// Deletes these, waits until they are gone, and takes finalizers off what does not go.
async fn remove(site: &Site, found: Vec<Found>, orderly: Duration) -> Result<(), Refusal> {
    for object in &found {
        let deleted = object.delete(&site.client).await;
        deleted.map_err(|error| failed(site, &format!("delete {}", object.text()), &error))?;
    }
    let left = until_gone(site, found, orderly).await;
    for object in &left {
        tracing::warn!(cluster = site.name, object = object.text(), "its finalizers are taken off");
        let stripped = object.strip(&site.client).await;
        stripped.map_err(|error| failed(site, &format!("release {}", object.text()), &error))?;
    }
    match until_gone(site, left, GOING).await.first() {
        None => Ok(()),
        Some(object) => Err(Refusal::new(
            format!("{}: {} does not go", site.name, object.text()),
            "look at what holds it, then run `accept clean`",
        )),
    }
}

async fn until_gone(site: &Site, mut found: Vec<Found>, patience: Duration) -> Vec<Found> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let mut left = Vec::new();
        for object in found {
            if object.is_there(&site.client).await {
                left.push(object);
            }
        }
        if left.is_empty() || tokio::time::Instant::now() >= until {
            return left;
        }
        found = left;
        tokio::time::sleep(STEP).await;
    }
}

/// Empties the run's namespaces, and deletes them. In this order: a namespace that is deleted with something in it that
/// takes its time is looked at by its controller less and less often.
async fn remove_namespaces(site: &Site, kinds: &[Kind], found: Vec<Found>, orderly: Duration) -> Result<(), Refusal> {
    for namespace in &found {
        let mut content = Vec::new();
        for kind in kinds.iter().filter(|(resource, can)| can.scope == Scope::Namespaced && resource.kind != "Event") {
            content.extend(list(site, kind, Some(&namespace.name), "").await?);
        }
        // What every namespace has is made again at once.
        let of_all = |found: &Found| ["default", "kube-root-ca.crt"].contains(&found.name.as_str());
        content.retain(|found| !of_all(found));
        remove(site, content, orderly).await?;
    }
    for namespace in &found {
        let deleted = namespace.delete(&site.client).await;
        deleted.map_err(|error| failed(site, &format!("delete {}", namespace.text()), &error))?;
    }
    match until_gone(site, found, GOING).await.first() {
        None => Ok(()),
        Some(namespace) => Err(Refusal::new(
            format!("{}: {} does not go", site.name, namespace.text()),
            format!("`kubectl get namespace {} -o yaml` says what holds it", namespace.name),
        )),
    }
}

/// Deletes works, and, where no agent does, what they brought.
async fn remove_works(sites: &Sites, traces: &Traces, orderly: Duration) -> Result<(), Refusal> {
    let hub = sites.hub();
    let works = works(hub, traces).await?;
    if works.is_empty() {
        return Ok(());
    }
    let gvk = GroupVersionKind::gvk("work.open-cluster-management.io", "v1", "ManifestWork");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "manifestworks");
    let kind =
        (resource, ApiCapabilities { scope: Scope::Namespaced, subresources: Vec::new(), operations: Vec::new() });
    let found = |work: &ManifestWork| Found {
        kind: kind.clone(),
        namespace: work.namespace(),
        name: work.name_any(),
        uid: work.uid().unwrap_or_default(),
    };
    for work in &works {
        let deleted = found(work).delete(&hub.client).await;
        deleted.map_err(|error| failed(hub, &format!("delete {}", found(work).text()), &error))?;
    }
    let left = until_gone(hub, works.iter().map(found).collect(), orderly).await;
    // What holds them is, in most cases, that something which they brought does not go.
    for site in sites.managed() {
        let kinds = kinds(site).await?;
        let mut brought = Vec::new();
        for object in left.iter().filter(|object| object.namespace.as_ref() == Some(&site.name)) {
            let work = works.iter().find(|work| work.uid().as_deref() == Some(object.uid.as_str()));
            let manifests = work.map(|work| &work.spec.workload.manifests);
            for manifest in manifests.into_iter().flatten() {
                brought.extend(there(site, &kinds, &json!(manifest)).await?);
            }
        }
        remove(site, brought, orderly).await?;
    }
    remove(hub, left, orderly).await
}

/// What a work brought to a cluster, if it is there. Without namespaces: those of the run go by their names.
async fn there(site: &Site, kinds: &[Kind], manifest: &Value) -> Result<Option<Found>, Refusal> {
    let Ok(types) = serde_json::from_value::<TypeMeta>(manifest.clone()) else { return Ok(None) };
    let (Ok(gvk), Some(name)) = (GroupVersionKind::try_from(&types), manifest["metadata"]["name"].as_str()) else {
        return Ok(None);
    };
    let fits = |(resource, _): &&Kind| resource.group == gvk.group && resource.kind == gvk.kind;
    let Some(kind) = kinds.iter().find(fits).filter(|_| gvk.kind != "Namespace") else { return Ok(None) };
    let namespace = manifest["metadata"]["namespace"].as_str();
    let there = api(&site.client, kind, namespace).get_metadata_opt(name).await;
    let there = there.map_err(|error| failed(site, &format!("read {} {name}", gvk.kind), &error))?;
    Ok(there.map(|there| Found {
        kind: kind.clone(),
        namespace: there.namespace(),
        name: name.to_owned(),
        uid: there.uid().unwrap_or_default(),
    }))
}

/// Removes all traces from the clusters. Whoever made something has `orderly` for what belongs to its end.
///
/// # Errors
/// Something cannot be removed; of the rest as much as can be is.
pub async fn clusters(sites: &Sites, traces: &Traces, orderly: Duration) -> Result<(), Refusal> {
    let mut all = remove_works(sites, traces, orderly).await;
    for site in &sites.all {
        all = all.and(cluster(site, traces, orderly).await);
    }
    all
}

async fn cluster(site: &Site, traces: &Traces, orderly: Duration) -> Result<(), Refusal> {
    let kinds = kinds(site).await?;
    let found = namespaces(site, &kinds, traces).await?;
    let gone = remove_namespaces(site, &kinds, found, orderly).await;
    remove(site, volumes(site, &kinds, traces).await?, orderly).await?;
    let is = |found: &Found, kind: &str| found.kind.0.kind == kind;
    let (found, _) = marked(site, &kinds, traces).await;
    let (definitions, found): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| is(found, "CustomResourceDefinition"));
    let (namespaces, mut found): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| is(found, "Namespace"));
    // What lies in a namespace with the mark goes with it.
    found.retain(|found| !namespaces.iter().any(|namespace| found.namespace.as_ref() == Some(&namespace.name)));
    remove(site, found, orderly).await?;
    remove_namespaces(site, &kinds, namespaces, orderly).await?;
    // Without its definition nothing of a kind could be removed any more.
    gone?;
    remove_definitions(site, &kinds, definitions, orderly).await
}

/// Deletes definitions of kinds of which there is no object: with a definition goes all that it defines, and somebody may
/// have made use of it meanwhile.
async fn remove_definitions(
    site: &Site,
    kinds: &[Kind],
    definitions: Vec<Found>,
    orderly: Duration,
) -> Result<(), Refusal> {
    let mut unused = Vec::new();
    for definition in definitions {
        let of = |(resource, _): &&Kind| definition.name == format!("{}.{}", resource.plural, resource.group);
        let mut objects = Vec::new();
        if let Some(kind) = kinds.iter().find(of) {
            // Those that our operators made, on a cluster that did not even know the kind before.
            let made = list(site, kind, None, &format!("{}=true", names::CREATED_BY)).await?;
            remove(site, made, orderly).await?;
            objects = list(site, kind, None, "").await?;
        }
        match objects.first() {
            None => unused.push(definition),
            Some(object) => {
                tracing::warn!(cluster = site.name, kind = definition.name, object = object.text(), "is in use");
            }
        }
    }
    remove(site, unused, orderly).await
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
    for site in &sites.all {
        let kinds = kinds(site).await?;
        let (mut found, unknown) = marked(site, &kinds, traces).await;
        all.extend(unknown.into_iter().map(|refusal| format!("not known: {refusal}")));
        found.extend(namespaces(site, &kinds, traces).await?);
        found.extend(volumes(site, &kinds, traces).await?);
        all.extend(found.iter().map(|found| format!("{}: {}", site.name, found.text())));
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
    let run_of = |text: &str| {
        let rest = text.strip_prefix(PREFIX)?;
        Some(format!("{PREFIX}{}", rest.split(['-', '/']).next()?))
    };
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
        for kind in kinds(site).await? {
            let found = api(&client, &kind, None).list_metadata(&marked).await;
            runs.extend(found.into_iter().flatten().filter_map(|object| object.labels().get(LABEL).cloned()));
        }
    }
    for store in stores {
        let keys = store.list(PREFIX).await.map_err(|error| Refusal::new(error.to_string(), error.remedy()))?;
        runs.extend(keys.iter().filter_map(|key| run_of(key)));
    }
    Ok(runs)
}

/// Removes the keys that begin so from the stores.
///
/// # Errors
/// A store does not do it.
pub async fn stores<'a>(stores: impl Iterator<Item = &'a S3Store>, traces: &Traces) -> Result<(), Refusal> {
    for store in stores {
        let removed = store.delete_prefix(&traces.prefix).await;
        removed.map_err(|error| Refusal::new(error.to_string(), error.remedy()))?;
    }
    Ok(())
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
        all.extend(keys.into_iter().map(|key| format!("bucket {}: {key}", store.bucket())));
    }
    Ok(all)
}
