//! The command `accept` as its users run it, on real clusters that are somebody else's to it: what it says, and that the
//! clusters are afterwards as they were.
//!
//! Skipped, loudly, where the programs are not there; with `CI=true` that is a failure. See `docs/testing.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "accept/container.rs"]
mod container;
#[path = "accept/installed.rs"]
mod installed;
#[path = "accept/kubelet.rs"]
mod kubelet;
#[path = "accept/node.rs"]
mod node;
#[path = "accept/pods.rs"]
mod pods;
#[path = "accept/refusals.rs"]
mod refusals;
#[path = "accept/storage.rs"]
mod storage;
#[path = "accept/stranger.rs"]
mod stranger;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kaedama_e2e::accept::mark::LABEL;
use kaedama_e2e::real::Options;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use stranger::{Ended, Stranger, create};

const RELOCATE: &str = "relocate::a_relocate_while_writing";
const FAILOVER: &str = "moves::a_failover_from_a_cluster_that_lives";
const TEN: &str = "relocate::ten_relocates";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_of_somebody_else_are_accepted_and_left_as_they_were() {
    let Some(options) = stranger::options() else { return };
    let stranger = Stranger::start(options, "installed").await;
    stranger.move_in().await;
    refusals::all(&stranger).await;
    let before = stranger.inventory().await;

    let run = stranger.accept(&["run", "--yes", "--at-once", "8", "--output", "json"]).await;
    assert_eq!(run.code, 0, "{run}");
    let report = run.report();
    assert_eq!((&report["verdict"], &report["leftBehind"]), (&"accepted".into(), &serde_json::json!([])), "{run}");
    let told = report["scenarios"].as_array().unwrap();
    assert!(told.len() > 20, "{run}");
    assert!(told.iter().all(|told| told["outcome"] == "passed" && told["seconds"].as_f64() > Some(1.0)), "{run}");
    eprintln!("{} scenarios in {} s", told.len(), report["seconds"]);
    let relocate = told.iter().find(|told| told["name"].as_str().unwrap().contains(RELOCATE)).unwrap();
    assert_eq!(relocate["recordsLost"], 0, "{run}");
    assert!(relocate["recordsWritten"].as_u64() > Some(200), "{run}");
    stranger.assert_as(&before, &run).await;

    interrupted(&stranger).await;
    let after_interruption = Ended::default();
    stranger.assert_as(&before, &after_interruption).await;

    killed(&stranger).await;
    stranger.assert_as(&before, &after_interruption).await;
    assert_eq!(stranger.phase_of_their_volume().await, "Released", "it is left to its provisioner");
}

/// Ended by Ctrl-C in the middle of a relocate.
async fn interrupted(stranger: &Stranger) {
    let running = stranger.begin(&["run", TEN, "--yes", "--output", "json"]);
    stranger.until_it_moves().await;
    running.signal(rustix::process::Signal::INT);
    let run = running.end().await;
    assert_eq!(run.code, 130, "{run}");
    let report = run.report();
    assert_eq!(report["verdict"], "interrupted", "{run}");
    assert_eq!(report["scenarios"][0]["outcome"], "interrupted", "{run}");
    assert_eq!(report["leftBehind"], serde_json::json!([]), "{run}");
}

/// Killed, without a chance to clean up; the next run is refused until that is done.
async fn killed(stranger: &Stranger) {
    let running = stranger.begin(&["run", TEN, "--yes"]);
    stranger.until_it_moves().await;
    running.signal(rustix::process::Signal::KILL);
    running.end().await;
    let refused = stranger.accept(&["run", TEN, "--yes"]).await;
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("accept clean"), "{refused}");
    let unasked = stranger.accept(&["clean"]).await;
    assert!(unasked.code == 2 && unasked.stderr.contains("--yes"), "{unasked}");
    somebody_installs_there(stranger).await;
    let cleaned = stranger.accept(&["clean", "--yes"]).await;
    assert_eq!(cleaned.code, 0, "{cleaned}");
    assert!(cleaned.stdout.contains("removed what 1 runs had left"), "{cleaned}");
    let again = stranger.accept(&["clean", "--yes"]).await;
    assert!(again.code == 0 && again.stdout.contains("nothing was left"), "{again}");
}

/// Programs in a namespace that a run made are not removed with it.
async fn somebody_installs_there(stranger: &Stranger) {
    let client = stranger.admin("hub").await;
    let deployments = Api::<Deployment>::namespaced(client.clone(), "ramen-system");
    let theirs = json!({
        "metadata": {"name": "theirs"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "theirs"}},
            "template": {
                "metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    create(deployments.clone(), theirs).await;
    let held_up = stranger.accept(&["clean", "--yes"]).await;
    assert_eq!(held_up.code, 2, "{held_up}");
    assert!(held_up.stderr.contains("Deployment ramen-system/theirs"), "{held_up}");
    assert!(deployments.get_opt("theirs").await.unwrap().is_some(), "{held_up}");
    let roles = Api::<ClusterRole>::all(client).list(&ListParams::default().labels(LABEL)).await.unwrap();
    assert!(!roles.items.is_empty(), "the roles are there that they may use by now: {held_up}");
    deployments.delete("theirs", &DeleteParams::foreground()).await.unwrap();
    while deployments.get_opt("theirs").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Where there is no Open Cluster Management, the sandbox's is there for the time of the run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_clusters_are_accepted_with_the_sandboxs_cluster_management() {
    let Some(options) = stranger::options() else { return };
    let stranger = Stranger::start(Options { ocm: false, registration: false, ..options }, "sandbox").await;
    let before = stranger.inventory().await;
    let run = stranger.accept(&["run", FAILOVER, "--yes", "--output", "json"]).await;
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(run.report()["verdict"], "accepted", "{run}");
    stranger.assert_as(&before, &run).await;

    // The benchmark takes the same file, and leaves as little.
    let file = stranger.path("accept.yaml");
    let file = file.to_str().unwrap();
    let unasked = stranger.program(env!("CARGO_BIN_EXE_bench"), &["--world", file, "--apps", "1"]).end().await;
    assert!(unasked.code == 2 && unasked.stderr.contains("--yes"), "{unasked}");
    let few = ["--world", file, "--yes", "--apps", "1", "--claims", "1", "--rest", "0", "--output", "json"];
    let bench = stranger.program(env!("CARGO_BIN_EXE_bench"), &few).end().await;
    assert_eq!(bench.code, 0, "{bench}");
    let report = bench.report();
    let phases = report["worlds"][1]["sizes"][0]["phases"].as_array().unwrap();
    let failover = phases.iter().find(|phase| phase["name"] == "failover, source alive");
    assert!(failover.is_some() && report["ratios"]["steps"].as_array().is_some_and(|steps| steps.len() > 3), "{bench}");
    stranger.assert_as(&before, &bench).await;
}
