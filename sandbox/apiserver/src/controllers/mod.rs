//! What a kube-controller-manager runs beside an API server, as far as the API's own semantics need it.
//!
//! * [`crd`]: brings definitions into the registry (at once, in the write), deletes instances of deleted ones.
//! * [`gc`]: garbage collection by owner references. [`namespace`]: deletion of namespaces with what is in them.
//! * [`events`]: events expire. [`serviceaccount`]: the default service account and root CA of each namespace.
//!
//! All but the first run in one task that follows the store's changes, in the order in which they were committed.

mod crd;
mod events;
mod gc;
mod namespace;
mod serviceaccount;

use crate::registry::Resource;
use crate::server::Inner;
use crate::status::ApiError;
use crate::store::{Change, GroupResource, Key, Stored};
use crate::verbs::options::WriteOptions;
use crate::verbs::{Write, create, update};
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// The field manager of the controllers.
const MANAGER: &str = "kube-controller-manager";

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Creates what a cluster starts with.
pub(crate) fn bootstrap(server: &Arc<Inner>) {
    for name in NAMESPACES {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        if let Err(error) = create(server, "", "v1", "namespaces", "", object) {
            tracing::error!(server = server.name, namespace = name, error = error.message(), "bootstrap");
        }
    }
}

/// What has to be true as soon as a write is answered.
pub(crate) fn written(server: &Arc<Inner>, resource: &Resource, stored: &Arc<Stored>) {
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crd::sync(server, &stored.key);
    }
    if resource.storage.group.is_empty() && resource.storage.resource == "events" {
        events::written(server, resource, stored);
    }
}

/// What has to be true as soon as a removal is answered.
pub(crate) fn removed(server: &Arc<Inner>, resource: &Resource, stored: &Arc<Stored>) {
    if resource.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        crd::retire(server, &stored.value);
    }
}

/// Follows the store until the server is dropped.
pub(crate) async fn run(server: Weak<Inner>, mut changes: mpsc::UnboundedReceiver<Change>) {
    while let Some(change) = changes.recv().await {
        let Some(server) = server.upgrade() else {
            return;
        };
        serviceaccount::observe(&server, &change);
        namespace::observe(&server, &change);
        crd::observe(&server, &change);
        gc::observe(&server, &change);
        drop(server);
        // Requests come between the steps of a controller, as they do with the real ones.
        tokio::task::yield_now().await;
    }
}

/// A served form of a stored resource.
fn served(server: &Inner, storage: &GroupResource) -> Option<Arc<Resource>> {
    server.registry.snapshot().by_storage(storage).cloned()
}

/// Creates an object on behalf of a controller.
fn create(
    server: &Arc<Inner>,
    group: &str,
    version: &str,
    plural: &str,
    namespace: &str,
    mut object: Value,
) -> Result<Arc<Stored>, ApiError> {
    let snapshot = server.registry.snapshot();
    let Some(resource) = snapshot.get(group, version, plural) else {
        return Err(ApiError::internal(format!("{plural} is not served")));
    };
    resource.default(&mut object);
    let write =
        Write { server, resource, subresource: "", options: WriteOptions::internal(MANAGER, resource.api_version()) };
    create::create_object(&write, namespace, object)
}

/// Changes an object on behalf of a controller; one that is gone meanwhile is no error.
fn change(server: &Arc<Inner>, resource: &Resource, subresource: &str, key: &Key, mut change: impl FnMut(&mut Value)) {
    let write =
        Write { server, resource, subresource, options: WriteOptions::internal(MANAGER, resource.api_version()) };
    let result = update::modify(&write, key, false, true, |live| {
        let mut object = live.cloned().unwrap_or_default();
        change(&mut object);
        Ok(object)
    });
    if let Err(error) = result
        && error.code() != 404
    {
        tracing::warn!(
            server = server.name,
            resource = %resource.group_resource(),
            namespace = key.namespace,
            name = key.name,
            error = error.message(),
            "a controller's write was refused"
        );
    }
}
