//! Storage and nodes that are there already: real pods write on its volumes, and their logs say what is lost.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kaedama_e2e::real::Identity;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::node::{self, Node};
use super::refusals::refused;
use super::storage::{CLASS, INTERVAL, Storage};
use super::stranger::{self, Ended, Stranger, create};
use super::{FAILOVER, RELOCATE};

const SEVERAL: &str = "relocate::one_application_fails_over_while_another_relocates";
const DISABLE: &str = "disable::a_deleted_drplacementcontrol";
const KIND: &str = "volumereplications.replication.storage.openshift.io";

/// What the file says instead.
fn installed() -> [(&'static str, &'static str); 2] {
    [
        ("storage: sandbox", "storage: installed"),
        ("applications: sandbox", "applications: installed\nstorageClass: gold-disks\nschedulingInterval: 1m"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pods_on_storage_that_is_installed_are_accepted_by_what_their_logs_say() {
    let Some(options) = stranger::options() else { return };
    let stranger = Stranger::start(options, "installed").await;
    let mut storage = Storage::new(&stranger);
    refused(&stranger, &installed()[..1], &["storage: installed, and applications: sandbox; write the same for both"])
        .await;
    refused(&stranger, &installed(), &["dr1", KIND, "is missing; install csi-addons"]).await;
    storage.install(&stranger).await;
    refused(&stranger, &[], &["dr2", "storage: sandbox", KIND, "write storage: installed"]).await;
    refused(&stranger, &installed(), &["dr2", "none of its 0 nodes is Ready; `kubectl get nodes`"]).await;
    let mut nodes = Vec::new();
    for cluster in stranger.real.managed() {
        let driver = storage.fabric.driver(&cluster, super::storage::DRIVER);
        nodes.push(Node::join(stranger.admin(&cluster).await, driver).await);
    }
    refused(&stranger, &installed(), &["dr2", "every node that is Ready has a taint", "kubectl describe nodes"]).await;
    for cluster in stranger.real.managed() {
        node::open(stranger.admin(&cluster).await).await;
    }
    classes(&stranger).await;
    somebody_who_may_not_read_logs(&stranger).await;

    stranger.describe("accept.yaml", &installed());
    let before = stranger.inventory().await;
    let well = stranger.accept(&["check"]).await;
    assert_eq!(well.code, 0, "{well}");
    let by = format!(
        "ok  dr2: StorageClass {CLASS} is replicated by VolumeReplicationClass disks-every-minute every {INTERVAL}"
    );
    assert!(well.stderr.contains(&by), "{well}");
    let breaks = stranger.accept(&["run", "edited_back", "--yes"]).await;
    assert!(breaks.code == 2 && breaks.stderr.contains("it breaks the storage"), "{breaks}");

    let chosen = ["run", RELOCATE, FAILOVER, SEVERAL, DISABLE, "--yes", "--output", "json"];
    let run = stranger.accept(&chosen).await;
    assert_eq!(run.code, 0, "{run}");
    let report = run.report();
    assert_eq!((&report["verdict"], &report["leftBehind"]), (&"accepted".into(), &json!([])), "{run}");
    let told = |name: &str| -> Value {
        let all = report["scenarios"].as_array().unwrap();
        all.iter().find(|told| told["name"].as_str().unwrap().contains(name)).unwrap().clone()
    };
    for name in [RELOCATE, FAILOVER] {
        let of = told(name);
        assert_eq!(of["logsWithoutEnd"], 0, "{name}: {run}");
        eprintln!("{name}: {} of {} records lost, {} s", of["recordsLost"], of["recordsWritten"], of["seconds"]);
    }
    assert_eq!(told(RELOCATE)["recordsLost"], 0, "{run}");
    assert!(told(RELOCATE)["recordsWritten"].as_u64() > Some(400), "{run}");
    assert!(told(FAILOVER)["recordsWritten"].as_u64() > Some(50), "{run}");
    // What came after the last transfer: nothing, if that was a moment ago.
    assert!(told(FAILOVER)["recordsLost"].is_u64(), "{run}");
    stranger.assert_as(&before, &run).await;
    assert_eq!(storage.volumes(), 0, "the storage still has volumes of the run: {run}");

    killed(&stranger).await;
    stranger.assert_as(&before, &Ended::default()).await;
    assert_eq!(storage.volumes(), 0, "the storage still has volumes of the run that was killed");
}

/// Killed in the middle of a move. Volumes that the operators kept are nobody's to remove but their owner's.
async fn killed(stranger: &Stranger) {
    let running = stranger.begin(&["run", RELOCATE, "--yes"]);
    stranger.until_it_moves().await;
    running.signal(rustix::process::Signal::KILL);
    running.end().await;
    let first = stranger.accept(&["clean", "--yes"]).await;
    assert_eq!(first.code, 2, "{first}");
    assert!(first.stderr.contains("has reclaim policy Retain") && first.stderr.contains("kubectl patch pv"), "{first}");
    let held_up = stranger.accept(&["check"]).await;
    assert!(held_up.code == 2 && held_up.stderr.contains("of an earlier run is still there"), "{held_up}");
    for cluster in stranger.real.managed() {
        let volumes = Api::<PersistentVolume>::all(stranger.admin(&cluster).await);
        for volume in volumes.list(&ListParams::default()).await.unwrap() {
            let delete = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
            volumes.patch(&volume.name_any(), &PatchParams::default(), &Patch::Merge(delete)).await.unwrap();
        }
    }
    let cleaned = stranger.accept(&["clean", "--yes"]).await;
    assert_eq!(cleaned.code, 0, "{cleaned}");
}

/// Classes that are not there, or do not fit.
async fn classes(stranger: &Stranger) {
    let with = |from, to| installed().into_iter().chain([(from, to)]).collect::<Vec<_>>();
    refused(
        stranger,
        &with("storageClass: gold-disks", "storageClass: copper"),
        &["dr1", "no StorageClass copper", CLASS],
    )
    .await;
    let interval =
        ["dr1", "no VolumeReplicationClass of provisioner disks.example.com", "5m", "disks-every-minute (1m)"];
    refused(stranger, &with("schedulingInterval: 1m", "schedulingInterval: 5m"), &interval).await;
    refused(stranger, &with("schedulingInterval: 1m", "schedulingInterval: 30s"), &["schedulingInterval is \"30s\""])
        .await;
    refused(stranger, &with("\nstorageClass: gold-disks", ""), &["no storageClass; add `storageClass:`"]).await;
}

/// Somebody who may read everything but the logs of pods.
async fn somebody_who_may_not_read_logs(stranger: &Stranger) {
    let client = stranger.admin("dr1").await;
    let (roles, bindings) = (Api::<ClusterRole>::all(client.clone()), Api::<ClusterRoleBinding>::all(client));
    let looks = json!({
        "metadata": { "name": "looks" },
        "rules": [{
            "apiGroups": ["*"],
            "resources": ["namespaces", "nodes", "pods", "customresourcedefinitions", "storageclasses", "clusterroles"],
            "verbs": ["get", "list", "watch"],
        }],
    });
    let bound = json!({
        "metadata": { "name": "looks" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looks" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "looks" }],
    });
    create(roles.clone(), looks).await;
    create(bindings.clone(), bound).await;
    stranger.real.write_kubeconfig("dr1", &Identity::user("looks"), &stranger.path("looks.kubeconfig")).unwrap();
    let as_them = [("kubeconfig: dr1.kubeconfig", "kubeconfig: looks.kubeconfig")];
    let changes: Vec<_> = installed().into_iter().chain(as_them).collect();
    refused(stranger, &changes, &["dr1", "may not", "get pods/log", "cluster administrator"]).await;
    bindings.delete("looks", &DeleteParams::default()).await.unwrap();
    roles.delete("looks", &DeleteParams::default()).await.unwrap();
}
