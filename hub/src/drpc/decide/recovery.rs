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
//! | several primaries, every cluster was asked | the latest record, or the failover that the spec asks for; in a test failover none |
//! | only secondaries that carry a record, every cluster was asked | that record: an interrupted relocate goes on |
//! | only secondaries, every cluster was asked, the spec asks for a relocate | that relocate |
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
    let newest = found.iter().filter_map(|(_, vrg)| carried(vrg)).max_by_key(|record| record.epoch);
    let silent: Vec<&Site> = s.sites.iter().filter(|site| !site.vrg.is_conclusive()).collect();
    let unheard: Vec<String> = silent.iter().map(|site| site.cluster.clone()).collect();
    // Clusters that can be reached will answer: nobody has to be bothered before they have.
    if !silent.is_empty() && silent.iter().all(|site| site.reachable.is_ok()) {
        return Rebuilt::Asking { message: not_known_yet(s, &silent), ask: unheard };
    }
    match primaries.as_slice() {
        [(site, vrg)] if silent.is_empty() => {
            return Rebuilt::Found(record_of(site, vrg).unwrap_or_else(|| made_from(s, site, vrg, remembered)));
        }
        [(site, vrg)] => return with_silent(s, site, vrg, remembered, &silent),
        [] => {}
        several => {
            let names: Vec<&str> = several.iter().map(|(site, _)| site.cluster.as_str()).collect();
            return match of_several(s, several, newest, remembered).filter(|_| silent.is_empty()) {
                Some(record) => Rebuilt::Found(record),
                None => Rebuilt::Unclear {
                    ask: unheard,
                    message: format!(
                        "the application is primary on {} at once, and no record says which is right",
                        names.join(" and ")
                    ),
                },
            };
        }
    }
    // One that had ended leaves a primary behind: somebody else has gone on since.
    let ended = |record: &ActionRecord| remembered.is_some_and(|own| own.id == record.id && own.step >= Step::Placed);
    let newest = newest.filter(|record| !ended(record));
    // Of ours only a relocate leaves nobody primary: another record is older than what has happened.
    let relocate = newest.clone().filter(|record| record.kind == ActionKind::Relocate || record.is_way_back());
    let interrupted = relocate.or_else(|| relocate_of(s, &found, remembered)).or(newest);
    if let Some(record) = interrupted.filter(|_| silent.is_empty()) {
        return Rebuilt::Found(record);
    }
    match (silent.as_slice(), found.as_slice()) {
        (_, []) => nowhere(s, &silent, remembered),
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

/// Two primaries, one of them by the latest record, are a failover on its way. So is one that the spec asks for and the
/// reference product has begun. In a test failover both are what they should be, and neither is touched.
fn of_several(
    s: &Snapshot,
    primaries: &[&(&Site, &VolumeReplicationGroup)],
    newest: Option<ActionRecord>,
    remembered: Option<&ActionRecord>,
) -> Option<ActionRecord> {
    if primaries.iter().any(|(_, vrg)| vrg.spec.dry_run) {
        return None;
    }
    let failover = Some(DRAction::Failover);
    let begun = primaries.iter().find(|(site, vrg)| {
        s.drpc.spec.action == failover
            && vrg.spec.action == failover
            && site.cluster == s.drpc.spec.failover_cluster
            && record_of(site, vrg).is_none()
    });
    if let Some((site, vrg)) = begun {
        return Some(made_from(s, site, vrg, remembered));
    }
    newest.filter(|record| {
        primaries
            .iter()
            .any(|(site, vrg)| site.cluster == record.to && action_of(vrg).is_some_and(|theirs| theirs.id == record.id))
    })
}

/// Every cluster is a secondary, and the spec asks for a relocate: the reference product was in the middle of it. Its
/// gates still hold.
fn relocate_of(
    s: &Snapshot,
    found: &[(&Site, &VolumeReplicationGroup)],
    remembered: Option<&ActionRecord>,
) -> Option<ActionRecord> {
    let to = &s.drpc.spec.preferred_cluster;
    let complete = !found.is_empty() && found.len() == s.sites.len() && s.site(to).is_some();
    let from = s.others(to).next().filter(|_| complete && s.drpc.spec.action == Some(DRAction::Relocate))?;
    Some(made(s, remembered, ActionKind::Relocate, &from.cluster, to, Step::Quiescing))
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
    let record = record_of(site, vrg).unwrap_or_else(|| made_from(s, site, vrg, remembered));
    // A record that is made is later than all others; what the group carries itself is what counts.
    let epoch = action_of(vrg).map_or(1, |carried| carried.epoch);
    let stored = s.stored.present().and_then(action_of);
    let mut known = [remembered, stored.as_ref()].into_iter().flatten();
    let later = known.any(|known| known.epoch > epoch && known.id != record.id);
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

/// No VRG was seen, and somebody is silent or nobody is. Where the application is known to have been placed before, its
/// groups are lost, and the stores have to know nothing of it either.
fn nowhere(s: &Snapshot, silent: &[&Site], remembered: Option<&ActionRecord>) -> Rebuilt {
    let preferred_is_empty = s.site(&s.drpc.spec.preferred_cluster).is_some_and(|site| site.vrg.is_absent());
    let is_new = silent.is_empty() && s.stored.present().is_none() && super::placed_before(s, remembered).is_none();
    if is_new || preferred_is_empty && s.stored.is_absent() {
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
    let name = s.drpc.metadata.name.as_deref().unwrap_or_default();
    let clusters = match silent {
        [] => format!(
            "{name} was placed before, and no cluster has a VolumeReplicationGroup of it; it is placed anew when the \
             stores hold none either"
        ),
        silent => not_known_yet(s, silent),
    };
    Rebuilt::Unclear {
        ask: silent.iter().map(|site| site.cluster.clone()).collect(),
        message: format!("{clusters}{store}"),
    }
}

fn not_known_yet(s: &Snapshot, silent: &[&Site]) -> String {
    let reasons: Vec<String> =
        silent.iter().map(|site| format!("{}: {}", site.cluster, site.vrg.unknown().unwrap_or_default())).collect();
    let name = s.drpc.metadata.name.as_deref().unwrap_or_default();
    format!("whether {name} exists on the clusters already is not known yet ({})", reasons.join("; "))
}

/// The record that a VRG carries, where it is what the VRG was last written for.
fn carried(vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    action_of(vrg).filter(|record| facts::is_for(vrg, record)).map(|mut record| {
        // The clusters are not told how far an action has come; level-triggered steps find out.
        record.step = if facts::stays_primary(vrg) { Step::Promoting } else { Step::Quiescing };
        record
    })
}

/// The record that a primary carries, where it is what made it what it is: the target of it, or the source of a relocate
/// that comes to rest.
fn record_of(site: &Site, vrg: &VolumeReplicationGroup) -> Option<ActionRecord> {
    carried(vrg).filter(|record| match record.step {
        Step::Quiescing => (record.kind == ActionKind::Relocate || record.is_way_back()) && record.from == site.cluster,
        _ => record.to == site.cluster,
    })
}

/// A record for a primary that carries none, or an old one: the reference product made it.
fn made_from(
    s: &Snapshot,
    home: &Site,
    vrg: &VolumeReplicationGroup,
    remembered: Option<&ActionRecord>,
) -> ActionRecord {
    let (cluster, preferred) = (home.cluster.as_str(), s.drpc.spec.preferred_cluster.as_str());
    let (kind, from, to, step) = match &vrg.spec.action {
        // Whatever the action says: it was told to come to rest, and its claims may be on their way out.
        _ if !facts::stays_primary(vrg) => (ActionKind::Relocate, cluster, preferred, Step::Quiescing),
        Some(DRAction::Relocate) => (ActionKind::Relocate, "", cluster, Step::Promoting),
        Some(DRAction::Failover) => {
            let from = s.others(cluster).next().map(|site| site.cluster.as_str()).unwrap_or_default();
            (ActionKind::Failover, from, cluster, Step::Promoting)
        }
        Some(DRAction::Other(_)) | None => (ActionKind::Deploy, "", cluster, Step::Promoting),
    };
    made(s, remembered, kind, from, to, step)
}

/// A record for what was found, later than all that is known of; the one that was made before, where that is still it.
fn made(
    s: &Snapshot,
    remembered: Option<&ActionRecord>,
    kind: ActionKind,
    from: &str,
    to: &str,
    step: Step,
) -> ActionRecord {
    let again = remembered.filter(|known| {
        let same = known.kind == kind && known.from == from && known.to == to;
        same && known_records(s).all(|other| other.epoch < known.epoch || other.id == known.id)
    });
    if let Some(known) = again {
        return ActionRecord { step, ..known.clone() };
    }
    let uid = s.drpc.metadata.uid.clone().unwrap_or_default();
    ActionRecord::accept(&uid, next_epoch(s), kind, from, to, s.generation(), s.now).reached(step)
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
        .filter(|status| status.phase == DRState::WaitForUser)
        // 0: a status that is only half there.
        .is_some_and(|status| (1..s.generation()).contains(&status.observed_generation))
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
    let carried = s.drpc.metadata.annotations.as_ref().and_then(|a| ActionRecord::from_annotations(a).ok().flatten());
    latest_epoch(s).max(carried.map_or(0, |record| record.epoch)) + 1
}

/// The latest epoch that clusters, works and stores know of; 0 where they know of none.
fn latest_epoch(s: &Snapshot) -> u64 {
    known_records(s).map(|record| record.epoch).max().unwrap_or_default()
}

/// The records that clusters, works and stores carry.
fn known_records(s: &Snapshot) -> impl Iterator<Item = ActionRecord> {
    let seen = s.sites.iter().filter_map(|site| site.vrg.present()).chain(s.stored.present());
    let sent = s.sites.iter().filter_map(|site| site.work.present()).map(|work| &work.vrg);
    seen.chain(sent).filter_map(action_of)
}

fn ask_for(draft: &mut Draft<'_>, clusters: &[String]) {
    for cluster in clusters {
        if let Some(site) = draft.s.site(cluster) {
            draft.ask(site);
        }
    }
}
