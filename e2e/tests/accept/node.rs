//! Somebody else's node: it takes the pods of a cluster, runs their containers, and serves their logs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as NodeObject, PersistentVolume, PersistentVolumeClaim, Pod};
use kaedama_sandbox::storage::{Driver, VolumeHandle};
use kaedama_shared::clock::Clock;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::container::{Mounted, Running};
use super::kubelet::{self, Logs};
use super::stranger::create;

/// Name of the only node of a cluster.
const NODE: &str = "worker-1";
/// Between two looks at the cluster's pods and at the containers.
const STEP: Duration = Duration::from_millis(100);
const RENEWAL: Duration = Duration::from_secs(10);
/// Before a container that ended by itself is started again.
const BACKOFF: Duration = Duration::from_secs(2);

/// A node; it is lost when this is dropped.
pub struct Node {
    _runs: AbortOnDropHandle<()>,
    _serves: AbortOnDropHandle<()>,
}

impl Node {
    /// Joins a cluster, whose storage it reaches with this driver.
    pub async fn join(client: Client, driver: Driver) -> Self {
        let logs = Logs::default();
        let (port, serves) = kubelet::serve(logs.clone()).await;
        create(Api::<NodeObject>::all(client.clone()), json!({ "metadata": { "name": NODE } })).await;
        let lease = json!({ "metadata": { "name": NODE }, "spec": { "holderIdentity": NODE } });
        create(Api::<Lease>::namespaced(client.clone(), "kube-node-lease"), lease).await;
        let worker = Worker { client, driver, logs, pods: BTreeMap::new(), folder: tempfile::tempdir().unwrap() };
        worker.report(port).await.unwrap();
        let runs = AbortOnDropHandle::new(tokio::spawn(worker.work(port)));
        Self { _runs: runs, _serves: serves }
    }
}

