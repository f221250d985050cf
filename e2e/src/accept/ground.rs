//! Clusters that belong to somebody else, as what a world stands on: nothing of theirs may be broken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kaedama_sandbox::world::WorldError;
use kaedama_sandbox::world::ground::{Given, Parts, StoreAccess};
use kaedama_shared::s3::S3Store;
use kube::Client;

use super::clusters::Sites;
use super::file::OpenStore;
use super::mark::marked;
use super::operators::Operators;
use crate::ground::{Clients, in_place};

/// How long anything may take there, where the storage is the sandbox's.
const PATIENCE: Duration = Duration::from_secs(240);

/// The ground of a run. Must be used on a runtime of several threads: what reads stores blocks.
pub struct VisitedGround {
    /// The clusters.
    pub sites: Sites,
    /// The stores, by cluster, with their connections.
    pub stores: BTreeMap<String, (OpenStore, S3Store)>,
    /// The run's name: the mark of what is made.
    pub run: String,
    /// What is there already.
    pub parts: Parts,
    /// The operators, where the run starts them.
    pub operators: Option<Arc<Operators>>,
    /// How long anything may take.
    pub patience: Duration,
    clients: Clients,
}

impl VisitedGround {
    /// With all that it needs.
    #[must_use]
    pub fn new(
        sites: Sites,
        stores: BTreeMap<String, (OpenStore, S3Store)>,
        run: String,
        parts: Parts,
        operators: Option<Arc<Operators>>,
    ) -> Self {
        Self { sites, stores, run, parts, operators, patience: PATIENCE, clients: Clients::default() }
    }

    fn store_of(&self, cluster: &str) -> Result<&(OpenStore, S3Store), WorldError> {
        self.stores.get(cluster).ok_or_else(|| WorldError::NoCluster(cluster.to_owned()))
    }
}

/// The answer to whoever wants to break something.
fn not_ours<T>(what: &str) -> Result<T, WorldError> {
    Err(WorldError::Ground {
        what: format!("break {what}"),
        why: "it belongs to somebody else; a scenario that needs this is told in the sandbox and on real clusters of its \
              own only"
            .to_owned(),
    })
}

impl Given for VisitedGround {
    fn client(&self, cluster: &str, agent: &str) -> Result<Client, WorldError> {
        self.clients.get(cluster, agent, || {
            let site = self.sites.get(cluster).ok_or_else(|| WorldError::NoCluster(cluster.to_owned()))?;
            let client = site.connect(agent).map_err(|refusal| WorldError::Ground {
                what: format!("connect to {cluster}"),
                why: refusal.to_string(),
            })?;
            Ok(marked(&client, &self.run, agent))
        })
    }

    fn parts(&self) -> Parts {
        self.parts
    }

    fn store(&self, cluster: &str) -> Result<StoreAccess, WorldError> {
        let (open, _) = self.store_of(cluster)?;
        Ok(StoreAccess {
            endpoint: open.profile.s3_compatible_endpoint.clone(),
            region: open.profile.s3_region.clone(),
            bucket: open.profile.s3_bucket.clone(),
            access_key_id: open.credentials.access_key_id.clone(),
            secret_access_key: open.credentials.secret_access_key.clone(),
            ca_certificates: open.profile.ca_certificates.clone(),
        })
    }

    fn keys(&self, cluster: &str) -> Vec<String> {
        let Ok((_, store)) = self.store_of(cluster) else { return Vec::new() };
        // Only what is of this run is anybody's business here.
        let listed = in_place(store.list(&format!("{}-", self.run)));
        listed.unwrap_or_else(|error| {
            tracing::error!(cluster, %error, "the store cannot be listed");
            Vec::new()
        })
    }

    fn object(&self, cluster: &str, key: &str) -> Option<Vec<u8>> {
        let (_, store) = self.store_of(cluster).ok()?;
        in_place(store.get(key)).ok().map(|object| object.body)
    }

    fn start_operator(&self, cluster: &str) -> Result<(), WorldError> {
        let Some(operators) = &self.operators else { return Ok(()) };
        let site = self.sites.get(cluster).ok_or_else(|| WorldError::NoCluster(cluster.to_owned()))?;
        let client = self.client(cluster, "kaedama-accept")?;
        in_place(operators.start(site, &client)).map_err(|refusal| WorldError::Ground {
            what: format!("start the operator of {cluster}"),
            why: refusal.to_string(),
        })
    }

    fn kill_operator(&self, cluster: &str) -> Result<(), WorldError> {
        not_ours(&format!("the operator of {cluster}"))
    }

    fn set_power(&self, cluster: &str, _: bool) -> Result<(), WorldError> {
        not_ours(cluster)
    }

    fn set_link(&self, cluster: &str, _: bool) -> Result<(), WorldError> {
        not_ours(&format!("the link of {cluster}"))
    }

    fn set_store(&self, cluster: &str, _: bool) -> Result<(), WorldError> {
        not_ours(&format!("the store of {cluster}"))
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn may_break(&self, what: &str) -> Result<(), WorldError> {
        not_ours(what)
    }
}
