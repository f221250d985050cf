//! What the sandbox's controllers have in common: a cluster, its caches, errors, and small writes.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, stream};
use jiff::Timestamp;
use kaedama_shared::{
    clock::Clock,
    harness::{
        backoff::Backoff,
        cache::{Cache, Scope},
        controller::Settings,
    },
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::array::{Event, StorageError};

/// Longest delay between attempts to reach an API server.
const CONTACT_CAP: Duration = Duration::from_secs(2);

/// A cluster as the sandbox's controllers see it.
#[derive(Clone)]
pub struct Cluster {
    /// Its name: the one that the storage fabric and the ledger know it by.
    pub name: String,
    /// Its API server.
    pub client: Client,
    /// Where times in statuses come from.
    pub clock: Clock,
}

impl Cluster {
    /// A cluster of this name behind this client.
    #[must_use]
    pub fn new(name: &str, client: Client, clock: Clock) -> Self {
        Self { name: name.to_owned(), client, clock }
    }

    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }

    pub(crate) fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A watched copy of all objects of a kind.
    pub(crate) fn cache<K>(&self, name: &str) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        Cache::start(&format!("{} {name}", self.name), Api::all(self.client.clone()), scope())
    }

    /// As [`Cluster::cache`], with an index.
    pub(crate) fn grouped_cache<K>(&self, name: &str, groups: fn(&K) -> Vec<String>) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        Cache::start_grouped(&format!("{} {name}", self.name), Api::all(self.client.clone()), scope(), groups)
    }

    /// As [`Cluster::cache`], of a kind that need not be installed.
    pub(crate) fn optional_cache<K>(&self, name: &str) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        Cache::start(&format!("{} {name}", self.name), Api::all(self.client.clone()), scope().optional())
    }
}

/// A quiet watch is opened anew every four minutes: cheap at rest, within what API servers allow.
fn scope() -> Scope {
    Scope::default().silence(Duration::from_secs(240), Duration::from_secs(300))
}

/// How the sandbox's controllers work: a few objects at a time, at once, with short delays after failures.
pub(crate) fn settings() -> Settings {
    Settings {
        concurrency: 4,
        backoff: Backoff { base: Duration::from_millis(20), cap: CONTACT_CAP },
        spacing: Duration::ZERO,
        drain: Duration::ZERO,
        ..Settings::default()
    }
}

/// Why a pass could not be finished. It is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassError {
    /// The API server refused or could not be reached.
    #[error("{doing}")]
    Api {
        doing: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// The storage refused or could not be reached.
    #[error("{doing}")]
    Storage { doing: String, source: StorageError },
}

/// Says what was attempted when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, PassError>;
}

impl<T> Doing<T> for Result<T, kube::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, PassError> {
        self.map_err(|source| PassError::Api { doing: what(), source: Box::new(source) })
    }
}

impl<T> Doing<T> for Result<T, StorageError> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, PassError> {
        self.map_err(|source| PassError::Storage { doing: what(), source })
    }
}

/// Takes "not found" as `None`: what was to be changed or deleted is gone.
pub(crate) fn unless_gone<T>(result: kube::Result<T>) -> kube::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an object. An empty name is the name of nothing.
pub(crate) async fn fetch<K>(api: &Api<K>, name: &str) -> Result<Option<K>, PassError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if name.is_empty() {
        return Ok(None);
    }
    api.get_opt(name).await.doing(|| format!("reading {} {name}", K::kind(&())))
}

/// Finalizers and annotations that an object should have or not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks<'a> {
    pub(crate) add_finalizers: &'a [&'a str],
    pub(crate) drop_finalizers: &'a [&'a str],
    /// `None` removes the annotation.
    pub(crate) annotations: &'a [(&'a str, Option<&'a str>)],
}

impl Marks<'_> {
    /// The merge patch that brings an object there, if it is not there already. It holds for this version of the
    /// object only: finalizers are a list, and two writers must not undo each other.
    fn patch<K: Resource>(&self, object: &K) -> Option<Value> {
        let meta = object.meta();
        let present = meta.finalizers.clone().unwrap_or_default();
        let mut finalizers: Vec<String> =
            present.iter().filter(|f| !self.drop_finalizers.contains(&f.as_str())).cloned().collect();
        for wanted in self.add_finalizers {
            if !finalizers.iter().any(|finalizer| finalizer == wanted) {
                finalizers.push((*wanted).to_owned());
            }
        }
        let current = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
        let annotations: serde_json::Map<String, Value> = self
            .annotations
            .iter()
            .filter(|(key, value)| current(key) != *value)
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        if finalizers == present && annotations.is_empty() {
            return None;
        }
        let mut metadata = json!({"resourceVersion": meta.resource_version});
        if finalizers != present {
            metadata["finalizers"] = json!(finalizers);
        }
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        Some(json!({"metadata": metadata}))
    }

    /// Applies the marks to an object. Returns it as it is then: `None` when it has gone.
    pub(crate) async fn set<K>(&self, api: &Api<K>, object: K) -> Result<Option<K>, PassError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let Some(patch) = self.patch(&object) else { return Ok(Some(object)) };
        let name = object.meta().name.clone().unwrap_or_default();
        let written = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        unless_gone(written).doing(|| format!("marking {name}"))
    }
}

/// What the storage tells a controller.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// This happened.
    Event(Event),
    /// More happened than was kept: everything has to be looked at.
    Everything,
}

/// The storage's events as a stream that never fails.
pub(crate) fn news(events: Receiver<Event>) -> impl Stream<Item = News> + Send + 'static {
    stream::unfold(events, |mut events| async move {
        match events.recv().await {
            Ok(event) => Some((News::Event(event), events)),
            Err(RecvError::Lagged(_)) => Some((News::Everything, events)),
            Err(RecvError::Closed) => None,
        }
    })
}

/// A time as `metav1.Time` holds it: whole seconds.
pub(crate) fn seconds(at: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(kaedama_shared::clock::whole_seconds(at))
}

/// Whether an object is being deleted.
pub(crate) fn is_deleting<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether an object has this finalizer.
pub(crate) fn has_finalizer<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.meta().finalizers.as_ref().is_some_and(|all| all.iter().any(|one| one == finalizer))
}

/// An annotation's value; an empty one counts as absent.
pub(crate) fn annotation<'a, K: Resource>(object: &'a K, key: &str) -> Option<&'a str> {
    let value = object.meta().annotations.as_ref().and_then(|all| all.get(key));
    value.map(String::as_str).filter(|value| !value.is_empty())
}
