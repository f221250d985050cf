//! The layer between our code and kube's client: time bounds, user agent, the leader's gate.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{Body, Client, HeaderValue, Leadership, Method, Profile, Refusal, Request, Response, USER_AGENT};

/// A kube client as a tower service, with what [`super::bounded`] and [`super::gated`] add.
#[derive(Clone)]
pub(super) struct Bounded {
    pub(super) inner: Client,
    pub(super) profile: Option<Profile>,
    pub(super) agent: Option<HeaderValue>,
    pub(super) gate: Option<Leadership>,
}

impl tower::Service<Request<Body>> for Bounded {
    type Response = Response<BoundedBody>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, kube::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        // The inner client waits for its turn inside of `send`, where the bound counts.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Self { inner, profile, agent, gate } = self.clone();
        if let Some(agent) = agent {
            request.headers_mut().insert(USER_AGENT, agent);
        }
        Box::pin(async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let writes = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
            if writes && gate.is_some_and(|leadership| !leadership.is_held()) {
                return Err(kube::Error::Service(Box::new(Refusal::NotLeading { method, path })));
            }
            let Some(Profile { answer, body }) = profile else {
                return Ok(inner.send(request).await?.map(BoundedBody::unbounded));
            };
            match tokio::time::timeout(answer, inner.send(request)).await {
                Ok(response) => Ok(response?.map(|inner| match body {
                    Some(after) => BoundedBody::bounded(inner, after, Refusal::TimedOut { method, path, after }),
                    None => BoundedBody::unbounded(inner),
                })),
                Err(_) => Err(kube::Error::Service(Box::new(Refusal::TimedOut { method, path, after: answer }))),
            }
        })
    }
}

/// A body that fails when it is silent for too long.
pub(super) struct BoundedBody {
    inner: Body,
    bound: Option<Bound>,
}

struct Bound {
    after: Duration,
    silence: Pin<Box<Sleep>>,
    refusal: Refusal,
}

impl BoundedBody {
    fn unbounded(inner: Body) -> Self {
        Self { inner, bound: None }
    }

    fn bounded(inner: Body, after: Duration, refusal: Refusal) -> Self {
        Self { inner, bound: Some(Bound { after, silence: Box::pin(tokio::time::sleep(after)), refusal }) }
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = kube::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, kube::Error>>> {
        let own = &mut *self;
        let frame = Pin::new(&mut own.inner).poll_frame(context);
        let Some(bound) = &mut own.bound else {
            return frame;
        };
        if frame.is_ready() {
            bound.silence.as_mut().reset(Instant::now() + bound.after);
            return frame;
        }
        match bound.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(kube::Error::Service(Box::new(bound.refusal.clone()))))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
