//! ManagedClusterAddOn, ClusterManagementAddOn.

use serde_json::{Value, json};

use super::Kind;
use super::schema::{choice, conditions, list, map_list, object, string};

const ADD_ON: &str = "addon.open-cluster-management.io";

fn config() -> Value {
    object(
        json!({
            "group": {"type": "string", "default": ""},
            "resource": {"type": "string", "minLength": 1},
            "namespace": string(),
            "name": {"type": "string", "minLength": 1},
        }),
        &["name", "resource"],
    )
}

pub(super) fn managed_cluster_add_on() -> Value {
    let kind = Kind {
        group: ADD_ON,
        version: "v1alpha1",
        kind: "ManagedClusterAddOn",
        plural: "managedclusteraddons",
        short: &["mca", "mcas"],
        namespaced: true,
        has_status: true,
        columns: &[
            ("Available", "string", ".status.conditions[?(@.type==\"Available\")].status"),
            ("Degraded", "string", ".status.conditions[?(@.type==\"Degraded\")].status"),
            ("Progressing", "string", ".status.conditions[?(@.type==\"Progressing\")].status"),
        ],
    };
    let namespace = json!({"type": "string", "maxLength": 63, "default": "open-cluster-management-agent-addon"});
    let spec = object(json!({"installNamespace": namespace, "configs": list(config())}), &[]);
    let status = object(json!({"namespace": string(), "conditions": conditions(true)}), &[]);
    kind.definition(&["spec"], json!({"spec": spec, "status": status}))
}

pub(super) fn cluster_management_add_on() -> Value {
    let kind = Kind {
        group: ADD_ON,
        version: "v1alpha1",
        kind: "ClusterManagementAddOn",
        plural: "clustermanagementaddons",
        short: &["cma", "cmas"],
        namespaced: false,
        has_status: true,
        columns: &[("DISPLAY NAME", "string", ".spec.addOnMeta.displayName")],
    };
    let default_config = object(json!({"namespace": string(), "name": {"type": "string", "minLength": 1}}), &["name"]);
    let supported = object(
        json!({
            "group": {"type": "string", "default": ""},
            "resource": {"type": "string", "minLength": 1},
            "defaultConfig": default_config,
        }),
        &["resource"],
    );
    let placement = object(
        json!({
            "namespace": {"type": "string", "minLength": 1},
            "name": {"type": "string", "minLength": 1},
            "configs": list(config()),
        }),
        &["name", "namespace"],
    );
    let mut strategy = object(
        json!({
            "type": choice(&["Manual", "Placements"], Some("Manual")),
            "placements": map_list(placement, &["namespace", "name"]),
        }),
        &[],
    );
    strategy["default"] = json!({"type": "Manual"});
    let spec = object(
        json!({
            "addOnMeta": object(json!({"displayName": string(), "description": string()}), &[]),
            "supportedConfigs": map_list(supported, &["group", "resource"]),
            "installStrategy": strategy,
        }),
        &[],
    );
    kind.definition(&["spec"], json!({"spec": spec, "status": object(json!({}), &[])}))
}
