//! The real parts on loopback: they come up, do what they are there for, survive, and never outlive who started them.
//!
//! Skipped, loudly, where the programs are not there; with `CI=true` that is a failure. See `docs/testing.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "real/api.rs"]
mod api;
#[path = "../../shared/tests/docs/mod.rs"]
mod docs;
#[path = "real/end.rs"]
mod end;
#[path = "real/ocm.rs"]
mod ocm;
#[path = "../../shared/tests/crds_peers/mod.rs"]
mod peers;
#[path = "real/refused.rs"]
mod refused;
#[path = "real/schemas.rs"]
mod schemas;
#[path = "real/stores.rs"]
mod stores;

use std::time::Duration;

use kaedama_e2e::real::{Options, Part, Real};

/// Three clusters take 1.5 GiB: one world at a time.
static ONE_WORLD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The program that holds the others.
const KEEPER: &str = env!("CARGO_BIN_EXE_real");

/// Options for a world; none, loudly, where the programs are missing.
fn options() -> Option<Options> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let mut options = Options::new(KEEPER).unwrap();
    // A lost cluster is called so after five of these.
    options.lease_seconds = 1;
    options.programs.there_or_skipped(&options.needed()).then_some(options)
}

/// Waits until `look` gives something. What comes at all comes within seconds here; a machine under load is given more.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_of_real_parts_does_what_it_is_there_for() {
    let Some(options) = options() else { return };
    let _one = ONE_WORLD.lock().await;
    let world = Real::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    eprintln!("up: {:?}", world.times());
    let programs = world.programs_running().await;
    assert_eq!(programs, 14, "three clusters of three, two agents, one controller, two stores");

    api::every_cluster_takes_objects_and_collects_garbage(&world).await;
    api::certificates_name_their_users(&world).await;
    api::strangers_are_denied(&world).await;
    ocm::a_work_arrives_and_its_feedback_is_watched(&world).await;
    ocm::an_agent_has_no_more_rights_than_a_klusterlet_gives(&world).await;
    ocm::a_placement_is_decided(&world).await;
    stores::conditions_are_honoured(&world).await;

    each_program_can_be_restarted(&world).await;
    api::a_lost_cluster_is_called_unknown_and_comes_back_as_it_was(&world).await;

    let data = world.data().to_owned();
    drop(world);
    assert!(!data.exists(), "{} was left", data.display());
}

/// What the sandbox's API servers serve is enough for the real programs too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_agents_are_content_with_the_definitions_of_the_sandbox() {
    let Some(mut options) = options() else { return };
    let _one = ONE_WORLD.lock().await;
    options.definitions = kaedama_e2e::real::Definitions::Sandbox;
    options.s3 = false;
    let world = Real::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    ocm::a_work_arrives_and_its_feedback_is_watched(&world).await;
    ocm::a_placement_is_decided(&world).await;
}

async fn each_program_can_be_restarted(world: &Real) {
    let of_clusters = [Part::Etcd, Part::ApiServer, Part::ControllerManager, Part::WorkAgent, Part::S3];
    let all = of_clusters.map(|part| ("dr1", part)).into_iter().chain([("hub", Part::Placement)]);
    for (cluster, part) in all {
        let process = world.process(cluster, part).unwrap();
        let before = process.id().await.unwrap();
        process.kill().await;
        assert!(!process.is_running().await, "{} survived", process.name());
        process.start().await.unwrap();
        let ready = world.ready(cluster, part).await;
        ready.unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(process.id().await.unwrap(), before, "{} is another process now", process.name());
    }
    ocm::a_work_arrives_and_its_feedback_is_watched(world).await;
    stores::what_was_stored_is_still_there(world).await;
}

trait Running {
    async fn programs_running(&self) -> usize;
}

impl Running for Real {
    async fn programs_running(&self) -> usize {
        let mut running = 0;
        for process in self.processes() {
            running += usize::from(process.is_running().await);
        }
        running
    }
}
