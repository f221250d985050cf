//! The servers: a kube-apiserver on loopback, and the embedded one.

use std::path::PathBuf;
use std::time::Duration;

use kaedama_apiserver::{ApiServer, kubeconfig};
use kaedama_e2e::real::programs::{Program, Programs};
use kaedama_e2e::real::{HUB, Identity, Options, Real};
use tokio::net::TcpListener;

use crate::suite::server::{Kubectl, Server};

/// The program that holds the others.
const KEEPER: &str = env!("CARGO_BIN_EXE_real");
/// What the real server is called in the output.
pub const REAL: &str = "kube-apiserver";
/// What managers of fields are called when a request does not say.
const AGENT: &str = "conformance";

/// A kube-apiserver with etcd and a controller manager, and the way to it.
pub struct RealServer {
    /// The way to it.
    pub server: Server,
    _world: Real,
}

/// Starts one; none, loudly, where the programs are missing.
pub async fn real() -> Option<RealServer> {
    let mut options = Options::new(KEEPER).unwrap();
    (options.clusters, options.ocm, options.registration, options.s3) = (Vec::new(), false, false, false);
    // Some cases wait for it; the others take less time than this from one step to the next.
    options.compaction = Some(Duration::from_secs(10));
    let mut needed = options.needed();
    needed.push(Program::Kubectl);
    if !options.programs.there_or_skipped(&needed) {
        return None;
    }
    let program = options.programs.path(Program::Kubectl).unwrap().to_owned();
    let world = Real::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let admin = Identity::admin();
    let client = world.client(HUB, &admin, AGENT).await.unwrap();
    let kubectl = Kubectl { folder: parent(program), config: world.kubeconfig(HUB, &admin).unwrap() };
    Some(RealServer { server: Server::new(REAL, client, Some(kubectl)), _world: world })
}

/// The folder of kubectl, of the version that wrote what is expected.
pub fn kubectl() -> Option<PathBuf> {
    let programs = Programs::find().unwrap();
    if !programs.there_or_skipped(&[Program::Kubectl]) {
        return None;
    }
    Some(parent(programs.path(Program::Kubectl).unwrap().to_owned()))
}

fn parent(program: PathBuf) -> PathBuf {
    program.parent().unwrap().to_owned()
}

/// The embedded server, without kubectl. Has to be called on a runtime.
pub fn embedded_only() -> Server {
    Server::new("embedded server", ApiServer::builder("conformance").seed(1).build().client(AGENT), None)
}

/// The embedded server on HTTP.
pub async fn embedded(kubectl: PathBuf) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let embedded = ApiServer::builder("conformance").seed(1).build();
    let client = embedded.client(AGENT);
    tokio::spawn(async move { embedded.serve(listener, std::future::pending()).await });
    let kubectl = Kubectl { folder: kubectl, config: kubeconfig("conformance", &url) };
    Server::new("embedded server", client, Some(kubectl))
}
