use super::*;
use serde_json::json;

fn schema(spec: Value) -> StructuralSchema {
    StructuralSchema::from_crd(&json!({
        "type": "object",
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": spec},
    }))
    .expect("the schema is structural")
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"}, "spec": spec})
}

fn lines(schema: &StructuralSchema, new: Value, old: Option<Value>) -> Vec<String> {
    let old = old.map(object);
    schema.validate(&object(new), old.as_ref()).iter().map(ToString::to_string).collect()
}

#[test]
fn pruning_reports_paths_and_keeps_what_it_must() {
    let schema = schema(json!({"type": "object", "properties": {
        "known": {"type": "string"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "strict": {"type": "object", "properties": {}},
        }},
        "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
    }}));
    let mut value = object(json!({
        "known": "x", "unknown": 1,
        "list": [{"a": "x"}, {"a": "y", "b": 1}],
        "map": {"k": {"a": "x", "b": 1}},
        "free": {"anything": {"goes": 1}, "strict": {"gone": 1}},
        "embedded": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "bogus": 1}, "spec": {}, "status": {}},
        "any": {"deep": [{"x": 1}]},
    }));
    value["metadata"]["nonsense"] = json!(1);
    let unknown = schema.prune(&mut value);
    assert_eq!(
        unknown,
        [
            "metadata.nonsense",
            "spec.embedded.status",
            "spec.free.strict.gone",
            "spec.list[1].b",
            "spec.map.k.b",
            "spec.unknown",
            "spec.embedded.metadata.bogus",
        ]
    );
    assert_eq!(value["spec"]["free"]["anything"], json!({"goes": 1}));
    assert_eq!(value["spec"]["any"], json!({"deep": [{"x": 1}]}));
    let before = value.clone();
    assert_eq!(schema.prune(&mut value), Vec::<String>::new());
    assert_eq!(value, before, "pruning twice is pruning once");
}

#[test]
fn defaults_fill_in_and_displace_nulls() {
    let schema = schema(json!({"type": "object", "properties": {
        "mode": {"type": "string", "default": "auto"},
        "maybe": {"type": "string", "nullable": true, "default": "x"},
        "nested": {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 3}}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
        "plain": {"type": "string"},
    }}));
    let mut value = object(json!({"mode": null, "maybe": null, "items": [{}], "plain": null}));
    schema.default(&mut value);
    assert_eq!(
        value["spec"],
        json!({"mode": "auto", "maybe": null, "nested": {"n": 3}, "items": [{"p": "TCP"}]}),
        "a null that is no value of its field is dropped"
    );
    let once = value.clone();
    schema.default(&mut value);
    assert_eq!(value, once);
}

#[test]
fn every_check_is_worded_as_the_server_words_it() {
    let schema = schema(json!({"type": "object", "required": ["must"], "properties": {
        "must": {"type": "string", "x-kubernetes-validations": [{"rule": "true"}]},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "small": {"type": "integer", "format": "int32"},
        "action": {"type": "string", "enum": ["Failover", "Relocate"]},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
        "when": {"type": "string", "format": "date-time"},
        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "few": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "maybe": {"type": "string", "nullable": true},
    }}));
    let skipped = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!({"must": "x", "count": 3, "port": "http", "few": ["a"], "one": {"a": "x"}, "maybe": null}), vec![]),
        (json!({"must": "x", "port": 80, "when": "2024-01-01T00:00:00Z"}), vec![]),
        (json!({}), vec!["spec.must: Required value", skipped]),
        (
            json!({"must": null}),
            vec!["spec.must: Invalid value: \"null\": spec.must in body must be of type string: \"null\"", skipped],
        ),
        (
            json!({"must": "x", "count": "3"}),
            vec![
                "spec.count: Invalid value: \"string\": spec.count in body must be of type integer: \"string\"",
                skipped,
            ],
        ),
        (
            json!({"must": "x", "count": 0}),
            vec!["spec.count: Invalid value: 0: spec.count in body should be greater than or equal to 1"],
        ),
        (
            json!({"must": "x", "count": 6}),
            vec!["spec.count: Invalid value: 6: spec.count in body should be less than or equal to 5"],
        ),
        (
            json!({"must": "x", "small": 3_000_000_000u64}),
            vec![
                "spec.small: Invalid value: 3000000000: Checked value must be of type integer with format int32 in spec.small",
            ],
        ),
        (
            json!({"must": "x", "action": "X"}),
            vec!["spec.action: Unsupported value: \"X\": supported values: \"Failover\", \"Relocate\"", skipped],
        ),
        (
            json!({"must": "x", "name": "AB"}),
            vec!["spec.name: Invalid value: \"AB\": spec.name in body should match '^[a-z]+$'"],
        ),
        (json!({"must": "x", "name": "abcdef"}), vec!["spec.name: Too long: may not be more than 5 bytes", skipped]),
        (
            json!({"must": "x", "name": "a"}),
            vec!["spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"],
        ),
        (
            json!({"must": "x", "when": "yesterday"}),
            vec![
                "spec.when: Invalid value: \"yesterday\": spec.when in body must be of type date-time: \"yesterday\"",
                skipped,
            ],
        ),
        (
            json!({"must": "x", "port": true}),
            vec![
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
                "<nil>: Invalid value: \"\": \"spec.port\" must validate at least one schema (anyOf)",
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer: \"boolean\"",
                skipped,
            ],
        ),
        (
            json!({"must": "x", "few": []}),
            vec!["spec.few: Invalid value: 0: spec.few in body should have at least 1 items"],
        ),
        (
            json!({"must": "x", "few": ["a", "b", "c"]}),
            vec!["spec.few: Too many: 3: must have at most 2 items", skipped],
        ),
        (json!({"must": "x", "set": ["a", "b", "a"]}), vec!["spec.set[2]: Duplicate value: \"a\""]),
        (
            json!({"must": "x", "map": [{"name": "a"}, {"name": "a"}]}),
            vec!["spec.map[1]: Duplicate value: {\"name\":\"a\"}"],
        ),
        (
            json!({"must": "x", "one": {"a": "1", "b": "2"}}),
            vec![
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(lines(&schema, spec.clone(), None), wanted, "{spec}");
    }
}

