//! Component schemas of a document.

use super::{ResourceDoc, SchemaSource};
use crate::schema::{builtin, builtin_definitions, merge_extensions};
use serde_json::{Map, Value, json};

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Where references point: `#/components/schemas/` in v3, `#/definitions/` in v2.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) prefix: &'static str,
    /// v3 wraps a reference that has a description beside it in `allOf`; v2 clients ignore the siblings.
    pub(super) wrap_references: bool,
}

pub(super) const V3: Style = Style { prefix: "#/components/schemas/", wrap_references: true };

pub(super) const V2: Style = Style { prefix: "#/definitions/", wrap_references: false };

impl Style {
    pub(super) fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix)})
    }
}

/// Name of the component of a resource: the built-in definition, or the reversed group, version and kind of a CRD.
pub(super) fn component_name(doc: &ResourceDoc) -> String {
    if let Some(schema) = builtin(&doc.group, &doc.version, &doc.kind)
        && matches!(doc.schema, SchemaSource::Builtin)
    {
        return schema.definition().to_owned();
    }
    let mut parts: Vec<&str> = doc.group.split('.').filter(|p| !p.is_empty()).collect();
    parts.reverse();
    parts.push(&doc.version);
    parts.push(&doc.kind);
    parts.join(".")
}

/// Collects the components that a list of resources needs, with everything they refer to.
pub(super) struct Components {
    style: Style,
    out: Map<String, Value>,
}

impl Components {
    pub(super) fn new(style: Style) -> Self {
        Self { style, out: Map::new() }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.out
    }

    /// Adds a resource's kind and its list.
    pub(super) fn add(&mut self, doc: &ResourceDoc) {
        let name = component_name(doc);
        let kinds = json!([{"group": doc.group, "version": doc.version, "kind": doc.kind}]);
        match &doc.schema {
            SchemaSource::Builtin => self.definition(&name),
            SchemaSource::Crd(raw) => {
                let schema = self.custom(raw);
                self.out.insert(name.clone(), schema);
            }
        }
        if let Some(schema) = self.out.get_mut(&name).and_then(Value::as_object_mut) {
            schema.insert("x-kubernetes-group-version-kind".to_owned(), kinds);
        }
        self.list(doc, &name);
    }

    fn list(&mut self, doc: &ResourceDoc, item: &str) {
        self.definition(&format!("{META}.ListMeta"));
        let list_kind = format!("{}List", doc.kind);
        let schema = json!({
            "description": format!("{list_kind} is a list of {}", doc.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": self.style.reference(&format!("{META}.ListMeta")),
                "items": {"type": "array", "items": self.style.reference(item)},
            },
            "x-kubernetes-group-version-kind": [
                {"group": doc.group, "version": doc.version, "kind": list_kind},
            ],
        });
        self.out.insert(format!("{item}List"), schema);
    }

    /// Adds a definition of the built-in types and what it refers to.
    pub(super) fn definition(&mut self, name: &str) {
        if self.out.contains_key(name) {
            return;
        }
        let Some(raw) = builtin_definitions().get(name) else {
            return;
        };
        // Taken before it is filled: definitions can refer to themselves.
        self.out.insert(name.to_owned(), Value::Null);
        let mut schema = self.converted(raw);
        self.int_or_string(name, &mut schema);
        merge_rules(name, &mut schema);
        // metadata is not required of an applied object, whatever the bindings say.
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|r| r != "metadata");
            if required.is_empty()
                && let Some(fields) = schema.as_object_mut()
            {
                fields.remove("required");
            }
        }
        self.out.insert(name.to_owned(), schema);
    }

    /// The two types that are a number or a string on the wire.
    fn int_or_string(&self, name: &str, schema: &mut Value) {
        let Some(fields) = schema.as_object_mut() else {
            return;
        };
        if fields.remove("x-kubernetes-int-or-string").is_none() {
            return;
        }
        if self.style.wrap_references && name.ends_with(".Quantity") {
            fields.insert("oneOf".to_owned(), json!([{"type": "string"}, {"type": "number"}]));
        } else if self.style.wrap_references {
            fields.insert("oneOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
            fields.insert("format".to_owned(), json!("int-or-string"));
        } else {
            fields.insert("type".to_owned(), json!("string"));
            if name.ends_with(".IntOrString") {
                fields.insert("format".to_owned(), json!("int-or-string"));
            }
        }
    }

    /// A JSON schema with its references pointed into this document, adding what they name.
    fn converted(&mut self, raw: &Value) -> Value {
        match raw {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    let name = target.trim_start_matches("#/$defs/").to_owned();
                    self.definition(&name);
                    let reference = self.style.reference(&name);
                    let description = fields.get("description").cloned();
                    return match description {
                        None => reference,
                        Some(text) if self.style.wrap_references => {
                            json!({"description": text, "allOf": [reference], "default": {}})
                        }
                        Some(text) => json!({"description": text, "$ref": reference["$ref"]}),
                    };
                }
                Value::Object(fields.iter().map(|(k, v)| (k.clone(), self.converted(v))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(|v| self.converted(v)).collect()),
            other => other.clone(),
        }
    }

    /// A CRD's schema: its own, with the standard `apiVersion`, `kind` and `metadata`.
    fn custom(&mut self, raw: &Value) -> Value {
        let meta = format!("{META}.ObjectMeta");
        self.definition(&meta);
        if raw.is_null() && !self.style.wrap_references {
            return json!({"type": "object"});
        }
        let mut schema = raw.clone();
        if !schema.is_object() {
            schema = json!({"type": "object"});
        }
        let fields = schema.as_object_mut().map(|f| f.entry("properties").or_insert_with(|| json!({})));
        if let Some(properties) = fields.and_then(Value::as_object_mut) {
            properties.insert(
                "apiVersion".to_owned(),
                json!({
                    "type": "string",
                    "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
                }),
            );
            properties.insert(
                "kind".to_owned(),
                json!({
                    "type": "string",
                    "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
                }),
            );
            let reference = self.style.reference(&meta);
            let description = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
            let metadata = if self.style.wrap_references {
                json!({"description": description, "allOf": [reference]})
            } else {
                json!({"description": description, "$ref": reference["$ref"]})
            };
            properties.insert("metadata".to_owned(), metadata);
        }
        if !self.style.wrap_references {
            reduce_for_v2(&mut schema);
        }
        schema
    }
}

/// How the fields of a built-in type merge: clients that compute patches read it here.
fn merge_rules(name: &str, schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (field, property) in properties {
        if let Some(property) = property.as_object_mut() {
            property.extend(merge_extensions(name, field));
        }
    }
}

/// v2 has no junctors and no nullable, and its clients would refuse values that v3 allows.
fn reduce_for_v2(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let untyped = fields.get("nullable") == Some(&json!(true))
                || fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true))
                || fields.get("x-kubernetes-int-or-string") == Some(&json!(true));
            let is_schema = fields.get("type").is_some_and(Value::is_string) || untyped;
            if is_schema {
                for keyword in ["anyOf", "oneOf", "allOf", "not", "nullable"] {
                    fields.remove(keyword);
                }
                if untyped {
                    for keyword in ["type", "properties", "items", "additionalProperties", "required"] {
                        fields.remove(keyword);
                    }
                }
            }
            fields.values_mut().for_each(reduce_for_v2);
        }
        Value::Array(items) => items.iter_mut().for_each(reduce_for_v2),
        _ => {}
    }
}
