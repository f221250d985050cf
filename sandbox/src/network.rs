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
use kaedama_apiserver::{ApiServer, ApiService, ResponseBody};
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

#[derive(Clone)]
struct Linked {
    inner: ApiService,
    links: Vec<Link>,
}

fn cut(link: &Link) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("no connection to {}", link.name))
}

impl tower::Service<Request<kube::client::Body>> for Linked {
    type Response = Response<LinkedBody>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let Self { mut inner, links } = self.clone();
        Box::pin(async move {
            if let Some(down) = links.iter().find(|link| !link.is_up()) {
                return Err(cut(down));
            }
            let response = match inner.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            // The answer to a request that was carried out can still be lost on its way back.
            if let Some(down) = links.iter().find(|link| !link.is_up()) {
                return Err(cut(down));
            }
            Ok(response.map(|body| LinkedBody::new(body, links)))
        })
    }
}

/// An answer on its way through links.
pub struct LinkedBody {
    inner: ResponseBody,
    down: BoxFuture<'static, io::Error>,
}

impl LinkedBody {
    fn new(inner: ResponseBody, links: Vec<Link>) -> Self {
        let down = async move {
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
        };
        LinkedBody { inner, down: Box::pin(down) }
    }
}

impl Body for LinkedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Poll::Ready(error) = self.down.as_mut().poll(context) {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(never))) => match never {},
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
