//! One seed from its beginning to its end.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::look::describe;
use kaedama_shared::api::conditions::drpc as types;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::{DRAction, DRPlacementControl, DRState, Progression, VolumeReplicationGroup, condition};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::bed::Bed;
use crate::events::{happen, unfence_if_safe};
use crate::losses::account;
use crate::rng::Rng;
use crate::watch::{action, decisions, drpc_record, vrg};

/// Virtual seconds that everything may take to come right after all is mended.
const PATIENCE: u64 = 600;

/// Runs a seed. The error holds the journal.
pub fn seed(seed: u64) -> anyhow::Result<String> {
    directed(async move |bed: &mut Bed| play(bed, seed).await, seed.is_multiple_of(5))
}

/// Runs a story in a world of its own, in virtual time. The error holds the journal.
pub fn directed<R>(story: impl AsyncFnOnce(&mut Bed) -> anyhow::Result<R>, metro: bool) -> anyhow::Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let mut bed = Bed::start(metro).await?;
        let told = story(&mut bed).await;
        let Err(why) = told else { return told };
        let state = state(&bed).await.unwrap_or_else(|error| format!("{error:#}"));
        Err(anyhow::anyhow!("{}\n{state}{why:#}", bed.journal.join("\n")))
    })
}

/// How the groups stand, and what the hub has asked for.
async fn state(bed: &Bed) -> anyhow::Result<String> {
    let mut text = String::new();
    for app in &bed.apps {
        let record = drpc_record(&bed.drpc(app).await?);
        text.push_str(&format!("{}: {record:?}\n", app.name));
        for cluster in bed.world.clusters() {
            let there = vrg(bed, cluster, app).await?;
            let status = there.as_ref().and_then(|vrg| vrg.status.clone()).unwrap_or_default();
            let says = |vrg: &VolumeReplicationGroup| {
                let spec = &vrg.spec;
                let id = action(vrg).map(|record| record.id).unwrap_or_default();
                format!(
                    "{} {:?} for {id}, prepare {}, run {}",
                    spec.replication_state, spec.action, spec.prepare_for_final_sync, spec.run_final_sync
                )
            };
            let generation = there.as_ref().and_then(|vrg| vrg.metadata.generation);
            let has = there.as_ref().map(&says);
            text.push_str(&format!(
                "    {cluster} has {has:?}, {:?}, generation {generation:?}, observed {}\n",
                status.state, status.observed_generation
            ));
            let works: Api<ManifestWork> = Api::namespaced(bed.world.hub(), cluster);
            for work in works.list(&ListParams::default()).await?.items {
                let name = work.metadata.name.clone().unwrap_or_default();
                if !name.starts_with(&format!("{}-", app.name)) || !name.contains("vrg") {
                    continue;
                }
                let asked =
                    work.spec.workload.manifests.first().cloned().map(serde_json::from_value::<VolumeReplicationGroup>);
                let asked = asked.transpose()?.as_ref().map(&says);
                let told: Vec<String> = work
                    .conditions()
                    .iter()
                    .map(|c| format!("{}={} at {}: {}", c.type_, c.status, c.observed_generation, c.message))
                    .collect();
                text.push_str(&format!(
                    "    {cluster} is asked {asked:?}, generation {:?}; {told:?}\n",
                    work.metadata.generation
                ));
            }
        }
    }
    Ok(text)
}

async fn play(bed: &mut Bed, seed: u64) -> anyhow::Result<String> {
    let mut rng = Rng::new(seed);
    let clusters = bed.world.clusters().to_vec();
    for number in 0..rng.within(1, 3) {
        let claims = usize::try_from(rng.within(1, 3))?;
        let app = App {
            records_per_second: 2,
            ..App::new(&format!("app{number}"), rng.pick(&clusters).as_str()).claims(claims)
        };
        bed.note(format!("protect {} on {} with {claims} claims", app.name, app.home));
        bed.world.protect(&app).await?;
        bed.apps.push(app);
    }
    if rng.percent(75) {
        for app in bed.apps.clone() {
            until(bed, &app, "protected", 300, |drpc| is_true(drpc, types::PROTECTED)).await?;
        }
        bed.note("everything is protected");
    }
    bed.pass(rng.within(500, 70_000)).await?;
    for _ in 0..rng.within(10, 25) {
        happen(bed, &mut rng).await?;
        let wait = if rng.percent(50) { rng.within(50, 4_000) } else { rng.within(4_000, 40_000) };
        bed.pass(wait).await?;
    }
    bed.note("everything is mended");
    bed.heal().await?;
    let nudges = settle(bed).await?;
    let mut told = format!("{} orders, {nudges} nudges", bed.orders.len());
    for app in bed.apps.clone() {
        let home = home(bed, &app).await?;
        let account = account(bed, &app, &home)?;
        told.push_str(&format!("; {} on {home}: {account:?}", app.name));
    }
    rest(bed).await?;
    lose_the_home(bed).await?;
    Ok(told)
}

