//! Works and views of ours that carry no label: before April 2025 the reference product put none on them, and the caches
//! hold what is labelled only. They are met when one of their name is to be made.

use kaedama_shared::api::ocm::{ManagedClusterView, ManifestWork};
use kaedama_shared::names;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Client};

use crate::drpc::act::FIELD_MANAGER;

/// Whether a creation found another object of the name.
pub fn is_taken<T>(answer: &Result<T, kube::Error>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 409)
}

/// Puts the label on the work that stands in the place of `wanted`, if it was made for the same object. The watch does the
/// rest.
///
/// # Errors
/// What the API server answers.
pub async fn label_work(client: &Client, cluster: &str, wanted: &ManifestWork) -> Result<(), kube::Error> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    // With everything in it that is not modelled here.
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), cluster, &ApiResource::erase::<ManifestWork>(&()));
    let Some(mut found) = api.get_opt(name).await?.filter(|found| is_ours(&found.metadata, &wanted.metadata)) else {
        return Ok(());
    };
    tracing::info!(cluster, name, "labelling a ManifestWork that was made without a label");
    found.metadata.labels.get_or_insert_default().insert(names::CREATED_BY.to_owned(), "true".to_owned());
    let post = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    match api.replace(name, &post, &found).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        answer => answer.map(drop),
    }
}

/// Removes the view that stands in the place of `wanted`, if it was made for the same object: a new one costs nothing.
///
/// # Errors
/// What the API server answers.
pub async fn remove_view(api: &Api<ManagedClusterView>, wanted: &ManagedClusterView) -> Result<(), kube::Error> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    let Some(found) = api.get_opt(name).await?.filter(|found| is_ours(&found.metadata, &wanted.metadata)) else {
        return Ok(());
    };
    let preconditions =
        Preconditions { uid: found.metadata.uid.clone(), resource_version: found.metadata.resource_version.clone() };
    let params = DeleteParams { preconditions: Some(preconditions), ..Default::default() };
    match api.delete(name, &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        answer => answer.map(drop),
    }
}

/// It has no label, and the annotations that name what it was made for.
fn is_ours(found: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let labelled = found.labels.iter().flatten().any(|(key, value)| key == names::CREATED_BY && value == "true");
    let has = |key: &String| found.annotations.as_ref().and_then(|annotations| annotations.get(key));
    !labelled && wanted.annotations.iter().flatten().all(|(key, value)| has(key) == Some(value))
}
