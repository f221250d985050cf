//! Planned moves: nothing is lost, however often.

use std::time::Duration;

use kaedama_e2e::bytes::{audit, audit_at_home, keys, last_demotions, records, volumes};
use kaedama_e2e::objects::{conditions, decisions, site, stage, works};
use kaedama_e2e::start::{AT_STAKE, app, deployed, dr1, dr2, drpc, lost_before, most_lost, pass, regional, writes};
use kaedama_sandbox::world::app::{App, Writers};
use kaedama_shared::api::{DRAction, DRState};

fn busy(name: &str) -> App {
    App { records_per_second: 50, ..app(name, dr1()).claims(2) }
}

pub async fn a_relocate_while_writing_loses_nothing_in_either_direction() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, busy("web")).await?;
    for (from, to) in [(dr1(), dr2()), (dr2(), dr1())] {
        pass(30).await;
        let before = audit_at_home(&world, &app)?.acknowledged;
        world.order(&app, DRAction::Relocate, to).await?;
        world.completed(&app, DRState::Relocated).await?;
        let seen = world.protected(&app).await?;
        writes(&world, &app, to, before + 200).await;

        let mut after = audit_at_home(&world, &app)?;
        for _ in 0..50 {
            // What is written at the moment of the look is acknowledged soon; what was cut short never is.
            if after.unacknowledged == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            after = audit_at_home(&world, &app)?;
        }
        assert!(after.is_clean(), "{from} to {to}: {after:#?}");
        assert_eq!(after.cluster, to);
        assert!(after.acknowledged > before + 200, "the application does not write on {to}");
        // It was stopped before its volumes became read-only: no write was ever refused or cut short.
        assert_eq!(after.unacknowledged, 0, "{after:#?}");
        let written = records(&world, from, &app)?;
        for (claim, demoted) in last_demotions(&world, from, &app)? {
            let writer = format!("{from}#");
            let last = written[&claim].iter().filter(|r| r.writer.starts_with(&writer)).map(|r| r.at).max();
            assert!(last.is_some_and(|last| last <= demoted), "{claim}: last write {last:?}, demoted {demoted}");
        }

        assert_eq!(stage(&seen), "Relocated/Completed");
        assert_eq!(
            conditions(&seen),
            ["Available=True/Relocated", "PeerReady=True/Success", "Protected=True/Protected"]
        );
        assert_eq!(decisions(&world, &app).await?, [to]);
        assert_eq!(site(&world, to, &app).await?.role(), "primary/Primary");
        let left = site(&world, from, &app).await?;
        assert_eq!(left.role(), "secondary/Secondary");
        assert!(left.deployments.is_empty() && left.claims.is_empty(), "{left:#?}");
    }
    Ok(())
}

/// What an application occupies.
#[derive(Debug, PartialEq)]
struct Footprint {
    works: Vec<String>,
    keys: Vec<String>,
    replications: usize,
    claims: usize,
    volumes: usize,
}

async fn footprint(world: &kaedama_sandbox::world::World, cluster: &str, app: &App) -> anyhow::Result<Footprint> {
    let there = site(world, cluster, app).await?;
    // A provisioner removes the volumes that were left in its own time.
    let volumes = match world.options().writers {
        Writers::Simulated => there.volumes.len(),
        Writers::Pods(_) => 0,
    };
    // Names of volumes are the same everywhere, so keys can be compared as they are. Parts are named by their content.
    let mut keys = keys(world, cluster, app);
    keys.retain(|key| !key.contains("/parts/"));
    Ok(Footprint {
        works: works(world, cluster, app).await?,
        keys,
        replications: there.replications.len(),
        claims: there.claims.len(),
        volumes,
    })
}

pub async fn ten_relocates_in_a_row_lose_nothing_and_leave_nothing_behind() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, busy("web")).await?;
    let mut after_two = None;
    for round in 1..=10 {
        let (from, to) = if round % 2 == 1 { (dr1(), dr2()) } else { (dr2(), dr1()) };
        world.order(&app, DRAction::Relocate, to).await?;
        world.completed(&app, DRState::Relocated).await?;
        world.protected(&app).await?;
        writes(&world, &app, to, 0).await;
        let now = audit_at_home(&world, &app)?;
        assert!(now.is_clean() && now.cluster == to, "round {round}, {from} to {to}: {now:#?}");
        if round % 2 == 0 {
            let now = (footprint(&world, dr1(), &app).await?, footprint(&world, dr2(), &app).await?);
            match &after_two {
                None => after_two = Some(now),
                Some(first) => assert_eq!(&now, first, "round {round}"),
            }
        }
    }
    Ok(())
}

