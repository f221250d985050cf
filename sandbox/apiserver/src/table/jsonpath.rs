//! JSONPath, the subset that printer columns and kubectl use.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Filter { path: Vec<Step>, test: Option<(Compare, Value)> },
    Recursive(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A parsed path: `.a.b[0].c`, `.a['x.y']`, `.items[*].name`, `.conditions[?(@.type=="Ready")].status`, `..name`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

impl JsonPath {
    /// Parses a path. A leading `$` and surrounding braces are accepted.
    ///
    /// # Errors
    /// Where the text is not a path of the subset.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bare = text.trim();
        let bare = bare.strip_prefix('{').and_then(|b| b.strip_suffix('}')).unwrap_or(bare);
        let bare = bare.strip_prefix('$').unwrap_or(bare);
        Ok(Self { steps: parse_steps(bare).map_err(|e| format!("{e} in path {text:?}"))? })
    }

    /// All values at the path, in document order.
    pub fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        find(&self.steps, root)
    }
}

fn parse_steps(text: &str) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            let (name, after) = name(after)?;
            out.push(Step::Recursive(name));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with('[') {
                rest = after;
                continue;
            }
            let (name, after) = name(after)?;
            out.push(if name == "*" { Step::Wildcard } else { Step::Field(name) });
            rest = after;
        } else if rest.starts_with('[') {
            let end = closing_bracket(rest).ok_or("unclosed [")?;
            out.push(bracket(&rest[1..end])?);
            rest = &rest[end + 1..];
        } else if out.is_empty() {
            // `a.b` without the leading dot.
            let (name, after) = name(rest)?;
            out.push(Step::Field(name));
            rest = after;
        } else {
            return Err(format!("unexpected {rest:?}"));
        }
    }
    Ok(out)
}

/// A field name, in which a backslash escapes a dot.
fn name(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => {
                out.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' => return finish(out, &text[i..]),
            c => out.push(c),
        }
    }
    finish(out, "")
}

fn finish(name: String, rest: &str) -> Result<(String, &str), String> {
    if name.is_empty() { Err("empty field name".to_owned()) } else { Ok((name, rest)) }
}

fn closing_bracket(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Result<Step, String> {
    let inner = inner.trim();
    if inner == "*" {
        return Ok(Step::Wildcard);
    }
    if let Some(expression) = inner.strip_prefix("?(").and_then(|e| e.strip_suffix(')')) {
        return filter(expression.trim());
    }
    if let Some(literal) = unquoted(inner) {
        return Ok(Step::Field(literal));
    }
    let number = |text: &str| -> Result<Option<i64>, String> {
        match text.trim() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| format!("bad index {digits:?}")),
        }
    };
    match inner.split_once(':') {
        Some((from, to)) => Ok(Step::Slice(number(from)?, number(to)?)),
        None => number(inner)?.map(Step::Index).ok_or_else(|| "empty brackets".to_owned()),
    }
}

fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text[1..].strip_suffix(quote)?;
    Some(inner.to_owned())
}

fn filter(expression: &str) -> Result<Step, String> {
    const OPERATORS: [(&str, Compare); 6] = [
        ("==", Compare::Equal),
        ("!=", Compare::NotEqual),
        ("<=", Compare::LessOrEqual),
        (">=", Compare::GreaterOrEqual),
        ("<", Compare::Less),
        (">", Compare::Greater),
    ];
    let path_of = |text: &str| -> Result<Vec<Step>, String> {
        let relative = text.trim().strip_prefix('@').ok_or("a filter must begin with @")?;
        parse_steps(relative)
    };
    for (symbol, compare) in OPERATORS {
        let Some((left, right)) = expression.split_once(symbol) else {
            continue;
        };
        let right = right.trim();
        let value = match unquoted(right) {
            Some(text) => Value::String(text),
            None => serde_json::from_str(right).map_err(|_| format!("bad value {right:?} in filter"))?,
        };
        return Ok(Step::Filter { path: path_of(left)?, test: Some((compare, value)) });
    }
    Ok(Step::Filter { path: path_of(expression)?, test: None })
}

fn find<'v>(steps: &[Step], root: &'v Value) -> Vec<&'v Value> {
    let mut current = vec![root];
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            take(step, value, &mut next);
        }
        current = next;
    }
    current
}

fn take<'v>(step: &Step, value: &'v Value, out: &mut Vec<&'v Value>) {
    match step {
        Step::Field(name) => out.extend(value.get(name)),
        Step::Wildcard => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(fields) => out.extend(fields.values()),
            _ => {}
        },
        Step::Index(index) => {
            if let Some(items) = value.as_array() {
                out.extend(at(items, *index));
            }
        }
        Step::Slice(from, to) => {
            if let Some(items) = value.as_array() {
                let bound = |i: i64| -> usize {
                    let length = items.len() as i64;
                    (if i < 0 { length + i } else { i }).clamp(0, length) as usize
                };
                let (from, to) = (bound(from.unwrap_or(0)), to.map_or(items.len(), bound));
                out.extend(items.iter().take(to).skip(from));
            }
        }
        Step::Filter { path, test } => {
            let passes = |item: &&'v Value| {
                let found = find(path, item);
                match (found.first(), test) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(found), Some((compare, wanted))) => compares(found, *compare, wanted),
                }
            };
            match value {
                Value::Array(items) => out.extend(items.iter().filter(passes)),
                other => out.extend(Some(other).into_iter().filter(passes)),
            }
        }
        Step::Recursive(name) => descend(name, value, out),
    }
}

fn descend<'v>(name: &str, value: &'v Value, out: &mut Vec<&'v Value>) {
    out.extend(value.get(name));
    match value {
        Value::Array(items) => items.iter().for_each(|i| descend(name, i, out)),
        Value::Object(fields) => fields.values().for_each(|f| descend(name, f, out)),
        _ => {}
    }
}

fn at(items: &[Value], index: i64) -> Option<&Value> {
    let place = if index < 0 { items.len() as i64 + index } else { index };
    usize::try_from(place).ok().and_then(|i| items.get(i))
}

fn compares(found: &Value, compare: Compare, wanted: &Value) -> bool {
    let order = match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match compare {
        Compare::Equal => found == wanted || order.is_some_and(std::cmp::Ordering::is_eq),
        Compare::NotEqual => found != wanted && !order.is_some_and(std::cmp::Ordering::is_eq),
        Compare::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Compare::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Compare::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Compare::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}
