//! The admin's own tool against the embedded world: real kubectl, over HTTP, in real time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kaedama_apiserver::kubeconfig;
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{Options, Replication, World};
use kaedama_shared::api::DRState;
use kaedama_shared::clock::Clock;
use tokio::net::TcpListener;

/// Runs kubectl; it has to succeed. Returns what it printed.
async fn kubectl(config: &Path, arguments: &[&str], stdin: &str, editor: Option<&Path>) -> String {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(config).args(arguments);
    if let Some(editor) = editor {
        command.env("KUBE_EDITOR", editor);
    }
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let stdin = stdin.to_owned();
    let output: Output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "kubectl {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn is_missing() -> bool {
    let missing = Command::new("kubectl").args(["version", "--client"]).output().is_err();
    if missing {
        assert!(std::env::var("CI").is_err(), "there is no kubectl, and CI has to have one");
        eprintln!("SKIPPED: there is no kubectl on this machine");
    }
    missing
}

async fn served(world: &World, directory: &Path) -> PathBuf {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = world.hub_server().clone();
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    let path = directory.join("hub");
    std::fs::write(&path, kubeconfig("hub", &url)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_moves_an_application_with_kubectl_alone() {
    if is_missing() {
        return;
    }
    let mut options = Options::regional(Clock::system());
    options.replication = Replication::Regional { interval: "1m".to_owned(), every: Duration::from_secs(1) };
    let world = World::start(options).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let hub = served(&world, directory.path()).await;
    let app = App::new("web", "dr1");
    world.protect(&app).await.unwrap();
    world.completed(&app, DRState::Deployed).await.unwrap();
    world.protected(&app).await.unwrap();

    let wide = kubectl(&hub, &["get", "drpc", "-A", "-o", "wide"], "", None).await;
    for column in
        ["PREFERREDCLUSTER", "DESIREDSTATE", "CURRENTSTATE", "PROGRESSION", "PEER READY", "Deployed", "Completed"]
    {
        assert!(wide.contains(column), "{column} is not in\n{wide}");
    }
    let explained = kubectl(&hub, &["explain", "drpc.spec.action"], "", None).await;
    assert!(explained.contains("Failover") && explained.contains("Relocate"), "{explained}");

    // kubectl edit, with an editor that is a script.
    let editor = directory.path().join("editor.sh");
    std::fs::write(
        &editor,
        "#!/bin/sh\nsed -i 's/^spec:$/spec:\\n  action: Failover\\n  failoverCluster: dr2/' \"$1\"\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    kubectl(&hub, &["edit", "drpc", "web", "-n", "web"], "", Some(&editor)).await;
    world.completed(&app, DRState::FailedOver).await.unwrap();
    assert_eq!(world.ledger().location(&app.id()).unwrap().cluster, "dr2");

    // A tired admin's typo changes nothing and says what is allowed.
    let refused = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(&hub)
        .args(["patch", "drpc", "web", "-n", "web", "--type", "merge", "-p", r#"{"spec":{"action":"failover"}}"#])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("spec.action") && said.contains("Failover") && said.contains("Relocate"), "{said}");

    let patch = r#"{"spec":{"action":"Relocate","preferredCluster":"dr1"}}"#;
    kubectl(&hub, &["patch", "drpc", "web", "-n", "web", "--type", "merge", "-p", patch], "", None).await;
    world.completed(&app, DRState::Relocated).await.unwrap();
    kubectl(&hub, &["wait", "drpc/web", "-n", "web", "--for=condition=PeerReady", "--timeout=30s"], "", None).await;
    assert_eq!(world.ledger().location(&app.id()).unwrap().cluster, "dr1");

    let described = kubectl(&hub, &["describe", "drpc", "web", "-n", "web"], "", None).await;
    assert!(described.contains("DRPCRelocationSuccess"), "no event in\n{described}");

    // Round trip through the client's own apply.
    let yaml = kubectl(&hub, &["get", "drpolicy", "dr-policy", "-o", "yaml"], "", None).await;
    assert!(yaml.contains("schedulingInterval: 1m"), "{yaml}");
    let drpc = serde_yaml::to_string(&App::new("second", "dr2").drpc("dr-policy")).unwrap();
    kubectl(&hub, &["create", "namespace", "second"], "", None).await;
    kubectl(&hub, &["apply", "-f", "-"], &drpc, None).await;
    let again = kubectl(&hub, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &drpc, None).await;
    assert!(again.contains("serverside-applied"), "{again}");
    kubectl(&hub, &["diff", "-f", "-"], &drpc, None).await;
    kubectl(&hub, &["delete", "drpc", "second", "-n", "second"], "", None).await;

    kubectl(&hub, &["delete", "drpc", "web", "-n", "web"], "", None).await;
    world.until_gone(world.drpcs("web"), "web").await.unwrap();
    assert!(world.audit(&app).unwrap().acknowledged > 0);
}
