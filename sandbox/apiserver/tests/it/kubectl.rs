//! kubectl against the server on HTTP.

use crate::common::widget_crd;
use kaedama_apiserver::{ApiServer, kubeconfig};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

/// A server on HTTP, and kubectl with a kubeconfig for it.
struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// Nothing, loudly, when there is no kubectl on this machine.
    async fn start(name: &str) -> Option<Self> {
        let found = Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !found.is_ok_and(|s| s.success()) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "kubectl is needed on CI");
            eprintln!("SKIPPED: no kubectl on PATH, {name} was not run");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = ApiServer::builder(name).build();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        let folder = std::env::temp_dir().join(format!("kaedama-kubectl-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config"), kubeconfig(name, &url)).unwrap();
        Some(Self { folder })
    }

    /// Runs kubectl; its code, stdout and stderr.
    async fn run(&self, args: &[&str], input: &str) -> (i32, String, String) {
        let mut child = Command::new("kubectl")
            .args(args)
            .env("KUBECONFIG", self.folder.join("config"))
            .env("HOME", &self.folder)
            .env("EDITOR", "sed -i s/x1/x2/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Runs kubectl, which has to succeed; its stdout.
    async fn ok(&self, args: &[&str], input: &str) -> String {
        let (code, out, err) = self.run(args, input).await;
        assert_eq!(code, 0, "kubectl {args:?}: {out}{err}");
        out
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: x1}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: {matchLabels: {app: d}}\n  template:\n    metadata: {labels: {app: d}}\n    spec: {containers: [{name: c, image: one}]}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_diff_edit_patch_and_delete() {
    let Some(c) = Cluster::start("verbs").await else { return };
    assert_eq!(c.ok(&["apply", "-f", "-"], CONFIG).await, "configmap/c created\n");
    assert_eq!(c.ok(&["apply", "-f", "-"], CONFIG).await, "configmap/c unchanged\n");
    let changed = CONFIG.replace("x1", "x3");
    let (code, diff, _) = c.run(&["diff", "-f", "-"], &changed).await;
    assert!(code == 1 && diff.contains("-  a: x1") && diff.contains("+  a: x3"), "{diff}");
    assert_eq!(c.ok(&["edit", "cm", "c"], "").await, "configmap/c edited\n");
    assert_eq!(c.ok(&["get", "cm", "c", "-o", "jsonpath={.data.a}"], "").await, "x2");
    c.ok(&["patch", "cm", "c", "-p", r#"{"data":{"z":"y"}}"#], "").await;
    c.ok(&["patch", "cm", "c", "--type=json", "-p", r#"[{"op":"remove","path":"/data/a"}]"#], "").await;
    assert_eq!(c.ok(&["get", "cm", "c", "-o", "jsonpath={.data}"], "").await, r#"{"z":"y"}"#);
    c.ok(&["label", "cm", "c", "k=v"], "").await;
    assert!(c.ok(&["get", "cm", "-l", "k=v", "--no-headers"], "").await.starts_with("c "));
    assert_eq!(c.ok(&["delete", "cm", "c"], "").await, "configmap \"c\" deleted\n");
    let (code, _, err) = c.run(&["get", "cm", "c"], "").await;
    assert!(code == 1 && err.contains("Error from server (NotFound): configmaps \"c\" not found"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_apply_conflicts_and_forces() {
    let Some(c) = Cluster::start("ssa").await else { return };
    c.ok(&["apply", "--server-side", "-f", "-"], CONFIG).await;
    let changed = CONFIG.replace("x1", "x3");
    let (code, _, err) = c.run(&["apply", "--server-side", "--field-manager=other", "-f", "-"], &changed).await;
    assert!(code == 1 && err.contains("conflict with \"kubectl\": .data.a"), "{err}");
    c.ok(&["apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-"], &changed).await;
    assert_eq!(c.ok(&["get", "cm", "c", "-o", "jsonpath={.data.a}"], "").await, "x3");
    c.ok(&["apply", "-f", "-"], DEPLOYMENT).await;
    c.ok(&["apply", "--server-side", "--force-conflicts", "-f", "-"], DEPLOYMENT).await;
    c.ok(
        &[
            "patch",
            "deploy",
            "d",
            "-p",
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"two"}]}}}}"#,
        ],
        "",
    )
    .await;
    assert_eq!(
        c.ok(&["get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[*].image}"], "").await,
        "two",
        "merged by name"
    );
    c.ok(&["scale", "deploy", "d", "--replicas=3"], "").await;
    assert_eq!(
        c.ok(&["get", "deploy", "d", "-o", "jsonpath={.spec.replicas}/{.metadata.generation}"], "").await,
        "3/3"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_wait_explain_describe_and_get() {
    let Some(c) = Cluster::start("crd").await else { return };
    c.ok(&["apply", "-f", "-"], &widget_crd().to_string()).await;
    c.ok(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10s"], "").await;
    c.ok(&["apply", "-f", "-"], "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 2}\n")
        .await;
    let table = c.ok(&["get", "wd"], "").await;
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["NAME", "COLOR", "w", "red"]);
    assert!(c.ok(&["get", "all"], "").await.contains("widget.example.com/w"));
    assert!(c.ok(&["explain", "widget.spec.size"], "").await.contains("FIELD: size <integer>"));
    assert!(c.ok(&["explain", "pod.spec.containers"], "").await.contains("List of containers belonging to the pod."));
    assert!(c.ok(&["describe", "wd", "w"], "").await.contains("Size:   2"));
    let (code, _, err) = c
        .run(
            &["apply", "-f", "-"],
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: v}\nspec: {size: 2, siz: 3}\n",
        )
        .await;
    assert!(code == 1 && err.contains("unknown field \"spec.siz\""), "{err}");
    let (code, _, err) = c
        .run(&["apply", "-f", "-"], "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: v}\nspec: {size: 0}\n")
        .await;
    assert!(code == 1 && err.contains("spec.size: Invalid value: 0"), "{err}");
    c.ok(&["patch", "wd", "w", "--subresource=status", "--type=merge", "-p", r#"{"status":{"phase":"Ready"}}"#], "")
        .await;
    c.ok(&["wait", "wd/w", "--for=jsonpath={.status.phase}=Ready", "--timeout=10s"], "").await;
    c.ok(&["delete", "crd", "widgets.example.com"], "").await;
    assert_eq!(c.run(&["get", "wd"], "").await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_come_and_go() {
    let Some(c) = Cluster::start("ns").await else { return };
    c.ok(&["create", "ns", "x"], "").await;
    c.ok(&["create", "cm", "-n", "x", "literal", "--from-literal=a=b"], "").await;
    c.ok(&["create", "secret", "generic", "-n", "x", "s", "--from-literal=a=b"], "").await;
    assert_eq!(c.ok(&["get", "secret", "-n", "x", "s", "-o", "jsonpath={.data.a}"], "").await, "Yg==");
    assert_eq!(c.ok(&["auth", "can-i", "create", "pods"], "").await, "yes\n");
    c.ok(&["apply", "-n", "x", "-f", "-"], CONFIG).await;
    c.ok(&["delete", "ns", "x", "--timeout=20s"], "").await;
    assert_eq!(c.run(&["get", "ns", "x"], "").await.0, 1);
    assert!(c.ok(&["api-resources"], "").await.contains("persistentvolumeclaims"));
}
