//! The content of volumes, and the keys of the stores.
//!
//! Into the arrays of the sandbox anybody can look. On storage of others only an application's own pods can, which tell
//! their audit: there [`volumes`], [`records`], [`last_syncs`] and [`last_demotions`] are empty.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use kaedama_sandbox::storage::array::{SyncReport, UnitId, VolumeHandle, What};
use kaedama_sandbox::workload::{Audit, Record};
use kaedama_sandbox::world::app::{App, Writers};
use kaedama_sandbox::world::{World, array};

/// What an application's volumes on a cluster hold of what was acknowledged to it anywhere.
///
/// # Errors
/// It never ran.
pub fn audit(world: &World, cluster: &str, app: &App) -> anyhow::Result<Audit> {
    world.audit_on(app, cluster).with_context(|| never_started(world, app, cluster))
}

/// As [`audit`], where the application started last.
///
/// # Errors
/// It never ran.
pub fn audit_at_home(world: &World, app: &App) -> anyhow::Result<Audit> {
    world.audit(app).with_context(|| never_started(world, app, "any cluster"))
}

fn never_started(world: &World, app: &App, cluster: &str) -> String {
    match world.options().writers {
        Writers::Simulated => format!("application {} never started on {cluster}", app.name),
        Writers::Pods(_) => format!(
            "no pod of application {} told on {cluster} what is on its volumes: `kubectl describe pods -n {}` says why, \
             on the cluster where it should run",
            app.name, app.namespace
        ),
    }
}

/// The handle of each of an application's volumes, by claim. A replica has the handle of its original. None of them where
/// the storage is not the sandbox's.
///
/// # Errors
/// The application never ran.
pub fn handles(world: &World, app: &App) -> anyhow::Result<BTreeMap<String, VolumeHandle>> {
    if app.writers != Writers::Simulated {
        return Ok(BTreeMap::new());
    }
    let location =
        world.ledger().location(&app.id()).with_context(|| format!("application {} never started", app.name))?;
    Ok(location.volumes)
}

/// What each of the application's volumes holds on a cluster's array, by claim; empty where the array has no such
/// volume. Reads past every fault: also a dead array.
///
/// # Errors
/// The application never ran.
pub fn volumes(world: &World, cluster: &str, app: &App) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let read = |handle: &VolumeHandle| world.fabric().with(|arrays, _| arrays.inspect(&array(cluster), handle));
    let handles = handles(world, app)?;
    Ok(handles.iter().map(|(claim, handle)| (claim.clone(), read(handle).unwrap_or_default().to_bytes())).collect())
}

/// The records on each of the application's volumes on a cluster's array, by claim.
///
/// # Errors
/// The application never ran.
pub fn records(world: &World, cluster: &str, app: &App) -> anyhow::Result<BTreeMap<String, Vec<Record>>> {
    let volumes = volumes(world, cluster, app)?;
    Ok(volumes.into_iter().map(|(claim, bytes)| (claim, Record::read_all(&bytes).0)).collect())
}

/// The last complete transfer of each of the application's volumes so far, by claim.
///
/// # Errors
/// The application never ran, or a volume was never replicated.
pub fn last_syncs(world: &World, app: &App) -> anyhow::Result<BTreeMap<String, SyncReport>> {
    let history = world.fabric().history();
    let last = |handle: &VolumeHandle| {
        history.iter().rev().filter(|event| event.unit == UnitId::from(handle)).find_map(|event| match event.what {
            What::Synced(report) => Some(report),
            _ => None,
        })
    };
    let of_claim = |(claim, handle): (String, VolumeHandle)| {
        let report = last(&handle).with_context(|| format!("{claim} was never replicated"))?;
        Ok((claim, report))
    };
    handles(world, app)?.into_iter().map(of_claim).collect()
}

/// When each of the application's volumes was demoted last on a cluster's array, by claim.
///
/// # Errors
/// The application never ran.
pub fn last_demotions(world: &World, cluster: &str, app: &App) -> anyhow::Result<BTreeMap<String, Timestamp>> {
    let history = world.fabric().history();
    let mut demotions = BTreeMap::new();
    for (claim, handle) in handles(world, app)? {
        let here = |event: &&_| is_demotion(event, cluster, &handle);
        if let Some(event) = history.iter().rev().find(here) {
            demotions.insert(claim, event.at);
        }
    }
    Ok(demotions)
}

fn is_demotion(event: &kaedama_sandbox::storage::array::Event, cluster: &str, handle: &VolumeHandle) -> bool {
    event.array == array(cluster) && event.unit == UnitId::from(handle) && event.what == What::Demoted
}

/// The keys of an application in a cluster's store, without the application's prefix.
#[must_use]
pub fn keys(world: &World, cluster: &str, app: &App) -> Vec<String> {
    let prefix = format!("{}/{}/", app.namespace, app.name);
    let all = world.stored_keys(cluster);
    all.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// One stored object of an application, unpacked.
///
/// # Errors
/// There is none of this key, or it is not gzip JSON.
pub fn stored(world: &World, cluster: &str, app: &App, key: &str) -> anyhow::Result<serde_json::Value> {
    let key = format!("{}/{}/{key}", app.namespace, app.name);
    let body = world.stored_object(cluster, &key).with_context(|| format!("{key} is not in the store of {cluster}"))?;
    Ok(kaedama_shared::s3::codec::decode(&body)?)
}
