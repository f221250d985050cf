//! Clusters that belong to somebody else, and how to reach them.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kaedama_sandbox::world::ground::HUB;
use kaedama_shared::harness::client::{Profile, connect, install_tls_provider};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::file::{Access, Description};
use super::{Refusal, brief};
use crate::real::{Identity, Real};

/// A cluster that answers.
#[derive(Clone)]
pub struct Site {
    /// Its name; [`HUB`] for the hub.
    pub name: String,
    /// How clients are made.
    pub config: kube::Config,
    /// The cluster's entry of the kubeconfig: address, authority, proxy.
    entry: Value,
    /// Who it is: the uid of its namespace `kube-system`.
    pub uid: String,
    /// Its version, such as `v1.36.3`.
    pub version: String,
    /// A client without a mark.
    pub client: Client,
}

/// The hub and the managed clusters.
#[derive(Clone)]
pub struct Sites {
    /// All, the hub first.
    pub all: Vec<Site>,
}

impl Sites {
    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Site {
        &self.all[0]
    }

    /// The managed clusters.
    #[must_use]
    pub fn managed(&self) -> &[Site] {
        &self.all[1..]
    }

    /// A cluster by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Site> {
        self.all.iter().find(|site| site.name == name)
    }

    /// Those of a world of real clusters, for one who may do everything there.
    ///
    /// # Errors
    /// A cluster does not answer.
    pub async fn of(real: &Real, administrator: &Identity) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("kaedama-clusters-").tempdir()?;
        let mut all = Vec::new();
        for name in real.names() {
            let kubeconfig = folder.path().join(&name);
            real.write_kubeconfig(&name, administrator, &kubeconfig)?;
            let access = Access { kubeconfig, context: None };
            all.push(reach(&name, &access.kubeconfig, &access).await?);
        }
        Ok(Self { all })
    }

    /// Reaches all clusters of a description. Whatever is wrong, of each cluster.
    ///
    /// # Errors
    /// A kubeconfig cannot be used, a cluster does not answer, or two are the same.
    pub async fn reach(description: &Description) -> Result<Self, Vec<Refusal>> {
        let hub = (HUB.to_owned(), description.hub.clone());
        let (mut all, mut refusals) = (Vec::new(), Vec::new());
        for (name, access) in std::iter::once(hub).chain(description.managed()) {
            match reach(&name, &description.path(&access.kubeconfig), &access).await {
                Ok(site) => all.push(site),
                Err(refusal) => refusals.push(refusal.within(&name)),
            }
        }
        for (at, site) in all.iter().enumerate() {
            if let Some(same) = all.iter().take(at).find(|other| other.uid == site.uid) {
                refusals.push(Refusal::new(
                    format!("{} and {} are the same cluster ({})", same.name, site.name, site.config.cluster_url),
                    "name the kubeconfig, or the context, of another cluster",
                ));
            }
        }
        if refusals.is_empty() { Ok(Self { all }) } else { Err(refusals) }
    }
}

async fn reach(name: &str, path: &Path, access: &Access) -> Result<Site, Refusal> {
    install_tls_provider();
    if !path.is_file() {
        return Err(Refusal::new(
            format!("there is no kubeconfig {}", path.display()),
            "write its path, absolute or relative to the file",
        ));
    }
    let unusable = |why: String| {
        Refusal::new(
            format!("the kubeconfig {} cannot be used: {why}", path.display()),
            "`kubectl --kubeconfig … get namespaces` shows whether it works",
        )
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(error.to_string()))?;
    let context = access.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let Some(named) = kubeconfig.contexts.iter().find(|other| other.name == context) else {
        let has: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        let what = format!("the kubeconfig {} has no context {context:?}", path.display());
        return Err(Refusal::new(what, format!("it has {}; write one of them as context", has.join(", "))));
    };
    let cluster = named.context.as_ref().map(|context| context.cluster.clone()).unwrap_or_default();
    let entry = kubeconfig.clusters.iter().find(|other| other.name == cluster);
    let entry = entry.and_then(|entry| entry.cluster.as_ref()).and_then(|entry| serde_json::to_value(entry).ok());
    let entry = entry.ok_or_else(|| unusable(format!("its context {context} names no cluster")))?;
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
    let config = config.await.map_err(|error| unusable(error.to_string()))?;
    let client = connect(config.clone(), "kaedama-accept", Profile::REQUESTS);
    let client = client.map_err(|error| unusable(error.to_string()))?;
    let silent = |error: String| {
        Refusal::new(
            format!("{} does not answer as it should: {error}", config.cluster_url),
            format!("`kubectl --kubeconfig {} version` has to work from this machine", path.display()),
        )
    };
    let patience = Duration::from_secs(20);
    let answer = tokio::time::timeout(patience, client.apiserver_version()).await;
    let version = answer.map_err(|_| silent("no answer within 20 s".to_owned()))?;
    let version = version.map_err(|error| silent(brief(&error)))?.git_version;
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let system = system.map_err(|error| silent(format!("cannot read namespace kube-system: {}", brief(&error))))?;
    let uid = system.metadata.uid.unwrap_or_default();
    Ok(Site { name: name.to_owned(), config, entry, uid, version, client })
}

impl Site {
    /// A kubeconfig of the same cluster for whoever has this token.
    ///
    /// # Errors
    /// It has no YAML text.
    pub fn kubeconfig(&self, user: &str, token: &str) -> Result<String, Refusal> {
        let name = &self.name;
        let value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": self.entry}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        });
        serde_yaml::to_string(&value)
            .map_err(|error| Refusal::new(format!("no kubeconfig for {user}: {error}"), "report this"))
    }

    /// A client under this user agent.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn connect(&self, agent: &str) -> Result<Client, Refusal> {
        connect(self.config.clone(), agent, Profile::WATCHES)
            .map_err(|error| Refusal::new(format!("no client of {}: {error}", self.name), "look at its kubeconfig"))
    }
}
