//! The status of a DRClusterConfig from what the cluster has. Pure; sorted, and each name once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kaedama_shared::api::conditions::drclusterconfig as condition_type;
use kaedama_shared::api::reasons::drclusterconfig as reason;
use kaedama_shared::api::{
    Condition, ConditionStatus, DRClusterConfig, DRClusterConfigStatus, NetworkAttachment, StorageAccessDetail,
    condition,
};
use kaedama_shared::names;
use kaedama_shared::report::{ClassFacts, ClusterReport};
use kube::core::DynamicObject;
use serde_json::Value;

/// What the cluster has.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// All StorageClasses.
    pub storage: Vec<ClassFacts>,
    /// All VolumeSnapshotClasses.
    pub snapshots: Vec<ClassFacts>,
    /// All VolumeGroupSnapshotClasses.
    pub group_snapshots: Vec<ClassFacts>,
    /// All VolumeReplicationClasses.
    pub replications: Vec<ClassFacts>,
    /// All VolumeGroupReplicationClasses.
    pub group_replications: Vec<ClassFacts>,
    /// Name, provisioner and storage identity of NetworkFenceClasses that have one.
    pub fences: Vec<(String, String)>,
    /// All CSIAddonsNodes.
    pub nodes: Vec<DynamicObject>,
    /// NetworkAttachmentDefinitions that take part in disaster recovery.
    pub networks: Vec<DynamicObject>,
    /// How many DRClusterConfigs there are.
    pub configs: usize,
}

/// Makes the status.
#[must_use]
pub fn status(config: &DRClusterConfig, found: &Found, now: Timestamp) -> DRClusterConfigStatus {
    let generation = config.metadata.generation.unwrap_or_default();
    let last = config.status.clone().unwrap_or_default();
    let mut conditions = last.conditions.clone();
    if condition::find(&conditions, condition_type::REACHABLE).is_none() {
        let first = Condition::new(
            condition_type::REACHABLE,
            ConditionStatus::Unknown,
            reason::INITIALIZING,
            "not probed",
            generation,
        );
        condition::set(&mut conditions, first, now);
    }
    if found.configs > 1 {
        let text = format!("there are {} DRClusterConfigs; a cluster has one", found.configs);
        let failed =
            Condition::new(condition_type::PROCESSED, ConditionStatus::False, reason::FAILED, text, generation);
        condition::set(&mut conditions, failed, now);
        return DRClusterConfigStatus { conditions, ..last };
    }
    let done = Condition::new(
        condition_type::PROCESSED,
        ConditionStatus::True,
        reason::SUCCEEDED,
        "all classes are listed",
        generation,
    );
    condition::set(&mut conditions, done, now);
    let storage = marked(&found.storage, names::STORAGE_ID);
    let snapshots = marked(&found.snapshots, names::STORAGE_ID);
    let group_snapshots = marked(&found.group_snapshots, names::STORAGE_ID);
    let replications = marked(&found.replications, names::REPLICATION_ID);
    let group_replications = marked(&found.group_replications, names::GROUP_REPLICATION_ID);
    let access = access(found);
    let cidrs: BTreeSet<String> = access.iter().flat_map(|detail| detail.cidrs.clone()).collect();
    let fences: BTreeSet<String> = found.fences.iter().map(|(name, _)| name.clone()).collect();
    DRClusterConfigStatus {
        conditions,
        network_attachments: networks(&found.networks),
        network_fence_classes: fences.into_iter().collect(),
        storage_access_details: access,
        storage_classes: listed(&storage),
        volume_group_replication_classes: listed(&group_replications),
        volume_group_snapshot_classes: listed(&group_snapshots),
        volume_replication_classes: listed(&replications),
        volume_snapshot_classes: listed(&snapshots),
        hub_report: ClusterReport {
            generation,
            storage_classes: storage,
            volume_replication_classes: replications,
            volume_group_replication_classes: group_replications,
            volume_snapshot_classes: snapshots,
            volume_group_snapshot_classes: group_snapshots,
            cidrs: cidrs.into_iter().collect(),
            ..ClusterReport::default()
        }
        .encode(),
    }
}

/// The classes that carry this label, by name.
fn marked(classes: &[ClassFacts], label: &str) -> Vec<ClassFacts> {
    let found: BTreeSet<ClassFacts> =
        classes.iter().filter(|class| class.labels.contains_key(label)).cloned().collect();
    found.into_iter().collect()
}

fn listed(classes: &[ClassFacts]) -> Vec<String> {
    classes.iter().map(|class| class.name.clone()).collect()
}

/// From which addresses the nodes reach the storage of each provisioner that can be fenced.
fn access(found: &Found) -> Vec<StorageAccessDetail> {
    let mut by_provisioner: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (class, provisioner) in &found.fences {
        let cidrs = by_provisioner.entry(provisioner).or_default();
        for node in &found.nodes {
            cidrs.extend(cidrs_of(&node.data, class));
        }
    }
    by_provisioner
        .into_iter()
        .map(|(provisioner, cidrs)| StorageAccessDetail {
            storage_provisioner: provisioner.to_owned(),
            cidrs: cidrs.into_iter().collect(),
        })
        .collect()
}

