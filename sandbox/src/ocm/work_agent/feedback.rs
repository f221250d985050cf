//! Status feedback: the values that a rule reads from an object.

use kaedama_shared::api::ocm::work::{FeedbackRule, FeedbackValue, FieldValue, feedback};
use serde_json::Value;

use super::jsonpath::JsonPath;

/// What limits feedback values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Objects, lists and floats may be reported as JSON text (OCM's gate `RawFeedbackJsonString`).
    pub(super) raw_json: bool,
    /// Longest JSON text, in bytes.
    pub(super) raw_json_length: usize,
}

/// The values that the rules find, and what went wrong with the others.
pub(super) fn values(rules: &[FeedbackRule], object: &Value, limits: Limits) -> (Vec<FeedbackValue>, Vec<String>) {
    let mut found: Vec<FeedbackValue> = Vec::new();
    let mut errors = Vec::new();
    for rule in rules {
        let answers = match rule.type_.as_str() {
            feedback::JSON_PATHS => by_path(rule, object, limits),
            feedback::WELL_KNOWN_STATUS => well_known(object, limits),
            other => vec![Err(format!("feedback rules of type {other:?} are not known"))],
        };
        for answer in answers {
            match answer {
                // The list is a map by name on the wire: the first of a name counts.
                Ok(value) if found.iter().any(|known| known.name == value.name) => {}
                Ok(value) => found.push(value),
                Err(error) => errors.push(error),
            }
        }
    }
    (found, errors)
}

type Answers = Vec<Result<FeedbackValue, String>>;

fn by_path(rule: &FeedbackRule, object: &Value, limits: Limits) -> Answers {
    let version = object["apiVersion"].as_str().map(|version| version.rsplit('/').next().unwrap_or(version));
    let applies = |wanted: &str| wanted.is_empty() || Some(wanted) == version;
    let paths = rule.json_paths.iter().filter(|path| applies(&path.version));
    paths.filter_map(|path| one(&path.name, &path.path, object, limits).transpose()).collect()
}

