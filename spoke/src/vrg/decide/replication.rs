//! Reads the status of a VolumeReplication: what it says of the claim, and whether it has come to rest.
//!
//! A condition counts only if it was derived from the object's present generation.

use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::api::{Condition, ConditionStatus, condition};

use crate::vrg::evidence::AtRest;
use crate::vrg::order::Intent;
use crate::vrg::plan::Verdict;
use crate::vrg::snapshot::Replication;

/// Annotation that allows a forced promotion of one generation. Storage that asks for it refuses with a text that
/// begins with `force required:`.
pub const ALLOW_FORCE: &str = "replication.unified.io/allow-force";
const FORCE_REQUIRED: &str = "force required:";

/// Whether the storage refused the promotion for want of consent to force it, and nobody gave it yet.
#[must_use]
pub fn asks_for_force(replication: &Replication) -> bool {
    let refused = match read(replication, "Completed") {
        Reading::Known(false, found) => {
            found.message.contains(FORCE_REQUIRED) || replication.message.contains(FORCE_REQUIRED)
        }
        Reading::Known(true, _) | Reading::Missing | Reading::Stale | Reading::Unknown(_) => false,
    };
    settled(replication) && refused && replication.force_consent != replication.generation.to_string()
}

/// What a VolumeReplication says.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Of the claim's DataReady.
    pub data_ready: Verdict,
    /// Of the claim's DataProtected, where it says anything.
    pub data_protected: Option<Verdict>,
    /// It may be deleted now.
    pub at_rest: Option<AtRest>,
    /// Its counters of synchronisation are valid.
    pub counters: bool,
}

impl Judgement {
    fn progressing(message: impl Into<String>) -> Self {
        Self {
            data_ready: Verdict::waits(reason::PROGRESSING, message),
            data_protected: None,
            at_rest: None,
            counters: false,
        }
    }

    fn error(message: &str) -> Self {
        Self {
            data_ready: Verdict::no(reason::ERROR, message),
            data_protected: Some(Verdict::no(reason::ERROR, message)),
            at_rest: None,
            counters: false,
        }
    }
}

/// A condition as far as it can be relied on.
enum Reading<'a> {
    Missing,
    Stale,
    Unknown(&'a Condition),
    Known(bool, &'a Condition),
}

fn read<'a>(replication: &'a Replication, type_: &str) -> Reading<'a> {
    match condition::find(&replication.conditions, type_) {
        None => Reading::Missing,
        Some(found) if found.observed_generation != replication.generation => Reading::Stale,
        Some(found) => match found.status {
            ConditionStatus::True => Reading::Known(true, found),
            ConditionStatus::False => Reading::Known(false, found),
            ConditionStatus::Unknown | ConditionStatus::Other(_) => Reading::Unknown(found),
        },
    }
}

fn holds(replication: &Replication, type_: &str) -> Option<bool> {
    match read(replication, type_) {
        Reading::Known(value, _) => Some(value),
        Reading::Missing | Reading::Stale | Reading::Unknown(_) => None,
    }
}

/// The driver's own words, where it has any.
fn driver_says(replication: &Replication, found: Option<&Condition>, otherwise: &str) -> String {
    let said = found.map(|condition| condition.message.as_str()).filter(|text| !text.is_empty());
    let said = said.or(Some(replication.message.as_str()).filter(|text| !text.is_empty()));
    match said {
        Some(text) => format!("{otherwise}: {text}"),
        None => otherwise.to_owned(),
    }
}

/// What every role demands first: that the storage has completed this generation. The judgement of one that has not.
fn not_completed(replication: &Replication, role: &str) -> Option<Judgement> {
    match read(replication, "Completed") {
        Reading::Known(true, _) => None,
        Reading::Known(false, found) => Some(Judgement::error(&driver_says(
            replication,
            Some(found),
            &format!("the storage did not make it {role}"),
        ))),
        Reading::Missing | Reading::Stale | Reading::Unknown(_) => {
            Some(Judgement::progressing(format!("waiting for the storage to make it {role}")))
        }
    }
}

fn settled(replication: &Replication) -> bool {
    replication.observed_generation == replication.generation
}

