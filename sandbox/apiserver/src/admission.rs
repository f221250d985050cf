//! Admission: the checks of the NamespaceLifecycle plugin.

use crate::meta;
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::ApiError;
use crate::store::{GroupResource, Key};
use serde_json::Value;

/// Namespaces that may not be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Where namespaces are stored.
pub(crate) fn namespaces() -> GroupResource {
    GroupResource::new("", "namespaces")
}

/// Refuses a new object in a namespace that does not exist, or is going away.
pub(crate) fn create(server: &Inner, resource: &Resource, namespace: &str, object: &Value) -> Result<(), ApiError> {
    if resource.is_custom() && resource.terminating {
        return Err(ApiError::method_not_supported(&resource.group_resource(), "create"));
    }
    if !resource.namespaced {
        return Ok(());
    }
    let Some(live) = server.store.get(&namespaces(), &Key::new("", namespace)) else {
        return Err(ApiError::not_found(&namespaces(), namespace));
    };
    let terminating = meta::is_deleting(&live.value) || live.value["status"]["phase"].as_str() == Some("Terminating");
    if terminating {
        return Err(ApiError::forbidden(
            &resource.group_resource(),
            meta::name(object),
            &format!("unable to create new content in namespace {namespace} because it is being terminated"),
        )
        .with_cause(
            "NamespaceTerminating",
            &format!("namespace {namespace} is being terminated"),
            Some("metadata.namespace"),
        ));
    }
    Ok(())
}

/// Refuses to delete the namespaces that every cluster has.
pub(crate) fn delete(resource: &Resource, name: &str) -> Result<(), ApiError> {
    if resource.is("", "Namespace") && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden(&resource.group_resource(), name, "this namespace may not be deleted"));
    }
    Ok(())
}
