//! CEL rules (`x-kubernetes-validations`): compiling, and evaluating one rule on one value.
//!
//! Language and Kubernetes functions are kube-cel's. The walk, the correlation of old and new values and ratcheting are
//! in `validate`, because they follow the structural schema.

use super::error::FieldError;
use super::format::{Format, parse_duration};
use super::node::{Arena, Kind, Node, NodeId};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{Expr, IdedExpr};
use kube_cel::cel::objects::{Key, Map as CelMap, OptionalValue};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(super) text: String,
    pub(super) program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    reason: Option<String>,
    /// `.a.b` turned into path segments.
    field_path: Vec<String>,
    /// Whether the rule reads `oldSelf`, so that it applies to updates only.
    pub(crate) transition: bool,
    pub(super) optional_old_self: bool,
    /// Whether it has a loop in a loop.
    pub(super) nested: bool,
}

impl Rule {
    /// Compiles one element of `x-kubernetes-validations`. The error is the detail of a field error at the rule.
    pub(crate) fn compile(raw: &Value) -> Result<Self, String> {
        let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
        let rule = text("rule").unwrap_or_default();
        if rule.trim().is_empty() {
            return Err("rule is not specified".to_owned());
        }
        let program = Program::compile(&rule).map_err(|e| format!("compilation failed: {e}"))?;
        let message_program = match text("messageExpression") {
            Some(expression) => {
                Some(Program::compile(&expression).map_err(|e| format!("messageExpression compilation failed: {e}"))?)
            }
            None => None,
        };
        let reason = text("reason");
        if let Some(reason) = reason.as_deref()
            && !matches!(
                reason,
                "FieldValueInvalid" | "FieldValueForbidden" | "FieldValueRequired" | "FieldValueDuplicate"
            )
        {
            return Err(format!("unsupported reason {reason:?}"));
        }
        Ok(Self {
            nested: loops(&program.expression().expr) > 1,
            transition: program.references().has_variable("oldSelf"),
            message: text("message").map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()),
            message_program,
            reason,
            field_path: text("fieldPath").map(|p| split_field_path(&p)).unwrap_or_default(),
            optional_old_self: raw.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or(false),
            text: rule,
            program,
        })
    }

    /// The error of a rule that is not run, because it would take too long.
    pub(crate) fn too_costly(&self, path: &str) -> FieldError {
        let message = self.message.as_deref().unwrap_or_default();
        let rule = if message.is_empty() {
            format!("Rule: \"{}\"", self.text.trim())
        } else {
            format!("Rule: \"{}\", Message: \"{message}\"", self.text.trim())
        };
        let detail = format!(
            "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: {{{rule}}}"
        );
        FieldError::invalid_unshown(path, detail)
    }

    /// Evaluates the rule. `old` is the correlated old value. In the error `kind` names the type, and `shown` is what is
    /// shown of the value.
    pub(crate) fn evaluate(
        &self,
        path: &str,
        (kind, shown): (&str, Option<&Value>),
        new: &Cel,
        old: Option<&Cel>,
    ) -> Option<FieldError> {
        if self.transition && old.is_none() && !self.optional_old_self {
            return None;
        }
        let (outcome, message) = BASE.with(|base| {
            let mut scope = base.new_inner_scope();
            scope.add_variable_from_value("self", new.clone());
            if self.optional_old_self {
                let optional = old.map_or_else(OptionalValue::none, |o| OptionalValue::of(o.clone()));
                scope.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(optional)));
            } else if let Some(old) = old {
                scope.add_variable_from_value("oldSelf", old.clone());
            }
            let outcome = self.program.execute(&scope);
            let message = match (&outcome, &self.message_program) {
                (Ok(Cel::Bool(false)), Some(program)) => match program.execute(&scope) {
                    Ok(Cel::String(s)) if !s.trim().is_empty() && !s.contains('\n') => Some(s.trim().to_owned()),
                    _ => None,
                },
                _ => None,
            };
            (outcome, message)
        });
        let fixed = || self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.text.trim()));
        let detail = match outcome {
            Ok(Cel::Bool(true)) => return None,
            Ok(Cel::Bool(false)) => message.unwrap_or_else(fixed),
            Ok(_) => format!("rule does not evaluate to a bool: {}", self.text.trim()),
            Err(error) => format!("{error} evaluating rule: {}", fixed()),
        };
        let mut field = path.to_owned();
        for segment in &self.field_path {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(segment);
        }
        Some(match self.reason.as_deref() {
            Some("FieldValueForbidden") => FieldError::forbidden(field, detail),
            Some("FieldValueRequired") => FieldError::required(field, detail),
            Some("FieldValueDuplicate") => FieldError::duplicate(field, shown.unwrap_or(&json!(kind))),
            _ => match shown {
                Some(value) => FieldError::invalid(field, value, detail),
                None => FieldError::invalid_unshown(field, detail),
            },
        })
    }
}