fn is_true(drpc: &DRPlacementControl, type_: &str) -> bool {
    drpc.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, type_))
}

async fn until(
    bed: &mut Bed,
    app: &App,
    what: &str,
    seconds: u64,
    wanted: impl Fn(&DRPlacementControl) -> bool,
) -> anyhow::Result<()> {
    for _ in 0..seconds {
        if wanted(&bed.drpc(app).await?) {
            return Ok(());
        }
        bed.pass(1000).await?;
    }
    bail!("STUCK: {} is not {what} after {seconds} s: {}", app.name, describe(&bed.drpc(app).await?))
}

/// Everything is as ordered, and everybody says so.
fn has_come_right(drpc: &DRPlacementControl, live: &[String]) -> bool {
    let Some(status) = &drpc.status else { return false };
    let spec = &drpc.spec;
    let wanted = match &spec.action {
        Some(DRAction::Failover) => Some(&spec.failover_cluster),
        Some(DRAction::Relocate) => Some(&spec.preferred_cluster),
        _ => None,
    };
    let there = match (wanted, live) {
        (Some(wanted), [live]) => wanted == live,
        (None, [_]) => true,
        _ => false,
    };
    there
        && matches!(status.phase, DRState::Deployed | DRState::FailedOver | DRState::Relocated)
        && status.progression == Progression::Completed
        && [types::AVAILABLE, types::PEER_READY, types::PROTECTED].iter().all(|type_| is_true(drpc, type_))
}

/// Waits until all is right; where a DRPlacementControl waits for its user, the user does what it asks for. Returns how
/// often that was needed.
async fn settle(bed: &mut Bed) -> anyhow::Result<usize> {
    let mut nudges: BTreeMap<String, usize> = BTreeMap::new();
    let mut since: BTreeMap<String, u64> = BTreeMap::new();
    for second in 0..PATIENCE * 3 {
        let mut open = 0;
        if second % 60 == 30 {
            bed.mend_split_brains().await?;
        }
        for cluster in bed.fenced.clone() {
            if second % 20 == 10 {
                unfence_if_safe(bed, &cluster).await?;
            }
        }
        for app in bed.apps.clone() {
            let drpc = bed.drpc(&app).await?;
            let (live, _) = decisions(bed, &app).await?;
            if has_come_right(&drpc, &live) {
                continue;
            }
            open += 1;
            let began = *since.entry(app.name.clone()).or_insert(second);
            let waits_for_user = second - began > 120;
            if !waits_for_user {
                continue;
            }
            let count = nudges.entry(app.name.clone()).or_default();
            *count += 1;
            since.insert(app.name.clone(), second);
            if *count > 3 {
                bail!("STUCK: {} does not come right: {}", app.name, describe(&drpc));
            }
            nudge(bed, &app, &drpc, *count, &live).await?;
        }
        if open == 0 && bed.fenced.is_empty() {
            return Ok(nudges.values().sum());
        }
        bed.pass(1000).await?;
    }
    bail!("STUCK: not everything comes right within {} s", PATIENCE * 3)
}

