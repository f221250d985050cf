//! Writes what is generated from the API types, or checks that the files are what would be written: the CRDs of our
//! group in `crds/`, and their reference in `docs/api/`.
//!
//! `crdgen [--check] [ROOT]`; the root defaults to that of the workspace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use kaedama_shared::api::crdgen::{all_crds, file_name, to_yaml};
use kaedama_shared::api::docgen;
use kaedama_shared::yaml::YamlError;

/// Why the files could not be written or compared.
#[derive(Debug, thiserror::Error)]
enum CrdgenError {
    #[error("unknown option {0}; usage: crdgen [--check] [ROOT]")]
    Usage(String),
    #[error("rendering {file}: {source}")]
    Render { file: String, source: YamlError },
    #[error("{doing} {path}: {source}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("out of date: {}; run `cargo run -p kaedama-shared --bin crdgen`", .0.join(", "))]
    Stale(Vec<String>),
}

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<(), CrdgenError> {
    let mut check = false;
    let mut root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for argument in arguments {
        match argument.as_str() {
            "--check" => check = true,
            option if option.starts_with('-') => return Err(CrdgenError::Usage(argument)),
            _ => root = PathBuf::from(argument),
        }
    }
    let mut stale = Vec::new();
    for (file, text) in generated()? {
        let path = root.join(&file);
        if !check {
            write(&path, &text)?;
        } else if read(&path)?.as_deref() != Some(text.as_str()) {
            stale.push(file);
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(CrdgenError::Stale(stale)) }
}

/// Every generated file: its path below the root, and its text.
fn generated() -> Result<Vec<(String, String)>, CrdgenError> {
    let mut files = Vec::new();
    for crd in all_crds() {
        let file = format!("crds/{}", file_name(&crd));
        let text = to_yaml(&crd).map_err(|source| CrdgenError::Render { file: file.clone(), source })?;
        files.push((file, text));
    }
    files.extend(docgen::pages().into_iter().map(|(page, text)| (format!("docs/api/{page}"), text)));
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<(), CrdgenError> {
    let failed = |source| CrdgenError::File { doing: "writing", path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// The text of a file, or nothing when there is no such file.
fn read(path: &Path) -> Result<Option<String>, CrdgenError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CrdgenError::File { doing: "reading", path: path.to_path_buf(), source }),
    }
}
