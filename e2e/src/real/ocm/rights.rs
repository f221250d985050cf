//! The roles that an installation of Open Cluster Management 1.2 gives to its programs, and nothing beyond: a right that
//! our own works need has to come with them.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::cluster::Cluster;
use super::super::error::RealError;
use super::{AGENT_NAMESPACE, HUB_NAMESPACE, PLACEMENT_ACCOUNT, WORK_ACCOUNT};

const RBAC: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];
const ALL: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

/// On the hub: what the placement controller may do.
pub(in crate::real) async fn hub(hub: &Cluster, client: &Client) -> Result<(), RealError> {
    let cluster = "cluster.open-cluster-management.io";
    let write = Write { cluster: hub, client };
    write.account(HUB_NAMESPACE, PLACEMENT_ACCOUNT).await?;
    let name = "open-cluster-management:cluster-manager-placement:controller";
    let rules = [
        rule(&[""], &["configmaps"], &["get", "list", "watch", "create", "delete", "update"]),
        rule(&[""], &["pods"], &["get"]),
        rule(&["apps"], &["replicasets"], &["get"]),
        rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        rule(&["coordination.k8s.io"], &["leases"], &["create", "get", "list", "update", "watch", "patch"]),
        rule(&[cluster], &["managedclusters", "managedclustersets", "managedclustersetbindings"], &READ),
        rule(&[cluster], &["addonplacementscores"], &READ),
        rule(&[cluster], &["placements"], &READ),
        rule(&[cluster], &["placementdecisions"], &ALL),
        rule(&[cluster], &["placements/status", "placementdecisions/status"], &["update", "patch"]),
        rule(&[cluster], &["placements/finalizers"], &["update"]),
        rule(&["config.openshift.io"], &["infrastructures"], &["get"]),
    ];
    write.cluster_role(name, json!({"rules": rules})).await?;
    write.bind(name, name, account(HUB_NAMESPACE, PLACEMENT_ACCOUNT)).await
}

/// On the hub: what the agents of a managed cluster may do there. Registration makes these for each cluster.
pub(in crate::real) async fn on_hub(hub: &Cluster, client: &Client, cluster: &str) -> Result<(), RealError> {
    let write = Write { cluster: hub, client };
    write.namespace(cluster).await?;
    let work = "work.open-cluster-management.io";
    let name = "open-cluster-management:managedcluster:work";
    let rules = [
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        rule(&[work], &["manifestworks"], &["get", "list", "watch", "update", "patch"]),
        rule(&[work], &["manifestworks/status"], &["patch", "update"]),
    ];
    write.cluster_role(name, json!({"rules": rules})).await?;
    let group = json!({
        "kind": "Group",
        "apiGroup": RBAC,
        "name": format!("system:open-cluster-management:{cluster}"),
    });
    let binding = format!("open-cluster-management:managedcluster:{cluster}:work");
    write.bind_in(cluster, &binding, ("ClusterRole", name), group).await
}

