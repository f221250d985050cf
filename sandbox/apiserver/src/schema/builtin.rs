//! The schemas of built-in kinds: k8s-openapi's, with the merge information of `builtin_lists`.

use super::builtin_lists::{
    ATOMIC_FIELDS, ATOMIC_TYPES, GRANULAR_FIELDS, KEY_DEFAULTS, LISTS, ListRow, Merge, RETAIN_KEYS_FIELDS, RowTopology,
};
use super::decode;
use super::error::FieldError;
use super::format::Format;
use super::node::{Additional, Arena, Kind, Node, NodeId, PatchStrategy, Topology};
use super::prune::prune_from;
use super::types::TypeInfo;
use k8s_openapi::schemars::SchemaGenerator;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The schema of a kind that every API server has.
#[derive(Debug)]
pub struct BuiltinSchema {
    arena: &'static Arena,
    root: NodeId,
    definition: &'static str,
    version: &'static str,
    kind: &'static str,
}

impl BuiltinSchema {
    /// Removes unknown fields and returns their paths, as for CRDs. Nulls go as well, without being reported: Go's
    /// decoding makes them absent.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        drop_nulls(self.arena, self.root, object);
        prune_from(self.arena, self.root, object)
    }

    /// The first value of a wrong type, worded like the server's decoder (a 400): `Pod in version "v1" cannot be handled
    /// as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container`.
    pub fn decode_error(&self, object: &Value) -> Option<String> {
        let error = decode::first_error(self.arena, self.root, object)?;
        Some(format!("{} in version \"{}\" cannot be handled as a {}: {error}", self.kind, self.version, self.kind))
    }

    /// Required fields outside `metadata` and `status` that are absent (422).
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        decode::required(self.arena, self.root, object, "", &mut errors);
        errors
    }

    /// A cursor at the root.
    pub fn type_info(&self) -> TypeInfo<'static> {
        TypeInfo::at_node(self.arena, self.root)
    }

    /// Name of the definition, `io.k8s.api.core.v1.Pod`.
    pub fn definition(&self) -> &'static str {
        self.definition
    }
}

/// Whether Go leaves the field out: a list or a map that is empty, unless it has to be there.
fn is_omitted(parent: &Node, node: &Node, name: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty() && node.additional != Additional::None && node.properties.is_empty(),
        _ => false,
    };
    // A field of a map is no field of a struct; rules of roles are shown, whatever the schema says.
    is_empty
        && parent.properties.contains_key(name)
        && name != "rules"
        && !parent.checks.required.iter().any(|r| r == name)
}

fn drop_nulls(arena: &Arena, id: NodeId, value: &mut Value) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                let Some(child) = node.child(name) else { return true };
                !field.is_null() && !is_omitted(node, arena.node(child), name, field)
            });
            for (name, field) in fields.iter_mut() {
                if let Some(child) = node.child(name) {
                    drop_nulls(arena, child, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = node.items {
                items.iter_mut().for_each(|element| drop_nulls(arena, item, element));
            }
        }
        _ => {}
    }
}

/// Every kind with a schema: group, version, kind, type.
macro_rules! kinds {
    ($($module:ident :: $version:ident, $group:literal, [$($kind:ident),* $(,)?];)*) => {
        const KINDS: &[(&str, &str, &str, fn(&mut SchemaGenerator))] = &[
            $($((
                $group,
                stringify!($version),
                stringify!($kind),
                |generator| { generator.subschema_for::<k8s_openapi::api::$module::$version::$kind>(); },
            ),)*)*
            (
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                |generator| {
                    generator.subschema_for::<
                        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
                    >();
                },
            ),
            (
                "apiregistration.k8s.io",
                "v1",
                "APIService",
                |generator| {
                    generator.subschema_for::<
                        k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService,
                    >();
                },
            ),
        ];
    };
}

