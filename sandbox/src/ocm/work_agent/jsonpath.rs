//! kubectl's JSONPath, without braces: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Members (also quoted in brackets, also with escaped dots), indices and slices, wildcards, filters with one
//! comparison or none, and descent (`..name`). Unions and regular expressions are refused.

use serde_json::Value;

/// A path that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    All,
    Descend,
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Filter(Vec<Step>, Option<(Comparison, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A path that is not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the JSONPath {path:?} is not understood: {why}")]
pub(super) struct BadPath {
    path: String,
    why: String,
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is not understood, or uses something that is not supported.
    pub(super) fn parse(path: &str) -> Result<Self, BadPath> {
        let bad = |why: String| BadPath { path: path.to_owned(), why };
        if !path.starts_with('.') && !path.starts_with('[') {
            return Err(bad("it has to begin with a dot".into()));
        }
        steps(path).map(Self).map_err(bad)
    }

    /// What the path finds, in the order of the object. What is missing is not an error: it finds nothing.
    pub(super) fn find<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        walk(&self.0, object)
    }
}

fn walk<'v>(steps: &[Step], from: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![from];
    for step in steps {
        found = found.into_iter().flat_map(|value| one_step(step, value)).collect();
    }
    found
}

fn one_step<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    match step {
        Step::Member(name) => value.get(name).into_iter().collect(),
        Step::All => children(value),
        Step::Descend => {
            let mut all = vec![value];
            all.extend(children(value).into_iter().flat_map(|child| one_step(step, child)));
            all
        }
        Step::Index(index) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            place(*index, items.len()).and_then(|index| items.get(index)).into_iter().collect()
        }
        Step::Slice(from, to) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let from = from.map_or(0, |from| place(from, items.len()).unwrap_or(0));
            let to = to.map_or(items.len(), |to| place(to, items.len()).unwrap_or(0)).min(items.len());
            items.get(from..to).unwrap_or_default().iter().collect()
        }
        Step::Filter(path, comparison) => {
            let holds = |item: &&Value| match comparison {
                None => !walk(path, item).is_empty(),
                Some((comparison, wanted)) => {
                    walk(path, item).first().is_some_and(|value| compare(value, *comparison, wanted))
                }
            };
            value.as_array().map_or(&[][..], Vec::as_slice).iter().filter(holds).collect()
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// The place that a possibly negative index names in a list of this length.
fn place(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        let back = usize::try_from(index.unsigned_abs()).ok()?;
        length.checked_sub(back)
    }
}

fn compare(found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (found, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match comparison {
        Comparison::Equal => order == Some(Equal),
        Comparison::NotEqual => order != Some(Equal),
        Comparison::Less => order == Some(Less),
        Comparison::LessOrEqual => matches!(order, Some(Less | Equal)),
        Comparison::Greater => order == Some(Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
    }
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            let end = closing(rest)?;
            steps.push(bracket(rest[1..end].trim())?);
            rest = &rest[end + 1..];
            continue;
        }
        if first != '.' {
            return Err(format!("a dot or a bracket is missing before {rest:?}"));
        }
        rest = &rest[1..];
        if rest.starts_with('.') {
            steps.push(Step::Descend);
            rest = &rest[1..];
        }
        let (name, after) = member(rest);
        rest = after;
        match name.as_str() {
            "" if rest.is_empty() || rest.starts_with('[') => {}
            "" => return Err("a name is missing after a dot".into()),
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Member(name)),
        }
    }
    Ok(steps)
}

/// A member's name up to the next dot or bracket; a backslash takes the next character as it is.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            other => name.push(other),
        }
    }
    (name, "")
}

/// Where the bracket that opens the text is closed.
fn closing(text: &str) -> Result<usize, String> {
    let mut depth = 0usize;
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            (None, _) => {}
        }
    }
    Err("a bracket is not closed".into())
}

fn bracket(content: &str) -> Result<Step, String> {
    if content == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = quoted(content) {
        return Ok(Step::Member(name));
    }
    if let Some(filter) = content.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        return filter_step(filter.trim());
    }
    if content.contains(',') {
        return Err("unions are not supported".into());
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text:?} is no index"));
    let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
    match content.split(':').collect::<Vec<_>>().as_slice() {
        [index] => Ok(Step::Index(number(index)?)),
        [from, to] => Ok(Step::Slice(bound(from)?, bound(to)?)),
        _ => Err("a slice with a step is not supported".into()),
    }
}

fn quoted(text: &str) -> Option<String> {
    ['"', '\''].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then(|| inner.to_owned())
    })
}

fn filter_step(filter: &str) -> Result<Step, String> {
    const OPERATORS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let path = |text: &str| {
        let path = text.trim().strip_prefix('@').ok_or_else(|| format!("the filter {text:?} has to begin with @"))?;
        steps(path)
    };
    // The operator is looked for outside of quotes, the longest first at each place.
    let mut quote = None;
    for (at, character) in filter.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, _) => {
                if let Some((text, comparison)) = OPERATORS.iter().find(|(text, _)| filter[at..].starts_with(text)) {
                    let wanted = literal(filter[at + text.len()..].trim())?;
                    return Ok(Step::Filter(path(&filter[..at])?, Some((*comparison, wanted))));
                }
            }
        }
    }
    Ok(Step::Filter(path(filter)?, None))
}

fn literal(text: &str) -> Result<Value, String> {
    if let Some(text) = quoted(text) {
        return Ok(Value::String(text));
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value),
        _ => Err(format!("{text:?} is neither a quoted string nor a number nor a boolean")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(path: &str, object: &Value) -> Vec<Value> {
        JsonPath::parse(path).unwrap().find(object).into_iter().cloned().collect()
    }

    #[test]
    fn paths_find_what_kubectl_finds() {
        let object = json!({
            "metadata": {"generation": 4, "annotations": {"a.b/c": "x"}},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "n": 1},
                {"type": "Done]", "status": "False", "n": 2}]}
        });
        assert_eq!(find(".metadata.generation", &object), [json!(4)]);
        assert_eq!(find(r".metadata.annotations.a\.b/c", &object), [json!("x")]);
        assert_eq!(find(".metadata.annotations['a.b/c']", &object), [json!("x")]);
        assert_eq!(find(r#".status.conditions[?(@.type=="Ready")].status"#, &object), [json!("True")]);
        assert_eq!(find(".status.conditions[?(@.type == 'Done]')].status", &object), [json!("False")]);
        assert_eq!(find(".status.conditions[?(@.n>=2)].type", &object), [json!("Done]")]);
        assert_eq!(find(".status.conditions[?(@.n!=2)].type", &object), [json!("Ready")]);
        assert_eq!(find(".status.conditions[?(@.missing)].type", &object), Vec::<Value>::new());
        assert_eq!(find(".status.conditions[*].n", &object), [json!(1), json!(2)]);
        assert_eq!(find(".status.conditions[-1].n", &object), [json!(2)]);
        assert_eq!(find(".status.conditions[0:1].n", &object), [json!(1)]);
        assert_eq!(find("..n", &object), [json!(1), json!(2)]);
        assert_eq!(find(".", &object), std::slice::from_ref(&object));
        assert_eq!(find(".status.missing.deeper", &object), Vec::<Value>::new());
        assert_eq!(find(".status.conditions[9]", &object), Vec::<Value>::new());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for path in ["status", "{.a}", ".a[", ".a[x]", ".a[1,2]", ".a[::2]", ".a[?(b==1)]", ".a[?(@.b==c)]", ".a.b["] {
            let parsed = JsonPath::parse(path);
            assert!(parsed.is_err(), "{path} gave {parsed:?}");
        }
    }
}
