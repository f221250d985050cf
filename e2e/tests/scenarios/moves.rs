//! An application is protected, loses its cluster, gets it back, and goes home.

use kaedama_e2e::bytes::{audit, audit_at_home, keys, last_syncs, records, stored, volumes};
use kaedama_e2e::objects::{conditions, decisions, message, site, stage};
use kaedama_e2e::start::{
    AT_STAKE, app, deployed, dr1, dr2, drpc, either, lost_before, most_lost, pass, regional, writes,
};
use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::names;
use kube::ResourceExt;

pub async fn a_deployed_application_is_protected_in_storage_and_in_both_stores() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(3)).await?;

    let seen = drpc(&world, &app).await?;
    assert_eq!(stage(&seen), "Deployed/Completed");
    assert_eq!(conditions(&seen), ["Available=True/Deployed", "PeerReady=True/Success", "Protected=True/Protected"]);
    assert_eq!(decisions(&world, &app).await?, [dr1()]);

    let home = site(&world, dr1(), &app).await?;
    assert_eq!(home.role(), "primary/Primary");
    assert_eq!(home.claims.len(), 3);
    for claim in &home.claims {
        assert!(claim.finalizers().contains(&names::PVC_VR_FINALIZER.to_owned()), "{:?}", claim.metadata);
        assert_eq!(claim.labels().get(names::OWNER_NAME), Some(&app.name));
        assert_eq!(claim.labels().get(names::OWNER_NAMESPACE), Some(&app.namespace));
        assert_eq!(claim.annotations().get(names::VR_PROTECTED).map(String::as_str), Some(names::PROTECTED));
        assert!(claim.annotations().contains_key(names::VR_ARCHIVED));
    }
    assert_eq!(home.volumes.len(), 3);
    for volume in &home.volumes {
        let spec = volume.spec.clone().unwrap();
        assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
        assert_eq!(volume.annotations().get(names::VR_RETAINED).map(String::as_str), Some(names::RETAINED));
        assert!(volume.annotations().contains_key(names::VR_ARCHIVED));
    }
    assert_eq!(home.replications.len(), 3);

    let peer = site(&world, dr2(), &app).await?;
    assert_eq!(peer.role(), "secondary/Secondary");
    assert!(peer.claims.is_empty() && peer.volumes.is_empty() && peer.deployments.is_empty(), "{peer:#?}");

    let volume_names: Vec<String> = home.volumes.iter().map(ResourceExt::name_any).collect();
    for cluster in [dr1(), dr2()] {
        let keys = keys(&world, cluster, &app);
        let mut layout: Vec<String> = volume_names.iter().map(|name| format!("v1.PersistentVolume/{name}")).collect();
        layout
            .extend(app.claim_names().iter().map(|name| format!("v1.PersistentVolumeClaim/{}/{name}", app.namespace)));
        layout.push("v1alpha1.VolumeReplicationGroup/a".to_owned());
        for key in layout {
            assert!(keys.contains(&key), "{key} is not in the store of {cluster}: {keys:?}");
            let object = stored(&world, cluster, &app, &key)?;
            assert!(object["metadata"]["name"].is_string(), "{object}");
        }
        assert!(keys.contains(&"kaedama/v1/manifest".to_owned()), "{keys:?}");
        assert_eq!(stored(&world, cluster, &app, "kaedama/v1/manifest")?["writer"]["cluster"], dr1());
    }
    Ok(())
}

pub async fn a_failover_from_a_cluster_that_lives_loses_what_was_not_synced_and_comes_home_with_everything()
-> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(AT_STAKE).await;
    writes(&world, &app, dr1(), 0).await;
    let replicas = volumes(&world, dr2(), &app)?;
    assert!(replicas.values().all(|bytes| !bytes.is_empty()), "nothing was replicated");
    let ordered = audit_at_home(&world, &app)?;
    world.order(&app, DRAction::Failover, dr2()).await?;
    world.completed(&app, DRState::FailedOver).await?;
    world.protected(&app).await?;
    assert_eq!(decisions(&world, &app).await?, [dr2()]);
    assert_eq!(site(&world, dr2(), &app).await?.role(), "primary/Primary");
    let left = site(&world, dr1(), &app).await?;
    assert_eq!(left.role(), "secondary/Secondary");
    assert!(left.deployments.is_empty(), "the application is still deployed on its old home");
    for (claim, bytes) in volumes(&world, dr2(), &app)? {
        assert!(bytes.starts_with(&replicas[&claim]), "{claim} lost what had been synced");
    }
    // Never two at a time, and nothing beyond what came after the last sync.
    writes(&world, &app, dr2(), 0).await;
    let lost = audit_at_home(&world, &app)?;
    assert_eq!((lost.cluster.as_str(), lost.damaged, lost.out_of_order), (dr2(), 0, 0), "{lost:#?}");
    assert!(lost_before(&ordered, &lost) <= most_lost(&world), "more is lost than two intervals: {lost:#?}");
    pass(10).await;

    world.order(&app, DRAction::Relocate, dr1()).await?;
    world.completed(&app, DRState::Relocated).await?;
    world.protected(&app).await?;
    writes(&world, &app, dr1(), lost.acknowledged).await;
    assert_eq!(decisions(&world, &app).await?, [dr1()]);
    let home = audit_at_home(&world, &app)?;
    assert_eq!((home.cluster.as_str(), home.damaged, home.out_of_order), (dr1(), 0, 0), "{home:#?}");
    assert_eq!(home.lost, lost.lost, "the way home lost something: {home:#?}");
    assert!(home.acknowledged > lost.acknowledged, "the application does not write at home");
    Ok(())
}