/// Judges a VolumeReplication that is to be primary. `leaving`: the group or the claim's protection ends, so one that
/// the storage refuses to validate, and that will therefore never complete, may go.
#[must_use]
pub fn as_primary(replication: &Replication, leaving: bool) -> Judgement {
    if !settled(replication) {
        return Judgement::progressing("waiting for the storage to look at the VolumeReplication");
    }
    match read(replication, "Validated") {
        Reading::Missing | Reading::Known(true, _) => {}
        Reading::Known(false, found) => {
            let text = driver_says(replication, Some(found), "the storage refuses to replicate the volume");
            let mut judgement = Judgement::error(&text);
            judgement.at_rest = leaving.then(|| AtRest::judged(&replication.id.uid));
            return judgement;
        }
        Reading::Unknown(found) => {
            return Judgement::error(&driver_says(
                replication,
                Some(found),
                "the storage cannot tell whether it can replicate",
            ));
        }
        Reading::Stale => return Judgement::progressing("waiting for the storage to validate the volume"),
    }
    if let Some(judgement) = not_completed(replication, "primary") {
        return judgement;
    }
    Judgement {
        data_ready: Verdict::yes(reason::READY, "the volume is primary and replicates"),
        data_protected: Some(Verdict::no(reason::REPLICATING, "the volume replicates to its peer")),
        at_rest: leaving.then(|| AtRest::judged(&replication.id.uid)),
        counters: true,
    }
}

/// Judges a VolumeReplication that is to be secondary.
///
/// After a failover a copy that is being synchronised again is good enough: the data is on the other side. A planned
/// move must not lose anything, so it waits until the copy says that it is in step.
#[must_use]
pub fn as_secondary(replication: &Replication, intent: Intent) -> Judgement {
    if !settled(replication) {
        return Judgement::progressing("waiting for the storage to look at the VolumeReplication");
    }
    if let Some(judgement) = not_completed(replication, "secondary") {
        return judgement;
    }
    let (resyncing, degraded) = (holds(replication, "Resyncing"), holds(replication, "Degraded"));
    match (resyncing, degraded) {
        (Some(true), Some(true)) => Judgement {
            data_ready: Verdict::yes(reason::REPLICATING, "the volume is secondary and is being synchronised again"),
            data_protected: Some(Verdict::waits(
                reason::REPLICATING,
                "waiting for the volume to be in step with its peer",
            )),
            at_rest: (!matches!(intent, Intent::Relocate | Intent::Return))
                .then(|| AtRest::judged(&replication.id.uid)),
            counters: false,
        },
        (Some(false), Some(false)) if replication.state == "Secondary" => Judgement {
            data_ready: Verdict::yes(reason::REPLICATED, "the volume is secondary and in step with its peer"),
            data_protected: Some(Verdict::yes(reason::DATA_PROTECTED, "the peer has all data of the volume")),
            at_rest: Some(AtRest::judged(&replication.id.uid)),
            counters: false,
        },
        // Just demoted: the storage does not know yet how the copy stands. It says so with this reason; any other is
        // an error.
        (Some(false), Some(true)) if degraded_on_purpose(replication) => {
            let mut judgement = Judgement::progressing("demoted, waiting for the last data to reach the peer");
            judgement.data_protected =
                Some(Verdict::waits(reason::REPLICATING, "waiting for the last data to reach the peer"));
            judgement
        }
        (None, _) | (_, None) => Judgement::progressing("waiting for the storage to report how the copy stands"),
        _ => {
            let found = condition::find(&replication.conditions, "Degraded");
            Judgement::error(&driver_says(replication, found, "the secondary volume is not in order"))
        }
    }
}

fn degraded_on_purpose(replication: &Replication) -> bool {
    condition::find(&replication.conditions, "Degraded").is_some_and(|found| found.reason == "VolumeDegraded")
}

/// What a VolumeReplication says about the volume's name on the peer's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The storage does not report it: the name is the same on both sides.
    Same,
    /// Not known yet.
    Pending,
    /// This is it.
    Known(String),
    /// The storage says that it is known and does not say it.
    Broken,
}

/// Reads the volume's name on the peer's storage.
#[must_use]
pub fn destination(replication: &Replication) -> Destination {
    match condition::find(&replication.conditions, "DestinationInfoAvailable") {
        None => Destination::Same,
        Some(found) if found.is_true() && !replication.destination_id.is_empty() => {
            Destination::Known(replication.destination_id.clone())
        }
        Some(found) if found.is_true() => Destination::Broken,
        Some(_) => Destination::Pending,
    }
}
