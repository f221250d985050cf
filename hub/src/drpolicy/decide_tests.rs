use kaedama_shared::api::{PeerClass, Time};
use kaedama_shared::report::ClassFacts;
use serde_json::json;

use super::*;

fn policy(name: &str, clusters: [&str; 2], second: i64) -> DRPolicy {
    let mut policy: DRPolicy = serde_json::from_value(json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPolicy",
        "metadata": { "name": name, "generation": 1, "finalizers": [names::DRPOLICY_FINALIZER] },
        "spec": { "drClusters": clusters, "schedulingInterval": "5m" },
    }))
    .unwrap();
    policy.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
    policy
}

fn drcluster(name: &str, valid: bool) -> DRCluster {
    let mut drcluster = DRCluster::new(name, Default::default());
    let value = ConditionStatus::from(valid);
    let validated = Condition::new(drcluster::VALIDATED, value, "Reason", format!("{name} is {valid}"), 1);
    drcluster.status = Some(kaedama_shared::api::DRClusterStatus { conditions: vec![validated], ..Default::default() });
    drcluster
}

/// A cluster whose class `fast` is on this storage, and replicates every five minutes.
fn member(name: &str, storage: &str) -> Member {
    let class = |name: &str, extra: &[(&str, &str)], interval: &str| ClassFacts {
        name: name.into(),
        provisioner: "csi".into(),
        labels: [(names::STORAGE_ID, storage)]
            .iter()
            .chain(extra)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        scheduling_interval: interval.into(),
    };
    Member {
        name: name.to_owned(),
        drcluster: Seen::Present(drcluster(name, true)),
        cluster_id: Ok(format!("id-{name}")),
        report: Seen::Present(ClusterReport {
            storage_classes: vec![class("fast", &[], "")],
            volume_replication_classes: vec![class("vrc", &[(names::REPLICATION_ID, "pair")], "5m")],
            ..Default::default()
        }),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        now: "2026-03-01T03:00:00Z".parse().unwrap(),
        policy: policy("gold", ["dr1", "dr2"], 10),
        config: Ok(()),
        clusters: vec![member("dr1", "s1"), member("dr2", "s2")],
        others: vec![],
        cluster_names: ["dr1", "dr2", "dr3"].map(|name| (format!("id-{name}"), name.to_owned())).into(),
        users: Seen::Present(vec![]),
    }
}

fn validated(plan: &Plan) -> (bool, String, String) {
    let condition = condition::find(&plan.status.conditions, VALIDATED).unwrap();
    (condition.is_true(), condition.reason.clone(), condition.message.clone())
}

#[test]
fn a_valid_policy_has_its_peer_classes_and_is_at_rest() {
    let mut s = snapshot();
    let plan = decide(&s);
    assert_eq!(validated(&plan), (true, "Succeeded".into(), "drpolicy validated".into()));
    assert_eq!(plan.status.async_.peer_classes[0].replication_id, "pair");
    assert!(plan.action.is_none() && !plan.retry);
    s.policy.status = Some(plan.status.clone());
    s.now = "2026-03-01T09:00:00Z".parse().unwrap();
    assert_eq!(decide(&s), plan, "nothing is written again");
    s.policy.metadata.finalizers = None;
    assert_eq!(decide(&s).action, Some(Action::Claim));
}

#[test]
fn one_valid_cluster_is_enough() {
    let mut s = snapshot();
    s.clusters[0].drcluster = Seen::Present(drcluster("dr1", false));
    assert!(validated(&decide(&s)).0);
    s.clusters[1].drcluster = Seen::Present(drcluster("dr2", false));
    let (valid, reason, message) = validated(&decide(&s));
    assert_eq!((valid, reason.as_str()), (false, reasons::DR_CLUSTERS_UNAVAILABLE));
    assert!(message.contains("dr1 is false") && message.contains("dr2 is false"), "{message}");
}

#[test]
fn a_missing_cluster_and_an_unreadable_one_are_told_apart() {
    let mut s = snapshot();
    s.clusters[0].drcluster = Seen::Absent;
    assert_eq!(validated(&decide(&s)).1, reasons::DR_CLUSTER_NOT_FOUND);
    s.clusters[0].drcluster = Seen::Unknown("stale".into());
    let plan = decide(&s);
    assert_eq!(validated(&plan).1, reasons::DR_CLUSTER_DETAILS_FAILED);
    assert!(plan.retry, "no event tells that a view can be believed again");
}

