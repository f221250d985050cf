//! One Kubernetes cluster: etcd, API server, controller manager; with TLS, RBAC and an audit log.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use kaedama_shared::harness::client::{self, Profile};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};

use super::error::{RealError, brief};
use super::files::{CERTIFICATE, Files, KEY, write_private};
use super::identity::{Authority, Identity};
use super::ports::{Port, Ports};
use super::process::{Process, Start};
use super::programs::{Program, Programs};
use super::ready::{Waiting, wait};

/// The controllers that matter to disaster recovery without nodes and pods.
pub const CONTROLLERS: [&str; 12] = [
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
];

/// Roles of every API server; it says that it is ready a moment before the last of them is made.
const LAST_ROLES: [&str; 10] = [
    "admin",
    "edit",
    "view",
    "system:aggregate-to-admin",
    "system:basic-user",
    "system:discovery",
    "system:kube-controller-manager",
    "system:controller:clusterrole-aggregation-controller",
    "system:controller:generic-garbage-collector",
    "system:controller:root-ca-cert-publisher",
];

/// Where the parts of a cluster are and how they are started.
pub(super) struct Setup<'a> {
    pub keeper: &'a Path,
    pub programs: &'a Programs,
    /// Folder for the data of all clusters.
    pub data: &'a Path,
    /// Folder for the logs of all clusters.
    pub logs: &'a Path,
    /// etcd waits until the disk has what it writes.
    pub fsync: bool,
    /// How often the API server drops its history.
    pub compaction: Option<Duration>,
    pub controllers: &'a [String],
    pub patience: Duration,
}

/// One cluster.
pub(super) struct Cluster {
    pub name: String,
    pub etcd: Process,
    pub api_server: Process,
    pub controller_manager: Process,
    authority: Authority,
    url: String,
    port: u16,
    folder: PathBuf,
    logs: PathBuf,
    patience: Duration,
    _ports: [Port; 4],
}

impl Cluster {
    /// Writes all that its programs need; starts nothing.
    pub(super) fn prepare(name: &str, setup: &Setup<'_>, ports: &mut Ports) -> Result<Self, RealError> {
        let ports = [ports.take()?, ports.take()?, ports.take()?, ports.take()?];
        let [client, peer, secure, controllers] = [0, 1, 2, 3].map(|at: usize| ports[at].number());
        let files = Files { folder: setup.data.join(name), logs: setup.logs.join(name) };
        files.make_folders()?;
        let authority = Authority::new(name)?;
        let url = format!("https://127.0.0.1:{secure}");
        files.write_credentials(name, &authority, &url)?;
        let process = |program: Program, arguments: Vec<String>| -> Result<Process, RealError> {
            let mut command: Vec<OsString> = vec![setup.programs.path(program)?.into()];
            command.extend(arguments.into_iter().map(OsString::from));
            let log = files.logs.join(format!("{program}.log"));
            let start = Start { name: format!("{program} of {name}"), command, environment: Vec::new(), log };
            Ok(Process::new(setup.keeper, start))
        };
        Ok(Self {
            name: name.to_owned(),
            etcd: process(Program::Etcd, files.etcd(name, client, peer, setup.fsync))?,
            api_server: process(Program::ApiServer, files.api_server(client, secure, setup.compaction))?,
            controller_manager: process(
                Program::ControllerManager,
                files.controller_manager(controllers, setup.controllers),
            )?,
            authority,
            url,
            port: secure,
            logs: files.logs,
            folder: files.folder,
            patience: setup.patience,
            _ports: ports,
        })
    }

    /// Starts all three, and waits until they serve.
    pub(super) async fn start(&self) -> Result<(), RealError> {
        self.etcd.start().await?;
        self.api_server.start().await?;
        // The controllers end when there is no API server within ten seconds, which can pass on a busy machine.
        self.serves().await?;
        self.controller_manager.start().await?;
        self.ready().await
    }

    /// Waits until the API server serves with all its roles, and the controllers have done their part.
    pub(super) async fn ready(&self) -> Result<(), RealError> {
        self.serves().await?;
        let client = self.client(&Identity::admin(), "kaedama-real").await?;
        let parts = self.processes();
        let log = self.controller_manager.log();
        let controllers = Waiting { what: self.controller_manager.name(), log, patience: self.patience };
        wait(controllers, &parts, || has_controllers(&client)).await
    }

