//! Somebody else's storage: arrays with csi-addons over them, installed on both clusters under names of their own.

use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_sandbox::storage::array::LinkSettings;
use kaedama_sandbox::storage::{ArrayId, Cluster, SHIP_EVERY, StorageFabric, binder, crds, volume_replication};
use kaedama_shared::api::csiaddons::VolumeReplicationClass;
use kaedama_shared::clock::Clock;
use kaedama_shared::names;
use kube::Api;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::stranger::{Stranger, create, until};

/// The CSI driver.
pub const DRIVER: &str = "disks.example.com";
/// The StorageClass, on both clusters.
pub const CLASS: &str = "gold-disks";
/// What its VolumeReplicationClass says. The arrays ship more often, or a test would last.
pub const INTERVAL: &str = "1m";

/// The arrays, and what answers for them on the clusters. Ends when it is dropped.
pub struct Storage {
    pub fabric: StorageFabric,
    arrays: Vec<ArrayId>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Storage {
    /// With arrays that replicate to each other, and nothing on the clusters yet.
    pub fn new(stranger: &Stranger) -> Self {
        let fabric = StorageFabric::new(Clock::system());
        let mut arrays = Vec::new();
        for cluster in stranger.real.managed() {
            let array: ArrayId = format!("rack-of-{cluster}").as_str().into();
            fabric.add_array(&array);
            fabric.attach(&cluster, DRIVER, &array);
            arrays.push(array);
        }
        fabric.link(&arrays[0], &arrays[1], LinkSettings::default());
        let timer = fabric.clone();
        let timer = AbortOnDropHandle::new(tokio::spawn(async move { timer.run().await }));
        Self { fabric, arrays, tasks: vec![timer] }
    }

    /// Installs kinds and classes, and starts provisioner and replication controller.
    pub async fn install(&mut self, stranger: &Stranger) {
        for cluster in stranger.real.managed() {
            let client = stranger.admin(&cluster).await;
            for definition in crds::all().into_iter().filter(|crd| crd.spec.group == "replication.storage.openshift.io")
            {
                let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
                create(kinds, json!(definition)).await;
            }
            let classes: Api<VolumeReplicationClass> = Api::all(client.clone());
            until("the kinds are served", async || classes.list(&Default::default()).await.is_ok()).await;
            let labels = json!({ names::STORAGE_ID: format!("disks-of-{cluster}"), names::REPLICATION_ID: "disks" });
            let replication = json!({
                "apiVersion": "replication.storage.openshift.io/v1alpha1", "kind": "VolumeReplicationClass",
                "metadata": { "name": "disks-every-minute", "labels": labels },
                "spec": {
                    "provisioner": DRIVER,
                    "parameters": { "schedulingInterval": INTERVAL, "mirroringMode": "snapshot", SHIP_EVERY: "5s" },
                },
            });
            create(classes, replication).await;
            let class = json!({
                "metadata": { "name": CLASS, "labels": labels }, "provisioner": DRIVER, "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            });
            create(Api::<StorageClass>::all(client.clone()), class).await;
            let driver = json!({ "metadata": { "name": DRIVER }, "spec": { "attachRequired": false } });
            create(Api::<CSIDriver>::all(client.clone()), driver).await;

            let kit = || Cluster::new(&cluster, client.clone(), Clock::system());
            let (driver, stop) = (|| self.fabric.driver(&cluster, DRIVER), CancellationToken::new());
            let provisioner = binder::run(kit(), driver(), binder::Settings::provisioner_only(), stop.clone());
            let replication = volume_replication::run(kit(), driver(), volume_replication::Timing::default(), stop);
            self.tasks.push(AbortOnDropHandle::new(tokio::spawn(provisioner)));
            self.tasks.push(AbortOnDropHandle::new(tokio::spawn(replication)));
        }
    }

    /// How many volumes there are, on all arrays.
    pub fn volumes(&self) -> usize {
        self.fabric.with(|arrays, _| self.arrays.iter().map(|array| arrays.volumes(array).len()).sum())
    }
}