/// The value of one path; `None` where there is nothing.
fn one(name: &str, path: &str, object: &Value, limits: Limits) -> Result<Option<FeedbackValue>, String> {
    let parsed = JsonPath::parse(path).map_err(|error| format!("{name}: {error}"))?;
    let matches = parsed.find(object);
    let value = match matches.as_slice() {
        [] => return Ok(None),
        [single] => (*single).clone(),
        several if limits.raw_json => Value::Array(several.iter().map(|value| (*value).clone()).collect()),
        // Without the gate OCM takes the first of several matches.
        [first, ..] => (*first).clone(),
    };
    let field_value = match &value {
        Value::Null => return Ok(None),
        Value::Bool(value) => FieldValue::of_boolean(*value),
        Value::String(value) => FieldValue::of_string(value),
        Value::Number(number) if number.is_i64() => FieldValue::of_integer(number.as_i64().unwrap_or_default()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => raw(name, &value, limits)?,
    };
    Ok(Some(FeedbackValue { name: name.to_owned(), field_value }))
}

fn raw(name: &str, value: &Value, limits: Limits) -> Result<FieldValue, String> {
    if !limits.raw_json {
        return Err(format!("{name}: the value is neither a string, an integer nor a boolean, and raw JSON is off"));
    }
    let text = value.to_string();
    if text.len() > limits.raw_json_length {
        return Err(format!("{name}: the JSON text has {} bytes, the limit is {}", text.len(), limits.raw_json_length));
    }
    Ok(FieldValue::of_json(text))
}

fn well_known(object: &Value, limits: Limits) -> Answers {
    let paths: &[(&str, &str)] = match (object["apiVersion"].as_str(), object["kind"].as_str()) {
        (Some("apps/v1"), Some("Deployment")) => &[
            ("ReadyReplicas", ".status.readyReplicas"),
            ("Replicas", ".status.replicas"),
            ("AvailableReplicas", ".status.availableReplicas"),
        ],
        (Some("apps/v1"), Some("DaemonSet")) => &[
            ("NumberReady", ".status.numberReady"),
            ("DesiredNumberScheduled", ".status.desiredNumberScheduled"),
            ("NumberAvailable", ".status.numberAvailable"),
        ],
        (Some("batch/v1"), Some("Job")) => &[
            ("JobComplete", r#".status.conditions[?(@.type=="Complete")].status"#),
            ("JobSucceeded", ".status.succeeded"),
        ],
        (Some("v1"), Some("Pod")) => {
            &[("PodReady", r#".status.conditions[?(@.type=="Ready")].status"#), ("PodPhase", ".status.phase")]
        }
        (version, kind) => {
            let (version, kind) = (version.unwrap_or_default(), kind.unwrap_or_default());
            return vec![Err(format!("there is no well-known status for {version} {kind}"))];
        }
    };
    paths.iter().filter_map(|(name, path)| one(name, path, object, limits).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use kaedama_shared::api::ocm::work::JsonPath as Rule;
    use serde_json::json;

    use super::*;

    const PLAIN: Limits = Limits { raw_json: false, raw_json_length: 1024 };
    const RAW: Limits = Limits { raw_json: true, raw_json_length: 1024 };

    fn rule(paths: &[(&str, &str)]) -> Vec<FeedbackRule> {
        let json_paths =
            paths.iter().map(|(name, path)| Rule { name: (*name).into(), path: (*path).into(), ..Rule::default() });
        vec![FeedbackRule { type_: feedback::JSON_PATHS.into(), json_paths: json_paths.collect() }]
    }

    fn field(values: &[FeedbackValue], name: &str) -> Option<FieldValue> {
        values.iter().find(|value| value.name == name).map(|value| value.field_value.clone())
    }

    #[test]
    fn scalars_need_no_gate_and_what_is_missing_is_no_error() {
        let object = json!({"status": {"s": "x", "i": 3, "b": true, "null": null}});
        let rules = rule(&[
            ("s", ".status.s"),
            ("i", ".status.i"),
            ("b", ".status.b"),
            ("n", ".status.null"),
            ("m", ".status.m"),
        ]);
        let (values, errors) = values(&rules, &object, PLAIN);
        assert_eq!(field(&values, "s"), Some(FieldValue::of_string("x")));
        assert_eq!(field(&values, "i"), Some(FieldValue::of_integer(3)));
        assert_eq!(field(&values, "b"), Some(FieldValue::of_boolean(true)));
        assert_eq!(values.len(), 3);
        assert!(errors.is_empty());
    }

    #[test]
    fn objects_need_the_gate_and_have_a_limit() {
        let object = json!({"status": {"o": {"a": [1.5]}, "long": {"t": "x".repeat(1024)}, "l": [1, 2]}});
        let rules = rule(&[("o", ".status.o"), ("long", ".status.long"), ("several", ".status.l[*]")]);
        let (without, errors) = values(&rules, &object, PLAIN);
        assert_eq!(field(&without, "several"), Some(FieldValue::of_integer(1)));
        assert_eq!((without.len(), errors.len()), (1, 2));
        let (with, errors) = values(&rules, &object, RAW);
        assert_eq!(field(&with, "o"), Some(FieldValue::of_json(r#"{"a":[1.5]}"#.into())));
        assert_eq!(field(&with, "several"), Some(FieldValue::of_json("[1,2]".into())));
        assert_eq!((with.len(), errors.len()), (2, 1));
        assert!(errors[0].contains("limit is 1024"), "{errors:?}");
    }

    #[test]
    fn long_strings_have_no_limit_of_their_own() {
        let text = "x".repeat(300_000);
        let (values, errors) = values(&rule(&[("t", ".t")]), &json!({"t": text}), PLAIN);
        assert_eq!(field(&values, "t"), Some(FieldValue::of_string(&text)));
        assert!(errors.is_empty());
    }

    #[test]
    fn well_known_values_exist_for_workloads_only() {
        let rules = vec![FeedbackRule { type_: feedback::WELL_KNOWN_STATUS.into(), ..FeedbackRule::default() }];
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        let (found, errors) = values(&rules, &pod, PLAIN);
        assert_eq!(field(&found, "PodPhase"), Some(FieldValue::of_string("Running")));
        assert_eq!(field(&found, "PodReady"), Some(FieldValue::of_string("True")));
        assert!(errors.is_empty());
        let (found, errors) = values(&rules, &json!({"apiVersion": "v1", "kind": "ConfigMap"}), PLAIN);
        assert_eq!((found.len(), errors.len()), (0, 1));
    }
}