    /// Waits until the API server serves with all its roles.
    async fn serves(&self) -> Result<(), RealError> {
        let client = self.client(&Identity::admin(), "kaedama-real").await?;
        let api = Waiting { what: self.api_server.name(), log: self.api_server.log(), patience: self.patience };
        wait(api, &[&self.etcd, &self.api_server], || is_serving(&client)).await
    }

    pub(super) fn kubeconfig(&self, identity: &Identity) -> Result<String, RealError> {
        self.authority.kubeconfig(&self.url, identity)
    }

    /// A kubeconfig that leads to the API server by another port of loopback.
    pub(super) fn kubeconfig_through(&self, port: u16, identity: &Identity) -> Result<String, RealError> {
        self.authority.kubeconfig(&format!("https://127.0.0.1:{port}"), identity)
    }

    /// Port of its API server.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn config(&self, identity: &Identity) -> Result<kube::Config, RealError> {
        client::install_tls_provider();
        let failed = |why: String| RealError::Client { cluster: self.name.clone(), why };
        let text = self.kubeconfig(identity)?;
        let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| failed(error.to_string()))?;
        let options = KubeConfigOptions::default();
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(error.to_string()))
    }

    pub(super) async fn client(&self, identity: &Identity, agent: &str) -> Result<Client, RealError> {
        let config = self.config(identity).await?;
        client::connect(config, agent, Profile::WATCHES)
            .map_err(|error| RealError::Client { cluster: self.name.clone(), why: error.to_string() })
    }

    /// Its programs.
    pub(super) fn processes(&self) -> [&Process; 3] {
        [&self.etcd, &self.api_server, &self.controller_manager]
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where the logs of its programs are.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Where its programs have their files; further programs of the cluster put theirs there too.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.logs.join("audit.log")
    }

    /// Signs a new certificate for the cluster's servers, with a new key, in the place of the old one.
    pub(super) fn renew(&self) -> Result<(), RealError> {
        let pair = self.authority.server("kube-apiserver")?;
        write_private(&self.folder.join(CERTIFICATE), &pair.certificate)?;
        write_private(&self.folder.join(KEY), &pair.key)
    }

    pub(super) fn server_pair(&self, what: &str) -> Result<super::identity::Pair, RealError> {
        self.authority.server(what)
    }

    pub(super) fn authority_pem(&self) -> String {
        self.authority.pair().certificate
    }

    pub(super) fn let_go(&mut self) {
        for process in [&mut self.controller_manager, &mut self.api_server, &mut self.etcd] {
            process.let_go();
        }
    }
}

/// Whether the API server is ready, all its roles included. `Err` says what is missing.
async fn is_serving(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await.map_err(|error| brief(&error))?;
    if answer != "ok" {
        return Err(answer);
    }
    let roles = Api::<ClusterRole>::all(client.clone());
    let names = |list: kube::core::ObjectList<ClusterRole>| -> Vec<String> {
        list.items.into_iter().filter_map(|role| role.metadata.name).collect()
    };
    let roles = names(roles.list(&ListParams::default()).await.map_err(|error| brief(&error))?);
    if let Some(missing) = LAST_ROLES.iter().find(|name| !roles.iter().any(|role| role == *name)) {
        return Err(format!("it has no role {missing} yet"));
    }
    // Bindings are made after roles, and those of namespaces come last.
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    let bound = bindings.get_opt("system:controller:root-ca-cert-publisher").await.map_err(|e| brief(&e))?;
    let leader = Api::<Role>::namespaced(client.clone(), "kube-system");
    let leader = leader.get_opt("system::leader-locking-kube-controller-manager").await.map_err(|e| brief(&e))?;
    if bound.is_some() && leader.is_some() { Ok(()) } else { Err("its role bindings are not complete yet".to_owned()) }
}

/// Whether the controllers have made what every namespace and the aggregated roles need. `Err` says what is missing.
async fn has_controllers(client: &Client) -> Result<(), String> {
    let text = |error: kube::Error| brief(&error);
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let roots = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let roles = Api::<ClusterRole>::all(client.clone());
    if accounts.get_opt("default").await.map_err(text)?.is_none() {
        return Err("namespace default has no service account yet".to_owned());
    }
    if roots.get_opt("kube-root-ca.crt").await.map_err(text)?.is_none() {
        return Err("namespace default has no root certificate yet".to_owned());
    }
    let admin = roles.get_opt("admin").await.map_err(text)?;
    match admin.and_then(|role| role.rules) {
        Some(rules) if !rules.is_empty() => Ok(()),
        _ => Err("role admin has no rules yet".to_owned()),
    }
}
