use super::*;
use crate::schema::{StructuralSchema, TypeInfo, builtin};
use serde_json::{Value, json};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

pub(super) fn writer(manager: &str) -> Writer<'_> {
    Writer { manager, api_version: "v1", subresource: "", status_subresource: true, now: at(0) }
}

fn crd() -> StructuralSchema {
    StructuralSchema::from_crd(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}, "n": {"type": "integer"},
            "sub": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "atomic": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
                "type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "string"}, "w": {"type": "string"}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "conditions": {"type": "array",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": {"type": "object",
            "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}}}},
    }}))
    .expect("structural")
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "o", "namespace": "n"}, "spec": spec})
}

fn do_apply(types: TypeInfo<'_>, live: Option<&Value>, spec: Value, manager: &str) -> Result<Value, ApplyError> {
    apply(types, live, &object(spec), writer(manager), false)
}

fn fields_of(object: &Value, manager: &str) -> Value {
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|e| e["manager"] == manager)
        .map_or(Value::Null, |e| e["fieldsV1"].clone())
}

#[test]
fn a_first_apply_makes_the_object_and_owns_what_it_names() {
    let schema = crd();
    let made = do_apply(
        schema.type_info(),
        None,
        json!({"a": "1", "sub": {"x": "1"}, "map": {"k": "v"}, "set": ["s"],
        "atomic": ["q"], "items": [{"name": "i", "v": "1"}], "whole": {"z": "1"}, "free": {"deep": {"er": 1}}}),
        "m1",
    )
    .expect("applied");
    assert_eq!(
        made["metadata"]["managedFields"],
        json!([{"manager": "m1", "operation": "Apply", "apiVersion": "v1", "time": "2023-11-14T22:13:20Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {
            "f:a": {}, "f:sub": {"f:x": {}}, "f:map": {"f:k": {}}, "f:set": {"v:\"s\"": {}}, "f:atomic": {}, "f:whole": {},
            "f:items": {"k:{\"name\":\"i\"}": {".": {}, "f:name": {}, "f:v": {}}},
            "f:free": {"f:deep": {".": {}, "f:er": {}}},
        }}}])
    );
}

#[test]
fn applying_again_changes_nothing_not_even_the_time() {
    let schema = crd();
    let spec = json!({"a": "1", "items": [{"name": "i", "v": "1"}], "map": {"k": "v"}});
    let made = do_apply(schema.type_info(), None, spec.clone(), "m1").expect("applied");
    let later = Writer { now: at(100), ..writer("m1") };
    let again = apply(schema.type_info(), Some(&made), &object(spec), later, false).expect("applied");
    assert_eq!(again, made);
}

#[test]
fn what_is_no_longer_applied_goes_unless_another_owns_it() {
    let schema = crd();
    let types = schema.type_info();
    let first = do_apply(
        types,
        None,
        json!({"a": "1", "b": "1", "map": {"k": "v", "l": "w"}, "set": ["x", "y"],
        "items": [{"name": "i", "v": "1"}, {"name": "j", "v": "1"}], "sub": {"x": "1"}}),
        "m1",
    )
    .expect("applied");
    let shared = do_apply(types, Some(&first), json!({"b": "1", "items": [{"name": "j", "v": "1"}]}), "m2")
        .expect("same values");
    let less =
        do_apply(types, Some(&shared), json!({"a": "1", "set": ["y"], "map": {"l": "w"}}), "m1").expect("applied");
    assert_eq!(
        less["spec"],
        json!({"a": "1", "b": "1", "map": {"l": "w"}, "set": ["y"], "items": [{"name": "j", "v": "1"}]})
    );
    assert_eq!(fields_of(&less, "m1"), json!({"f:spec": {"f:a": {}, "f:set": {"v:\"y\"": {}}, "f:map": {"f:l": {}}}}));
    let nothing = apply(
        types,
        Some(&less),
        &json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "o"}}),
        writer("m1"),
        false,
    )
    .expect("applied");
    assert_eq!(nothing["spec"], json!({"b": "1", "items": [{"name": "j", "v": "1"}]}));
    assert_eq!(fields_of(&nothing, "m1"), Value::Null, "a manager that owns nothing has no entry");
}

