//! What must never be, looked for once in a second.

use std::collections::BTreeMap;

use anyhow::bail;
use jiff::Timestamp;
use kaedama_e2e::objects::reported;
use kaedama_sandbox::storage::array::{Event, UnitId, What};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{World, bucket};
use kaedama_shared::api::ocm::PlacementDecision;
use kaedama_shared::api::{
    DRAction, DRPlacementControl, Progression, ReplicationState, VRGState, VolumeReplicationGroup,
};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use kaedama_shared::s3::codec;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::broadcast;

use crate::bed::Bed;

/// How long something may look wrong, because what is looked at is read piece by piece: two looks.
const BLINK: u32 = 2;
/// How many looks in a row may find a DRPlacementControl that is not done and does not say why.
const SILENCE: u32 = 10;

/// What the looks remember.
#[derive(Default)]
pub struct Watch {
    events: Option<broadcast::Receiver<Event>>,
    /// All storage events about volumes.
    pub history: Vec<Event>,
    /// Lines for the journal.
    pub news: Vec<String>,
    /// The applications are under protection: nothing of theirs may be deleted.
    pub strict: bool,
    live: BTreeMap<String, Option<String>>,
    odd: BTreeMap<String, u32>,
    told: BTreeMap<String, String>,
    read: BTreeMap<String, usize>,
    /// Each start of an application, and on which cluster it was, in order of their first writes.
    starts: BTreeMap<String, Vec<(String, String)>>,
    stores: BTreeMap<(String, String), Manifest>,
    handles: BTreeMap<String, BTreeMap<String, UnitId>>,
}

/// What is looked at of a capture set.
#[derive(Clone, Debug, Default, PartialEq)]
struct Manifest {
    epoch: u64,
    cluster: String,
    sequence: i64,
    volumes: usize,
    claims: usize,
}

impl Watch {
    pub fn new(world: &World) -> Self {
        Watch { events: Some(world.fabric().subscribe()), strict: true, ..Watch::default() }
    }

    /// The volumes of an application, by claim; those that it had when it started first.
    pub fn handles(&self, app: &App) -> BTreeMap<String, UnitId> {
        self.handles.get(&app.name).cloned().unwrap_or_default()
    }

    pub async fn look(&mut self, bed: &Bed) -> anyhow::Result<()> {
        self.storage(bed).await?;
        for app in &bed.apps {
            self.application(bed, app).await?;
            self.writers(bed, app)?;
            self.volumes(bed, app)?;
            self.captures(bed, app)?;
        }
        Ok(())
    }

    /// Counts in how many looks in a row something was wrong.
    fn is_odd(&mut self, what: String, odd: bool, bearable: u32) -> anyhow::Result<()> {
        if !odd {
            self.odd.remove(&what);
            return Ok(());
        }
        let count = self.odd.entry(what.clone()).or_default();
        *count += 1;
        if *count > bearable { bail!("VIOLATED: {what}") } else { Ok(()) }
    }

    /// Storage: force by order only, nothing deleted, nothing discarded but after force.
    async fn storage(&mut self, bed: &Bed) -> anyhow::Result<()> {
        let mut events = Vec::new();
        if let Some(receiver) = &mut self.events {
            loop {
                match receiver.try_recv() {
                    Ok(event) => events.push(event),
                    Err(broadcast::error::TryRecvError::Lagged(missed)) => bail!("{missed} storage events were missed"),
                    Err(_) => break,
                }
            }
        }
        for event in events {
            let Event { array, unit, what, .. } = &event;
            if !matches!(what, What::Synced(_) | What::Link { .. } | What::Power { .. } | What::Fence { .. }) {
                self.news.push(format!("    {array} {unit}: {what:?}"));
            }
            match what {
                What::Promoted { forced: true } => self.force(bed, &event).await?,
                What::Deleted { bytes } if *bytes > 0 && self.strict => {
                    bail!("VIOLATED: {bytes} bytes of {unit} were deleted on {array} under protection")
                }
                What::Disabled if self.strict => bail!("VIOLATED: replication of {unit} was disabled on {array}"),
                What::Discarded(gone) if gone.bytes > 0 => self.discard(&event)?,
                _ => {}
            }
            self.history.push(event);
        }
        Ok(())
    }

    /// A promotion by force needs a Failover to there that is in force there.
    async fn force(&self, bed: &Bed, event: &Event) -> anyhow::Result<()> {
        let Some(app) = bed.apps.iter().find(|app| self.owns(app, &event.unit)) else {
            bail!("VIOLATED: {} was promoted by force on {}, and belongs to nobody", event.unit, event.array)
        };
        let cluster = bed.world.clusters().iter().find(|cluster| bed.array(cluster) == event.array).cloned();
        let cluster = cluster.unwrap_or_default();
        let ordered = bed.orders.iter().any(|order| {
            order.app == app.name && order.action == DRAction::Failover && order.to == cluster && order.at <= event.at
        });
        let kind = vrg(bed, &cluster, app).await?.as_ref().and_then(action).map(|record| record.kind);
        if !ordered || kind != Some(ActionKind::Failover) {
            bail!(
                "VIOLATED: {} of {} was promoted by force on {cluster}; a Failover there was ordered: {ordered}; the action \
                 in force there: {kind:?}",
                event.unit,
                app.name
            );
        }
        Ok(())
    }

