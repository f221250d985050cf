//! Connections that are cut: an action waits, says for whom, and goes on when they are mended.

use kaedama_e2e::bytes::{audit_at_home, volumes};
use kaedama_e2e::objects::{decisions, message, site, stage};
use kaedama_e2e::start::{app, deployed, dr1, dr2, drpc, either, pass, regional, writes};
use kaedama_shared::api::{DRAction, DRState};

pub async fn a_relocate_waits_for_a_cluster_that_the_hub_cannot_reach() -> anyhow::Result<()> {
    // A world for each; real clusters are for one.
    for cut in either(vec![dr1(), dr2()], vec![dr1()]) {
        let world = regional().await?;
        let app = deployed(&world, app("web", dr1()).claims(2)).await?;
        world.set_link(cut, false)?;
        pass(60).await;
        world.order(&app, DRAction::Relocate, dr2()).await?;
        pass(30).await;
        let waits = drpc(&world, &app).await?;
        let said = message(&waits, "Available");
        assert!(said.contains(cut), "{cut} is cut off: {} {said}", stage(&waits));
        assert_eq!(decisions(&world, &app).await?, [dr1()]);
        let before = audit_at_home(&world, &app)?.acknowledged;
        writes(&world, &app, dr2(), before + 50).await;
        assert!(audit_at_home(&world, &app)?.acknowledged > before + 50, "the application stopped");

        world.set_link(cut, true)?;
        world.completed(&app, DRState::Relocated).await?;
        pass(5).await;
        let now = audit_at_home(&world, &app)?;
        assert!(now.is_clean() && now.cluster == dr2(), "{cut}: {now:#?}");
    }
    Ok(())
}

pub async fn a_link_that_breaks_in_the_middle_of_a_relocate_holds_it_up_and_nothing_else() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    world.order(&app, DRAction::Relocate, dr2()).await?;
    world.until_drpc(&app, "Relocating", |drpc| stage(drpc).starts_with("Relocating/")).await?;
    world.set_link(dr1(), false)?;
    pass(60).await;
    let waits = drpc(&world, &app).await?;
    assert!(stage(&waits).starts_with("Relocating/"), "{}", stage(&waits));
    assert!(message(&waits, "Available").contains(dr1()), "{}", message(&waits, "Available"));
    world.set_link(dr1(), true)?;
    world.completed(&app, DRState::Relocated).await?;
    pass(5).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == dr2(), "{now:#?}");
    Ok(())
}

pub async fn a_relocate_waits_for_data_that_cannot_get_across_and_loses_none() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(30).await;
    world.set_replication_link(dr1(), dr2(), false);
    world.order(&app, DRAction::Relocate, dr2()).await?;
    pass(90).await;
    let waits = drpc(&world, &app).await?;
    assert_eq!(stage(&waits), "Relocating/EnsuringVolumesAreSecondary", "{}", message(&waits, "Available"));
    assert!(message(&waits, "Available").contains(dr1()), "{}", message(&waits, "Available"));
    assert_eq!(site(&world, dr2(), &app).await?.role(), "secondary/Secondary");
    assert!(volumes(&world, dr1(), &app)?.values().all(|bytes| !bytes.is_empty()));

    world.set_replication_link(dr1(), dr2(), true);
    world.completed(&app, DRState::Relocated).await?;
    pass(5).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == dr2(), "{now:#?}");
    Ok(())
}
