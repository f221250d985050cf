//! What can be said of a CEL rule without running it: which fields it names that do not exist, and what it may cost.
//!
//! Types are followed through field selections, indexing and the macros (`all`, `exists`, `map`, …) only; what they do not
//! tell may be anything. Costs count the steps of an expression, each loop times the greatest number of elements that its
//! list may have. Both err on the side of letting a rule pass: the API server's own estimate, which also weighs the
//! length of texts, is never lower.

use super::cel::{Rule, escape};
use super::error::FieldError;
use super::node::{Additional, Arena, Kind, NodeId};
use kube_cel::cel::common::ast::{EntryExpr, Expr, operators};
use serde_json::Value;

/// What one rule may cost, as estimated when a definition is written.
const RULE_BUDGET: f64 = 10_000_000.0;
/// What one evaluation of a rule may cost.
const CALL_BUDGET: f64 = 1_000_000.0;
/// The size that a request may have, in bytes: what an object without limits of its own is limited by.
const REQUEST: f64 = 3_145_728.0;

/// Checks the rules of a schema. Paths are relative to it.
pub(super) fn check(arena: &Arena, errors: &mut Vec<FieldError>) {
    node(arena, arena.root, "openAPIV3Schema", Some(1.0), &mut Vec::new(), errors);
}

/// `count` is how many values a node may have in an object; unknown when a list or map around it has no limit.
fn node(
    arena: &Arena,
    id: NodeId,
    path: &str,
    count: Option<f64>,
    above: &mut Vec<NodeId>,
    errors: &mut Vec<FieldError>,
) {
    if above.contains(&id) {
        return;
    }
    above.push(id);
    let this = arena.node(id);
    for (index, rule) in this.rules.iter().enumerate() {
        let at = format!("{path}.x-kubernetes-validations[{index}].rule");
        let mut walk = Walk { arena, scope: scope(rule, id, &[], &[]), actual: false, fault: None };
        let found = walk.expression(&rule.program.expression().expr);
        if let Some(field) = walk.fault {
            let detail = format!("compilation failed: ERROR: <input>: undefined field '{field}'");
            errors.push(FieldError::invalid(at, &Value::from(rule.text.as_str()), detail));
            continue;
        }
        let cost = found.cost * count.unwrap_or_else(|| REQUEST / (least_bytes(arena, id, 0) + 1.0));
        if cost > RULE_BUDGET {
            errors.push(FieldError::forbidden(at, over_budget("estimated rule cost", cost / RULE_BUDGET)));
        }
    }
    for (name, child) in &this.properties {
        node(arena, *child, &format!("{path}.properties[{name}]"), count, above, errors);
    }
    let times = |limit: Option<u64>| Some(count? * limit? as f64);
    if let Some(item) = this.items {
        node(arena, item, &format!("{path}.items"), times(this.checks.max_items), above, errors);
    }
    if let Additional::Schema(child) = this.additional {
        let count = times(this.checks.max_properties);
        node(arena, child, &format!("{path}.additionalProperties"), count, above, errors);
    }
    above.pop();
}

fn over_budget(what: &str, factor: f64) -> String {
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// Whether one evaluation of a rule on these values would cost too much.
pub(super) fn too_costly(arena: &Arena, id: NodeId, rule: &Rule, new: &Value, old: Option<&Value>) -> bool {
    let old: Vec<&Value> = old.into_iter().collect();
    let mut walk = Walk { arena, scope: scope(rule, id, &[new], &old), actual: true, fault: None };
    walk.expression(&rule.program.expression().expr).cost > CALL_BUDGET
}

fn scope<'a>(rule: &Rule, id: NodeId, new: &[&'a Value], old: &[&'a Value]) -> Vec<(String, Shape<'a>)> {
    let shape = |values: &[&'a Value]| Shape { node: Some(id), values: values.to_vec(), size: None };
    // An optional value is something else than the value.
    let before = if rule.optional_old_self { Shape::default() } else { shape(old) };
    vec![("self".to_owned(), shape(new)), ("oldSelf".to_owned(), before)]
}

/// What is known of an expression's value.
#[derive(Debug, Clone, Default)]
struct Shape<'a> {
    node: Option<NodeId>,
    /// The values that it may have, when the rule is about to run.
    values: Vec<&'a Value>,
    /// How many elements it has at most, when it is made by the expression.
    size: Option<f64>,
}

/// A shape, and the steps that it takes to make it.
struct Found<'a> {
    shape: Shape<'a>,
    cost: f64,
}

