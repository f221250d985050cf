//! From a CRD's JSON schema to the arena, checking on the way that it is structural.

use super::builtin::add_object_meta;
use super::cel::Rule;
use super::cel_check;
use super::default::default_value;
use super::error::FieldError;
use super::format::Format;
use super::node::{Additional, Arena, Checks, Kind, Node, NodeId, Topology};
use super::validate_value::check_value;
use regex::Regex;
use serde_json::{Map, Value, json};

/// Where a schema stands, which decides what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Property,
    Items,
    Additional,
    /// Below `allOf`, `anyOf`, `oneOf` or `not`: value checks only.
    Junctor,
}

struct Compiler {
    arena: Arena,
    errors: Vec<FieldError>,
    object_meta: Option<NodeId>,
}

/// Compiles a structural schema.
pub(super) fn compile_structural(raw: &Value) -> Result<Arena, Vec<FieldError>> {
    let mut compiler = Compiler { arena: Arena::default(), errors: Vec::new(), object_meta: None };
    let root = compiler.schema(raw, "openAPIV3Schema", Place::Root);
    compiler.arena.root = root;
    if compiler.errors.is_empty() {
        cel_check::check(&compiler.arena, &mut compiler.errors);
        defaults(&compiler.arena, root, "openAPIV3Schema", &mut Vec::new(), &mut compiler.errors);
    }
    if compiler.errors.is_empty() { Ok(compiler.arena) } else { Err(compiler.errors) }
}

/// Whether a schema of `metadata` has fields besides the names.
fn says_more_than_names(metadata: &Value) -> bool {
    let fields = metadata.get("properties").and_then(Value::as_object);
    fields.is_some_and(|f| f.keys().any(|k| k != "name" && k != "generateName"))
}

/// Defaults have to be valid themselves.
fn defaults(arena: &Arena, id: NodeId, path: &str, above: &mut Vec<NodeId>, errors: &mut Vec<FieldError>) {
    let node = arena.node(id);
    if above.contains(&id) || node.definition.is_some() {
        return;
    }
    above.push(id);
    if let Some(default) = &node.default {
        let mut value = default.clone();
        default_value(arena, id, &mut value);
        let at = format!("{path}.default");
        let mut found = Vec::new();
        check_value(arena, id, &value, None, "", &mut found);
        errors.extend(found.into_iter().map(|mut e| {
            let inside = if e.field.is_empty() || e.field.starts_with('[') { "" } else { "." };
            e.field = format!("{at}{inside}{}", e.field);
            e
        }));
    }
    for (name, child) in &node.properties {
        defaults(arena, *child, &format!("{path}.properties[{name}]"), above, errors);
    }
    if let Some(item) = node.items {
        defaults(arena, item, &format!("{path}.items"), above, errors);
    }
    if let Additional::Schema(child) = node.additional {
        defaults(arena, child, &format!("{path}.additionalProperties"), above, errors);
    }
    above.pop();
}

impl Compiler {
    fn forbid(&mut self, path: &str, detail: &str) {
        self.errors.push(FieldError::forbidden(path, detail));
    }

    fn schema(&mut self, raw: &Value, path: &str, place: Place) -> NodeId {
        let Some(fields) = raw.as_object() else {
            self.errors.push(FieldError::invalid(path, raw, "must be a schema object"));
            return self.arena.push(Node::default());
        };
        self.forbidden_keywords(fields, path, place);
        let mut node = Node {
            nullable: flag(fields, "nullable"),
            int_or_string: flag(fields, "x-kubernetes-int-or-string"),
            preserve_unknown: flag(fields, "x-kubernetes-preserve-unknown-fields"),
            embedded_resource: flag(fields, "x-kubernetes-embedded-resource"),
            atomic_map: fields.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
            default: fields.get("default").cloned(),
            ..Node::default()
        };
        node.kind = self.kind(fields, &node, path, place);
        self.children(fields, &mut node, path, place);
        node.checks = self.checks(fields, path);
        node.topology = self.topology(fields, &node, path);
        self.rules(fields, &mut node, path);
        if place == Place::Root || node.embedded_resource {
            self.resource_fields(&mut node);
        }
        self.arena.push(node)
    }

