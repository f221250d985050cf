//! The order of a list after a strategic merge.

use serde_json::Value;

/// What makes two elements the same.
pub(super) enum Identity<'a> {
    /// The value.
    Value,
    /// The value of this field.
    Key(&'a str),
}

impl Identity<'_> {
    fn same(&self, a: &Value, b: &Value) -> bool {
        match self {
            Self::Value => a == b,
            Self::Key(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        }
    }

    fn position(&self, list: &[Value], of: &Value) -> Option<usize> {
        list.iter().position(|candidate| self.same(candidate, of))
    }
}

/// Arranges `merged`: the elements that `wanted` names stand in its order, and the others are put between them, each
/// before the first that stands behind it in `server`. Relative order within both groups is kept.
pub(super) fn arrange(merged: Vec<Value>, wanted: &[Value], server: &[Value], identity: &Identity<'_>) -> Vec<Value> {
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|element| identity.position(wanted, element).is_some());
    named.sort_by_key(|element| identity.position(wanted, element));
    others.sort_by_key(|element| identity.position(server, element));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut rest = others.into_iter().peekable();
    for element in named {
        let here = identity.position(server, &element);
        while let Some(next) = rest.peek() {
            let before = match (identity.position(server, next), here) {
                (Some(theirs), Some(here)) => theirs < here,
                _ => false,
            };
            if !before {
                break;
            }
            out.extend(rest.next());
        }
        out.push(element);
    }
    out.extend(rest);
    out
}
