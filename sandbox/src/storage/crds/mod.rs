//! CustomResourceDefinitions of the storage kinds that the sandbox serves.
//!
//! Written from the specification of csi-addons and of the snapshot projects: names, scopes, subresources, columns,
//! required fields, enumerations, defaults and immutability as there; of the fields only those that are used.

mod replication;
mod schema;
#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use schema::{immutable, map, object, one_of, strings, text};

/// All of them: replication, fencing, snapshot classes.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let definitions = [
        replication::volume_replication(),
        replication::volume_replication_class(),
        replication::volume_group_replication(),
        replication::volume_group_replication_class(),
        replication::volume_group_replication_content(),
        network_fence(),
        network_fence_class(),
        snapshot_class("snapshot.storage.k8s.io", "VolumeSnapshotClass", &["vsclass", "vsclasses"]),
        snapshot_class("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotClass", &["vgsclass", "vgsclasses"]),
    ];
    let read = |definition| serde_json::from_value(definition).expect("a literal, and the tests read all of them");
    definitions.into_iter().map(read).collect()
}

/// What a definition consists of.
struct Definition<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    plural: &'a str,
    short_names: &'a [&'a str],
    namespaced: bool,
    status: bool,
    columns: &'a [(&'a str, &'a str, &'a str)],
    schema: Value,
}

impl Definition<'_> {
    fn build(self) -> Value {
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|(name, path, type_)| json!({"name": name, "jsonPath": path, "type": type_}))
            .collect();
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_lowercase(),
        });
        if !self.short_names.is_empty() {
            names["shortNames"] = json!(self.short_names);
        }
        let mut metadata = json!({"name": format!("{}.{}", self.plural, self.group)});
        if self.group.ends_with(".k8s.io") {
            metadata["annotations"] = json!({APPROVAL: UNAPPROVED});
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {
                "group": self.group,
                "names": names,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "versions": [{
                    "name": self.version,
                    "served": true,
                    "storage": true,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": self.schema},
                    "subresources": if self.status { json!({"status": {}}) } else { json!({}) },
                }],
            },
        })
    }
}

/// Annotation that API servers demand of definitions in Kubernetes' own groups.
const APPROVAL: &str = "api-approved.kubernetes.io";
/// The project's own definitions name the review that approved them; these reduced ones were never reviewed.
const UNAPPROVED: &str = "unapproved, a reduced definition for simulated clusters";

const AGE: (&str, &str, &str) = ("Age", ".metadata.creationTimestamp", "date");

fn network_fence() -> Value {
    let secret = object(
        &[("name", immutable(text(), "name is immutable")), ("namespace", immutable(text(), "namespace is immutable"))],
        &[],
    );
    let mut spec = object(
        &[
            ("cidrs", strings()),
            ("driver", immutable(text(), "driver is immutable")),
            ("fenceState", schema::with(one_of(&["Fenced", "Unfenced"]), "default", json!("Fenced"))),
            ("networkFenceClassName", immutable(text(), "networkFenceClassName is immutable")),
            ("parameters", immutable(map(), "parameters are immutable")),
            ("secret", immutable(secret, "secret is immutable")),
        ],
        &["cidrs", "fenceState"],
    );
    spec["x-kubernetes-validations"] = json!([
        {"rule": "has(self.driver) || has(self.networkFenceClassName)", "message": "one of driver or networkFenceClassName must be present"},
        {"rule": "has(self.networkFenceClassName) || has(self.secret)", "message": "secret must be present when networkFenceClassName is not specified"},
    ]);
    let status = object(&[("conditions", schema::conditions()), ("message", text()), ("result", text())], &[]);
    Definition {
        group: "csiaddons.openshift.io",
        version: "v1alpha1",
        kind: "NetworkFence",
        plural: "networkfences",
        short_names: &[],
        namespaced: false,
        status: true,
        columns: &[
            ("Driver", ".spec.driver", "string"),
            ("Cidrs", ".spec.cidrs", "string"),
            ("FenceState", ".spec.fenceState", "string"),
            AGE,
            ("Result", ".status.result", "string"),
        ],
        schema: schema::root(spec, Some(status), &["spec"]),
    }
    .build()
}

fn network_fence_class() -> Value {
    Definition {
        group: "csiaddons.openshift.io",
        version: "v1alpha1",
        kind: "NetworkFenceClass",
        plural: "networkfenceclasses",
        short_names: &[],
        namespaced: false,
        status: true,
        columns: &[],
        schema: schema::root(schema::class_spec(), Some(object(&[], &[])), &[]),
    }
    .build()
}

fn snapshot_class(group: &str, kind: &str, short_names: &[&str]) -> Value {
    // Only the younger of the two projects has these rules.
    let fixed = |schema: Value, message: &str| {
        if group.starts_with("groupsnapshot.") { immutable(schema, message) } else { schema }
    };
    let mut schema = object(
        &[
            ("apiVersion", text()),
            ("kind", text()),
            ("metadata", json!({"type": "object"})),
            ("deletionPolicy", fixed(one_of(&["Delete", "Retain"]), "deletionPolicy is immutable once set")),
            ("driver", fixed(text(), "driver is immutable once set")),
            ("parameters", fixed(map(), "parameters are immutable once set")),
        ],
        &["deletionPolicy", "driver"],
    );
    schema["description"] = json!(format!("{kind}: how the driver takes snapshots."));
    Definition {
        group,
        version: "v1",
        kind,
        plural: &format!("{}es", kind.to_lowercase()),
        short_names,
        namespaced: false,
        status: false,
        columns: &[("Driver", ".driver", "string"), ("DeletionPolicy", ".deletionPolicy", "string"), AGE],
        schema,
    }
    .build()
}
