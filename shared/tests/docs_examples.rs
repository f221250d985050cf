//! The YAML in the documentation is what an API server with our CRDs accepts, with no field that it does not know.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use kaedama_apiserver::ApiServer;
use kaedama_shared::api::crdgen::all_crds;
use kaedama_shared::api::ocm::Placement;
use kaedama_shared::config::{Role, load};
use kube::Client;
use serde_json::{Value, json};

mod docs;

use docs::examples;

async fn create(client: &Client, object: &Value) -> Result<Value, kube::Error> {
    let plural = match object["kind"].as_str().unwrap_or_default() {
        "DRPolicy" => "drpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let base = if api_version.contains('/') { "apis" } else { "api" };
    let namespace =
        object["metadata"]["namespace"].as_str().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    let path = format!("/{base}/{api_version}{namespace}/{plural}?fieldValidation=Strict");
    let request =
        http::Request::post(path).header("content-type", "application/json").body(object.to_string().into_bytes());
    client.request(request.unwrap()).await
}

#[tokio::test]
async fn every_object_is_accepted() {
    let server = ApiServer::builder("docs").build();
    let client = server.client("docs");
    for crd in all_crds() {
        create(&client, &serde_json::to_value(crd).unwrap()).await.unwrap();
    }
    for namespace in ["shop", "ramen-system"] {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        create(&client, &namespace).await.unwrap();
    }
    let mut kinds = Vec::new();
    for (page, object) in examples() {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            // These belong to Open Cluster Management, whose definitions are not here.
            "ClusterClaim" => {}
            "Placement" => drop(serde_json::from_value::<Placement>(object).unwrap()),
            _ => drop(create(&client, &object).await.unwrap_or_else(|error| panic!("{page}: {kind}: {error}"))),
        }
        kinds.push(kind);
    }
    for kind in ["DRCluster", "DRPolicy", "DRPlacementControl", "ConfigMap", "Secret", "Placement"] {
        assert!(kinds.iter().any(|found| found == kind), "no example of a {kind}");
    }
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_noticed() {
    let server = ApiServer::builder("docs").build();
    let client = server.client("docs");
    for crd in all_crds() {
        create(&client, &serde_json::to_value(crd).unwrap()).await.unwrap();
    }
    let wrong = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster", "metadata": { "name": "dr1" },
        "spec": { "s3ProfileName": "east", "s3Profile": "east" },
    });
    let error = create(&client, &wrong).await.unwrap_err().to_string();
    assert!(error.contains("spec.s3Profile"), "{error}");
}

#[test]
fn the_configuration_has_no_member_without_meaning() {
    let mut found = 0;
    for (page, object) in examples() {
        let Some(text) = object["data"]["ramen_manager_config.yaml"].as_str() else { continue };
        let loaded = load::parse(text, Role::Hub).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(loaded.ignored.is_empty(), "{page}: {:?}", loaded.ignored);
        assert!(loaded.config.profile_errors().is_empty(), "{page}: {:?}", loaded.config.profile_errors());
        found += 1;
    }
    assert!(found > 0);
}
