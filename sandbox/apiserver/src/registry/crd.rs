//! Resources made from a CustomResourceDefinition.

use super::{Generation, NameRule, Resource, Scale, Shape};
use crate::meta;
use crate::schema::StructuralSchema;
use crate::store::GroupResource;
use serde_json::Value;
use std::sync::Arc;

/// In the order in which discovery lists them for definitions.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn text(value: &Value, path: &[&str]) -> String {
    path.iter().try_fold(value, |v, p| v.get(p)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The storage of a CRD's objects.
pub(crate) fn storage(crd: &Value) -> GroupResource {
    GroupResource::new(text(crd, &["spec", "group"]), text(crd, &["spec", "names", "plural"]))
}

/// The versions of a CRD.
pub(crate) fn versions(crd: &Value) -> &[Value] {
    crd.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Name of the version that objects are stored in.
pub(crate) fn storage_version(crd: &Value) -> String {
    versions(crd).iter().find(|v| v["storage"].as_bool() == Some(true)).map(|v| text(v, &["name"])).unwrap_or_default()
}

/// The names that a CRD has been given (`status.acceptedNames`), or asks for when none is accepted yet.
fn names(crd: &Value) -> &Value {
    crd.pointer("/status/acceptedNames")
        .filter(|n| n.get("plural").and_then(Value::as_str).is_some_and(|p| !p.is_empty()))
        .unwrap_or(&crd["spec"]["names"])
}

/// The resources of the served versions of a CRD.
pub(crate) fn resources(crd: &Value) -> Vec<Resource> {
    let storage = storage(crd);
    let storage_api_version = format!("{}/{}", storage.group, storage_version(crd));
    versions(crd)
        .iter()
        .filter(|v| v["served"].as_bool() == Some(true))
        .map(|v| resource(crd, v, &storage, &storage_api_version))
        .collect()
}

fn resource(crd: &Value, version: &Value, storage: &GroupResource, storage_api_version: &str) -> Resource {
    let names = names(crd);
    let list = |field: &str| meta::strings(names.get(field)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let kind = text(names, &["kind"]);
    let or = |value: String, other: String| if value.is_empty() { other } else { value };
    let open_api = version.pointer("/schema/openAPIV3Schema").filter(|s| s.is_object()).cloned();
    // The CRD was validated when it was written: a schema that does not compile is not stored.
    let schema = open_api.as_ref().and_then(|s| StructuralSchema::from_crd(s).ok());
    let scale = version.pointer("/subresources/scale").map(|s| Scale {
        spec_replicas: text(s, &["specReplicasPath"]),
        status_replicas: text(s, &["statusReplicasPath"]),
        label_selector: Some(text(s, &["labelSelectorPath"])).filter(|p| !p.is_empty()),
    });
    let name = text(version, &["name"]);
    let deprecation = (version["deprecated"].as_bool() == Some(true))
        .then(|| or(text(version, &["deprecationWarning"]), format!("{}/{name} {kind} is deprecated", storage.group)));
    Resource {
        group: storage.group.clone(),
        version: name,
        list_kind: or(text(names, &["listKind"]), format!("{kind}List")),
        singular: or(text(names, &["singular"]), kind.to_lowercase()),
        kind,
        plural: storage.resource.clone(),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: text(crd, &["spec", "scope"]) == "Namespaced",
        verbs: VERBS.to_vec(),
        status: version.pointer("/subresources/status").is_some(),
        scale,
        generation: Generation::Content,
        unconditional_update: false,
        create_on_update: false,
        returns_deleted: false,
        names: NameRule::Subdomain,
        selectable: version["selectableFields"]
            .as_array()
            .map(|fields| fields.iter().map(|f| text(f, &["jsonPath"]).trim_start_matches('.').to_owned()).collect())
            .unwrap_or_default(),
        storage: storage.clone(),
        storage_api_version: storage_api_version.to_owned(),
        shape: Shape::Custom(schema.map(Arc::new)),
        open_api: open_api.map(Arc::new),
        printer_columns: version.get("additionalPrinterColumns").cloned().map(Arc::new),
        deprecation,
        webhook: text(crd, &["spec", "conversion", "strategy"]) == "Webhook",
        terminating: meta::is_deleting(crd),
    }
}
