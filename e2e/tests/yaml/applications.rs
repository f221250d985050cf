//! Applications are protected by the YAML that their kind of deployment has.

use std::fs;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_e2e::start::{pass, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::ocm::PlacementDecision;
use kaedama_shared::api::{DRPlacementControl, DRState, VolumeReplicationGroup};
use kaedama_shared::yaml;
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::{apply_all, folder};

async fn completed(world: &World, namespace: &str) -> anyhow::Result<DRPlacementControl> {
    let app = App { namespace: namespace.to_owned(), ..App::new("busybox-drpc", "dr1") };
    Ok(world.completed(&app, DRState::Deployed).await?)
}

async fn decided(world: &World, namespace: &str) -> anyhow::Result<Vec<String>> {
    let api: Api<PlacementDecision> = Api::namespaced(world.hub(), namespace);
    let list = api.list(&ListParams::default()).await?.items;
    Ok(list.iter().flat_map(|decision| decision.decisions().iter().map(|entry| entry.cluster_name.clone())).collect())
}

/// The namespaces on dr2 that have a group.
async fn places(world: &World) -> anyhow::Result<Vec<String>> {
    let groups = Api::<VolumeReplicationGroup>::all(world.cluster("dr2")?).list(&ListParams::default()).await?;
    Ok(groups.into_iter().filter_map(|group| group.metadata.namespace).collect())
}

pub async fn an_application_of_a_subscription_is_protected_by_its_usual_yaml() -> anyhow::Result<()> {
    let world = regional().await?;
    apply_all(&world.hub(), include_str!("clusters.yaml")).await?;
    apply_all(&world.hub(), include_str!("subscription.yaml")).await?;
    completed(&world, "busybox-sample").await?;
    assert_eq!(decided(&world, "busybox-sample").await?, ["dr1"]);
    let groups: Api<VolumeReplicationGroup> = Api::namespaced(world.cluster("dr1")?, "busybox-sample");
    let group = groups.get("busybox-drpc").await?;
    assert_eq!(group.spec.s3_profiles, ["s3-dr1", "s3-dr2"]);
    Ok(())
}

pub async fn an_application_set_says_where_its_application_lives() -> anyhow::Result<()> {
    let Some(folder) = folder("KAEDAMA_PEER_CRDS", "shared/peer-crds") else { return Ok(()) };
    let world = regional().await?;
    let definition: CustomResourceDefinition =
        yaml::from_str(&fs::read_to_string(folder.join("argocd/applicationset-crd.yaml"))?)?;
    Api::<CustomResourceDefinition>::all(world.hub()).create(&PostParams::default(), &definition).await?;
    // A kind that comes later is looked for from time to time.
    pass(30).await;
    let before = places(&world).await?;
    apply_all(&world.hub(), include_str!("clusters.yaml")).await?;
    apply_all(&world.hub(), include_str!("applicationset.yaml")).await?;
    completed(&world, "openshift-gitops").await?;
    assert_eq!(decided(&world, "openshift-gitops").await?, ["dr2"]);
    let mut after = places(&world).await?;
    // Where groups were before, they stand for others.
    after.retain(|place| !before.contains(place));
    assert_eq!(after, ["e2e-appset-busybox"]);
    Ok(())
}
