//! Writing answers: in the version that was asked for, as objects, Tables or metadata, as JSON or YAML.

use super::list::Page;
use super::{Answer, Op, review};
use crate::convert;
use crate::protobuf;
use crate::registry::Resource;
use crate::request::{Encoding, Form, Negotiated, negotiate};
use crate::router::respond;
use crate::server::Inner;
use crate::service::ResponseBody;
use crate::status::ApiError;
use crate::store::{Event, Stored, frame};
use crate::table::{Columns, IncludeObject, table};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The encoding and form that the request asks for.
fn negotiated(op: &Op<'_>) -> Result<Negotiated, ApiError> {
    let resource = &op.resource;
    let protobuf = !resource.is_custom() && protobuf::knows(&resource.api_version(), &resource.kind);
    negotiate(op.request.accept(), protobuf)
}

/// Writes the answer of a verb.
pub(crate) fn answer(op: &Op<'_>, answer: Answer) -> Result<Response<ResponseBody>, ApiError> {
    let negotiated = negotiated(op)?;
    match answer {
        Answer::Response(response) => Ok(response),
        // Reviews are not listed, and so have no other form than their own.
        Answer::Value(..) if review::is_review(&op.resource) && negotiated.form != Form::Object => {
            Err(ApiError::not_acceptable(&["application/json", "application/yaml"]))
        }
        Answer::Value(code, value) => Ok(write(code, &value, negotiated)),
        Answer::Object(code, stored) => object(op, code, &stored, negotiated),
        Answer::List(page) => list(op, &page, negotiated),
    }
}

/// Adds Warning headers.
pub(crate) fn add_warnings(response: &mut Response<ResponseBody>, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| match c {
                '"' | '\\' => vec!['\\', c],
                c => vec![c],
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
}

fn write(code: u16, value: &Value, negotiated: Negotiated) -> Response<ResponseBody> {
    match negotiated.encoding {
        Encoding::Yaml => {
            if let Ok(text) = serde_yaml::to_string(value) {
                return respond(code, "application/yaml", ResponseBody::whole(text));
            }
        }
        Encoding::Protobuf => {
            if let Some(bytes) = protobuf::encode(value) {
                return respond(code, protobuf::MEDIA_TYPE, ResponseBody::whole(bytes));
            }
        }
        Encoding::Json => {}
    }
    respond(code, "application/json", ResponseBody::whole(value.to_string()))
}

fn object(op: &Op<'_>, code: u16, stored: &Stored, negotiated: Negotiated) -> Result<Response<ResponseBody>, ApiError> {
    match negotiated.form {
        Form::Object
            if negotiated.encoding == Encoding::Json && convert::is_stored_version(&op.resource, &stored.value) =>
        {
            Ok(respond(code, "application/json", ResponseBody::whole(stored.json().clone())))
        }
        Form::Object => Ok(write(code, &convert::from_storage(&op.resource, stored), negotiated)),
        Form::Metadata => {
            let value = partial(&convert::from_storage(&op.resource, stored), true);
            Ok(write(code, &value, negotiated))
        }
        Form::Table => {
            let tables = Tables::new(op)?;
            let value = convert::from_storage(&op.resource, stored).into_owned();
            let meta = json!({ "resourceVersion": value["metadata"]["resourceVersion"] });
            Ok(write(code, &tables.table(&[value], meta, true), negotiated))
        }
    }
}

fn list(op: &Op<'_>, page: &Page, negotiated: Negotiated) -> Result<Response<ResponseBody>, ApiError> {
    let mut meta = json!({ "resourceVersion": page.revision.to_string() });
    if let Some(next) = &page.next {
        meta["continue"] = Value::from(next.clone());
    }
    if let Some(remaining) = page.remaining {
        meta["remainingItemCount"] = Value::from(remaining);
    }
    let resource = &op.resource;
    let values = || page.objects.iter().map(|o| convert::from_storage(resource, o).into_owned());
    match negotiated.form {
        Form::Object if negotiated.encoding == Encoding::Json => {
            if resource.is_custom() && page.next.is_none() {
                // Lists of these are no Go structs, and show what is empty.
                meta["continue"] = Value::from("");
            }
            Ok(respond(200, "application/json", ResponseBody::whole(joined(resource, page, &meta))))
        }
        Form::Object => {
            let list = json!({
                "kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": meta,
                "items": values().collect::<Vec<_>>(),
            });
            Ok(write(200, &list, negotiated))
        }
        Form::Metadata => {
            let items: Vec<Value> = values().map(|v| partial(&v, true)).collect();
            // Go makes this list one by one, and so none of nothing.
            let items = if items.is_empty() { Value::Null } else { Value::from(items) };
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items,
            });
            Ok(write(200, &list, negotiated))
        }
        Form::Table => {
            let tables = Tables::new(op)?;
            let values: Vec<Value> = values().collect();
            Ok(write(200, &tables.table(&values, meta, true), negotiated))
        }
    }
}

