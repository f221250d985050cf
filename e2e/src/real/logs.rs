//! Where the logs of a world are, and for how long.

use std::path::{Path, PathBuf};

use super::error::RealError;

/// The variable that names the folder for the logs of a world.
pub const LOGS: &str = "KAEDAMA_REAL_LOGS";

/// The folder of the logs.
pub(super) struct Logs {
    pub folder: PathBuf,
    /// Somebody chose it.
    pub named: bool,
    /// It stays when this is dropped.
    pub keep: bool,
}

impl Logs {
    pub(super) fn new(chosen: Option<&Path>) -> Result<Self, RealError> {
        let variable = || std::env::var_os(LOGS).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(folder) = chosen.map(Path::to_owned).or_else(variable) {
            std::fs::create_dir_all(&folder).map_err(RealError::io(format!("make {}", folder.display())))?;
            let folder = folder.canonicalize().map_err(RealError::io(format!("find {}", folder.display())))?;
            return Ok(Self { folder, named: true, keep: true });
        }
        let made = tempfile::Builder::new().prefix("kaedama-real-logs-").tempdir();
        let folder = made.map_err(RealError::io("make a temporary folder for logs"))?.keep();
        // Until the world is up: an error on the way there names them.
        Ok(Self { folder, named: false, keep: true })
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the logs of the real clusters are in {}", self.folder.display());
        } else if !self.keep {
            // What cannot be removed is left to whoever cleans the temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
