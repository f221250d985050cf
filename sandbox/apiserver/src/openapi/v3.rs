//! The v3 index and documents.

use super::ResourceDoc;
use super::components::{Components, META, V3};
use super::paths;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `/openapi/v3`: `{"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=..."}}}`. The hash is of
/// the document's content, so that clients can cache it.
pub fn index(docs: &[ResourceDoc]) -> Value {
    let mut groups: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for doc in docs {
        groups.insert(place(&doc.group, &doc.version), (&doc.group, &doc.version));
    }
    let mut paths = Map::new();
    for (place, (group, version)) in groups {
        if let Some(document) = document(group, version, docs) {
            let hash = content_hash(&document);
            paths.insert(
                place.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{place}?hash={hash}")}),
            );
        }
    }
    json!({"paths": paths})
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// FNV-1a with 128 bits: stable across runs and versions of the compiler, which std's hashers are not.
fn content_hash(document: &Value) -> String {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in document.to_string().bytes() {
        hash ^= u128::from(byte);
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
    for doc in docs
        .iter()
        .filter(|d| d.group == group && d.version == version)
    {
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
