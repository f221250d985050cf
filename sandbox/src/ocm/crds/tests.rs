use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

/// Folder of the peers' definitions; `None`, loudly, where there is none and that may be.
fn peers() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/peer-crds");
    let root = std::env::var_os("KAEDAMA_PEER_CRDS").map_or(beside, PathBuf::from);
    if root.join("ocm").is_dir() {
        return Some(root.join("ocm"));
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no peer CRDs in {}", root.display());
    eprintln!("SKIPPED: no peer CRDs in {}; set KAEDAMA_PEER_CRDS", root.display());
    None
}

fn peer_definitions(folder: &PathBuf) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = <Value as serde::Deserialize>::deserialize(document).unwrap();
            if value["kind"] == "CustomResourceDefinition" {
                // Through the type, as ours are: numbers are then written alike.
                let definition: CustomResourceDefinition = serde_json::from_value(value).unwrap();
                let name = definition.metadata.name.clone().unwrap();
                found.insert(name, serde_json::to_value(&definition).unwrap());
            }
        }
    }
    found
}

/// Every field of ours exists there, with the same type and the same meaning for lists.
fn compare(path: &str, ours: &Value, theirs: &Value, problems: &mut Vec<String>) {
    for aspect in [
        "type",
        "format",
        "default",
        "enum",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "nullable",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        // The peers mark some lists as atomic, which is what an unmarked list is.
        let theirs = theirs.get(aspect).filter(|value| *value != "atomic");
        let both = (ours.get(aspect), theirs);
        let ours_says_less = both.0.is_none() && aspect != "type" && !aspect.starts_with("x-") && aspect != "default";
        if both.0 != both.1 && !ours_says_less {
            problems.push(format!("{path}: {aspect} is {:?}, the peer has {:?}", both.0, both.1));
        }
    }
    let required = |schema: &Value| -> Vec<String> {
        serde_json::from_value(schema.get("required").cloned().unwrap_or(json!([]))).unwrap()
    };
    let (mut mine, mut yours) = (required(ours), required(theirs));
    mine.sort();
    yours.sort();
    if mine != yours {
        problems.push(format!("{path}: requires {mine:?}, the peer {yours:?}"));
    }
    for (name, member) in ours["properties"].as_object().into_iter().flatten() {
        match theirs["properties"].get(name) {
            Some(theirs) => compare(&format!("{path}.{name}"), member, theirs, problems),
            None => problems.push(format!("{path}.{name}: the peer has no such field")),
        }
    }
    for inner in ["items", "additionalProperties"] {
        match (ours.get(inner), theirs.get(inner)) {
            (Some(ours), Some(theirs)) => compare(&format!("{path}[]"), ours, theirs, problems),
            (None, None) => {}
            (ours, _) => {
                problems.push(format!("{path}: {inner} only {}", if ours.is_some() { "here" } else { "there" }))
            }
        }
    }
}

#[test]
fn every_definition_is_one() {
    let names = |definitions: Vec<CustomResourceDefinition>| -> Vec<String> {
        definitions.into_iter().filter_map(|definition| definition.metadata.name).collect()
    };
    assert_eq!(names(hub()).len(), 10);
    assert_eq!(
        names(spoke()),
        ["appliedmanifestworks.work.open-cluster-management.io", "clusterclaims.cluster.open-cluster-management.io"]
    );
}

#[test]
fn the_definitions_agree_with_the_peers() {
    let Some(folder) = peers() else { return };
    let theirs = peer_definitions(&folder);
    let mut problems = Vec::new();
    for ours in hub().into_iter().chain(spoke()) {
        let ours = serde_json::to_value(&ours).unwrap();
        let name = ours["metadata"]["name"].as_str().unwrap().to_owned();
        let theirs = &theirs[&name];
        for aspect in ["/spec/group", "/spec/names", "/spec/scope"] {
            if ours.pointer(aspect) != theirs.pointer(aspect) {
                problems.push(format!(
                    "{name}: {aspect} differs: {:?} {:?}",
                    ours.pointer(aspect),
                    theirs.pointer(aspect)
                ));
            }
        }
        let version = &ours["spec"]["versions"][0];
        let versions = theirs["spec"]["versions"].as_array().unwrap();
        let theirs = versions.iter().find(|theirs| theirs["name"] == version["name"]).unwrap();
        if version.get("subresources") != theirs.get("subresources") || theirs["storage"] != true {
            problems.push(format!("{name}: subresources or storage differ"));
        }
        for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
            if !theirs["additionalPrinterColumns"].as_array().unwrap().contains(column) {
                problems.push(format!("{name}: the peer has no column {column}"));
            }
        }
        compare(&name, &version["schema"]["openAPIV3Schema"], &theirs["schema"]["openAPIV3Schema"], &mut problems);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
