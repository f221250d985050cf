//! The operator as a whole against an embedded API server: what it writes is what it reads again, and at rest it writes
//! nothing. Agents and clusters are the model's; everything on the hub is real.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_apiserver::ApiServer;
use kaedama_shared::api::ocm::{ManagedCluster, ManifestWork, Placement, PlacementDecision};
use kaedama_shared::api::{DRCluster, DRPlacementControl, DRPolicy, crdgen};
use kaedama_shared::report::{self, ClassFacts, ClusterReport};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::drpc::decide::tests::site::{Cluster, Work};
use crate::drpc::snapshot::ObjectId;
use crate::works;

const CLUSTERS: [&str; 2] = ["dr1", "dr2"];
const START: &str = "2026-03-01T00:00:00Z";

/// A definition without a schema of its own.
fn definition(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> CustomResourceDefinition {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": {
                    "type": "object", "properties": { "spec": open.clone(), "status": open },
                }},
            }],
        },
    }))
    .unwrap()
}

struct World {
    server: ApiServer,
    client: Client,
    stop: CancellationToken,
    registry: Registry,
    clusters: BTreeMap<&'static str, Cluster>,
    _operator: AbortOnDropHandle<()>,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::starting_at(START.parse().unwrap());
        let server = ApiServer::builder("hub").clock(move || clock.now()).build();
        let client = server.client("test");
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let (cluster, work) = ("cluster.open-cluster-management.io", "work.open-cluster-management.io");
        let ocm = [
            definition(cluster, "v1", "ManagedCluster", "managedclusters", false),
            definition(cluster, "v1beta1", "Placement", "placements", true),
            definition(cluster, "v1beta1", "PlacementDecision", "placementdecisions", true),
            definition(work, "v1", "ManifestWork", "manifestworks", true),
        ];
        for crd in ocm.into_iter().chain(crdgen::all_crds()) {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        for name in ["dr1", "dr2", "shop", "ramen-system"] {
            let namespace = Namespace {
                metadata: kube::core::ObjectMeta { name: Some(name.into()), ..Default::default() },
                ..Default::default()
            };
            let _ = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        }
        let mut registry = Registry::default();
        let options = Options {
            clients: Clients::from_client(&server.client("kaedama-hub"), "kaedama-hub"),
            namespace: "ramen-system".into(),
            identity: "hub-0".into(),
            clock,
            s3: S3Options::new(clock),
            metrics: HarnessMetrics::register(&mut registry),
            health: None,
        };
        let gauges = HubMetrics::register(&mut registry);
        let stop = CancellationToken::new();
        let until = stop.clone();
        let operator = tokio::spawn(async move {
            let loaded = configure(&options.clients.requests, &options.namespace).await.unwrap();
            run_with(options, loaded, gauges, until).await.unwrap();
        });
        let model = |name: &'static str| {
            (name, Cluster { name: name.to_owned(), alive: true, connected: true, ..Default::default() })
        };
        let world = World {
            server,
            client,
            stop,
            registry,
            clusters: CLUSTERS.map(model).into(),
            _operator: AbortOnDropHandle::new(operator),
        };
        for name in CLUSTERS {
            world.create::<ManagedCluster>(None, json!({ "metadata": { "name": name }, "spec": {} })).await;
            world.available(name, true).await;
            let spec = json!({ "metadata": { "name": name }, "spec": { "s3ProfileName": "NoS3" } });
            world.create::<DRCluster>(None, spec).await;
        }
        let spec = json!({ "drClusters": CLUSTERS, "schedulingInterval": "5m" });
        world.create::<DRPolicy>(None, json!({ "metadata": { "name": "gold" }, "spec": spec })).await;
        let disabled = json!({ "cluster.open-cluster-management.io/experimental-scheduling-disable": "true" });
        let placement = json!({ "metadata": { "name": "place", "annotations": disabled }, "spec": {} });
        world.create::<Placement>(Some("shop"), placement).await;
        world
    }

    async fn create<K>(&self, namespace: Option<&str>, object: Value)
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        let mut object = object;
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        let url = K::url_path(&(), namespace);
        let body = serde_json::to_vec(&object).unwrap();
        let request = http::Request::post(url).header("content-type", "application/json").body(body).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Open Cluster Management says whether it hears from a cluster.
    async fn available(&self, cluster: &str, available: bool) {
        let condition = |type_: &str, status: &str| json!({ "type": type_, "status": status, "reason": "Test", "message": "as the test has it", "lastTransitionTime": START });
        let status = json!({ "status": {
            "conditions": [
                condition("ManagedClusterJoined", "True"),
                condition("ManagedClusterConditionAvailable", if available { "True" } else { "Unknown" }),
            ],
            "clusterClaims": [{ "name": "id.k8s.io", "value": format!("id-{cluster}") }],
        }});
        let api: Api<ManagedCluster> = Api::all(self.client.clone());
        api.patch_status(cluster, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    fn works(&self, cluster: &str) -> Api<ManifestWork> {
        Api::namespaced(self.client.clone(), cluster)
    }

    fn drpcs(&self) -> Api<DRPlacementControl> {
        Api::namespaced(self.client.clone(), "shop")
    }

    async fn drpc(&self) -> DRPlacementControl {
        self.drpcs().get("web").await.unwrap()
    }

    async fn decided(&self) -> Vec<String> {
        let api: Api<PlacementDecision> = Api::namespaced(self.client.clone(), "shop");
        let all = api.list(&Default::default()).await.unwrap().items;
        all.iter().flat_map(|decision| decision.decisions()).map(|entry| entry.cluster_name.clone()).collect()
    }

    /// Every cluster works on its works once.
    async fn round(&mut self) {
        let decided = self.decided().await;
        for name in CLUSTERS {
            let found = self.works(name).list(&Default::default()).await.unwrap().items;
            let held = found.iter().any(|work| work.name_any().ends_with("-vrg-mw"));
            let cluster = self.clusters.get_mut(name).unwrap();
            if !held && cluster.alive && !cluster.owner.is_empty() {
                (cluster.vrg, cluster.reported) = (None, None);
                cluster.owner.clear();
            }
            if !cluster.alive {
                continue;
            }
            for work in found {
                let status = self.work_on(name, &work);
                let api = self.works(name);
                if work.status.as_ref().map(|status| serde_json::to_value(status).unwrap())
                    != Some(status["status"].clone())
                {
                    api.patch_status(&work.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
                }
            }
            let cluster = self.clusters.get_mut(name).unwrap();
            cluster.spoke(true);
            cluster.gitops(decided.iter().any(|decided| decided == name));
        }
    }

    /// What the agent reports of one work.
    fn work_on(&mut self, name: &str, work: &ManifestWork) -> Value {
        let generation = work.metadata.generation.unwrap_or_default();
        let condition = |type_: &str, holds: bool| {
            json!({
                "type": type_, "status": if holds { "True" } else { "False" }, "reason": "Test", "message": "",
                "observedGeneration": generation, "lastTransitionTime": START,
            })
        };
        let (mut there, mut values) = (true, json!([]));
        let value = |text: String| json!([{ "name": "report", "fieldValue": { "type": "String", "string": text } }]);
        if work.name_any().ends_with("-vrg-mw") {
            let cluster = self.clusters.get_mut(name).unwrap();
            let wanted = work.spec.workload.manifests[0].clone();
            let mut seen = Work {
                id: ObjectId { name: work.name_any(), uid: work.uid().unwrap(), resource_version: String::new() },
                vrg: (!works::is_question(work)).then(|| serde_json::from_value(wanted).unwrap()),
                deleting: false,
                report: None,
                missing: false,
            };
            cluster.agent(Some(&mut seen));
            there = !seen.missing;
            if let Some(vrg) = &seen.report {
                values = value(report::encode(vrg));
            }
        } else if work.name_any() == kaedama_shared::names::DRCLUSTERCONFIG_WORK {
            let class = |name: &str, labels: &[(&str, &str)], interval: &str| ClassFacts {
                name: name.into(),
                provisioner: "csi".into(),
                labels: labels
                    .iter()
                    .map(|(key, value)| (format!("ramendr.openshift.io/{key}"), (*value).to_owned()))
                    .collect(),
                scheduling_interval: interval.into(),
            };
            let facts = ClusterReport {
                storage_classes: vec![class("fast", &[("storageid", name)], "")],
                volume_replication_classes: vec![class("vrc", &[("storageid", name), ("replicationid", "pair")], "5m")],
                ..Default::default()
            };
            values = value(facts.encode());
        }
        json!({ "status": {
            "conditions": [condition("Applied", true), condition("Available", there)],
            "resourceStatus": { "manifests": [
                {
                    "resourceMeta": { "ordinal": 0 },
                    "conditions": [condition("Applied", true), condition("Available", there)],
                    "statusFeedback": { "values": values.clone() },
                },
                {
                    "resourceMeta": { "ordinal": 1 },
                    "conditions": [condition("Applied", true), condition("Available", true)],
                    "statusFeedback": { "values": values },
                },
            ]},
        }})
    }

    /// Rounds until `until` holds of the DRPC.
    async fn run(&mut self, what: &str, until: impl Fn(&DRPlacementControl) -> bool) {
        for _ in 0..200 {
            self.round().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.drpcs().get_opt("web").await.unwrap().as_ref().is_some_and(&until) {
                return;
            }
        }
        panic!("{what} never came about: {:#?}", self.drpc().await.status);
    }

    async fn completed(&mut self, phase: &str) {
        self.run(phase, |drpc| {
            let status = drpc.status.clone().unwrap_or_default();
            status.phase.to_string() == phase && status.progression.to_string() == "Completed"
        })
        .await;
    }

    async fn order(&self, spec: Value) {
        self.drpcs().patch("web", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
    }

    /// What the operator has asked the API server since it was asked last; left out are its lease, its watches, and the
    /// look for a kind that is not installed.
    fn requests(&self) -> BTreeMap<String, u64> {
        let all = self.server.accounting().take();
        let own = all.iter().filter(|(key, _)| key.user_agent == "kaedama-hub" && key.verb != "watch");
        let mut requests = BTreeMap::new();
        let kept = |resource: &str| {
            ["leases", "managedclusterviews", "applicationsets"].iter().any(|kind| resource.starts_with(kind))
        };
        for (key, count) in own.filter(|(key, _)| !kept(&key.resource)) {
            *requests.entry(format!("{} {}", key.verb, key.resource)).or_default() += count;
        }
        requests
    }

    /// `dr1` dies, and the application is placed on `dr2`.
    async fn fail_over_from_the_dead(&mut self) {
        self.clusters.get_mut("dr1").unwrap().alive = false;
        self.available("dr1", false).await;
        self.order(json!({ "action": "Failover", "failoverCluster": "dr2" })).await;
        self.run("FailedOver", |drpc| {
            drpc.status.as_ref().is_some_and(|status| status.phase.to_string() == "FailedOver")
        })
        .await;
    }

    /// Minutes pass, and the operator asks for nothing and writes nothing.
    async fn assert_quiet(&mut self) {
        for _ in 0..5 {
            self.round().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.requests();
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(self.requests(), BTreeMap::new());
    }
}

async fn deployed() -> World {
    let mut world = World::new().await;
    let spec = json!({
        "drPolicyRef": { "name": "gold" }, "placementRef": { "name": "place" }, "preferredCluster": "dr1", "pvcSelector": {},
    });
    world.create::<DRPlacementControl>(Some("shop"), json!({ "metadata": { "name": "web" }, "spec": spec })).await;
    world.completed("Deployed").await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_application_is_deployed_failed_over_relocated_back_and_released() {
    let mut world = deployed().await;
    let policy: DRPolicy = Api::all(world.client.clone()).get("gold").await.unwrap();
    assert_eq!(policy.status.unwrap().async_.peer_classes[0].replication_id, "pair");
    assert_eq!(world.decided().await, ["dr1"]);
    let drpc = world.drpc().await;
    assert_eq!(drpc.owner_references()[0].name, "place");
    assert_eq!(drpc.labels()["cluster.open-cluster-management.io/backup"], "ramen");
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &world.registry).unwrap();
    assert!(page.contains(r#"ramen_dr_protected_apps{management_method="managed"} 1"#), "{page}");

    world.fail_over_from_the_dead().await;
    assert_eq!(world.decided().await, ["dr1", "dr2"]);
    world.clusters.get_mut("dr1").unwrap().alive = true;
    world.available("dr1", true).await;
    world.completed("FailedOver").await;
    assert_eq!(world.decided().await, ["dr2"]);
    world.assert_quiet().await;

    world.order(json!({ "action": "Relocate", "preferredCluster": "dr1", "failoverCluster": null })).await;
    world.completed("Relocated").await;
    assert_eq!(world.decided().await, ["dr1"]);
    world.assert_quiet().await;

    world.order(json!({ "action": "Failover", "failoverCluster": "dr2" })).await;
    world.completed("FailedOver").await;
    let requests = world.requests();
    let count =
        |what: &str| requests.iter().filter(|(request, _)| request.contains(what)).map(|(_, count)| count).sum::<u64>();
    assert_eq!(count("get ") + count("list "), 0, "an action reads from caches only: {requests:?}");
    assert!(count("manifestworks") == 2 && count("placementdecisions") == 3, "{requests:?}");
    assert!(count("") - count("events") <= 16, "{requests:?}");
    world.order(json!({ "action": "Failover", "failoverCluster": "dr1" })).await;
    world.run("the way back", |drpc| {
        drpc.metadata.annotations.as_ref().unwrap()["drplacementcontrol.ramendr.openshift.io/last-app-deployment-cluster"] == "dr1"
    })
    .await;
    world.completed("FailedOver").await;

    world.drpcs().delete("web", &DeleteParams::default()).await.unwrap();
    for _ in 0..100 {
        world.round().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(world.drpcs().get_opt("web").await.unwrap().is_none(), "{:#?}", world.drpc().await);
    for name in CLUSTERS {
        let left = world.works(name).list(&Default::default()).await.unwrap();
        let names: Vec<String> = left.items.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["drcconfig-mw", "ramen-dr-cluster"]);
    }
    assert_eq!(world.decided().await, ["dr1"], "the application stays where it is");
    let placement: Placement = Api::namespaced(world.client.clone(), "shop").get("place").await.unwrap();
    assert!(placement.finalizers().is_empty());
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_deleted_with_its_namespace_silences_nobody() {
    let mut world = deployed().await;
    world.fail_over_from_the_dead().await;
    // Its works go with the namespace.
    Api::<ManagedCluster>::all(world.client.clone()).delete("dr1", &DeleteParams::default()).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete("dr1", &DeleteParams::default()).await.unwrap();
    world
        .run("that there is no dr1", |drpc| {
            let conditions = drpc.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|condition| condition.message.contains("there is no ManagedCluster dr1"))
        })
        .await;
    assert!(namespaces.get_opt("dr1").await.unwrap().is_none());
    assert!(world.works("dr1").list(&Default::default()).await.unwrap().items.is_empty());
    assert!(world.decided().await.contains(&"dr2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_policy_and_its_clusters_go_in_order() {
    let mut world = deployed().await;
    let policies: Api<DRPolicy> = Api::all(world.client.clone());
    let drclusters: Api<DRCluster> = Api::all(world.client.clone());
    policies.delete("gold", &DeleteParams::default()).await.unwrap();
    drclusters.delete("dr1", &DeleteParams::default()).await.unwrap();
    for _ in 0..10 {
        world.round().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let policy = policies.get("gold").await.unwrap();
    assert!(policy.status.unwrap().conditions[0].message.contains("shop/web"));
    assert!(drclusters.get_opt("dr1").await.unwrap().is_some());
    world.drpcs().delete("web", &DeleteParams::default()).await.unwrap();
    for _ in 0..60 {
        world.round().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(policies.get_opt("gold").await.unwrap().is_none());
    assert!(drclusters.get_opt("dr1").await.unwrap().is_none());
    assert!(drclusters.get_opt("dr2").await.unwrap().is_some());
}

#[path = "operator_takeover_tests.rs"]
mod takeover;
