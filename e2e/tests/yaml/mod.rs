//! YAML that people wrote for RamenDR applies as it is, and does what it says.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_e2e::start::{pass, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::ocm::PlacementDecision;
use kaedama_shared::api::{self, DRPlacementControl, DRState, VolumeReplicationGroup};
use kaedama_shared::yaml;
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube::{Api, Client};
use serde_json::Value;

/// The folder that `variable` names, else this one beside the workspace. Without it the test is skipped loudly, and on CI
/// it fails.
fn folder(variable: &str, default: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(default);
    let folder = std::env::var_os(variable).map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is not there; set {variable}", folder.display());
    eprintln!("SKIPPED: {} is not there; set {variable} to apply what is in it", folder.display());
    None
}

/// The YAML blocks of a Markdown text that are YAML.
fn blocks(text: &str) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```yaml") => block = Some(String::new()),
            (Some(text), "```") => {
                blocks.extend(yaml::from_documents::<Value>(text).unwrap_or_default());
                block = None;
            }
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

/// Applies an object as kubectl does on the server's side, and returns what the server keeps of it.
async fn apply(client: &Client, object: &Value, validation: ValidationDirective) -> anyhow::Result<Value> {
    let wanted: DynamicObject = serde_json::from_value(object.clone())?;
    let types = wanted.types.clone().unwrap_or_default();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let cluster_scoped =
        ["Namespace", "DRPolicy", "DRCluster", "VolumeReplicationClass"].contains(&types.kind.as_str());
    let api: Api<DynamicObject> = match (&wanted.metadata.namespace, cluster_scoped) {
        (_, true) => Api::all_with(client.clone(), &resource),
        (Some(namespace), false) => {
            namespace_for(client, namespace).await?;
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
        (None, false) => Api::namespaced_with(client.clone(), "default", &resource),
    };
    let params = PatchParams::apply("an-admin").validation(validation);
    api.patch(&name, &params, &Patch::Apply(object)).await?;
    Ok(serde_json::to_value(api.get(&name).await?)?)
}

async fn namespace_for(client: &Client, name: &str) -> anyhow::Result<()> {
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    if api.get_opt(name).await?.is_none() {
        let mut namespace = k8s_openapi::api::core::v1::Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        api.create(&PostParams::default(), &namespace).await?;
    }
    Ok(())
}

/// Creates an object as kubectl's create does, and returns what the server keeps of it.
async fn create(client: &Client, object: &Value) -> anyhow::Result<Value> {
    let wanted: DynamicObject = serde_json::from_value(object.clone())?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&wanted.types.clone().unwrap_or_default())?);
    let api: Api<DynamicObject> = match &wanted.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok(serde_json::to_value(api.create(&PostParams::default(), &wanted).await?)?)
}

/// What of `wanted` is not in `kept`, by its path. Empty members may be left out, and times that are null.
fn missing(wanted: &Value, kept: &Value, path: &str) -> Vec<String> {
    match (wanted, kept) {
        (Value::Object(fields), Value::Object(_)) => {
            fields.iter().flat_map(|(key, value)| missing(value, &kept[key], &format!("{path}.{key}"))).collect()
        }
        (Value::Null, Value::Null) => Vec::new(),
        (wanted, Value::Null) if *wanted == Value::Object(serde_json::Map::new()) => Vec::new(),
        (wanted, kept) if wanted == kept => Vec::new(),
        _ => vec![format!("{path}: {wanted}, and it has {kept}")],
    }
}

