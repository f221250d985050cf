//! Properties of pruning, defaulting and validation.

use super::StructuralSchema;
use proptest::prelude::*;
use serde_json::{Value, json};

fn schema() -> StructuralSchema {
    StructuralSchema::from_crd(&json!({"type": "object", "properties": {
        "a": {"type": "string", "default": "x", "maxLength": 2},
        "b": {"type": "object", "default": {}, "properties": {
            "a": {"type": "integer", "default": 3}, "c": {"type": "boolean", "nullable": true, "default": true}}},
        "c": {"type": "array", "items": {"type": "object", "properties": {
            "a": {"type": "string", "default": "y"}, "b": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
        "d": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string", "enum": ["p", "q"]}}}},
        "e": {"x-kubernetes-int-or-string": true},
    }}))
    .expect("structural")
}

/// Any JSON over the names that the schema knows, and one that it does not.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5i64..5).prop_map(Value::from),
        prop::sample::select(vec!["p", "q", "long"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d", "e", "z"]), inner, 0..5)
                .prop_map(|m| json!(m)),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "d", "e", "z"]), anything(), 0..6)
        .prop_map(|m| json!(m))
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(mut value in object()) {
        let schema = schema();
        schema.prune(&mut value);
        let once = value.clone();
        prop_assert_eq!(schema.prune(&mut value), Vec::<String>::new());
        prop_assert_eq!(value, once);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once_and_adds_nothing_unknown(mut value in object()) {
        let schema = schema();
        schema.prune(&mut value);
        schema.default(&mut value);
        let once = value.clone();
        schema.default(&mut value);
        prop_assert_eq!(&value, &once);
        prop_assert_eq!(schema.prune(&mut value), Vec::<String>::new());
    }

    #[test]
    fn an_unchanged_object_is_always_tolerated(value in object()) {
        let schema = schema();
        prop_assert_eq!(schema.validate(&value, Some(&value)), vec![]);
    }

    #[test]
    fn an_update_finds_no_more_than_a_create(old in object(), new in object()) {
        let schema = schema();
        let create = schema.validate(&new, None);
        for error in schema.validate(&new, Some(&old)) {
            prop_assert!(create.contains(&error), "{}", error);
        }
    }
}