#[test]
fn peer_classes_outlive_the_silence_of_a_cluster() {
    let mut s = snapshot();
    let known = decide(&s).status;
    s.policy.status = Some(known.clone());
    for silence in [Seen::Absent, Seen::Unknown("away".into())] {
        s.clusters[1].report = silence;
        assert_eq!(decide(&s).status, known);
    }
    s.clusters[1].cluster_id = Err("ManagedCluster dr2 has not joined".into());
    assert_eq!(decide(&s).status, known);
    // A policy that never had any is not valid before they are known.
    s.policy.status = None;
    let (valid, reason, message) = validated(&decide(&s));
    assert_eq!((valid, reason.as_str()), (false, reasons::DR_CLUSTER_DETAILS_FAILED));
    assert!(message.contains("has not joined"), "{message}");
}

#[test]
fn one_policy_is_metro_or_regional() {
    let mut s = snapshot();
    let shared = |report: &mut Seen<ClusterReport>| {
        let Seen::Present(report) = report else { unreachable!() };
        let mut class = report.storage_classes[0].clone();
        class.name = "shared".into();
        class.labels.insert(names::STORAGE_ID.into(), "both".into());
        report.storage_classes.push(class);
    };
    s.clusters.iter_mut().for_each(|member| shared(&mut member.report));
    let (valid, reason, message) = validated(&decide(&s));
    assert_eq!((valid, reason.as_str()), (false, reasons::DR_POLICY_CONFLICT_FOUND));
    assert!(message.contains("shared") && message.contains("fast"), "{message}");
}

fn metro(mut policy: DRPolicy, a: &str, b: &str) -> DRPolicy {
    let class = PeerClass {
        storage_class_name: "fast".into(),
        storage_id: vec!["both".into()],
        cluster_ids: vec![format!("id-{a}"), format!("id-{b}")],
        ..Default::default()
    };
    policy.status.get_or_insert_default().sync.peer_classes = vec![class];
    policy
}

#[test]
fn of_two_policies_that_share_a_metro_cluster_the_newer_is_invalid() {
    let mut s = snapshot();
    for (second, valid) in [(5, false), (20, true)] {
        s.others = vec![metro(policy("silver", ["dr2", "dr3"], second), "dr2", "dr3")];
        assert_eq!(validated(&decide(&s)).0, valid, "the other is of second {second}, this one of second 10");
    }
    // Made in the same second: one of them, and always the same.
    s.others = vec![metro(policy("silver", ["dr2", "dr3"], 10), "dr2", "dr3")];
    assert!(validated(&decide(&s)).0);
    s.others = vec![metro(policy("bronze", ["dr2", "dr3"], 10), "dr2", "dr3")];
    assert!(!validated(&decide(&s)).0);
    // Regional ones over the same clusters get along.
    s.others = vec![policy("silver", ["dr2", "dr3"], 5), policy("iron", ["dr1", "dr2"], 5)];
    assert!(validated(&decide(&s)).0);
}

#[test]
fn a_policy_goes_after_its_last_user() {
    let mut s = snapshot();
    s.policy.metadata.deletion_timestamp = Some(Time(s.now));
    s.users = Seen::Present(vec!["shop/web".into()]);
    let plan = decide(&s);
    assert_eq!(plan.action, None);
    assert!(validated(&plan).2.contains("shop/web"));
    s.users = Seen::Unknown("one cannot be decoded".into());
    let plan = decide(&s);
    assert_eq!((plan.action, plan.retry), (None, true), "who cannot be seen may be a user");
    s.users = Seen::Present(vec![]);
    assert_eq!(decide(&s).action, Some(Action::Release));
}

#[test]
fn what_is_not_built_is_refused() {
    let mut s = snapshot();
    s.policy.spec.network_mapping_ref = Some(k8s_openapi::api::core::v1::LocalObjectReference { name: "nets".into() });
    assert!(validated(&decide(&s)).2.contains("spec.networkMappingRef"));
    s.policy.spec.network_mapping_ref = None;
    s.config = Err("there is no ConfigMap".into());
    assert_eq!(validated(&decide(&s)).1, reasons::CONFIG_MAP_GET_FAILED);
}
