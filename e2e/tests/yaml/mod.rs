//! YAML that people wrote for RamenDR applies as it is, and does what it says.
//!
//! | module | whose YAML |
//! |---|---|
//! | `applications` | an administrator's, for each way to deploy an application |
//! | `texts` | documentation, an older version, the reference product's own hub |

pub mod applications;
pub mod texts;

/// Every scenario of this folder, handed to a macro.
macro_rules! every {
    ($($each:tt)*) => {
        $($each)*! {
            yaml:
            applications {
                an_application_of_a_subscription_is_protected_by_its_usual_yaml,
                an_application_set_says_where_its_application_lives,
            }
            texts {
                the_samples_in_the_seeds_apply_as_they_are,
                members_that_are_gone_are_pruned_and_refused_where_that_is_asked_for,
                a_group_as_the_other_hub_writes_it_is_taken_by_a_cluster,
            }
        }
    };
}
pub(crate) use every;

use std::path::{Path, PathBuf};

use kaedama_shared::yaml;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, ValidationDirective};
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
