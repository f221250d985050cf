//! Reading requests: paths, query parameters, `Accept`.

use crate::protobuf::MEDIA_TYPE;
use crate::status::ApiError;
use bytes::Bytes;
use http::{HeaderMap, Method, header};

/// A request, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub(crate) fn new(parts: &http::request::Parts, body: Bytes) -> Self {
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            body,
        }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The media type of the body, without parameters.
    pub(crate) fn content_type(&self) -> &str {
        let value = self.header(header::CONTENT_TYPE);
        value.split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn accept(&self) -> &str {
        self.header(header::ACCEPT)
    }

    /// The User-Agent up to the first `/`.
    pub(crate) fn user_agent(&self) -> &str {
        let value = self.header(header::USER_AGENT);
        value.split('/').next().unwrap_or_default()
    }
}

/// Query parameters, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|p| !p.is_empty())
                .map(|p| {
                    let (key, value) = p.split_once('=').unwrap_or((p, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// A parameter's value; absent when it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.is_empty())
    }

    /// A boolean, read as apimachinery reads it: present and neither `false` nor `0` is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.text(name)
            .map(|v| {
                v.parse()
                    .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing \"{v}\": invalid syntax")))
            })
            .transpose()
    }
}

/// Percent-decodes; `+` is a space in queries.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let hex = bytes
            .get(i + 1..i + 3)
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (b, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                i += 3;
            }
            (b'+', _) if plus => {
                out.push(b' ');
                i += 1;
            }
            _ => {
                out.push(b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a path below `/api/v1` or `/apis/group/version` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// The old form `/api/v1/watch/...`.
    pub watch: bool,
}

impl Target {
    /// Reads the segments after the group and version.
    pub(crate) fn parse(group: &str, version: &str, segments: &[&str]) -> Option<Self> {
        let mut target = Self { group: group.to_owned(), version: version.to_owned(), ..Self::default() };
        let mut rest = segments;
        if let ["watch", tail @ ..] = rest {
            target.watch = true;
            rest = tail;
        }
        let owned = |s: &str| decode(s, false);
        match rest {
            // A namespace itself, and its subresources.
            ["namespaces"] => target.resource = "namespaces".to_owned(),
            ["namespaces", name] => {
                target.resource = "namespaces".to_owned();
                target.name = Some(owned(name));
            }
            ["namespaces", name, sub @ ("status" | "finalize")] => {
                target.resource = "namespaces".to_owned();
                target.name = Some(owned(name));
                target.subresource = Some((*sub).to_owned());
            }
            ["namespaces", namespace, resource, tail @ ..] => {
                target.namespace = Some(owned(namespace));
                target.resource = owned(resource);
                target.tail(tail)?;
            }
            [resource, tail @ ..] => {
                target.resource = owned(resource);
                target.tail(tail)?;
            }
            [] => return None,
        }
        Some(target)
    }

    fn tail(&mut self, tail: &[&str]) -> Option<()> {
        match tail {
            [] => {}
            [name] => self.name = Some(decode(name, false)),
            [name, sub, more @ ..] => {
                self.name = Some(decode(name, false));
                let mut subresource = decode(sub, false);
                for part in more {
                    subresource.push('/');
                    subresource.push_str(part);
                }
                self.subresource = Some(subresource);
            }
        }
        Some(())
    }
}

/// The form of the answer that `Accept` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object.
    Object,
    /// A `meta.k8s.io/v1` Table.
    Table,
    /// PartialObjectMetadata, or a list of it.
    Metadata,
}

/// The encoding of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// Encoding and form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub form: Form,
    pub encoding: Encoding,
}

/// Chooses the first clause of `Accept` that can be answered; `protobuf` says whether the object itself can be written so.
pub(crate) fn negotiate(accept: &str, protobuf: bool) -> Result<Negotiated, ApiError> {
    if accept.trim().is_empty() {
        return Ok(Negotiated { form: Form::Object, encoding: Encoding::Json });
    }
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let encoding = match parts.next().unwrap_or_default() {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            MEDIA_TYPE => Encoding::Protobuf,
            _ => continue,
        };
        let mut form = Some(Form::Object);
        let mut group_version_ok = true;
        for parameter in parts {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("as", "Table") => form = Some(Form::Table),
                ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => form = Some(Form::Metadata),
                ("as", _) => form = None,
                ("g", group) => group_version_ok &= group == "meta.k8s.io",
                ("v", version) => group_version_ok &= matches!(version, "v1" | "v1beta1"),
                _ => {}
            }
        }
        // Tables have no protobuf form; metadata has one, whatever it is the metadata of.
        let written =
            |form: Form| encoding != Encoding::Protobuf || form == Form::Metadata || (protobuf && form == Form::Object);
        if let (Some(form), true) = (form.filter(|f| written(*f)), group_version_ok) {
            return Ok(Negotiated { form, encoding });
        }
    }
    let accepted = ["application/json", "application/yaml"];
    Err(if protobuf {
        let message =
            format!("406: Not Acceptable\n\nAvailable representations: {}, {MEDIA_TYPE}", accepted.join(", "));
        ApiError::generic(406, "NotAcceptable", &message)
    } else {
        ApiError::not_acceptable(&accepted)
    })
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Form, Query, Target, negotiate};

    #[test]
    fn paths_name_what_the_api_server_reads_in_them() {
        let parse = |s: &str| Target::parse("", "v1", &s.split('/').collect::<Vec<_>>()).unwrap();
        let t = parse("namespaces/a/pods/b/status");
        assert_eq!(
            (t.namespace.as_deref(), t.resource.as_str(), t.name.as_deref(), t.subresource.as_deref()),
            (Some("a"), "pods", Some("b"), Some("status"))
        );
        let t = parse("namespaces/a/finalize");
        assert_eq!((t.resource.as_str(), t.subresource.as_deref()), ("namespaces", Some("finalize")));
        let t = parse("namespaces/a/pods");
        assert_eq!((t.namespace.as_deref(), t.name), (Some("a"), None));
        assert!(parse("watch/namespaces/a/pods").watch);
    }

    #[test]
    fn accept_takes_the_first_clause_that_can_be_served() {
        let form = |s| negotiate(s, false).map(|n| n.form).ok();
        assert_eq!(form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(Form::Table));
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Object));
        assert_eq!(form("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"), Some(Form::Metadata));
        assert_eq!(form("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(form("application/json;as=Foo;v=v1;g=meta.k8s.io"), None);
        let encoding = |s| negotiate(s, true).map(|n| n.encoding).ok();
        assert_eq!(encoding("application/vnd.kubernetes.protobuf,application/json"), Some(Encoding::Protobuf));
        assert_eq!(
            encoding("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,*/*"),
            Some(Encoding::Json)
        );
    }

    #[test]
    fn query_values_are_decoded() {
        let q = Query::parse("labelSelector=a%3Db%2Cc+in+(d)&watch=1&x");
        assert_eq!(q.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(q.flag("watch") && q.flag("x") && !q.flag("y"));
    }
}
