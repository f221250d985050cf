//! The wire numbers of messages, as `generated.proto` of Kubernetes' API groups defines them for good.

use super::Field;
use super::Type::{
    Bool, BytesMap, Int, Json, Many, MaybeBool, MaybeInt, MaybeText, MicroTime, One, Text, TextMap, Texts, Time,
};

/// The fields of a kind.
pub(super) fn of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "Event") => CORE_EVENT,
        ("v1" | "meta.k8s.io/v1", "DeleteOptions") => DELETE_OPTIONS,
        ("events.k8s.io/v1", "Event") => EVENT,
        ("coordination.k8s.io/v1", "Lease") => LEASE,
        ("rbac.authorization.k8s.io/v1", "Role") => ROLE,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => CLUSTER_ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => ROLE_BINDING,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            ACCESS_REVIEW
        }
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => RULES_REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => SUBJECT_REVIEW,
        ("policy/v1", "Eviction") => EVICTION,
        _ => return None,
    })
}

const META: Field = Field(1, "metadata", One(OBJECT_META));

const OBJECT_META: &[Field] = &[
    Field(1, "name", Text),
    Field(2, "generateName", Text),
    Field(3, "namespace", Text),
    Field(5, "uid", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "generation", Int),
    Field(8, "creationTimestamp", Time),
    Field(9, "deletionTimestamp", Time),
    Field(10, "deletionGracePeriodSeconds", MaybeInt),
    Field(11, "labels", TextMap),
    Field(12, "annotations", TextMap),
    Field(13, "ownerReferences", Many(OWNER_REFERENCE)),
    Field(14, "finalizers", Texts),
    Field(17, "managedFields", Many(MANAGED_FIELDS)),
];
const OWNER_REFERENCE: &[Field] = &[
    Field(1, "kind", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "controller", MaybeBool),
    Field(7, "blockOwnerDeletion", MaybeBool),
];
const MANAGED_FIELDS: &[Field] = &[
    Field(1, "manager", Text),
    Field(2, "operation", Text),
    Field(3, "apiVersion", Text),
    Field(4, "time", Time),
    Field(6, "fieldsType", Text),
    Field(7, "fieldsV1", Json),
    Field(8, "subresource", Text),
];
const DELETE_OPTIONS: &[Field] = &[
    Field(1, "gracePeriodSeconds", MaybeInt),
    Field(2, "preconditions", One(&[Field(1, "uid", MaybeText), Field(2, "resourceVersion", MaybeText)])),
    Field(3, "orphanDependents", MaybeBool),
    Field(4, "propagationPolicy", MaybeText),
    Field(5, "dryRun", Texts),
];
const EVICTION: &[Field] = &[META, Field(2, "deleteOptions", One(DELETE_OPTIONS))];

const NAMESPACE: &[Field] = &[
    META,
    Field(2, "spec", One(&[Field(1, "finalizers", Texts)])),
    Field(3, "status", One(&[Field(1, "phase", Text)])),
];
const CONFIG_MAP: &[Field] =
    &[META, Field(2, "data", TextMap), Field(3, "binaryData", BytesMap), Field(4, "immutable", MaybeBool)];
const SECRET: &[Field] = &[
    META,
    Field(2, "data", BytesMap),
    Field(3, "type", Text),
    Field(4, "stringData", TextMap),
    Field(5, "immutable", MaybeBool),
];
const SERVICE_ACCOUNT: &[Field] = &[
    META,
    Field(2, "secrets", Many(OBJECT_REFERENCE)),
    Field(3, "imagePullSecrets", Many(&[Field(1, "name", Text)])),
    Field(4, "automountServiceAccountToken", MaybeBool),
];
const OBJECT_REFERENCE: &[Field] = &[
    Field(1, "kind", Text),
    Field(2, "namespace", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "fieldPath", Text),
];

