//! A disk that can be full under a store: a file system in memory, which only the S3 server sees and which goes with it.
//!
//! Linux, with `unshare`, `nsenter` and `mount` of util-linux; the user needs no rights, but the system has to let users
//! have name spaces of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::RealError;
use super::process::Process;
use super::{Part, Real};

/// Mounts the file system over the folder, and becomes the server.
const MOUNT: &str = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@""#;

fn on_disk(bytes: u64, folder: &Path) -> Vec<OsString> {
    let mut prefix: Vec<OsString> =
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"].map(OsString::from).into();
    prefix.extend([bytes.to_string().into(), folder.into()]);
    prefix
}

impl Real {
    /// Starts the store of a managed cluster anew, on an empty disk of so many bytes. It lasts until the server ends.
    ///
    /// # Errors
    /// The server does not come up, because the system does not permit the disk, for one.
    pub async fn put_store_on_disk(&self, cluster: &str, bytes: u64) -> Result<(), RealError> {
        let process = self.process(cluster, Part::S3)?;
        process.stop().await;
        process.start_behind(on_disk(bytes, &self.s3(cluster)?.folder)).await?;
        self.ready(cluster, Part::S3).await
    }

    /// Gives the disk of [`Real::put_store_on_disk`] so many bytes. What is on it stays.
    ///
    /// # Errors
    /// There is no such disk.
    pub async fn enlarge_store_disk(&self, cluster: &str, bytes: u64) -> Result<(), RealError> {
        let process = self.process(cluster, Part::S3)?;
        let what = || format!("enlarge the disk of {}", process.name());
        let id = process.id().await.unwrap_or_default().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &id, "--user", "--mount", "--preserve-credentials", "mount"]);
        command.args(["-o", &format!("remount,size={bytes}")]).arg(&self.s3(cluster)?.folder);
        let done = command.output().await.map_err(RealError::io(what()))?;
        if done.status.success() {
            return Ok(());
        }
        Err(RealError::io(what())(std::io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned())))
    }

    /// Where the objects of a store can be read from, as the server sees them.
    ///
    /// # Errors
    /// [`RealError::NoSuch`].
    pub async fn s3_folder(&self, cluster: &str) -> Result<PathBuf, RealError> {
        let process: &Process = self.process(cluster, Part::S3)?;
        let folder = &self.s3(cluster)?.folder;
        let id = process.id().await.filter(|_| process.is_behind());
        Ok(match (id, folder.strip_prefix("/")) {
            (Some(id), Ok(below)) => Path::new("/proc").join(id.to_string()).join("root").join(below),
            _ => folder.clone(),
        })
    }
}