async fn nudge(
    bed: &mut Bed,
    app: &App,
    drpc: &DRPlacementControl,
    count: usize,
    live: &[String],
) -> anyhow::Result<()> {
    let spec = drpc.spec.clone();
    let home = live.first().unwrap_or(&spec.preferred_cluster).clone();
    bed.note(format!("NUDGE {count} {}", app.name));
    bed.edit(app, json!({ "action": null })).await?;
    bed.pass(3000).await?;
    match (count, spec.action) {
        // The same once more.
        (1, Some(DRAction::Failover)) if !live.contains(&spec.failover_cluster) => {
            bed.order(app, DRAction::Failover, &spec.failover_cluster).await
        }
        (1, _) => bed.order(app, DRAction::Relocate, &spec.preferred_cluster).await,
        (2, _) => bed.order(app, DRAction::Relocate, &home).await,
        (_, _) => {
            let other = bed.other(&home);
            bed.order(app, DRAction::Failover, &other).await
        }
    }
}

async fn home(bed: &Bed, app: &App) -> anyhow::Result<String> {
    let (live, _) = decisions(bed, app).await?;
    live.into_iter().next().with_context(|| format!("{} is nowhere", app.name))
}

/// Everything is at rest: the applications write, and the operators ask for nothing.
async fn rest(bed: &mut Bed) -> anyhow::Result<()> {
    bed.note("at rest");
    bed.pass(100_000).await?;
    let servers = |bed: &Bed| -> Vec<kaedama_apiserver::ApiServer> {
        let clusters = bed.world.clusters().iter().filter_map(|cluster| bed.world.server(cluster).ok().cloned());
        clusters.chain([bed.world.hub_server().clone()]).collect()
    };
    for server in servers(bed) {
        server.accounting().take();
    }
    let before: Vec<u64> = bed.apps.iter().map(|app| bed.world.ledger().acknowledged(&app.id())).collect();
    bed.pass(50_000).await?;
    for (app, before) in bed.apps.clone().iter().zip(before) {
        if bed.world.ledger().acknowledged(&app.id()) < before + 50 {
            bail!("VIOLATED: {} does not write at rest", app.name);
        }
    }
    for server in servers(bed) {
        for (key, count) in server.accounting().take() {
            let ours = key.user_agent.starts_with("kaedama-hub") || key.user_agent.starts_with("kaedama-spoke");
            // The spokes tell when they synchronised last; a group's report and status are all that changes at rest.
            let sync = key.resource.starts_with("volumereplicationgroup") && key.resource.ends_with("/status")
                || key.resource.starts_with("drplacementcontrols") && key.resource.ends_with("/status")
                || key.resource.starts_with("drclusterconfigs") && key.resource.ends_with("/status");
            // The spokes look now and then whether a kind that is not installed has come.
            let missing = key.verb == "list" && key.code == 404;
            if ours && !sync && !missing && key.verb != "watch" {
                bail!(
                    "VIOLATED: at rest {} asks {} for {} {} ({count} times, {})",
                    key.user_agent,
                    server.name(),
                    key.verb,
                    key.resource,
                    key.code
                );
            }
        }
    }
    Ok(())
}

/// The last proof that all is well protected: the home of an application dies, and everything on it comes back.
async fn lose_the_home(bed: &mut Bed) -> anyhow::Result<()> {
    let Some(first) = bed.apps.first().cloned() else { return Ok(()) };
    let lost = home(bed, &first).await?;
    let to = bed.other(&lost);
    let mut moving = Vec::new();
    for app in bed.apps.clone() {
        if home(bed, &app).await? == lost {
            moving.push(app);
        }
    }
    bed.kill(&lost)?;
    if bed.metro {
        bed.fence(&lost, true).await?;
    }
    for app in &moving {
        bed.order(app, DRAction::Failover, &to).await?;
    }
    for app in &moving {
        until(bed, app, "failed over", 180, |drpc| {
            drpc.status.as_ref().is_some_and(|status| status.phase == DRState::FailedOver)
                && is_true(drpc, types::AVAILABLE)
        })
        .await?;
    }
    bed.pass(15_000).await?;
    for app in &moving {
        let there = bed.world.ledger().location(&app.id()).map(|location| location.cluster).unwrap_or_default();
        if there != to || home(bed, app).await? != to {
            bail!("VIOLATED: {} did not come back on {to}, it is on {there}", app.name);
        }
        let account = account(bed, app, &to)?;
        if bed.metro && account.given_up > 0 {
            bail!("VIOLATED: {} lost {account:?} on shared storage", app.name);
        }
    }
    Ok(())
}
