//! Which resource a kind is on an API server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, GroupVersionKind, ObjectMeta};
use kube::{Api, Client, Resource};
use serde::Deserialize;

use super::{Attempt, Error, is_not_found};

/// A kind as an API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ocm) struct Served {
    /// Group, version, kind and plural.
    pub(in crate::ocm) resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub(in crate::ocm) namespaced: bool,
}

impl Served {
    /// The API of the kind: in the namespace where it has any, else of the whole cluster.
    pub(in crate::ocm) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        self.api_of(client, namespace)
    }

    /// The same, where only versions are of interest.
    pub(in crate::ocm) fn versions(&self, client: &Client, namespace: &str) -> Api<Versioned> {
        self.api_of(client, namespace)
    }

    fn api_of<K>(&self, client: &Client, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        if self.namespaced && !namespace.is_empty() {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(client.clone(), &self.resource)
        }
    }
}

/// An object of any kind of which only the version is of interest: nothing else of it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Head")]
pub(in crate::ocm) struct Versioned {
    /// Name, namespace and version.
    pub(in crate::ocm) metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct Head {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
}

impl From<Head> for Versioned {
    fn from(Head { metadata: Version { name, namespace, resource_version } }: Head) -> Self {
        Self { metadata: ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() } }
    }
}

impl Resource for Versioned {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(resource)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(resource)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(resource)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(resource)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The kinds of one API server. What was found is remembered; what was not is asked for again each time, because a
/// CRD may have come.
pub(in crate::ocm) struct Kinds {
    client: Client,
    found: Mutex<BTreeMap<(String, String), Served>>,
}

impl Kinds {
    pub(in crate::ocm) fn new(client: Client) -> Self {
        Self { client, found: Mutex::new(BTreeMap::new()) }
    }

    /// The resource of a kind; `None` where the server has no such kind.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(in crate::ocm) async fn of(&self, gvk: &GroupVersionKind) -> Result<Option<Served>, Error> {
        let key = (gvk.api_version(), gvk.kind.clone());
        if let Some(known) = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(known.clone()));
        }
        let resources = self.resources(&key.0).await?;
        let matching = resources.iter().find(|found| found.kind == gvk.kind && !found.name.contains('/'));
        let served = matching.map(|found| served(&gvk.group, &gvk.version, found));
        if let Some(served) = &served {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, served.clone());
        }
        Ok(served)
    }

    /// The kind of a plural resource in one version of a group.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(in crate::ocm) async fn of_plural(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Result<Option<Served>, Error> {
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resources = self.resources(&api_version).await?;
        Ok(resources.iter().find(|found| found.name == plural).map(|found| served(group, version, found)))
    }

    /// Forgets a kind: its CRD may be gone.
    pub(in crate::ocm) fn forget(&self, resource: &ApiResource) {
        let key = (resource.api_version.clone(), resource.kind.clone());
        self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    async fn resources(&self, api_version: &str) -> Result<Vec<APIResource>, Error> {
        let listed = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        match listed {
            Ok(list) => Ok(list.resources),
            Err(error) if is_not_found(&error) => Ok(Vec::new()),
            Err(error) => Err(error).attempt(|| format!("listing the resources of {api_version}")),
        }
    }
}

fn served(group: &str, version: &str, found: &APIResource) -> Served {
    let gvk = GroupVersionKind::gvk(group, version, &found.kind);
    Served { resource: ApiResource::from_gvk_with_plural(&gvk, &found.name), namespaced: found.namespaced }
}
