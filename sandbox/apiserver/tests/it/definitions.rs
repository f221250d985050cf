//! CustomResourceDefinitions.

use crate::common::*;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

fn definitions(client: &Client) -> Api<DynamicObject> {
    dynamic(client, None, "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_established_and_served_at_once() {
    let (server, client) = server();
    let api = widgets(&client, "default").await;
    let live = definitions(&client).get("widgets.example.com").await.unwrap();
    let conditions = live.data["status"]["conditions"].as_array().unwrap();
    let of = |kind: &str| conditions.iter().find(|c| c["type"] == kind).map(|c| c["status"].as_str().unwrap());
    assert_eq!((of("NamesAccepted"), of("Established")), (Some("True"), Some("True")));
    assert_eq!(
        (&live.data["status"]["storedVersions"], &live.data["status"]["acceptedNames"]["kind"]),
        (&json!(["v1"]), &json!("Widget"))
    );
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
    let (_, _, group) = raw(&server, "GET", "/apis/example.com/v1", &[], Value::Null).await;
    let names: Vec<&str> = group["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["widgets", "widgets/status", "widgets/scale"]);
    assert_eq!(
        (&group["resources"][0]["shortNames"], &group["resources"][0]["categories"]),
        (&json!(["wd"]), &json!(["all"]))
    );
}

#[tokio::test(start_paused = true)]
async fn bad_definitions_are_refused() {
    let (server, _client) = server();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let attempt = async |change: &dyn Fn(&mut Value)| {
        let mut crd = widget_crd();
        change(&mut crd);
        let (code, _, value) = raw(&server, "POST", path, &[], crd).await;
        assert_eq!(code, 422, "{value}");
        value["details"]["causes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["field"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(
        attempt(&|c| c["metadata"]["name"] = json!("other.example.com")).await.contains(&"metadata.name".to_owned())
    );
    assert!(
        attempt(&|c| c["spec"]["versions"][0]["storage"] = json!(false)).await.contains(&"spec.versions".to_owned())
    );
    assert!(attempt(&|c| c["spec"]["scope"] = json!("Everywhere")).await.contains(&"spec.scope".to_owned()));
    assert!(attempt(&|c| c["spec"]["versions"][0]["schema"] = Value::Null).await.iter().any(|f| f.contains("schema")));
    let untyped = attempt(&|c| {
        c["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
            json!({"minimum": 1})
    })
    .await;
    assert!(untyped.iter().any(|f| f.contains("openAPIV3Schema")), "{untyped:?}");
}

#[tokio::test(start_paused = true)]
async fn deletion_takes_the_instances_along_and_waits_for_their_finalizers() {
    let (server, client) = server();
    let api = widgets(&client, "default").await;
    let mut held = widget("held", 1);
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    api.create(&PostParams::default(), &held).await.unwrap();
    api.create(&PostParams::default(), &widget("free", 1)).await.unwrap();
    let answer =
        definitions(&client).delete("widgets.example.com", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(answer.finalizers(), ["customresourcecleanup.apiextensions.k8s.io"]);
    settle().await;
    assert!(api.get_opt("free").await.unwrap().is_none() && api.get_opt("held").await.unwrap().is_some());
    let refused = status(api.create(&PostParams::default(), &widget("late", 1)).await);
    assert_eq!(refused.code, 405);
    api.patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    settle().await;
    assert!(definitions(&client).get_opt("widgets.example.com").await.unwrap().is_none());
    let (code, _, _) = raw(&server, "GET", "/apis/example.com/v1/namespaces/default/widgets", &[], Value::Null).await;
    assert_eq!(code, 404);
    // The same again: nothing of the first one is left.
    let api = widgets(&client, "default").await;
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_schema_holds_for_old_objects() {
    let (_server, client) = server();
    let api = widgets(&client, "default").await;
    let made = api.create(&PostParams::default(), &widget("a", 1)).await.unwrap();
    let mut crd = definitions(&client).get("widgets.example.com").await.unwrap();
    let spec = &mut crd.data["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["shape"] = json!({"type": "string", "default": "round"});
    spec["properties"].as_object_mut().unwrap().remove("color");
    crd.data["spec"]["versions"][0].as_object_mut().unwrap().remove("selectableFields");
    definitions(&client).replace("widgets.example.com", &PostParams::default(), &crd).await.unwrap();
    let read = api.get("a").await.unwrap();
    assert_eq!(read.data["spec"], json!({"size": 1, "shape": "round"}));
    assert_eq!(read.resource_version(), made.resource_version(), "reading is no write");
}

#[tokio::test(start_paused = true)]
async fn versions_are_the_same_object() {
    let (server, client) = server();
    let mut crd = widget_crd();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    second["deprecated"] = json!(true);
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    definitions(&client).create(&PostParams::default(), &object(crd)).await.unwrap();
    let v1 = dynamic(&client, Some("default"), "example.com", "v1", "Widget", "widgets");
    let v2 = dynamic(&client, Some("default"), "example.com", "v2", "Widget", "widgets");
    let made = v1.create(&PostParams::default(), &widget("a", 1)).await.unwrap();
    let read = v2.get("a").await.unwrap();
    assert_eq!(read.types.as_ref().unwrap().api_version, "example.com/v2");
    assert_eq!(read.uid(), made.uid());
    v2.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"size": 2}}))).await.unwrap();
    assert_eq!(v1.get("a").await.unwrap().data["spec"]["size"], 2);
    assert_eq!(v2.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let (_, warnings, _) =
        raw(&server, "GET", "/apis/example.com/v2/namespaces/default/widgets/a", &[], Value::Null).await;
    assert_eq!(warnings, ["299 - \"example.com/v2 Widget is deprecated\""]);
    let (_, _, group) = raw(&server, "GET", "/apis/example.com", &[], Value::Null).await;
    assert_eq!(group["preferredVersion"]["version"], "v2");
}

#[tokio::test(start_paused = true)]
async fn scale_reads_and_writes_replicas() {
    let (_server, client) = server();
    let api = widgets(&client, "default").await;
    api.create(&PostParams::default(), &widget("a", 1)).await.unwrap();
    let none = status(api.get_scale("a").await);
    assert_eq!((none.code, none.message.contains("\".spec.replicas\" does not exist")), (500, true), "{none:?}");
    api.patch_scale("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 4}}))).await.unwrap();
    let live = api.get("a").await.unwrap();
    assert_eq!((&live.data["spec"]["replicas"], live.metadata.generation), (&json!(4), Some(2)));
    api.patch_status(
        "a",
        &PatchParams::default(),
        &Patch::Merge(json!({"status": {"replicas": 3, "selector": "app=a"}})),
    )
    .await
    .unwrap();
    let scale = api.get_scale("a").await.unwrap().status.unwrap();
    assert_eq!((scale.replicas, scale.selector.as_deref()), (3, Some("app=a")));
    let refused =
        status(api.patch_scale("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": -1}}))).await);
    assert_eq!(refused.code, 422);
}

