//! How the lists and objects of built-in types merge. The schemas of k8s-openapi do not carry this, so it is written
//! down here: list type and keys for server-side apply, and strategy and key for strategic merge patch. What is not here is
//! atomic (lists) or granular (objects), and replaced (lists) or merged (objects) by a strategic merge patch.

use serde_json::{Value, json};

/// One list field of a built-in type.
pub(super) struct ListRow {
    /// Definition without `io.k8s.`.
    pub(super) definition: &'static str,
    pub(super) field: &'static str,
    pub(super) topology: RowTopology,
    pub(super) merge: Merge,
}

/// List type for server-side apply.
pub(super) enum RowTopology {
    Atomic,
    Set,
    Keys(&'static [&'static str]),
}

/// Strategy for strategic merge patch.
#[derive(Clone, Copy)]
pub(super) enum Merge {
    /// The list is replaced.
    Replace,
    /// Elements are values, merged as a set.
    Primitive,
    /// By this key.
    Key(&'static str),
    /// By this key, dropping the keys that `$retainKeys` does not name.
    RetainKey(&'static str),
}

const fn row(definition: &'static str, field: &'static str, topology: RowTopology, merge: Merge) -> ListRow {
    ListRow { definition, field, topology, merge }
}

/// A map list merged by its only key, in both senses.
const fn by(definition: &'static str, field: &'static str, key: &'static [&'static str]) -> ListRow {
    row(definition, field, Keys(key), Key(key[0]))
}

use Merge::{Key, Primitive, Replace, RetainKey};
use RowTopology::{Atomic, Keys, Set};

/// Every list that is not simply atomic and replaced.
pub(super) const LISTS: &[ListRow] = &[
    by("apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", &["uid"]),
    row("apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", Set, Primitive),
    // Pods.
    row("api.core.v1.PodSpec", "volumes", Keys(&["name"]), RetainKey("name")),
    row("api.core.v1.PodSpec", "resourceClaims", Keys(&["name"]), RetainKey("name")),
    by("api.core.v1.PodSpec", "containers", &["name"]),
    by("api.core.v1.PodSpec", "initContainers", &["name"]),
    by("api.core.v1.PodSpec", "ephemeralContainers", &["name"]),
    by("api.core.v1.PodSpec", "imagePullSecrets", &["name"]),
    by("api.core.v1.PodSpec", "hostAliases", &["ip"]),
    by("api.core.v1.PodSpec", "schedulingGates", &["name"]),
    by("api.core.v1.PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    by("api.core.v1.Container", "ports", &["containerPort", "protocol"]),
    by("api.core.v1.Container", "env", &["name"]),
    by("api.core.v1.Container", "volumeMounts", &["mountPath"]),
    by("api.core.v1.Container", "volumeDevices", &["devicePath"]),
    by("api.core.v1.EphemeralContainer", "ports", &["containerPort", "protocol"]),
    by("api.core.v1.EphemeralContainer", "env", &["name"]),
    by("api.core.v1.EphemeralContainer", "volumeMounts", &["mountPath"]),
    by("api.core.v1.EphemeralContainer", "volumeDevices", &["devicePath"]),
    row("api.core.v1.ResourceRequirements", "claims", Keys(&["name"]), Replace),
    by("api.core.v1.PodStatus", "conditions", &["type"]),
    by("api.core.v1.PodStatus", "podIPs", &["ip"]),
    row("api.core.v1.PodStatus", "hostIPs", Atomic, Key("ip")),
    row("api.core.v1.PodStatus", "resourceClaimStatuses", Keys(&["name"]), RetainKey("name")),
    by("api.core.v1.ContainerStatus", "volumeMounts", &["mountPath"]),
    by("api.core.v1.ContainerStatus", "allocatedResourcesStatus", &["name"]),
    // The rest of core.
    by("api.core.v1.ServiceSpec", "ports", &["port", "protocol"]),
    by("api.core.v1.ServiceStatus", "conditions", &["type"]),
    by("api.core.v1.ServiceAccount", "secrets", &["name"]),
    by("api.core.v1.NamespaceStatus", "conditions", &["type"]),
    row("api.core.v1.NodeSpec", "podCIDRs", Set, Primitive),
    by("api.core.v1.NodeStatus", "conditions", &["type"]),
    by("api.core.v1.NodeStatus", "addresses", &["type"]),
    by("api.core.v1.PersistentVolumeClaimStatus", "conditions", &["type"]),
    by("api.core.v1.ReplicationControllerStatus", "conditions", &["type"]),
    // Workloads.
    by("api.apps.v1.DeploymentStatus", "conditions", &["type"]),
    by("api.apps.v1.ReplicaSetStatus", "conditions", &["type"]),
    by("api.apps.v1.StatefulSetStatus", "conditions", &["type"]),
    by("api.apps.v1.DaemonSetStatus", "conditions", &["type"]),
    row("api.batch.v1.JobStatus", "conditions", Atomic, Key("type")),
    row("api.batch.v1.UncountedTerminatedPods", "failed", Set, Replace),
    row("api.batch.v1.UncountedTerminatedPods", "succeeded", Set, Replace),
    by("api.policy.v1.PodDisruptionBudgetStatus", "conditions", &["type"]),
    by("api.autoscaling.v2.HorizontalPodAutoscalerStatus", "conditions", &["type"]),
    // Storage, discovery, admission, extensions.
    by("api.storage.v1.CSINodeSpec", "drivers", &["name"]),
    row("api.storage.v1.CSIDriverSpec", "volumeLifecycleModes", Set, Replace),
    row("api.discovery.v1.Endpoint", "addresses", Set, Replace),
    row("api.certificates.v1.CertificateSigningRequestStatus", "conditions", Keys(&["type"]), Replace),
    by("api.flowcontrol.v1.FlowSchemaStatus", "conditions", &["type"]),
    by("api.flowcontrol.v1.PriorityLevelConfigurationStatus", "conditions", &["type"]),
    by("kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus", "conditions", &["type"]),
    by("api.admissionregistration.v1.ValidatingWebhookConfiguration", "webhooks", &["name"]),
    by("api.admissionregistration.v1.MutatingWebhookConfiguration", "webhooks", &["name"]),
    row(
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        Keys(&["type"]),
        Replace,
    ),
    by("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", "x-kubernetes-validations", &["rule"]),
];

/// Types that merge as a whole.
pub(super) const ATOMIC_TYPES: &[&str] = &[
    "apimachinery.pkg.apis.meta.v1.LabelSelector",
    "apimachinery.pkg.apis.meta.v1.OwnerReference",
    "apimachinery.pkg.runtime.RawExtension",
    "api.core.v1.ConfigMapKeySelector",
    "api.core.v1.EndpointAddress",
    "api.core.v1.EndpointPort",
    "api.core.v1.FileKeySelector",
    "api.core.v1.LocalObjectReference",
    "api.core.v1.NodeSelector",
    "api.core.v1.NodeSelectorTerm",
    "api.core.v1.ObjectFieldSelector",
    "api.core.v1.ObjectReference",
    "api.core.v1.ResourceFieldSelector",
    "api.core.v1.ScopeSelector",
    "api.core.v1.SecretKeySelector",
    "api.core.v1.SecretReference",
    "api.core.v1.TopologySelectorTerm",
    "api.core.v1.TypedLocalObjectReference",
    "api.discovery.v1.EndpointPort",
    "api.networking.v1.ServiceBackendPort",
    "api.rbac.v1.RoleRef",
    "api.rbac.v1.Subject",
];

/// Object fields that merge as a whole although their type does not say so.
pub(super) const ATOMIC_FIELDS: &[(&str, &str)] = &[
    ("api.core.v1.PodSpec", "nodeSelector"),
    ("api.core.v1.ServiceSpec", "selector"),
    ("api.core.v1.ReplicationControllerSpec", "selector"),
];

/// Object fields that merge field by field although their type is atomic.
pub(super) const GRANULAR_FIELDS: &[(&str, &str)] = &[("api.core.v1.PersistentVolumeSpec", "claimRef")];

/// Object fields of which a strategic merge patch keeps only what `$retainKeys` names.
pub(super) const RETAIN_KEYS_FIELDS: &[(&str, &str)] = &[("api.apps.v1.DeploymentSpec", "strategy")];

/// What OpenAPI says of how a field merges: `x-kubernetes-list-type`, `x-kubernetes-patch-strategy` and the like.
pub(crate) fn merge_extensions(definition: &str, field: &str) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut say = |name: &str, value: Value| out.push((format!("x-kubernetes-{name}"), value));
    let is_meant = |of: &str, name: &str| name == field && definition.strip_prefix("io.k8s.") == Some(of);
    for row in LISTS.iter().filter(|row| is_meant(row.definition, row.field)) {
        match row.topology {
            Atomic => say("list-type", json!("atomic")),
            Set => say("list-type", json!("set")),
            Keys(keys) => {
                say("list-type", json!("map"));
                say("list-map-keys", json!(keys));
            }
        }
        match row.merge {
            Replace => {}
            Primitive => say("patch-strategy", json!("merge")),
            Key(key) | RetainKey(key) => {
                let retains = matches!(row.merge, RetainKey(_));
                say("patch-strategy", json!(if retains { "merge,retainKeys" } else { "merge" }));
                say("patch-merge-key", json!(key));
            }
        }
    }
    if RETAIN_KEYS_FIELDS.iter().any(|(of, name)| is_meant(of, name)) {
        say("patch-strategy", json!("retainKeys"));
    }
    out
}

/// Defaults of fields that are keys of a map list.
pub(super) const KEY_DEFAULTS: &[(&str, &str, &str)] =
    &[("api.core.v1.ContainerPort", "protocol", "TCP"), ("api.core.v1.ServicePort", "protocol", "TCP")];
