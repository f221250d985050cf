//! Operators whose images took the place of RamenDR's, and found RamenDR's definitions of kinds and RamenDR's roles.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_e2e::bytes::audit_at_home;
use kaedama_e2e::objects::decisions;
use kaedama_e2e::real::{HUB, Identity, Real};
use kaedama_e2e::start::{app, deployed, dr1, dr2, drpc, pass, real, regional, writes};
use kaedama_e2e::suite::rights::denied;
use kaedama_sandbox::world::World;
use kaedama_shared::api::ocm::ManagedClusterView;
use kaedama_shared::api::{DRAction, DRState, VolumeReplicationGroupReport};
use kaedama_shared::yaml;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, CustomResourceExt as _};

/// The longest that a definition may take to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the one kind that RamenDR does not have away from a cluster.
async fn without_reports(world: &World, cluster: &str) -> anyhow::Result<Api<CustomResourceDefinition>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(world.cluster(cluster)?);
    let name = VolumeReplicationGroupReport::crd_name();
    definitions.delete(name, &DeleteParams::default()).await?;
    tokio::time::timeout(PATIENCE, async {
        while definitions.get_opt(name).await?.is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    })
    .await??;
    Ok(definitions)
}

/// Gives the operators the rights that RamenDR's roles have, and starts them anew with these.
async fn with_the_rights_of_ramendr(real: &Real) -> anyhow::Result<()> {
    for cluster in real.names() {
        let (name, rules) = match cluster == HUB {
            true => ("ramen-hub-operator", include_str!("ramendr/hub.yaml")),
            false => ("ramen-dr-cluster-operator", include_str!("ramendr/spoke.yaml")),
        };
        let roles: Api<ClusterRole> = Api::all(real.client(&cluster, &Identity::admin(), "an-admin").await?);
        let mut role = roles.get(name).await?;
        role.rules = Some(yaml::from_str(rules)?);
        roles.replace(name, &PostParams::default(), &role).await?;
        real.replace_operator(&cluster).await?;
    }
    Ok(())
}

pub async fn an_installation_of_ramendr_needs_other_images_and_nothing_else() -> anyhow::Result<()> {
    let world = regional().await?;
    let there = [without_reports(&world, dr1()).await?, without_reports(&world, dr2()).await?];
    // The sandbox enforces no rights.
    let real = real().ok();
    let mut refused = BTreeSet::new();
    if let Some(real) = &real {
        refused = denied(real)?;
        with_the_rights_of_ramendr(real).await?;
    }
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    let views: Api<ManagedClusterView> = Api::namespaced(world.hub(), dr1());
    assert!(!views.list(&ListParams::default()).await?.items.is_empty(), "what else would it be seen through?");

    world.order(&app, DRAction::Relocate, dr2()).await?;
    let relocated = world.completed(&app, DRState::Relocated).await?;
    assert_eq!(relocated.metadata.generation, drpc(&world, &app).await?.metadata.generation);
    assert_eq!(decisions(&world, &app).await?, [dr2()]);
    let written = audit_at_home(&world, &app)?.acknowledged;
    writes(&world, &app, dr2(), written + 20).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == dr2() && now.acknowledged > written, "{now:#?}");

    // So that there is something to come back to.
    pass(120).await;
    world.order(&app, DRAction::Failover, dr1()).await?;
    world.completed(&app, DRState::FailedOver).await?;
    assert_eq!(decisions(&world, &app).await?, [dr1()]);
    writes(&world, &app, dr1(), written + 40).await;
    let now = audit_at_home(&world, &app)?;
    assert_eq!(now.cluster, dr1(), "{now:#?}");
    for definitions in there {
        let name = VolumeReplicationGroupReport::crd_name();
        assert!(definitions.get_opt(name).await?.is_none(), "somebody installed {name}: this tried nothing");
    }
    if let Some(real) = &real {
        let missing: Vec<String> = denied(real)?.difference(&refused).cloned().collect();
        // What is done without.
        let kinds = ["customresourcedefinitions", "network-attachment-definitions", "volumereplicationgroupreports"];
        assert_eq!(missing, kinds.map(|kind| format!("list {kind}")));
    }
    Ok(())
}
