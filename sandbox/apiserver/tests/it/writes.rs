//! The rules of writes.

use crate::common::*;
use serde_json::{Value, json};

async fn post(server: &kaedama_apiserver::ApiServer, path: &str, body: Value) -> (u16, Value) {
    let (code, _, value) = raw(server, "POST", path, &[], body).await;
    (code, value)
}

#[tokio::test(start_paused = true)]
async fn names_are_generated_and_checked() {
    let (server, _client) = server();
    let mut object = config_map("", json!({}), json!({}));
    object["metadata"] = json!({"generateName": "gen-"});
    let (code, made) = post(&server, CONFIG_MAPS, object.clone()).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(code == 201 && name.starts_with("gen-") && name.len() == 9, "{name}");
    let (_, other) = post(&server, CONFIG_MAPS, object).await;
    assert_ne!(other["metadata"]["name"], name);

    let (code, bad) = post(&server, CONFIG_MAPS, config_map("Not_Good", json!({}), json!({}))).await;
    assert_eq!(
        (code, &bad["reason"], &bad["details"]["causes"][0]["field"]),
        (422, &json!("Invalid"), &json!("metadata.name"))
    );
    assert!(bad["message"].as_str().unwrap().starts_with("ConfigMap \"Not_Good\" is invalid: metadata.name: Invalid value: \"Not_Good\": a lowercase RFC 1123 subdomain must consist of"));
    let (code, bad) = post(&server, CONFIG_MAPS, config_map("", json!({}), json!({}))).await;
    assert_eq!(
        (code, bad["message"].as_str().unwrap()),
        (422, "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required")
    );
    let mut elsewhere = config_map("a", json!({}), json!({}));
    elsewhere["metadata"]["namespace"] = json!("other");
    let (code, bad) = post(&server, CONFIG_MAPS, elsewhere).await;
    assert_eq!(
        (code, bad["message"].as_str().unwrap()),
        (400, "the namespace of the provided object does not match the namespace sent on the request")
    );
    let mut versioned = config_map("a", json!({}), json!({}));
    versioned["metadata"]["resourceVersion"] = json!("5");
    let (code, bad) = post(&server, CONFIG_MAPS, versioned).await;
    assert_eq!(
        (code, bad["message"].as_str().unwrap()),
        (500, "resourceVersion should not be set on objects to be created")
    );
    let (code, _, bad) =
        raw(&server, "PUT", &format!("{CONFIG_MAPS}/x"), &[], config_map("y", json!({}), json!({}))).await;
    assert_eq!(
        (code, bad["message"].as_str().unwrap()),
        (400, "the name of the object (y) does not match the name on the URL (x)")
    );
    let (code, _, _) =
        raw(&server, "PUT", &format!("{CONFIG_MAPS}/y"), &[], config_map("y", json!({}), json!({}))).await;
    assert_eq!(code, 404, "no create on update");
    let (code, bad) = post(&server, CONFIG_MAPS, config_map("l", json!({"bad key": "x"}), json!({}))).await;
    assert_eq!((code, &bad["details"]["causes"][0]["field"]), (422, &json!("metadata.labels")));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_and_writes_nothing() {
    let (server, _client) = server();
    settle().await;
    let before = server.revision();
    let (code, made) = post(&server, &format!("{CONFIG_MAPS}?dryRun=All"), config_map("a", json!({}), json!({}))).await;
    assert_eq!(code, 201);
    assert!(made["metadata"]["uid"].is_string() && made["metadata"].get("resourceVersion").is_none());
    assert_eq!(server.revision(), before);
    let a = put_config(&server, "a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a?dryRun=All");
    let (code, patched) = merge(&server, &path, json!({"data": {"x": "y"}})).await;
    assert_eq!(
        (code, &patched["data"]["x"], &patched["metadata"]["resourceVersion"]),
        (200, &json!("y"), &a["metadata"]["resourceVersion"])
    );
    let (code, _, _) = raw(&server, "DELETE", &path, &[], Value::Null).await;
    assert_eq!(code, 200);
    let (_, _, live) = raw(&server, "GET", &format!("{CONFIG_MAPS}/a"), &[], Value::Null).await;
    assert_eq!(live, a);
    let (code, bad) = post(&server, &format!("{CONFIG_MAPS}?dryRun=Some"), config_map("a", json!({}), json!({}))).await;
    assert_eq!((code, &bad["details"]["kind"]), (422, &json!("CreateOptions")));
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_dropped_warned_of_or_refused() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let body = |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1, "colour": "red"}});
    let (code, warnings, made) = raw(&server, "POST", path, &[], body("a")).await;
    assert_eq!(
        (code, warnings, made["spec"].get("colour")),
        (201, vec!["299 - \"unknown field \\\"spec.colour\\\"\"".to_owned()], None)
    );
    let (code, warnings, _) = raw(&server, "POST", &format!("{path}?fieldValidation=Ignore"), &[], body("b")).await;
    assert_eq!((code, warnings), (201, vec![]));
    let (code, _, refused) = raw(&server, "POST", &format!("{path}?fieldValidation=Strict"), &[], body("c")).await;
    assert_eq!((code, &refused["reason"]), (400, &json!("BadRequest")));
    assert!(refused["message"].as_str().unwrap().contains("unknown field \"spec.colour\""), "{refused}");
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "imagee": "j"}]}});
    let (code, _, refused) =
        raw(&server, "POST", "/api/v1/namespaces/default/pods?fieldValidation=Strict", &[], pod.clone()).await;
    assert_eq!(code, 400);
    assert!(refused["message"].as_str().unwrap().contains("spec.containers[0].imagee"), "{refused}");
    pod["spec"]["containers"] = json!("none");
    let (code, _, refused) = raw(&server, "POST", "/api/v1/namespaces/default/pods", &[], pod).await;
    assert_eq!((code, &refused["reason"]), (400, &json!("BadRequest")));
    let twice = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"twice\"},\"data\":{\"a\":\"1\",\"a\":\"2\"}}";
    let (code, _, refused) =
        raw(&server, "POST", &format!("{CONFIG_MAPS}?fieldValidation=Strict"), &[], json!(twice)).await;
    assert_eq!(code, 400);
    assert!(refused["message"].as_str().unwrap().contains("duplicate field \"data.a\""), "{refused}");
    let (code, warnings, _) = raw(&server, "POST", CONFIG_MAPS, &[], json!(twice)).await;
    assert_eq!((code, warnings.len()), (201, 1));
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_an_object_and_its_deletion_cannot_be_undone() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "finalizers": ["example.com/x", "example.com/y"]}, "spec": {"size": 1}});
    post(&server, path, body).await;
    let one = format!("{path}/a");
    let (code, _, marked) = raw(&server, "DELETE", &one, &[], Value::Null).await;
    assert_eq!((code, &marked["kind"]), (200, &json!("Widget")));
    let stamp = marked["metadata"]["deletionTimestamp"].clone();
    assert!(stamp.is_string() && marked["metadata"]["deletionGracePeriodSeconds"] == 0);
    assert_eq!(marked["metadata"]["generation"], 2, "a deletion is a new generation");
    let (_, _, again) = raw(&server, "DELETE", &one, &[], Value::Null).await;
    assert_eq!(
        again["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"],
        "deleting twice changes nothing"
    );
    let (code, refused) =
        merge(&server, &one, json!({"metadata": {"finalizers": ["example.com/x", "example.com/y", "example.com/z"]}}))
            .await;
    assert_eq!((code, &refused["details"]["causes"][0]["field"]), (422, &json!("metadata.finalizers")));
    assert!(refused["message"].as_str().unwrap().contains("no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/z\"}"));
    let (_, kept) =
        merge(&server, &one, json!({"metadata": {"deletionTimestamp": null, "finalizers": ["example.com/y"]}})).await;
    assert_eq!(kept["metadata"]["deletionTimestamp"], stamp);
    let (code, exists) = post(
        &server,
        path,
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}}),
    )
    .await;
    assert_eq!(
        (code, exists["message"].as_str().unwrap()),
        (409, "object is being deleted: widgets.example.com \"a\" already exists")
    );
    let (code, last) = merge(&server, &one, json!({"metadata": {"finalizers": []}})).await;
    assert_eq!((code, &last["metadata"]["name"]), (200, &json!("a")), "the answer to the last write is the object");
    let (code, _, _) = raw(&server, "GET", &one, &[], Value::Null).await;
    assert_eq!(code, 404);
}

