//! Everything that is no resource: discovery, version, health, OpenAPI.

use crate::openapi::{self, ResourceDoc, SchemaSource, SubresourceDoc};
use crate::registry::{Resource, Served, api_version, split_api_version};
use crate::request::Request;
use crate::router::respond;
use crate::server::Inner;
use crate::service::ResponseBody;
use crate::status::ApiError;
use bytes::Bytes;
use http::{Method, Response, header};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers a request whose path names no resource.
pub(crate) fn answer(
    server: &Arc<Inner>,
    request: &Request,
    segments: &[&str],
) -> Result<Response<ResponseBody>, ApiError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(ApiError::page_not_found());
    }
    let served = server.registry.snapshot();
    let value = match segments {
        ["api"] if aggregated(request).is_some() => return Ok(aggregated_answer(&served, request, true)),
        ["apis"] if aggregated(request).is_some() => return Ok(aggregated_answer(&served, request, false)),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }],
        }),
        ["apis"] => {
            let groups: Vec<Value> = groups(&served).map(|(g, v)| group(&g, &v)).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["apis", name] => {
            let (name, versions) = groups(&served).find(|(g, _)| g == name).ok_or_else(ApiError::page_not_found)?;
            let mut value = group(&name, &versions);
            value["kind"] = Value::from("APIGroup");
            value["apiVersion"] = Value::from("v1");
            value
        }
        ["api", version] => resources(&served, "", version)?,
        ["apis", group, version] => resources(&served, group, version)?,
        ["version"] => version(&server.options.version),
        [check @ ("healthz" | "livez" | "readyz"), ..] => {
            let text = match request.query.get("verbose") {
                Some(_) => format!("[+]ping ok\n{check} check passed\n"),
                None => "ok".to_owned(),
            };
            return Ok(respond(200, "text/plain; charset=utf-8", ResponseBody::whole(text)));
        }
        ["openapi", path @ ..] => {
            let Some((text, tag)) = server.documents.get(&served, path) else {
                let nothing = ResponseBody::whole(Bytes::new());
                return Ok(respond(404, "text/plain; charset=utf-8", nothing));
            };
            return Ok(tagged(request, "application/json", text, &tag));
        }
        [] => {
            let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
            for (group, versions) in groups(&served) {
                paths.push(format!("/apis/{group}"));
                paths.extend(versions.iter().map(|v| format!("/apis/{group}/{v}")));
            }
            paths
                .extend(["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
            json!({ "paths": paths })
        }
        _ => return Err(ApiError::page_not_found()),
    };
    Ok(respond(200, "application/json", ResponseBody::whole(value.to_string())))
}

/// The groups other than the core group.
fn groups(served: &Served) -> impl Iterator<Item = (String, Vec<String>)> {
    served.groups().into_iter().filter(|(g, _)| !g.is_empty())
}

fn group(name: &str, versions: &[String]) -> Value {
    let version = |v: &String| json!({ "groupVersion": format!("{name}/{v}"), "version": v });
    json!({
        "name": name,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

/// The subresources of a resource: name, kind, group and version of the kind, verbs.
fn subresources(resource: &Resource) -> Vec<(&'static str, String, &'static str, &'static str, Vec<&'static str>)> {
    let mut out = Vec::new();
    let write = vec!["get", "patch", "update"];
    if resource.is("", "Pod") {
        out.push(("binding", "Binding".to_owned(), "", "v1", vec!["create"]));
        out.push(("eviction", "Eviction".to_owned(), "policy", "v1", vec!["create"]));
    }
    if resource.is("certificates.k8s.io", "CertificateSigningRequest") {
        out.push(("approval", resource.kind.clone(), "", "", write.clone()));
    }
    if resource.is("", "Namespace") {
        out.push(("finalize", "Namespace".to_owned(), "", "", vec!["update"]));
    }
    if resource.scale.is_some() {
        out.push(("scale", "Scale".to_owned(), "autoscaling", "v1", write.clone()));
    }
    if resource.status {
        // Those of definitions are listed in the other order.
        let at = if resource.is_custom() { 0 } else { out.len() };
        out.insert(at, ("status", resource.kind.clone(), "", "", write));
    }
    out
}

fn resources(served: &Served, group: &str, version: &str) -> Result<Value, ApiError> {
    let list = served.group_version(group, version).ok_or_else(|| {
        let built_in = served.iter().any(|r| r.group == group && !r.is_custom());
        if built_in { ApiError::no_resource() } else { ApiError::page_not_found() }
    })?;
    let mut out = Vec::new();
    for resource in list {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        if resource.verbs.contains(&"list") {
            entry["storageVersionHash"] = Value::from(storage_hash(resource));
        }
        out.push(entry);
        for (name, kind, kind_group, kind_version, verbs) in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
            });
            if !kind_version.is_empty() {
                if !kind_group.is_empty() {
                    entry["group"] = Value::from(kind_group);
                }
                entry["version"] = Value::from(kind_version);
            }
            out.push(entry);
        }
    }
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": out,
    }))
}

