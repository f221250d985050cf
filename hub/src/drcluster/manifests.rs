//! What a managed cluster is given: roles for the work agent, and with deployment automation the operator with its
//! configuration.

use kaedama_shared::api::condition;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::ocm::work::{APPLIED, DeleteOption, ResourceIdentifier, SelectivelyOrphan, propagation};
use kaedama_shared::config::{RamenConfig, Role};
use kaedama_shared::names;
use kaedama_shared::yaml::YamlError;
use serde_json::{Value, json};

/// Rights that the work agent needs for the kinds we deliver: name suffix, API group, resource, verbs.
const ROLES: [(&str, &str, &str, &[&str]); 6] = [
    ("volrepgroup-edit", "ramendr.openshift.io", "volumereplicationgroups", EDIT),
    ("volrepgroupreport-edit", "kaedama.dev", "volumereplicationgroupreports", EDIT_AND_WATCH),
    ("mmode-edit", "ramendr.openshift.io", "maintenancemodes", EDIT),
    ("drclusterconfig-edit", "ramendr.openshift.io", "drclusterconfigs", EDIT_AND_WATCH),
    ("networkfence-edit", "csiaddons.openshift.io", "networkfences", EDIT_AND_WATCH),
    ("recipe-edit", "ramendr.openshift.io", "recipes", &["create", "get", "list", "update"]),
];
const EDIT: &[&str] = &["create", "get", "list", "update", "delete"];
/// With watch, because status is fed back by watching.
const EDIT_AND_WATCH: &[&str] = &["create", "get", "list", "update", "delete", "watch"];

fn role(suffix: &str, group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": format!("open-cluster-management:klusterlet-work-sa:agent:{suffix}"),
            "labels": { names::AGGREGATE_TO_WORK: "true" },
        },
        "rules": [{ "apiGroups": [group], "resources": [resource], "verbs": verbs }],
    })
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// The manifests of the work `ramen-dr-cluster`, in the order of the contract.
pub fn bundle(config: &RamenConfig, hub_namespace: &str) -> Result<Vec<Value>, YamlError> {
    let mut manifests: Vec<Value> =
        ROLES.iter().map(|(suffix, group, resource, verbs)| role(suffix, group, resource, verbs)).collect();
    let operator = &config.dr_cluster_operator;
    if !operator.deployment_automation_enabled {
        return Ok(manifests);
    }
    let spoke_namespace = operator.namespace(hub_namespace);
    if !config.ramen_ops_namespace.is_empty() {
        manifests.push(namespace(&config.ramen_ops_namespace));
    }
    manifests.push(namespace(spoke_namespace));
    manifests.push(role("olm-edit", "operators.coreos.com", "operatorgroups", EDIT));
    manifests.push(json!({
        "apiVersion": "operators.coreos.com/v1",
        "kind": "OperatorGroup",
        "metadata": { "name": "ramen-operator-group", "namespace": spoke_namespace },
        "spec": {},
    }));
    let mut data = serde_json::Map::new();
    data.insert(kaedama_shared::config::config_map::KEY.to_owned(), config.for_spokes().to_yaml()?.into());
    manifests.push(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": Role::Spoke.config_map_name(), "namespace": spoke_namespace },
        "data": data,
    }));
    manifests.push(json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "Subscription",
        "metadata": { "name": "ramen-dr-cluster-subscription", "namespace": spoke_namespace },
        "spec": {
            "channel": operator.channel(),
            "name": operator.package(),
            "source": operator.catalog_source(),
            "sourceNamespace": operator.catalog_source_namespace(hub_namespace),
            "startingCSV": operator.cluster_service_version(),
            "installPlanApproval": "Automatic",
        },
    }));
    Ok(manifests)
}

