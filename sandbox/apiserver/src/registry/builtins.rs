//! The built-in kinds, as a table.

use super::{Generation, NameRule, Resource, Scale, Shape, api_version};
use crate::store::GroupResource;

/// Verbs of a resource that is stored.
pub(crate) const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A row of the table. What most kinds have is the default; [`Row`]'s methods say where a kind differs.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
    all: bool,
    status: bool,
    scale: Option<&'static str>,
    generation: Generation,
    unconditional: bool,
    upsert: bool,
    returns: bool,
    names: NameRule,
    fields: &'static [&'static str],
    verbs: Verbs,
}

/// Which verbs a resource has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verbs {
    All,
    /// Reviews, which are answered and not stored.
    Create,
    /// What this server does not act on: there are none.
    Read,
}

const fn row(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
) -> Row {
    Row {
        group,
        version,
        kind,
        plural,
        namespaced,
        short,
        all: false,
        status: false,
        scale: None,
        generation: Generation::None,
        unconditional: true,
        upsert: false,
        returns: false,
        names: NameRule::Subdomain,
        fields: &[],
        verbs: Verbs::All,
    }
}

impl Row {
    /// In the category `all`.
    const fn all(mut self) -> Self {
        self.all = true;
        self
    }
    /// With a status subresource.
    const fn status(mut self) -> Self {
        self.status = true;
        self
    }
    /// With a scale subresource; the selector is the label selector's path.
    const fn scale(mut self, selector: &'static str) -> Self {
        self.scale = Some(selector);
        self
    }
    /// With a generation that follows `spec`.
    const fn generation(mut self) -> Self {
        self.generation = Generation::Spec;
        self
    }
    /// An update has to carry a resourceVersion.
    const fn conditional(mut self) -> Self {
        self.unconditional = false;
        self
    }
    /// An update creates what is absent.
    const fn upsert(mut self) -> Self {
        self.upsert = true;
        self
    }
    /// A delete answers with the object.
    const fn returns(mut self) -> Self {
        self.returns = true;
        self
    }
    const fn names(mut self, names: NameRule) -> Self {
        self.names = names;
        self
    }
    const fn fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }
    /// Only `create`: reviews, which are answered and not stored.
    const fn review(mut self) -> Self {
        self.verbs = Verbs::Create;
        self
    }
    /// Without writes, which answer 501: nothing here would act on such objects.
    const fn empty(mut self) -> Self {
        self.verbs = Verbs::Read;
        self
    }
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