/// A text that changes when the stored version does: the first eight bytes of a SHA-256, as the real server makes it.
fn storage_hash(resource: &Resource) -> String {
    use base64::Engine;
    use sha2::Digest;
    let (group, version) = split_api_version(&resource.storage_api_version);
    let digest = sha2::Sha256::digest(format!("{group}/{version}/{}", resource.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

/// The version of aggregated discovery that is asked for.
fn aggregated(request: &Request) -> Option<&'static str> {
    for clause in request.accept().split(',') {
        let has = |part: &str| clause.split(';').any(|p| p.trim() == part);
        if has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io") {
            if has("v=v2") {
                return Some("v2");
            }
            if has("v=v2beta1") {
                return Some("v2beta1");
            }
        }
        if clause.trim() == "application/json" {
            return None;
        }
    }
    None
}

fn aggregated_answer(served: &Served, request: &Request, core: bool) -> Response<ResponseBody> {
    let version = aggregated(request).unwrap_or("v2");
    let items: Vec<Value> = served
        .groups()
        .into_iter()
        .filter(|(g, _)| g.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|v| {
                    let resources: Vec<Value> =
                        served.group_version(&group, v).into_iter().flatten().map(|r| discovered(r)).collect();
                    json!({ "version": v, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let mut metadata = json!({ "creationTimestamp": null });
            if !group.is_empty() {
                metadata["name"] = Value::from(group);
            }
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    let value = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    });
    let content_type = if version == "v2" {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    };
    let text = value.to_string();
    let tag = openapi::content_hash(&text);
    tagged(request, content_type, Bytes::from(text), &tag)
}

/// A document with its tag; a client that has it already is told so.
fn tagged(request: &Request, content_type: &'static str, text: Bytes, tag: &str) -> Response<ResponseBody> {
    let quoted = format!("\"{tag}\"");
    let known = request.headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut response = if known.is_some_and(|tags| tags.split(',').any(|t| t.trim() == quoted)) {
        respond(304, content_type, ResponseBody::whole(Bytes::new()))
    } else {
        respond(200, content_type, ResponseBody::whole(text))
    };
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Accept"));
    if let Ok(value) = header::HeaderValue::from_str(&quoted) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

fn discovered(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, sub_kind, group, version, verbs)| {
            let response = if version.is_empty() {
                kind(&resource.group, &resource.version, &sub_kind)
            } else {
                kind(group, version, &sub_kind)
            };
            json!({ "subresource": name, "responseKind": response, "verbs": verbs })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = Value::from(subresources);
    }
    entry
}

fn version(text: &str) -> Value {
    let mut parts = text.trim_start_matches('v').split('.');
    json!({
        "major": parts.next().unwrap_or_default(), "minor": parts.next().unwrap_or_default(), "gitVersion": text,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// OpenAPI documents, made at the first request after a change of what is served.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<Cache>);

/// What was served when the documents were made, and the documents by path.
#[derive(Debug, Default)]
struct Cache {
    served: Option<Arc<Served>>,
    /// With the tag by which clients know them again.
    documents: BTreeMap<String, (Bytes, String)>,
}

impl Documents {
    /// The document at a path below `/openapi`, as JSON.
    fn get(&self, served: &Arc<Served>, path: &[&str]) -> Option<(Bytes, String)> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !cache.served.as_ref().is_some_and(|of| Arc::ptr_eq(of, served)) {
            *cache = Cache { served: Some(Arc::clone(served)), documents: BTreeMap::new() };
        }
        let key = path.join("/");
        if let Some(found) = cache.documents.get(&key) {
            return Some(found.clone());
        }
        let docs = docs(served);
        let value = match path {
            ["v2"] => openapi::v2_document(&docs),
            ["v3"] => openapi::index(&docs),
            ["v3", "api", version] => openapi::document("", version, &docs)?,
            ["v3", "apis", group, version] => openapi::document(group, version, &docs)?,
            _ => return None,
        };
        let text = Bytes::from(value.to_string());
        let made = (text.clone(), openapi::content_hash(&text));
        cache.documents.insert(key, made.clone());
        Some(made)
    }
}

/// What OpenAPI is made from.
fn docs(served: &Served) -> Vec<ResourceDoc> {
    served
        .iter()
        .map(|resource| ResourceDoc {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind: resource.kind.clone(),
            plural: resource.plural.clone(),
            namespaced: resource.namespaced,
            verbs: resource.verbs.iter().map(|v| (*v).to_owned()).collect(),
            subresources: subresources(resource)
                .into_iter()
                .map(|(name, _, _, _, verbs)| SubresourceDoc {
                    name: name.to_owned(),
                    verbs: verbs.into_iter().map(str::to_owned).collect(),
                })
                .collect(),
            schema: match &resource.open_api {
                Some(schema) => SchemaSource::Crd(Arc::clone(schema)),
                None if resource.is_custom() => SchemaSource::Crd(Arc::new(json!({ "type": "object" }))),
                None => SchemaSource::Builtin,
            },
        })
        .collect()
}