#[test]
fn conflicts_name_the_owner_and_the_field_and_force_takes_them() {
    let schema = crd();
    let types = schema.type_info();
    let mut live = object(json!({"a": "1", "n": 3, "items": [{"name": "i", "v": "1"}]}));
    track_update(types, None, &mut live, writer("kubectl"));
    let wanted = json!({"a": "2", "items": [{"name": "i", "v": "2"}]});
    let error = do_apply(types, Some(&live), wanted.clone(), "m1").expect_err("conflicts");
    let status = error.status();
    assert_eq!(
        status["message"],
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using v1:\n- .spec.a\n- .spec.items[name=\"i\"].v"
    );
    assert_eq!((&status["code"], &status["reason"]), (&json!(409), &json!("Conflict")));
    assert_eq!(
        status["details"]["causes"][0],
        json!({"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using v1", "field": ".spec.a"})
    );
    let one = do_apply(types, Some(&live), json!({"n": 4}), "m1").expect_err("conflict");
    assert_eq!(one.to_string(), "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .spec.n");

    let taken = apply(types, Some(&live), &object(wanted), writer("m1"), true).expect("forced");
    assert_eq!(taken["spec"], json!({"a": "2", "n": 3, "items": [{"name": "i", "v": "2"}]}));
    let left = fields_of(&taken, "kubectl");
    assert_eq!(left["f:spec"]["f:n"], json!({}));
    assert!(left["f:spec"].get("f:a").is_none(), "{left}");
    assert!(left["f:spec"]["f:items"]["k:{\"name\":\"i\"}"].get("f:v").is_none(), "{left}");
}

#[test]
fn equal_values_are_owned_together_and_a_change_by_update_takes_them() {
    let schema = crd();
    let types = schema.type_info();
    let first = do_apply(types, None, json!({"a": "1", "b": "1"}), "m1").expect("applied");
    let both = do_apply(types, Some(&first), json!({"a": "1"}), "m2").expect("no conflict on the same value");
    assert_eq!(fields_of(&both, "m2"), json!({"f:spec": {"f:a": {}}}));
    let mut updated = both.clone();
    updated["spec"]["a"] = json!("2");
    track_update(types, Some(&both), &mut updated, Writer { now: at(5), ..writer("editor") });
    assert_eq!(fields_of(&updated, "m1"), json!({"f:spec": {"f:b": {}}}));
    assert_eq!(fields_of(&updated, "m2"), Value::Null);
    assert_eq!(fields_of(&updated, "editor"), json!({"f:spec": {"f:a": {}}}));
    let mut removed = updated.clone();
    removed["spec"].as_object_mut().expect("spec").remove("b");
    track_update(types, Some(&updated), &mut removed, writer("editor"));
    assert_eq!(fields_of(&removed, "m1"), Value::Null);
}

#[test]
fn an_update_without_effect_leaves_the_object_as_it_was() {
    let schema = crd();
    let types = schema.type_info();
    let live = do_apply(types, None, json!({"a": "1"}), "m1").expect("applied");
    for managed in [Some(live["metadata"]["managedFields"].clone()), None, Some(json!("junk"))] {
        let mut new = live.clone();
        match managed {
            Some(m) => new["metadata"]["managedFields"] = m,
            None => {
                new["metadata"].as_object_mut().expect("metadata").remove("managedFields");
            }
        }
        track_update(types, Some(&live), &mut new, Writer { now: at(50), ..writer("editor") });
        assert_eq!(new, live);
    }
}

#[test]
fn cleared_managed_fields_stay_cleared_until_the_next_apply() {
    let schema = crd();
    let types = schema.type_info();
    let live = do_apply(types, None, json!({"a": "1", "b": "1"}), "m1").expect("applied");
    for clear in [json!([]), json!([{}])] {
        let mut cleared = live.clone();
        cleared["metadata"]["managedFields"] = clear;
        track_update(types, Some(&live), &mut cleared, writer("editor"));
        assert!(cleared["metadata"].get("managedFields").is_none());
        let error = do_apply(types, Some(&cleared), json!({"a": "2"}), "m1").expect_err("conflict");
        assert_eq!(
            error.to_string(),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.a"
        );
        let kept = do_apply(types, Some(&cleared), json!({"a": "1"}), "m1").expect("applied");
        assert_eq!(kept["spec"], json!({"a": "1", "b": "1"}));
        assert_eq!(fields_of(&kept, "m1"), json!({"f:spec": {"f:a": {}}}));
    }
}

#[test]
fn status_is_owned_through_its_own_door() {
    let schema = crd();
    let types = schema.type_info();
    let mut live = object(json!({"a": "1"}));
    live["status"] = json!({"phase": "ignored"});
    track_update(types, None, &mut live, writer("creator"));
    assert!(fields_of(&live, "creator").get("f:status").is_none());
    let status = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "o", "namespace": "n"},
        "spec": {"a": "other"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let door = Writer { subresource: "status", ..writer("controller") };
    let applied = apply(types, Some(&live), &status, door, true).expect("applied");
    let entries = applied["metadata"]["managedFields"].as_array().expect("entries");
    let entry = entries.iter().find(|e| e["manager"] == "controller").expect("the controller's entry");
    assert_eq!(entry["subresource"], "status");
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}}}}})
    );
    assert!(entries.iter().any(|e| e["manager"] == "creator"), "the spec's owner is untouched");
}

