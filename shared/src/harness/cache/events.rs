//! The lines of a watch, decoded.
//!
//! kube decodes an object that may be malformed twice, by way of a tree of values, and the managed fields of every object,
//! which nearly nobody wants. Watches bring most of what an operator reads, so here an object is decoded once, straight from
//! its text, and managed fields are cut out before.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use futures::{AsyncBufReadExt, Stream, StreamExt, future};
use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use kube::api::{WatchEvent, WatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, PartialObjectMeta, Request, Status};
use kube::{Api, Resource};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use super::view::Raw;

type Event<K> = Result<WatchEvent<Raw<K>>, kube::Error>;

/// Opens a watch from `version` on. The stream ends where the server ended it, or the connection.
pub(super) async fn open<K>(
    api: &Api<Raw<K>>,
    params: &WatchParams,
    version: &str,
    keep_managed_fields: bool,
) -> Result<impl Stream<Item = Event<K>> + use<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned,
{
    let request = Request::new(api.resource_url()).watch(params, version);
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.extensions_mut().insert("watch");
    // Each event is compressed by itself where the server compresses watches, which the client does not take apart.
    request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let body = api.clone().into_client().request_stream(request).await?;
    let events = body.lines().filter_map(move |line| future::ready(read(line, keep_managed_fields)));
    Ok(events)
}

fn read<K>(line: io::Result<String>, keep_managed_fields: bool) -> Option<Event<K>>
where
    K: Resource + DeserializeOwned,
{
    match line {
        Ok(line) => match event(&line, keep_managed_fields) {
            Ok(event) => Some(Ok(event)),
            // The connection ended in the middle of a line.
            Err(error) if error.is_eof() => None,
            Err(error) => Some(Err(match serde_json::from_str::<Status>(&line) {
                Ok(status) => kube::Error::Api(Box::new(status)),
                Err(_) => kube::Error::SerdeError(error),
            })),
        },
        // Nothing more comes: the stream ends, and the watch is opened again where it was.
        Err(error) if is_end(&error) => None,
        Err(error) => Some(Err(kube::Error::ReadEvents(error))),
    }
}

/// Whether a connection was closed in between, as proxies and servers close watches that are old.
fn is_end(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof)) {
            return true;
        }
        // What it wraps is no source of an io::Error; the source of that is.
        let wrapped = io.and_then(io::Error::get_ref).map(|wrapped| wrapped as &(dyn Error + 'static));
        cause = wrapped.or_else(|| error.source());
    }
    // What decodes chunks has no kind of its own for it.
    error.to_string().contains("unexpected EOF during chunk")
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

fn event<K>(line: &str, keep_managed_fields: bool) -> Result<WatchEvent<Raw<K>>, serde_json::Error>
where
    K: Resource + DeserializeOwned,
{
    let Line { kind, object } = serde_json::from_str(line)?;
    let text = object.get();
    let decoded = || decode(text, keep_managed_fields);
    Ok(match kind.as_ref() {
        "ADDED" => WatchEvent::Added(decoded()?),
        "MODIFIED" => WatchEvent::Modified(decoded()?),
        "DELETED" => WatchEvent::Deleted(decoded()?),
        "BOOKMARK" => WatchEvent::Bookmark(serde_json::from_str(text)?),
        "ERROR" => WatchEvent::Error(serde_json::from_str(text)?),
        other => return Err(serde_json::Error::custom(format!("an event of the unknown type {other:?}"))),
    })
}

/// An object from its JSON: decoded once, without its managed fields where they are not kept. Where it cannot be decoded,
/// its metadata and why.
///
/// # Errors
/// It is no object, or not even its metadata can be decoded.
pub fn decode<K>(text: &str, keep_managed_fields: bool) -> Result<DeserializeGuard<K>, serde_json::Error>
where
    K: Resource + DeserializeOwned,
{
    let cut = if keep_managed_fields { None } else { without_managed_fields(text) };
    let text = cut.as_deref().unwrap_or(text);
    serde_json::from_str(text).map(|object| DeserializeGuard(Ok(object))).or_else(|error| {
        let PartialObjectMeta { metadata, .. } = serde_json::from_str::<PartialObjectMeta<K>>(text)?;
        Ok(DeserializeGuard(Err(InvalidObject { error: error.to_string(), metadata })))
    })
}

/// The same object without its managed fields; `None` where it has none.
fn without_managed_fields(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, rename = "managedFields")]
        managed_fields: Option<&'a RawValue>,
    }
    let object: Object<'_> = serde_json::from_str(text).ok()?;
    let fields = object.metadata.managed_fields?.get();
    // It is a part of the text.
    let start = (fields.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let (before, after) = (text.get(..start)?, text.get(start + fields.len()..)?);
    Some([before, "null", after].concat())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn read_one(line: &str, keep: bool) -> Result<WatchEvent<Raw<ConfigMap>>, serde_json::Error> {
        event(line, keep)
    }

    #[test]
    fn an_event_is_read_in_whatever_order_and_its_managed_fields_only_when_wanted() {
        let metadata =
            r#"{"name":"a","managedFields":[{"manager":"x","fieldsV1":{"f:data":{}}}],"resourceVersion":"7"}"#;
        let object = format!(r#"{{"apiVersion":"v1","metadata":{metadata},"data":{{"managedFields":"mine"}}}}"#);
        for line in [
            format!(r#"{{"type":"MODIFIED","object":{object}}}"#),
            format!(r#"{{ "object" : {object} , "type" : "MODIFIED" }}"#),
        ] {
            for keep in [false, true] {
                let Ok(WatchEvent::Modified(DeserializeGuard(Ok(map)))) = read_one(&line, keep) else {
                    panic!("{line} is a change");
                };
                assert_eq!(map.metadata.managed_fields.is_some(), keep);
                assert_eq!(map.metadata.resource_version.as_deref(), Some("7"));
                assert_eq!(map.data.unwrap()["managedFields"], "mine", "what only looks like it stays");
            }
        }
    }

    #[test]
    fn what_cannot_be_decoded_keeps_its_name_and_what_is_no_event_is_an_error() {
        let line = r#"{"type":"ADDED","object":{"metadata":{"name":"a","managedFields":[]},"data":"no map"}}"#;
        let Ok(WatchEvent::Added(DeserializeGuard(Err(invalid)))) = read_one(line, false) else {
            panic!("{line} is a malformed object");
        };
        assert_eq!(invalid.metadata.name.as_deref(), Some("a"));
        assert!(invalid.error.contains("no map"), "{}", invalid.error);
        for line in ["{}", r#"{"type":"ADDED"}"#, r#"{"type":"GROWN","object":{}}"#, r#"{"type":"ADDED","object":7}"#] {
            assert!(read_one(line, false).is_err_and(|error| !error.is_eof()), "{line}");
        }
        assert!(read_one(r#"{"type":"ADDED","obj"#, false).is_err_and(|error| error.is_eof()));
    }

    #[test]
    fn a_status_instead_of_an_event_is_the_servers_answer() {
        let line = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}"#;
        let answer = read::<ConfigMap>(Ok(line.to_owned()), false);
        assert!(matches!(answer, Some(Err(kube::Error::Api(status))) if status.code == 410));
        let ended = Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(read::<ConfigMap>(ended, false).is_none());
        let wrapped = Err(io::Error::other(io::Error::other(io::Error::from(io::ErrorKind::UnexpectedEof))));
        assert!(read::<ConfigMap>(wrapped, false).is_none());
        let broken = Err(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(read::<ConfigMap>(broken, false), Some(Err(kube::Error::ReadEvents(_)))));
    }
}
