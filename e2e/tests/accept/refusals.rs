//! What is refused before anything is made: in one line, with what to do.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_e2e::real::Identity;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::stranger::Stranger;

/// A file with these changes is refused in these words, and nothing is made.
pub async fn refused(stranger: &Stranger, changes: &[(&str, &str)], words: &[&str]) {
    stranger.describe("wrong.yaml", changes);
    let run = stranger.accept_file("wrong.yaml", &["run", "--yes"]).await;
    assert_eq!(run.code, 2, "{changes:?}: {run}");
    let said: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("accept: ")).collect();
    let fits = |line: &&&str| words.iter().all(|word| line.contains(word));
    assert!(said.iter().any(|line| fits(&line)), "{changes:?} is not refused with {words:?}: {run}");
    assert!(!run.stderr.contains("panicked") && !run.stderr.contains("run kaedama-accept-"), "{run}");
}

pub async fn all(stranger: &Stranger) {
    let before = stranger.inventory().await;
    let bucket = "bucket: kaedama-dr2";
    refused(stranger, &[("bucket:", "bukcet:")], &["unknown field `bukcet`", "line"]).await;
    refused(stranger, &[("dr2.kubeconfig", "dr9.kubeconfig")], &["dr2", "there is no kubeconfig", "dr9.kubeconfig"])
        .await;
    let context = ("  kubeconfig: hub.kubeconfig", "  kubeconfig: hub.kubeconfig\n  context: elsewhere");
    refused(stranger, &[context], &["hub", "no context \"elsewhere\"", "it has hub"]).await;
    refused(stranger, &[("file: dr2.keys", "file: dr9.keys")], &["cannot read the keys of dr2"]).await;
    refused(stranger, &[("file: dr2.keys", "file: dr1.keys")], &["store of dr2", "bucket kaedama-dr2"]).await;
    refused(stranger, &[(bucket, "bucket: elsewhere")], &["store of dr2", "bucket elsewhere"]).await;
    let endpoint = stranger.real.s3("dr2").unwrap().endpoint.clone();
    refused(stranger, &[(&endpoint, "http://127.0.0.1:1")], &["store of dr2", "http://127.0.0.1:1"]).await;
    refused(
        stranger,
        &[("  kubeconfig: dr2.kubeconfig", "  kubeconfig: dr1.kubeconfig")],
        &["dr1 and dr2 are the same"],
    )
    .await;
    refused(stranger, &[("name: dr2", "name: west")], &["hub", "no ManagedCluster west", "dr1, dr2"]).await;
    refused(stranger, &[("ocm: installed", "ocm: sandbox")], &["hub", "Open Cluster Management is installed"]).await;
    let swapped = [
        ("hub.kubeconfig", "x"),
        ("dr1.kubeconfig", "hub.kubeconfig"),
        ("kubeconfig: x", "kubeconfig: dr1.kubeconfig"),
    ];
    refused(stranger, &swapped, &["hub", "there is no Open Cluster Management", "ocm: sandbox"]).await;
    let none = stranger.path("").display().to_string();
    stranger.describe("wrong.yaml", &[]);
    let text = std::fs::read_to_string(stranger.path("wrong.yaml")).unwrap();
    let programs = text.lines().find(|line| line.starts_with("programs:")).unwrap();
    refused(stranger, &[(programs, &format!("programs: {none}"))], &["there is no", "kaedama-hub", "programs"]).await;
    refused(
        stranger,
        &[("operators: start", "operators: installed\npolicy: gold")],
        &["hub", "there is no Deployment ramen-system/ramen-hub-operator"],
    )
    .await;

    let unknown = stranger.accept(&["run", "no-such-scenario", "--yes"]).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("accept list"), "{unknown}");
    let kills = stranger.accept(&["run", "a_dead_cluster", "--yes"]).await;
    assert!(kills.code == 2 && kills.stderr.contains("it kills a cluster"), "{kills}");
    let unasked = stranger.accept(&["run"]).await;
    assert!(unasked.code == 2 && unasked.stderr.contains("--yes"), "{unasked}");
    let well = stranger.accept(&["check"]).await;
    assert_eq!(well.code, 0, "{well}");
    stranger.assert_as(&before, &well).await;

    a_visitor(stranger).await;
    replicated(stranger).await;
}

/// Somebody who may look and do nothing.
async fn a_visitor(stranger: &Stranger) {
    let visitor = Identity::user("visitor");
    let client = stranger.real.client("dr1", &Identity::admin(), "test").await.unwrap();
    let looks = json!({
        "metadata": { "name": "visitor" },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }],
    });
    let bound = json!({
        "metadata": { "name": "visitor" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "visitor" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "visitor" }],
    });
    let roles = Api::<ClusterRole>::all(client.clone());
    let bindings = Api::<ClusterRoleBinding>::all(client);
    roles.create(&PostParams::default(), &of(looks)).await.unwrap();
    bindings.create(&PostParams::default(), &of(bound)).await.unwrap();
    stranger.real.write_kubeconfig("dr1", &visitor, &stranger.path("visitor.kubeconfig")).unwrap();
    let as_visitor = [("kubeconfig: dr1.kubeconfig", "kubeconfig: visitor.kubeconfig")];
    refused(stranger, &as_visitor, &["dr1", "may not create namespaces", "cluster administrator"]).await;
    bindings.delete("visitor", &DeleteParams::default()).await.unwrap();
    roles.delete("visitor", &DeleteParams::default()).await.unwrap();
}

/// A cluster with a replication controller of its own.
async fn replicated(stranger: &Stranger) {
    let client = stranger.real.client("dr2", &Identity::admin(), "test").await.unwrap();
    let api = Api::<CustomResourceDefinition>::all(client);
    let all = kaedama_sandbox::storage::crds::all();
    let kind = "volumereplications.replication.storage.openshift.io";
    let definition = all.into_iter().find(|crd| crd.metadata.name.as_deref() == Some(kind)).unwrap();
    api.create(&PostParams::default(), &definition).await.unwrap();
    refused(stranger, &[], &["dr2", "storage: sandbox", kind]).await;
    api.delete(kind, &DeleteParams::default()).await.unwrap();
    for _ in 0..600 {
        if api.get_opt(kind).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{kind} does not go");
}

fn of<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}
