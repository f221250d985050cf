//! What a platform team installs before the first application is protected.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_shared::api::{DRCluster, DRClusterSpec, DRPolicy, DRPolicySpec, crdgen};
use kaedama_shared::config::{RamenConfig, Role, S3StoreProfile, SecretRef, config_map};
use kaedama_shared::names;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::app::Writers;
use super::ground::{Given, Parts};
use super::{DRIVER, OPERATOR_NAMESPACE, Replication, STORAGE_CLASS, World, WorldError, profile};
use crate::storage::SHIP_EVERY;
use crate::{ocm, storage};

/// Creates an object; one that exists is left as it is.
pub(super) async fn create<K>(api: &Api<K>, object: &K) -> Result<(), WorldError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        Err(source) => {
            let name = object.meta().name.clone().unwrap_or_default();
            Err(WorldError::Api { what: format!("create {} {name}", K::kind(&())), source })
        }
        Ok(_) => Ok(()),
    }
}

async fn definitions(
    world: &World,
    client: &Client,
    definitions: Vec<CustomResourceDefinition>,
) -> Result<(), WorldError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let names: Vec<String> = definitions.iter().filter_map(|definition| definition.metadata.name.clone()).collect();
    for mut definition in definitions {
        if definition.spec.group.ends_with(".k8s.io") {
            // An API server refuses definitions in Kubernetes' own groups that do not say who approved them.
            let annotations = definition.metadata.annotations.get_or_insert_default();
            let (key, value) = ("api-approved.kubernetes.io", "unapproved, a stand-in of the sandbox");
            annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        create(&api, &definition).await?;
    }
    if world.given().is_some() {
        for name in names {
            served(&api, client, &name, world.patience()).await?;
        }
    }
    Ok(())
}

/// Waits until a kind is served: an API server does so a moment after it calls the definition established.
async fn served(
    api: &Api<CustomResourceDefinition>,
    client: &Client,
    name: &str,
    patience: Duration,
) -> Result<(), WorldError> {
    let looking = async {
        loop {
            if let Ok(definition) = api.get(name).await
                && let Some(version) = definition.spec.versions.iter().find(|version| version.served)
            {
                let kind = GroupVersionKind::gvk(&definition.spec.group, &version.name, &definition.spec.names.kind);
                let resource = ApiResource::from_gvk_with_plural(&kind, &definition.spec.names.plural);
                let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                if objects.list(&ListParams::default().limit(1)).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(patience, looking).await.map_err(|_| WorldError::TimedOut {
        what: format!("that {name} is served"),
        seconds: patience.as_secs(),
        state: "it is not".to_owned(),
    })
}

pub(super) async fn namespace(client: &Client, name: &str) -> Result<(), WorldError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace =
        Namespace { metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() }, ..Default::default() };
    create(&api, &namespace).await
}

/// The kinds of the reference product's group that live on the hub.
const HUB_KINDS: [&str; 3] = ["DRPolicy", "DRCluster", "DRPlacementControl"];

fn kinds(on_hub: bool) -> Vec<CustomResourceDefinition> {
    let mut all = crdgen::all_crds();
    all.retain(|definition| HUB_KINDS.contains(&definition.spec.names.kind.as_str()) == on_hub);
    all
}

/// Definitions, namespaces, configuration and secrets of the hub.
pub(super) async fn hub(world: &World) -> Result<(), WorldError> {
    let client = world.hub();
    definitions(world, &client, ocm::crds::hub()).await?;
    if there(world).operators {
        return Ok(());
    }
    definitions(world, &client, kinds(true)).await?;
    namespace(&client, OPERATOR_NAMESPACE).await?;
    for secret in secrets(world)? {
        create(&Api::<Secret>::namespaced(client.clone(), OPERATOR_NAMESPACE), &secret).await?;
    }
    let config = hub_config(world)?;
    create(&Api::<ConfigMap>::namespaced(client, OPERATOR_NAMESPACE), &configuration(&config, Role::Hub)).await
}

/// The parts that are there already; none in a world of this process.
fn there(world: &World) -> Parts {
    world.given().map(Given::parts).unwrap_or_default()
}

fn hub_config(world: &World) -> Result<RamenConfig, WorldError> {
    let mut config = RamenConfig::defaults(Role::Hub);
    config.leader_election.leader_elect = world.options.leader_election;
    config.dr_cluster_operator.deployment_automation_enabled = !there(world).olm;
    let profiles = world.options.clusters.iter().map(|cluster| store_profile(world, cluster));
    config.s3_store_profiles = profiles.collect::<Result<_, _>>()?;
    // There is no VolSync in this world, and nothing that could install an operator by subscription acts on one.
    config.vol_sync.disabled = true;
    Ok(config)
}

fn configuration(config: &RamenConfig, role: Role) -> ConfigMap {
    // A configuration of strings, numbers and booleans always has a YAML text.
    let yaml = config.to_yaml().unwrap_or_default();
    ConfigMap {
        metadata: ObjectMeta { name: Some(role.config_map_name().to_owned()), ..Default::default() },
        data: Some([(config_map::KEY.to_owned(), yaml)].into()),
        ..Default::default()
    }
}

fn store_profile(world: &World, cluster: &str) -> Result<S3StoreProfile, WorldError> {
    let access = world.store_access(cluster)?;
    Ok(S3StoreProfile {
        s3_profile_name: profile(cluster),
        s3_bucket: access.bucket,
        s3_compatible_endpoint: access.endpoint,
        s3_region: access.region,
        ca_certificates: access.ca_certificates,
        s3_secret_ref: SecretRef { name: secret_name(cluster), ..Default::default() },
        ..Default::default()
    })
}

fn secret_name(cluster: &str) -> String {
    format!("s3-secret-{cluster}")
}

fn secrets(world: &World) -> Result<Vec<Secret>, WorldError> {
    let secret = |cluster: &String| {
        let access = world.store_access(cluster)?;
        let data: BTreeMap<String, String> = [
            ("AWS_ACCESS_KEY_ID".to_owned(), access.access_key_id),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), access.secret_access_key),
        ]
        .into();
        Ok(Secret {
            metadata: ObjectMeta { name: Some(secret_name(cluster)), ..Default::default() },
            string_data: Some(data),
            ..Default::default()
        })
    };
    world.options.clusters.iter().map(secret).collect()
}

