//! Conditions: one struct for every kind, tolerant on reading, and the rules for setting one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::tolerant;

open_enum! {
    /// Whether a condition holds.
    #[derive(Default)]
    pub enum ConditionStatus (closed) {
        /// It holds.
        True => "True",
        /// It does not hold.
        False => "False",
        /// Nobody can tell at the moment.
        #[default]
        Unknown => "Unknown",
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// The text that stands for an empty reason or message: the schema demands at least one character of a reason.
pub const NONE: &str = "none";

/// One aspect of the state of an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["lastTransitionTime", "message", "reason", "status", "type"]))]
pub struct Condition {
    /// When the status last changed.
    #[serde(deserialize_with = "tolerant::time", skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Details for people. May be empty.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The metadata.generation that the condition was derived from. A smaller one than the object's is out of date.
    #[serde(deserialize_with = "tolerant::nullable", skip_serializing_if = "tolerant::empty")]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// The reason of the last change, one word in CamelCase.
    #[serde(deserialize_with = "tolerant::nullable")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    /// True, False or Unknown.
    #[serde(deserialize_with = "tolerant::nullable")]
    pub status: ConditionStatus,
    /// What the condition is about, in CamelCase or as domain/CamelCase.
    #[serde(rename = "type", deserialize_with = "tolerant::nullable")]
    #[schemars(
        length(max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    pub type_: String,
}

impl Condition {
    /// A condition without a transition time; [`set`] fills that in.
    #[must_use]
    pub fn new(
        type_: &str,
        status: ConditionStatus,
        reason: &str,
        message: impl Into<String>,
        observed_generation: i64,
    ) -> Self {
        Self {
            type_: type_.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.into(),
            observed_generation,
            last_transition_time: None,
        }
    }

    /// Whether the condition holds, whatever generation it was derived from.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }

    /// Whether the condition says that it does not hold.
    #[must_use]
    pub fn is_false(&self) -> bool {
        self.status == ConditionStatus::False
    }

    /// Whether the condition was derived from exactly this generation of the object.
    #[must_use]
    pub fn is_at(&self, generation: i64) -> bool {
        self.observed_generation == generation
    }

    /// Whether the condition holds for exactly this generation of the object.
    #[must_use]
    pub fn is_true_at(&self, generation: i64) -> bool {
        self.is_true() && self.is_at(generation)
    }
}

/// The condition of this type, if there is one.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether there is a condition of this type and it holds, for whatever generation.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(Condition::is_true)
}

/// Whether there is a condition of this type and it holds for exactly this generation.
#[must_use]
pub fn is_true_at(conditions: &[Condition], type_: &str, generation: i64) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.is_true_at(generation))
}

/// Sets a condition in its place, or appends it. Returns whether anything changed.
///
/// The order of the list is part of the contract and is kept. `lastTransitionTime` becomes `now` only when the status
/// changes (or was never set). RamenDR also moves it when only the generation changes, which makes every edit of a
/// spec look like a flap; readers do not depend on that. An empty reason or message is written as [`NONE`].
pub fn set(conditions: &mut Vec<Condition>, new: Condition, now: jiff::Timestamp) -> bool {
    let mut new = new;
    for text in [&mut new.reason, &mut new.message] {
        if text.is_empty() {
            NONE.clone_into(text);
        }
    }
    let Some(old) = conditions.iter_mut().find(|old| old.type_ == new.type_) else {
        new.last_transition_time = Some(Time(now));
        conditions.push(new);
        return true;
    };
    new.last_transition_time = match &old.last_transition_time {
        Some(at) if old.status == new.status => Some(at.clone()),
        _ => Some(Time(now)),
    };
    let changed = *old != new;
    *old = new;
    changed
}

/// Removes the condition of this type. Returns whether there was one.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn new(type_: &str, status: ConditionStatus, reason: &str, generation: i64) -> Condition {
        Condition::new(type_, status, reason, "text", generation)
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, new("A", ConditionStatus::True, "One", 1), at(10)));
        assert!(set(&mut conditions, new("A", ConditionStatus::True, "Two", 2), at(20)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(10))));
        assert_eq!((conditions[0].reason.as_str(), conditions[0].observed_generation), ("Two", 2));
        assert!(set(&mut conditions, new("A", ConditionStatus::False, "Two", 2), at(30)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(30))));
    }

    #[test]
    fn setting_the_same_again_changes_nothing() {
        let mut conditions = Vec::new();
        let empty = Condition::new("A", ConditionStatus::Unknown, "", "", 0);
        assert!(set(&mut conditions, empty.clone(), at(10)));
        let before = conditions.clone();
        assert!(!set(&mut conditions, empty, at(20)));
        assert_eq!(conditions, before);
        assert_eq!((conditions[0].reason.as_str(), conditions[0].message.as_str()), (NONE, NONE));
    }

    #[test]
    fn a_condition_keeps_its_place() {
        let mut conditions = Vec::new();
        for type_ in ["A", "B", "C"] {
            set(&mut conditions, new(type_, ConditionStatus::Unknown, "Initializing", 1), at(1));
        }
        set(&mut conditions, new("B", ConditionStatus::True, "Done", 1), at(2));
        let order: Vec<_> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(order, ["A", "B", "C"]);
        assert!(remove(&mut conditions, "A") && !remove(&mut conditions, "A"));
        assert_eq!(conditions[0].type_, "B");
    }

    #[test]
    fn a_condition_holds_for_its_generation_only() {
        let mut conditions = Vec::new();
        set(&mut conditions, new("A", ConditionStatus::True, "Done", 3), at(1));
        assert!(is_true(&conditions, "A"));
        assert!(is_true_at(&conditions, "A", 3));
        assert!(!is_true_at(&conditions, "A", 4));
        assert!(!is_true(&conditions, "B"));
    }

    #[test]
    fn a_missing_transition_time_is_filled_in() {
        let mut conditions = vec![new("A", ConditionStatus::True, "Done", 1)];
        assert!(set(&mut conditions, new("A", ConditionStatus::True, "Done", 1), at(5)));
        assert_eq!(conditions[0].last_transition_time, Some(Time(at(5))));
    }
}
