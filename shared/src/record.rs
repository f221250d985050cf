//! The action record: one action of one application, decided once.
//!
//! It is written into an annotation of the DRPlacementControl before the action's first step, travels in the same
//! annotation of the VolumeReplicationGroup to the clusters and from there into S3. A later edit of the spec
//! therefore cannot silently change the course of an action that runs, the source of a failover is never
//! derived again from what is left of it, and a hub that lost everything can rebuild what was going on.

use serde::{Deserialize, Serialize};

use crate::names;

/// What kind of action it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionKind {
    /// First placement on the preferred cluster.
    Deploy,
    /// The source is lost or given up; what came after the last sync is lost with it.
    Failover,
    /// Planned move; nothing may be lost.
    Relocate,
}

impl ActionKind {
    /// The value of `spec.action` that asks for it; empty for the first placement.
    pub fn as_spec(self) -> &'static str {
        match self {
            ActionKind::Deploy => "",
            ActionKind::Failover => "Failover",
            ActionKind::Relocate => "Relocate",
        }
    }
}

/// How far an action has come. Steps are only ever passed forwards; each is written before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// Accepted; nothing outside of the hub has been touched. An edit may still replace the action.
    Accepted,
    /// Relocate only: the source is being brought to rest. An edit back to the source still cancels.
    Quiescing,
    /// The target has been told to become primary. From here on the action goes to its end.
    Promoting,
    /// The application is placed on the target.
    Placed,
    /// The source has been cleaned up and is a secondary again.
    Completed,
}

/// One action of one application. Serialised as compact JSON into the annotation [`names::ACTION_RECORD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecord {
    /// Unique for this action: `<DRPC uid>-<epoch>`.
    pub id: String,
    /// Raised by one with each action of an application. Writers of metadata carry it; an older one is refused.
    pub epoch: u64,
    /// What is done.
    pub kind: ActionKind,
    /// The cluster that the application comes from; empty for a first placement.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The cluster that the application goes to.
    pub to: String,
    /// `metadata.generation` of the DRPlacementControl that asked for it.
    pub generation: i64,
    /// When it was accepted, RFC 3339, UTC.
    pub started: jiff::Timestamp,
    /// The step that it has reached.
    pub step: Step,
}

/// Why an annotation does not hold an action record.
#[derive(Debug, thiserror::Error)]
#[error("annotation {key} is not an action record: {source}", key = names::ACTION_RECORD)]
pub struct MalformedRecord {
    #[from]
    source: serde_json::Error,
}

impl ActionRecord {
    /// A new record at [`Step::Accepted`].
    pub fn accept(
        drpc_uid: &str,
        epoch: u64,
        kind: ActionKind,
        from: &str,
        to: &str,
        generation: i64,
        now: jiff::Timestamp,
    ) -> Self {
        ActionRecord {
            id: format!("{drpc_uid}-{epoch}"),
            epoch,
            kind,
            from: from.to_owned(),
            to: to.to_owned(),
            generation,
            started: now,
            step: Step::Accepted,
        }
    }

    /// The same action, one or more steps on. A step that was passed already stays passed.
    pub fn reached(mut self, step: Step) -> Self {
        self.step = self.step.max(step);
        self
    }

    /// The way back of a relocate that was called off after its application had been stopped.
    pub fn is_way_back(&self) -> bool {
        !self.from.is_empty() && self.from == self.to
    }

    /// True while something is still to be done.
    pub fn is_running(&self) -> bool {
        self.step < Step::Completed
    }

    /// The annotation's value.
    pub fn to_annotation(&self) -> String {
        // A struct of strings, numbers and unit variants always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the record from an object's annotations; none is `Ok(None)`.
    pub fn from_annotations(
        annotations: &std::collections::BTreeMap<String, String>,
    ) -> Result<Option<Self>, MalformedRecord> {
        annotations
            .get(names::ACTION_RECORD)
            .filter(|text| !text.is_empty())
            .map(|text| serde_json::from_str(text).map_err(MalformedRecord::from))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ActionRecord {
        let now = "2026-03-01T03:00:00Z".parse().unwrap();
        ActionRecord::accept("u-1", 3, ActionKind::Failover, "dr1", "dr2", 7, now)
    }

    #[test]
    fn survives_the_annotation() {
        let annotations = [(names::ACTION_RECORD.to_owned(), record().to_annotation())].into();
        assert_eq!(ActionRecord::from_annotations(&annotations).unwrap(), Some(record()));
    }

    #[test]
    fn absent_and_malformed_are_told_apart() {
        assert!(ActionRecord::from_annotations(&Default::default()).unwrap().is_none());
        let bad = [(names::ACTION_RECORD.to_owned(), "{".to_owned())].into();
        assert!(ActionRecord::from_annotations(&bad).is_err());
    }

    #[test]
    fn steps_only_go_forwards() {
        let placed = record().reached(Step::Placed);
        assert_eq!(placed.reached(Step::Quiescing).step, Step::Placed);
    }
}