#[test]
fn unchanged_invalid_values_are_tolerated_on_update() {
    let schema = schema(json!({"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 3},
        "n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 10"}]},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
            "type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}}},
        "other": {"type": "string"},
    }}));
    let old = json!({"name": "long-name", "n": 20, "list": [{"k": "a", "v": 9}]});
    let same = json!({"name": "long-name", "n": 20, "list": [{"k": "b", "v": 1}, {"k": "a", "v": 9}], "other": "new"});
    assert_eq!(lines(&schema, same, Some(old.clone())), Vec::<String>::new());
    let changed = json!({"name": "longer-name", "n": 20, "list": [{"k": "a", "v": 10}]});
    let errors = lines(&schema, changed, Some(old.clone()));
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("spec.list[0].v: Invalid value: 10"), "{errors:?}");
    let rule = json!({"name": "long-name", "n": 30, "list": [{"k": "a", "v": 9}]});
    assert_eq!(lines(&schema, rule, Some(old)), ["spec.n: Invalid value: 30: failed rule: self < 10"]);
}

#[test]
fn cel_rules_refuse_with_message_reason_and_path() {
    let schema = schema(json!({"type": "object", "properties": {
        "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}]},
        "range": {"type": "object", "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.min <= self.max", "fieldPath": ".min", "reason": "FieldValueForbidden",
                "messageExpression": "'min ' + string(self.min) + ' is above max ' + string(self.max)"}]},
        "once": {"type": "string", "x-kubernetes-validations": [{"rule": "!oldSelf.hasValue() || self == oldSelf.value()", "optionalOldSelf": true, "message": "set once"}]},
        "when": {"type": "string", "format": "date-time", "x-kubernetes-validations": [{"rule": "self > timestamp('2000-01-01T00:00:00Z')", "message": "too old"}]},
        "wait": {"type": "string", "format": "duration", "x-kubernetes-validations": [{"rule": "self <= duration('1h')", "message": "too long"}]},
        "dash-ed": {"type": "object", "properties": {"a-b": {"type": "string"}}, "x-kubernetes-validations": [{"rule": "has(self.a__dash__b)", "message": "needs a-b"}]},
    }}));
    assert_eq!(
        lines(
            &schema,
            json!({"fixed": "a", "once": "a", "when": "2024-01-01T00:00:00Z", "wait": "30m", "dash-ed": {"a-b": "x"}}),
            None
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        lines(&schema, json!({"fixed": "b"}), Some(json!({"fixed": "a"}))),
        ["spec.fixed: Invalid value: \"b\": fixed is immutable"]
    );
    assert_eq!(
        lines(&schema, json!({"fixed": "b"}), Some(json!({}))),
        Vec::<String>::new(),
        "no old value, no transition"
    );
    assert_eq!(
        lines(&schema, json!({"range": {"min": 5, "max": 2}}), None),
        ["spec.range.min: Forbidden: min 5 is above max 2"]
    );
    assert_eq!(
        lines(&schema, json!({"once": "b"}), Some(json!({"once": "a"}))),
        ["spec.once: Invalid value: \"b\": set once"]
    );
    assert_eq!(
        lines(&schema, json!({"when": "1999-01-01T00:00:00Z", "wait": "90m", "dash-ed": {}}), None),
        [
            "spec.dash-ed: Invalid value: needs a-b",
            "spec.wait: Invalid value: \"90m\": too long",
            "spec.when: Invalid value: \"1999-01-01T00:00:00Z\": too old",
        ]
    );
    let broken = lines(&schema, json!({"range": {"min": 5}}), None);
    assert!(broken[0].contains("evaluating rule"), "{broken:?}");
}