const EVENT_SOURCE: &[Field] = &[Field(1, "component", Text), Field(2, "host", Text)];
const EVENT_SERIES: &[Field] = &[Field(1, "count", Int), Field(2, "lastObservedTime", MicroTime)];
const CORE_EVENT: &[Field] = &[
    META,
    Field(2, "involvedObject", One(OBJECT_REFERENCE)),
    Field(3, "reason", Text),
    Field(4, "message", Text),
    Field(5, "source", One(EVENT_SOURCE)),
    Field(6, "firstTimestamp", Time),
    Field(7, "lastTimestamp", Time),
    Field(8, "count", Int),
    Field(9, "type", Text),
    Field(10, "eventTime", MicroTime),
    Field(11, "series", One(EVENT_SERIES)),
    Field(12, "action", Text),
    Field(13, "related", One(OBJECT_REFERENCE)),
    Field(14, "reportingComponent", Text),
    Field(15, "reportingInstance", Text),
];
const EVENT: &[Field] = &[
    META,
    Field(2, "eventTime", MicroTime),
    Field(3, "series", One(EVENT_SERIES)),
    Field(4, "reportingController", Text),
    Field(5, "reportingInstance", Text),
    Field(6, "action", Text),
    Field(7, "reason", Text),
    Field(8, "regarding", One(OBJECT_REFERENCE)),
    Field(9, "related", One(OBJECT_REFERENCE)),
    Field(10, "note", Text),
    Field(11, "type", Text),
    Field(12, "deprecatedSource", One(EVENT_SOURCE)),
    Field(13, "deprecatedFirstTimestamp", Time),
    Field(14, "deprecatedLastTimestamp", Time),
    Field(15, "deprecatedCount", Int),
];

const LEASE: &[Field] = &[
    META,
    Field(
        2,
        "spec",
        One(&[
            Field(1, "holderIdentity", MaybeText),
            Field(2, "leaseDurationSeconds", MaybeInt),
            Field(3, "acquireTime", MicroTime),
            Field(4, "renewTime", MicroTime),
            Field(5, "leaseTransitions", MaybeInt),
            Field(6, "strategy", MaybeText),
            Field(7, "preferredHolder", MaybeText),
        ]),
    ),
];

const RULE: &[Field] = &[
    Field(1, "verbs", Texts),
    Field(2, "apiGroups", Texts),
    Field(3, "resources", Texts),
    Field(4, "resourceNames", Texts),
    Field(5, "nonResourceURLs", Texts),
];
const ROLE: &[Field] = &[META, Field(2, "rules", Many(RULE))];
const LABEL_SELECTOR: &[Field] = &[
    Field(1, "matchLabels", TextMap),
    Field(2, "matchExpressions", Many(&[Field(1, "key", Text), Field(2, "operator", Text), Field(3, "values", Texts)])),
];
const CLUSTER_ROLE: &[Field] = &[
    META,
    Field(2, "rules", Many(RULE)),
    Field(3, "aggregationRule", One(&[Field(1, "clusterRoleSelectors", Many(LABEL_SELECTOR))])),
];
const ROLE_BINDING: &[Field] = &[
    META,
    Field(
        2,
        "subjects",
        Many(&[
            Field(1, "kind", Text),
            Field(2, "apiGroup", Text),
            Field(3, "name", Text),
            Field(4, "namespace", Text),
        ]),
    ),
    Field(3, "roleRef", One(&[Field(1, "apiGroup", Text), Field(2, "kind", Text), Field(3, "name", Text)])),
];

const ACCESS_REVIEW: &[Field] = &[
    META,
    Field(
        2,
        "spec",
        One(&[
            Field(
                1,
                "resourceAttributes",
                One(&[
                    Field(1, "namespace", Text),
                    Field(2, "verb", Text),
                    Field(3, "group", Text),
                    Field(4, "version", Text),
                    Field(5, "resource", Text),
                    Field(6, "subresource", Text),
                    Field(7, "name", Text),
                ]),
            ),
            Field(2, "nonResourceAttributes", One(&[Field(1, "path", Text), Field(2, "verb", Text)])),
            Field(3, "user", Text),
            Field(4, "groups", Texts),
            Field(6, "uid", Text),
        ]),
    ),
    Field(3, "status", One(&[Field(1, "allowed", Bool)])),
];
const RULES_REVIEW: &[Field] = &[META, Field(2, "spec", One(&[Field(1, "namespace", Text)]))];
const SUBJECT_REVIEW: &[Field] = &[META];
