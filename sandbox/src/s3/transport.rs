//! The ways into a store, and the faults of the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use s3s::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{S3Server, lock};

impl S3Server {
    /// Carries out one request, or fails like a connection.
    async fn carry_out(&self, request: http::Request<Body>) -> io::Result<http::Response<Body>> {
        let (down, delay) = {
            let faults = lock(&self.state.faults);
            (faults.down, faults.delay)
        };
        if down {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the S3 store is down"));
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let writes = !matches!(*request.method(), http::Method::GET | http::Method::HEAD);
        let answer = self.service.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut faults = lock(&self.state.faults);
        let lost = writes && faults.lost_answers > 0;
        if lost {
            faults.lost_answers -= 1;
        }
        if lost || faults.down {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke before the answer"));
        }
        Ok(answer)
    }

    async fn carry_out_for_sdk(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error| ConnectorError::user(Box::new(error));
        let mut request = request.try_into_http1x().map_err(user)?.map(Body::http_body_unsync);
        // The signature covers it, and it is the HTTP client that would add it.
        let host = request.uri().authority().and_then(|host| http::HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().entry(http::header::HOST).or_insert(host);
        }
        let answer = self.carry_out(request).await.map_err(|error| ConnectorError::io(error.into()))?;
        HttpResponse::try_from(answer.map(SdkBody::from_body_1_x)).map_err(user)
    }

    /// A transport for the AWS SDK that leads to this store, whatever the host of the endpoint.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        let server = self.clone();
        client(move |_| Ok(server.clone()))
    }

    /// Serves HTTP on `listener` until `shutdown`. While the store is down, new connections are dropped, and open ones
    /// answer 503 and close.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let server = self.clone();
        let answer = move |request: Request| {
            let server = server.clone();
            async move { server.answer(request).await }
        };
        let gated = GatedListener { listener, server: self.clone() };
        axum::serve(gated, Router::new().fallback(answer)).with_graceful_shutdown(shutdown.cancelled_owned()).await
    }

    async fn answer(&self, request: Request) -> Response {
        match self.carry_out(request.map(Body::http_body_unsync)).await {
            Ok(answer) => answer.map(axum::body::Body::new),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, [(http::header::CONNECTION, "close")], error.to_string())
                .into_response(),
        }
    }
}

/// Drops connections while the store is down.
struct GatedListener {
    listener: TcpListener,
    server: S3Server,
}

impl axum::serve::Listener for GatedListener {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (TcpStream, Self::Addr) {
        loop {
            let (stream, from) = axum::serve::Listener::accept(&mut self.listener).await;
            if !lock(&self.server.state.faults).down {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Several stores, told apart by the host (and port) of their endpoint. One network per client: cutting a connection
/// in it does not cut those of others. A clone is the same network.
#[derive(Clone, Debug, Default)]
pub struct S3Network {
    stores: Arc<Mutex<BTreeMap<String, S3Server>>>,
    cut: Arc<Mutex<BTreeSet<String>>>,
}

impl S3Network {
    /// A network without stores.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a store at a host, as it stands in endpoints: `s3.dr1` or `s3.dr1:9000`.
    pub fn add(&self, host: impl Into<String>, store: &S3Server) {
        lock(&self.stores).insert(host.into(), store.clone());
    }

    /// Whether the connection from this client to a host is cut.
    pub fn set_cut(&self, host: &str, cut: bool) {
        let mut cuts = lock(&self.cut);
        if cut {
            cuts.insert(host.to_owned());
        } else {
            cuts.remove(host);
        }
    }

    /// A transport for the AWS SDK that leads to the store of the endpoint's host.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        let network = self.clone();
        client(move |host| network.store(host))
    }

    fn store(&self, host: &str) -> io::Result<S3Server> {
        if lock(&self.cut).contains(host) {
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, format!("no route to {host}")));
        }
        let store = lock(&self.stores).get(host).cloned();
        store.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}")))
    }
}

/// Finds the store of a host.
type Find = dyn Fn(&str) -> io::Result<S3Server> + Send + Sync;

fn client(find: impl Fn(&str) -> io::Result<S3Server> + Send + Sync + 'static) -> SharedHttpClient {
    SharedHttpClient::new(InProcess { find: Arc::new(find) })
}

/// The transport without a socket.
#[derive(Clone)]
struct InProcess {
    find: Arc<Find>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<http::Uri>().ok();
        let host = uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default();
        let store = (self.find)(&host).map_err(|error| ConnectorError::io(error.into()));
        HttpConnectorFuture::new(async move { store?.carry_out_for_sdk(request).await })
    }
}