    fn discard(&self, event: &Event) -> anyhow::Result<()> {
        let promotion =
            |past: &&Event| past.unit == event.unit && matches!(past.what, What::Promoted { .. } | What::Enabled);
        let last = self.history.iter().rev().find(promotion);
        match last {
            Some(last) if last.array != event.array && last.what == (What::Promoted { forced: true }) => Ok(()),
            _ => bail!(
                "VIOLATED: writes of {} were discarded on {} without a failover away from there; before: {last:?}",
                event.unit,
                event.array
            ),
        }
    }

    fn owns(&self, app: &App, unit: &UnitId) -> bool {
        self.handles.get(&app.name).is_some_and(|handles| handles.values().any(|handle| handle == unit))
    }

    /// The hub's word: where the application is, and what is waited for.
    async fn application(&mut self, bed: &Bed, app: &App) -> anyhow::Result<()> {
        let drpc = bed.drpc(app).await?;
        let (live, entries) = decisions(bed, app).await?;
        if live.len() > 1 {
            bail!("VIOLATED: {} has several live decisions: {live:?}", app.name);
        }
        let live = live.into_iter().next();
        if let Some(cluster) = &live {
            let before = self.live.get(&app.name).cloned().flatten();
            let site = vrg(bed, cluster, app).await?;
            let primary = site.as_ref().is_some_and(is_primary);
            let first = drpc_record(&drpc).is_none_or(|record| record.kind == ActionKind::Deploy);
            let what = format!("{} is placed on {cluster}, whose VRG is not primary", app.name);
            self.is_odd(what, !primary && !first, BLINK)?;
            if before.as_ref() != Some(cluster) && !first {
                let told = reported(&bed.world.cluster(cluster)?, app).await?;
                let state = told.and_then(|vrg| vrg.status).map(|status| status.state);
                let what = format!("{} is newly placed on {cluster}, whose VRG is {state:?}", app.name);
                self.is_odd(what, state != Some(VRGState::Primary), 0)?;
            }
        }
        self.live.insert(app.name.clone(), live.clone());

        let status = drpc.status.clone().unwrap_or_default();
        let conditions: Vec<String> =
            status.conditions.iter().map(|c| format!("{}={}/{} {}", c.type_, c.status, c.reason, c.message)).collect();
        let line = format!(
            "    {}: {}/{} on {entries:?}; {}",
            app.name,
            status.phase,
            status.progression,
            conditions.join("; ")
        );
        if self.told.get(&app.name) != Some(&line) {
            self.told.insert(app.name.clone(), line.clone());
            self.news.push(line.clone());
        }
        let says = status.conditions.iter().any(|c| !c.is_true() && c.message.trim().len() > 8);
        let open = status.progression != Progression::Completed || status.conditions.iter().any(|c| !c.is_true());
        self.is_odd(format!("{} waits in silence: {line}", app.name), open && !says, SILENCE)
    }

    /// Two clusters writing at once needs a Failover; on shared storage it must not be at all. One start of the
    /// application that writes again after another one on another cluster has begun is what proves it.
    fn writers(&mut self, bed: &Bed, app: &App) -> anyhow::Result<()> {
        let records = bed.world.ledger().records_from(&app.id(), self.read.get(&app.name).copied().unwrap_or(0));
        *self.read.entry(app.name.clone()).or_default() += records.len();
        let failed_over = bed.orders.iter().any(|order| order.app == app.name && order.action == DRAction::Failover);
        for ack in records {
            let starts = self.starts.entry(app.name.clone()).or_default();
            let start = (ack.record.writer, ack.cluster);
            let at = starts.iter().position(|known| *known == start).unwrap_or_else(|| {
                starts.push(start.clone());
                starts.len() - 1
            });
            let beside = starts.iter().skip(at + 1).find(|(_, cluster)| *cluster != start.1);
            if let Some(beside) = beside
                && (bed.metro || !failed_over)
            {
                bail!("VIOLATED: {} writes as {start:?} beside {beside:?}", app.name);
            }
        }
        Ok(())
    }

