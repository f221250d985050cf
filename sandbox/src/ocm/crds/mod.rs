//! The definitions of OCM's kinds, as far as the sandbox serves them: every field that one of our programs reads or
//! writes. A field that is not here is pruned by an API server that serves these definitions.
//!
//! Not for clusters with a real OCM: that brings its own, which know more.

mod addon;
mod cluster;
mod placement;
mod schema;
mod work;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// Definitions that a hub serves.
#[must_use]
pub fn hub() -> Vec<CustomResourceDefinition> {
    definitions(
        [
            work::manifest_work(),
            cluster::managed_cluster(),
            cluster::managed_cluster_set(),
            cluster::managed_cluster_set_binding(),
            placement::placement(),
            placement::placement_decision(),
            placement::placement_rule(),
            work::managed_cluster_view(),
            addon::managed_cluster_add_on(),
            addon::cluster_management_add_on(),
        ]
        .into(),
    )
}

/// Definitions that a managed cluster serves.
#[must_use]
pub fn spoke() -> Vec<CustomResourceDefinition> {
    definitions([work::applied_manifest_work(), cluster::cluster_claim()].into())
}

fn definitions(values: Vec<Value>) -> Vec<CustomResourceDefinition> {
    // The values are literals of this folder, and a test reads every one of them: none can be lost here.
    values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect()
}

/// What a definition says beside its schema.
struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    has_status: bool,
    columns: &'static [Column],
}

/// A column of `kubectl get`: name, type, JSONPath.
type Column = (&'static str, &'static str, &'static str);

impl Kind {
    /// The definition, with the schema of `spec` and `status` as members of the object.
    fn definition(&self, required: &[&str], members: Value) -> Value {
        let mut properties = json!({
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
        });
        if let (Some(all), Value::Object(members)) = (properties.as_object_mut(), members) {
            all.extend(members);
        }
        let mut version = json!({
            "name": self.version,
            "served": true,
            "storage": true,
            "schema": {"openAPIV3Schema": schema::object(properties, required)},
        });
        if self.has_status {
            version["subresources"] = json!({"status": {}});
        }
        if !self.columns.is_empty() {
            let column = |(name, kind, path): &Column| json!({"name": name, "type": kind, "jsonPath": path});
            version["additionalPrinterColumns"] = self.columns.iter().map(column).collect();
        }
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_lowercase(),
        });
        if !self.short.is_empty() {
            names["shortNames"] = json!(self.short);
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{}", self.plural, self.group)},
            "spec": {
                "group": self.group,
                "names": names,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "versions": [version],
            },
        })
    }
}

#[cfg(test)]
mod tests;
