//! A DRPC whose action record cannot be trusted: either it is new, or this hub does not remember (restored from backup,
//! or taken over from the reference product). The truth is on the clusters and in the stores.
//!
//! | seen | verdict |
//! |---|---|
//! | no VRG anywhere, every cluster was asked | a first placement |
//! | no VRG on the preferred cluster, others silent, stores proven empty | a first placement |
//! | no VRG so far, and the answers are on their way | wait for them |
//! | exactly one primary, every cluster was asked | its record, or one made from what it says |
//! | exactly one primary, others silent | the same, where the spec and all that is known agree with it; else the user decides |
//! | only secondaries that carry a record, every cluster was asked | that record: an interrupted relocate goes on |
//! | a secondary, others silent | the user decides |
//! | anything else | paused, and the condition says which cluster to ask |
//!
//! Silence is never taken for absence (rule S17): with one cluster unknown, placing the application on the other could
//! start a second copy. And a spec that comes out of a backup is no order: where it asks for a move that the clusters do
//! not show, the user is asked to confirm it by an edit.

use kaedama_shared::api::{DRAction, DRState, Progression, VolumeReplicationGroup};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts;
use super::super::plan::{Owner, Plan, Verdict, Waiting};
use super::super::snapshot::{Site, Snapshot, action_of};
use super::draft::Draft;

/// What could be rebuilt.
pub(super) enum Rebuilt {
    /// Nothing is there: a first placement.
    Fresh,
    /// This is going on, or was.
    Found(ActionRecord),
    /// The clusters have been asked, or are to be, and will answer.
    Asking { ask: Vec<String>, message: String },
    /// Cannot be told; these clusters have to be asked.
    Unclear { ask: Vec<String>, message: String },
    /// The home of the application is silent, and the other cluster could take over if the user wishes.
    FailoverAllowed { to: String, from: String, message: String },
}

/// Rebuilds the record. `remembered` is the one that the DRPC carries: how far things had come at least.
pub(super) fn rebuild(s: &Snapshot, remembered: Option<&ActionRecord>) -> Rebuilt {
    let found: Vec<(&Site, &VolumeReplicationGroup)> =
        s.sites.iter().filter_map(|site| site.vrg.present().map(|vrg| (site, vrg))).collect();
    let primaries: Vec<_> = found.iter().filter(|(_, vrg)| facts::is_primary(vrg)).collect();
    let newest = found.iter().filter_map(|(_, vrg)| record_of(vrg)).max_by_key(|record| record.epoch);
    let silent: Vec<&Site> = s.sites.iter().filter(|site| !site.vrg.is_conclusive()).collect();
    let unheard: Vec<String> = silent.iter().map(|site| site.cluster.clone()).collect();
    // Clusters that can be reached will answer: nobody has to be bothered before they have.
    if !silent.is_empty() && silent.iter().all(|site| site.reachable.is_ok()) {
        return Rebuilt::Asking { message: not_known_yet(s, &silent), ask: unheard };
    }
    match primaries.as_slice() {
        [(site, vrg)] if silent.is_empty() => {
            return Rebuilt::Found(record_of(vrg).unwrap_or_else(|| made_from(s, site, vrg)));
        }
        [(site, vrg)] => return with_silent(s, site, vrg, remembered, &silent),
        [] => {}
        several => {
            let names: Vec<&str> = several.iter().map(|(site, _)| site.cluster.as_str()).collect();
            // Two primaries, one of them by the latest record, are a failover on its way; otherwise nobody can say.
            let latest = newest.filter(|record| {
                several.iter().any(|(site, vrg)| {
                    site.cluster == record.to && action_of(vrg).is_some_and(|theirs| theirs.id == record.id)
                })
            });
            return match latest {
                Some(record) if silent.is_empty() => Rebuilt::Found(record),
                _ => Rebuilt::Unclear {
                    ask: unheard,
                    message: format!(
                        "the application is primary on {} at once, and no record says which is right",
                        names.join(" and ")
                    ),
                },
            };
        }
    }
    if let Some(record) = newest.filter(|_| silent.is_empty()) {
        return Rebuilt::Found(record);
    }
    match (silent.as_slice(), found.as_slice()) {
        (_, []) => nowhere(s, &silent),
        ([home, ..], [(to, _), ..]) => Rebuilt::FailoverAllowed {
            to: to.cluster.clone(),
            from: home.cluster.clone(),
            message: format!(
                "this hub does not know the application's state; {} is a secondary, and {} is silent. If {} is lost, set \
                 spec.action to Failover and spec.failoverCluster to {}",
                to.cluster, home.cluster, home.cluster, to.cluster
            ),
        },
        ([], _) => Rebuilt::Unclear {
            ask: unheard,
            message:
                "Operation Paused - User Intervention Required. The application is secondary on every cluster, and no \
                      record says where it belongs"
                    .to_owned(),
        },
    }
}

