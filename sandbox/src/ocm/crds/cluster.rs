//! ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, ClusterClaim.

use serde_json::{Value, json};

use super::Kind;
use super::schema::{boolean, choice, conditions, label_selector, list, object, string};

const CLUSTER: &str = "cluster.open-cluster-management.io";

pub(super) fn managed_cluster() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1",
        kind: "ManagedCluster",
        plural: "managedclusters",
        short: &["mcl", "mcls"],
        namespaced: false,
        has_status: true,
        columns: &[
            ("Hub Accepted", "boolean", ".spec.hubAcceptsClient"),
            ("Managed Cluster URLs", "string", ".spec.managedClusterClientConfigs[*].url"),
            ("Joined", "string", ".status.conditions[?(@.type==\"ManagedClusterJoined\")].status"),
            ("Available", "string", ".status.conditions[?(@.type==\"ManagedClusterConditionAvailable\")].status"),
            ("Age", "date", ".metadata.creationTimestamp"),
        ],
    };
    let taint = object(
        json!({
            "key": {"type": "string", "maxLength": 316},
            "value": {"type": "string", "maxLength": 1024},
            "effect": choice(&["NoSelect", "PreferNoSelect", "NoSelectIfNew"], None),
            "timeAdded": {"type": "string", "format": "date-time", "nullable": true},
        }),
        &["effect", "key"],
    );
    let client = object(json!({"url": string(), "caBundle": {"type": "string", "format": "byte"}}), &["url"]);
    let spec = object(
        json!({
            "hubAcceptsClient": boolean(),
            "leaseDurationSeconds": {"type": "integer", "format": "int32", "default": 60},
            "managedClusterClientConfigs": list(client),
            "taints": list(taint),
        }),
        &[],
    );
    let claim = object(
        json!({
            "name": {"type": "string", "minLength": 1, "maxLength": 253},
            "value": {"type": "string", "minLength": 1, "maxLength": 1024},
        }),
        &[],
    );
    let status = object(
        json!({
            "conditions": conditions(true),
            "clusterClaims": list(claim),
            "version": object(json!({"kubernetes": string()}), &[]),
        }),
        &[],
    );
    kind.definition(&[], json!({"spec": spec, "status": status}))
}

pub(super) fn managed_cluster_set() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1beta2",
        kind: "ManagedClusterSet",
        plural: "managedclustersets",
        short: &["mclset", "mclsets"],
        namespaced: false,
        has_status: true,
        columns: &[
            ("Empty", "string", ".status.conditions[?(@.type==\"ClusterSetEmpty\")].status"),
            ("Age", "date", ".metadata.creationTimestamp"),
        ],
    };
    let types = choice(&["ExclusiveClusterSetLabel", "LabelSelector"], Some("ExclusiveClusterSetLabel"));
    let mut selector = object(json!({"selectorType": types, "labelSelector": label_selector()}), &["selectorType"]);
    selector["default"] = json!({"selectorType": "ExclusiveClusterSetLabel"});
    let mut spec = object(json!({"clusterSelector": selector}), &[]);
    spec["default"] = json!({"clusterSelector": {"selectorType": "ExclusiveClusterSetLabel"}});
    kind.definition(&[], json!({"spec": spec, "status": object(json!({"conditions": conditions(false)}), &[])}))
}

pub(super) fn managed_cluster_set_binding() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1beta2",
        kind: "ManagedClusterSetBinding",
        plural: "managedclustersetbindings",
        short: &["mclsetbinding", "mclsetbindings"],
        namespaced: true,
        has_status: true,
        columns: &[],
    };
    let spec = object(json!({"clusterSet": {"type": "string", "minLength": 1}}), &[]);
    kind.definition(&[], json!({"spec": spec, "status": object(json!({"conditions": conditions(false)}), &[])}))
}

pub(super) fn cluster_claim() -> Value {
    let kind = Kind {
        group: CLUSTER,
        version: "v1alpha1",
        kind: "ClusterClaim",
        plural: "clusterclaims",
        short: &[],
        namespaced: false,
        has_status: false,
        columns: &[],
    };
    let spec = object(json!({"value": {"type": "string", "minLength": 1, "maxLength": 1024}}), &[]);
    kind.definition(&[], json!({"spec": spec}))
}
