//! Ownership on the cluster: every applied object is owned by the AppliedManifestWork of its work, and what nobody
//! owns any more is deleted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_shared::api::ocm::work::{AppliedManifestWork, AppliedResource};
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::super::runtime::kinds::Served;
use super::super::runtime::{Attempt, Error, is_conflict, is_not_found};

/// The reference by which an AppliedManifestWork owns an object.
pub(super) fn reference(applied: &AppliedManifestWork) -> OwnerReference {
    OwnerReference {
        api_version: AppliedManifestWork::API_VERSION.into(),
        kind: AppliedManifestWork::KIND.into(),
        name: applied.metadata.name.clone().unwrap_or_default(),
        uid: applied.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

fn is_applied_work(owner: &OwnerReference) -> bool {
    owner.kind == AppliedManifestWork::KIND && owner.api_version == AppliedManifestWork::API_VERSION
}

/// The owners of an object with ours among them (`own`), or without it.
pub(super) fn owners(existing: &[OwnerReference], ours: &OwnerReference, own: bool) -> Vec<OwnerReference> {
    let mut owners: Vec<OwnerReference> = existing.to_vec();
    if own {
        if !owners.iter().any(|owner| owner.uid == ours.uid) {
            owners.push(ours.clone());
        }
    } else {
        owners.retain(|owner| owner.uid != ours.uid);
    }
    owners
}

/// Puts the owners into an object's JSON; an empty list is left out.
pub(super) fn set_owners(object: &mut Value, owners: &[OwnerReference]) {
    if owners.is_empty() {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("ownerReferences");
        }
    } else {
        object["metadata"]["ownerReferences"] = json!(owners);
    }
}

/// Makes an object on the cluster owned, or not owned, by us. Writes only where something has to change.
///
/// # Errors
/// When the write fails; a conflict means that the object has changed meanwhile.
pub(super) async fn ensure(
    client: &Client,
    served: &Served,
    object: &DynamicObject,
    ours: &OwnerReference,
    own: bool,
) -> Result<(), kube::Error> {
    let existing = object.metadata.owner_references.clone().unwrap_or_default();
    let wanted = owners(&existing, ours, own);
    if wanted == existing {
        return Ok(());
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let change = json!({"metadata": {
        "uid": object.metadata.uid,
        "resourceVersion": object.metadata.resource_version,
        "ownerReferences": wanted,
    }});
    served.api(client, namespace).patch(name, &PatchParams::default(), &Patch::Merge(&change)).await?;
    Ok(())
}

/// Lets go of an object that a work brought: deletes it in the background where no other work owns it, else takes our
/// ownership away. An object that is another one by now, or was never ours, is left alone. Tells whether it is
/// settled: `false` while the object is still being deleted.
///
/// # Errors
/// When the cluster cannot be asked or refuses.
pub(super) async fn release(
    client: &Client,
    resource: &AppliedResource,
    ours: &OwnerReference,
    orphan: bool,
) -> Result<bool, Error> {
    let what = || format!("{} {}/{}", resource.resource, resource.namespace, resource.name);
    let served = served(resource);
    let api = served.api(client, &resource.namespace);
    let object = match api.get(&resource.name).await {
        Ok(object) => object,
        Err(error) if is_not_found(&error) => return Ok(true),
        Err(error) => return Err(error).attempt(|| format!("reading {} before deleting it", what())),
    };
    let owners = object.metadata.owner_references.clone().unwrap_or_default();
    let another = !resource.uid.is_empty() && object.metadata.uid.as_deref() != Some(resource.uid.as_str());
    if another || !owners.iter().any(|owner| owner.uid == ours.uid) {
        return Ok(true);
    }
    if orphan || owners.iter().any(|owner| is_applied_work(owner) && owner.uid != ours.uid) {
        let released = ensure(client, &served, &object, ours, false).await;
        return settled(released.map(|()| true)).attempt(|| format!("giving up ownership of {}", what()));
    }
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(false);
    }
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: object.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    let deleted = api.delete(&resource.name, &parameters).await.map(|answer| answer.is_right());
    settled(deleted).attempt(|| format!("deleting {}", what()))
}

/// Absence is settled; a conflict means to look again.
fn settled(answer: Result<bool, kube::Error>) -> Result<bool, kube::Error> {
    match answer {
        Err(error) if is_not_found(&error) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        other => other,
    }
}

fn served(resource: &AppliedResource) -> Served {
    // The kind is not recorded, and no request needs it.
    let gvk = GroupVersionKind::gvk(&resource.group, &resource.version, "");
    Served {
        resource: ApiResource::from_gvk_with_plural(&gvk, &resource.resource),
        namespaced: !resource.namespace.is_empty(),
    }
}