/// The two kinds of Operator Lifecycle Manager that the hub delivers. Nothing acts on them here: the operator runs
/// already.
fn olm() -> Vec<CustomResourceDefinition> {
    let kind = |kind: &str, plural: &str, version: &str| {
        json!({
            "metadata": { "name": format!("{plural}.operators.coreos.com") },
            "spec": {
                "group": "operators.coreos.com",
                "scope": "Namespaced",
                "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }],
            },
        })
    };
    let kinds = [kind("OperatorGroup", "operatorgroups", "v1"), kind("Subscription", "subscriptions", "v1alpha1")];
    // Literals of this function; the world does not start without them.
    kinds.into_iter().filter_map(|kind| serde_json::from_value(kind).ok()).collect()
}

/// The roles with which Operator Lifecycle Manager widens those of users, and so what the work agent may do, where
/// rights are enforced.
fn olm_roles() -> Vec<ClusterRole> {
    let role = |name: &str, to: &[&str], resources: &[&str], verbs: &[&str]| {
        let labels: BTreeMap<String, String> = to
            .iter()
            .map(|role| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), "true".to_owned()))
            .collect();
        json!({
            "metadata": { "name": name, "labels": labels },
            "rules": [{ "apiGroups": ["operators.coreos.com"], "resources": resources, "verbs": verbs }],
        })
    };
    let roles = [
        role("aggregate-olm-edit", &["admin", "edit"], &["subscriptions"], &["create", "update", "patch", "delete"]),
        role(
            "aggregate-olm-view",
            &["admin", "edit", "view"],
            &["subscriptions", "operatorgroups"],
            &["get", "list", "watch"],
        ),
    ];
    // Literals of this function; without them the hub's works are not applied.
    roles.into_iter().filter_map(|role| serde_json::from_value(role).ok()).collect()
}

