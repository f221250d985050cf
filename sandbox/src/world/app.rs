//! Applications: a few claims and a writer that fills them with numbered records.

use k8s_openapi::api::core::v1::ConfigMap;
use kaedama_shared::api::ocm::Placement;
use kaedama_shared::api::{DRAction, DRPlacementControl};
use kaedama_shared::names;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::install::{create, namespace};
use super::{STORAGE_CLASS, World, WorldError};
use crate::ocm::gitops;
use crate::workload::pod::Pods;
use crate::workload::{AppId, RATE, WRITER};

/// Who writes the records of applications, and on whose volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Writers {
    /// The sandbox's writers, on volumes of its arrays.
    #[default]
    Simulated,
    /// Pods on nodes of the clusters, on volumes of the storage that is installed there.
    Pods(Pods),
}

/// An application.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its name, and that of its DRPlacementControl and Placement.
    pub name: String,
    /// Its namespace, on the hub and on the clusters.
    pub namespace: String,
    /// Where it lives first.
    pub home: String,
    /// How many claims it has.
    pub claims: usize,
    /// Records written to each volume per second.
    pub records_per_second: u32,
    /// Who writes them.
    pub writers: Writers,
}

impl App {
    /// An application with one claim and ten records a second.
    pub fn new(name: &str, home: &str) -> Self {
        App {
            name: name.to_owned(),
            namespace: name.to_owned(),
            home: home.to_owned(),
            claims: 1,
            records_per_second: 10,
            writers: Writers::default(),
        }
    }

    /// With this many claims.
    pub fn claims(self, claims: usize) -> Self {
        App { claims, ..self }
    }

    /// Its name in the ledger.
    pub fn id(&self) -> AppId {
        AppId::new(&self.namespace, &self.name)
    }

    /// Names of its claims.
    pub fn claim_names(&self) -> Vec<String> {
        (0..self.claims).map(|n| format!("{}-data-{n}", self.name)).collect()
    }

    /// What GitOps carries to the clusters.
    pub fn manifests(&self) -> Vec<Value> {
        let labels = json!({ "app": self.name });
        let names = self.claim_names();
        let (class, writer) = match &self.writers {
            Writers::Simulated => (STORAGE_CLASS, self.simulated(&names)),
            Writers::Pods(pods) => {
                let writer = pods.deployment(&self.name, &self.namespace, &names, self.records_per_second);
                (pods.storage_class.as_str(), writer)
            }
        };
        let claim = |name: &String| {
            json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": name, "namespace": self.namespace, "labels": labels },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": class,
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            })
        };
        names.iter().map(claim).chain([writer]).collect()
    }

    /// The Deployment that the sandbox's writers take for an application.
    fn simulated(&self, names: &[String]) -> Value {
        let labels = json!({ "app": self.name });
        let volumes: Vec<Value> =
            names.iter().map(|name| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } })).collect();
        let mounts: Vec<Value> =
            names.iter().map(|name| json!({ "name": name, "mountPath": format!("/data/{name}") })).collect();
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": { WRITER: "true", RATE: self.records_per_second.to_string() },
            },
            "spec": {
                "replicas": 1,
                // Where a cluster has a controller for Deployments, its pods are left to the sandbox.
                "paused": true,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "containers": [{ "name": "writer", "image": "writer", "volumeMounts": mounts }],
                        "volumes": volumes,
                    },
                },
            },
        })
    }

    /// What GitOps is told of it.
    pub fn description(&self) -> gitops::Application {
        gitops::Application {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            placement: self.name.clone(),
            target_namespace: self.namespace.clone(),
            manifests: self.manifests(),
        }
    }

    /// Its DRPlacementControl.
    pub fn drpc(&self, policy: &str) -> Value {
        json!({
            "apiVersion": "ramendr.openshift.io/v1alpha1",
            "kind": "DRPlacementControl",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "spec": {
                "drPolicyRef": { "name": policy },
                "placementRef": { "kind": "Placement", "name": self.name },
                "preferredCluster": self.home,
                "pvcSelector": { "matchLabels": { "app": self.name } },
            },
        })
    }
}

impl World {
    /// Deploys an application under protection: its Placement, its GitOps description, its DRPlacementControl.
    pub async fn protect(&self, app: &App) -> Result<(), WorldError> {
        let hub = self.hub();
        namespace(&hub, &app.namespace).await?;
        let placement = json!({
            "apiVersion": Placement::API_VERSION,
            "kind": Placement::KIND,
            "metadata": {
                "name": app.name,
                "namespace": app.namespace,
                "annotations": { names::SCHEDULING_DISABLE: "true" },
            },
            "spec": { "clusterSets": ["default"], "numberOfClusters": 1 },
        });
        let placement: Placement = decoded("Placement", placement)?;
        create(&Api::namespaced(hub.clone(), &app.namespace), &placement).await?;
        let map = app.description().config_map();
        create(&Api::<ConfigMap>::namespaced(hub.clone(), &app.namespace), &map).await?;
        let drpc: DRPlacementControl = decoded("DRPlacementControl", app.drpc(&self.options().policy))?;
        create(&Api::namespaced(hub, &app.namespace), &drpc).await
    }

    /// Ends the protection; the application goes on.
    pub async fn unprotect(&self, app: &App) -> Result<(), WorldError> {
        let api: Api<DRPlacementControl> = Api::namespaced(self.hub(), &app.namespace);
        let deleted = api.delete(&app.name, &DeleteParams::default()).await;
        deleted
            .map(drop)
            .map_err(|source| WorldError::Api { what: format!("delete DRPlacementControl {}", app.name), source })
    }

    /// The admin's edit: an action, and the field that names its target.
    pub async fn order(&self, app: &App, action: DRAction, to: &str) -> Result<(), WorldError> {
        let target = if action == DRAction::Failover { "failoverCluster" } else { "preferredCluster" };
        self.edit(app, json!({ "action": action, target: to })).await
    }

    /// Any edit of the DRPlacementControl's spec, as a merge patch.
    pub async fn edit(&self, app: &App, spec: Value) -> Result<(), WorldError> {
        let api: Api<DRPlacementControl> = Api::namespaced(self.hub(), &app.namespace);
        let patch = Patch::Merge(json!({ "spec": spec }));
        let edited = api.patch(&app.name, &PatchParams::default(), &patch).await;
        edited
            .map(drop)
            .map_err(|source| WorldError::Api { what: format!("edit DRPlacementControl {}", app.name), source })
    }
}

fn decoded<K: serde::de::DeserializeOwned>(kind: &str, value: Value) -> Result<K, WorldError> {
    serde_json::from_value(value)
        .map_err(|error| WorldError::Api { what: format!("make the {kind}"), source: kube::Error::SerdeError(error) })
}
