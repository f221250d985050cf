//! Our definitions beside the peers' own.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// The peers' definitions, or `None` with a loud word when they are not on this machine.
fn peer_folder() -> Option<PathBuf> {
    let given = std::env::var_os("KAEDAMA_PEER_CRDS").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/peer-crds");
    let folder = given.unwrap_or_else(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the peers' definitions are missing: {}", folder.display());
    eprintln!("SKIPPED: the peers' definitions are not at {}", folder.display());
    None
}

fn peer(folder: &std::path::Path, definition: &CustomResourceDefinition) -> Value {
    let group = &definition.spec.group;
    let project = if group.ends_with("storage.k8s.io") { "snapshot" } else { "csi-addons" };
    let file = folder.join(project).join(format!("{group}_{}.yaml", definition.spec.names.plural));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // Some files hold a leading empty document.
    let document = text.trim_start_matches("---");
    serde_yaml::from_str(document).unwrap()
}

/// Asserts that whatever our schema says at a path, the peer's says as well.
fn assert_within(ours: &Value, theirs: &Value, path: &str) {
    for keyword in ["type", "format", "enum", "default", "x-kubernetes-map-type", "x-kubernetes-list-type"] {
        assert_eq!(sorted(&ours[keyword]), sorted(&theirs[keyword]), "{keyword} of {path}");
    }
    assert_eq!(sorted(&ours["required"]), sorted(&theirs["required"]), "required fields of {path}");
    let rules = |schema: &Value| -> Vec<String> {
        let rules = schema["x-kubernetes-validations"].as_array().cloned().unwrap_or_default();
        rules.iter().map(|rule| rule["rule"].as_str().unwrap_or_default().replace('\n', " ")).collect()
    };
    assert_eq!(rules(ours), rules(theirs), "rules of {path}");
    for (name, schema) in ours["properties"].as_object().into_iter().flatten() {
        let there = &theirs["properties"][name];
        assert!(there.is_object(), "{path}.{name} does not exist there");
        assert_within(schema, there, &format!("{path}.{name}"));
    }
    for nested in ["items", "additionalProperties"] {
        if ours[nested].is_object() {
            assert_within(&ours[nested], &theirs[nested], &format!("{path}[]"));
        }
    }
}

fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(list) = value.as_array_mut() {
        list.sort_by_key(ToString::to_string);
    }
    value
}

#[test]
fn every_definition_agrees_with_the_peers_own() {
    let Some(folder) = peer_folder() else { return };
    for definition in all() {
        let theirs = peer(&folder, &definition);
        let ours = serde_json::to_value(&definition).unwrap();
        let name = definition.metadata.name.clone().unwrap();
        assert_eq!(ours["metadata"]["name"], theirs["metadata"]["name"]);
        for field in ["group", "scope"] {
            assert_eq!(ours["spec"][field], theirs["spec"][field], "{field} of {name}");
        }
        assert_eq!(ours["spec"]["names"], theirs["spec"]["names"], "names of {name}");
        for version in ours["spec"]["versions"].as_array().unwrap() {
            let there = theirs["spec"]["versions"].as_array().unwrap();
            let there =
                there.iter().find(|v| v["name"] == version["name"]).unwrap_or_else(|| panic!("version of {name}"));
            assert_eq!(version["served"], there["served"], "{name} is served");
            assert_eq!(version["subresources"], there["subresources"], "subresources of {name}");
            let columns = |version: &Value| -> Vec<(Value, Value, Value)> {
                let columns = version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
                columns.iter().map(|c| (c["name"].clone(), c["jsonPath"].clone(), c["type"].clone())).collect()
            };
            assert_eq!(columns(version), columns(there), "columns of {name}");
            let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
            assert_within(&schema(version), &schema(there), &name);
        }
    }
}

#[test]
fn what_our_types_write_the_definitions_know() {
    use kaedama_shared::api::csiaddons as api;
    use kube::Resource as _;

    let kinds = [
        (api::VolumeReplication::kind(&()), api::VolumeReplication::plural(&()), true),
        (api::VolumeReplicationClass::kind(&()), api::VolumeReplicationClass::plural(&()), false),
        (api::VolumeGroupReplication::kind(&()), api::VolumeGroupReplication::plural(&()), true),
        (api::VolumeGroupReplicationClass::kind(&()), api::VolumeGroupReplicationClass::plural(&()), false),
        (api::VolumeGroupReplicationContent::kind(&()), api::VolumeGroupReplicationContent::plural(&()), false),
        (api::NetworkFence::kind(&()), api::NetworkFence::plural(&()), false),
        (api::NetworkFenceClass::kind(&()), api::NetworkFenceClass::plural(&()), false),
        (api::VolumeSnapshotClass::kind(&()), api::VolumeSnapshotClass::plural(&()), false),
        (api::VolumeGroupSnapshotClass::kind(&()), api::VolumeGroupSnapshotClass::plural(&()), false),
    ];
    let defined: Vec<(String, String, bool)> = all()
        .into_iter()
        .map(|crd| (crd.spec.names.kind, crd.spec.names.plural, crd.spec.scope == "Namespaced"))
        .collect();
    let typed: Vec<(String, String, bool)> = kinds
        .into_iter()
        .map(|(kind, plural, namespaced)| (kind.into_owned(), plural.into_owned(), namespaced))
        .collect();
    assert_eq!(defined, typed);
}