pub async fn one_application_fails_over_while_another_relocates() -> anyhow::Result<()> {
    let world = regional().await?;
    let (web, db) = (app("web", dr1()).claims(2), app("db", dr2()).claims(2));
    world.protect(&web).await?;
    world.protect(&db).await?;
    for app in [&web, &db] {
        world.completed(app, DRState::Deployed).await?;
        world.protected(app).await?;
    }
    for app in [&web, &db] {
        writes(&world, app, &app.home, 0).await;
    }
    pass(AT_STAKE).await;
    writes(&world, &web, dr1(), 0).await;
    let ordered = audit_at_home(&world, &web)?;
    world.order(&web, DRAction::Failover, dr2()).await?;
    world.order(&db, DRAction::Relocate, dr1()).await?;
    world.completed(&db, DRState::Relocated).await?;
    world.completed(&web, DRState::FailedOver).await?;
    world.protected(&db).await?;
    world.protected(&web).await?;
    writes(&world, &web, dr2(), 0).await;
    writes(&world, &db, dr1(), 0).await;

    assert_eq!(decisions(&world, &web).await?, [dr2()]);
    assert_eq!(decisions(&world, &db).await?, [dr1()]);
    let (web_bytes, db_bytes) = (audit_at_home(&world, &web)?, audit_at_home(&world, &db)?);
    assert!(db_bytes.is_clean(), "the relocate lost something: {db_bytes:#?}");
    assert_eq!((web_bytes.cluster.as_str(), db_bytes.cluster.as_str()), (dr2(), dr1()));
    assert!(lost_before(&ordered, &web_bytes) <= most_lost(&world), "more is lost than two intervals: {web_bytes:#?}");
    assert_eq!((web_bytes.damaged, web_bytes.out_of_order), (0, 0));
    Ok(())
}

pub async fn a_relocate_edited_back_while_it_comes_to_rest_leaves_the_application_at_home() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, busy("web")).await?;
    pass(30).await;
    // The replication link is cut, so that the source cannot finish its last sync.
    world.set_replication_link(dr1(), dr2(), false);
    world.order(&app, DRAction::Relocate, dr2()).await?;
    pass(40).await;
    let waiting = drpc(&world, &app).await?;
    assert_eq!(waiting.status.clone().unwrap_or_default().phase, DRState::Relocating, "{:?}", waiting.status);
    world.order(&app, DRAction::Relocate, dr1()).await?;
    pass(5).await;
    world.set_replication_link(dr1(), dr2(), true);
    world.completed(&app, DRState::Relocated).await?;
    world.protected(&app).await?;
    pass(20).await;
    let now = audit_at_home(&world, &app)?;
    assert!(now.is_clean() && now.cluster == dr1(), "{now:#?}");
    assert_eq!(now.writers, [dr1()], "it never ran on dr2");
    assert_eq!(decisions(&world, &app).await?, [dr1()]);
    let replica = volumes(&world, dr2(), &app)?;
    for (claim, bytes) in volumes(&world, dr1(), &app)? {
        assert!(bytes.starts_with(&replica[&claim]));
    }
    Ok(())
}

pub async fn a_relocate_asked_for_during_a_failovers_cleanup_is_noted_and_done_later() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    pass(70).await;
    world.kill(dr1())?;
    world.order(&app, DRAction::Failover, dr2()).await?;
    world.placed(&app, DRState::FailedOver).await?;
    pass(30).await;
    world.order(&app, DRAction::Relocate, dr1()).await?;
    pass(30).await;
    let noted = drpc(&world, &app).await?;
    assert_eq!(stage(&noted), "FailedOver/Cleaning Up");
    let said = kaedama_e2e::objects::message(&noted, "Available");
    assert!(said.contains(&format!("Relocate to {}", dr1())), "{said}");
    assert_eq!(decisions(&world, &app).await?, [format!("{} (retained)", dr1()), dr2().to_owned()]);
    let kept = records(&world, dr2(), &app)?;
    world.revive(dr1())?;
    world.completed(&app, DRState::Relocated).await?;
    writes(&world, &app, dr1(), 0).await;
    let now = audit_at_home(&world, &app)?;
    assert_eq!((now.cluster.as_str(), now.damaged, now.out_of_order), (dr1(), 0, 0), "{now:#?}");
    for (claim, home) in records(&world, dr1(), &app)? {
        assert!(home.starts_with(&kept[&claim]), "{claim}: the way home lost something");
    }
    // Nothing is missing of what was written since the failover, up to the last record before the move.
    let here = audit(&world, dr1(), &app)?;
    assert!(here.first_lost.is_some_and(|first| first < kept.values().next().unwrap().last().unwrap().at));
    Ok(())
}
