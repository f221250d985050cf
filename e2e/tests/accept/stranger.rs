//! Somebody else's clusters: real ones, with what a cluster of everyday use runs beside what a test needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume};
use kaedama_e2e::accept::check::reach;
use kaedama_e2e::accept::file::Description;
use kaedama_e2e::accept::find::kinds;
use kaedama_e2e::accept::mark::{LABEL, PREFIX};
use kaedama_e2e::real::{Identity, Options, Real};
use kaedama_e2e::suite::programs;
use kaedama_shared::api::DRPlacementControl;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// Controllers of a cluster of everyday use that could be in the way of the sandbox's applications.
const EVERYDAY: [&str; 4] = [
    "deployment-controller",
    "replicaset-controller",
    "pod-garbage-collector-controller",
    "persistentvolume-attach-detach-controller",
];

/// Options for a world; none, loudly, where the programs are missing.
pub fn options() -> Option<Options> {
    let mut options = Options::new(env!("CARGO_BIN_EXE_real")).unwrap();
    options.controllers.extend(EVERYDAY.map(str::to_owned));
    options.programs.there_or_skipped(&options.needed()).then_some(options)
}

/// Clusters, and a folder with kubeconfigs and the file that describes them.
pub struct Stranger {
    pub real: Real,
    folder: tempfile::TempDir,
}

/// Names of all objects of a cluster, and of all keys of a store.
pub type Inventory = BTreeMap<String, BTreeSet<String>>;

impl Stranger {
    /// Brings the clusters up, and describes them; `ocm` is whose Open Cluster Management is used.
    pub async fn start(options: Options, ocm: &str) -> Self {
        let operators = programs::operators().unwrap();
        let real = Real::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let stranger = Self { real, folder: tempfile::tempdir().unwrap() };
        for cluster in stranger.real.names() {
            let path = stranger.path(&format!("{cluster}.kubeconfig"));
            stranger.real.write_kubeconfig(&cluster, &Identity::admin(), &path).unwrap();
        }
        for cluster in stranger.real.managed() {
            let keys = &stranger.real.s3(&cluster).unwrap().credentials;
            let text =
                format!("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n", keys.access_key_id, keys.secret_access_key);
            std::fs::write(stranger.path(&format!("{cluster}.keys")), text).unwrap();
        }
        let programs = operators.hub.parent().unwrap().display().to_string();
        stranger.describe("accept.yaml", &[("ocm: installed", &format!("ocm: {ocm}")), ("PROGRAMS", &programs)]);
        stranger
    }

    /// A path of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file under another name, with these replacements: each has to fit.
    pub fn describe(&self, name: &str, changes: &[(&str, &str)]) {
        let store = |cluster: &str| self.real.s3(cluster).unwrap();
        let cluster = |name: &str| {
            format!(
                "- name: {name}\n  kubeconfig: {name}.kubeconfig\n  store:\n    endpoint: {}\n    region: {}\n    \
                 bucket: {}\n    keys:\n      file: {name}.keys\n",
                store(name).endpoint,
                store(name).region,
                store(name).bucket
            )
        };
        let own = std::fs::read_to_string(self.path("accept.yaml")).unwrap_or_else(|_| {
            format!(
                "hub:\n  kubeconfig: hub.kubeconfig\nclusters:\n{}{}ocm: installed\nstorage: sandbox\napplications: \
                 sandbox\noperators: start\nprograms: PROGRAMS\n",
                cluster("dr1"),
                cluster("dr2")
            )
        });
        let text = changes.iter().fold(own, |text, (from, to)| {
            assert!(text.contains(from), "there is no {from} in {text}");
            text.replace(from, to)
        });
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs the command to its end.
    pub async fn accept(&self, arguments: &[&str]) -> Ended {
        self.accept_file("accept.yaml", arguments).await
    }

    /// The same with another file.
    pub async fn accept_file(&self, file: &str, arguments: &[&str]) -> Ended {
        self.begin_file(file, arguments).end().await
    }

    pub fn begin(&self, arguments: &[&str]) -> Running {
        self.begin_file("accept.yaml", arguments)
    }

    fn begin_file(&self, file: &str, arguments: &[&str]) -> Running {
        let file = self.path(file);
        let mut all = vec!["--file", file.to_str().unwrap()];
        all.extend(arguments);
        self.program(env!("CARGO_BIN_EXE_accept"), &all)
    }

    /// A program of ours, in the folder of the file.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Running { child: command.spawn().unwrap() }
    }