kinds! {
    core::v1, "", [
        ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
        PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
    ];
    apps::v1, "apps", [ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet];
    autoscaling::v1, "autoscaling", [HorizontalPodAutoscaler, Scale];
    autoscaling::v2, "autoscaling", [HorizontalPodAutoscaler];
    batch::v1, "batch", [CronJob, Job];
    coordination::v1, "coordination.k8s.io", [Lease];
    discovery::v1, "discovery.k8s.io", [EndpointSlice];
    events::v1, "events.k8s.io", [Event];
    networking::v1, "networking.k8s.io", [Ingress, IngressClass, NetworkPolicy];
    policy::v1, "policy", [PodDisruptionBudget];
    rbac::v1, "rbac.authorization.k8s.io", [ClusterRole, ClusterRoleBinding, Role, RoleBinding];
    scheduling::v1, "scheduling.k8s.io", [PriorityClass];
    storage::v1, "storage.k8s.io", [
        CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
    ];
    admissionregistration::v1, "admissionregistration.k8s.io", [
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration,
    ];
    certificates::v1, "certificates.k8s.io", [CertificateSigningRequest];
    flowcontrol::v1, "flowcontrol.apiserver.k8s.io", [FlowSchema, PriorityLevelConfiguration];
}

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut generator = SchemaSettings::default().into_generator();
    for (_, _, _, add) in KINDS {
        add(&mut generator);
    }
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Patch>();
    generator.take_definitions(false)
});

struct Builtins {
    arena: Arena,
    roots: HashMap<(&'static str, &'static str, &'static str), (NodeId, &'static str)>,
}

static COMPILED: LazyLock<Builtins> = LazyLock::new(|| {
    let mut compiler = Definitions::new(Arena::default());
    let mut roots = HashMap::new();
    for (name, _) in DEFINITIONS.iter() {
        let wanted = KINDS.iter().find(|(group, version, kind, _)| *name == definition_name(group, version, kind));
        if let Some((group, version, kind, _)) = wanted {
            roots.insert((*group, *version, *kind), (compiler.definition(name), name.as_str()));
        }
    }
    Builtins { arena: compiler.arena, roots }
});

static BY_KIND: LazyLock<HashMap<(&'static str, &'static str, &'static str), BuiltinSchema>> = LazyLock::new(|| {
    COMPILED
        .roots
        .iter()
        .map(|(key, (root, definition))| {
            let schema = BuiltinSchema { arena: &COMPILED.arena, root: *root, definition, version: key.1, kind: key.2 };
            (*key, schema)
        })
        .collect()
});

fn definition_name(group: &str, version: &str, kind: &str) -> String {
    match group {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}"),
        "rbac.authorization.k8s.io" => format!("io.k8s.api.rbac.{version}.{kind}"),
        group => {
            let short = group.split('.').next().unwrap_or(group);
            format!("io.k8s.api.{short}.{version}.{kind}")
        }
    }
}

/// The schema of a built-in kind, compiled at first use. `group` is empty for the core group.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<&'static BuiltinSchema> {
    // The key's lifetime is longer than the arguments', so the table is asked for a key that it owns.
    let (group, version, kind, _) = KINDS.iter().find(|(g, v, k, _)| *g == group && *v == version && *k == kind)?;
    BY_KIND.get(&(*group, *version, *kind))
}

/// All definitions of the built-in kinds by name, as JSON schemas with `#/$defs/` references.
pub fn builtin_definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

/// Adds ObjectMeta and what it needs to the arena of a CRD.
pub(super) fn add_object_meta(arena: &mut Arena) -> NodeId {
    let mut compiler = Definitions::new(std::mem::take(arena));
    let id = compiler.definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    *arena = compiler.arena;
    id
}

/// Compiles definitions into an arena, each once.
struct Definitions {
    arena: Arena,
    done: HashMap<&'static str, NodeId>,
}

impl Definitions {
    fn new(arena: Arena) -> Self {
        Self { arena, done: HashMap::new() }
    }

