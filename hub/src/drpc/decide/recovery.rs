//! A DRPC without an action record: either it is new, or this hub does not remember (restored from backup, or taken
//! over from the reference product). The truth is on the clusters and in the stores.
//!
//! | seen | verdict |
//! |---|---|
//! | no VRG anywhere, every cluster was asked | a first placement |
//! | no VRG on the preferred cluster, others silent, stores proven empty | a first placement |
//! | exactly one primary | its record, or one made from what it says |
//! | only secondaries that carry a record | that record: an interrupted relocate goes on |
//! | anything else | paused, and the condition says which cluster to ask |
//!
//! Silence is never taken for absence (rule S17): with one cluster unknown, placing the application on the other could
//! start a second copy.

use kaedama_shared::api::{DRAction, DRState, Progression, VolumeReplicationGroup};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::plan::{Action, Owner, Plan, Verdict, Waiting};
use super::super::snapshot::{Site, Snapshot};
use super::draft::Draft;

/// What could be rebuilt.
pub(super) enum Rebuilt {
    /// Nothing is there: a first placement.
    Fresh,
    /// This is going on, or was.
    Found(ActionRecord),
    /// Cannot be told; these clusters have to be asked.
    Unclear { ask: Vec<String>, message: String },
    /// The home of the application is silent, and the other cluster could take over if the user wishes.
    FailoverAllowed { to: String, from: String, message: String },
}

pub(super) fn rebuild(s: &Snapshot) -> Rebuilt {
    let found: Vec<(&Site, &VolumeReplicationGroup)> =
        s.sites.iter().filter_map(|site| site.vrg.present().map(|vrg| (site, vrg))).collect();
    let primaries: Vec<_> = found.iter().filter(|(_, vrg)| facts::is_primary(vrg)).collect();
    let newest = found.iter().filter_map(|(_, vrg)| record_of(vrg)).max_by_key(|record| record.epoch);
    match primaries.as_slice() {
        [(site, vrg)] => return Rebuilt::Found(record_of(vrg).unwrap_or_else(|| made_from(s, site, vrg))),
        [] => {}
        several => {
            let names: Vec<&str> = several.iter().map(|(site, _)| site.cluster.as_str()).collect();
            // Two primaries under one record are a failover on its way; otherwise nobody can say.
            return match newest {
                Some(record) if names.contains(&record.to.as_str()) => Rebuilt::Found(record),
                _ => Rebuilt::Unclear {
                    ask: Vec::new(),
                    message: format!("the application is primary on {} at once, and no record says which is right", names.join(" and ")),
                },
            };
        }
    }
    let silent: Vec<&Site> = s.sites.iter().filter(|site| !site.vrg.is_conclusive()).collect();
    if let Some(record) = newest.filter(|_| silent.is_empty()) {
        return Rebuilt::Found(record);
    }
    if found.is_empty() {
        return nowhere(s, &silent);
    }
    let names = |sites: &[&Site]| sites.iter().map(|site| site.cluster.clone()).collect::<Vec<_>>();
    match (silent.as_slice(), found.as_slice()) {
        ([home], [(to, _)]) => Rebuilt::FailoverAllowed {
            to: to.cluster.clone(),
            from: home.cluster.clone(),
            message: format!(
                "this hub does not know the application's state; {} is a secondary, and {} is silent. If {} is lost, set \
                 spec.action to Failover and spec.failoverCluster to {}",
                to.cluster, home.cluster, home.cluster, to.cluster
            ),
        },
        _ => Rebuilt::Unclear {
            ask: names(&silent),
            message: "Operation Paused - User Intervention Required. The application is secondary on every cluster, and no \
                      record says where it belongs"
                .to_owned(),
        },
    }
}

/// No VRG was seen.
fn nowhere(s: &Snapshot, silent: &[&Site]) -> Rebuilt {
    if silent.is_empty() {
        return Rebuilt::Fresh;
    }
    let preferred_is_empty = s.site(&s.drpc.spec.preferred_cluster).is_some_and(|site| site.vrg.is_absent());
    let asked = silent.iter().all(|site| site.view.is_some() || site.reachable.is_err());
    if preferred_is_empty && s.stored.is_absent() && asked && silent.iter().all(|site| site.reachable.is_err()) {
        return Rebuilt::Fresh;
    }
    let reasons: Vec<String> =
        silent.iter().map(|site| format!("{}: {}", site.cluster, site.vrg.unknown().unwrap_or_default())).collect();
    let store = match &s.stored {
        Seen::Present(vrg) => format!(
            "; a store holds the application's VolumeReplicationGroup of cluster {}",
            vrg.metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(kaedama_shared::names::DESTINATION_CLUSTER))
                .map(String::as_str)
                .unwrap_or("unknown")
        ),
        Seen::Absent => String::new(),
        Seen::Unknown(why) => format!("; the stores: {why}"),
    };
    Rebuilt::Unclear {
        ask: silent.iter().map(|site| site.cluster.clone()).collect(),
        message: format!("whether the application exists already is not known yet ({}{store})", reasons.join("; ")),
    }
}