#[test]
fn schemas_that_are_not_structural_are_refused_with_the_place() {
    let cases = [
        (json!({"properties": {}}), "openAPIV3Schema.type: Required value: must not be empty at the root"),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            "openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            "openAPIV3Schema.properties[a].items: Required value: must be specified",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
            "openAPIV3Schema.properties[a].pattern: Invalid value",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self ="}]}}}),
            "openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule: Invalid value: \"self =\"",
        ),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "#/x"}}}),
            "openAPIV3Schema.properties[a].$ref: Forbidden",
        ),
        (
            json!({"type": "object", "anyOf": [{"default": 1}]}),
            "openAPIV3Schema.anyOf[0].default: Forbidden: must be undefined to be structural",
        ),
        (
            json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}}),
            "openAPIV3Schema.properties[l].x-kubernetes-list-map-keys: Required value",
        ),
    ];
    for (raw, wanted) in cases {
        let errors = StructuralSchema::from_crd(&raw).expect_err("not structural");
        assert!(errors.iter().any(|e| e.to_string().starts_with(wanted)), "{raw}: {errors:?}");
    }
}

#[test]
fn the_status_of_errors() {
    let errors = [
        FieldError::required("spec.a", ""),
        FieldError::invalid("spec.b", &json!("x"), "bad"),
        FieldError::required("spec.a", ""),
    ];
    let status = invalid_status("ramendr.openshift.io", "DRPlacementControl", "x", &errors);
    assert_eq!(
        status["message"],
        "DRPlacementControl.ramendr.openshift.io \"x\" is invalid: [spec.a: Required value, spec.b: Invalid value: \"x\": bad]"
    );
    assert_eq!(
        status["details"]["causes"][1],
        json!({"reason": "FieldValueInvalid", "message": "Invalid value: \"x\": bad", "field": "spec.b"})
    );
    assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
    assert_eq!(invalid_status("", "Pod", "p", &errors[..1])["message"], "Pod \"p\" is invalid: spec.a: Required value");
    assert_eq!(
        strict_decoding_message(&["spec.a".to_owned(), "spec.b".to_owned()]),
        "strict decoding error: unknown field \"spec.a\", unknown field \"spec.b\""
    );
}

#[test]
fn every_builtin_kind_has_its_schema() {
    for (group, version, kind) in builtin::kinds() {
        let schema = builtin(group, version, kind).unwrap_or_else(|| panic!("{group}/{version} {kind}"));
        assert!(schema.type_info().is_named_field("metadata"), "{kind}");
        assert!(schema.definition().ends_with(&format!(".{kind}")), "{kind}");
    }
    assert!(builtin("", "v1", "Nothing").is_none());
}

#[test]
fn every_row_of_the_merge_table_names_a_field_that_is_there() {
    for row in builtin_lists::LISTS {
        let name = format!("io.k8s.{}", row.definition);
        let definition = builtin_definitions().get(&name).unwrap_or_else(|| panic!("{name}"));
        let field = &definition["properties"][row.field];
        assert_eq!(field["type"], "array", "{name} {}", row.field);
    }
    for short in builtin_lists::ATOMIC_TYPES {
        // Types that no served kind uses are written down for completeness.
        let name = format!("io.k8s.{short}");
        assert!(builtin_definitions().contains_key(&name) || short.contains("RawExtension"), "{name}");
    }
}

