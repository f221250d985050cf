//! Properties of apply and of field sets.

use super::tests::writer;
use super::*;
use crate::schema::StructuralSchema;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn schema() -> StructuralSchema {
    StructuralSchema::from_crd(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"}, "b": {"type": "string"},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "atomic": {"type": "array", "items": {"type": "string"}},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "string"}}}},
    }}}}))
    .expect("structural")
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["p", "q", "r", "s"]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(word(), 1..4).prop_map(|set| set.into_iter().collect())
}

prop_compose! {
    fn spec()(
        a in prop::option::of(word()),
        b in prop::option::of(word()),
        map in prop::option::of(prop::collection::btree_map(word(), word(), 1..4)),
        set in prop::option::of(words().prop_shuffle()),
        atomic in prop::option::of(words()),
        items in prop::option::of(prop::collection::btree_map(word(), prop::option::of(word()), 1..4)),
    ) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Option<Value>| if let Some(value) = value { out.insert(name.to_owned(), value); };
        put("a", a.map(Value::from));
        put("b", b.map(Value::from));
        put("map", map.map(|m| json!(m)));
        put("set", set.map(|s| json!(s)));
        put("atomic", atomic.map(|l| json!(l)));
        put("items", items.map(|m| Value::Array(m.into_iter().map(|(name, v)| match v {
            Some(v) => json!({"name": name, "v": v}),
            None => json!({"name": name}),
        }).collect())));
        Value::Object(out)
    }
}

fn config(spec: &Value) -> Value {
    let mut out = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "o"}});
    if spec.as_object().is_some_and(|s| !s.is_empty()) {
        out["spec"] = spec.clone();
    }
    out
}

/// Everything of `part` is in `whole`; order of keyed and set lists does not count.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(w), Value::Object(p)) => p.iter().all(|(k, v)| w.get(k).is_some_and(|have| holds(have, v))),
        (Value::Array(w), Value::Array(p)) => p.iter().all(|v| w.iter().any(|have| holds(have, v))),
        (w, p) => w == p,
    }
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in spec(), second in spec()) {
        let schema = schema();
        let types = schema.type_info();
        let live = apply(types, None, &config(&first), writer("m1"), true).unwrap();
        let once = apply(types, Some(&live), &config(&second), writer("m2"), true).unwrap();
        let twice = apply(types, Some(&once), &config(&second), writer("m2"), false).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_sole_manager_gets_exactly_what_it_applied_last(first in spec(), second in spec()) {
        let schema = schema();
        let types = schema.type_info();
        let live = apply(types, None, &config(&first), writer("m"), false).unwrap();
        let next = apply(types, Some(&live), &config(&second), writer("m"), false).unwrap();
        let mut fresh = apply(types, None, &config(&second), writer("m"), false).unwrap();
        // The order of elements that stay is not part of the promise.
        let sort = |object: &mut Value| for list in ["set", "items"] {
            if let Some(items) = object["spec"].get_mut(list).and_then(Value::as_array_mut) {
                items.sort_by_key(ToString::to_string);
            }
        };
        let mut next = next;
        sort(&mut next);
        sort(&mut fresh);
        prop_assert_eq!(next, fresh);
    }

    #[test]
    fn a_forced_apply_always_holds_and_others_lose_only_what_it_names(first in spec(), second in spec()) {
        let schema = schema();
        let types = schema.type_info();
        let live = apply(types, None, &config(&first), writer("m1"), false).unwrap();
        let next = apply(types, Some(&live), &config(&second), writer("m2"), true).unwrap();
        prop_assert!(holds(&next, &config(&second)));
        for (name, value) in first.as_object().unwrap() {
            if second.get(name).is_none() {
                prop_assert_eq!(&next["spec"][name], value);
            }
        }
        // Without force it either gives the same object or conflicts.
        if let Ok(unforced) = apply(types, Some(&live), &config(&second), writer("m2"), false) {
            prop_assert_eq!(unforced, next);
        }
    }

    #[test]
    fn an_update_owns_its_changes_and_nobody_else_does(first in spec(), second in spec()) {
        let schema = schema();
        let types = schema.type_info();
        let live = apply(types, None, &config(&first), writer("m1"), false).unwrap();
        let mut new = config(&second);
        track_update(types, Some(&live), &mut new, writer("editor"));
        let mut again = new.clone();
        track_update(types, Some(&new), &mut again, writer("someone-else"));
        prop_assert_eq!(&again, &new);
        let sets: Vec<FieldSet> = new["metadata"]["managedFields"].as_array().into_iter().flatten()
            .map(|e| FieldSet::decode(&e["fieldsV1"]).unwrap()).collect();
        if let [a, b] = sets.as_slice() {
            // Members of either that are leaves are not in both.
            prop_assert!(a.intersection(b).paths().iter().all(|p| p.len() <= 1), "{:?}", a.intersection(b));
        }
    }

    #[test]
    fn set_algebra_holds(a in spec(), b in spec()) {
        let schema = schema();
        let set = |spec: &Value| typed::field_set(schema.type_info(), &config(spec)).unwrap();
        let (a, b) = (set(&a), set(&b));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(FieldSet::decode(&a.encode()).unwrap(), a);
    }
}
