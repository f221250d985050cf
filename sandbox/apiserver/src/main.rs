//! The embedded API server as a program of its own: `kaedama-apiserver serve --kubeconfig FILE`.
//!
//! An empty cluster on loopback, its data in memory, for any client of Kubernetes: what the process holds is gone when it ends.

use clap::{Args, Parser, Subcommand};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kaedama_apiserver::{ApiServer, kubeconfig};
use kube::api::{Api, PostParams};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long connections may take to close after the signal to end.
const CLOSING: Duration = Duration::from_secs(3);

/// A Kubernetes API server in memory.
#[derive(Debug, Parser)]
#[command(name = "kaedama-apiserver", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an empty cluster on loopback (HTTP, no authentication) until SIGTERM or Ctrl-C.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to write the kubeconfig, once requests are answered. It is removed at the end.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// The port on 127.0.0.1; without it one that is free.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// The name of the cluster, and of the context in the kubeconfig.
    #[arg(long, default_value = "embedded")]
    name: String,
}

/// Why the server did not start, or ended by itself.
#[derive(Debug, Error)]
enum Failure {
    #[error("port {0} of 127.0.0.1 is taken: choose another with --port, or leave --port out for one that is free")]
    PortTaken(u16),
    #[error("cannot listen on port {0} of 127.0.0.1 ({1}): choose another with --port")]
    Listen(u16, io::Error),
    #[error("cannot write the kubeconfig {} ({error}): name a file in a folder that you may write to with --kubeconfig", path.display())]
    Kubeconfig { path: PathBuf, error: io::Error },
    #[error("the service kubernetes was refused: {0}")]
    Announcing(kube::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("serving failed: {0}")]
    Serving(io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command: Command::Serve(args) } = Cli::parse();
    match serve(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kaedama-apiserver: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes. The kubeconfig says when it is ready, and is there for as long as the server is.
#[expect(clippy::disallowed_methods, reason = "clients of this server compare its time with that on their wall")]
async fn serve(args: &Serve) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::PortTaken(args.port),
        _ => Failure::Listen(args.port, error),
    })?;
    let url = format!("http://{}", listener.local_addr().map_err(Failure::Serving)?);
    let mut stop = stopped().map_err(Failure::Signals)?;
    let server = ApiServer::builder(&args.name).clock(jiff::Timestamp::now).build();
    announce(&server, listener.local_addr().map_err(Failure::Serving)?.port()).await?;
    // Connections wait in the listener from here on, so that whoever reads the file is answered.
    let config = kubeconfig(&args.name, &url);
    write(&args.kubeconfig, &config).map_err(|error| Failure::Kubeconfig { path: args.kubeconfig.clone(), error })?;
    println!("serving {url}: kubectl --kubeconfig {} get namespaces", args.kubeconfig.display());
    let mut closing = stop.clone();
    let served = server.serve(listener, async move {
        // The sender lives in a task of this runtime: without it there is no reason to go on.
        let _ = stop.changed().await;
    });
    let late = async {
        let _ = closing.changed().await;
        // A client that keeps its request open does not keep the process.
        tokio::time::sleep(CLOSING).await;
    };
    let outcome = tokio::select! {
        served = served => served.map_err(Failure::Serving),
        () = late => Ok(()),
    };
    remove(&args.kubeconfig, &config);
    outcome
}

/// The service `kubernetes` in `default`, under which an API server announces itself to the pods of its cluster.
async fn announce(server: &ApiServer, port: u16) -> Result<(), Failure> {
    let services: Api<Service> = Api::namespaced(server.client("kaedama-apiserver"), "default");
    let labels = [("component", "apiserver"), ("provider", "kubernetes")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let http = ServicePort {
        name: Some("http".to_owned()),
        port: 80,
        target_port: Some(IntOrString::Int(port.into())),
        ..ServicePort::default()
    };
    let service = Service {
        metadata: ObjectMeta {
            name: Some("kubernetes".to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some("10.96.0.1".to_owned()),
            ports: Some(vec![http]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    services.create(&PostParams::default(), &service).await.map(drop).map_err(Failure::Announcing)
}

/// A value that changes at the first SIGTERM or SIGINT.
fn stopped() -> io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
    });
    Ok(receiver)
}

/// Writes a file whole or not at all: whoever waits for it never reads half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it is not the path of a file"))?;
    let mut unfinished = name.to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(unfinished);
    std::fs::write(&unfinished, text)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))
}

/// Removes the kubeconfig, unless somebody has written another one there meanwhile.
fn remove(path: &Path, text: &str) {
    if std::fs::read_to_string(path).is_ok_and(|found| found == text) {
        // It points to nothing from now on; one that cannot be removed does no harm.
        drop(std::fs::remove_file(path));
    }
}
