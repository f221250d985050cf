//! A request as a kube-apiserver's audit log has it.

use std::borrow::Cow;
use std::sync::LazyLock;

use kaedama_apiserver::RequestKey;
use serde::Deserialize;

use super::requests::{HUB, SPOKE};
use crate::real::Identity;

/// The users that our operators are; what they call themselves is up to them.
static OURS: LazyLock<[(String, &str); 2]> =
    LazyLock::new(|| [(Identity::hub_operator().user, HUB), (Identity::spoke_operator().user, SPOKE)]);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    stage: Cow<'a, str>,
    #[serde(borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow, default)]
    user_agent: Cow<'a, str>,
    #[serde(borrow, rename = "requestURI")]
    request_uri: Cow<'a, str>,
    #[serde(borrow)]
    user: User<'a>,
    #[serde(borrow)]
    object_ref: Option<Object<'a>>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object<'a> {
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    api_group: Cow<'a, str>,
    #[serde(borrow)]
    subresource: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// The request of a line. None for a line that tells of a request which another line counts: a watch is counted when it
/// is answered, everything else when it is done.
pub fn request(line: &str) -> Option<RequestKey> {
    let event: Event<'_> = serde_json::from_str(line).ok()?;
    let code = event.response_status.map_or(0, |status| status.code);
    let counts = match &*event.stage {
        "ResponseStarted" => true,
        // A watch that was refused never started.
        "ResponseComplete" => event.verb != "watch" || code >= 400,
        "Panic" => true,
        _ => false,
    };
    if !counts {
        return None;
    }
    let ours = OURS.iter().find(|(user, _)| *user == event.user.username);
    let user_agent = match ours {
        Some((_, agent)) => (*agent).to_owned(),
        None => event.user_agent.split('/').next().unwrap_or_default().to_owned(),
    };
    let resource = match event.object_ref.filter(|object| !object.resource.is_empty()) {
        None => event.request_uri.split('?').next().unwrap_or_default().to_owned(),
        Some(object) => {
            let dot = if object.api_group.is_empty() { "" } else { "." };
            let slash = if object.subresource.is_empty() { "" } else { "/" };
            format!("{}{dot}{}{slash}{}", object.resource, object.api_group, object.subresource)
        }
    };
    Some(RequestKey { user_agent, verb: event.verb.into_owned(), resource, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: &str, verb: &str, user: &str, agent: &str, object: &str, code: u16) -> String {
        format!(
            r#"{{"kind":"Event","level":"Metadata","auditID":"1","stage":"{stage}","requestURI":"/apis/a?x=y","verb":"{verb}","user":{{"username":"{user}","groups":["g"]}},"sourceIPs":["127.0.0.1"],"userAgent":"{agent}"{object},"responseStatus":{{"metadata":{{}},"code":{code}}}}}"#
        )
    }

    #[test]
    fn a_request_is_counted_once_under_who_made_it() {
        let vrg = r#","objectRef":{"resource":"volumereplicationgroups","namespace":"n","apiGroup":"ramendr.openshift.io","apiVersion":"v1alpha1","subresource":"status"}"#;
        let spoke = "system:serviceaccount:ramen-system:ramen-dr-cluster-operator";
        let patched = request(&line("ResponseComplete", "patch", spoke, "whatever/1", vrg, 409)).unwrap();
        assert_eq!((patched.user_agent.as_str(), patched.code), ("kaedama-spoke", 409));
        assert_eq!(patched.resource, "volumereplicationgroups.ramendr.openshift.io/status");

        let pods = r#","objectRef":{"resource":"pods","namespace":"n"}"#;
        let watch = |stage, code| request(&line(stage, "watch", "u", "work/v1.2 (linux)", pods, code));
        let started = watch("ResponseStarted", 200).unwrap();
        assert_eq!((started.user_agent.as_str(), started.resource.as_str()), ("work", "pods"));
        assert!(watch("ResponseComplete", 200).is_none(), "its end is not another one");
        assert_eq!(watch("ResponseComplete", 403).unwrap().code, 403, "it never started");

        let discovery = request(&line("ResponseComplete", "get", "u", "kubectl/v1", "", 200)).unwrap();
        assert_eq!(discovery.resource, "/apis/a");
        assert!(request("half a li").is_none());
    }
}