/// What stays on the cluster when it is delivered no more: the namespaces, with the operator and the Secrets in them, and
/// its configuration. The user may have had them before, and goes on with them after.
pub fn left_behind(manifests: &[Value]) -> Option<DeleteOption> {
    let rules: Vec<ResourceIdentifier> = manifests
        .iter()
        .filter_map(|manifest| {
            let resource = match manifest["kind"].as_str()? {
                "Namespace" => "namespaces",
                "ConfigMap" => "configmaps",
                _ => return None,
            };
            let text = |field: &str| manifest["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            Some(ResourceIdentifier { group: String::new(), resource: resource.to_owned(), namespace, name })
        })
        .collect();
    (!rules.is_empty()).then(|| DeleteOption {
        propagation_policy: propagation::SELECTIVELY_ORPHAN.to_owned(),
        selectively_orphans: Some(SelectivelyOrphan { orphaning_rules: rules }),
        ..DeleteOption::default()
    })
}

/// The manifests to deliver now. The work agent deletes what a work carries no more, unless it has let go of it before: so
/// what is to stay is delivered until the agent has taken up the rule that says so.
pub fn without_loss(delivered: Option<&ManifestWork>, wanted: Vec<Value>) -> Vec<Value> {
    let Some(work) = delivered else { return wanted };
    let manifests = &work.spec.workload.manifests;
    let stays = left_behind(manifests);
    if stays.is_none() || stays == left_behind(&wanted) {
        return wanted;
    }
    let generation = work.metadata.generation.unwrap_or_default();
    let taken_up = condition::find(work.conditions(), APPLIED).is_some_and(|found| found.is_at(generation));
    if work.spec.delete_option == stays && taken_up { wanted } else { manifests.clone() }
}

/// A Subscription that is delivered already stays as it is while channel, package and catalogue are the same: a newer
/// version on the spoke is not forced back.
pub fn keep_subscription(delivered: &[Value], mut wanted: Vec<Value>) -> Vec<Value> {
    let is_subscription = |manifest: &Value| manifest["kind"] == "Subscription";
    let same = |a: &Value, b: &Value| {
        ["channel", "name", "source", "sourceNamespace"].iter().all(|field| a["spec"][field] == b["spec"][field])
    };
    let kept = delivered.iter().find(|manifest| is_subscription(manifest));
    if let (Some(kept), Some(new)) = (kept, wanted.iter_mut().find(|manifest| is_subscription(manifest)))
        && same(kept, new)
    {
        *new = kept.clone();
    }
    wanted
}

/// The DRClusterConfig of a cluster.
pub fn drclusterconfig(cluster: &str, cluster_id: &str, schedules: &[String]) -> Value {
    json!({
        "apiVersion": kaedama_shared::api::API_VERSION,
        "kind": "DRClusterConfig",
        "metadata": { "name": cluster, "labels": { names::CREATED_BY: "true" } },
        "spec": { "clusterID": cluster_id, "replicationSchedules": schedules },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaedama_shared::api::ocm::work::ManifestWorkStatus;
    use kaedama_shared::api::ocm::work::{ManifestWorkSpec, Workload};
    use kaedama_shared::api::{Condition, ConditionStatus};

    #[test]
    fn without_automation_only_the_roles_are_delivered() {
        let mut config = RamenConfig::defaults(Role::Hub);
        config.dr_cluster_operator.deployment_automation_enabled = false;
        let manifests = bundle(&config, "ramen-system").unwrap();
        assert_eq!(manifests.len(), ROLES.len());
        assert!(manifests.iter().all(|manifest| manifest["kind"] == "ClusterRole"));
    }

    #[test]
    fn with_automation_the_spoke_gets_the_hubs_configuration_under_its_own_lease() {
        let config = RamenConfig::defaults(Role::Hub);
        let manifests = bundle(&config, "ramen-system").unwrap();
        let kinds: Vec<&str> =
            manifests.iter().skip(ROLES.len()).filter_map(|manifest| manifest["kind"].as_str()).collect();
        assert_eq!(kinds, ["Namespace", "Namespace", "ClusterRole", "OperatorGroup", "ConfigMap", "Subscription"]);
        let yaml = manifests[ROLES.len() + 4]["data"][kaedama_shared::config::config_map::KEY].as_str().unwrap();
        assert!(yaml.contains("dr-cluster.ramendr.openshift.io"), "{yaml}");
    }

    #[test]
    fn what_a_cluster_lives_in_stays_when_automation_is_switched_off() {
        let mut config = RamenConfig::defaults(Role::Hub);
        let full = bundle(&config, "ramen-system").unwrap();
        config.dr_cluster_operator.deployment_automation_enabled = false;
        let roles = bundle(&config, "ramen-system").unwrap();
        let delivered = |delete_option: Option<DeleteOption>, looked_at: i64| ManifestWork {
            metadata: kube::api::ObjectMeta { generation: Some(3), ..Default::default() },
            spec: ManifestWorkSpec {
                workload: Workload { manifests: full.clone() },
                delete_option,
                ..Default::default()
            },
            status: Some(ManifestWorkStatus {
                // Without OLM there is always a manifest that cannot be applied.
                conditions: vec![Condition::new(APPLIED, ConditionStatus::False, "R", "no OLM", looked_at)],
                ..Default::default()
            }),
        };
        let rule = left_behind(&full);
        let named: Vec<String> =
            rule.clone().unwrap().selectively_orphans.unwrap().orphaning_rules.into_iter().map(|r| r.name).collect();
        assert_eq!(named, ["ramen-ops", "ramen-system", "ramen-dr-cluster-operator-config"]);
        for (work, goes) in
            [(delivered(None, 3), false), (delivered(rule.clone(), 2), false), (delivered(rule, 3), true)]
        {
            let now = without_loss(Some(&work), roles.clone());
            assert_eq!(now, if goes { roles.clone() } else { full.clone() });
        }
        assert_eq!(without_loss(None, roles.clone()), roles);
        assert_eq!(left_behind(&roles), None);
    }

    #[test]
    fn a_delivered_subscription_is_kept_until_its_channel_changes() {
        let subscription = ROLES.len() + 5;
        let mut config = RamenConfig::defaults(Role::Hub);
        let mut delivered = bundle(&config, "ramen-system").unwrap();
        delivered[subscription]["spec"]["startingCSV"] = "newer.v9".into();
        let same = keep_subscription(&delivered, bundle(&config, "ramen-system").unwrap());
        assert_eq!(same[subscription]["spec"]["startingCSV"], "newer.v9");
        config.dr_cluster_operator.channel_name = "stable".into();
        let changed = keep_subscription(&delivered, bundle(&config, "ramen-system").unwrap());
        assert_eq!(changed[subscription]["spec"]["channel"], "stable");
        assert_ne!(changed[subscription]["spec"]["startingCSV"], "newer.v9");
    }
}