/// On a managed cluster: what the work agent may do. Custom resources are not in it: whoever sends some has to send a
/// role for them, labelled for aggregation.
pub(in crate::real) async fn spoke(spoke: &Cluster, client: &Client) -> Result<(), RealError> {
    let write = Write { cluster: spoke, client };
    write.account(AGENT_NAMESPACE, WORK_ACCOUNT).await?;
    let agent = || account(AGENT_NAMESPACE, WORK_ACCOUNT);
    let work = "work.open-cluster-management.io";
    let prefix = "open-cluster-management:klusterlet-work";

    let name = format!("{prefix}:agent");
    let rules = [
        rule(&[work], &["appliedmanifestworks"], &ALL),
        rule(&[work], &["appliedmanifestworks/status"], &["patch", "update"]),
        rule(&[work], &["appliedmanifestworks/finalizers"], &["update"]),
        rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
        rule(&[""], &["serviceaccounts"], &["impersonate"]),
    ];
    write.cluster_role(&name, json!({"rules": rules})).await?;
    write.bind(&name, &name, agent()).await?;

    let name = format!("{prefix}:execution");
    let webhooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    let rules = [
        rule(
            &["apiextensions.k8s.io"],
            &["customresourcedefinitions"],
            &["get", "list", "watch", "create", "delete", "update"],
        ),
        rule(&[""], &["namespaces"], &["create", "update", "patch", "delete"]),
        rule(&[RBAC], &["clusterrolebindings", "rolebindings"], &ALL),
        rule(&[RBAC], &["clusterroles", "roles"], &ALL),
        rule(&[RBAC], &["clusterroles", "roles"], &["escalate", "bind"]),
        rule(&["monitoring.coreos.com"], &["servicemonitors"], &ALL),
        rule(&["oauth.openshift.io"], &["oauthclients"], &ALL),
        rule(&["scheduling.k8s.io"], &["priorityclasses"], &ALL),
        rule(&["admissionregistration.k8s.io"], &webhooks, &["get", "list", "watch", "create", "update", "patch"]),
    ];
    let label = "open-cluster-management.io/aggregate-to-work";
    write.cluster_role(&name, json!({"metadata": {"labels": {label: "true"}}, "rules": rules})).await?;

    let name = format!("{prefix}:aggregate");
    let aggregation = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    write.cluster_role(&name, json!({"aggregationRule": aggregation})).await?;
    write.bind(&name, &name, agent()).await?;
    write.bind(&format!("{prefix}:execution-admin"), "admin", agent()).await?;

    // For its own housekeeping, in its own namespace.
    let name = "open-cluster-management:management:klusterlet-work:agent";
    let rules = [
        rule(&[""], &["configmaps"], &ALL),
        rule(&["coordination.k8s.io"], &["leases"], &["create", "get", "list", "update", "watch", "patch"]),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        rule(&[""], &["pods"], &["get"]),
        rule(&["apps"], &["replicasets"], &["get"]),
    ];
    write.role_in(AGENT_NAMESPACE, name, json!({"rules": rules})).await?;
    write.bind_in(AGENT_NAMESPACE, name, ("Role", name), agent()).await
}

fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

/// Writes objects to one cluster.
struct Write<'a> {
    cluster: &'a Cluster,
    client: &'a Client,
}

impl Write<'_> {
    async fn apply<K>(&self, api: Api<K>, name: &str, mut value: Value) -> Result<(), RealError>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        value["apiVersion"] = json!(K::api_version(&()));
        value["kind"] = json!(K::kind(&()));
        value["metadata"]["name"] = json!(name);
        let applied = api.patch(name, &PatchParams::apply("kaedama-real").force(), &Patch::Apply(&value)).await;
        applied.map(drop).map_err(|source| RealError::Request {
            doing: format!("write {} {name} to {}", K::kind(&()), self.cluster.name),
            source: Box::new(source),
            logs: self.cluster.logs().to_owned(),
        })
    }

    fn all<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }

    fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn namespace(&self, name: &str) -> Result<(), RealError> {
        self.apply(self.all::<Namespace>(), name, json!({})).await
    }

    async fn account(&self, namespace: &str, name: &str) -> Result<(), RealError> {
        self.namespace(namespace).await?;
        self.apply(self.within::<ServiceAccount>(namespace), name, json!({})).await
    }

    async fn cluster_role(&self, name: &str, role: Value) -> Result<(), RealError> {
        self.apply(self.all::<ClusterRole>(), name, role).await
    }

    async fn role_in(&self, namespace: &str, name: &str, role: Value) -> Result<(), RealError> {
        self.apply(self.within::<Role>(namespace), name, role).await
    }

    async fn bind(&self, name: &str, role: &str, subject: Value) -> Result<(), RealError> {
        let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role});
        let binding = json!({"roleRef": role, "subjects": [subject]});
        self.apply(self.all::<ClusterRoleBinding>(), name, binding).await
    }

    async fn bind_in(
        &self,
        namespace: &str,
        name: &str,
        (kind, role): (&str, &str),
        subject: Value,
    ) -> Result<(), RealError> {
        let role = json!({"apiGroup": RBAC, "kind": kind, "name": role});
        let binding = json!({"roleRef": role, "subjects": [subject]});
        self.apply(self.within::<RoleBinding>(namespace), name, binding).await
    }
}