/// One primary, and somebody who could be a newer one is silent. It counts where everything that is known agrees with
/// it: the spec, the record that the DRPC carries, and the stores (rule S17). Stores that cannot be read agree with
/// nothing: a failover that this hub does not remember may be written there.
fn with_silent(
    s: &Snapshot,
    site: &Site,
    vrg: &VolumeReplicationGroup,
    remembered: Option<&ActionRecord>,
    silent: &[&Site],
) -> Rebuilt {
    let record = record_of(vrg).unwrap_or_else(|| made_from(s, site, vrg));
    let stored = s.stored.present().and_then(action_of);
    let later = [remembered, stored.as_ref()].into_iter().flatten().any(|known| known.epoch > record.epoch);
    let spec = &s.drpc.spec;
    let to = match &spec.action {
        Some(DRAction::Failover) => &spec.failover_cluster,
        Some(DRAction::Relocate | DRAction::Other(_)) | None => &spec.preferred_cluster,
    };
    let same_order = spec.action == vrg.spec.action
        || spec.action.is_none() && remembered.is_some_and(|remembered| remembered.id == record.id);
    let unread = s.stored.unknown();
    if !later && unread.is_none() && *to == site.cluster && same_order {
        return Rebuilt::Found(record);
    }
    let from = silent.first().map(|site| site.cluster.clone()).unwrap_or_default();
    let unread = unread.map(|why| format!(" (the stores could not tell: {why})")).unwrap_or_default();
    Rebuilt::FailoverAllowed {
        message: format!(
            "this hub does not know the application's state; it is primary on {to}, and {from} is silent and may be a \
             newer primary{unread}. If {from} is lost, set spec.action to Failover and spec.failoverCluster to {to}",
            to = site.cluster
        ),
        to: site.cluster.clone(),
        from,
    }
}

/// No VRG was seen, and somebody is silent or nobody is.
fn nowhere(s: &Snapshot, silent: &[&Site]) -> Rebuilt {
    let preferred_is_empty = s.site(&s.drpc.spec.preferred_cluster).is_some_and(|site| site.vrg.is_absent());
    if silent.is_empty() || preferred_is_empty && s.stored.is_absent() {
        return Rebuilt::Fresh;
    }
    let store = match &s.stored {
        Seen::Present(vrg) => format!(
            "; a store holds the application's VolumeReplicationGroup of cluster {}",
            vrg.metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(names::DESTINATION_CLUSTER))
                .map_or("unknown", String::as_str)
        ),
        Seen::Absent => String::new(),
        Seen::Unknown(why) => format!("; the stores: {why}"),
    };
    Rebuilt::Unclear {
        ask: silent.iter().map(|site| site.cluster.clone()).collect(),
        message: format!("{}{store}", not_known_yet(s, silent)),
    }
}

fn not_known_yet(s: &Snapshot, silent: &[&Site]) -> String {
    let reasons: Vec<String> =
        silent.iter().map(|site| format!("{}: {}", site.cluster, site.vrg.unknown().unwrap_or_default())).collect();
    let name = s.drpc.metadata.name.as_deref().unwrap_or_default();
    format!("whether {name} exists on the clusters already is not known yet ({})", reasons.join("; "))
}