    fn kind(&mut self, fields: &Map<String, Value>, node: &Node, path: &str, place: Place) -> Option<Kind> {
        let name = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            let excused = node.int_or_string || (node.preserve_unknown && place != Place::Root);
            let what = match place {
                Place::Junctor => return None,
                _ if excused => return None,
                Place::Root => "must not be empty at the root",
                Place::Property => "must not be empty for specified object fields",
                Place::Items => "must not be empty for specified array items",
                Place::Additional => "must not be empty for specified object fields",
            };
            self.errors.push(FieldError::required(format!("{path}.type"), what));
            return None;
        }
        let kind = Kind::parse(name);
        if kind.is_none() {
            self.errors.push(FieldError::not_supported(
                format!("{path}.type"),
                &json!(name),
                &["array", "boolean", "integer", "number", "object", "string"],
            ));
        }
        if place == Place::Root && kind != Some(Kind::Object) {
            self.errors.push(FieldError::invalid(format!("{path}.type"), &json!(name), "must be object at the root"));
        }
        if node.embedded_resource && kind != Some(Kind::Object) {
            self.errors.push(FieldError::invalid(
                format!("{path}.type"),
                &json!(name),
                "must be object if x-kubernetes-embedded-resource is true",
            ));
        }
        if place == Place::Junctor && !matches!(kind, Some(Kind::Integer | Kind::String)) {
            // `type` below a junctor belongs to the int-or-string pattern only.
            self.forbid(&format!("{path}.type"), "must be empty to be structural");
        }
        kind
    }

    fn forbidden_keywords(&mut self, fields: &Map<String, Value>, path: &str, place: Place) {
        const NEVER: [&str; 7] =
            ["$ref", "$schema", "id", "definitions", "dependencies", "patternProperties", "additionalItems"];
        for keyword in NEVER {
            if fields.contains_key(keyword) {
                self.forbid(&format!("{path}.{keyword}"), &format!("{keyword} is not supported"));
            }
        }
        if flag(fields, "uniqueItems") {
            self.forbid(
                &format!("{path}.uniqueItems"),
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            );
        }
        if fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.errors.push(FieldError::invalid(
                format!("{path}.x-kubernetes-preserve-unknown-fields"),
                &json!(false),
                "must be true or undefined",
            ));
        }
        if place == Place::Junctor {
            const NOT_IN_JUNCTOR: [&str; 8] = [
                "additionalProperties",
                "default",
                "nullable",
                "x-kubernetes-preserve-unknown-fields",
                "x-kubernetes-embedded-resource",
                "x-kubernetes-int-or-string",
                "x-kubernetes-list-type",
                "x-kubernetes-map-type",
            ];
            for keyword in NOT_IN_JUNCTOR {
                if fields.get(keyword).is_some_and(|v| *v != Value::Bool(false)) {
                    self.forbid(&format!("{path}.{keyword}"), "must be undefined to be structural");
                }
            }
        }
    }

    fn children(&mut self, fields: &Map<String, Value>, node: &mut Node, path: &str, place: Place) {
        let inner = |p: Place| {
            if place == Place::Junctor { Place::Junctor } else { p }
        };
        if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
            for (name, child) in properties {
                if place == Place::Root && name == "metadata" && says_more_than_names(child) {
                    self.forbid(
                        &format!("{path}.properties[metadata]"),
                        "must not specify anything other than name and generateName, but metadata is implicitly specified",
                    );
                }
                let id = self.schema(child, &format!("{path}.properties[{name}]"), inner(Place::Property));
                node.properties.insert(name.clone(), id);
            }
        }
        match fields.get("additionalProperties") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(true)) => node.additional = Additional::Any,
            Some(Value::Bool(false)) => {
                self.forbid(&format!("{path}.additionalProperties"), "additionalProperties cannot be set to false");
            }
            Some(child) => {
                let id = self.schema(child, &format!("{path}.additionalProperties"), inner(Place::Additional));
                node.additional = Additional::Schema(id);
            }
        }
        if node.additional != Additional::None && !node.properties.is_empty() {
            self.forbid(
                &format!("{path}.additionalProperties"),
                "additionalProperties and properties are mutual exclusive",
            );
        }
        match fields.get("items") {
            None | Some(Value::Null) => {
                if node.kind == Some(Kind::Array) && place != Place::Junctor {
                    self.errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
                }
            }
            Some(Value::Array(_)) => {
                self.forbid(&format!("{path}.items"), "items must be a schema object and not an array")
            }
            Some(child) => {
                node.items = Some(self.schema(child, &format!("{path}.items"), inner(Place::Items)));
            }
        }
    }

    fn junctors(&mut self, fields: &Map<String, Value>, keyword: &str, path: &str) -> Vec<NodeId> {
        let Some(list) = fields.get(keyword).and_then(Value::as_array) else {
            return Vec::new();
        };
        list.iter()
            .enumerate()
            .map(|(i, child)| self.schema(child, &format!("{path}.{keyword}[{i}]"), Place::Junctor))
            .collect()
    }

    fn checks(&mut self, fields: &Map<String, Value>, path: &str) -> Checks {
        let number = |name: &str| fields.get(name).and_then(Value::as_f64);
        let count = |name: &str| fields.get(name).and_then(Value::as_u64);
        let pattern = match fields.get("pattern").and_then(Value::as_str) {
            None | Some("") => None,
            Some(text) => match Regex::new(text) {
                Ok(regex) => Some((text.to_owned(), regex)),
                Err(error) => {
                    self.errors.push(FieldError::invalid(
                        format!("{path}.pattern"),
                        &json!(text),
                        format!("must be a valid regular expression, but isn't: {error}"),
                    ));
                    None
                }
            },
        };
        Checks {
            allowed: fields.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            pattern,
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag(fields, "exclusiveMinimum"),
            exclusive_maximum: flag(fields, "exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            required: strings(fields.get("required")),
            format: fields.get("format").and_then(Value::as_str).and_then(Format::parse),
            all_of: self.junctors(fields, "allOf", path),
            any_of: self.junctors(fields, "anyOf", path),
            one_of: self.junctors(fields, "oneOf", path),
            not: fields
                .get("not")
                .filter(|v| !v.is_null())
                .map(|child| self.schema(child, &format!("{path}.not"), Place::Junctor)),
        }
    }

    fn topology(&mut self, fields: &Map<String, Value>, node: &Node, path: &str) -> Topology {
        let list_type = fields.get("x-kubernetes-list-type").and_then(Value::as_str);
        let keys = strings(fields.get("x-kubernetes-list-map-keys"));
        let at = |what: &str| format!("{path}.{what}");
        match list_type {
            None | Some("atomic") => Topology::Atomic,
            Some("set") => Topology::Set,
            Some("map") => {
                if keys.is_empty() {
                    self.errors.push(FieldError::required(
                        at("x-kubernetes-list-map-keys"),
                        "must not be empty if x-kubernetes-list-type is map",
                    ));
                }
                for key in &keys {
                    let known = node.items.is_some_and(|i| self.arena.node(i).properties.contains_key(key));
                    if !known {
                        self.errors.push(FieldError::invalid(
                            at("x-kubernetes-list-map-keys"),
                            &json!(key),
                            "entries must all be names of item properties",
                        ));
                    }
                }
                Topology::Map(keys)
            }
            Some(other) => {
                self.errors.push(FieldError::not_supported(
                    at("x-kubernetes-list-type"),
                    &json!(other),
                    &["atomic", "map", "set"],
                ));
                Topology::Atomic
            }
        }
    }

    fn rules(&mut self, fields: &Map<String, Value>, node: &mut Node, path: &str) {
        let Some(rules) = fields.get("x-kubernetes-validations").and_then(Value::as_array) else {
            return;
        };
        for (i, raw) in rules.iter().enumerate() {
            match Rule::compile(raw) {
                Ok(rule) => node.rules.push(rule),
                Err(detail) => self.errors.push(FieldError::invalid(
                    format!("{path}.x-kubernetes-validations[{i}].rule"),
                    raw.get("rule").unwrap_or(&Value::Null),
                    detail,
                )),
            }
        }
    }

    /// Gives a resource its `apiVersion`, `kind` and `metadata`, whatever the CRD says of them.
    fn resource_fields(&mut self, node: &mut Node) {
        for name in ["apiVersion", "kind"] {
            if !node.properties.contains_key(name) {
                let id = self.arena.push(Node { kind: Some(Kind::String), ..Node::default() });
                node.properties.insert(name.to_owned(), id);
            }
        }
        let full = match self.object_meta {
            Some(id) => id,
            None => {
                let id = add_object_meta(&mut self.arena);
                self.object_meta = Some(id);
                id
            }
        };
        // A CRD may restrict metadata.name and generateName by value checks: they are kept on a copy of the node.
        let restricted =
            node.properties.get("metadata").copied().filter(|id| !self.arena.node(*id).properties.is_empty());
        let metadata = match restricted {
            None => full,
            Some(id) => {
                let mut properties = self.arena.node(full).properties.clone();
                properties.extend(self.arena.node(id).properties.clone());
                let required = self.arena.node(id).checks.required.clone();
                let mut copy = Node {
                    kind: Some(Kind::Object),
                    definition: self.arena.node(full).definition,
                    properties,
                    ..Node::default()
                };
                copy.checks.required = required;
                self.arena.push(copy)
            }
        };
        node.properties.insert("metadata".to_owned(), metadata);
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default()
}