    /// All objects of all clusters and all keys of all stores, by name. Without events, which come and go.
    pub async fn inventory(&self) -> Inventory {
        let description = Description::read(&self.path("accept.yaml")).unwrap();
        let (sites, stores) = reach(&description).await.unwrap();
        let mut all = Inventory::new();
        for site in &sites.all {
            let found = all.entry(site.name.clone()).or_default();
            for (resource, _) in kinds(site).await.unwrap() {
                if resource.kind == "Event" {
                    continue;
                }
                let api: Api<DynamicObject> = Api::all_with(site.client.clone(), &resource);
                let mut listed = api.list_metadata(&ListParams::default()).await;
                for _ in 0..40 {
                    // A kind whose definition has just changed is not served for a moment.
                    if listed.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    listed = api.list_metadata(&ListParams::default()).await;
                }
                for object in listed.unwrap() {
                    let namespace = object.namespace().unwrap_or_default();
                    found.insert(format!("{}.{} {namespace}/{}", resource.plural, resource.group, object.name_any()));
                }
            }
        }
        for store in stores {
            all.insert(format!("bucket {}", store.bucket()), store.list("").await.unwrap().into_iter().collect());
        }
        assert!(all["hub"].iter().any(|name| name == "namespaces. /kube-system"), "{all:#?}");
        all
    }

    /// A client that may do everything on a cluster.
    pub async fn admin(&self, cluster: &str) -> Client {
        self.real.client(cluster, &Identity::admin(), "test").await.unwrap()
    }

    /// Puts things there that a run could mistake for its own.
    pub async fn move_in(&self) {
        let client = self.admin("dr1").await;
        for name in ["prod-shop", "kaedama-accept-ci-runner"] {
            create::<Namespace>(Api::all(client.clone()), json!({"metadata": {"name": name}})).await;
            let map = json!({"metadata": {"name": "theirs"}, "data": {"a": "b"}});
            create::<ConfigMap>(Api::namespaced(client.clone(), name), map).await;
        }
        let labelled = json!({"metadata": {"name": "labelled", "labels": {LABEL: "prod"}}});
        create::<ConfigMap>(Api::namespaced(client.clone(), "default"), labelled).await;
        // Its claim is gone; its provisioner has yet to delete it.
        let volume = json!({
            "metadata": {"name": "local", "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
                "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/nowhere"},
                "claimRef": {"namespace": "prod-shop", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"},
            },
        });
        create::<PersistentVolume>(Api::all(client.clone()), volume).await;
        for _ in 0..600 {
            if self.phase_of_their_volume().await == "Released" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("their volume is {}", self.phase_of_their_volume().await);
    }

    /// The phase of the volume that waits for its provisioner.
    pub async fn phase_of_their_volume(&self) -> String {
        let volume = Api::<PersistentVolume>::all(self.admin("dr1").await).get("local").await.unwrap();
        volume.status.and_then(|status| status.phase).unwrap_or_default()
    }

    /// The clusters and stores hold what they held before.
    pub async fn assert_as(&self, before: &Inventory, run: &Ended) {
        let now = self.inventory().await;
        for (place, was) in before {
            let new: Vec<_> = now[place].difference(was).collect();
            let gone: Vec<_> = was.difference(&now[place]).collect();
            assert!(new.is_empty() && gone.is_empty(), "{place}: new {new:#?}, gone {gone:#?}; {run}");
        }
        assert!(now.keys().eq(before.keys()));
    }

    /// Waits until an application of a run is in the middle of a relocate.
    pub async fn until_it_moves(&self) {
        let hub = self.real.client("hub", &Identity::admin(), "test").await.unwrap();
        for _ in 0..1200 {
            let all = Api::<DRPlacementControl>::all(hub.clone()).list(&ListParams::default()).await;
            let moves = |drpc: &DRPlacementControl| {
                let phase = drpc.status.as_ref().map(|status| status.phase.to_string()).unwrap_or_default();
                drpc.namespace().unwrap_or_default().starts_with(PREFIX) && phase == "Relocating"
            };
            if all.is_ok_and(|all| all.iter().any(moves)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no application of a run is relocated");
    }
}

pub async fn create<K>(api: Api<K>, object: Value)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Waits until it is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not come to be that {what}");
}

/// The command while it runs.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().expect("it runs")).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    pub async fn end(mut self) -> Ended {
        let (mut out, mut errors) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (status, ..) =
            tokio::join!(self.child.wait(), out.read_to_string(&mut stdout), errors.read_to_string(&mut stderr));
        Ended { code: status.unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}

/// What the command came to.
#[derive(Debug, Default)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Its report.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "it ended with {}:\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}
