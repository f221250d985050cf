//! The v3 index and documents.

use super::components::{Components, META, V3};
use super::paths;
use super::{ResourceDoc, SchemaSource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `/openapi/v3`: `{"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=..."}}}`. The hash is of
/// what the document is made from, so that clients can cache it, and the index is cheap to make.
pub fn index(docs: &[ResourceDoc]) -> Value {
    let mut contents: BTreeMap<String, String> = BTreeMap::new();
    for doc in docs {
        let content = contents.entry(place(&doc.group, &doc.version)).or_default();
        content.push_str(&format!(
            "{}|{}|{}|{:?}|{:?}|",
            doc.kind, doc.plural, doc.namespaced, doc.verbs, doc.subresources
        ));
        if let SchemaSource::Crd(schema) = &doc.schema {
            content.push_str(&schema.to_string());
        }
    }
    let paths: Map<String, Value> = contents
        .into_iter()
        .map(|(place, content)| {
            let url = format!("/openapi/v3/{place}?hash={}", content_hash(&content));
            (place, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// FNV-1a with 128 bits: stable across runs and versions of the compiler, which std's hashers are not.
pub(crate) fn content_hash(content: impl AsRef<[u8]>) -> String {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in content.as_ref() {
        hash ^= u128::from(*byte);
        hash = hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{hash:032X}")
}

/// `/openapi/v3/apis/{group}/{version}` or `/openapi/v3/api/v1` (group empty); `None` when nothing of that group and
/// version is served.
pub fn document(group: &str, version: &str, docs: &[ResourceDoc]) -> Option<Value> {
    let mut components = Components::new(V3);
    let mut all_paths = Map::new();
    let mut found = false;
    for doc in docs.iter().filter(|d| d.group == group && d.version == version) {
        found = true;
        components.add(doc);
        paths::add(doc, &mut all_paths);
    }
    if !found {
        return None;
    }
    for name in ["Status", "DeleteOptions", "Patch"] {
        components.definition(&format!("{META}.{name}"));
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": all_paths,
        "components": {"schemas": components.finish()},
    }))
}
