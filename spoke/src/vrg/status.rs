//! The status: one pure function of what was seen, decided and done. Written once per pass, if it differs.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kaedama_shared::api::conditions::{pvc as of_claim, vrg as of_group};
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::api::{
    Condition, ConditionStatus, GoDuration, ProtectedPVC, VRGState, VolumeReplicationGroupStatus, condition,
};
use kaedama_shared::harness::ObjectKey;

use super::order::{Intent, Role};
use super::plan::{Entry, Plan, Verdict};
use super::snapshot::Snapshot;

/// A wait that lasts longer than this is called overdue, and an event says so. Nothing else follows from it.
pub const OVERDUE: Duration = Duration::from_secs(600);

/// How the plan went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Steps of claims that failed, with why.
    pub volumes: Vec<(ObjectKey, String)>,
    /// A step for the group as a whole that failed, with why.
    pub group: Option<String>,
}

impl Outcome {
    /// Nothing failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.volumes.is_empty() && self.group.is_none()
    }
}

/// The status, and what in it is overdue.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The status; without the time of the last update, which the writer adds.
    pub status: VolumeReplicationGroupStatus,
    /// Waits that are overdue, for events.
    pub overdue: Vec<String>,
    /// When the next wait becomes overdue.
    pub next_deadline: Option<Timestamp>,
}

/// Makes the status.
#[must_use]
pub fn status(snapshot: &Snapshot, plan: &Plan, outcome: &Outcome) -> Written {
    let generation = snapshot.generation();
    let last = snapshot.vrg.status.clone().unwrap_or_default();
    let mut made = Maker { now: snapshot.now, generation, overdue: Vec::new(), next_deadline: None };
    let mut status = VolumeReplicationGroupStatus {
        observed_generation: generation,
        prepare_for_final_sync_complete: plan.outlook.prepared,
        final_sync_complete: plan.outlook.final_sync_done,
        ..last.clone()
    };
    initial(&mut status.conditions, snapshot.now);
    let entries = match plan.outlook.keep_entries {
        true => {
            status.protected_pvcs.iter_mut().filter(|pvc| pvc.namespace.is_empty()).for_each(|pvc| {
                // Entries of older releases have no namespace: it is the group's.
                snapshot.key().namespace().clone_into(&mut pvc.namespace);
            });
            None
        }
        false => Some(entries(plan, outcome)),
    };
    if let Some(entries) = &entries {
        status.protected_pvcs = entries.iter().map(|entry| made.protected(entry, &last.protected_pvcs)).collect();
    }
    let entries = entries.unwrap_or_default();
    for (type_, verdict) in verdicts(snapshot, plan, outcome, &entries) {
        made.set(&mut status.conditions, type_, verdict);
    }
    if !entries.iter().any(|entry| entry.verdicts.contains_key(of_group::DESTINATION_INFO_AVAILABLE)) {
        condition::remove(&mut status.conditions, of_group::DESTINATION_INFO_AVAILABLE);
    }
    if !plan.outlook.keep_entries {
        totals(snapshot, &mut status);
    }
    status.state = state(snapshot, &status.conditions);
    Written { status, overdue: made.overdue, next_deadline: made.next_deadline }
}

/// The eight conditions that are there from the first sight on.
fn initial(conditions: &mut Vec<Condition>, now: Timestamp) {
    for type_ in of_group::INITIAL {
        if condition::find(conditions, type_).is_none() {
            let first = Condition::new(type_, ConditionStatus::Unknown, reason::INITIALIZING, "not looked at yet", 0);
            condition::set(conditions, first, now);
        }
    }
}

/// The entries of the plan, with what went wrong in them.
fn entries(plan: &Plan, outcome: &Outcome) -> Vec<Entry> {
    let mut entries = Vec::new();
    for volume in &plan.volumes {
        let Some(mut entry) = volume.entry.clone() else { continue };
        if let Some((_, why)) = outcome.volumes.iter().find(|(claim, _)| *claim == volume.claim) {
            entry.verdicts.insert(of_claim::DATA_READY, Verdict::no(reason::ERROR, why.clone()));
        }
        entries.push(entry);
    }
    entries.sort_by(|a, b| (&a.pvc.namespace, &a.pvc.name).cmp(&(&b.pvc.namespace, &b.pvc.name)));
    entries
}