pub async fn the_time_of_the_last_sync_goes_on_with_the_storage() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    let synced = async || anyhow::Ok(drpc(&world, &app).await?.status.unwrap_or_default().last_group_sync_time);
    pass(65).await;
    let first = synced().await?.expect("the volumes were replicated once");
    pass(120).await;
    let later = synced().await?.expect("the volumes were replicated again");
    assert!(later.0.duration_since(first.0).as_secs() >= either(60, 5), "{first:?} {later:?}");
    // A group is as old as the oldest of its volumes.
    let oldest = last_syncs(&world, &app)?.values().map(|report| report.at).min().unwrap();
    assert!(later.0 <= oldest, "the status says {later:?}, the storage {oldest}");
    Ok(())
}

pub async fn a_dead_cluster_costs_what_came_after_the_last_snapshot_and_comes_back_clean() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(3)).await?;
    pass(100).await;

    // The disaster.
    world.kill(dr1())?;
    let snapshots = last_syncs(&world, &app)?;
    let written = records(&world, dr1(), &app)?;
    let replicas = volumes(&world, dr2(), &app)?;
    let epoch_before = stored(&world, dr2(), &app, "kaedama/v1/manifest")?["writer"]["epoch"].as_u64().unwrap();
    world.order(&app, DRAction::Failover, dr2()).await?;
    let seen = world.placed(&app, DRState::FailedOver).await?;
    pass(20).await;

    assert_eq!(stage(&seen), "FailedOver/Cleaning Up");
    assert!(conditions(&seen)[0].starts_with("Available=True/FailedOver"), "{:?}", conditions(&seen));
    let later = drpc(&world, &app).await?;
    assert_eq!(conditions(&later)[1], "PeerReady=False/Progressing");
    assert!(message(&later, "PeerReady").contains(dr1()), "{}", message(&later, "PeerReady"));
    assert_eq!(decisions(&world, &app).await?, [format!("{} (retained)", dr1()), dr2().to_owned()]);
    let new_home = site(&world, dr2(), &app).await?;
    assert_eq!(new_home.role(), "primary/Primary");
    assert_eq!((new_home.claims.len(), new_home.volumes.len()), (3, 3));

    // What is lost is what no completed snapshot held, to the record.
    let after = audit_at_home(&world, &app)?;
    assert_eq!((after.cluster.as_str(), after.writers.as_slice()), (dr2(), &[dr1().to_owned(), dr2().to_owned()][..]));
    for (claim, all) in &written {
        let late = all.iter().filter(|record| record.at > snapshots[claim].at).count() as u64;
        assert!(late > 0, "nothing was at stake on {claim}");
        // In real time a record may have been on its way while the snapshot was taken.
        let fits = late..=late + either(0, 1);
        let lost = after.volumes[claim].lost;
        assert!(
            fits.contains(&lost),
            "{claim}: {lost} records lost, {late} after the snapshot of {}",
            snapshots[claim].at
        );
        assert!(volumes(&world, dr2(), &app)?[claim].starts_with(&replicas[claim]), "{claim} lost more than that");
    }
    assert_eq!((after.damaged, after.out_of_order, after.concurrent_seconds), (0, 0, 0.0));

    // The old primary comes back, with an application that believes it still is at home.
    world.revive(dr1())?;
    world.completed(&app, DRState::FailedOver).await?;
    let seen = world.protected(&app).await?;
    assert_eq!(conditions(&seen), ["Available=True/FailedOver", "PeerReady=True/Success", "Protected=True/Protected"]);
    assert_eq!(decisions(&world, &app).await?, [dr2()]);
    let old_home = site(&world, dr1(), &app).await?;
    assert_eq!(old_home.role(), "secondary/Secondary");
    assert!(old_home.deployments.is_empty(), "the application is still deployed on dr1");
    for cluster in [dr1(), dr2()] {
        let epoch = stored(&world, cluster, &app, "kaedama/v1/manifest")?["writer"].clone();
        assert_eq!((&epoch["cluster"], epoch["epoch"].as_u64()), (&dr2().into(), Some(epoch_before + 1)), "{epoch}");
    }
    pass(125).await;
    let (here, there) = (volumes(&world, dr1(), &app)?, volumes(&world, dr2(), &app)?);
    for (claim, replica) in &here {
        assert!(there[claim].starts_with(replica), "the replica of {claim} on dr1 is no copy");
        assert!(replica.len() > replicas[claim].len(), "the replica of {claim} does not follow");
    }

    // What the old primary wrote between its return and its end was never on dr2, and is thrown away with the rest.
    let lost_by_disaster = audit(&world, dr2(), &app)?.lost;
    // It is ten a second, until the operator that was killed leads again and the hub's word has come through.
    let most = either(50, 300);
    assert!(
        lost_by_disaster - after.lost <= most,
        "the old primary wrote on: {lost_by_disaster}, before {}",
        after.lost
    );

    // And the application goes home, with everything.
    world.order(&app, DRAction::Relocate, dr1()).await?;
    world.completed(&app, DRState::Relocated).await?;
    let seen = world.protected(&app).await?;
    assert_eq!(conditions(&seen), ["Available=True/Relocated", "PeerReady=True/Success", "Protected=True/Protected"]);
    assert_eq!(decisions(&world, &app).await?, [dr1()]);
    writes(&world, &app, dr1(), 0).await;
    assert_eq!(audit_at_home(&world, &app)?.cluster, dr1());
    let home_again = audit(&world, dr1(), &app)?;
    assert_eq!(home_again.lost, lost_by_disaster, "the way back lost something");
    assert_eq!((home_again.damaged, home_again.out_of_order), (0, 0));
    Ok(())
}