fn record_of(vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    ActionRecord::from_annotations(vrg.metadata.annotations.as_ref()?).ok().flatten().map(|mut record| {
        // The clusters are not told how far an action has come; level-triggered steps find out.
        record.step = if facts::is_primary(vrg) && !vrg.spec.prepare_for_final_sync && !vrg.spec.run_final_sync {
            Step::Promoting
        } else {
            Step::Quiescing
        };
        record
    })
}

/// A record for a primary that carries none: the reference product made it.
fn made_from(s: &Snapshot, home: &Site, vrg: &VolumeReplicationGroup) -> ActionRecord {
    let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
    let relocating = vrg.spec.prepare_for_final_sync || vrg.spec.run_final_sync;
    let (kind, from, to, step) = match &vrg.spec.action {
        Some(DRAction::Relocate) if relocating => {
            (ActionKind::Relocate, home.cluster.clone(), s.drpc.spec.preferred_cluster.clone(), Step::Quiescing)
        }
        Some(DRAction::Relocate) => (ActionKind::Relocate, String::new(), home.cluster.clone(), Step::Promoting),
        Some(DRAction::Failover) => {
            let from = s.others(&home.cluster).next().map(|site| site.cluster.clone()).unwrap_or_default();
            (ActionKind::Failover, from, home.cluster.clone(), Step::Promoting)
        }
        Some(DRAction::Other(_)) | None => (ActionKind::Deploy, String::new(), home.cluster.clone(), Step::Promoting),
    };
    ActionRecord::accept(&uid, 1, kind, &from, &to, s.generation(), s.now).reached(step)
}

/// Asks the clusters that have not answered, and waits.
pub(super) fn pause(mut draft: Draft<'_>, ask: &[String], message: String) -> Plan {
    ask_for(&mut draft, ask);
    draft.outlook.progression = Progression::Paused;
    draft.outlook.available = Some(Verdict::no("Paused", message.clone()));
    draft.outlook.peer_ready = Some(Verdict::no("Paused", message.clone()));
    draft.outlook.waiting = Some(Waiting::on(Owner::System, message));
    draft.finish()
}

/// The user has to say whether the silent cluster is lost. Saying Failover to the other one is the answer.
pub(super) fn wait_for_user(mut draft: Draft<'_>, to: &str, from: &str, message: String) -> Plan {
    let s = draft.s;
    let ordered = s.drpc.spec.action == Some(DRAction::Failover) && s.drpc.spec.failover_cluster == to;
    if ordered {
        let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
        let epoch = s.site(to).and_then(|site| site.vrg.present()).and_then(record_of).map_or(1, |record| record.epoch + 1);
        let record = ActionRecord::accept(&uid, epoch, ActionKind::Failover, from, to, s.generation(), s.now);
        match super::gates::failover(s, &record, super::dr_type(s)) {
            Ok(_) => {
                let record = record.reached(Step::Promoting);
                draft.outlook.started = Some(s.now);
                draft.record(&record);
                super::drive::drive(&mut draft, &record);
            }
            Err(shut) => {
                draft.show(DRState::Initiating, shut.progression);
                draft.wait(shut.waiting);
            }
        }
        return draft.finish();
    }
    ask_for(&mut draft, &[from.to_owned()]);
    draft.show(DRState::WaitForUser, Progression::Paused);
    draft.outlook.available = Some(Verdict::yes("Success", message.clone()));
    draft.outlook.peer_ready = Some(Verdict::yes("Success", "Failover allowed"));
    draft.outlook.waiting = Some(Waiting::on(Owner::User, message));
    draft.finish()
}

fn ask_for(draft: &mut Draft<'_>, clusters: &[String]) {
    for cluster in clusters {
        let unasked = draft.s.site(cluster).is_some_and(|site| site.view.is_none());
        if unasked {
            draft.actions.push(Action::EnsureView { cluster: cluster.clone() });
        }
    }
}