fn verdicts(snapshot: &Snapshot, plan: &Plan, outcome: &Outcome, entries: &[Entry]) -> Vec<(&'static str, Verdict)> {
    let outlook = &plan.outlook;
    let role = snapshot.role().unwrap_or(Role::Primary);
    let mut said = Vec::new();
    let failed = || {
        let claims = outcome.volumes.iter().map(|(claim, why)| format!("{claim}: {why}"));
        let all: Vec<String> = outcome.group.iter().cloned().chain(claims).collect();
        (!all.is_empty()).then(|| Verdict::no(reason::ERROR, all.join(". ")))
    };
    if let Some(verdict) = &outlook.data_ready {
        said.push((of_group::DATA_READY, verdict.clone()));
    } else if !outlook.keep_entries {
        let group = outcome.group.as_ref().map(|why| Verdict::no(reason::ERROR, why.clone()));
        said.push((of_group::DATA_READY, group.unwrap_or_else(|| data_ready(entries, role))));
    }
    if !outlook.keep_entries {
        said.push((of_group::DATA_PROTECTED, data_protected(entries)));
        said.extend(destination(entries).map(|verdict| (of_group::DESTINATION_INFO_AVAILABLE, verdict)));
    }
    if let Some(verdict) = &outlook.cluster_data_ready {
        // While it is being restored, what failed is what counts.
        let verdict = match (outlook.keep_entries, failed()) {
            (true, Some(failed)) => failed,
            _ => verdict.clone(),
        };
        said.push((of_group::CLUSTER_DATA_READY, verdict));
    }
    said.extend(outlook.kube_objects_ready.clone().map(|verdict| (of_group::KUBE_OBJECTS_READY, verdict)));
    if let Some(verdict) = &outlook.cluster_data_protected {
        said.push((of_group::CLUSTER_DATA_PROTECTED, verdict.clone()));
    } else if !outlook.keep_entries {
        said.push((of_group::CLUSTER_DATA_PROTECTED, cluster_data_protected(entries)));
    }
    if snapshot.order.is_ok() && !snapshot.deleting() {
        let conflict = outlook.no_conflict.clone();
        let none = || Verdict::yes(reason::NO_CONFLICT_DETECTED, "nothing on this cluster contradicts the order");
        said.push((of_group::NO_CLUSTER_DATA_CONFLICT, conflict.unwrap_or_else(none)));
        said.push((
            of_group::AUTO_CLEANUP,
            Verdict::no(reason::UNUSED, "the group has no virtual machines to clean up"),
        ));
    }
    said
}

fn first<'a>(
    entries: &'a [Entry],
    type_: &'static str,
    wanted: impl Fn(&Verdict) -> bool,
) -> Option<(&'a Entry, &'a Verdict)> {
    entries
        .iter()
        .find_map(|entry| entry.verdicts.get(type_).filter(|verdict| wanted(verdict)).map(|verdict| (entry, verdict)))
}

fn name(entry: &Entry) -> String {
    format!("claim {}/{}", entry.pvc.namespace, entry.pvc.name)
}

fn about((entry, verdict): (&Entry, &Verdict)) -> String {
    format!("{}: {}", name(entry), verdict.message)
}

/// Errors go before progress, so that one waiting claim does not hide what went wrong with another.
fn data_ready(entries: &[Entry], role: Role) -> Verdict {
    let not_true = |verdict: &Verdict| verdict.status != ConditionStatus::True;
    if entries.is_empty() {
        return Verdict::yes(reason::UNUSED, "no claims to be replicated");
    }
    let error =
        first(entries, of_claim::DATA_READY, |verdict| not_true(verdict) && verdict.reason != reason::PROGRESSING);
    if let Some(found) = error {
        return Verdict::no(reason::ERROR, about(found));
    }
    if let Some(found) = first(entries, of_claim::DATA_READY, not_true) {
        return Verdict { waiting: found.1.waiting, ..Verdict::no(reason::PROGRESSING, about(found)) };
    }
    match role {
        Role::Primary => Verdict::yes(reason::READY, "all claims are primary"),
        Role::Secondary => Verdict::yes(reason::REPLICATING, "all claims are secondary"),
    }
}

fn data_protected(entries: &[Entry]) -> Verdict {
    if entries.is_empty() {
        return Verdict::yes(reason::UNUSED, "no claims to be replicated");
    }
    let missing = entries.iter().find(|entry| !entry.verdicts.contains_key(of_claim::DATA_PROTECTED));
    let error = |verdict: &Verdict| verdict.status != ConditionStatus::True && verdict.reason != reason::REPLICATING;
    if let Some(found) = first(entries, of_claim::DATA_PROTECTED, error) {
        return Verdict::no(reason::ERROR, about(found));
    }
    if let Some(entry) = missing {
        // The reference product calls this an error; nothing failed, replication has not begun.
        return Verdict::no(reason::REPLICATING, format!("{}: not replicated yet", name(entry)));
    }
    match first(entries, of_claim::DATA_PROTECTED, |verdict| verdict.reason == reason::REPLICATING) {
        Some(_) => Verdict::no(reason::REPLICATING, "the claims are being replicated"),
        None => Verdict::yes(reason::DATA_PROTECTED, "the peer has all data"),
    }
}

