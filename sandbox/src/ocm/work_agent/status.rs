//! The status of a work, from what applying and looking gave. Pure.

use jiff::Timestamp;
use kaedama_shared::api::condition::{Condition, ConditionStatus, set};
use kaedama_shared::api::ocm::work::{APPLIED, AVAILABLE, ManifestStatus, ManifestWorkStatus, STATUS_FEEDBACK_SYNCED};

use super::apply::{Look, Outcome};
use super::feedback::{Limits, values};
use super::manifest::Manifest;

/// One manifest with what became of it.
pub(super) struct Seen<'a> {
    /// The manifest.
    pub(super) manifest: &'a Manifest,
    /// What applying gave.
    pub(super) outcome: &'a Outcome,
    /// What is on the cluster.
    pub(super) look: Look,
}

/// The status of a work at this generation. `before` is the status that was reported last: transition times and the
/// values of objects that are gone are carried over from it.
pub(super) fn status(
    before: &ManifestWorkStatus,
    seen: &[Seen<'_>],
    generation: i64,
    limits: Limits,
    now: Timestamp,
) -> ManifestWorkStatus {
    let mut manifests: Vec<ManifestStatus> =
        seen.iter().map(|seen| manifest_status(before, seen, generation, limits, now)).collect();
    manifests.sort_by_key(|manifest| manifest.resource_meta.ordinal);
    let mut status = before.clone();
    set(&mut status.conditions, applied(seen, generation), now);
    set(&mut status.conditions, available(&manifests, generation), now);
    status.resource_status.manifests = manifests;
    status
}

fn manifest_status(
    before: &ManifestWorkStatus,
    seen: &Seen<'_>,
    generation: i64,
    limits: Limits,
    now: Timestamp,
) -> ManifestStatus {
    let meta = &seen.manifest.meta;
    let same = |old: &&ManifestStatus| {
        let old = &old.resource_meta;
        (&old.group, &old.kind, &old.namespace, &old.name) == (&meta.group, &meta.kind, &meta.namespace, &meta.name)
    };
    let mut status = before.resource_status.manifests.iter().find(same).cloned().unwrap_or_default();
    status.resource_meta = meta.clone();
    let applied = match seen.outcome {
        Outcome::Applied { .. } => {
            let message = "the manifest is applied";
            Condition::new(APPLIED, ConditionStatus::True, "AppliedManifestComplete", message, generation)
        }
        Outcome::Failed { reason, message, .. } => {
            let message = format!("the manifest is not applied: {message}");
            Condition::new(APPLIED, ConditionStatus::False, reason, message, generation)
        }
    };
    // Of what it looks at the agent does not say for which generation, as OCM's.
    let condition = |type_: &str, status: ConditionStatus, reason: &str, message: &str| {
        Condition::new(type_, status, reason, message, 0)
    };
    let (state, reason, message) = match &seen.look {
        Look::Found(_) => (ConditionStatus::True, "ResourceAvailable", "the resource exists".to_owned()),
        Look::Missing => (ConditionStatus::False, "ResourceNotAvailable", "the resource does not exist".to_owned()),
        Look::Refused(why) => (ConditionStatus::Unknown, "FetchingResourceFailed", why.clone()),
        Look::NoKind(why) => (ConditionStatus::Unknown, "IncompleteResourceMeta", why.clone()),
    };
    set(&mut status.conditions, applied, now);
    set(&mut status.conditions, condition(AVAILABLE, state, reason, &message), now);
    feedback(&mut status, seen, limits, &condition, now);
    // Conditions of rules are not computed here; saying so is better than leaving them out in silence.
    for rule in &seen.manifest.options.conditions {
        let why = "condition rules are not evaluated by this agent";
        let unknown =
            Condition::new(&rule.condition, ConditionStatus::Unknown, "ConditionRuleInvalid", why, generation);
        set(&mut status.conditions, unknown, now);
    }
    status
}

fn feedback(
    status: &mut ManifestStatus,
    seen: &Seen<'_>,
    limits: Limits,
    condition: &impl Fn(&str, ConditionStatus, &str, &str) -> Condition,
    now: Timestamp,
) {
    let rules = &seen.manifest.options.feedback;
    if rules.is_empty() {
        status.status_feedback.values.clear();
        let none =
            condition(STATUS_FEEDBACK_SYNCED, ConditionStatus::True, "NoStatusFeedbackSynced", "nothing to report");
        set(&mut status.conditions, none, now);
        return;
    }
    // Values outlive the object that they came from.
    let Look::Found(object) = &seen.look else { return };
    let (values, errors) = values(rules, object, limits);
    status.status_feedback.values = values;
    let synced = if errors.is_empty() {
        condition(STATUS_FEEDBACK_SYNCED, ConditionStatus::True, "StatusFeedbackSynced", "the values are current")
    } else {
        condition(STATUS_FEEDBACK_SYNCED, ConditionStatus::False, "StatusFeedbackSyncFailed", &errors.join("; "))
    };
    set(&mut status.conditions, synced, now);
}

fn applied(seen: &[Seen<'_>], generation: i64) -> Condition {
    if seen.iter().all(|seen| seen.outcome.is_applied()) {
        let message = "all manifests are applied";
        Condition::new(APPLIED, ConditionStatus::True, "AppliedManifestWorkComplete", message, generation)
    } else {
        let message = "not all manifests are applied";
        Condition::new(APPLIED, ConditionStatus::False, "AppliedManifestWorkFailed", message, generation)
    }
}

fn available(manifests: &[ManifestStatus], generation: i64) -> Condition {
    let states = |wanted: &ConditionStatus| {
        let state = |manifest: &&ManifestStatus| {
            manifest.conditions.iter().any(|condition| condition.type_ == AVAILABLE && condition.status == *wanted)
        };
        manifests.iter().filter(state).count()
    };
    let (missing, unknown) = (states(&ConditionStatus::False), states(&ConditionStatus::Unknown));
    let (status, reason, message) = if missing > 0 {
        let message = format!("{missing} of {} resources do not exist", manifests.len());
        (ConditionStatus::False, "ResourcesNotAvailable", message)
    } else if unknown > 0 || manifests.is_empty() {
        let message = format!("{unknown} of {} resources have an unknown state", manifests.len());
        (ConditionStatus::Unknown, "ResourcesStatusUnknown", message)
    } else {
        (ConditionStatus::True, "ResourcesAvailable", "all resources exist".to_owned())
    };
    Condition::new(AVAILABLE, status, reason, message, generation)
}
