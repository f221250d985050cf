//! What is told of classes that do not fit.

use serde_json::{Value, json};

use super::*;

const DRIVER: &str = "rbd.csi.ceph.com";

fn storage(name: &str, labels: &Value) -> Value {
    json!({ "metadata": { "name": name, "labels": labels }, "provisioner": DRIVER, "reclaimPolicy": "Delete" })
}

fn replication(name: &str, interval: &str, labels: &Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "provisioner": DRIVER, "parameters": { "schedulingInterval": interval } },
    })
}

fn side(cluster: &str, storage: &[Value], replication: &[Value]) -> Side {
    let read = |value: &Value| serde_json::from_value(value.clone()).unwrap();
    Side {
        cluster: cluster.to_owned(),
        storage: storage.iter().map(read).collect(),
        replication: replication.iter().map(|value| serde_json::from_value(value.clone()).unwrap()).collect(),
    }
}

/// Both labels of a cluster's storage.
fn ids(storage: &str) -> Value {
    json!({ names::STORAGE_ID: storage, names::REPLICATION_ID: "pair" })
}

/// A cluster whose classes have these labels.
fn labelled(cluster: &str, labels: &Value) -> Side {
    side(cluster, &[storage("rbd", labels)], &[replication("often", "5m", labels)])
}

fn policy() -> DRPolicySpec {
    DRPolicySpec { scheduling_interval: "5m".to_owned(), ..DRPolicySpec::default() }
}

