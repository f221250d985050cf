//! A label on whatever is made, put there by the client itself: so it is found again, also after an interrupted run.

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// The label; its value is the run.
pub const LABEL: &str = "kaedama.dev/acceptance";

/// What every namespace and key of a run begins with; the run's name follows.
pub const PREFIX: &str = "kaedama-accept-";

/// The run that something of this name belongs to: the name itself, or what comes before its next `-` or `/`.
#[must_use]
pub fn run_of(name: &str) -> Option<String> {
    let id = name.strip_prefix(PREFIX)?.split(['-', '/']).next()?;
    let is_id = id.len() == 6 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    is_id.then(|| format!("{PREFIX}{id}"))
}

/// Whether this is the name of a run. Anybody may use the label, for something else.
#[must_use]
pub fn is_run(name: &str) -> bool {
    run_of(name).is_some_and(|run| run == name)
}

/// The user agent of what runs applications.
const WORKLOADS: &str = "workloads";

/// A client that labels what it creates. Objects that exist are not labelled: creating them fails.
#[must_use]
pub fn marked(client: &Client, run: &str, agent: &str) -> Client {
    let (inner, run, workloads) = (client.clone(), run.to_owned(), agent == WORKLOADS);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, run) = (inner.clone(), run.clone());
        async move {
            if workloads && is_deployment_status(&request) {
                // The cluster's own controller writes it: two that do would answer each other for ever.
                let body = request.into_body().collect_bytes().await?;
                let answer = Response::builder().header(CONTENT_TYPE, "application/json");
                return answer.body(Body::from(body)).map_err(|error| kube::Error::Service(error.into()));
            }
            let request = if creates(&request) { label(request, &run).await? } else { request };
            client.send(request).await
        }
    });
    Client::new(service, "default")
}

fn is_deployment_status(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    request.method() == Method::PUT && path.contains("/deployments/") && path.ends_with("/status")
}

/// Whether this creates an object that stays. A subresource has more segments: `/api/v1/namespaces/x/pods` has an odd
/// number below the version, `…/serviceaccounts/y/token` too, so those that are posted to are named.
fn creates(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    let subresource = ["/token", "/binding", "/eviction"].iter().any(|end| path.ends_with(end));
    request.method() == Method::POST && !subresource && !path.contains("/authorization.k8s.io/")
}

async fn label(request: Request<Body>, run: &str) -> kube::Result<Request<Body>> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await?;
    let bytes = match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut object) if object.is_object() => {
            object["metadata"]["labels"][LABEL] = run.into();
            serde_json::to_vec(&object).map_err(kube::Error::SerdeError)?
        }
        // Not an object of Kubernetes.
        _ => bytes.to_vec(),
    };
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str, body: &str) -> Request<Body> {
        Request::post(path).body(Body::from(body.as_bytes().to_vec())).unwrap()
    }

    #[tokio::test]
    async fn what_is_created_carries_the_run() {
        let request = post("/api/v1/namespaces?fieldManager=x", r#"{"kind":"Namespace","metadata":{"name":"n"}}"#);
        assert!(creates(&request));
        let body = label(request, "r1").await.unwrap().into_body().collect_bytes().await.unwrap();
        let object: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&object["metadata"]["labels"][LABEL], &object["metadata"]["name"]), (&"r1".into(), &"n".into()));
    }

    #[test]
    fn names_of_others_are_not_those_of_a_run() {
        let run = "kaedama-accept-0a1b2c";
        for own in [run, "kaedama-accept-0a1b2c-01-shop", "kaedama-accept-0a1b2c-01/web/v1"] {
            assert_eq!(run_of(own).as_deref(), Some(run), "{own}");
        }
        for other in
            ["prod", "kube", "kaedama-accept-", "kaedama-accept-ci-runner", "kaedama-accept-0a1b2c3", "x-0a1b2c"]
        {
            assert_eq!(run_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_does_not_stay_is_left_alone() {
        assert!(!creates(&post("/api/v1/namespaces/n/serviceaccounts/a/token", "{}")));
        assert!(!creates(&post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "{}")));
        assert!(!creates(&Request::patch("/api/v1/namespaces/n").body(Body::empty()).unwrap()));
    }
}
