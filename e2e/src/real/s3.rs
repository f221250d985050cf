//! A real S3 server for each managed cluster, on a folder, with one bucket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::s3::Credentials;

use super::cluster::Cluster;
use super::error::RealError;
use super::files::write_private;
use super::ports::Ports;
use super::process::{Process, Start};
use super::programs::{Program, Programs};
use super::ready::Server;

/// The region that the servers want requests to be signed for.
const REGION: &str = "us-east-1";

/// How to reach a store.
#[derive(Clone, Debug)]
pub struct S3Access {
    /// The endpoint, with its scheme. Requests are made path style.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket; it exists.
    pub bucket: String,
    /// The key that may do everything.
    pub credentials: Credentials,
    /// Where the server keeps the bucket: a file for each key.
    pub folder: PathBuf,
    /// PEM of the authority that signed the server's certificate; empty for plain HTTP.
    pub authority: String,
}

impl S3Access {
    /// The profile for the operators' configuration, without its secret.
    #[must_use]
    pub fn profile(&self, name: &str) -> S3StoreProfile {
        S3StoreProfile {
            s3_profile_name: name.to_owned(),
            s3_bucket: self.bucket.clone(),
            s3_compatible_endpoint: self.endpoint.clone(),
            s3_region: self.region.clone(),
            ca_certificates: if self.authority.is_empty() { String::new() } else { STANDARD.encode(&self.authority) },
            ..S3StoreProfile::default()
        }
    }
}

/// The store of one managed cluster.
pub(super) struct Store {
    pub server: Server,
    pub access: S3Access,
    pub access_log: PathBuf,
}

impl Store {
    /// Makes the bucket, and writes what the server needs; starts nothing.
    pub(super) fn prepare(
        cluster: &Cluster,
        keeper: &Path,
        programs: &Programs,
        tls: bool,
        patience: Duration,
        ports: &mut Ports,
    ) -> Result<Self, RealError> {
        let port = ports.take()?;
        let name = &cluster.name;
        let bucket = format!("kaedama-{name}");
        let root = cluster.folder().join("s3");
        // To the server a folder below its root is a bucket.
        let folder = root.join(&bucket);
        std::fs::create_dir_all(&folder).map_err(RealError::io(format!("make {}", folder.display())))?;
        let mut command: Vec<OsString> = vec![programs.path(Program::S3)?.into()];
        command.extend(["--port".into(), format!("127.0.0.1:{}", port.number()).into()]);
        command.extend(["--region".into(), REGION.into(), "--quiet".into()]);
        let access_log = cluster.logs().join("s3-access.log");
        command.extend(["--access-log".into(), access_log.clone().into()]);
        let mut authority = String::new();
        if tls {
            let pair = cluster.server_pair("versitygw")?;
            for (flag, file, text) in [("--cert", "s3.crt", &pair.certificate), ("--key", "s3.key", &pair.key)] {
                let path = cluster.folder().join(file);
                write_private(&path, text)?;
                command.extend([flag.into(), path.into()]);
            }
            authority = cluster.authority_pem();
        }
        command.extend(["posix".into(), root.into()]);
        let credentials = Credentials::new(format!("key-of-{name}"), format!("secret-of-{name}"));
        let environment = vec![
            ("ROOT_ACCESS_KEY".into(), credentials.access_key_id.clone().into()),
            ("ROOT_SECRET_KEY".into(), credentials.secret_access_key.clone().into()),
        ];
        let log = cluster.logs().join("s3.log");
        let start = Start { name: format!("S3 of {name}"), command, environment, log };
        let scheme = if tls { "https" } else { "http" };
        let access = S3Access {
            endpoint: format!("{scheme}://127.0.0.1:{}", port.number()),
            region: REGION.to_owned(),
            bucket,
            folder,
            credentials,
            authority,
        };
        Ok(Self { server: Server { process: Process::new(keeper, start), patience, port }, access, access_log })
    }
}
