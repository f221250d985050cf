//! Protection ends: the application goes on with all its bytes, and everything of ours goes.

use kaedama_e2e::bytes::{audit_at_home, keys, volumes};
use kaedama_e2e::objects::{decisions, placement, site, until_site, works_left};
use kaedama_e2e::start::{app, deployed, dr1, dr2, pass, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::DRPlacementControl;
use kaedama_shared::api::ocm::Placement;
use kaedama_shared::names;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};

/// Nothing of ours is left on the application's cluster, in the stores, or on the hub.
async fn assert_unprotected(world: &World, app: &App) -> anyhow::Result<()> {
    let home = until_site(world, dr1(), app, "the application alone", |site| {
        site.vrg.is_none() && site.replications.is_empty()
    })
    .await?;
    assert_eq!((home.claims.len(), home.volumes.len(), home.deployments.len()), (2, 2, 1));
    for claim in &home.claims {
        assert_eq!(claim.finalizers(), ["kubernetes.io/pvc-protection"], "{:?}", claim.metadata);
        assert_free_of_ours(claim.metadata.clone());
    }
    for volume in &home.volumes {
        assert_eq!(volume.spec.clone().unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
        assert_free_of_ours(volume.metadata.clone());
    }
    let peer = site(world, dr2(), app).await?;
    assert!(peer.vrg.is_none() && peer.claims.is_empty() && peer.volumes.is_empty(), "{peer:#?}");
    for cluster in [dr1(), dr2()] {
        assert_eq!(keys(world, cluster, app), Vec::<String>::new(), "left in the store of {cluster}");
        assert_eq!(works_left(world, cluster, app).await?, Vec::<String>::new(), "left on the hub for {cluster}");
    }
    Ok(())
}

fn assert_free_of_ours(metadata: kube::api::ObjectMeta) {
    let ours = |key: &String| key.contains("ramendr.openshift.io/");
    let labels: Vec<_> = metadata.labels.unwrap_or_default().into_keys().filter(ours).collect();
    let annotations: Vec<_> = metadata.annotations.unwrap_or_default().into_keys().filter(ours).collect();
    assert!(labels.is_empty() && annotations.is_empty(), "{labels:?} {annotations:?}");
}

pub async fn a_deleted_drplacementcontrol_leaves_the_application_running_with_its_bytes() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    let (before, written) = (volumes(&world, dr1(), &app)?, audit_at_home(&world, &app)?.acknowledged);
    world.unprotect(&app).await?;
    world.until_gone(world.drpcs(&app.namespace), &app.name).await?;
    pass(20).await;

    assert_unprotected(&world, &app).await?;
    assert_eq!(decisions(&world, &app).await?, [dr1()]);
    let kept = placement(&world, &app).await?;
    assert!(!kept.finalizers().contains(&names::DRPC_FINALIZER.to_owned()), "{:?}", kept.metadata);
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean(), "{now:#?}");
    assert_eq!(now.writers, [dr1()]);
    assert!(now.acknowledged > written, "it does not write any more: {now:#?}");
    for (claim, bytes) in volumes(&world, dr1(), &app)? {
        assert!(bytes.len() > before[&claim].len(), "{claim} is not written any more");
    }
    Ok(())
}

pub async fn a_deleted_placement_ends_the_protection_in_order() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(20).await;
    let before = audit_at_home(&world, &app)?;
    let api: Api<Placement> = Api::namespaced(world.hub(), &app.namespace);
    api.delete(&app.name, &DeleteParams::default()).await?;
    let drpcs: Api<DRPlacementControl> = world.drpcs(&app.namespace);
    world.until_gone(drpcs, &app.name).await?;
    world.until_gone(api, &app.name).await?;
    // Without its Placement the application has no cluster any more, and GitOps removes it. Its bytes went through our
    // hands last, and we left them to the reclaim policy that the user chose.
    for cluster in [dr1(), dr2()] {
        assert_eq!(keys(&world, cluster, &app), Vec::<String>::new());
        assert_eq!(works_left(&world, cluster, &app).await?, Vec::<String>::new());
        assert!(site(&world, cluster, &app).await?.vrg.is_none());
    }
    assert!(before.is_clean(), "{before:#?}");
    Ok(())
}

pub async fn an_application_can_be_protected_again() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    world.unprotect(&app).await?;
    world.until_gone(world.drpcs(&app.namespace), &app.name).await?;
    pass(10).await;
    let app = deployed(&world, app).await?;
    pass(70).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.writers == [dr1()], "{now:#?}");
    let replicas = volumes(&world, dr2(), &app)?;
    assert!(replicas.values().all(|bytes| !bytes.is_empty()), "nothing is replicated");
    Ok(())
}