/// How deep the loops of an expression are nested.
fn loops(expression: &Expr) -> u32 {
    let deepest = |list: &[IdedExpr]| list.iter().map(|e| loops(&e.expr)).max().unwrap_or_default();
    match expression {
        Expr::Select(select) => loops(&select.operand.expr),
        Expr::Call(call) => call.target.as_ref().map_or(0, |t| loops(&t.expr)).max(deepest(&call.args)),
        Expr::List(list) => deepest(&list.elements),
        Expr::Comprehension(inner) => {
            let body =
                [&inner.loop_cond, &inner.loop_step].map(|e| loops(&e.expr)).into_iter().max().unwrap_or_default();
            (body + 1).max(loops(&inner.iter_range.expr)).max(loops(&inner.result.expr))
        }
        _ => 0,
    }
}

thread_local! {
    // Registering the functions costs far more than a rule; the context is not Sync.
    static BASE: Context<'static> = Context::default().with_all();
}

/// `.spec.a['b.c']` as `["spec", "a", "b.c"]`.
fn split_field_path(path: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['")
            && let Some((name, after)) = quoted.split_once("']")
        {
            out.push(name.to_owned());
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let end = if end == 0 { rest.len() } else { end };
        if !rest[..end].is_empty() {
            out.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    out
}

/// The CEL value of a JSON value, typed by its schema.
pub(crate) fn to_cel(arena: &Arena, id: NodeId, value: &Value) -> Cel {
    let node = arena.node(id);
    match value {
        Value::String(text) => typed_string(node, text),
        Value::Number(_) if node.kind == Some(Kind::Number) => Cel::Float(value.as_f64().unwrap_or(f64::NAN)),
        Value::Number(n) if node.kind == Some(Kind::Integer) && !n.is_i64() => {
            Cel::Int(n.as_f64().unwrap_or(f64::NAN) as i64)
        }
        Value::Array(items) => Cel::List(Arc::new(match node.items {
            Some(item) => items.iter().map(|v| to_cel(arena, item, v)).collect(),
            None => items.iter().map(untyped).collect(),
        })),
        Value::Object(fields) => {
            let is_map = node.properties.is_empty() && node.child("").is_some();
            let mut map = HashMap::with_capacity(fields.len());
            for (name, field) in fields {
                let child = node.child(name);
                // A null counts as absent, unless the schema says that null is a value.
                if field.is_null() && !child.is_some_and(|c| arena.node(c).nullable) {
                    continue;
                }
                let key = if is_map { name.clone() } else { escape(name) };
                let converted = child.map_or_else(|| untyped(field), |c| to_cel(arena, c, field));
                map.insert(Key::String(Arc::new(key)), converted);
            }
            Cel::Map(CelMap { map: Arc::new(map) })
        }
        other => untyped(other),
    }
}

fn typed_string(node: &Node, text: &str) -> Cel {
    use base64::Engine;
    let typed = match node.checks.format {
        Some(Format::DateTime) => chrono::DateTime::parse_from_rfc3339(text).ok().map(Cel::Timestamp),
        Some(Format::Duration) => parse_duration(text).map(|n| Cel::Duration(chrono::Duration::nanoseconds(n))),
        Some(Format::Byte) => {
            base64::engine::general_purpose::STANDARD.decode(text).ok().map(|bytes| Cel::Bytes(Arc::new(bytes)))
        }
        _ => None,
    };
    typed.unwrap_or_else(|| Cel::String(Arc::new(text.to_owned())))
}

fn untyped(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::Number(n) => n
            .as_i64()
            .map(Cel::Int)
            .or_else(|| n.as_u64().map(Cel::UInt))
            .unwrap_or_else(|| Cel::Float(n.as_f64().unwrap_or(f64::NAN))),
        Value::String(s) => Cel::String(Arc::new(s.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(untyped).collect())),
        Value::Object(fields) => {
            let map = fields.iter().map(|(k, v)| (Key::String(Arc::new(k.clone())), untyped(v))).collect();
            Cel::Map(CelMap { map: Arc::new(map) })
        }
    }
}

const RESERVED: [&str; 18] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];

/// Property names as CEL sees them: `x-prop` is `x__dash__prop`.
pub(super) fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_for_cel() {
        assert_eq!(escape("x-prop"), "x__dash__prop");
        assert_eq!(escape("a__b"), "a__underscores__b");
        assert_eq!(escape("plain_name"), "plain_name");
        assert_eq!(escape("namespace"), "__namespace__");
    }

    #[test]
    fn field_paths_are_split() {
        assert_eq!(split_field_path(".a.b"), ["a", "b"]);
        assert_eq!(split_field_path(".a['b.c'].d"), ["a", "b.c", "d"]);
    }
}