fn cluster_data_protected(entries: &[Entry]) -> Verdict {
    if entries.is_empty() {
        return Verdict::yes(reason::UNUSED, "no claims to be stored");
    }
    let error = |verdict: &Verdict| verdict.reason != reason::UPLOADED && verdict.reason != reason::UPLOADING;
    if let Some(found) = first(entries, of_claim::CLUSTER_DATA_PROTECTED, error) {
        return Verdict { reason: found.1.reason, ..Verdict::no(reason::UPLOAD_ERROR, about(found)) };
    }
    let open = entries.iter().find(|entry| {
        entry.verdicts.get(of_claim::CLUSTER_DATA_PROTECTED).is_none_or(|verdict| verdict.reason == reason::UPLOADING)
    });
    match open {
        Some(entry) => Verdict::no(reason::UPLOADING, format!("{}: not stored yet", name(entry))),
        None => Verdict::yes(reason::UPLOADED, "volumes, claims and the group are in every store"),
    }
}

fn destination(entries: &[Entry]) -> Option<Verdict> {
    let type_ = of_group::DESTINATION_INFO_AVAILABLE;
    first(entries, type_, |_| true)?;
    Some(match first(entries, type_, |verdict| verdict.status != ConditionStatus::True) {
        Some(found) => Verdict::no(reason::PROGRESSING, about(found)),
        None => Verdict::yes(reason::READY, "the volumes' names on the peer are known"),
    })
}

/// The oldest time, the longest duration, the sum of bytes; a secondary sends nothing.
fn totals(snapshot: &Snapshot, status: &mut VolumeReplicationGroupStatus) {
    let sends = snapshot.role() == Some(Role::Primary);
    let claims: &[ProtectedPVC] = if sends { &status.protected_pvcs } else { &[] };
    let times: Option<Vec<Time>> = claims.iter().map(|pvc| pvc.last_sync_time.clone()).collect();
    let oldest = times.unwrap_or_default().into_iter().map(|time| time.0).min().map(Time);
    let longest: Option<GoDuration> = claims.iter().filter_map(|pvc| pvc.last_sync_duration).max();
    let bytes: Vec<i64> = claims.iter().filter_map(|pvc| pvc.last_sync_bytes).collect();
    status.last_group_sync_time = oldest;
    status.last_group_sync_duration = longest;
    status.last_group_sync_bytes =
        (!bytes.is_empty()).then(|| bytes.iter().fold(0_i64, |sum, own| sum.saturating_add(*own)));
}

fn state(snapshot: &Snapshot, conditions: &[Condition]) -> VRGState {
    let holds = |type_| condition::is_true_at(conditions, type_, snapshot.generation());
    match &snapshot.order {
        Ok(order) if holds(of_group::DATA_READY) => match (order.role, order.intent) {
            (Role::Primary, _) => VRGState::Primary,
            (Role::Secondary, Intent::Relocate | Intent::Return | Intent::Reclaim)
                if !holds(of_group::DATA_PROTECTED) =>
            {
                VRGState::Unknown
            }
            (Role::Secondary, _) => VRGState::Secondary,
        },
        _ => VRGState::Unknown,
    }
}

/// Sets conditions, and keeps an eye on how long something has been waited for.
struct Maker {
    now: Timestamp,
    generation: i64,
    overdue: Vec<String>,
    next_deadline: Option<Timestamp>,
}

impl Maker {
    fn protected(&mut self, entry: &Entry, last: &[ProtectedPVC]) -> ProtectedPVC {
        let before = last.iter().find(|pvc| {
            pvc.name == entry.pvc.name && (pvc.namespace == entry.pvc.namespace || pvc.namespace.is_empty())
        });
        let mut pvc = entry.pvc.clone();
        // Conditions that this pass says nothing of are those of another time.
        let said = |condition: &&Condition| entry.verdicts.contains_key(condition.type_.as_str());
        pvc.conditions = before.map(|pvc| pvc.conditions.iter().filter(said).cloned().collect()).unwrap_or_default();
        for (type_, verdict) in &entry.verdicts {
            self.set(&mut pvc.conditions, type_, verdict.clone());
        }
        pvc
    }

    fn set(&mut self, conditions: &mut Vec<Condition>, type_: &str, verdict: Verdict) {
        let mut message = verdict.message;
        if verdict.waiting {
            let same = condition::find(conditions, type_).filter(|old| {
                old.status == verdict.status && old.reason == verdict.reason && old.message.starts_with(&message)
            });
            let since = same.and_then(|old| noted_since(&old.message)).unwrap_or(self.now);
            let overdue_at = since.checked_add(OVERDUE).unwrap_or(Timestamp::MAX);
            message = format!("{message}{SINCE}{since})");
            if overdue_at <= self.now {
                message.push_str(", which is longer than it should take");
                self.overdue.push(message.clone());
            } else {
                self.next_deadline = Some(self.next_deadline.map_or(overdue_at, |next| next.min(overdue_at)));
            }
        }
        condition::set(
            conditions,
            Condition::new(type_, verdict.status, verdict.reason, message, self.generation),
            self.now,
        );
    }
}

const SINCE: &str = " (since ";

/// Since when something has been waited for, as an earlier pass noted it.
fn noted_since(message: &str) -> Option<Timestamp> {
    let (_, rest) = message.rsplit_once(SINCE)?;
    rest.split_once(')')?.0.parse().ok()
}
