//! What an answer looks like without what differs from run to run.
//!
//! Uids and revisions become numbers in the order in which they are first seen, so that it still shows which are the same.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

static UID: LazyLock<Regex> = LazyLock::new(|| regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"));
static AGE: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d+(s|m|ms|m\d+s)$"));
static AGES: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)(\s)\d+(s|ms|m\d*s?)( ago)?(\s|$)"));
static REVISIONS: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"((?i:resource ?version)(:\s+|="|: "|":")|current: |\()\d+"#));
/// Objects in messages: the order of their fields is that of a Go struct, and of no meaning.
static OBJECTS: LazyLock<Regex> = LazyLock::new(|| regex(r#"Invalid value: ("\{\\".*\}"|\[?\{.*\}\]?): "#));
static LOGGED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^([IWE])\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ "));
static DIFFED: LazyLock<Regex> = LazyLock::new(|| regex(r"/tmp/(LIVE|MERGED)-\d+"));
static DATED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^((---|\+\+\+) \S+)\s.*$"));
static LONG_DATE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"));

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a regular expression")
}

/// What has been seen in a case.
#[derive(Default)]
pub struct Seen {
    uids: HashMap<String, usize>,
    revisions: HashMap<String, usize>,
}

fn numbered(seen: &mut HashMap<String, usize>, what: &str, value: &str) -> String {
    let next = seen.len() + 1;
    format!("<{what} {}>", seen.entry(value.to_owned()).or_insert(next))
}

impl Seen {
    /// A JSON answer, keys in order.
    pub fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => self.object(fields),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::String(text) => Value::String(self.line(text)),
            other => other.clone(),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>) -> Value {
        let mut keys: Vec<&String> = fields.keys().collect();
        keys.sort();
        let mut out = Map::new();
        for key in keys {
            let value = &fields[key];
            let new = match (key.as_str(), value) {
                ("resourceVersion", Value::String(text)) if !text.is_empty() => {
                    // Lists carry the revision of the whole cluster, in which others write.
                    let of_object = ["name", "uid"].iter().any(|key| fields.contains_key(*key));
                    if of_object { numbered(&mut self.revisions, "revision", text) } else { "<revision>".into() }.into()
                }
                ("continue", Value::String(text)) if !text.is_empty() => "<token>".into(),
                ("ca.crt", Value::String(_)) => "<certificate>".into(),
                ("clusterIP", Value::String(text)) if text.starts_with("10.96.") => "<address>".into(),
                ("clusterIPs", Value::Array(_)) => "<addresses>".into(),
                ("nodePort", Value::Number(_)) => "<port>".into(),
                ("managedFields", Value::Array(entries)) => self.managers(entries),
                ("cells", Value::Array(cells)) => cells.iter().map(|cell| self.cell(cell)).collect(),
                ("name", Value::String(text)) => match fields.get("generateName").and_then(Value::as_str) {
                    Some(stem) if text.starts_with(stem) => format!("{stem}<suffix>").into(),
                    _ => self.value(value),
                },
                _ => self.value(value),
            };
            out.insert(self.line(key), new);
        }
        sort_causes(&mut out);
        Value::Object(out)
    }

    fn cell(&mut self, cell: &Value) -> Value {
        match cell.as_str() {
            Some(text) if AGE.is_match(text) => "<age>".into(),
            _ => self.value(cell),
        }
    }

    /// Managers in an order that does not depend on the time, their fields on one line.
    fn managers(&mut self, entries: &[Value]) -> Value {
        let mut entries: Vec<Value> = entries.iter().map(|entry| self.value(entry)).collect();
        for entry in &mut entries {
            if let Some(fields) = entry.get_mut("fieldsV1") {
                *fields = fields.to_string().into();
            }
        }
        entries.sort_by_key(|entry| {
            ["operation", "manager", "subresource"].map(|key| entry[key].as_str().unwrap_or_default().to_owned())
        });
        entries.into()
    }

    fn line(&mut self, text: &str) -> String {
        let text = UID.replace_all(text, |found: &regex::Captures<'_>| numbered(&mut self.uids, "uid", &found[0]));
        let text = TIME.replace_all(&text, "<time>");
        let text = OBJECTS.replace_all(&text, "Invalid value: <object>: ");
        if text.contains("resource version") || text.contains("ResourceVersion") {
            REVISIONS.replace_all(&text, "$1<revision>").into()
        } else {
            text.into()
        }
    }

    /// The output of a command.
    pub fn output(&mut self, text: &str) -> String {
        let text = self.line(text);
        let text = REVISIONS.replace_all(&text, "$1<revision>");
        let text = AGES.replace_all(&text, "$1<age>$3$4");
        let text = LONG_DATE.replace_all(&text, "<time>");
        let text = LOGGED.replace_all(&text, "$1<log> ");
        let text = DATED.replace_all(&text, "$1");
        DIFFED.replace_all(&text, "/tmp/$1").into()
    }
}

/// Puts the causes of a Status in order: the server finds some of them by walking over a map. The message lists them once more.
fn sort_causes(status: &mut Map<String, Value>) {
    let causes = status.get_mut("details").and_then(|details| details.get_mut("causes")).and_then(Value::as_array_mut);
    let Some(causes) = causes.filter(|causes| causes.len() > 1) else { return };
    causes.sort_by_key(ToString::to_string);
    if let Some(Value::String(message)) = status.get_mut("message")
        && let Some(at) = message.find("is invalid: [")
    {
        message.truncate(at);
        message.push_str("is invalid: [<causes>]");
    }
}

/// Takes a field out, by its path.
pub fn remove(value: &mut Value, path: &str) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    match (value, rest) {
        (Value::Object(fields), Some(rest)) if first == "*" => fields.values_mut().for_each(|v| remove(v, rest)),
        (Value::Array(items), Some(rest)) if first == "*" => items.iter_mut().for_each(|v| remove(v, rest)),
        (Value::Object(fields), Some(rest)) => {
            if let Some(inner) = fields.get_mut(first) {
                remove(inner, rest);
            }
        }
        (Value::Object(fields), None) => drop(fields.remove(first)),
        _ => {}
    }
}
