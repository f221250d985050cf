//! Connections that can be cut: what lies between a client and an API server.
//!
//! A [`Link`] is up or down. A client that goes through links gets a connection error while one of them is down, and
//! what it was reading at that moment (a watch, most of all) breaks off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use kaedama_apiserver::ApiServer;
use kube::client::Body as ClientBody;
use tokio::sync::watch;

/// A connection that can be cut and mended. Clones are the same connection.
#[derive(Clone, Debug)]
pub struct Link {
    name: String,
    up: watch::Sender<bool>,
}

impl Link {
    /// A connection that is up.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Link { name: name.to_owned(), up: watch::Sender::new(true) }
    }

    /// Cuts or mends it.
    pub fn set_up(&self, up: bool) {
        self.up.send_replace(up);
    }

    /// Whether it is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    async fn down(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.up.subscribe().wait_for(|up| !*up).await;
    }
}

/// A client of an embedded server that goes through `links`.
#[must_use]
pub fn client(server: &ApiServer, user_agent: &str, links: &[Link]) -> kube::Client {
    let service = Linked { inner: server.service().with_user_agent(user_agent), links: links.to_vec() };
    kube::Client::new(service, "default")
}

/// The same for a client of any server.
#[must_use]
pub fn over(client: &kube::Client, links: &[Link]) -> kube::Client {
    if links.is_empty() {
        return client.clone();
    }
    let inner = client.clone();
    let inner = tower::service_fn(move |request| {
        let client = inner.clone();
        async move { client.send(request).await }
    });
    kube::Client::new(Linked { inner, links: links.to_vec() }, "default")
}

/// Any service, behind links.
#[derive(Clone)]
struct Linked<S> {
    inner: S,
    links: Vec<Link>,
}

fn cut(link: &Link) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("no connection to {}", link.name))
}

/// Boxed: what a service answers is of its own type.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S, B> tower::Service<Request<ClientBody>> for Linked<S>
where
    S: tower::Service<Request<ClientBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<LinkedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The inner service is waited for in `call`.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody>) -> Self::Future {
        let Self { mut inner, links } = self.clone();
        Box::pin(async move {
            if let Some(down) = links.iter().find(|link| !link.is_up()) {
                return Err(cut(down).into());
            }
            std::future::poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
            let response = inner.call(request).await.map_err(Into::into)?;
            // The answer to a request that was carried out can still be lost on its way back.
            if let Some(down) = links.iter().find(|link| !link.is_up()) {
                return Err(cut(down).into());
            }
            Ok(response.map(|body| LinkedBody { inner: body, down: Box::pin(any_down(links)) }))
        })
    }
}

/// Resolves when one of the links is cut.
async fn any_down(links: Vec<Link>) -> io::Error {
    let waits = links.iter().map(|link| {
        Box::pin(async move {
            link.down().await;
            cut(link)
        })
    });
    if links.is_empty() {
        return futures::future::pending().await;
    }
    futures::future::select_all(waits).await.0
}

/// An answer on its way through links.
pub struct LinkedBody<B> {
    inner: B,
    down: BoxFuture<'static, io::Error>,
}

impl<B> Body for LinkedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(error) = self.down.as_mut().poll(context) {
            return Poll::Ready(Some(Err(error.into())));
        }
        Pin::new(&mut self.inner).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
