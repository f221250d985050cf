//! The CRD files in `crds/` and the reference in `docs/api/` are what the types generate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kaedama_shared::api::crdgen::{all_crds, file_name, to_yaml};
use kaedama_shared::api::docgen;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The names of the files of a folder that end like this.
fn found(name: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(name)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect()
}

fn is_fresh(path: &Path, generated: &str) {
    let stored = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(stored == generated, "{} is stale: cargo run -p kaedama-shared --bin crdgen", path.display());
}

#[test]
fn the_files_are_what_the_types_generate() {
    for crd in all_crds() {
        is_fresh(&folder("crds").join(file_name(&crd)), &to_yaml(&crd).unwrap());
    }
}

#[test]
fn there_is_no_file_without_a_type() {
    let expected: BTreeSet<String> = all_crds().iter().map(file_name).collect();
    let mut found = found("crds", ".yaml");
    found.remove("kustomization.yaml");
    assert_eq!(found, expected);
}

#[test]
fn the_reference_is_what_the_types_generate() {
    for (page, text) in docgen::pages() {
        is_fresh(&folder("docs/api").join(page), &text);
    }
}

#[test]
fn there_is_no_page_without_a_kind() {
    let expected: BTreeSet<String> = docgen::pages().into_iter().map(|(page, _)| page).collect();
    assert_eq!(found("docs/api", ".md"), expected);
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