fn said(sides: &[Side]) -> String {
    let refusals = judge(sides, "rbd", &policy()).unwrap_err();
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn classes_with_all_labels_fit_and_so_do_classes_without_any() {
    let well = judge(&[labelled("dr1", &ids("one")), labelled("dr2", &ids("two"))], "rbd", &policy()).unwrap();
    assert_eq!(well[0], "dr1: StorageClass rbd is replicated by VolumeReplicationClass often every 5m");
    judge(&[labelled("dr1", &json!({})), labelled("dr2", &json!({}))], "rbd", &policy()).unwrap();
    // The hub finds no pair then, and goes by provisioner and interval.
    judge(&[labelled("dr1", &json!({ names::STORAGE_ID: "one" })), labelled("dr2", &json!({}))], "rbd", &policy())
        .unwrap();
}

#[test]
fn a_class_that_is_missing_or_keeps_its_volumes_is_named() {
    let said_of = |storage: &[Value]| said(&[labelled("dr1", &ids("one")), side("dr2", storage, &[])]);
    let missing = said_of(&[storage("other", &json!({}))]);
    assert!(missing.contains("dr2: there is no StorageClass rbd") && missing.contains("has other"), "{missing}");
    let mut kept = storage("rbd", &json!({}));
    kept["reclaimPolicy"] = json!("Retain");
    assert!(said_of(&[kept]).contains("dr2: StorageClass rbd keeps its volumes"));
    let offloaded = said_of(&[storage("rbd", &json!({ names::OFFLOADED: "" }))]);
    assert!(offloaded.contains("dr2: replication of StorageClass rbd is left to the storage"), "{offloaded}");
}

#[test]
fn a_replication_class_of_the_interval_is_needed_and_one_is_enough() {
    let with = |replication: &[Value]| {
        said(&[labelled("dr1", &json!({})), side("dr2", &[storage("rbd", &json!({}))], replication)])
    };
    let other = with(&[replication("rarely", "1h", &json!({}))]);
    assert!(other.contains(&format!("dr2: no VolumeReplicationClass of provisioner {DRIVER}")), "{other}");
    assert!(other.contains("schedulingInterval 5m; ") && other.contains("rarely (1h)"), "{other}");
    let mut foreign = replication("often", "5m", &json!({}));
    foreign["spec"]["provisioner"] = json!("elsewhere");
    assert!(with(&[foreign]).ends_with("there is: none"));
    let two = [replication("a", "5m", &json!({})), replication("b", "5m", &json!({}))];
    let several = with(&two);
    assert!(
        several.contains("several") && several.contains("a, b") && several.contains("is-default-class"),
        "{several}"
    );
    let mut one_default = two;
    one_default[1]["metadata"]["annotations"] = json!({ names::IS_DEFAULT_CLASS: "true" });
    let fits = [labelled("dr1", &json!({})), side("dr2", &[storage("rbd", &json!({}))], &one_default)];
    assert!(judge(&fits, "rbd", &policy()).unwrap()[1].contains("VolumeReplicationClass b"));
}

#[test]
fn of_several_replication_classes_that_of_the_pair_is_taken() {
    let mut elsewhere = ids("two");
    elsewhere[names::REPLICATION_ID] = json!("another");
    let two = [replication("pair", "5m", &ids("two")), replication("other", "5m", &elsewhere)];
    let sides = [labelled("dr1", &ids("one")), side("dr2", &[storage("rbd", &ids("two"))], &two)];
    assert!(judge(&sides, "rbd", &policy()).unwrap()[1].contains("VolumeReplicationClass pair "));
}

#[test]
fn a_node_that_takes_only_pods_with_tolerations_takes_none_of_ours() {
    let node = |effects: &[&str]| -> Node {
        let taints: Vec<Value> = effects.iter().map(|effect| json!({ "key": "role", "effect": effect })).collect();
        serde_json::from_value(json!({ "metadata": {}, "spec": { "taints": taints } })).unwrap()
    };
    assert!(is_open(&Node::default()) && is_open(&node(&["PreferNoSchedule"])));
    assert!(!is_open(&node(&["NoSchedule"])) && !is_open(&node(&["PreferNoSchedule", "NoExecute"])));
}

#[test]
fn a_policy_chooses_among_the_replication_classes() {
    let labels = Some([("tier".to_owned(), "gold".to_owned())].into());
    let selector = LabelSelector { match_labels: labels, ..LabelSelector::default() };
    let policy = DRPolicySpec { replication_class_selector: selector, ..policy() };
    let sides = |labels: &Value| [labelled("dr1", labels), labelled("dr2", labels)];
    assert!(judge(&sides(&json!({})), "rbd", &policy).is_err());
    judge(&sides(&json!({ "tier": "gold" })), "rbd", &policy).unwrap();
}

#[test]
fn labels_that_make_no_pair_are_named() {
    let same = said(&[labelled("dr1", &ids("one")), labelled("dr2", &ids("one"))]);
    assert!(same.contains("storageid=one on both clusters; that is one storage system"), "{same}");
    let storage_only = |id: &str| json!({ names::STORAGE_ID: id });
    let unpaired = said(&[labelled("dr1", &storage_only("one")), labelled("dr2", &storage_only("two"))]);
    assert!(
        unpaired.contains("dr1: ") && unpaired.contains("dr2: ") && unpaired.contains("replicationid"),
        "{unpaired}"
    );
    let mut elsewhere = ids("two");
    elsewhere[names::REPLICATION_ID] = json!("another");
    let differing = said(&[labelled("dr1", &ids("one")), labelled("dr2", &elsewhere)]);
    assert!(differing.contains("is pair on dr1 and another on dr2"), "{differing}");
    let mut stray = labelled("dr2", &ids("two"));
    stray.replication[0].metadata.labels = None;
    assert!(said(&[labelled("dr1", &ids("one")), stray]).contains("5m and label ramendr.openshift.io/storageid=two"));
    // Where others are paired by labels, a class without them is left out.
    let beside = |cluster: &str| {
        let classes = [storage("rbd", &json!({})), storage("gold", &ids(cluster))];
        side(cluster, &classes, &[replication("often", "5m", &json!({}))])
    };
    let left_out = said(&[beside("dr1"), beside("dr2")]);
    assert!(left_out.contains("dr1: StorageClass rbd has no label") && left_out.contains("gold has"), "{left_out}");
}
