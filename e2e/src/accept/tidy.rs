//! Removing what was made in order, while everything still runs: whoever made it, removes it.
//!
//! What does not go in time is left to [`super::sweep`].

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim};
use kaedama_sandbox::ocm::gitops::{APPLICATION_LABEL, WORK_NAMESPACE_LABEL};
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::{DRCluster, DRPlacementControl, DRPolicy};
use kaedama_shared::names;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::clusters::{Site, Sites};
use super::{brief, disks};
use crate::objects::claimed_in;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a provisioner may take to give disks back.
const GIVEN_BACK: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_millis(300);

/// Waits until `gone` says so; nothing more than a warning where it does not.
async fn until(what: &str, patience: Duration, gone: impl AsyncFn() -> kube::Result<bool>) {
    let until = tokio::time::Instant::now() + patience;
    let mut said = "it is still there".to_owned();
    while tokio::time::Instant::now() < until {
        match gone().await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => said = brief(&error),
        }
        tokio::time::sleep(STEP).await;
    }
    tracing::warn!(what, why = said, "not gone in time");
}

/// Deletes all of a kind in a namespace, or all that bear a label, and waits until they are gone.
async fn end<K>(api: Api<K>, selector: &str, what: &str)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let listed = ListParams::default().labels(selector);
    match api.list_metadata(&listed).await {
        Ok(all) => {
            for object in all {
                if let Err(error) = api.delete(&object.name_any(), &DeleteParams::default()).await {
                    tracing::warn!(what, name = object.name_any(), why = brief(&error), "not deleted");
                }
            }
        }
        // The kind is not there, or not any more.
        Err(kube::Error::Api(status)) if status.code == 404 => return,
        Err(error) => tracing::warn!(what, why = brief(&error), "not listed"),
    }
    until(what, PATIENCE, async || Ok(api.list_metadata(&listed).await?.items.is_empty())).await;
}

async fn namespaces(client: &Client, prefix: &str) -> Vec<String> {
    let all = Api::<Namespace>::all(client.clone()).list_metadata(&ListParams::default()).await;
    let names = all.into_iter().flatten().map(|namespace| namespace.name_any());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Ends the protection of the applications in namespaces that begin so, and then the applications.
pub async fn applications(sites: &Sites, prefix: &str) {
    let prefix = format!("{prefix}-");
    let hub = sites.hub().client.clone();
    let of_run = namespaces(&hub, &prefix).await;
    for namespace in &of_run {
        let drpcs = Api::<DRPlacementControl>::namespaced(hub.clone(), namespace);
        end(drpcs, "", &format!("the DRPlacementControls in {namespace}")).await;
    }
    for namespace in &of_run {
        let described = Api::<ConfigMap>::namespaced(hub.clone(), namespace);
        end(described, &format!("{APPLICATION_LABEL}=true"), &format!("the applications in {namespace}")).await;
        let brought = ListParams::default().labels(&format!("{WORK_NAMESPACE_LABEL}={namespace}"));
        until(&format!("what GitOps brought from {namespace}"), PATIENCE, async || {
            Ok(Api::<ManifestWork>::all(hub.clone()).list_metadata(&brought).await?.items.is_empty())
        })
        .await;
    }
    join_all(sites.managed().iter().map(|site| storage(site, &prefix))).await;
}

/// Deletes the claims that are left in namespaces that begin so, and waits for their volumes.
async fn storage(site: &Site, prefix: &str) {
    for namespace in namespaces(&site.client, prefix).await {
        let claims = Api::<PersistentVolumeClaim>::namespaced(site.client.clone(), &namespace);
        end(claims, "", &format!("the claims in {namespace} on {}", site.name)).await;
    }
    let patience = if disks::are_real(site).await { GIVEN_BACK } else { PATIENCE };
    until(&format!("the volumes on {}", site.name), patience, async || {
        let all = Api::<PersistentVolume>::all(site.client.clone()).list(&ListParams::default()).await?;
        let ours = |volume: &PersistentVolume| {
            let deleted = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
            // One that is retained is nobody's to delete but ours, later.
            deleted == Some("Delete") && claimed_in(volume).is_some_and(|name| name.starts_with(prefix))
        };
        Ok(!all.items.iter().any(ours))
    })
    .await;
}

/// Deletes policy and DRClusters of a run, while its hub operator still runs and takes back what it sent.
pub async fn policy(sites: &Sites, mark: &str) {
    let hub = sites.hub().client.clone();
    end(Api::<DRPolicy>::all(hub.clone()), mark, "the DRPolicy").await;
    end(Api::<DRCluster>::all(hub.clone()), mark, "the DRClusters").await;
    until("what the hub operator sent", PATIENCE, async || {
        for site in sites.managed() {
            let works = Api::<ManifestWork>::namespaced(hub.clone(), &site.name);
            for name in [names::DRCLUSTER_WORK, names::DRCLUSTERCONFIG_WORK] {
                if works.get_metadata_opt(name).await?.is_some() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    })
    .await;
}
