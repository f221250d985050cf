//! What a node serves to its API server: the logs of its containers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures::stream;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::container::Log;

/// The logs of a node's containers: of the present run, and of the one before.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<BTreeMap<String, Vec<Arc<Log>>>>>);

impl Logs {
    /// Notes another run of a container, `namespace/pod/container`.
    pub fn add(&self, container: &str, log: Arc<Log>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(container.to_owned()).or_default().push(log);
    }

    /// Forgets a container.
    pub fn remove(&self, container: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    fn get(&self, container: &str, previous: bool) -> Option<Arc<Log>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = all.get(container)?;
        if previous { runs.iter().rev().nth(1).cloned() } else { runs.last().cloned() }
    }
}

/// Serves logs over TLS on a port of loopback, which it returns.
pub async fn serve(logs: Logs) -> (u16, AbortOnDropHandle<()>) {
    let pair = rcgen::generate_simple_self_signed(vec!["worker".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let listener = Tls { plain, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let router =
        axum::Router::new().route("/containerLogs/{namespace}/{pod}/{container}", get(container_log)).with_state(logs);
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, AbortOnDropHandle::new(server))
}

struct Tls {
    plain: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.plain.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.plain.local_addr()
    }
}

async fn container_log(
    State(logs): State<Logs>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let is = |key: &str| query.get(key).is_some_and(|value| value == "true");
    let Some(log) = logs.get(&format!("{namespace}/{pod}/{container}"), is("previous")) else {
        return (StatusCode::BAD_REQUEST, "there is no such container").into_response();
    };
    let with_times = is("timestamps");
    let told = move |lines: Vec<String>| {
        let without = |line: &String| line.split_once(' ').map_or(String::new(), |(_, text)| text.to_owned());
        let lines = lines.iter().map(|line| if with_times { line.clone() } else { without(line) });
        Bytes::from(lines.collect::<String>())
    };
    if !is("follow") {
        return told(log.all()).into_response();
    }
    let lines = stream::unfold((log, 0), move |(log, at)| async move {
        let lines = log.from(at).await?;
        let next = at + lines.len();
        Some((Ok::<_, std::io::Error>(told(lines)), (log, next)))
    });
    Body::from_stream(lines).into_response()
}
