//! The real parts as ground of a world: the sandbox adds storage, applications and registration to them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kaedama_sandbox::world::WorldError;
use kaedama_sandbox::world::ground::{Given, Parts, StoreAccess};
use kaedama_shared::harness::client::{Profile, connect};
use kube::Client;
use tokio::runtime::Handle;

use crate::real::{Identity, Part, Real, RealError, S3Access};

/// Real clusters that a world stands on. Must be used on a runtime of several threads: what changes the world blocks.
pub struct RealGround {
    real: Arc<Real>,
    parts: Parts,
    configs: BTreeMap<String, kube::Config>,
    clients: Clients,
}

/// Connections, each made once for a cluster and a user agent, not for each question.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<(String, String), Client>>);

impl Clients {
    /// The connection, made with `make` if there is none yet.
    pub(crate) fn get(
        &self,
        cluster: &str,
        agent: &str,
        make: impl FnOnce() -> Result<Client, WorldError>,
    ) -> Result<Client, WorldError> {
        let key = (cluster.to_owned(), agent.to_owned());
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = make()?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl RealGround {
    /// With clients for all clusters of `real`, which has these parts.
    ///
    /// # Errors
    /// As [`Real::config`].
    pub async fn new(real: Arc<Real>, parts: Parts) -> Result<Self, RealError> {
        let mut configs = BTreeMap::new();
        for cluster in real.names() {
            configs.insert(cluster.clone(), real.config(&cluster, &Identity::admin()).await?);
        }
        Ok(Self { real, parts, configs, clients: Clients::default() })
    }

    fn access(&self, cluster: &str) -> Result<&S3Access, WorldError> {
        self.real.s3(cluster).map_err(|error| failed(format!("reach the store of {cluster}"), &error))
    }
}

fn failed(what: String, error: &dyn std::error::Error) -> WorldError {
    WorldError::Ground { what, why: error.to_string() }
}

/// Waits in place: other tasks of the runtime go on meanwhile.
pub(crate) fn in_place<T>(done: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(done))
}

fn wait(what: String, done: impl Future<Output = Result<(), RealError>>) -> Result<(), WorldError> {
    in_place(done).map_err(|error| failed(what, &error))
}

impl Given for RealGround {
    fn client(&self, cluster: &str, agent: &str) -> Result<Client, WorldError> {
        self.clients.get(cluster, agent, || {
            let config = self.configs.get(cluster).ok_or_else(|| WorldError::NoCluster(cluster.to_owned()))?;
            connect(config.clone(), agent, Profile::WATCHES)
                .map_err(|error| failed(format!("connect to {cluster}"), &error))
        })
    }

    fn parts(&self) -> Parts {
        self.parts
    }

    fn store(&self, cluster: &str) -> Result<StoreAccess, WorldError> {
        let access = self.access(cluster)?;
        Ok(StoreAccess {
            endpoint: access.endpoint.clone(),
            region: access.region.clone(),
            bucket: access.bucket.clone(),
            access_key_id: access.credentials.access_key_id.clone(),
            secret_access_key: access.credentials.secret_access_key.clone(),
            ca_certificates: if access.authority.is_empty() {
                String::new()
            } else {
                STANDARD.encode(&access.authority)
            },
        })
    }

    fn keys(&self, cluster: &str) -> Vec<String> {
        let Ok(folder) = in_place(self.real.s3_folder(cluster)) else { return Vec::new() };
        let mut keys = Vec::new();
        files(&folder, &mut Vec::new(), &mut keys);
        keys.sort();
        keys
    }

    fn object(&self, cluster: &str, key: &str) -> Option<Vec<u8>> {
        std::fs::read(in_place(self.real.s3_folder(cluster)).ok()?.join(key)).ok()
    }

    fn start_operator(&self, cluster: &str) -> Result<(), WorldError> {
        wait(format!("start the operator of {cluster}"), self.real.start_operator(cluster))
    }

    fn kill_operator(&self, cluster: &str) -> Result<(), WorldError> {
        wait(format!("kill the operator of {cluster}"), self.real.kill_operator(cluster))
    }

    fn set_power(&self, cluster: &str, up: bool) -> Result<(), WorldError> {
        match up {
            true => wait(format!("revive {cluster}"), self.real.revive_cluster(cluster)),
            false => wait(format!("kill {cluster}"), self.real.kill_cluster(cluster)),
        }
    }

    fn set_link(&self, cluster: &str, up: bool) -> Result<(), WorldError> {
        let set = self.real.set_link(cluster, up);
        set.map_err(|error| failed(format!("set the link of {cluster}"), &error))
    }

    fn set_store(&self, cluster: &str, up: bool) -> Result<(), WorldError> {
        wait(format!("set the store of {cluster}"), async {
            let process = self.real.process(cluster, Part::S3)?;
            if !up {
                process.kill().await;
                return Ok(());
            }
            process.start().await?;
            self.real.ready(cluster, Part::S3).await
        })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(150)
    }
}

/// Keys below a folder of the S3 server, whose own folders begin with `.sgwtmp`.
fn files(folder: &Path, above: &mut Vec<String>, keys: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name): (PathBuf, _) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with(".sgwtmp") {
            continue;
        }
        above.push(name);
        if path.is_dir() {
            files(&path, above, keys);
        } else {
            keys.push(above.join("/"));
        }
        above.pop();
    }
}