#[test]
fn system_fields_are_kept_and_owned_by_nobody() {
    let schema = crd();
    let mut live = object(json!({"a": "1"}));
    for (name, value) in [
        ("uid", json!("u")),
        ("resourceVersion", json!("7")),
        ("generation", json!(2)),
        ("creationTimestamp", json!("2024-01-01T00:00:00Z")),
    ] {
        live["metadata"][name] = value;
    }
    track_update(schema.type_info(), None, &mut live, writer("c"));
    let mut config = object(json!({"a": "1"}));
    config["metadata"]["creationTimestamp"] = Value::Null;
    config["metadata"]["uid"] = json!("u");
    config["metadata"]["labels"] = json!({"x": "y"});
    let applied = apply(schema.type_info(), Some(&live), &config, writer("m1"), false).expect("applied");
    assert_eq!(applied["metadata"]["creationTimestamp"], "2024-01-01T00:00:00Z");
    assert_eq!(applied["metadata"]["resourceVersion"], "7");
    assert_eq!(fields_of(&applied, "m1"), json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:a": {}}}));
    assert_eq!(fields_of(&live, "c"), json!({"f:spec": {".": {}, "f:a": {}}}));
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let schema = crd();
    let types = schema.type_info();
    let message = |spec: Value| do_apply(types, None, spec, "m").expect_err("refused").to_string();
    assert_eq!(
        message(json!({"nope": 1})),
        "failed to create typed patch object (n/o; g/v1, Kind=K): .spec.nope: field not declared in schema"
    );
    assert!(
        message(json!({"items": [{"name": "a"}, {"name": "a"}]}))
            .ends_with(".spec.items: duplicate entries for key [name=\"a\"]")
    );
    assert!(message(json!({"items": [{"v": "a"}]})).contains("omits all key fields [\"name\"]"));
    let mut config = object(json!({}));
    config["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let error = apply(types, None, &config, writer("m"), false).expect_err("refused");
    assert_eq!((error.code(), error.to_string().as_str()), (400, "metadata.managedFields must be nil"));
}

#[test]
fn the_order_of_a_keyed_list_is_the_configurations() {
    let schema = crd();
    let types = schema.type_info();
    let item = |name: &str| json!({"name": name});
    let names = |object: &Value| -> Vec<String> {
        object["spec"]["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|i| i["name"].as_str().expect("name").to_owned())
            .collect()
    };
    let first = do_apply(types, None, json!({"items": [item("a"), item("b"), item("c")]}), "m1").expect("applied");
    let second =
        do_apply(types, Some(&first), json!({"items": [item("c"), item("x"), item("a")]}), "m2").expect("applied");
    assert_eq!(names(&second), ["b", "c", "x", "a"]);
    let third = do_apply(types, Some(&first), json!({"items": [item("b"), item("y")]}), "m3").expect("applied");
    assert_eq!(names(&third), ["a", "b", "c", "y"]);
}

#[test]
fn pods_merge_by_their_keys() {
    let types = builtin("", "v1", "Pod").expect("Pod").type_info();
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let first = pod(json!({"containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}]}]}));
    let live = apply(types, None, &first, writer("a"), false).expect("applied");
    assert_eq!(
        fields_of(&live, "a")["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"]["f:ports"],
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}})
    );
    let second = pod(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "UDP"}]}]}));
    let both = apply(types, Some(&live), &second, writer("b"), false).expect("applied");
    assert_eq!(both["spec"]["containers"][0]["ports"].as_array().expect("ports").len(), 2);
}

#[test]
fn many_updaters_are_put_in_a_bucket() {
    let schema = crd();
    let types = schema.type_info();
    let mut live = object(json!({"map": {"k0": "v"}}));
    track_update(types, None, &mut live, writer("w0"));
    for i in 1..15 {
        let mut new = live.clone();
        new["spec"]["map"][format!("k{i}")] = json!("v");
        let name = format!("w{i}");
        track_update(types, Some(&live), &mut new, Writer { now: at(i), ..writer(&name) });
        live = new;
    }
    let entries = live["metadata"]["managedFields"].as_array().expect("entries");
    assert!(entries.len() <= 10, "{}", entries.len());
    assert!(entries.iter().any(|e| e["manager"] == "ancient-changes"));
    assert!(entries.iter().any(|e| e["manager"] == "w14"));
    assert!(fields_of(&live, "ancient-changes").to_string().contains("f:k0"));
}

#[test]
fn fields_v1_survives_a_round_trip() {
    let fields = json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:l": {"k:{\"a\":1,\"b\":\"x\"}": {}, "v:\"s\"": {}, "i:3": {}}});
    let set = FieldSet::decode(&fields).expect("well-formed");
    assert_eq!(set.encode(), fields);
    assert!(set.contains(&[PathElement::Field("b".into()), PathElement::Field("c".into())]));
    assert!(FieldSet::decode(&json!({"nonsense": {}})).is_none());
}

#[test]
fn giving_up_the_last_field_in_the_metadata_leaves_the_name() {
    let schema = crd();
    let types = schema.type_info();
    let mut config = object(json!({"a": "1"}));
    config["metadata"]["finalizers"] = json!(["e.com/x"]);
    let made = apply(types, None, &config, writer("m"), false).expect("applied");
    let less = do_apply(types, Some(&made), json!({"a": "1"}), "m").expect("applied");
    assert_eq!((&less["metadata"]["name"], less["metadata"].get("finalizers")), (&json!("o"), None));
}