/// A list made of the objects' JSON as it is kept. As in the real server, items of built-in lists have no kind.
fn joined(resource: &Resource, page: &Page, meta: &Value) -> Vec<u8> {
    let size: usize = page.objects.iter().map(|o| o.json().len() + 1).sum();
    let head = json!({ "kind": resource.list_kind, "apiVersion": resource.api_version() }).to_string();
    let mut out = Vec::with_capacity(size + head.len() + 128);
    out.extend_from_slice(head.trim_end_matches('}').as_bytes());
    out.extend_from_slice(format!(",\"metadata\":{meta},\"items\":[").as_bytes());
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if resource.is_custom() && convert::is_stored_version(resource, &object.value) {
            out.extend_from_slice(object.json());
        } else {
            let mut value = convert::from_storage(resource, object).into_owned();
            if let (false, Some(map)) = (resource.is_custom(), value.as_object_mut()) {
                map.remove("kind");
                map.remove("apiVersion");
            }
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// The metadata of an object. Items of lists and watch events carry their type as well.
fn partial(value: &Value, typed: bool) -> Value {
    let mut partial = json!({ "metadata": value["metadata"] });
    if typed {
        partial["kind"] = Value::from("PartialObjectMetadata");
        partial["apiVersion"] = Value::from("meta.k8s.io/v1");
    }
    partial
}

/// Makes Tables of a resource.
struct Tables {
    columns: Columns,
    include: IncludeObject,
    server: Arc<Inner>,
}

impl Tables {
    fn new(op: &Op<'_>) -> Result<Self, ApiError> {
        let include = op.request.query.get("includeObject");
        let include = IncludeObject::parse(include).ok_or_else(|| {
            ApiError::bad_request(format!("unrecognized includeObject value: \"{}\"", include.unwrap_or_default()))
        })?;
        let columns = if op.resource.is_custom() {
            Columns::from_crd(op.resource.printer_columns.as_deref())
        } else {
            Columns::builtin(&op.resource.group, &op.resource.kind)
        };
        Ok(Self { columns, include, server: Arc::clone(op.server) })
    }

    fn table(&self, objects: &[Value], meta: Value, with_definitions: bool) -> Value {
        table(&self.columns, objects, meta, self.include, self.server.now(), with_definitions)
    }
}

/// Writes the events of a watch: lines of JSON, or frames of protobuf.
pub(crate) struct Writer {
    resource: Arc<Resource>,
    negotiated: Negotiated,
    tables: Option<Tables>,
    /// Column definitions are sent with the first event only.
    first: bool,
}

impl Writer {
    pub(crate) fn new(op: &Op<'_>) -> Result<Self, ApiError> {
        let negotiated = negotiated(op)?;
        Ok(Self {
            resource: Arc::clone(&op.resource),
            negotiated,
            tables: (negotiated.form == Form::Table).then(|| Tables::new(op)).transpose()?,
            first: true,
        })
    }

    /// The media type of the stream.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.negotiated.encoding {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            Encoding::Json | Encoding::Yaml => "application/json",
        }
    }

    /// Whether events are sent as they are kept.
    fn plain(&self, stored: &Stored) -> bool {
        self.negotiated.form == Form::Object
            && self.negotiated.encoding != Encoding::Protobuf
            && convert::is_stored_version(&self.resource, &stored.value)
    }

    /// An event as everybody sees it.
    pub(crate) fn shared_event(&mut self, event: &Event) -> Bytes {
        if self.plain(&event.object) { event.frame().clone() } else { self.event(event.kind.as_str(), &event.object) }
    }

    /// An event of an object.
    pub(crate) fn event(&mut self, kind: &str, stored: &Stored) -> Bytes {
        if self.plain(stored) {
            return frame(kind, stored.json());
        }
        self.event_at(kind, stored, stored.revision)
    }

    /// An event of an object that is shown at another revision than its own.
    pub(crate) fn event_at(&mut self, kind: &str, stored: &Stored, revision: u64) -> Bytes {
        let mut value = convert::from_storage(&self.resource, stored).into_owned();
        value["metadata"]["resourceVersion"] = Value::from(revision.to_string());
        let shown = self.shown(value);
        self.write(kind, &shown)
    }

    /// A bookmark.
    pub(crate) fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Bytes {
        let mut value = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": { "resourceVersion": revision.to_string() },
        });
        if initial_events_end {
            value["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let shown = self.shown(value);
        self.write("BOOKMARK", &shown)
    }

    /// An error, which ends the stream.
    pub(crate) fn error(&self, error: &ApiError) -> Bytes {
        self.write("ERROR", &error.status())
    }

    fn write(&self, kind: &str, value: &Value) -> Bytes {
        if self.negotiated.encoding == Encoding::Protobuf
            && let Some(bytes) = protobuf::watch_frame(kind, value)
        {
            return Bytes::from(bytes);
        }
        frame(kind, value.to_string().as_bytes())
    }

    fn shown(&mut self, value: Value) -> Value {
        match (self.negotiated.form, &self.tables) {
            (Form::Table, Some(tables)) => {
                let meta = json!({ "resourceVersion": value["metadata"]["resourceVersion"] });
                let first = std::mem::replace(&mut self.first, false);
                tables.table(&[value], meta, first)
            }
            (Form::Metadata, _) => partial(&value, true),
            _ => value,
        }
    }
}
