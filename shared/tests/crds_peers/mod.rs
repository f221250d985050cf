//! Finds the peers' material that the tests compare with, which is not part of this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folder named by `variable`, else `default` beside the workspace.
///
/// When it is not there the test is skipped loudly, and in CI it fails.
pub fn folder(variable: &str, default: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(default);
    let folder = env::var_os(variable).map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{} is not there; set {variable}", folder.display());
    eprintln!("SKIPPED: {} is not there; set {variable} to compare with the peers", folder.display());
    None
}
