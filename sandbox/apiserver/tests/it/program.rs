//! The server as a program: how it starts, what it says when it cannot, how it ends.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, ListParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

use crate::common::named;

/// A folder of this test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kaedama-program-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn program(kubeconfig: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaedama-apiserver"));
    command.arg("serve").arg("--kubeconfig").arg(kubeconfig).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Waits for the kubeconfig, as a script would, and connects with it.
async fn connect(file: &Path) -> Client {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(file).unwrap(), &options).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Sends a signal and waits for the end.
async fn end(child: Child, signal: &str) -> Output {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_end_and_takes_its_kubeconfig_with_it() {
    for signal in ["-TERM", "-INT"] {
        let folder = Folder::new(&format!("serve{signal}"));
        let child = program(&folder.file(), &[]).spawn().unwrap();
        let client = connect(&folder.file()).await;
        let made = ConfigMap { metadata: named("a"), ..ConfigMap::default() };
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        maps.create(&PostParams::default(), &made).await.unwrap();
        // A watch that is open does not keep it from ending.
        let watch = maps.watch(&WatchParams::default(), "0").await.unwrap();
        let output = end(child, signal).await;
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("serving http://127.0.0.1:"));
        assert!(!folder.file().exists());
        drop(watch);
    }
}

#[tokio::test]
async fn it_does_what_the_controller_manager_does() {
    let folder = Folder::new("controllers");
    let child = program(&folder.file(), &[]).spawn().unwrap();
    let client = connect(&folder.file()).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = Namespace { metadata: named("n"), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &made).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "n");
    while accounts.get_opt("default").await.unwrap().is_none() {}
    let maps: Api<ConfigMap> = Api::namespaced(client, "n");
    while maps.get_opt("kube-root-ca.crt").await.unwrap().is_none() {}
    namespaces.delete("n", &kube::api::DeleteParams::default()).await.unwrap();
    while namespaces.get_opt("n").await.unwrap().is_some() {}
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(end(child, "-TERM").await.status.success());
}

#[tokio::test]
async fn one_line_says_what_is_wrong_and_what_to_do() {
    let folder = Folder::new("faults");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = program(&folder.file(), &["--port", &port]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "kaedama-apiserver: port {port} of 127.0.0.1 is taken: choose another with --port, or leave --port out for one that is free\n"
        )
    );
    assert!(!folder.file().exists());

    let nowhere = folder.0.join("none").join("kubeconfig");
    let output = program(&nowhere, &[]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("kaedama-apiserver: cannot write the kubeconfig {} (", nowhere.display()))
            && said.ends_with("name a file in a folder that you may write to with --kubeconfig\n")
            && said.lines().count() == 1,
        "{said}"
    );
}

#[tokio::test]
async fn a_kubeconfig_of_somebody_else_is_left_alone() {
    let folder = Folder::new("other");
    let child = program(&folder.file(), &[]).spawn().unwrap();
    drop(connect(&folder.file()).await);
    std::fs::write(folder.file(), "of another server").unwrap();
    assert!(end(child, "-TERM").await.status.success());
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), "of another server");
}
