//! The operators' programs: built by Cargo as this test program was, or taken from a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::real::Operators;

/// The variable that names a folder with `kaedama-hub` and `kaedama-spoke`, such as those of an image.
pub const OPERATORS: &str = "KAEDAMA_OPERATORS";

/// The programs, built if need be, and `deploy/` of this checkout.
///
/// # Errors
/// Cargo does not build them.
pub fn operators() -> anyhow::Result<Operators> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is in a workspace")?;
    let folder = match std::env::var_os(OPERATORS).filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => build(root)?,
    };
    let operators =
        Operators { hub: folder.join("kaedama-hub"), spoke: folder.join("kaedama-spoke"), deploy: root.join("deploy") };
    for program in [&operators.hub, &operators.spoke] {
        ensure!(program.is_file(), "there is no {}", program.display());
    }
    Ok(operators)
}

/// Builds both into the target folder of this program, with its profile.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    // target/<profile>/<program>, and of tests target/<profile>/deps/<program>
    let beside = own.parent().context("this program is not in a target folder")?;
    let folder = if beside.ends_with("deps") { beside.parent() } else { Some(beside) };
    let folder = folder.context("this program is not in a target folder")?;
    let target = folder.parent().context("this program is not in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bins", "-p", "kaedama-hub", "-p", "kaedama-spoke"]).current_dir(root);
    command.arg("--target-dir").arg(target);
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    // What Cargo sets for this package would make it build the others anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name.as_ref());
        }
    }
    let built = command.status().context("cannot run Cargo")?;
    ensure!(built.success(), "Cargo did not build the operators ({built})");
    Ok(folder.to_owned())
}
