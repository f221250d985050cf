//! Objects as they are written elsewhere are taken whole, and what is no longer known is told.

use std::fs;

use kaedama_e2e::start::{pass, regional};
use kaedama_shared::api::{self, VolumeReplicationGroup};
use kaedama_shared::yaml;
use kube::Api;
use kube::api::ValidationDirective;
use serde_json::Value;

use super::{apply, apply_all, blocks, create, folder, missing};

pub async fn the_samples_in_the_seeds_apply_as_they_are() -> anyhow::Result<()> {
    let Some(folder) = folder("KAEDAMA_SEEDS", "shared/seeds") else { return Ok(()) };
    let world = regional().await?;
    let (hub, spoke) = (world.hub(), world.cluster("dr1")?);
    let mut applied = Vec::new();
    for entry in fs::read_dir(folder)? {
        for object in blocks(&fs::read_to_string(entry?.path())?) {
            let group = object["apiVersion"].as_str().unwrap_or_default();
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            if group != api::API_VERSION && group != "replication.storage.openshift.io/v1alpha1" {
                continue;
            }
            let on_hub = ["DRPolicy", "DRCluster", "DRPlacementControl"].contains(&kind.as_str());
            let client = if on_hub { &hub } else { &spoke };
            let name = format!("{kind} {}", object["metadata"]["name"]);
            let kept = apply(client, &object, ValidationDirective::Strict)
                .await
                .map_err(|error| error.context(format!("{name} was not taken")))?;
            let lost = missing(&object["spec"], &kept["spec"], ".spec");
            assert!(lost.is_empty(), "{name} lost {lost:#?}");
            applied.push(kind);
        }
    }
    for kind in ["DRPolicy", "DRPlacementControl", "VolumeReplicationGroup"] {
        assert!(applied.iter().any(|applied| applied == kind), "no {kind} was found: {applied:?}");
    }
    Ok(())
}

pub async fn members_that_are_gone_are_pruned_and_refused_where_that_is_asked_for() -> anyhow::Result<()> {
    let world = regional().await?;
    let gone = ["captureOrder", "recoverOrder", "drClusterSet"];
    for object in yaml::from_documents::<Value>(include_str!("old.yaml"))? {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        // Server-side apply takes no field that it does not know, whatever validation is asked for.
        for validation in [ValidationDirective::Strict, ValidationDirective::Warn] {
            let answer = format!("{:#}", apply(&world.hub(), &object, validation).await.unwrap_err());
            assert!(gone.iter().any(|field| answer.contains(field)), "{name}: {answer}");
        }
        let kept =
            create(&world.hub(), &object).await.map_err(|error| error.context(format!("{name} was not taken")))?;
        let lost: Vec<String> = missing(&object["spec"], &kept["spec"], ".spec");
        assert!(
            !lost.is_empty() && lost.iter().all(|line| gone.iter().any(|path| line.contains(path))),
            "{name}: {lost:#?}"
        );
    }
    Ok(())
}

pub async fn a_group_as_the_other_hub_writes_it_is_taken_by_a_cluster() -> anyhow::Result<()> {
    let world = regional().await?;
    let spoke = world.cluster("dr1")?;
    apply_all(&spoke, include_str!("group.yaml")).await?;
    pass(10).await;
    let groups: Api<VolumeReplicationGroup> = Api::namespaced(spoke, "default");
    let status = groups.get("busybox-drpc").await?.status.unwrap_or_default();
    assert!(status.observed_generation > 0, "nobody has looked at it: {status:#?}");
    Ok(())
}
