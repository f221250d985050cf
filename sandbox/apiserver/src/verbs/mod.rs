//! The verbs on resources, a file each.
//!
//! * [`Op`]: a request on a resource, and [`run`], which chooses the verb.
//! * [`body`]: reading objects from request bodies, with [`strict`], which notices duplicates. [`create`], [`update`], [`patch`], [`delete`]: writes.
//! * [`get`], [`list`], [`watch`]: reads. [`render`]: the answer in the version and form that was asked for.
//! * [`scale`], [`review`]: what is not an object of the resource.

pub(crate) mod body;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod options;
pub(crate) mod patch;
pub(crate) mod render;
pub(crate) mod review;
pub(crate) mod scale;
mod strict;
pub(crate) mod update;
pub(crate) mod watch;

use crate::registry::Resource;
use crate::registry::builtins::not_acted_on;
use crate::request::{Request, Target};
use crate::server::Inner;
use crate::service::ResponseBody;
use crate::status::ApiError;
use crate::store::{GroupResource, Key, Stored};
use http::Response;
use options::WriteOptions;
use serde_json::Value;
use std::sync::Arc;

/// The size that bodies may have, in bytes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A request on a resource.
#[derive(Debug)]
pub(crate) struct Op<'a> {
    pub server: &'a Arc<Inner>,
    pub resource: Arc<Resource>,
    /// Empty when the request is for all namespaces, or the resource has none.
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    pub request: &'a Request,
}

/// What a verb answers, before it is written in the form that was asked for.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A stored object.
    Object(u16, Arc<Stored>),
    /// Anything else that is one object: a Status, a Scale.
    Value(u16, Value),
    /// A list of stored objects.
    List(list::Page),
    /// An answer that is written already.
    Response(Response<ResponseBody>),
}

impl<'a> Op<'a> {
    pub(crate) fn new(server: &'a Arc<Inner>, resource: Arc<Resource>, target: Target, request: &'a Request) -> Self {
        Self {
            server,
            resource,
            namespace: target.namespace.unwrap_or_default(),
            name: target.name.unwrap_or_default(),
            subresource: target.subresource.unwrap_or_default(),
            request,
        }
    }

    /// Where the named object is.
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }

    /// The resource as errors name it.
    pub(crate) fn group_resource(&self) -> GroupResource {
        self.resource.group_resource()
    }

    /// The named object.
    pub(crate) fn live(&self) -> Result<Arc<Stored>, ApiError> {
        self.server
            .store
            .get(&self.resource.storage, &self.key())
            .ok_or_else(|| ApiError::not_found(&self.group_resource(), &self.name))
    }
}

/// Answers a request on a resource.
pub(crate) async fn run(op: &Op<'_>, verb: &'static str) -> Result<Response<ResponseBody>, ApiError> {
    let mut warnings = Vec::new();
    check(op, verb)?;
    if op.request.body.len() > BODY_LIMIT {
        return Err(ApiError::new(413, "RequestEntityTooLarge", format!("limit is {BODY_LIMIT}")));
    }
    let answer = answer(op, verb, &mut warnings).await;
    if let Some(text) = &op.resource.deprecation {
        warnings.insert(0, text.clone());
    }
    // Also who is refused is warned.
    let mut response = match answer {
        Ok(answer) => render::answer(op, answer)?,
        Err(error) => crate::router::failure(&error),
    };
    render::add_warnings(&mut response, &warnings);
    Ok(response)
}

/// Whether the resource has this verb, on this subresource.
fn check(op: &Op<'_>, verb: &str) -> Result<(), ApiError> {
    let not_allowed = || {
        if op.resource.is_custom() {
            ApiError::method_not_supported(&op.group_resource(), verb)
        } else {
            ApiError::method_not_allowed()
        }
    };
    if op.resource.webhook && op.resource.api_version() != op.resource.storage_api_version {
        return Err(ApiError::not_implemented(format!(
            "conversion webhooks are not called by this embedded API server: {} are stored as {}, and served in that version only",
            op.group_resource(),
            op.resource.storage_api_version
        )));
    }
    if let (Some(why), "create" | "update" | "patch") = (not_acted_on(&op.resource), verb) {
        return Err(ApiError::not_implemented(format!("{why}: {} cannot be written", op.group_resource())));
    }
    if op.subresource.is_empty() {
        let needs_namespace = op.resource.namespaced && op.namespace.is_empty();
        let needs_name = op.name.is_empty() && matches!(verb, "update" | "patch");
        if needs_name
            || (verb == "create" && !op.name.is_empty())
            || !op.resource.verbs.contains(&verb)
            || (needs_namespace && !matches!(verb, "list" | "watch"))
        {
            return Err(not_allowed());
        }
        return Ok(());
    }
    let verbs: &[&str] = match op.subresource.as_str() {
        "status" if op.resource.status => &["get", "update", "patch"],
        "scale" if op.resource.scale.is_some() => &["get", "update", "patch"],
        "approval" if op.resource.is("certificates.k8s.io", "CertificateSigningRequest") => &["get", "update", "patch"],
        "finalize" if op.resource.is("", "Namespace") => &["update"],
        "binding" | "eviction" if op.resource.is("", "Pod") => &["create"],
        "ephemeralcontainers" | "resize" | "log" | "exec" | "attach" | "portforward" | "proxy"
            if op.resource.is("", "Pod") =>
        {
            return Err(ApiError::not_implemented(format!(
                "the subresource pods/{} is not served by this embedded API server: no pods run in it",
                op.subresource
            )));
        }
        "token" if op.resource.is("", "ServiceAccount") => {
            return Err(ApiError::not_implemented(
                "the subresource serviceaccounts/token is not served by this embedded API server: it has no authentication",
            ));
        }
        "proxy" if op.resource.is("", "Service") || op.resource.is("", "Node") => {
            return Err(ApiError::not_implemented(format!(
                "the subresource {}/proxy is not served by this embedded API server",
                op.resource.plural
            )));
        }
        _ if op.resource.is_custom() => return Err(ApiError::not_found(&op.group_resource(), &op.name)),
        _ => return Err(ApiError::no_resource()),
    };
    if verbs.contains(&verb) { Ok(()) } else { Err(not_allowed()) }
}

async fn answer(op: &Op<'_>, verb: &str, warnings: &mut Vec<String>) -> Result<Answer, ApiError> {
    if op.subresource == "scale" {
        return scale::answer(op, verb, warnings);
    }
    match verb {
        "get" => get::get(op).await,
        "list" => list::list(op).await,
        "watch" => watch::watch(op).await,
        "create" if review::is_review(&op.resource) => review::answer(op),
        "create" => create::create(op, warnings),
        "update" => update::update(op, warnings),
        "patch" => patch::patch(op, warnings),
        "delete" => delete::delete(op),
        "deletecollection" => delete::delete_collection(op),
        _ => Err(ApiError::method_not_supported(&op.group_resource(), verb)),
    }
}

/// What a write needs besides the objects: for requests from [`Op`], for controllers from their own hands.
pub(crate) struct Write<'a> {
    pub server: &'a Arc<Inner>,
    pub resource: &'a Resource,
    pub subresource: &'a str,
    pub options: WriteOptions,
}

impl Write<'_> {
    pub(crate) fn writer(&self) -> crate::apply::Writer<'_> {
        crate::apply::Writer {
            manager: &self.options.manager,
            api_version: &self.options.api_version,
            subresource: self.subresource,
            status_subresource: self.resource.status,
            now: self.server.now(),
        }
    }
}
