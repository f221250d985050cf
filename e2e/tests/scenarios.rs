//! The scenarios of disasters, in the sandbox and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "scenarios/mod.rs"]
mod scenarios;

scenarios::every!(kaedama_e2e::embedded_tests);

/// What the scenarios hold against a failover: a storage that has stopped shipping does not get through.
#[tokio::test(start_paused = true)]
async fn a_failover_onto_a_replica_that_got_nothing_more_loses_more_than_it_may() -> anyhow::Result<()> {
    use kaedama_e2e::bytes::audit_at_home;
    use kaedama_e2e::start::{AT_STAKE, app, deployed, dr1, dr2, lost_before, most_lost, pass, regional, writes};
    use kaedama_shared::api::{DRAction, DRState};

    for ships in [true, false] {
        let world = regional().await?;
        let app = deployed(&world, app("web", dr1())).await?;
        world.set_replication_link(dr1(), dr2(), ships);
        pass(AT_STAKE).await;
        let ordered = audit_at_home(&world, &app)?;
        world.order(&app, DRAction::Failover, dr2()).await?;
        world.placed(&app, DRState::FailedOver).await?;
        writes(&world, &app, dr2(), 0).await;
        let after = audit_at_home(&world, &app)?;
        let lost = lost_before(&ordered, &after);
        assert_eq!(lost <= most_lost(&world), ships, "{lost} s: {after:#?}");
    }
    Ok(())
}