fn cidrs_of(node: &Value, class: &str) -> Vec<String> {
    let entries = items(node.pointer("/status/networkFenceClientStatus"));
    let of_class =
        entries.iter().filter(|entry| entry.get("networkFenceClassName").and_then(Value::as_str) == Some(class));
    of_class
        // The key has a capital letter in csi-addons' own type.
        .flat_map(|entry| items(entry.get("ClientDetails").or_else(|| entry.get("clientDetails"))))
        .flat_map(|client| items(client.get("cidrs")))
        .filter_map(|cidr| cidr.as_str())
        .map(str::to_owned)
        .collect()
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn networks(found: &[DynamicObject]) -> Vec<NetworkAttachment> {
    let mut all: Vec<NetworkAttachment> = found
        .iter()
        .map(|network| NetworkAttachment {
            cni_type: cni_type(&network.data),
            name: network.metadata.name.clone().unwrap_or_default(),
            namespace: network.metadata.namespace.clone().unwrap_or_default(),
        })
        .collect();
    all.sort_by_key(|network| format!("{}/{}", network.namespace, network.name));
    all
}

/// The type in the CNI configuration, else that of its first plugin.
fn cni_type(network: &Value) -> String {
    let text = network.pointer("/spec/config").and_then(Value::as_str).unwrap_or_default();
    let config: Value = serde_json::from_str(text).unwrap_or_default();
    let found = config.get("type").or_else(|| config.pointer("/plugins/0/type")).and_then(Value::as_str);
    found.filter(|text| !text.is_empty()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, label: Option<(&str, &str)>) -> ClassFacts {
        let labels = label.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        ClassFacts { name: name.into(), provisioner: "p".into(), labels, ..ClassFacts::default() }
    }

    fn dynamic(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn now() -> Timestamp {
        "2026-03-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn classes_appear_with_their_label_and_disappear_without_it() {
        let mut found = Found {
            storage: vec![
                class("b", Some((names::STORAGE_ID, "s"))),
                class("a", Some((names::STORAGE_ID, "s"))),
                class("plain", None),
            ],
            replications: vec![
                class("r", Some((names::REPLICATION_ID, "r"))),
                class("x", Some((names::STORAGE_ID, "s"))),
            ],
            group_replications: vec![class("g", Some((names::GROUP_REPLICATION_ID, "g")))],
            snapshots: vec![class("v", Some((names::STORAGE_ID, "s")))],
            group_snapshots: vec![class("w", Some((names::STORAGE_ID, "s")))],
            configs: 1,
            ..Found::default()
        };
        let status = status(&DRClusterConfig::default(), &found, now());
        assert_eq!(status.storage_classes, ["a", "b"]);
        assert_eq!(status.volume_replication_classes, ["r"]);
        assert_eq!(status.volume_group_replication_classes, ["g"]);
        assert_eq!(status.volume_snapshot_classes, ["v"]);
        assert_eq!(status.volume_group_snapshot_classes, ["w"]);
        assert!(condition::is_true(&status.conditions, condition_type::PROCESSED));
        let report = ClusterReport::decode(&status.hub_report).unwrap();
        assert_eq!(report.storage_classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        found.storage.retain(|class| class.name != "a");
        assert_eq!(super::status(&DRClusterConfig::default(), &found, now()).storage_classes, ["b"]);
    }

    #[test]
    fn addresses_are_those_of_the_class_sorted_and_each_once() {
        let node = |cidrs: &[&str]| {
            dynamic(json!({"metadata": {"name": "n"}, "status": {"networkFenceClientStatus": [
                {"networkFenceClassName": "nf", "ClientDetails": [{"id": "x", "cidrs": cidrs}]},
                {"networkFenceClassName": "other", "ClientDetails": [{"id": "x", "cidrs": ["9.9.9.9/32"]}]},
            ]}}))
        };
        let found = Found {
            fences: vec![("nf".into(), "csi".into())],
            nodes: vec![node(&["10.0.0.2/32", "10.0.0.1/32"]), node(&["10.0.0.1/32"])],
            configs: 1,
            ..Found::default()
        };
        let status = status(&DRClusterConfig::default(), &found, now());
        assert_eq!(status.network_fence_classes, ["nf"]);
        assert_eq!(status.storage_access_details.len(), 1);
        assert_eq!(status.storage_access_details[0].cidrs, ["10.0.0.1/32", "10.0.0.2/32"]);
    }

    #[test]
    fn networks_name_their_cni_type() {
        let network = |namespace: &str, config: Value| {
            dynamic(
                json!({"metadata": {"name": "net", "namespace": namespace}, "spec": {"config": config.to_string()}}),
            )
        };
        let found = vec![
            network("b", json!({"plugins": [{"type": "bridge"}]})),
            network("a", json!({"type": "macvlan"})),
            network("c", json!("nonsense")),
        ];
        let all: Vec<_> = networks(&found).into_iter().map(|network| (network.namespace, network.cni_type)).collect();
        assert_eq!(
            all,
            [("a".into(), "macvlan".into()), ("b".into(), "bridge".into()), ("c".into(), String::from("unknown"))]
        );
    }

    #[test]
    fn two_of_them_are_refused_and_nothing_else_changes() {
        let config = DRClusterConfig {
            status: Some(DRClusterConfigStatus { storage_classes: vec!["kept".into()], ..Default::default() }),
            ..DRClusterConfig::default()
        };
        let status = status(&config, &Found { configs: 2, ..Found::default() }, now());
        assert_eq!(status.storage_classes, ["kept"]);
        let processed = condition::find(&status.conditions, condition_type::PROCESSED).unwrap();
        assert_eq!((processed.is_false(), processed.reason.as_str()), (true, "Failed"));
    }
}
