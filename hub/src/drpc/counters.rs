//! The annotation that counts an application's actions, for the metric `ramen_dr_actions`.

use kaedama_shared::api::DRPlacementControl;
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use serde::{Deserialize, Serialize};

/// What the annotation holds. Malformed text counts from zero, as in the reference product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Failovers begun.
    pub failover: u64,
    /// Relocates begun.
    pub relocate: u64,
    /// The phase that the last action led into.
    pub last_phase: String,
}

impl Counters {
    /// Reads an application's counters.
    pub fn of(drpc: &DRPlacementControl) -> Self {
        let text = drpc.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::DR_ACTION_COUNT));
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// The annotation's text once `record` is written: an action is counted when its record first appears.
pub fn after(drpc: &DRPlacementControl, record: &ActionRecord) -> String {
    let mut counters = Counters::of(drpc);
    let stored = drpc
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| ActionRecord::from_annotations(annotations).ok().flatten());
    if stored.is_none_or(|stored| stored.id != record.id) {
        match record.kind {
            ActionKind::Deploy => "Deploying".clone_into(&mut counters.last_phase),
            ActionKind::Failover => {
                counters.failover += 1;
                "FailingOver".clone_into(&mut counters.last_phase);
            }
            ActionKind::Relocate => {
                counters.relocate += 1;
                "Relocating".clone_into(&mut counters.last_phase);
            }
        }
    }
    // Numbers and a string always serialise.
    serde_json::to_string(&counters).unwrap_or_default()
}
