//! Groups of volumes: replicated, demoted and promoted as one.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kaedama_sandbox::storage::DEFAULT_DRIVER;
use kaedama_shared::api::csiaddons::{
    VolumeGroupReplication, VolumeGroupReplicationClass, VolumeGroupReplicationContent, VolumeReplication,
};
use kube::{
    Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use super::world::*;

async fn group(site: &Site, state: &str) {
    site.apply::<VolumeGroupReplication>(json!({
        "metadata": {"name": "group", "namespace": NS},
        "spec": {
            "volumeGroupReplicationClassName": "vgrc", "volumeReplicationClassName": "vrc-5m",
            "replicationState": state, "autoResync": false,
            "source": {"selector": {"matchLabels": {"app": "db"}}}
        }
    }))
    .await;
}

async fn group_class(site: &Site) {
    site.apply::<VolumeGroupReplicationClass>(json!({
        "metadata": {"name": "vgrc"}, "spec": {"provisioner": DEFAULT_DRIVER, "parameters": {"schedulingInterval": "5m"}}
    }))
    .await;
}

async fn group_is(site: &Site, state: &str, members: &[&str]) {
    until(&format!("the group is {state} with {members:?}"), || async {
        let group = site.within::<VolumeGroupReplication>().get("group").await.unwrap();
        let generation = group.metadata.generation;
        let status = group.status.unwrap_or_default();
        let names: Vec<&str> = status.persistent_volume_claims_ref_list.iter().map(|one| one.name.as_str()).collect();
        let current = Some(status.replication.observed_generation) == generation;
        let done = status.replication.state.as_str() == state && names == members && current;
        if done { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_fails_over_with_volumes_of_one_moment() {
    let mut pair = Pair::start().await;
    for site in [&pair.dr1, &pair.dr2] {
        group_class(site).await;
    }
    for claim in ["data", "log"] {
        pair.dr1.claim(claim, "fast").await;
    }
    pair.dr1.deploy(&["data", "log"]).await;
    pair.dr1.available(1).await;
    group(&pair.dr1, "primary").await;
    group_is(&pair.dr1, "Primary", &["data", "log"]).await;
    sleep(7 * MINUTE).await;
    let source = pair.dr1.within::<VolumeGroupReplication>().get("group").await.unwrap();
    let synced = source.status.clone().unwrap().replication.last_sync_time.unwrap().0;
    assert!(pair.clock.now().duration_since(synced).as_secs() < 300);
    let name = source.spec.volume_group_replication_content_name.clone();
    let content = pair.dr1.all::<VolumeGroupReplicationContent>().get(&name).await.unwrap();
    let mapping = &content.status.as_ref().unwrap().persistent_volume_mapping_list;
    assert!(mapping.len() == 2 && mapping.iter().all(|m| !m.name.is_empty() && !m.volume_handle.is_empty()));

    let mut volumes = Vec::new();
    for claim in ["data", "log"] {
        volumes.push((claim, pair.dr1.bound(claim).await));
    }
    pair.dr1.power_off().await;
    pair.fabric.set_alive(&"a".into(), false);
    for (claim, (pv, pvc)) in &volumes {
        pair.restore(claim, pv, pvc).await;
    }
    // The content and the group are restored as well, with the group's handle.
    pair.dr2
        .apply::<VolumeGroupReplicationContent>(json!({
            "metadata": {"name": name},
            "spec": {
                "provisioner": DEFAULT_DRIVER, "volumeGroupReplicationClassName": "vgrc",
                "volumeGroupReplicationHandle": content.spec.volume_group_replication_handle,
                "source": {"volumeHandles": content.spec.source.volume_handles}
            }
        }))
        .await;
    pair.dr2
        .apply::<VolumeGroupReplication>(json!({
            "metadata": {"name": "group", "namespace": NS},
            "spec": source.spec
        }))
        .await;
    group_is(&pair.dr2, "Primary", &["data", "log"]).await;
    let [a, b] = [0, 1].map(|index| bytes(&pair.fabric, "b", &handle(&volumes[index].1.0)).unwrap());
    assert_eq!(a, b, "both volumes are of one moment");
    pair.dr2.deploy(&["data", "log"]).await;
    pair.dr2.available(1).await;
    sleep(MINUTE).await;
    let audit = pair.ledger.audit(&pair.app()).unwrap();
    assert!(audit.lost > 0 && audit.duplicated == 0, "{audit:?}");
    assert_eq!(audit.volumes["data"], audit.volumes["log"]);
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go_with_their_label_and_everything_goes_with_the_group() {
    let pair = Pair::start().await;
    let site = &pair.dr1;
    group_class(site).await;
    site.claim("data", "fast").await;
    let (pv, _) = site.bound("data").await;
    group(site, "primary").await;
    group_is(site, "Primary", &["data"]).await;
    site.claim("log", "fast").await;
    let (log, _) = site.bound("log").await;
    group_is(site, "Primary", &["data", "log"]).await;
    until("the new member is replicated", || async {
        if bytes(&pair.fabric, "b", &handle(&log)).is_some() { Ok(()) } else { Err("no copy") }
    })
    .await;

    let claims = site.within::<PersistentVolumeClaim>();
    let unlabel = json!({"metadata": {"labels": {"app": null}}});
    claims.patch("data", &PatchParams::default(), &Patch::Merge(unlabel)).await.unwrap();
    group_is(site, "Primary", &["log"]).await;
    until("the member that left is released", || async {
        let finalizers = claims.get("data").await.unwrap().meta().finalizers.clone().unwrap_or_default();
        if finalizers == ["kubernetes.io/pvc-protection"] { Ok(()) } else { Err(format!("{finalizers:?}")) }
    })
    .await;
    assert_eq!(bytes(&pair.fabric, "b", &handle(&pv)), None);

    let groups = site.within::<VolumeGroupReplication>();
    groups.delete("group", &DeleteParams::default()).await.unwrap();
    site.gone(groups, "group").await;
    let all = ListParams::default();
    assert_eq!(site.within::<VolumeReplication>().list(&all).await.unwrap().items, []);
    assert_eq!(site.all::<VolumeGroupReplicationContent>().list(&all).await.unwrap().items, []);
    let finalizers = claims.get("log").await.unwrap().metadata.finalizers.unwrap();
    assert_eq!(finalizers, ["kubernetes.io/pvc-protection"]);
    assert!(bytes(&pair.fabric, "a", &handle(&log)).is_some());
    assert_eq!(bytes(&pair.fabric, "b", &handle(&log)), None);
}
