//! Placement, PlacementDecision, PlacementRule.

use serde_json::{Value, json};

use super::Kind;
use super::schema::{choice, conditions, int32, int64, label_selector, list, object, requirements, string};

const CLUSTER: &str = "cluster.open-cluster-management.io";

pub(super) fn placement() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1beta1",
        kind: "Placement",
        plural: "placements",
        short: &[],
        namespaced: true,
        has_status: true,
        columns: &[
            ("Succeeded", "string", ".status.conditions[?(@.type==\"PlacementSatisfied\")].status"),
            ("Reason", "string", ".status.conditions[?(@.type==\"PlacementSatisfied\")].reason"),
            ("SelectedClusters", "integer", ".status.numberOfSelectedClusters"),
        ],
    };
    let required = object(
        json!({
            "labelSelector": label_selector(),
            "claimSelector": object(json!({"matchExpressions": requirements()}), &[]),
            "celSelector": object(json!({"celExpressions": list(string())}), &[]),
        }),
        &[],
    );
    let toleration = object(
        json!({
            "key": string(),
            "operator": {"type": "string", "default": "Equal"},
            "value": {"type": "string", "maxLength": 1024},
            "effect": choice(&["NoSelect", "PreferNoSelect", "NoSelectIfNew"], None),
            "tolerationSeconds": int64(),
        }),
        &[],
    );
    let spec = object(
        json!({
            "clusterSets": list(string()),
            "numberOfClusters": int32(),
            "predicates": list(object(json!({"requiredClusterSelector": required}), &[])),
            "tolerations": list(toleration),
            "prioritizerPolicy": prioritizer_policy(),
            "spreadPolicy": spread_policy(),
        }),
        &[],
    );
    let group = object(
        json!({
            "decisionGroupIndex": int32(),
            "decisionGroupName": string(),
            "decisions": list(string()),
            "clusterCount": {"type": "integer", "format": "int32", "default": 0},
        }),
        &[],
    );
    let status = object(
        json!({
            "numberOfSelectedClusters": int32(),
            "decisionGroups": list(group),
            "conditions": conditions(true),
        }),
        &[],
    );
    kind.definition(&["spec"], json!({"spec": spec, "status": status}))
}

fn prioritizer_policy() -> Value {
    let add_on = object(json!({"resourceName": string(), "scoreName": string()}), &["resourceName", "scoreName"]);
    let coordinate = object(
        json!({"type": choice(&["BuiltIn", "AddOn"], Some("BuiltIn")), "builtIn": string(), "addOn": add_on}),
        &["type"],
    );
    let weight = json!({"type": "integer", "format": "int32", "minimum": -10, "maximum": 10, "default": 1});
    let configuration = object(json!({"scoreCoordinate": coordinate, "weight": weight}), &["scoreCoordinate"]);
    let mode = json!({"type": "string", "default": "Additive"});
    object(json!({"mode": mode, "configurations": list(configuration)}), &[])
}

fn spread_policy() -> Value {
    let constraint = object(
        json!({
            "topologyKey": string(),
            "topologyKeyType": choice(&["Label", "Claim"], None),
            "maxSkew": {"type": "integer", "format": "int32", "minimum": 1, "default": 1},
            "whenUnsatisfiable": choice(&["DoNotSchedule", "ScheduleAnyway"], Some("ScheduleAnyway")),
        }),
        &["topologyKey", "topologyKeyType"],
    );
    object(json!({"spreadConstraints": list(constraint)}), &[])
}

pub(super) fn placement_decision() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1beta1",
        kind: "PlacementDecision",
        plural: "placementdecisions",
        short: &[],
        namespaced: true,
        has_status: true,
        columns: &[],
    };
    let decision =
        object(json!({"clusterName": string(), "reason": string(), "score": int64()}), &["clusterName", "reason"]);
    kind.definition(&[], json!({"status": object(json!({"decisions": list(decision)}), &["decisions"])}))
}

pub(super) fn placement_rule() -> Value {
    let kind = Kind {
        group: "apps.open-cluster-management.io",
        version: "v1",
        kind: "PlacementRule",
        plural: "placementrules",
        short: &[],
        namespaced: true,
        has_status: true,
        columns: &[("Age", "date", ".metadata.creationTimestamp"), ("Replicas", "integer", ".spec.clusterReplicas")],
    };
    let state = object(json!({"type": string(), "status": string()}), &[]);
    let spec = object(
        json!({
            "schedulerName": string(),
            "clusterReplicas": int32(),
            "clusters": list(object(json!({"name": string()}), &["name"])),
            "clusterSelector": label_selector(),
            "clusterConditions": list(state),
        }),
        &[],
    );
    let decision = object(json!({"clusterName": string(), "clusterNamespace": string()}), &[]);
    kind.definition(&[], json!({"spec": spec, "status": object(json!({"decisions": list(decision)}), &[])}))
}
