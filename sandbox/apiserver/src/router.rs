//! From a request to its answer: which path, which verb, and how the answer is written.

use crate::account::RequestKey;
use crate::discovery;
use crate::duration;
use crate::registry::builtins::NOT_SERVED;
use crate::request::{Request, Target};
use crate::server::Inner;
use crate::service::ResponseBody;
use crate::status::ApiError;
use crate::verbs::{self, Op};
use http::{Method, Response, StatusCode, header};
use std::sync::Arc;

/// The answer to a request whose body could not be read.
pub(crate) fn unreadable(error: &dyn std::error::Error) -> Response<ResponseBody> {
    failure(&ApiError::bad_request(format!("unable to read the request body: {error}")))
}

/// Answers a request.
pub(crate) async fn handle(server: &Arc<Inner>, request: Request) -> Response<ResponseBody> {
    let (verb, resource, result) = dispatch(server, &request).await;
    let response = result.unwrap_or_else(|e| failure(&e));
    server.accounting.count(RequestKey {
        user_agent: request.user_agent().to_owned(),
        verb,
        resource,
        code: response.status().as_u16(),
    });
    response
}

type Outcome = (String, String, Result<Response<ResponseBody>, ApiError>);

/// Refuses a `timeout` that is no duration. How long one may last is the client's business: requests are short here.
fn timeout(request: &Request) -> Result<(), ApiError> {
    match request.query.text("timeout").map(duration::parse) {
        Some(Err(why)) => Err(ApiError::bad_request(format!("invalid timeout specified in the request URL - {why}"))),
        _ => Ok(()),
    }
}

async fn dispatch(server: &Arc<Inner>, request: &Request) -> Outcome {
    if let Err(error) = timeout(request) {
        return (request.method.as_str().to_ascii_lowercase(), request.path.clone(), Err(error));
    }
    let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
    let target = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => Target::parse("", version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => Target::parse(group, version, rest),
        _ => None,
    };
    let Some(target) = target else {
        let verb = request.method.as_str().to_ascii_lowercase();
        return (verb, request.path.clone(), discovery::answer(server, request, &segments));
    };
    let verb = verb(request, &target);
    let mut label =
        if target.group.is_empty() { target.resource.clone() } else { format!("{}.{}", target.resource, target.group) };
    if let Some(sub) = &target.subresource {
        label.push('/');
        label.push_str(sub);
    }
    let result = resource(server, request, target, verb).await;
    (verb.to_owned(), label, result)
}

/// The verb of a request on resources.
fn verb(request: &Request, target: &Target) -> &'static str {
    let named = target.name.is_some();
    match request.method {
        Method::GET | Method::HEAD if target.watch => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD if request.query.flag("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "unknown",
    }
}

async fn resource(
    server: &Arc<Inner>,
    request: &Request,
    target: Target,
    verb: &'static str,
) -> Result<Response<ResponseBody>, ApiError> {
    let served = server.registry.snapshot();
    let Some(resource) = served.get(&target.group, &target.version, &target.resource) else {
        if NOT_SERVED.contains(&target.group.as_str()) {
            return Err(ApiError::not_implemented(format!(
                "the group {} is not served by this embedded API server",
                target.group
            )));
        }
        // The paths of custom resources are handed on to the router's last handler, which has a page for them.
        let built_in = served.iter().any(|r| r.group == target.group && !r.is_custom());
        return Err(if built_in { ApiError::no_resource() } else { ApiError::page_not_found() });
    };
    if target.namespace.is_some() && !resource.namespaced {
        return Err(ApiError::page_not_found());
    }
    let op = Op::new(server, Arc::clone(resource), target, request);
    verbs::run(&op, verb).await
}

/// An error as a response.
pub(crate) fn failure(error: &ApiError) -> Response<ResponseBody> {
    let (kind, body) = if error.is_plain() {
        ("text/plain; charset=utf-8", error.message().to_owned())
    } else {
        ("application/json", error.status().to_string())
    };
    respond(error.code(), kind, ResponseBody::whole(body))
}

/// A response with a body of this media type.
pub(crate) fn respond(code: u16, content_type: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
