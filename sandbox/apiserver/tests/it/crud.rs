//! Create, get, list, update, patch and delete.

use crate::common::*;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::BTreeMap;

fn config(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        data: Some(BTreeMap::from([("k".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_map_lives_through_every_verb() {
    let (_server, client) = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let made = api.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    assert!(made.uid().is_some() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    assert_eq!(made.namespace().as_deref(), Some("default"));
    assert_eq!(made.managed_fields()[0].manager.as_deref(), Some("test-client"));

    let again = status(api.create(&PostParams::default(), &config("a", "1")).await);
    assert_eq!(
        (again.code, again.reason.as_str(), again.message.as_str()),
        (409, "AlreadyExists", "configmaps \"a\" already exists")
    );

    let mut changed = made.clone();
    changed.data = Some(BTreeMap::from([("k".to_owned(), "2".to_owned())]));
    let changed = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(changed.resource_version(), made.resource_version());
    let stale = status(api.replace("a", &PostParams::default(), &made).await);
    assert_eq!((stale.code, stale.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );

    let same = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_eq!(same.resource_version(), changed.resource_version(), "a no-op update writes nothing");

    let patched =
        api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": null, "l": "3"}}))).await.unwrap();
    assert_eq!(patched.data, Some(BTreeMap::from([("l".to_owned(), "3".to_owned())])));

    let list = api.list(&ListParams::default().fields("metadata.name=a")).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let gone = api.delete("a", &DeleteParams::default()).await.unwrap();
    let gone = gone.right().expect("a Status");
    assert_eq!(gone.details.map(|d| (d.name, d.kind)), Some(("a".to_owned(), "configmaps".to_owned())));
    let missing = status(api.get("a").await);
    assert_eq!(
        (missing.code, missing.reason.as_str(), missing.message.as_str()),
        (404, "NotFound", "configmaps \"a\" not found")
    );
}

#[tokio::test(start_paused = true)]
async fn namespaces_have_to_exist_and_are_emptied_when_deleted() {
    let (_server, client) = server();
    let missing: Api<ConfigMap> = Api::namespaced(client.clone(), "nope");
    let refused = status(missing.create(&PostParams::default(), &config("a", "1")).await);
    assert_eq!((refused.code, refused.message.as_str()), (404, "namespaces \"nope\" not found"));

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = namespaces
        .create(&PostParams::default(), &Namespace { metadata: named("x"), ..Namespace::default() })
        .await
        .unwrap();
    assert_eq!(made.labels().get("kubernetes.io/metadata.name").map(String::as_str), Some("x"));
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "x");
    eventually("the default service account", || async { accounts.get_opt("default").await.unwrap().is_some() }).await;

    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), "x");
    let mut held = config("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    configs.create(&PostParams::default(), &held).await.unwrap();
    configs.create(&PostParams::default(), &config("free", "1")).await.unwrap();
    let answer = namespaces.delete("x", &DeleteParams::default()).await.unwrap();
    assert_eq!(answer.left().unwrap().status.unwrap().phase.as_deref(), Some("Terminating"));
    eventually("the free config map is gone", || async { configs.get_opt("free").await.unwrap().is_none() }).await;
    let refused = status(configs.create(&PostParams::default(), &config("late", "1")).await);
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert_eq!(refused.details.unwrap().causes[0].reason, "NamespaceTerminating");
    eventually("the condition names the finalizer", || async {
        let live = namespaces.get("x").await.unwrap();
        live.status
            .unwrap()
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|c| c.type_ == "NamespaceFinalizersRemaining" && c.status == "True")
    })
    .await;
    configs
        .patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    eventually("the namespace is gone", || async { namespaces.get_opt("x").await.unwrap().is_none() }).await;
}

#[tokio::test(start_paused = true)]
async fn string_data_of_secrets_becomes_data() {
    let (_server, client) = server();
    let api: Api<Secret> = Api::default_namespaced(client);
    let secret = Secret {
        metadata: named("s"),
        string_data: Some(BTreeMap::from([("p".to_owned(), "q".to_owned())])),
        ..Secret::default()
    };
    let made = api.create(&PostParams::default(), &secret).await.unwrap();
    assert_eq!(made.data.unwrap()["p"].0, b"q");
    assert_eq!((made.string_data, made.type_.as_deref()), (None, Some("Opaque")));
}

#[tokio::test(start_paused = true)]
async fn custom_resources_are_served_as_their_definition_says() {
    let (_server, client) = server();
    let api = widgets(&client, "default").await;
    let made = api.create(&PostParams::default(), &widget("w", 3)).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 3, "color": "red"}));
    assert_eq!(made.metadata.generation, Some(1));

    let bad = status(api.create(&PostParams::default(), &widget("v", 0)).await);
    assert_eq!((bad.code, bad.reason.as_str()), (422, "Invalid"));
    assert_eq!(bad.details.unwrap().causes[0].field, "spec.size");

    let mut with_status = made.clone();
    with_status.data["status"] = json!({"phase": "Ready"});
    with_status.data["spec"]["size"] = json!(9);
    let after = api.replace_status("w", &PostParams::default(), &with_status).await.unwrap();
    assert_eq!(
        (after.data["spec"]["size"].clone(), after.data["status"]["phase"].clone(), after.metadata.generation),
        (json!(3), json!("Ready"), Some(1))
    );
    let mut change = after.clone();
    change.data["spec"]["size"] = json!(4);
    change.data["status"] = json!({"phase": "Lost"});
    let after = api.replace("w", &PostParams::default(), &change).await.unwrap();
    assert_eq!(
        (after.data["spec"]["size"].clone(), after.data["status"]["phase"].clone(), after.metadata.generation),
        (json!(4), json!("Ready"), Some(2))
    );

    let applied = api.patch("w", &PatchParams::apply("me").force(), &Patch::Apply(json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 5, "tags": ["a"]}
    }))).await.unwrap();
    assert_eq!(applied.data["spec"]["tags"], json!(["a"]));
    let strategic =
        status(api.patch("w", &PatchParams::default(), &Patch::Strategic(json!({"spec": {"size": 1}}))).await);
    assert_eq!(strategic.code, 415);
}