    fn definition(&mut self, name: &str) -> NodeId {
        let Some((name, raw)) = DEFINITIONS.get_key_value(name) else {
            return self.arena.push(Node::default());
        };
        if let Some(id) = self.done.get(name.as_str()) {
            return *id;
        }
        // The place is taken before the content is known, for definitions that refer to themselves.
        let id = self.arena.push(Node::default());
        self.done.insert(name, id);
        let short = name.strip_prefix("io.k8s.").unwrap_or(name);
        let mut node = self.node(raw, short);
        node.definition = Some(name);
        node.atomic_map = ATOMIC_TYPES.contains(&short);
        // These hold anything: the schema's `type: object` is not the whole truth.
        let anything = name.ends_with("apiextensions.v1.JSON") || raw.get("oneOf").is_some();
        if anything {
            node.kind = None;
        }
        let free = node.properties.is_empty() && node.additional == Additional::None;
        if anything || (free && node.kind == Some(Kind::Object)) {
            node.preserve_unknown = true;
            node.atomic_map = node.atomic_map || anything;
        }
        self.arena.nodes[id] = node;
        id
    }

    /// A schema in place; `owner` is the definition that it is part of.
    fn node(&mut self, raw: &Value, owner: &str) -> Node {
        let text = |name: &str| raw.get(name).and_then(Value::as_str);
        let mut node = Node {
            kind: text("type").and_then(Kind::parse),
            nullable: true,
            int_or_string: raw.get("x-kubernetes-int-or-string") == Some(&json!(true)),
            ..Node::default()
        };
        node.checks.format = text("format").and_then(Format::parse);
        if let Some(required) = raw.get("required").and_then(Value::as_array) {
            node.checks.required = required.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if let Some(properties) = raw.get("properties").and_then(Value::as_object) {
            for (name, child) in properties {
                let id = self.property(child, owner, name);
                node.properties.insert(name.clone(), id);
            }
        }
        if let Some(child) = raw.get("additionalProperties").filter(|v| v.is_object()) {
            node.additional = Additional::Schema(self.child(child, owner));
        }
        if let Some(child) = raw.get("items") {
            node.items = Some(self.child(child, owner));
        }
        node
    }

    fn child(&mut self, raw: &Value, owner: &str) -> NodeId {
        match raw.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.definition(reference.trim_start_matches("#/$defs/")),
            None => {
                let node = self.node(raw, owner);
                self.arena.push(node)
            }
        }
    }

    fn property(&mut self, raw: &Value, owner: &str, name: &str) -> NodeId {
        let id = self.child(raw, owner);
        let here = (owner, name);
        if GRANULAR_FIELDS.contains(&here) {
            let mut copy = Node { kind: Some(Kind::Object), nullable: true, ..Node::default() };
            copy.definition = self.arena.node(id).definition;
            copy.properties = self.arena.node(id).properties.clone();
            return self.arena.push(copy);
        }
        if RETAIN_KEYS_FIELDS.contains(&here) {
            self.arena.nodes[id].patch.retain_keys = true;
        }
        if ATOMIC_FIELDS.contains(&here) {
            self.arena.nodes[id].atomic_map = true;
        }
        if let Some((_, _, default)) = KEY_DEFAULTS.iter().find(|(d, f, _)| (*d, *f) == here) {
            self.arena.nodes[id].default = Some(json!(default));
        }
        if let Some(row) = LISTS.iter().find(|r| (r.definition, r.field) == here) {
            apply_row(&mut self.arena.nodes[id], row);
        }
        id
    }
}

fn apply_row(node: &mut Node, row: &ListRow) {
    node.topology = match row.topology {
        RowTopology::Atomic => Topology::Atomic,
        RowTopology::Set => Topology::Set,
        RowTopology::Keys(keys) => Topology::Map(keys.iter().map(|k| (*k).to_owned()).collect()),
    };
    node.patch = match row.merge {
        Merge::Replace => PatchStrategy::default(),
        Merge::Primitive => PatchStrategy { merge: true, ..PatchStrategy::default() },
        Merge::Key(key) | Merge::RetainKey(key) => PatchStrategy {
            merge: true,
            key: Some(key.to_owned()),
            retain_keys: matches!(row.merge, Merge::RetainKey(_)),
        },
    };
}

#[cfg(test)]
pub(super) fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    KINDS.iter().map(|(group, version, kind, _)| (*group, *version, *kind))
}