fn record_of(vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    action_of(vrg).map(|mut record| {
        // The clusters are not told how far an action has come; level-triggered steps find out.
        record.step = if facts::stays_primary(vrg) { Step::Promoting } else { Step::Quiescing };
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

/// Asks the clusters that have not answered, and waits for them. Nothing is wrong yet, and nothing is said to be.
pub(super) fn wait_for_answers(mut draft: Draft<'_>, ask: &[String], message: String) -> Plan {
    ask_for(&mut draft, ask);
    draft.outlook.available = Some(Verdict::unknown("none", format!("Waiting: {message}")));
    draft.outlook.waiting = Some(Waiting::on(Owner::System, message));
    draft.finish()
}

/// Asks the clusters that have not answered, and says that it cannot go on before they do.
pub(super) fn pause(mut draft: Draft<'_>, ask: &[String], message: String) -> Plan {
    ask_for(&mut draft, ask);
    draft.outlook.progression = Progression::Paused;
    draft.outlook.available = Some(Verdict::no("Paused", message.clone()));
    draft.outlook.peer_ready = Some(Verdict::no("Paused", message.clone()));
    draft.outlook.waiting = Some(Waiting::on(Owner::System, message));
    draft.finish()
}

/// The user has edited the spec since they were told that their word is needed.
pub(super) fn is_confirmed(s: &Snapshot) -> bool {
    s.drpc
        .status
        .as_ref()
        .is_some_and(|status| status.phase == DRState::WaitForUser && status.observed_generation < s.generation())
}

/// The clusters tell where the application is; the spec, which may come out of a backup, asks for something else. The
/// application is tended where it is until the user has said that the move is meant.
pub(super) fn wait_for_confirmation(mut draft: Draft<'_>, record: &ActionRecord) -> Plan {
    let home = super::home(record);
    let spec = &draft.s.drpc.spec;
    let asked = match &spec.action {
        Some(DRAction::Failover) => format!("a Failover to {}", spec.failover_cluster),
        Some(DRAction::Relocate | DRAction::Other(_)) | None => format!("a Relocate to {}", spec.preferred_cluster),
    };
    let message = format!(
        "this hub was rebuilt and finds the application on {home}; spec asks for {asked}. If that is still wanted, remove \
         spec.action, and set it again"
    );
    super::drive::drive(&mut draft, record);
    draft.show(DRState::WaitForUser, Progression::Paused);
    draft.outlook.available = Some(Verdict::yes("Success", message.clone()));
    draft.outlook.peer_ready = Some(Verdict::yes("Success", "Failover allowed"));
    draft.outlook.ended = false;
    draft.outlook.waiting = draft.outlook.waiting.take().or_else(|| Some(Waiting::on_absent(Owner::User, message)));
    draft.finish()
}

/// The user has to say whether the silent cluster is lost. Saying Failover to the other one is the answer.
pub(super) fn wait_for_user(mut draft: Draft<'_>, to: &str, from: &str, message: String) -> Plan {
    let s = draft.s;
    let ordered = s.drpc.spec.action == Some(DRAction::Failover) && s.drpc.spec.failover_cluster == to;
    if ordered && is_confirmed(s) {
        let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
        let record = ActionRecord::accept(&uid, next_epoch(s), ActionKind::Failover, from, to, s.generation(), s.now);
        match super::gates::entry(s, &record, super::dr_type(s)) {
            Ok(step) => {
                let record = record.reached(step);
                draft.outlook.started = Some(s.now);
                draft.accept(&record);
                super::drive::drive(&mut draft, &record);
            }
            Err(shut) => {
                draft.show(DRState::WaitForUser, shut.progression);
                draft.wait(shut.waiting);
            }
        }
        return draft.finish();
    }
    // What was there before they were asked may come out of a backup.
    let again =
        if ordered { ": the order that is there may be an old one; remove spec.action, and set it again" } else { "" };
    let message = format!("{message}{again}");
    ask_for(&mut draft, &[from.to_owned()]);
    draft.show(DRState::WaitForUser, Progression::Paused);
    draft.outlook.available = Some(Verdict::yes("Success", message.clone()));
    draft.outlook.peer_ready = Some(Verdict::yes("Success", "Failover allowed"));
    draft.outlook.waiting = Some(Waiting::on_absent(Owner::User, message));
    draft.finish()
}

/// One more than any epoch that is known of: what is ordered now has to win over all that was before.
pub(super) fn next_epoch(s: &Snapshot) -> u64 {
    let seen = s.sites.iter().filter_map(|site| site.vrg.present()).chain(s.stored.present());
    let carried = s.drpc.metadata.annotations.as_ref().and_then(|a| ActionRecord::from_annotations(a).ok().flatten());
    let sent = s.sites.iter().filter_map(|site| site.work.present()).map(|work| &work.vrg);
    let known = seen.chain(sent).filter_map(action_of).chain(carried).map(|record| record.epoch);
    known.max().unwrap_or_default() + 1
}

fn ask_for(draft: &mut Draft<'_>, clusters: &[String]) {
    for cluster in clusters {
        if let Some(site) = draft.s.site(cluster) {
            draft.ask(site);
        }
    }
}
