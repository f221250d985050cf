//! ManifestWork, AppliedManifestWork, ManagedClusterView.

use serde_json::{Value, json};

use super::Kind;
use super::schema::{boolean, choice, conditions, int32, int64, list, map_list, object, string, time};

const WORK: &str = "work.open-cluster-management.io";

pub(super) fn manifest_work() -> Value {
    let kind = Kind {
        group: WORK,
        version: "v1",
        kind: "ManifestWork",
        plural: "manifestworks",
        short: &[],
        namespaced: true,
        has_status: true,
        columns: &[],
    };
    let spec = object(
        json!({
            "workload": object(json!({"manifests": list(any_object())}), &[]),
            "deleteOption": delete_option(),
            "manifestConfigs": list(manifest_config()),
            "executor": executor(),
        }),
        &[],
    );
    let status = object(
        json!({
            "conditions": conditions(true),
            "resourceStatus": object(json!({"manifests": list(manifest_status())}), &[]),
        }),
        &[],
    );
    kind.definition(&[], json!({"spec": spec, "status": status}))
}

fn any_object() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-embedded-resource": true})
}

fn delete_option() -> Value {
    let rule = object(
        json!({"group": string(), "resource": string(), "namespace": string(), "name": string()}),
        &["name", "resource"],
    );
    object(
        json!({
            "propagationPolicy": choice(&["Foreground", "Orphan", "SelectivelyOrphan"], Some("Foreground")),
            "selectivelyOrphans": object(json!({"orphaningRules": list(rule)}), &[]),
            "ttlSecondsAfterFinished": int64(),
        }),
        &[],
    )
}

fn manifest_config() -> Value {
    let identifier = object(
        json!({"group": string(), "resource": string(), "namespace": string(), "name": string()}),
        &["name", "resource"],
    );
    let path = object(json!({"name": string(), "path": string(), "version": string()}), &["name", "path"]);
    let feedback = object(
        json!({"type": choice(&["WellKnownStatus", "JSONPaths"], None), "jsonPaths": map_list(path, &["name"])}),
        &["type"],
    );
    let rule = object(
        json!({
            "condition": string(),
            "type": choice(&["WellKnownConditions", "CEL"], None),
            "celExpressions": list(string()),
            "message": string(),
            "messageExpression": string(),
        }),
        &["condition", "type"],
    );
    object(
        json!({
            "resourceIdentifier": identifier,
            "feedbackRules": list(feedback),
            "feedbackScrapeType": choice(&["Poll", "Watch"], Some("Poll")),
            "updateStrategy": update_strategy(),
            "conditionRules": map_list(rule, &["condition"]),
        }),
        &["resourceIdentifier"],
    )
}

fn update_strategy() -> Value {
    let ignored = object(
        json!({
            "condition": choice(&["OnSpokePresent", "OnSpokeChange"], Some("OnSpokePresent")),
            "jsonPaths": list(string()),
        }),
        &["condition"],
    );
    let server_side = object(
        json!({
            "force": boolean(),
            "fieldManager": {"type": "string", "default": "work-agent", "pattern": "^work-agent"},
            "ignoreFields": map_list(ignored, &["condition"]),
        }),
        &[],
    );
    let strategies = choice(&["Update", "CreateOnly", "ServerSideApply", "ReadOnly"], Some("Update"));
    object(json!({"type": strategies, "serverSideApply": server_side}), &["type"])
}

fn executor() -> Value {
    let account = object(json!({"namespace": string(), "name": string()}), &["name", "namespace"]);
    let subject = object(json!({"type": choice(&["ServiceAccount"], None), "serviceAccount": account}), &["type"]);
    object(json!({"subject": subject}), &[])
}

fn manifest_status() -> Value {
    let meta = object(
        json!({
            "ordinal": int32(), "group": string(), "version": string(), "kind": string(), "resource": string(),
            "namespace": string(), "name": string(),
        }),
        &["ordinal"],
    );
    let value = object(
        json!({
            "type": choice(&["Integer", "String", "Boolean", "JsonRaw"], None),
            "integer": int64(),
            "string": string(),
            "boolean": boolean(),
            "jsonRaw": {"type": "string", "maxLength": 1024},
        }),
        &["type"],
    );
    let feedback = object(json!({"name": string(), "fieldValue": value}), &["fieldValue", "name"]);
    object(
        json!({
            "resourceMeta": meta,
            "conditions": conditions(true),
            "statusFeedback": object(json!({"values": map_list(feedback, &["name"])}), &[]),
        }),
        &["conditions", "resourceMeta"],
    )
}

pub(super) fn applied_manifest_work() -> Value {
    let kind = Kind {
        group: WORK,
        version: "v1",
        kind: "AppliedManifestWork",
        plural: "appliedmanifestworks",
        short: &[],
        namespaced: false,
        has_status: true,
        columns: &[],
    };
    let resource = object(
        json!({
            "group": string(), "resource": string(), "version": string(), "namespace": string(), "name": string(),
            "uid": string(),
        }),
        &["name", "resource", "version"],
    );
    let spec = object(
        json!({"hubHash": string(), "agentID": string(), "manifestWorkName": string()}),
        &["hubHash", "manifestWorkName"],
    );
    let status = object(json!({"appliedResources": list(resource), "evictionStartTime": time()}), &[]);
    kind.definition(&[], json!({"spec": spec, "status": status}))
}

pub(super) fn managed_cluster_view() -> Value {
    let kind = Kind {
        group: "view.open-cluster-management.io",
        version: "v1beta1",
        kind: "ManagedClusterView",
        plural: "managedclusterviews",
        short: &[],
        namespaced: true,
        has_status: true,
        columns: &[],
    };
    let scope = object(
        json!({
            "apiGroup": string(), "version": string(), "kind": string(), "resource": string(), "name": string(),
            "namespace": string(), "updateIntervalSeconds": int32(),
        }),
        &[],
    );
    let mut result = any_object();
    result["nullable"] = json!(true);
    let spec = object(json!({"scope": scope}), &[]);
    let status = object(json!({"conditions": conditions(false), "result": result}), &[]);
    kind.definition(&[], json!({"spec": spec, "status": status}))
}
