//! Columns and rows.

use super::builtin;
use super::duration::human_duration;
use super::jsonpath::JsonPath;
use jiff::Timestamp;
use serde_json::{Value, json};

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// What a row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// A PartialObjectMetadata (the default).
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the `includeObject` query parameter; absent or empty is `Metadata`; `None` for anything unknown (400).
    pub fn parse(parameter: Option<&str>) -> Option<Self> {
        match parameter {
            None | Some("" | "Metadata") => Some(Self::Metadata),
            Some("None") => Some(Self::None),
            Some("Object") => Some(Self::Object),
            Some(_) => None,
        }
    }
}

/// How a cell is made.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// `metadata.name`.
    Name,
    /// The string at a JSON pointer, empty when there is none.
    Pointer(&'static str),
    /// By JSONPath, converted by the column's type.
    Path(JsonPath),
    /// A function of the object and the time.
    Made(fn(&Value, Timestamp) -> Value),
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
    pub(super) cell: Cell,
}

impl Column {
    pub(super) fn made(name: &str, kind: &str, priority: i64, cell: fn(&Value, Timestamp) -> Value) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: String::new(),
            description: String::new(),
            priority,
            cell: Cell::Made(cell),
        }
    }

    pub(super) fn text(name: &str, priority: i64, pointer: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "string".to_owned(),
            format: String::new(),
            description: String::new(),
            priority,
            cell: Cell::Pointer(pointer),
        }
    }

    pub(super) fn name() -> Self {
        Self {
            name: "Name".to_owned(),
            kind: "string".to_owned(),
            format: "name".to_owned(),
            description: NAME.to_owned(),
            priority: 0,
            cell: Cell::Name,
        }
    }

    pub(super) fn age() -> Self {
        Self::made("Age", "string", 0, |object, now| age(object.pointer("/metadata/creationTimestamp"), now))
            .described(AGE)
    }

    pub(super) fn described(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }
}

/// The columns of a kind.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<Column>,
}

impl Columns {
    /// From a CRD version's `additionalPrinterColumns`; Name and Age when absent. A column whose path cannot be read is
    /// left out (CRD validation refuses it before).
    pub fn from_crd(additional_printer_columns: Option<&Value>) -> Self {
        let Some(list) = additional_printer_columns.and_then(Value::as_array).filter(|l| !l.is_empty()) else {
            return Self::default_columns();
        };
        let mut columns = vec![Column::name()];
        for raw in list {
            let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            if let Ok(path) = JsonPath::parse(&text("jsonPath")) {
                columns.push(Column {
                    name: text("name"),
                    kind: text("type"),
                    format: text("format"),
                    description: match text("description") {
                        none if none.is_empty() => {
                            format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath"))
                        }
                        given => given,
                    },
                    priority: raw.get("priority").and_then(Value::as_i64).unwrap_or(0),
                    cell: Cell::Path(path),
                });
            }
        }
        Self { columns }
    }

    /// Of a built-in kind; Name and Age when there is nothing special about it.
    pub fn builtin(group: &str, kind: &str) -> Self {
        match builtin::columns(group, kind) {
            Some(columns) => Self { columns },
            None => Self::default_columns(),
        }
    }

    fn default_columns() -> Self {
        Self { columns: vec![Column::name(), Column::age()] }
    }

    fn definitions(&self) -> Vec<Value> {
        self.columns
            .iter()
            .map(|c| {
                json!({
                    "name": c.name,
                    "type": c.kind,
                    "format": c.format,
                    "description": c.description,
                    "priority": c.priority,
                })
            })
            .collect()
    }
}

/// A `meta.k8s.io/v1` Table. `list_meta` is the list's metadata (resourceVersion, continue, remainingItemCount); for
/// a single object `{"resourceVersion": ...}`. `with_definitions` is false for watch events after the first.
pub fn table(
    columns: &Columns,
    objects: &[Value],
    list_meta: Value,
    include: IncludeObject,
    now: Timestamp,
    with_definitions: bool,
) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(columns, object, include, now)).collect();
    let definitions = if with_definitions { Value::from(columns.definitions()) } else { Value::Null };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn row(columns: &Columns, object: &Value, include: IncludeObject, now: Timestamp) -> Value {
    let cells: Vec<Value> = columns.columns.iter().map(|c| cell(c, object, now)).collect();
    let carried = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => object.clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
        }),
    };
    json!({"cells": cells, "object": carried})
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    match &column.cell {
        Cell::Name => json!(object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()),
        Cell::Pointer(pointer) => json!(object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()),
        Cell::Made(make) => make(object, now),
        Cell::Path(path) => {
            let found = path.find(object);
            match (found.as_slice(), column.kind.as_str()) {
                ([], _) => Value::Null,
                (many, "string") if many.len() > 1 => {
                    Value::String(many.iter().map(|v| text(v)).collect::<Vec<_>>().join(" "))
                }
                ([first, ..], kind) => converted(first, kind, now),
            }
        }
    }
}

/// A value as a column of a type shows it. What does not convert is null, which prints as nothing.
fn converted(value: &Value, kind: &str, now: Timestamp) -> Value {
    match kind {
        "integer" => match value {
            Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)).map_or(Value::Null, Value::from),
            Value::String(s) => s.parse::<i64>().map_or(Value::Null, Value::from),
            _ => Value::Null,
        },
        "number" => match value {
            Value::Number(_) => value.clone(),
            Value::String(s) => s.parse::<f64>().map_or(Value::Null, Value::from),
            _ => Value::Null,
        },
        "boolean" => match value {
            Value::Bool(_) => value.clone(),
            Value::String(s) => s.parse::<bool>().map_or(Value::Null, Value::from),
            _ => Value::Null,
        },
        "date" => age(Some(value), now),
        _ if value.is_null() => Value::Null,
        _ => Value::String(text(value)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// The age of a timestamp: `<unknown>` when there is none, `<invalid>` when it cannot be read.
pub(super) fn age(timestamp: Option<&Value>, now: Timestamp) -> Value {
    let Some(text) = timestamp.and_then(Value::as_str).filter(|t| !t.is_empty()) else {
        return json!("<unknown>");
    };
    match text.parse::<Timestamp>() {
        Ok(then) => json!(human_duration(now.as_second() - then.as_second())),
        Err(_) => json!("<invalid>"),
    }
}