/// Definitions, namespaces, secrets and storage classes of a managed cluster. Its configuration comes from the hub, where
/// that delivers the operator.
pub(super) async fn cluster(world: &World, cluster: &str) -> Result<(), WorldError> {
    let client = world.cluster(cluster)?;
    definitions(world, &client, ocm::crds::spoke()).await?;
    let there = there(world);
    if !there.olm {
        definitions(world, &client, olm()).await?;
    }
    if world.given().is_some() && !there.olm {
        for role in olm_roles() {
            create(&Api::<ClusterRole>::all(client.clone()), &role).await?;
        }
    }
    if world.options.writers == Writers::Simulated {
        definitions(world, &client, storage::crds::all()).await?;
        classes(world, &client, cluster).await?;
    }
    if there.operators {
        return Ok(());
    }
    definitions(world, &client, kinds(false)).await?;
    namespace(&client, OPERATOR_NAMESPACE).await?;
    for secret in secrets(world)? {
        create(&Api::<Secret>::namespaced(client.clone(), OPERATOR_NAMESPACE), &secret).await?;
    }
    if there.olm {
        let config = hub_config(world)?.for_spokes();
        let config = configuration(&config, Role::Spoke);
        create(&Api::<ConfigMap>::namespaced(client.clone(), OPERATOR_NAMESPACE), &config).await?;
    }
    Ok(())
}

async fn classes(world: &World, client: &Client, cluster: &str) -> Result<(), WorldError> {
    let (storage_id, replication) = match &world.options.replication {
        Replication::Regional { interval, every } => (format!("storage-{cluster}"), Some((interval, every))),
        Replication::Metro => ("storage-metro".to_owned(), None),
    };
    let replication_id = "replication-sandbox";
    let mut labels: BTreeMap<String, String> = [(names::STORAGE_ID.to_owned(), storage_id.clone())].into();
    if replication.is_some() {
        labels.insert(names::REPLICATION_ID.to_owned(), replication_id.to_owned());
    }
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some(STORAGE_CLASS.to_owned()),
            labels: Some(labels.clone()),
            ..Default::default()
        },
        provisioner: DRIVER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("Immediate".to_owned()),
        ..Default::default()
    };
    create(&Api::<StorageClass>::all(client.clone()), &class).await?;
    let Some((interval, every)) = replication else { return Ok(()) };
    let class = json!({
        "apiVersion": "replication.storage.openshift.io/v1alpha1",
        "kind": "VolumeReplicationClass",
        "metadata": { "name": "sandbox-replication", "labels": labels },
        "spec": { "provisioner": DRIVER, "parameters": {
            "schedulingInterval": interval,
            "mirroringMode": "snapshot",
            SHIP_EVERY: format!("{}ms", every.as_millis()),
        }},
    });
    let class: kaedama_shared::api::csiaddons::VolumeReplicationClass =
        serde_json::from_value(class).map_err(|error| WorldError::Api {
            what: "make the replication class".to_owned(),
            source: kube::Error::SerdeError(error),
        })?;
    create(&Api::all(client.clone()), &class).await
}

/// The DRClusters and the DRPolicy, and waits until they are valid.
pub(super) async fn policy(world: &World) -> Result<(), WorldError> {
    let client = world.hub();
    if there(world).operators {
        return world.policy_valid(&world.options.policy).await;
    }
    for cluster in &world.options.clusters {
        let spec = DRClusterSpec {
            s3_profile_name: profile(cluster),
            region: match world.options.replication {
                Replication::Regional { .. } => cluster.clone(),
                Replication::Metro => "metro".to_owned(),
            },
            ..Default::default()
        };
        create(&Api::all(client.clone()), &DRCluster::new(cluster, spec)).await?;
    }
    if world.options.policy.is_empty() {
        return Ok(());
    }
    let spec = DRPolicySpec {
        dr_clusters: world.options.clusters.clone(),
        scheduling_interval: match &world.options.replication {
            Replication::Regional { interval, .. } => interval.clone(),
            Replication::Metro => String::new(),
        },
        ..Default::default()
    };
    create(&Api::all(client.clone()), &DRPolicy::new(&world.options.policy, spec)).await?;
    world.policy_valid(&world.options.policy).await
}
