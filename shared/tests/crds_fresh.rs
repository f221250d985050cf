//! The CRD files in `crds/` are what the types generate.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kaedama_shared::api::crdgen::{all_crds, file_name, to_yaml};

#[test]
fn the_files_are_what_the_types_generate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    for crd in all_crds() {
        let path = folder.join(file_name(&crd));
        let stored = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let generated = to_yaml(&crd).unwrap();
        assert!(stored == generated, "{} is stale: cargo run -p kaedama-shared --bin crdgen", path.display());
    }
}

#[test]
fn there_is_no_file_without_a_type() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let expected: BTreeSet<String> = all_crds().iter().map(file_name).collect();
    let found: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .filter(|name| name != "kustomization.yaml")
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn names_follow_the_kinds() {
    for crd in all_crds() {
        let names = &crd.spec.names;
        assert_eq!(names.singular.as_deref(), Some(names.kind.to_lowercase().as_str()));
        assert_eq!(names.list_kind.as_deref(), Some(format!("{}List", names.kind).as_str()));
        assert_eq!(crd.metadata.name, Some(format!("{}.{}", names.plural, crd.spec.group)));
    }
}
