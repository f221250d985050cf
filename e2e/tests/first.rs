//! The thinnest thread through all of it.

use kaedama_sandbox::world::{Options, World, app::App};
use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::clock::Clock;

#[tokio::test(start_paused = true)]
async fn one_claim_fails_over_and_comes_back() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().init();
    let clock = Clock::starting_at("2026-03-01T03:00:00Z".parse().unwrap());
    let mut world = World::start(Options::regional(clock)).await.unwrap();
    eprintln!("world up at {}", clock.now());
    let app = App::new("web", "dr1").claims(3);
    world.protect(&app).await.unwrap();
    world.completed(&app, DRState::Deployed).await.unwrap();
    eprintln!("deployed at {}", clock.now());
    world.protected(&app).await.unwrap();
    eprintln!("protected at {}", clock.now());
    tokio::time::sleep(std::time::Duration::from_secs(100)).await;
    world.kill("dr1").unwrap();
    let killed = clock.now();
    world.order(&app, DRAction::Failover, "dr2").await.unwrap();
    world.placed(&app, DRState::FailedOver).await.unwrap();
    eprintln!("failed over in {}", clock.now().duration_since(killed));
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    eprintln!("{:#?}", world.audit(&app));
    world.revive("dr1").unwrap();
    world.completed(&app, DRState::FailedOver).await.unwrap();
    eprintln!("cleaned up at {}", clock.now());
    world.order(&app, DRAction::Relocate, "dr1").await.unwrap();
    world.completed(&app, DRState::Relocated).await.unwrap();
    eprintln!("failed back at {}", clock.now());
    eprintln!("{:#?}", world.audit(&app));
}