    /// An application that has its data never starts on other volumes.
    fn volumes(&mut self, bed: &Bed, app: &App) -> anyhow::Result<()> {
        let Some(location) = bed.world.ledger().location(&app.id()) else { return Ok(()) };
        let now: BTreeMap<String, UnitId> =
            location.volumes.iter().map(|(claim, handle)| (claim.clone(), UnitId::from(handle))).collect();
        let first = self.handles.entry(app.name.clone()).or_insert_with(|| now.clone());
        if *first != now {
            bail!(
                "VIOLATED: {} started on {} with other volumes than its own: {now:?}, not {first:?}",
                app.name,
                location.cluster
            );
        }
        Ok(())
    }

    /// Stores: the capture set never goes back, and never loses a volume.
    fn captures(&mut self, bed: &Bed, app: &App) -> anyhow::Result<()> {
        if !self.strict {
            return Ok(());
        }
        for cluster in bed.world.clusters() {
            let now = manifest(&bed.world, cluster, app)?;
            let before = self.stores.get(&(cluster.clone(), app.name.clone())).cloned();
            let key = (cluster.clone(), app.name.clone());
            match (before, now) {
                (Some(before), None) => {
                    bail!("VIOLATED: the capture set of {} in the store of {cluster} is gone: {before:?}", app.name)
                }
                (Some(before), Some(now)) => {
                    let back = now.epoch < before.epoch || now.epoch == before.epoch && now.cluster != before.cluster;
                    if back || now.volumes < before.volumes || now.claims < before.claims {
                        bail!(
                            "VIOLATED: the capture set of {} in the store of {cluster} went from {before:?} to {now:?}",
                            app.name
                        );
                    }
                    self.stores.insert(key, now);
                }
                (None, Some(now)) => drop(self.stores.insert(key, now)),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

fn manifest(world: &World, cluster: &str, app: &App) -> anyhow::Result<Option<Manifest>> {
    let key = format!("{}/{}/kaedama/v1/manifest", app.namespace, app.name);
    let Some(body) = world.store(cluster).and_then(|store| store.object(&bucket(cluster), &key)) else {
        return Ok(None);
    };
    let value: serde_json::Value = codec::decode(&body)?;
    let number = |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_i64).unwrap_or_default();
    Ok(Some(Manifest {
        epoch: u64::try_from(number("/writer/epoch")).unwrap_or_default(),
        cluster: value.pointer("/writer/cluster").and_then(|text| text.as_str()).unwrap_or_default().to_owned(),
        sequence: number("/sequence"),
        volumes: usize::try_from(number("/counts/PersistentVolume")).unwrap_or_default(),
        claims: usize::try_from(number("/counts/PersistentVolumeClaim")).unwrap_or_default(),
    }))
}

/// The live decisions of an application, and all of them for the journal.
pub async fn decisions(bed: &Bed, app: &App) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let api: Api<PlacementDecision> = Api::namespaced(bed.world.hub(), &app.namespace);
    let (mut live, mut all) = (Vec::new(), Vec::new());
    for decision in api.list(&ListParams::default()).await?.items {
        for entry in decision.decisions() {
            if entry.is_retained() {
                all.push(format!("{} retained", entry.cluster_name));
            } else {
                all.push(entry.cluster_name.clone());
                live.push(entry.cluster_name.clone());
            }
        }
    }
    Ok((live, all))
}

/// The VRG of an application on a cluster, also of one that is down.
pub async fn vrg(bed: &Bed, cluster: &str, app: &App) -> anyhow::Result<Option<VolumeReplicationGroup>> {
    let client = bed.world.server(cluster)?.client("chaos");
    Ok(Api::namespaced(client, &app.namespace).get_opt(&app.name).await?)
}

pub async fn is_primary_on(bed: &Bed, cluster: &str, app: &App) -> anyhow::Result<bool> {
    Ok(vrg(bed, cluster, app).await?.as_ref().is_some_and(is_primary))
}

fn is_primary(vrg: &VolumeReplicationGroup) -> bool {
    vrg.spec.replication_state == ReplicationState::Primary
}

pub fn action(vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    ActionRecord::from_annotations(vrg.metadata.annotations.as_ref()?).ok().flatten()
}

pub fn drpc_record(drpc: &DRPlacementControl) -> Option<ActionRecord> {
    let annotations = drpc.metadata.annotations.as_ref()?;
    annotations.get(names::ACTION_RECORD)?;
    ActionRecord::from_annotations(annotations).ok().flatten()
}

/// When something happened to a unit, for the account of losses.
pub fn of_unit<'a>(history: &'a [Event], unit: &'a UnitId) -> impl DoubleEndedIterator<Item = &'a Event> {
    history.iter().filter(move |event| event.unit == *unit)
}

/// The moment up to which the peer had everything, by what was complete at `at`.
pub fn synced_by(history: &[Event], unit: &UnitId, at: Timestamp) -> Option<Timestamp> {
    of_unit(history, unit)
        .filter(|event| event.at <= at)
        .filter_map(|event| match event.what {
            What::Synced(report) => Some(report.at),
            _ => None,
        })
        .max()
}