/// Opens the nodes of a cluster for pods, as the node lifecycle controller does once they are Ready: the API server taints
/// those that are new.
pub async fn open(client: Client) {
    let nodes = Api::<NodeObject>::all(client);
    let change = json!({ "spec": { "taints": null } });
    nodes.patch(NODE, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

/// A pod on the node.
struct Placed {
    pod: Pod,
    mounted: Vec<Mounted>,
    mounts: Vec<(String, PathBuf)>,
    running: Option<Running>,
    restarts: i32,
    /// Not started again before.
    rests_until: Instant,
}

struct Worker {
    client: Client,
    driver: Driver,
    logs: Logs,
    /// By their uids.
    pods: BTreeMap<String, Placed>,
    folder: tempfile::TempDir,
}

impl Worker {
    async fn work(mut self, port: u16) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(STEP).await;
            if renewed.elapsed() > RENEWAL {
                renewed = Instant::now();
                let _ = self.report(port).await;
            }
            // An API server that does not answer is asked again.
            let Ok(all) = Api::<Pod>::all(self.client.clone()).list(&ListParams::default()).await else { continue };
            let there: BTreeMap<String, Pod> =
                all.items.into_iter().map(|pod| (pod.uid().unwrap_or_default(), pod)).collect();
            for (uid, pod) in &there {
                if let Err(error) = self.look_at(uid, pod).await {
                    tracing::warn!(pod = pod.name_any(), %error, "not done");
                }
            }
            // Somebody took a pod away without its node.
            self.pods.retain(|uid, _| there.contains_key(uid));
        }
    }

    /// Says how the node is.
    async fn report(&self, port: u16) -> kube::Result<()> {
        let now = Clock::system().now().to_string();
        let status = json!({ "status": {
            "capacity": { "cpu": "2", "memory": "4Gi", "pods": "110" },
            "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now }],
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        }});
        let nodes = Api::<NodeObject>::all(self.client.clone());
        nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(status)).await?;
        let renewal = json!({ "spec": { "renewTime": format!("{:.6}", Clock::system().now()) } });
        let leases = Api::<Lease>::namespaced(self.client.clone(), "kube-node-lease");
        leases.patch(NODE, &PatchParams::default(), &Patch::Merge(renewal)).await.map(drop)
    }

    async fn look_at(&mut self, uid: &str, pod: &Pod) -> kube::Result<()> {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let is_deleting = pod.metadata.deletion_timestamp.is_some();
        match node.as_deref() {
            None if !is_deleting => return self.bind(pod).await,
            Some(NODE) => {}
            _ => return Ok(()),
        }
        if is_deleting {
            return self.end(uid, pod).await;
        }
        if !self.pods.contains_key(uid) {
            let placed = Placed {
                pod: pod.clone(),
                mounted: Vec::new(),
                mounts: Vec::new(),
                running: None,
                restarts: 0,
                rests_until: Instant::now(),
            };
            self.pods.insert(uid.to_owned(), placed);
        }
        if self.pods[uid].running.is_none() { self.start(uid).await } else { self.keep(uid).await }
    }

    /// The volumes of a pod, by claim. None as long as a claim has none.
    async fn volumes(&self, pod: &Pod) -> kube::Result<Option<BTreeMap<String, VolumeHandle>>> {
        let mut handles = BTreeMap::new();
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let Some(source) = &volume.persistent_volume_claim else { continue };
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
            let Some(claim) = claims.get_opt(&source.claim_name).await? else { return Ok(None) };
            let is_bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
            let name = claim.spec.and_then(|spec| spec.volume_name).filter(|_| is_bound);
            let Some(name) = name else { return Ok(None) };
            let found = Api::<PersistentVolume>::all(self.client.clone()).get(&name).await?;
            let csi = found.spec.and_then(|spec| spec.csi).expect("the storage is CSI");
            handles.insert(volume.name.clone(), csi.volume_handle.into());
        }
        Ok(Some(handles))
    }

    /// As a scheduler: once its claims are bound, a pod gets its node.
    async fn bind(&self, pod: &Pod) -> kube::Result<()> {
        if self.volumes(pod).await?.is_none() {
            return Ok(());
        }
        let (namespace, name) = (pod.namespace().unwrap(), pod.name_any());
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "namespace": namespace },
            "target": { "apiVersion": "v1", "kind": "Node", "name": NODE },
        });
        let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{name}/binding"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&binding).unwrap())
            .unwrap();
        self.client.request::<Value>(request).await.map(drop)
    }

    /// Mounts the volumes and starts the container, if the storage lets it.
    async fn start(&mut self, uid: &str) -> kube::Result<()> {
        let Some(handles) = self.volumes(&self.pods[uid].pod).await? else { return Ok(()) };
        let folder = self.folder.path().join(uid);
        let placed = self.pods.get_mut(uid).unwrap();
        if Instant::now() < placed.rests_until {
            return Ok(());
        }
        let container = placed.pod.spec.as_ref().unwrap().containers[0].clone();
        (placed.mounted, placed.mounts) = (Vec::new(), Vec::new());
        for mount in container.volume_mounts.iter().flatten() {
            // What else there is, such as tokens, nothing here reads.
            let Some(handle) = handles.get(&mount.name) else { continue };
            let folder = folder.join(&mount.name);
            match Mounted::mount(&self.driver, handle.clone(), folder.clone()) {
                Ok(mounted) => placed.mounted.push(mounted),
                Err(error) => {
                    tracing::info!(pod = placed.pod.name_any(), %error, "a volume cannot be mounted");
                    placed.rests_until = Instant::now() + BACKOFF;
                    return Ok(());
                }
            }
            placed.mounts.push((mount.mount_path.clone(), folder));
        }
        let running = Running::start(&placed.pod, &container, &placed.mounts);
        self.logs.add(&log_name(&placed.pod), running.log.clone());
        placed.running = Some(running);
        let (pod, restarts) = (placed.pod.clone(), placed.restarts);
        self.tell(&pod, "Running", true, restarts).await
    }

    /// Brings what was written to the array; whoever cannot write any more is ended, and started again later.
    async fn keep(&mut self, uid: &str) -> kube::Result<()> {
        let placed = self.pods.get_mut(uid).unwrap();
        let running = placed.running.as_mut().unwrap();
        let flushed = placed.mounted.iter_mut().try_for_each(|mounted| mounted.flush(&self.driver));
        if let Err(error) = flushed {
            tracing::info!(pod = placed.pod.name_any(), %error, "input/output error");
            running.signal(Signal::KILL);
        }
        if !running.has_ended() {
            return Ok(());
        }
        placed.running = None;
        placed.restarts += 1;
        placed.rests_until = Instant::now() + BACKOFF;
        let (pod, restarts) = (placed.pod.clone(), placed.restarts);
        self.tell(&pod, "Running", false, restarts).await
    }

    /// Ends the container, brings what it wrote last to the array, and then the pod is gone.
    async fn end(&mut self, uid: &str, pod: &Pod) -> kube::Result<()> {
        if let Some(placed) = self.pods.get_mut(uid)
            && let Some(running) = &mut placed.running
        {
            if !running.has_ended() {
                running.signal(Signal::TERM);
                let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
                let until = Instant::now() + Duration::from_secs(grace.unsigned_abs());
                while !running.has_ended() && Instant::now() < until {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                running.signal(Signal::KILL);
            }
            let flushed = placed.mounted.iter_mut().try_for_each(|mounted| mounted.flush(&self.driver));
            if let Err(error) = flushed {
                tracing::info!(pod = pod.name_any(), %error, "what was written last is not on the array");
            }
            placed.running = None;
            let restarts = placed.restarts;
            self.tell(pod, "Succeeded", false, restarts).await?;
        }
        let exactly = Preconditions { uid: pod.uid(), resource_version: None };
        let params = DeleteParams::default().grace_period(0).preconditions(exactly);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        match pods.delete(&pod.name_any(), &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.pods.remove(uid);
        self.logs.remove(&log_name(pod));
        Ok(())
    }

    /// Writes the status of a pod.
    async fn tell(&self, pod: &Pod, phase: &str, ready: bool, restarts: i32) -> kube::Result<()> {
        let now = Clock::system().time();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let state = match (phase, ready) {
            ("Running", true) => json!({ "running": { "startedAt": now } }),
            ("Running", false) => json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
            _ => json!({ "terminated": { "exitCode": 0, "finishedAt": now } }),
        };
        let text = if ready { "True" } else { "False" };
        let condition = |type_: &str| json!({ "type": type_, "status": text, "lastTransitionTime": now });
        let status = json!({ "status": {
            "phase": phase, "startTime": now, "hostIP": "127.0.0.1", "podIP": "127.0.0.1",
            "conditions": [condition("Ready"), condition("ContainersReady")],
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": "none", "ready": ready, "started": ready,
                "restartCount": restarts, "state": state,
            }],
        }});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        match pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(status)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            written => written.map(|_: Pod| ()),
        }
    }
}

fn log_name(pod: &Pod) -> String {
    let container = &pod.spec.as_ref().unwrap().containers[0].name;
    format!("{}/{}/{container}", pod.namespace().unwrap(), pod.name_any())
}
