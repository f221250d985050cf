//! Field selectors: `metadata.name=x,status.phase!=Running`.

use crate::meta;
use crate::registry::Resource;
use serde_json::Value;

/// A parsed field selector. Every term has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses a selector for a resource; an empty one selects everything.
    ///
    /// # Errors
    /// The text of the 400 that the API server answers: bad syntax, or a field that the resource cannot be selected by.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, String> {
        let mut terms = Vec::new();
        for part in split_terms(text) {
            if part.is_empty() {
                continue;
            }
            let term =
                parse_term(&part).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            if !resource.is_selectable(&term.path) {
                return Err(resource.unselectable(&term.path));
            }
            terms.push(term);
        }
        Ok(Self { terms })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The name, when the selector allows a single one.
    pub fn name(&self) -> Option<&str> {
        self.exact("metadata.name")
    }

    /// The namespace, when the selector allows a single one.
    pub fn namespace(&self) -> Option<&str> {
        self.exact("metadata.namespace")
    }

    fn exact(&self, path: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.equal && t.path == path).map(|t| t.value.as_str())
    }

    /// Whether an object matches.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|t| (field_text(object, &t.path) == t.value) == t.equal)
    }
}

/// The text of a field as selectors see it; empty when it is absent.
fn field_text(object: &Value, path: &str) -> String {
    match path {
        "metadata.name" => return meta::name(object).to_owned(),
        "metadata.namespace" => return meta::namespace(object).to_owned(),
        // The old name of the field for events of either group.
        "source" => {
            let component = lookup(object, "source.component");
            return if component.is_empty() { lookup(object, "reportingComponent") } else { component };
        }
        "status.successful" => {
            let text = lookup(object, "status.succeeded");
            return if text.is_empty() { "0".to_owned() } else { text };
        }
        "spec.unschedulable" | "spec.hostNetwork" => {
            let text = lookup(object, path);
            return if text.is_empty() { "false".to_owned() } else { text };
        }
        _ => {}
    }
    lookup(object, path)
}

fn lookup(object: &Value, path: &str) -> String {
    let mut value = object;
    for part in path.split('.') {
        match value.get(part) {
            Some(inner) => value = inner,
            None => return String::new(),
        }
    }
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

fn parse_term(part: &str) -> Option<Term> {
    let bytes = part.as_bytes();
    let at = (0..bytes.len()).find(|&i| {
        let rest = &part.as_bytes()[i..];
        rest.starts_with(b"!=") || rest.starts_with(b"=")
    })?;
    let (path, rest) = part.split_at(at);
    let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
        (false, value)
    } else if let Some(value) = rest.strip_prefix("==") {
        (true, value)
    } else {
        (true, rest.strip_prefix('=')?)
    };
    Some(Term { path: path.trim().to_owned(), value: unescape(value.trim())?, equal })
}

/// Undoes `\\`, `\,` and `\=`; anything else after a backslash, and a bare `=`, is an error.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('\\' | ',' | '=') => out.push(c),
                _ => return None,
            },
            '=' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
