//! The published CRDs of other projects, as they are.

use super::*;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The folder of published CRDs; `None`, said loudly, when it is not there.
fn peer_crds() -> Option<PathBuf> {
    let folder = std::env::var_os("KAEDAMA_PEER_CRDS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peer-crds"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no published CRDs at {}", folder.display());
    eprintln!("SKIPPED: no published CRDs at {}", folder.display());
    None
}

fn crds(folder: &Path) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            out.extend(crds(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&path).expect("file");
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value = Value::deserialize(document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                if value["kind"] == "CustomResourceDefinition" {
                    out.push((path.display().to_string(), value));
                }
            }
        }
    }
    out
}

fn ramen(folder: &Path, plural: &str) -> StructuralSchema {
    let (_, crd) =
        crds(&folder.join("ramen")).into_iter().find(|(_, c)| c["spec"]["names"]["plural"] == plural).expect("the CRD");
    StructuralSchema::from_crd(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).expect("structural")
}

#[test]
fn every_published_crd_is_structural_and_decodes_as_a_crd() {
    let Some(folder) = peer_crds() else { return };
    let kind = builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("CRD");
    let mut schemas = 0;
    for (file, mut crd) in crds(&folder) {
        assert_eq!(kind.decode_error(&crd), None, "{file}");
        assert_eq!(kind.prune(&mut crd), Vec::<String>::new(), "{file}");
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            let raw = &version["schema"]["openAPIV3Schema"];
            let name = format!("{file} {}", version["name"]);
            let schema = StructuralSchema::from_crd(raw).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let mut empty = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "a"}});
            assert_eq!(schema.prune(&mut empty), Vec::<String>::new(), "{name}");
            schemas += 1;
        }
    }
    assert!(schemas > 40, "only {schemas} schemas found");
}

#[test]
fn ramen_policies_need_two_clusters_and_do_not_change() {
    let Some(folder) = peer_crds() else { return };
    let schema = ramen(&folder, "drpolicies");
    let policy = |clusters: Value, interval: &str| {
        json!({"apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPolicy", "metadata": {"name": "p"},
            "spec": {"drClusters": clusters, "schedulingInterval": interval}})
    };
    let good = {
        let mut p = policy(json!(["a", "b"]), "5m");
        schema.prune(&mut p);
        schema.default(&mut p);
        p
    };
    assert_eq!(schema.validate(&good, None), []);
    let one = schema.validate(&policy(json!(["a"]), "5m"), None);
    assert_eq!(one[0].to_string(), "spec.drClusters: Invalid value: drClusters requires a list of 2 clusters");
    let mut changed = good.clone();
    changed["spec"]["drClusters"] = json!(["a", "c"]);
    let errors: Vec<String> = schema.validate(&changed, Some(&good)).iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["spec.drClusters: Invalid value: drClusters is immutable"]);
    let bad = schema.validate(&policy(json!(["a", "b"]), "soon"), None);
    assert!(
        bad[0].to_string().starts_with(
            "spec.schedulingInterval: Invalid value: \"soon\": spec.schedulingInterval in body should match"
        ),
        "{bad:?}"
    );
    assert_eq!(schema.validate(&good, Some(&good)), []);
}

#[test]
fn ramen_placement_controls_keep_their_references() {
    let Some(folder) = peer_crds() else { return };
    let schema = ramen(&folder, "drplacementcontrols");
    let good = json!({"apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPlacementControl",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"placementRef": {"kind": "Placement", "name": "p"}, "drPolicyRef": {"name": "policy"},
            "pvcSelector": {"matchLabels": {"app": "x"}}}});
    assert_eq!(schema.validate(&good, None), []);
    for (pointer, value, wanted) in [
        ("/spec/placementRef/name", json!("q"), "spec.placementRef: Invalid value: placementRef is immutable"),
        ("/spec/drPolicyRef/name", json!("q"), "spec.drPolicyRef: Invalid value: drPolicyRef is immutable"),
        ("/spec/pvcSelector/matchLabels", json!({}), "spec.pvcSelector: Invalid value: pvcSelector is immutable"),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).expect("the field") = value;
        let errors: Vec<String> = schema.validate(&changed, Some(&good)).iter().map(ToString::to_string).collect();
        assert_eq!(errors, [wanted]);
    }
    let mut action = good.clone();
    action["spec"]["action"] = json!("X");
    assert_eq!(
        schema.validate(&action, Some(&good))[0].to_string(),
        "spec.action: Unsupported value: \"X\": supported values: \"Failover\", \"Relocate\""
    );
}