#[tokio::test(start_paused = true)]
async fn deletes_have_preconditions() {
    let (server, _client) = server();
    let a = put_config(&server, "a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    for precondition in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let (code, _, refused) = raw(&server, "DELETE", &path, &[], json!({"preconditions": precondition})).await;
        assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")));
    }
    let met = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": a["metadata"]["uid"], "resourceVersion": a["metadata"]["resourceVersion"]}});
    assert_eq!(raw(&server, "DELETE", &path, &[], met).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn updates_are_conditional_where_the_kind_says_so() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let mut body =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let (_, made) = post(&server, path, body.clone()).await;
    let (code, _, refused) = raw(&server, "PUT", &format!("{path}/a"), &[], body.clone()).await;
    assert_eq!((code, &refused["details"]["causes"][0]["field"]), (422, &json!("metadata.resourceVersion")));
    assert!(refused["message"].as_str().unwrap().ends_with("must be specified for an update"), "{refused}");
    body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    body["metadata"]["uid"] = json!("another");
    let (code, _, refused) = raw(&server, "PUT", &format!("{path}/a"), &[], body.clone()).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")));
    assert!(refused["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: another"));
    put_config(&server, "c", json!({})).await;
    let (code, _, _) =
        raw(&server, "PUT", &format!("{CONFIG_MAPS}/c"), &[], config_map("c", json!({"n": "1"}), json!({}))).await;
    assert_eq!(code, 200, "config maps may be updated unconditionally");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    let (code, _, _) =
        raw(&server, "PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", &[], lease.clone()).await;
    assert_eq!(code, 201, "leases may be created by an update");
    let (code, _, _) =
        raw(&server, "PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", &[], lease).await;
    assert_eq!(code, 422, "and then only be updated at a revision");
    let (code, stale) =
        merge(&server, &format!("{path}/a"), json!({"metadata": {"resourceVersion": "1"}, "spec": {"size": 2}})).await;
    assert_eq!((code, &stale["reason"]), (409, &json!("Conflict")), "a patch with a revision means it");
}

#[tokio::test(start_paused = true)]
async fn applies_own_fields_and_conflict() {
    let (server, _client) = server();
    let path = format!("{CONFIG_MAPS}/a");
    let apply = async |manager: &str, force: bool, data: Value| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let (code, _, value) = raw(
            &server,
            "PATCH",
            &format!("{path}?fieldManager={manager}&force={force}"),
            &[("content-type", "application/apply-patch+yaml")],
            body,
        )
        .await;
        (code, value)
    };
    let (code, made) = apply("one", false, json!({"k": "1", "l": "1"})).await;
    assert_eq!((code, &made["metadata"]["managedFields"][0]["operation"]), (201, &json!("Apply")));
    let (code, same) = apply("one", false, json!({"k": "1", "l": "1"})).await;
    assert_eq!((code, &same["metadata"]["resourceVersion"]), (200, &made["metadata"]["resourceVersion"]));
    let (code, refused) = apply("two", false, json!({"k": "2"})).await;
    assert_eq!(
        (code, &refused["reason"], &refused["details"]["causes"][0]["reason"]),
        (409, &json!("Conflict"), &json!("FieldManagerConflict"))
    );
    let (code, taken) = apply("two", true, json!({"k": "2"})).await;
    assert_eq!((code, &taken["data"]), (200, &json!({"k": "2", "l": "1"})));
    let (_, left) = apply("one", false, json!({})).await;
    assert_eq!(left["data"], json!({"k": "2"}), "what one no longer applies and nobody else owns is gone");
    let (code, _, refused) = raw(
        &server,
        "PATCH",
        &path,
        &[("content-type", "application/apply-patch+yaml")],
        json!("apiVersion: v1\nkind: ConfigMap\n"),
    )
    .await;
    assert_eq!((code, &refused["details"]["causes"][0]["field"]), (422, &json!("fieldManager")));
}