/// Applies every document of a text; all of it has to be kept.
async fn apply_all(client: &Client, text: &str) -> anyhow::Result<()> {
    for object in yaml::from_documents::<Value>(text)? {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let kept = apply(client, &object, ValidationDirective::Strict)
            .await
            .map_err(|error| error.context(format!("{name} was not taken")))?;
        let mut lost = missing(&object, &kept, "");
        lost.retain(|line| !line.starts_with(".status") && !line.starts_with(".metadata.creationTimestamp"));
        assert!(lost.is_empty(), "{name} lost {lost:#?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_samples_in_the_seeds_apply_as_they_are() -> anyhow::Result<()> {
    let Some(folder) = folder("KAEDAMA_SEEDS", "shared/seeds") else { return Ok(()) };
    let world = regional().await?;
    let (hub, spoke) = (world.hub(), world.cluster("dr1")?);
    let mut applied = Vec::new();
    for entry in fs::read_dir(folder)? {
        for object in blocks(&fs::read_to_string(entry?.path())?) {
            let group = object["apiVersion"].as_str().unwrap_or_default();
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            if group != api::API_VERSION && group != "replication.storage.openshift.io/v1alpha1" {
                continue;
            }
            let on_hub = ["DRPolicy", "DRCluster", "DRPlacementControl"].contains(&kind.as_str());
            let client = if on_hub { &hub } else { &spoke };
            let name = format!("{kind} {}", object["metadata"]["name"]);
            let kept = apply(client, &object, ValidationDirective::Strict)
                .await
                .map_err(|error| error.context(format!("{name} was not taken")))?;
            let lost = missing(&object["spec"], &kept["spec"], ".spec");
            assert!(lost.is_empty(), "{name} lost {lost:#?}");
            applied.push(kind);
        }
    }
    for kind in ["DRPolicy", "DRPlacementControl", "VolumeReplicationGroup"] {
        assert!(applied.iter().any(|applied| applied == kind), "no {kind} was found: {applied:?}");
    }
    Ok(())
}

async fn completed(world: &World, namespace: &str) -> anyhow::Result<DRPlacementControl> {
    let app = App { namespace: namespace.to_owned(), ..App::new("busybox-drpc", "dr1") };
    Ok(world.completed(&app, DRState::Deployed).await?)
}

async fn decided(world: &World, namespace: &str) -> anyhow::Result<Vec<String>> {
    let api: Api<PlacementDecision> = Api::namespaced(world.hub(), namespace);
    let list = api.list(&ListParams::default()).await?.items;
    Ok(list.iter().flat_map(|decision| decision.decisions().iter().map(|entry| entry.cluster_name.clone())).collect())
}

#[tokio::test(start_paused = true)]
async fn an_application_of_a_subscription_is_protected_by_its_usual_yaml() -> anyhow::Result<()> {
    let world = regional().await?;
    apply_all(&world.hub(), include_str!("yaml/clusters.yaml")).await?;
    apply_all(&world.hub(), include_str!("yaml/subscription.yaml")).await?;
    completed(&world, "busybox-sample").await?;
    assert_eq!(decided(&world, "busybox-sample").await?, ["dr1"]);
    let groups: Api<VolumeReplicationGroup> = Api::namespaced(world.cluster("dr1")?, "busybox-sample");
    let group = groups.get("busybox-drpc").await?;
    assert_eq!(group.spec.s3_profiles, ["s3-dr1", "s3-dr2"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_application_set_says_where_its_application_lives() -> anyhow::Result<()> {
    let Some(folder) = folder("KAEDAMA_PEER_CRDS", "shared/peer-crds") else { return Ok(()) };
    let world = regional().await?;
    let definition: CustomResourceDefinition =
        yaml::from_str(&fs::read_to_string(folder.join("argocd/applicationset-crd.yaml"))?)?;
    Api::<CustomResourceDefinition>::all(world.hub()).create(&PostParams::default(), &definition).await?;
    // A kind that comes later is looked for from time to time.
    pass(30).await;
    apply_all(&world.hub(), include_str!("yaml/clusters.yaml")).await?;
    apply_all(&world.hub(), include_str!("yaml/applicationset.yaml")).await?;
    completed(&world, "openshift-gitops").await?;
    assert_eq!(decided(&world, "openshift-gitops").await?, ["dr2"]);
    let groups: Api<VolumeReplicationGroup> = Api::all(world.cluster("dr2")?);
    let places: Vec<String> = groups
        .list(&ListParams::default())
        .await?
        .items
        .iter()
        .filter_map(|group| group.metadata.namespace.clone())
        .collect();
    assert_eq!(places, ["e2e-appset-busybox"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn members_that_are_gone_are_pruned_and_refused_where_that_is_asked_for() -> anyhow::Result<()> {
    let world = regional().await?;
    for object in yaml::from_documents::<Value>(include_str!("yaml/old.yaml"))? {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        // Server-side apply takes no field that it does not know, whatever validation is asked for.
        for validation in [ValidationDirective::Strict, ValidationDirective::Warn] {
            let answer = format!("{:#}", apply(&world.hub(), &object, validation).await.unwrap_err());
            assert!(answer.contains("captureOrder") || answer.contains("drClusterSet"), "{name}: {answer}");
        }
        let kept =
            create(&world.hub(), &object).await.map_err(|error| error.context(format!("{name} was not taken")))?;
        let lost: Vec<String> = missing(&object["spec"], &kept["spec"], ".spec");
        let gone = ["captureOrder", "recoverOrder", "drClusterSet"];
        assert!(
            !lost.is_empty() && lost.iter().all(|line| gone.iter().any(|path| line.contains(path))),
            "{name}: {lost:#?}"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_group_as_the_other_hub_writes_it_is_taken_by_a_cluster() -> anyhow::Result<()> {
    let world = regional().await?;
    let spoke = world.cluster("dr1")?;
    apply_all(&spoke, include_str!("yaml/group.yaml")).await?;
    pass(10).await;
    let groups: Api<VolumeReplicationGroup> = Api::namespaced(spoke, "default");
    let status = groups.get("busybox-drpc").await?.status.unwrap_or_default();
    assert!(status.observed_generation > 0, "nobody has looked at it: {status:#?}");
    Ok(())
}
