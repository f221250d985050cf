//! Paths and operations of a resource.

use super::components::{META, component_name};
use super::{ResourceDoc, SubresourceDoc};
use serde_json::{Map, Value, json};

/// Adds the paths of a resource in the v3 form.
pub(super) fn add(doc: &ResourceDoc, out: &mut Map<String, Value>) {
    let base = if doc.group.is_empty() {
        format!("/api/{}", doc.version)
    } else {
        format!("/apis/{}/{}", doc.group, doc.version)
    };
    let collection = if doc.namespaced {
        format!("{base}/namespaces/{{namespace}}/{}", doc.plural)
    } else {
        format!("{base}/{}", doc.plural)
    };
    let has = |verb: &str| doc.verbs.iter().any(|v| v == verb);

    let mut item = Map::new();
    if has("list") {
        item.insert("get".to_owned(), operation(doc, "list", "", &list_parameters()));
    }
    if has("create") {
        item.insert("post".to_owned(), operation(doc, "post", "", &write_parameters()));
    }
    if has("deletecollection") {
        item.insert("delete".to_owned(), operation(doc, "deletecollection", "", &list_parameters()));
    }
    out.insert(collection.clone(), with_parameters(item, doc.namespaced, false));
    if doc.namespaced && has("list") {
        let mut all = Map::new();
        all.insert("get".to_owned(), operation(doc, "list", "", &list_parameters()));
        out.insert(format!("{base}/{}", doc.plural), with_parameters(all, false, false));
    }
    out.insert(
        format!("{collection}/{{name}}"),
        with_parameters(object_operations(doc, "", &doc.verbs), doc.namespaced, true),
    );
    for SubresourceDoc { name, verbs } in &doc.subresources {
        out.insert(
            format!("{collection}/{{name}}/{name}"),
            with_parameters(object_operations(doc, name, verbs), doc.namespaced, true),
        );
    }
}

fn object_operations(doc: &ResourceDoc, subresource: &str, verbs: &[String]) -> Map<String, Value> {
    const METHODS: [(&str, &str, &str); 4] =
        [("get", "get", "get"), ("update", "put", "put"), ("patch", "patch", "patch"), ("delete", "delete", "delete")];
    let mut out = Map::new();
    for (verb, method, action) in METHODS {
        if !verbs.iter().any(|v| v == verb) {
            continue;
        }
        let parameters = match verb {
            "get" => vec![pretty()],
            "patch" => {
                let mut list = write_parameters();
                list.push(query("force", "boolean", "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people. Force flag must be unset for non-apply patch requests."));
                list
            }
            "delete" => delete_parameters(),
            _ => write_parameters(),
        };
        out.insert(method.to_owned(), operation(doc, action, subresource, &parameters));
    }
    out
}

fn operation(doc: &ResourceDoc, action: &str, subresource: &str, parameters: &[Value]) -> Value {
    let component = component_name(doc);
    let object = json!({"$ref": format!("#/components/schemas/{component}")});
    let answer = if action == "list" {
        json!({"$ref": format!("#/components/schemas/{component}List")})
    } else if matches!(action, "delete" | "deletecollection") {
        json!({"$ref": format!("#/components/schemas/{META}.Status")})
    } else {
        object.clone()
    };
    let group = match doc.group.split('.').next() {
        None | Some("") => "core",
        Some(short) => short,
    };
    let tag = format!("{group}_{}", doc.version);
    let scope = if doc.namespaced { "Namespaced" } else { "" };
    let mut out = json!({
        "tags": [tag],
        "operationId": format!("{action}{}{scope}{}{}", capitalised(&tag), doc.kind, capitalised(subresource)),
        "parameters": parameters,
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": answer}}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": doc.group, "version": doc.version, "kind": doc.kind},
    });
    match action {
        "post" | "put" => {
            out["requestBody"] = json!({"content": {"*/*": {"schema": object}}, "required": true});
        }
        "patch" => {
            let patch = json!({"schema": {"$ref": format!("#/components/schemas/{META}.Patch")}});
            let mut content = json!({
                "application/apply-patch+yaml": patch,
                "application/json-patch+json": patch,
                "application/merge-patch+json": patch,
            });
            if matches!(doc.schema, super::SchemaSource::Builtin) {
                content["application/strategic-merge-patch+json"] = patch.clone();
            }
            out["requestBody"] = json!({"content": content, "required": true});
        }
        "delete" | "deletecollection" => {
            let options = json!({"$ref": format!("#/components/schemas/{META}.DeleteOptions")});
            out["requestBody"] = json!({"content": {"*/*": {"schema": options}}});
        }
        _ => {}
    }
    out
}

fn capitalised(text: &str) -> String {
    let mut out = String::new();
    for part in text.split('_') {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}

fn with_parameters(mut item: Map<String, Value>, namespaced: bool, named: bool) -> Value {
    let mut parameters = Vec::new();
    let path = |name: &str, text: &str| {
        json!({
            "name": name, "in": "path", "required": true, "description": text,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    if named {
        parameters.push(path("name", "name of the object"));
    }
    if namespaced {
        parameters.push(path("namespace", "object name and auth scope, such as for teams and projects"));
    }
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), Value::Array(parameters));
    }
    Value::Object(item)
}

fn query(name: &str, kind: &str, text: &str) -> Value {
    json!({
        "name": name, "in": "query", "description": text,
        "schema": {"type": kind, "uniqueItems": true},
    })
}

fn pretty() -> Value {
    query("pretty", "string", "If 'true', then the output is pretty printed.")
}

fn write_parameters() -> Vec<Value> {
    vec![
        pretty(),
        query(
            "dryRun",
            "string",
            "When present, indicates that modifications should not be persisted. Valid values are: All.",
        ),
        query(
            "fieldManager",
            "string",
            "The name of the actor that is making the changes. It must be at most 128 printable characters.",
        ),
        query(
            "fieldValidation",
            "string",
            "What the server does with objects that have unknown or duplicate fields: Ignore, Warn (the default) or Strict.",
        ),
    ]
}

fn delete_parameters() -> Vec<Value> {
    vec![
        pretty(),
        query(
            "dryRun",
            "string",
            "When present, indicates that modifications should not be persisted. Valid values are: All.",
        ),
        query("gracePeriodSeconds", "integer", "The duration in seconds before the object should be deleted."),
        query(
            "propagationPolicy",
            "string",
            "Whether and how garbage collection is performed: Orphan, Background or Foreground.",
        ),
    ]
}

fn list_parameters() -> Vec<Value> {
    vec![
        pretty(),
        query("allowWatchBookmarks", "boolean", "Requests watch events of type BOOKMARK."),
        query("continue", "string", "Token of the previous page of a list in pages."),
        query("fieldSelector", "string", "A selector to restrict the list of returned objects by their fields."),
        query("labelSelector", "string", "A selector to restrict the list of returned objects by their labels."),
        query("limit", "integer", "The maximum number of objects of a page."),
        query("resourceVersion", "string", "A constraint on what resource versions a request may be served from."),
        query("resourceVersionMatch", "string", "How resourceVersion is applied to list calls."),
        query("sendInitialEvents", "boolean", "Begin a watch with synthetic events of the current state."),
        query("timeoutSeconds", "integer", "Timeout for the list or watch call, in seconds."),
        query("watch", "boolean", "Watch for changes to the described resources."),
    ]
}
