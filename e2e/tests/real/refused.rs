//! Every rule in the definitions of our kinds is broken once: the server refuses it, and names the field.
//!
//! The rules are read from the definitions, so that none is forgotten. An object that has every field, and breaks no rule,
//! is made first; each case then breaks one.

use std::collections::BTreeSet;

use kaedama_apiserver::ApiServer;
use kaedama_shared::api::crdgen::all_crds;
use kube::Client;
use regex::Regex;
use serde_json::{Value, json};

use super::schemas::{Kind, install, patch, post};

/// Texts of which one fits each pattern.
const TEXTS: [&str; 4] = ["x", "1m", "1", "@daily"];
/// A text that fits no pattern and is in no list.
const NO_TEXT: &str = "! no such thing !";

/// One way to break one rule.
#[derive(Debug)]
struct Case {
    /// What an error has to name.
    field: String,
    /// What it has to say; empty where the words are the server's own.
    message: String,
    /// The change, as JSON Patch.
    change: Value,
    /// The rule compares with what was stored before.
    is_update: bool,
}

/// Where a part of an object is: in a patch, and in an error.
#[derive(Clone, Default)]
struct Place {
    pointer: String,
    field: String,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        Self { pointer: format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1")), field }
    }

    fn first(&self) -> Self {
        Self { pointer: format!("{}/0", self.pointer), field: format!("{}[0]", self.field) }
    }

    fn set(&self, value: &Value) -> Value {
        json!([{"op": "replace", "path": self.pointer, "value": value}])
    }

    fn remove(&self) -> Value {
        json!([{"op": "remove", "path": self.pointer}])
    }
}

/// The rules in CEL.
fn rules(schema: &Value) -> impl Iterator<Item = Rule<'_>> {
    let all = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    all.map(|rule| Rule {
        demand: rule["rule"].as_str().unwrap(),
        message: rule["message"].as_str().unwrap_or_default(),
        field: rule["fieldPath"].as_str().unwrap_or_default().trim_start_matches('.'),
    })
}

/// What a rule demands, what it says, and of which field below its own.
struct Rule<'a> {
    demand: &'a str,
    message: &'a str,
    field: &'a str,
}

/// Fields of our own: what every object has is the server's to judge.
fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let common = ["apiVersion", "kind", "metadata", "status"];
    let at_the_root = schema["properties"].get("apiVersion").is_some() && schema["properties"].get("spec").is_some();
    let all = schema["properties"].as_object().into_iter().flatten();
    all.filter(move |(name, _)| !at_the_root || !common.contains(&name.as_str()))
}

fn text(schema: &Value, but: Option<&str>) -> String {
    match schema["format"].as_str() {
        Some("date-time") => return "2026-03-01T03:00:00Z".to_owned(),
        Some("duration") => return "1m0s".to_owned(),
        _ => {}
    }
    let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
    let fits = |text: &&str| Some(*text) != but && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
    let more = ["y", "2m", "2"];
    TEXTS.into_iter().chain(more).find(fits).unwrap_or_else(|| panic!("no text fits {schema}")).to_owned()
}

/// A value that has every field, and breaks no rule.
fn fitting(schema: &Value) -> Value {
    if schema["x-kubernetes-int-or-string"] == true {
        return json!("1");
    }
    if let Some(list) = schema["enum"].as_array() {
        return list[0].clone();
    }
    match schema["type"].as_str().unwrap_or_default() {
        "string" => json!(text(schema, None)),
        "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1)),
        "boolean" => json!(true),
        "array" => {
            let items = if rules(schema).any(|rule| rule.demand == "size(self) == 2") { 2 } else { 1 };
            json!(vec![fitting(&schema["items"]); items])
        }
        _ => {
            let mut object: serde_json::Map<_, _> =
                properties(schema).map(|(name, schema)| (name.clone(), fitting(schema))).collect();
            if schema["additionalProperties"].is_object() {
                object.insert("x".to_owned(), fitting(&schema["additionalProperties"]));
            }
            object.into()
        }
    }
}

/// Another value that breaks no rule but that nothing may change.
fn changed(schema: &Value, value: &Value) -> Value {
    match value {
        Value::String(was) => json!(text(schema, Some(was))),
        Value::Array(items) => {
            let mut items = items.clone();
            items[0] = changed(&schema["items"], &items[0]);
            items.into()
        }
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let (name, field) = fields.iter_mut().next().unwrap();
            let of = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            *field = changed(of, field);
            fields.into()
        }
        other => panic!("{other} is not changed yet"),
    }
}

