use jiff::Timestamp;
use kube::Resource;
use serde_json::{Value, json};

use super::work::*;
use super::*;
use crate::api::condition::{Condition, ConditionStatus, is_true, set};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

#[test]
fn nulls_and_gaps_read_as_empty() {
    let work: ManifestWork = serde_json::from_value(json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {"name": "w"},
        "spec": {"workload": {"manifests": null}, "manifestConfigs": null, "deleteOption": {"propagationPolicy": null}},
        "status": {
            "conditions": [{"type": "Applied", "status": "True", "lastTransitionTime": null}],
            "resourceStatus": {"manifests": [{"resourceMeta": null, "conditions": null, "statusFeedback": {"values": null}}]}
        }
    }))
    .unwrap();
    assert!(work.spec.workload.manifests.is_empty());
    assert!(is_true(work.conditions(), APPLIED));
    assert_eq!(work.manifest_status(0).unwrap().value("x"), None);

    let cluster: ManagedCluster = serde_json::from_value(json!({"metadata": {"name": "c"}, "spec": null})).unwrap();
    assert!(!cluster.spec.hub_accepts_client);
    assert_eq!(cluster.lease_seconds(), 60);
    let decision: PlacementDecision =
        serde_json::from_value(json!({"metadata": {"name": "d"}, "status": {"decisions": null}})).unwrap();
    assert!(decision.decisions().is_empty());
}

#[test]
fn what_is_empty_is_left_out() {
    let work = ManifestWork::new(
        "w",
        ManifestWorkSpec {
            workload: Workload { manifests: vec![json!({"kind": "Namespace"})] },
            delete_option: Some(DeleteOption::orphan()),
            manifest_configs: vec![ManifestConfig::default()],
            ..Default::default()
        },
    );
    let wire = serde_json::to_value(&work).unwrap();
    assert_eq!(
        wire,
        json!({
            "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork", "metadata": {"name": "w"},
            "spec": {
                "workload": {"manifests": [{"kind": "Namespace"}]},
                "deleteOption": {"propagationPolicy": "Orphan"},
                "manifestConfigs": [{"resourceIdentifier": {"resource": "", "name": ""}}]
            }
        })
    );
    for value in [
        serde_json::to_value(ManagedCluster::default()).unwrap(),
        serde_json::to_value(Placement { status: Some(Default::default()), ..Default::default() }).unwrap(),
        serde_json::to_value(PlacementDecision::new("d")).unwrap(),
        serde_json::to_value(PlacementRule::default()).unwrap(),
        serde_json::to_value(ManagedClusterView { status: Some(Default::default()), ..Default::default() }).unwrap(),
        serde_json::to_value(ManagedClusterAddOn::default()).unwrap(),
        serde_json::to_value(ClusterManagementAddOn::default()).unwrap(),
        serde_json::to_value(AppliedManifestWork { status: Some(Default::default()), ..Default::default() }).unwrap(),
    ] {
        assert!(!has_null(&value), "{value}");
    }
}

#[test]
fn a_round_trip_keeps_everything() {
    let wire = json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {"name": "w", "namespace": "dr1", "generation": 3},
        "spec": {
            "workload": {"manifests": [{"a": null}]},
            "deleteOption": {"propagationPolicy": "SelectivelyOrphan", "selectivelyOrphans": {"orphaningRules": [
                {"resource": "namespaces", "name": "n"}]}},
            "manifestConfigs": [{
                "resourceIdentifier": {"group": "g", "resource": "rs", "namespace": "n", "name": "x"},
                "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "a", "path": ".status.a"}]}],
                "feedbackScrapeType": "Watch",
                "updateStrategy": {"type": "ServerSideApply", "serverSideApply": {"force": true, "fieldManager": "work-agent-x"}},
                "conditionRules": [{"condition": "C", "type": "CEL", "celExpressions": ["true"]}]
            }],
            "executor": {"subject": {"type": "ServiceAccount"}}
        },
        "status": {
            "conditions": [{"type": "Applied", "status": "True", "reason": "R", "message": "m", "observedGeneration": 3,
                "lastTransitionTime": "2030-01-01T00:00:00Z"}],
            "resourceStatus": {"manifests": [{
                "resourceMeta": {"ordinal": 0, "group": "g", "version": "v1", "kind": "X", "resource": "rs", "namespace": "n", "name": "x"},
                "conditions": [],
                "statusFeedback": {"values": [
                    {"name": "a", "fieldValue": {"type": "Integer", "integer": 7}},
                    {"name": "b", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{}"}}]}
            }]}
        }
    });
    let work: ManifestWork = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(serde_json::to_value(&work).unwrap(), wire);
    assert_eq!(work.manifest_status(0).unwrap().value("a"), Some(&FieldValue::of_integer(7)));
}

#[test]
fn an_applied_of_another_generation_is_not_an_answer() {
    let mut work = ManifestWork::new("w", ManifestWorkSpec::default());
    work.metadata.generation = Some(2);
    let mut conditions = Vec::new();
    set(&mut conditions, Condition::new(APPLIED, ConditionStatus::True, "R", "m", 1), at(1));
    set(&mut conditions, Condition::new(AVAILABLE, ConditionStatus::True, "R", "m", 1), at(1));
    work.status = Some(ManifestWorkStatus { conditions, ..Default::default() });
    assert!(!work.is_applied());
    let conditions = &mut work.status.as_mut().unwrap().conditions;
    set(conditions, Condition::new(APPLIED, ConditionStatus::True, "R", "m", 2), at(2));
    assert!(work.is_applied());
}

#[test]
fn resources_are_addressed_as_ocm_serves_them() {
    assert_eq!(
        ManifestWork::url_path(&(), Some("dr1")),
        "/apis/work.open-cluster-management.io/v1/namespaces/dr1/manifestworks"
    );
    assert_eq!(ManagedCluster::url_path(&(), None), "/apis/cluster.open-cluster-management.io/v1/managedclusters");
}