#[tokio::test(start_paused = true)]
async fn json_patches_test_and_fail_as_the_server_does() {
    let (server, _client) = server();
    put_config(&server, "a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let patch = async |ops: Value| {
        let (code, _, value) =
            raw(&server, "PATCH", &path, &[("content-type", "application/json-patch+json")], ops).await;
        (code, value)
    };
    let (code, done) = patch(
        json!([{"op": "add", "path": "/data", "value": {"x": "1"}}, {"op": "test", "path": "/data/x", "value": "1"}]),
    )
    .await;
    assert_eq!((code, &done["data"]["x"]), (200, &json!("1")));
    let (code, refused) = patch(json!([{"op": "test", "path": "/data/x", "value": "2"}])).await;
    assert_eq!((code, &refused["reason"]), (422, &json!("Invalid")));
    let (code, _) = patch(json!([{"op": "remove", "path": "/data/none"}])).await;
    assert_eq!(code, 422);
    let (code, _, _) = raw(&server, "PATCH", &path, &[("content-type", "application/json")], json!({})).await;
    assert_eq!(code, 415);
}

#[tokio::test(start_paused = true)]
async fn pods_are_deleted_gracefully() {
    let (server, _client) = server();
    let path = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, node: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}});
    post(&server, path, pod("waiting", "")).await;
    let (_, _, gone) = raw(&server, "DELETE", &format!("{path}/waiting"), &[], Value::Null).await;
    assert_eq!(gone["kind"], "Pod");
    assert_eq!(
        raw(&server, "GET", &format!("{path}/waiting"), &[], Value::Null).await.0,
        404,
        "an unscheduled pod goes at once"
    );
    post(&server, path, pod("running", "n")).await;
    let one = format!("{path}/running");
    let (_, _, marked) = raw(&server, "DELETE", &one, &[], Value::Null).await;
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let (_, _, shorter) = raw(&server, "DELETE", &one, &[], json!({"gracePeriodSeconds": 5})).await;
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    let (_, _, longer) = raw(&server, "DELETE", &one, &[], json!({"gracePeriodSeconds": 60})).await;
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 5);
    raw(&server, "DELETE", &one, &[], json!({"gracePeriodSeconds": 0})).await;
    assert_eq!(raw(&server, "GET", &one, &[], Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_says_so() {
    let (server, _client) = server();
    let code = async |method: &str, path: &str| raw(&server, method, path, &[], Value::Null).await.0;
    // There are no webhooks, and none can be made: nobody is to think that one is called.
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    assert_eq!(code("GET", webhooks).await, 200);
    let (refused, _, why) = raw(&server, "POST", webhooks, &[], json!({})).await;
    assert_eq!((refused, why["reason"].as_str()), (501, Some("NotImplemented")));
    assert_eq!(code("GET", "/apis/resource.k8s.io/v1/deviceclasses").await, 501);
    assert_eq!(code("GET", "/api/v1/namespaces/default/pods/p/log").await, 501);
    assert_eq!(code("GET", "/apis/none.example.com/v1/things").await, 404);
    assert_eq!(code("POST", "/api/v1/configmaps").await, 405);
    let (code, _, text) = raw(&server, "GET", "/nowhere", &[], Value::Null).await;
    assert_eq!((code, text), (404, json!("404 page not found\n")));
    assert_eq!(raw(&server, "POST", CONFIG_MAPS, &[("content-type", "application/cbor")], json!("k8s")).await.0, 415);
    assert_eq!(raw(&server, "GET", CONFIG_MAPS, &[("accept", "application/cbor")], Value::Null).await.0, 406);
    let (code, _, why) = raw(&server, "GET", &format!("{CONFIG_MAPS}?timeout=soon"), &[], Value::Null).await;
    assert_eq!(
        (code, why["message"].as_str()),
        (400, Some("invalid timeout specified in the request URL - time: invalid duration \"soon\""))
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_who_and_what() {
    let (server, client) = server();
    let api = widgets(&client, "default").await;
    server.accounting().take();
    api.create(&kube::api::PostParams::default(), &widget("a", 1)).await.unwrap();
    let _ = api.get("nope").await;
    let _ = api.get("nope").await;
    let _ = api
        .patch_status(
            "a",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(json!({"status": {"phase": "x"}})),
        )
        .await
        .unwrap();
    let counts: Vec<_> =
        server.accounting().take().into_iter().map(|(k, n)| (k.user_agent, k.verb, k.resource, k.code, n)).collect();
    let row = |verb: &str, resource: &str, code: u16, n: u64| {
        ("test-client".to_owned(), verb.to_owned(), resource.to_owned(), code, n)
    };
    assert_eq!(
        counts,
        [
            row("create", "widgets.example.com", 201, 1),
            row("get", "widgets.example.com", 404, 2),
            row("patch", "widgets.example.com/status", 200, 1)
        ]
    );
    assert!(server.accounting().read().is_empty());
}

#[tokio::test(start_paused = true)]
async fn strict_decoding_complains_as_kubernetes_own_tests_expect() {
    let (server, client) = server();
    let _ = widgets(&client, "default").await;
    let deployment = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "unknownField": "foo", "replicas": 2, "replicas": 3, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}"#;
    let path = "/apis/apps/v1/namespaces/default/deployments?fieldValidation=Strict";
    let (code, _, refused) = raw(&server, "POST", path, &[], json!(deployment)).await;
    assert_eq!(
        (code, refused["message"].as_str().unwrap()),
        (
            400,
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.unknownField\", duplicate field \"spec.replicas\""
        )
    );
    let apply = async |validation: &str, text: &str| {
        let path =
            format!("/apis/example.com/v1/namespaces/default/widgets/w?fieldManager=m&fieldValidation={validation}");
        let (code, warnings, value) =
            raw(&server, "PATCH", &path, &[("content-type", "application/apply-patch+yaml")], json!(text)).await;
        (code, warnings, value["message"].as_str().unwrap_or_default().to_owned())
    };
    let twice = "\napiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  size: 1\n  tags:\n  - size\n  size: 2\n";
    let (code, _, message) = apply("Strict", twice).await;
    assert!(code == 400 && message.contains("line 10: key \"size\" already set in map"), "{message}");
    let (code, warnings, _) = apply("Warn", twice).await;
    assert_eq!((code, warnings.len()), (201, 1));
    let unknown = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\nunknownField: x\nspec:\n  size: 1\n";
    for validation in ["Strict", "Ignore"] {
        let (_, _, message) = apply(validation, unknown).await;
        assert!(
            message.contains(".unknownField: field not declared in schema"),
            "an apply is never lenient: {message}"
        );
    }
}