struct Walk<'a> {
    arena: &'a Arena,
    scope: Vec<(String, Shape<'a>)>,
    /// Whether sizes are those of the values, rather than those that the schema allows.
    actual: bool,
    /// The first field that does not exist.
    fault: Option<String>,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, expression: &Expr) -> Found<'a> {
        let anything = |cost: f64| Found { shape: Shape::default(), cost };
        match expression {
            Expr::Unspecified | Expr::Literal(_) => anything(0.0),
            Expr::Ident(name) => {
                let shape = self.scope.iter().rev().find(|(n, _)| n == name).map(|(_, s)| s.clone());
                Found { shape: shape.unwrap_or_default(), cost: 1.0 }
            }
            Expr::Select(select) => {
                let operand = self.expression(&select.operand.expr);
                Found { shape: self.field(&operand.shape, &select.field), cost: operand.cost + 1.0 }
            }
            Expr::Call(call) => {
                let target = call.target.as_ref().map(|t| self.expression(&t.expr));
                let args: Vec<Found<'a>> = call.args.iter().map(|a| self.expression(&a.expr)).collect();
                let costs = || args.iter().map(|a| a.cost);
                let cost = target.as_ref().map_or(0.0, |t| t.cost);
                if call.func_name == operators::CONDITIONAL {
                    // One of the branches runs.
                    let branches = costs().skip(1).fold(0.0, f64::max);
                    return anything(cost + costs().take(1).sum::<f64>() + branches);
                }
                let shape = match (call.func_name.as_str(), args.first()) {
                    (operators::INDEX, Some(list)) => self.element(&list.shape),
                    _ => Shape::default(),
                };
                Found { shape, cost: cost + costs().sum::<f64>() + 1.0 }
            }
            Expr::List(list) => {
                let cost: f64 = list.elements.iter().map(|e| self.expression(&e.expr).cost).sum();
                let size = Some(list.elements.len() as f64);
                Found { shape: Shape { size, ..Shape::default() }, cost: cost + 10.0 }
            }
            Expr::Map(map) => anything(30.0 + self.entries(map.entries.iter().map(|e| &e.expr))),
            Expr::Struct(made) => anything(40.0 + self.entries(made.entries.iter().map(|e| &e.expr))),
            Expr::Comprehension(loops) => {
                let range = self.expression(&loops.iter_range.expr);
                let size = self.size(&range.shape);
                let element = self.element(&range.shape);
                let is_map = range.shape.node.is_some_and(|n| self.arena.node(n).kind == Some(Kind::Object));
                let depth = self.scope.len();
                let start = self.expression(&loops.accu_init.expr);
                self.scope.push((loops.accu_var.clone(), Shape::default()));
                match &loops.iter_var2 {
                    Some(value) => {
                        self.scope.push((loops.iter_var.clone(), Shape::default()));
                        self.scope.push((value.clone(), element));
                    }
                    // Of a map the keys come.
                    None => self.scope.push((loops.iter_var.clone(), if is_map { Shape::default() } else { element })),
                }
                let once = self.expression(&loops.loop_cond.expr).cost + self.expression(&loops.loop_step.expr).cost;
                let end = self.expression(&loops.result.expr).cost;
                self.scope.truncate(depth);
                let cost = range.cost + start.cost + size * once + end;
                Found { shape: Shape { size: Some(size), ..Shape::default() }, cost }
            }
        }
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> f64 {
        let mut cost = 0.0;
        for entry in entries {
            cost += match entry {
                EntryExpr::StructField(field) => self.expression(&field.value.expr).cost,
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key.expr).cost + self.expression(&entry.value.expr).cost
                }
            };
        }
        cost
    }

    /// A field of a value; one that the schema rules out is a fault.
    fn field(&mut self, of: &Shape<'a>, name: &str) -> Shape<'a> {
        let Some(id) = of.node else {
            return Shape::default();
        };
        let node = self.arena.node(id);
        if node.kind != Some(Kind::Object) || node.int_or_string {
            return Shape::default();
        }
        let real = node.properties.keys().find(|n| escape(n) == name).map_or(name, String::as_str);
        let Some(child) = node.child(real) else {
            if !node.keeps_unknown() && !node.embedded_resource && node.definition.is_none() {
                self.fault.get_or_insert_with(|| name.to_owned());
            }
            return Shape::default();
        };
        let values = of.values.iter().filter_map(|v| v.get(real)).collect();
        Shape { node: Some(child), values, size: None }
    }

    /// An element of a list, or a value of a map.
    fn element(&self, of: &Shape<'a>) -> Shape<'a> {
        let node = of.node.map(|id| self.arena.node(id));
        let child = node.and_then(|n| match n.additional {
            Additional::Schema(id) => Some(id),
            Additional::None | Additional::Any => n.items,
        });
        let mut values: Vec<&'a Value> = Vec::new();
        for value in &of.values {
            match value {
                Value::Array(list) => values.extend(list),
                Value::Object(map) => values.extend(map.values()),
                _ => {}
            }
        }
        Shape { node: child, values, size: None }
    }

    /// How many elements a list or map has at most; one where nothing is known.
    fn size(&self, of: &Shape<'a>) -> f64 {
        let length = |value: &&Value| match value {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if let Some(size) = of.size {
            return size;
        }
        if self.actual {
            return of.values.iter().map(length).max().map_or(1.0, |n| n as f64);
        }
        let Some(id) = of.node else {
            return 1.0;
        };
        let node = self.arena.node(id);
        let (limit, inner) = match (node.items, node.additional) {
            (Some(item), _) => (node.checks.max_items, item),
            (None, Additional::Schema(value)) => (node.checks.max_properties, value),
            _ => return 1.0,
        };
        limit.map_or_else(|| REQUEST / (least_bytes(self.arena, inner, 0) + 1.0), |n| n as f64)
    }
}

/// The length that a value of a node has at least, written as JSON.
fn least_bytes(arena: &Arena, id: NodeId, depth: u32) -> f64 {
    let node = arena.node(id);
    match node.kind {
        _ if node.int_or_string || depth > 16 => 1.0,
        Some(Kind::String) => 2.0 + node.checks.min_length.unwrap_or_default() as f64,
        Some(Kind::Boolean) => 4.0,
        Some(Kind::Object) => {
            let required = node.checks.required.iter().filter_map(|n| Some((n, *node.properties.get(n)?)));
            2.0 + required.map(|(n, child)| 4.0 + n.len() as f64 + least_bytes(arena, child, depth + 1)).sum::<f64>()
        }
        Some(Kind::Array) => 2.0,
        Some(Kind::Integer | Kind::Number) | None => 1.0,
    }
}
