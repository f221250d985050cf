use super::*;
use crate::schema::{TypeInfo, builtin};
use serde_json::{Value, json};

fn pod() -> TypeInfo<'static> {
    builtin("", "v1", "Pod").expect("Pod").type_info()
}

fn strategic(target: Value, patch: Value) -> Value {
    strategic_merge_patch(pod(), &target, &patch).expect("patched")
}

#[test]
fn merge_patch_follows_rfc_7386() {
    for (target, patch, wanted) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(json_merge_patch(&target, &patch), wanted);
    }
}

#[test]
fn json_patch_applies_all_or_nothing() {
    let target = json!({"spec": {"a": 1, "l": [1, 2]}});
    let ok = json!([
        {"op": "test", "path": "/spec/a", "value": 1},
        {"op": "replace", "path": "/spec/a", "value": 2},
        {"op": "add", "path": "/spec/l/-", "value": 3},
        {"op": "remove", "path": "/spec/l/0"},
    ]);
    assert_eq!(json_patch(&target, &ok), Ok(json!({"spec": {"a": 2, "l": [2, 3]}})));
    for bad in [
        json!([{"op": "test", "path": "/spec/a", "value": 9}]),
        json!([{"op": "remove", "path": "/spec/none"}]),
        json!([{"op": "replace", "path": "/none/x", "value": 1}]),
    ] {
        let error = json_patch(&target, &bad).expect_err("refused");
        assert_eq!((error.code(), error.reason()), (422, "Invalid"));
    }
    let error = json_patch(&target, &json!({"spec": {}})).expect_err("refused");
    assert_eq!((error.code(), error.reason()), (400, "BadRequest"));
}

#[test]
fn lists_merge_by_key() {
    let target = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
        "tolerations": [{"key": "x"}]}});
    let patch = json!({"spec": {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3", "command": null}],
        "tolerations": [{"key": "y"}]}});
    assert_eq!(
        strategic(target, patch),
        json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}],
            "tolerations": [{"key": "y"}]}})
    );
}

#[test]
fn directives_delete_and_replace() {
    let target = json!({"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], "securityContext": {"runAsUser": 1}}});
    assert_eq!(
        strategic(target.clone(), json!({"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}))["spec"]["containers"],
        json!([{"name": "b"}])
    );
    assert_eq!(
        strategic(target.clone(), json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}}))["spec"]["containers"],
        json!([{"name": "z"}])
    );
    assert_eq!(
        strategic(target.clone(), json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}))["metadata"]["labels"],
        json!({"c": "3"})
    );
    assert_eq!(
        strategic(target.clone(), json!({"spec": {"securityContext": {"$patch": "delete"}}}))["spec"]
            .get("securityContext"),
        None
    );
    assert_eq!(
        strategic(target.clone(), json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}))["metadata"]["finalizers"],
        json!(["y"])
    );
    assert_eq!(
        strategic(target.clone(), json!({"metadata": {"finalizers": ["z", "y"]}}))["metadata"]["finalizers"],
        json!(["z", "x", "y"])
    );
    let error = strategic_merge_patch(pod(), &target, &json!({"spec": {"$patch": "bogus"}})).expect_err("refused");
    assert!(error.to_string().starts_with("unknown patch type: bogus"), "{error}");
    let error =
        strategic_merge_patch(pod(), &target, &json!({"spec": {"containers": [{"image": "x"}]}})).expect_err("refused");
    assert!(error.to_string().contains("does not contain declared merge key: name"), "{error}");
}

#[test]
fn retain_keys_drops_the_others() {
    let target = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
    let patch =
        json!({"spec": {"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}}]}});
    assert_eq!(strategic(target.clone(), patch)["spec"]["volumes"], json!([{"name": "v", "hostPath": {"path": "/x"}}]));
    let stray = json!({"spec": {"volumes": [{"$retainKeys": ["name"], "name": "v", "hostPath": {"path": "/x"}}]}});
    assert!(strategic_merge_patch(pod(), &target, &stray).is_err());
}

#[test]
fn set_element_order_arranges_the_list() {
    let target = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "mine"}, {"name": "c"}]}});
    let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "new"}],
        "containers": [{"name": "new"}, {"$patch": "delete", "name": "b"}]}});
    let result = strategic(target.clone(), patch);
    let names: Vec<&str> =
        result["spec"]["containers"].as_array().expect("list").iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["mine", "c", "a", "new"]);
    let only = strategic(target, json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}));
    assert_eq!(only["spec"]["containers"].as_array().expect("list").len(), 4);
    assert_eq!(only["spec"]["containers"][0]["name"], "b");
}
