//! Objects that people wrote by hand for RamenDR are read by our types.

mod crds_peers;

use std::collections::BTreeMap;
use std::fs;

use kaedama_shared::api::{self, DRCluster, DRPlacementControl, DRPolicy, VolumeReplicationGroup};
use kaedama_shared::yaml;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The YAML blocks of a Markdown text.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```yaml") => block = Some(Vec::new()),
            (Some(lines), "```") => {
                blocks.push(lines.join("\n"));
                block = None;
            }
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    blocks
}

fn read<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"))
}

#[test]
fn hand_written_objects_are_read() {
    let Some(folder) = crds_peers::folder("KAEDAMA_SEEDS", "shared/seeds") else { return };
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let documents = blocks(&text).into_iter().filter_map(|block| yaml::from_documents::<Value>(&block).ok());
        for object in documents.flatten().filter(|object| object["apiVersion"] == api::API_VERSION) {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            match kind.as_str() {
                "DRPolicy" => {
                    let policy: DRPolicy = read(&object);
                    assert_eq!(policy.spec.dr_clusters.len(), 2);
                    api::parse_scheduling_interval(&policy.spec.scheduling_interval).unwrap();
                }
                "DRCluster" => assert!(!read::<DRCluster>(&object).spec.s3_profile_name.is_empty()),
                "DRPlacementControl" => {
                    let drpc: DRPlacementControl = read(&object);
                    assert!(drpc.spec.dr_policy_ref.name.is_some() && drpc.spec.placement_ref.name.is_some());
                }
                "VolumeReplicationGroup" => {
                    let vrg: VolumeReplicationGroup = read(&object);
                    assert!(!vrg.spec.s3_profiles.is_empty());
                    assert!(matches!(
                        vrg.spec.replication_state,
                        api::ReplicationState::Primary | api::ReplicationState::Secondary
                    ));
                }
                other => panic!("a kind that this test does not read: {other}"),
            }
            *kinds.entry(kind).or_default() += 1;
        }
    }
    assert!(kinds.values().sum::<usize>() > 0, "no object was found");
}