#[tokio::test(start_paused = true)]
async fn rules_and_selectable_fields_work() {
    let (_server, client) = server();
    let api = widgets(&client, "default").await;
    let mut a = widget("a", 1);
    a.data["spec"]["fixed"] = json!("x");
    api.create(&PostParams::default(), &a).await.unwrap();
    let refused = status(api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"fixed": "y"}}))).await);
    assert_eq!(
        (refused.code, refused.details.unwrap().causes[0].message.as_str()),
        (422, "Invalid value: \"y\": fixed is immutable")
    );
    let mut b = widget("b", 1);
    b.data["spec"]["color"] = json!("blue");
    api.create(&PostParams::default(), &b).await.unwrap();
    let found = api.list(&ListParams::default().fields("spec.color=blue")).await.unwrap();
    assert_eq!(found.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    let refused = status(api.list(&ListParams::default().fields("spec.size=1")).await);
    assert_eq!((refused.code, refused.message.as_str()), (400, "field label not supported: spec.size"));
}

#[tokio::test(start_paused = true)]
async fn versions_that_only_a_webhook_could_make_are_refused_and_the_stored_one_is_served() {
    let (server, client) = server();
    let mut crd = widget_crd();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    crd["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1"}}});
    definitions(&client).create(&PostParams::default(), &object(crd)).await.unwrap();
    let v1 = dynamic(&client, Some("default"), "example.com", "v1", "Widget", "widgets");
    v1.create(&PostParams::default(), &widget("a", 1)).await.unwrap();
    let (code, _, refused) =
        raw(&server, "GET", "/apis/example.com/v2/namespaces/default/widgets/a", &[], Value::Null).await;
    assert_eq!((code, &refused["reason"]), (501, &json!("NotImplemented")));
}

#[tokio::test(start_paused = true)]
async fn the_published_definitions_of_other_projects_are_established() {
    let folder = std::env::var_os("KAEDAMA_PEER_CRDS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peer-crds"),
        std::path::PathBuf::from,
    );
    if !folder.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no published CRDs at {}", folder.display());
        eprintln!("SKIPPED: no published CRDs at {}", folder.display());
        return;
    }
    let (server, client) = server();
    let api = definitions(&client);
    let mut count = 0;
    for project in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(project).unwrap().map(|e| e.unwrap().path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value: Value = serde::Deserialize::deserialize(document).unwrap();
                if value["kind"] != "CustomResourceDefinition" {
                    continue;
                }
                let name = value["metadata"]["name"].as_str().unwrap().to_owned();
                let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=test");
                let headers = [("content-type", "application/apply-patch+yaml")];
                let (code, _, answer) = raw(&server, "PATCH", &path, &headers, value).await;
                assert!(code == 201 || code == 200, "{}: {answer}", file.display());
                let live = api.get(&name).await.unwrap();
                let established = live.data["status"]["conditions"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|c| c["type"] == "Established" && c["status"] == "True");
                assert!(established, "{name}");
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} definitions");
    let (_, _, groups) = raw(&server, "GET", "/apis", &[], Value::Null).await;
    assert!(groups["groups"].as_array().unwrap().iter().any(|g| g["name"] == "ramendr.openshift.io"));
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_checked_with_its_defaults_and_metadata() {
    let (server, _client) = server();
    let refused = async |properties: Value| {
        let mut crd = widget_crd();
        crd["spec"]["versions"].as_array_mut().unwrap().truncate(1);
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": properties});
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let (code, _, answer) = raw(&server, "POST", path, &[], crd).await;
        (code, answer["details"]["causes"][0]["field"].as_str().unwrap_or_default().to_owned())
    };
    let place = |at: &str| (422, format!("spec.validation.openAPIV3Schema.properties[{at}"));
    let mode = json!({"mode": {"type": "string", "enum": ["a"], "default": "b"}});
    assert_eq!(refused(mode).await, place("mode].default"));
    let metadata = json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}});
    assert_eq!(refused(metadata).await, place("metadata]"));
}