#[test]
fn builtin_objects_are_type_checked_and_pruned() {
    let pod = builtin("", "v1", "Pod").expect("Pod");
    let mut good = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": null, "labels": {"x": "y"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "ports": [{"containerPort": 80}]}]}, "status": {}});
    assert_eq!(pod.decode_error(&good), None);
    assert_eq!(pod.validate(&good), []);
    assert_eq!(pod.prune(&mut good), Vec::<String>::new());
    assert_eq!(good["metadata"], json!({"name": "a", "labels": {"x": "y"}}), "nulls are absent");

    let mut unknown = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "c", "imag": "i"}]}});
    assert_eq!(pod.prune(&mut unknown), ["spec.containers[0].imag"]);
    let wrong = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": "x"}});
    assert_eq!(
        pod.decode_error(&wrong).expect("refused"),
        "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"
    );
    let quantity = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "lots"}}}]}});
    assert!(pod.decode_error(&quantity).expect("refused").contains("quantities must match"));
    let missing = json!({"spec": {"containers": [{"image": "i"}]}});
    assert_eq!(pod.validate(&missing)[0].to_string(), "spec.containers[0].name: Required value");

    let crd = builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("CRD");
    let mut definition = json!({"spec": {"group": "g", "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "a": {"type": "array", "items": {"type": "string", "default": "x"}}, "b": {"additionalProperties": true, "default": {"any": [1]}}}}}}]}});
    let before = definition.clone();
    assert_eq!(crd.decode_error(&definition), None);
    assert_eq!(crd.prune(&mut definition), Vec::<String>::new());
    assert_eq!(definition, before);
}

#[test]
fn cursors_know_how_builtin_fields_merge() {
    let pod = builtin("", "v1", "Pod").expect("Pod").type_info();
    let spec = pod.field("spec").expect("spec");
    let containers = spec.field("containers").expect("containers");
    assert_eq!(containers.list_kind(), ListKind::Map(&["name".to_owned()]));
    assert_eq!(containers.patch_merge_key(), Some("name"));
    let ports = containers.item().field("ports").expect("ports");
    assert_eq!(ports.list_kind(), ListKind::Map(&["containerPort".to_owned(), "protocol".to_owned()]));
    assert_eq!(
        (ports.patch_merge_key(), ports.item().field_default("protocol")),
        (Some("containerPort"), Some(&json!("TCP")))
    );
    assert_eq!(spec.field("tolerations").expect("tolerations").list_kind(), ListKind::Atomic);
    assert!(spec.field("volumes").expect("volumes").patch_retains_keys());
    assert_eq!(spec.field("nodeSelector").expect("nodeSelector").map_kind(), MapKind::Atomic);
    let metadata = pod.field("metadata").expect("metadata");
    assert_eq!(metadata.field("finalizers").expect("finalizers").list_kind(), ListKind::Set);
    assert!(metadata.field("finalizers").expect("finalizers").patch_merges());
    assert_eq!(metadata.field("labels").expect("labels").map_kind(), MapKind::Granular);
    assert!(pod.field("nonsense").is_none());
    let volume = builtin("", "v1", "PersistentVolume").expect("PV").type_info();
    let claim = volume.field("spec").and_then(|s| s.field("claimRef")).expect("claimRef");
    assert_eq!(claim.map_kind(), MapKind::Granular);
    let event = builtin("", "v1", "Event").expect("Event").type_info();
    assert_eq!(event.field("involvedObject").expect("involvedObject").map_kind(), MapKind::Atomic);
}

#[test]
fn rules_about_fields_that_do_not_exist_or_that_cost_too_much_are_refused() {
    let fault = |spec: Value| {
        let raw = json!({"type": "object", "properties": {"spec": spec}});
        StructuralSchema::from_crd(&raw).err().map(|e| e[0].to_string()).unwrap_or_default()
    };
    let rule = |rule: &str, properties: Value| {
        fault(json!({"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]}))
    };
    let x = json!({"x": {"type": "integer"}, "l": {"type": "array", "items": {"type": "object", "properties": {"a-b": {"type": "string"}}}}});
    assert!(rule("self.z == 100", x.clone()).contains("undefined field 'z'"));
    assert!(rule("self.l.all(e, e.c == '')", x.clone()).contains("undefined field 'c'"));
    assert!(rule("self = 42", x.clone()).contains("Syntax error"));
    assert_eq!(rule("self.x == 1 && self.l.all(e, has(e.a__dash__b)) && self.l[0].a__dash__b != ''", x), "");

    let nested = |limits: Value| {
        let list = |mut list: Value, limit: &Value| {
            list["type"] = json!("array");
            if limit.is_number() {
                list["maxItems"] = limit.clone();
            }
            list
        };
        let rules = json!([{"rule": "self.all(s, s == 'c')"}]);
        let inner = list(json!({"items": {"type": "string"}, "x-kubernetes-validations": rules}), &limits[1]);
        let outer = list(json!({"items": inner}), &limits[0]);
        fault(json!({"type": "object", "properties": {"x": outer}}))
    };
    assert!(nested(json!([null, null])).contains(
        "openAPIV3Schema.properties[spec].properties[x].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x"
    ));
    assert_eq!(nested(json!([100, 100])), "");
}

#[test]
fn a_rule_that_would_run_for_too_long_is_not_run() {
    let schema = schema(
        json!({"type": "object", "properties": {"l": {"type": "array", "maxItems": 725, "items": {"type": "integer"}}},
        "x-kubernetes-validations": [{"rule": "self.l.all(x, self.l.all(y, y == x))"}]}),
    );
    let same = |count: usize| json!({"l": vec![20; count]});
    assert_eq!(lines(&schema, same(20), None), Vec::<String>::new());
    let refused = lines(&schema, same(725), None);
    assert!(
        refused[0].starts_with("spec: Invalid value: 'operation cancelled: actual cost limit exceeded'"),
        "{refused:?}"
    );
}