const CORE: &[Row] = &[
    row("", "v1", "Namespace", "namespaces", false, &["ns"])
        .status()
        .names(NameRule::Label)
        .returns()
        .fields(&["status.phase"]),
    row("", "v1", "Pod", "pods", true, &["po"]).all().status().generation().returns().fields(POD_FIELDS),
    row("", "v1", "Service", "services", true, &["svc"])
        .all()
        .status()
        .upsert()
        .returns()
        .names(NameRule::Label1035)
        .fields(&["spec.clusterIP", "spec.type"]),
    row("", "v1", "Endpoints", "endpoints", true, &["ep"]).upsert(),
    row("", "v1", "ConfigMap", "configmaps", true, &["cm"]),
    row("", "v1", "Secret", "secrets", true, &[]).fields(&["type"]),
    row("", "v1", "ServiceAccount", "serviceaccounts", true, &["sa"]).returns(),
    row("", "v1", "Event", "events", true, &["ev"]).upsert().fields(EVENT_FIELDS),
    row("", "v1", "PersistentVolume", "persistentvolumes", false, &["pv"]).status().returns(),
    row("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, &["pvc"]).status().returns(),
    row("", "v1", "Node", "nodes", false, &["no"]).status().fields(&["spec.unschedulable"]),
    row("", "v1", "ResourceQuota", "resourcequotas", true, &["quota"]).status().returns(),
    row("", "v1", "LimitRange", "limitranges", true, &["limits"]).upsert(),
    row("", "v1", "PodTemplate", "podtemplates", true, &[]).generation().returns(),
    row("", "v1", "ReplicationController", "replicationcontrollers", true, &["rc"])
        .all()
        .status()
        .scale("spec.selector")
        .generation()
        .fields(&["status.replicas"]),
];

const WORKLOADS: &[Row] = &[
    row("apps", "v1", "Deployment", "deployments", true, &["deploy"])
        .all()
        .status()
        .scale("spec.selector")
        .generation(),
    row("apps", "v1", "StatefulSet", "statefulsets", true, &["sts"]).all().status().scale("spec.selector").generation(),
    row("apps", "v1", "ReplicaSet", "replicasets", true, &["rs"])
        .all()
        .status()
        .scale("spec.selector")
        .generation()
        .fields(&["status.replicas"]),
    row("apps", "v1", "DaemonSet", "daemonsets", true, &["ds"]).all().status().generation(),
    row("apps", "v1", "ControllerRevision", "controllerrevisions", true, &[]),
    row("batch", "v1", "Job", "jobs", true, &[]).all().status().generation().fields(&["status.successful"]),
    row("batch", "v1", "CronJob", "cronjobs", true, &["cj"]).all().status().generation(),
    row("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, &["hpa"]).all().status(),
    row("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, &["hpa"]).all().status(),
    row("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true, &["pdb"])
        .status()
        .generation()
        .conditional(),
];

const CLUSTER: &[Row] = &[
    row("coordination.k8s.io", "v1", "Lease", "leases", true, &[]).conditional().upsert(),
    row("rbac.authorization.k8s.io", "v1", "Role", "roles", true, &[]).upsert().names(NameRule::Path),
    row("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true, &[]).upsert().names(NameRule::Path),
    row("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false, &[]).upsert().names(NameRule::Path),
    row("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false, &[])
        .upsert()
        .names(NameRule::Path),
    row("storage.k8s.io", "v1", "StorageClass", "storageclasses", false, &["sc"]).returns(),
    row("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", false, &["vac"]).returns(),
    row("storage.k8s.io", "v1", "CSIDriver", "csidrivers", false, &[]).generation().conditional().returns(),
    row("storage.k8s.io", "v1", "CSINode", "csinodes", false, &[]).conditional().returns(),
    row("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", true, &[]).conditional().returns(),
    row("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", false, &[]).status().conditional().returns(),
    row("events.k8s.io", "v1", "Event", "events", true, &["ev"]).upsert().fields(&[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ]),
    row("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, &["netpol"]).generation(),
    row("networking.k8s.io", "v1", "Ingress", "ingresses", true, &["ing"]).status().generation(),
    row("networking.k8s.io", "v1", "IngressClass", "ingressclasses", false, &[]).generation(),
    row("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true, &[]).generation(),
    row("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false, &["pc"]).generation().upsert(),
    row("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", false, &[]).conditional(),
    row("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false, &["crd", "crds"])
        .status()
        .generation()
        .conditional(),
    row("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false, &[]).review(),
    row("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", false, &[]).review(),
    row("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", true, &[]).review(),
    row("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", false, &[]).review(),
    row("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", false, &[]).review(),
    row("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", false, &[]).review(),
];

const SERVER: &[Row] = &[
    row("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", false, &["csr"])
        .status()
        .fields(&["spec.signerName"]),
    row("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", false, &[]).status().generation(),
    row("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", false, &[])
        .status()
        .generation(),
    row("apiregistration.k8s.io", "v1", "APIService", "apiservices", false, &[]).empty(),
    row(ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false, &[]).empty(),
    row(ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false, &[]).empty(),
    row(ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false, &[]).empty(),
    row(ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false, &[]).empty(),
];

/// The group of webhooks and policies, which are not called: reads find none, writes answer 501.
const ADMISSION: &str = "admissionregistration.k8s.io";

/// Why objects of a resource cannot be written, when nothing here would act on them.
pub(crate) fn not_acted_on(resource: &Resource) -> Option<&'static str> {
    match resource.group.as_str() {
        _ if resource.is_custom() => None,
        ADMISSION => Some("admission webhooks and policies are not called by this embedded API server"),
        "apiregistration.k8s.io" => Some("requests are not passed on to other API servers by this embedded API server"),
        _ => None,
    }
}

/// Groups of the real API server that are not served here: their paths answer 501.
pub(crate) const NOT_SERVED: [&str; 3] = ["resource.k8s.io", "internal.apiserver.k8s.io", "storagemigration.k8s.io"];

/// All built-in resources.
pub(crate) fn resources() -> impl Iterator<Item = Resource> {
    CORE.iter().chain(WORKLOADS).chain(CLUSTER).chain(SERVER).map(resource)
}

fn resource(row: &Row) -> Resource {
    let (storage, storage_api_version) = match row.kind {
        // Events of both groups are the same objects.
        "Event" => (GroupResource::new("", "events"), "v1".to_owned()),
        "HorizontalPodAutoscaler" => (GroupResource::new(row.group, row.plural), "autoscaling/v2".to_owned()),
        _ => (GroupResource::new(row.group, row.plural), api_version(row.group, row.version)),
    };
    let generation = match row.kind {
        "Deployment" => Generation::SpecAndAnnotations,
        _ => row.generation,
    };
    Resource {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: row.short.iter().map(|s| (*s).to_owned()).collect(),
        categories: match row.kind {
            _ if row.all => vec!["all".to_owned()],
            "CustomResourceDefinition" | "APIService" => vec!["api-extensions".to_owned()],
            _ if row.group == ADMISSION => vec!["api-extensions".to_owned()],
            _ => Vec::new(),
        },
        namespaced: row.namespaced,
        verbs: match row.kind {
            _ if row.verbs == Verbs::Create => vec!["create"],
            _ if row.verbs == Verbs::Read => vec!["get", "list", "watch"],
            // Namespaces are deleted one by one.
            "Namespace" => ALL_VERBS.into_iter().filter(|v| *v != "deletecollection").collect(),
            _ => ALL_VERBS.to_vec(),
        },
        status: row.status,
        scale: row.scale.map(|selector| Scale {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: Some(selector.to_owned()),
        }),
        generation,
        unconditional_update: row.unconditional,
        create_on_update: row.upsert,
        returns_deleted: row.returns,
        names: row.names,
        selectable: row.fields.iter().map(|s| (*s).to_owned()).collect(),
        storage,
        storage_api_version,
        shape: Shape::Builtin,
        open_api: None,
        printer_columns: None,
        deprecation: (row.kind == "Endpoints")
            .then(|| "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()),
        webhook: false,
        terminating: false,
    }
}