/// All ways to break what a part of a schema demands of `value`.
fn break_all(schema: &Value, value: &Value, at: &Place, cases: &mut Vec<Case>) {
    let mut case = |place: &Place, change: Value, message: &str, is_update: bool| {
        cases.push(Case { field: place.field.clone(), message: message.to_owned(), change, is_update });
    };
    let wrong = if value.is_string() && schema["x-kubernetes-int-or-string"] != true { json!(1) } else { json!("x") };
    let wrong = if schema["x-kubernetes-int-or-string"] == true { json!(true) } else { wrong };
    if !at.field.is_empty() && (schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true) {
        case(at, at.set(&wrong), "", false);
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let place = at.field(name.as_str().unwrap());
        case(&place, place.remove(), "", false);
    }
    let format = schema["format"].as_str().unwrap_or_default();
    if schema["enum"].is_array() || schema["pattern"].is_string() || ["date-time", "duration"].contains(&format) {
        case(at, at.set(&json!(NO_TEXT)), "", false);
    }
    if format == "int32" {
        case(at, at.set(&json!(1_u64 << 31)), "", false);
    }
    if schema["minLength"].as_u64() > Some(0) {
        case(at, at.set(&json!("")), "", false);
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        case(at, at.set(&json!("x".repeat(usize::try_from(most).unwrap() + 1))), "", false);
    }
    if let Some(least) = schema["minimum"].as_i64() {
        case(at, at.set(&json!(least - 1)), "", false);
    }
    for Rule { demand, message, field } in rules(schema) {
        let named = if field.is_empty() { at.clone() } else { at.field(field) };
        let kept = demand.strip_prefix("has(oldSelf.").and_then(|rest| rest.split_once(')')).map(|(name, _)| name);
        match (demand, kept) {
            ("self == oldSelf", _) => case(&named, at.set(&changed(schema, value)), message, true),
            ("size(self) == 2", _) => case(&named, at.set(&json!([value[0]])), message, false),
            // It comes back as its default, which is a change too.
            (_, Some(name)) if schema["properties"][name].get("default").is_some() => {
                case(&at.field(name), at.field(name).remove(), message, true);
            }
            (_, Some(name)) => case(&named, at.field(name).remove(), message, true),
            _ => panic!("{}: nobody knows how to break {demand}", at.field),
        }
    }
    for (name, schema) in properties(schema) {
        break_all(schema, &value[name], &at.field(name), cases);
    }
    if schema["items"].is_object() {
        break_all(&schema["items"], &value[0], &at.first(), cases);
    }
    if schema["additionalProperties"].is_object() {
        break_all(&schema["additionalProperties"], &value["x"], &at.field("x"), cases);
    }
}

/// What a server says against it: code, and each field with what is wrong with it.
type Answer = (u16, BTreeSet<(String, String)>);

async fn answer(client: &Client, kind: &Kind, object: &Value, case: &Case) -> Answer {
    let path = kind.path(kind.is_namespaced().then_some("default"));
    let answer = if case.is_update {
        patch(client, &format!("{path}/full?dryRun=All"), &case.change).await
    } else {
        let mut object = object.clone();
        let change: json_patch::Patch = serde_json::from_value(case.change.clone()).unwrap();
        json_patch::patch(&mut object, &change).unwrap();
        post(client, &format!("{path}?dryRun=All"), &object).await
    };
    match answer {
        Ok(taken) => panic!("{} is taken, with {case:?}: {taken}", kind.name()),
        Err(kube::Error::Api(status)) => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            (status.code, causes.into_iter().map(|cause| (cause.field, cause.message)).collect())
        }
        Err(error) => panic!("{case:?}: {error}"),
    }
}

/// Breaks every rule of our kinds on a server that has them, and on the embedded one.
pub async fn every_rule(real: &Client) {
    let embedded = ApiServer::builder("refused").build().client("refused");
    let kinds = install(&embedded, all_crds()).await;
    let (mut broken, mut wrong) = (0, Vec::new());
    for kind in &kinds {
        let schema = kind.schema();
        let mut object = fitting(&schema);
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.name());
        object["metadata"] = json!({"name": "full"});
        let path = kind.path(kind.is_namespaced().then_some("default"));
        for client in [real, &embedded] {
            let made = post(client, &format!("{path}?fieldValidation=Strict"), &object).await;
            made.unwrap_or_else(|error| panic!("{} with every field is refused: {error}\n{object:#}", kind.name()));
        }
        let mut cases = Vec::new();
        break_all(&schema, &object, &Place::default(), &mut cases);
        for case in &cases {
            let (code, causes) = answer(real, kind, &object, case).await;
            let named = causes.iter().any(|(field, said)| *field == case.field && said.contains(&case.message));
            if code != 422 || !named {
                wrong.push(format!("{}: {case:?} is refused with {code} {causes:#?}", kind.name()));
            }
            let ours = answer(&embedded, kind, &object, case).await;
            if ours != (code, causes.clone()) {
                wrong.push(format!("{}: {case:?}\n    real: {code} {causes:?}\n    embedded: {ours:?}", kind.name()));
            }
        }
        broken += cases.len();
        eprintln!("{}: {} rules are broken", kind.name(), cases.len());
    }
    assert!(wrong.is_empty(), "{} of {broken}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(broken > 300, "only {broken} rules");
}
