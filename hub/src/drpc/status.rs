//! The status: derived once per pass, from the snapshot and the plan, and written last.

use jiff::Timestamp;
use kaedama_shared::api::conditions::drpc as types;
use kaedama_shared::api::{
    Condition, ConditionStatus, DRPlacementControlStatus, DRState, GoDuration, PlacementDecision, Time, VRGConditions,
    VRGResourceMeta, VolumeReplicationGroup, condition,
};

use super::plan::{Outlook, Plan, Verdict};
use super::protected;
use super::snapshot::Snapshot;

/// The status after this pass. Equal to the one before where nothing changed, but for `lastUpdateTime`.
pub fn status(s: &Snapshot, plan: &Plan) -> DRPlacementControlStatus {
    let outlook = &plan.outlook;
    let before = s.drpc.status.clone().unwrap_or_default();
    let mut after = before.clone();
    after.phase = outlook.phase.clone();
    after.progression = outlook.progression.clone();
    times(&mut after, outlook, s.now);
    // The phase can stay while another action takes its turn: then the start of the action changes.
    let turned = after.phase != before.phase || after.action_start_time != before.action_start_time;
    if turned || before.observed_generation == 0 {
        after.observed_generation = s.generation();
    }
    if after.preferred_decision == PlacementDecision::default() && after.phase.is_final() {
        let cluster = s.drpc.spec.preferred_cluster.clone();
        after.preferred_decision = PlacementDecision { cluster_name: cluster.clone(), cluster_namespace: cluster };
    }
    conditions(&mut after.conditions, s, outlook);
    resources(&mut after, s, outlook);
    if same_but_for_update_time(&before, &after) {
        return before;
    }
    after.last_update_time = Some(Time(whole_second(s.now)));
    after
}

/// Start and duration of the action. The duration is filled in once, when the action has ended.
fn times(after: &mut DRPlacementControlStatus, outlook: &Outlook, now: Timestamp) {
    let now = whole_second(now);
    if let Some(started) = outlook.started {
        let started = Time(whole_second(started));
        if after.action_start_time.as_ref() != Some(&started) {
            after.action_start_time = Some(started);
            after.action_duration = None;
        }
    }
    if outlook.ended && after.action_duration.is_none() {
        after.action_duration = after
            .action_start_time
            .as_ref()
            .map(|started| GoDuration::from_secs(now.duration_since(started.0).as_secs().max(0)));
    }
}

/// The three conditions whose places are part of the contract, and whatever others there are behind them.
fn conditions(conditions: &mut Vec<Condition>, s: &Snapshot, outlook: &Outlook) {
    let generation = s.generation();
    let initial = |type_: &str| match type_ {
        types::PROTECTED => Verdict::no("Unknown", "Initialization"),
        _ => Verdict::yes("Initiating", "Initialization"),
    };
    let mut ordered: Vec<Condition> = Vec::new();
    for type_ in types::FIXED {
        match condition::find(conditions, type_) {
            Some(existing) => ordered.push(existing.clone()),
            None => set(&mut ordered, type_, &initial(type_), generation, s.now),
        }
    }
    ordered.extend(conditions.iter().filter(|condition| !types::FIXED.contains(&condition.type_.as_str())).cloned());
    *conditions = ordered;
    if let Some(verdict) = &outlook.available {
        set(conditions, types::AVAILABLE, verdict, generation, s.now);
    }
    if let Some(verdict) = &outlook.peer_ready {
        set(conditions, types::PEER_READY, verdict, generation, s.now);
    }
    set(conditions, types::PROTECTED, &protected::protected(reported(s, outlook)), generation, s.now);
}

fn set(conditions: &mut Vec<Condition>, type_: &str, verdict: &Verdict, generation: i64, now: Timestamp) {
    let status = ConditionStatus::from(verdict.status);
    let new = Condition::new(type_, status, &verdict.reason, verdict.message.clone(), generation);
    condition::set(conditions, new, whole_second(now));
}

/// The VRG that feeds the status, with the cluster it is on. What an unreachable cluster said last is still shown: it
/// is what is protected; decisions never rely on it.
fn reported<'a>(s: &'a Snapshot, outlook: &'a Outlook) -> Option<(&'a str, &'a VolumeReplicationGroup)> {
    let cluster = outlook.reported.as_deref().or_else(|| s.live_decision()).unwrap_or(&s.drpc.spec.preferred_cluster);
    let site = s.site(cluster)?;
    let last = site.work.present().and_then(|work| work.last_report.as_ref());
    site.vrg.present().or(last).map(|vrg| (cluster, vrg))
}

/// What the reported VRG says about the application's resources and their last synchronisation.
fn resources(after: &mut DRPlacementControlStatus, s: &Snapshot, outlook: &Outlook) {
    let Some((_, vrg)) = reported(s, outlook) else {
        after.resource_conditions = VRGConditions::default();
        return;
    };
    let status = vrg.status.clone().unwrap_or_default();
    after.resource_conditions = VRGConditions {
        conditions: protected::with_conflicts(s, &status.conditions),
        resource_meta: VRGResourceMeta {
            kind: "VolumeReplicationGroup".to_owned(),
            name: vrg.metadata.name.clone().unwrap_or_default(),
            namespace: vrg.metadata.namespace.clone().unwrap_or_default(),
            generation: vrg.metadata.generation.unwrap_or_default(),
            resource_version: vrg.metadata.resource_version.clone().unwrap_or_default(),
            protected_pvcs: status.protected_pvcs.iter().map(|pvc| pvc.name.clone()).collect(),
            pvc_groups: status.pvc_groups.clone(),
            ..Default::default()
        },
    };
    // Nobody reports sync times while a source comes to rest or a target is restored; the last known ones are kept: they
    // say how much a failover may cost.
    let moving = matches!(after.phase, DRState::Relocating | DRState::FailingOver);
    if status.last_group_sync_time.is_some() || !moving {
        after.last_group_sync_time = status.last_group_sync_time;
        after.last_group_sync_duration = status.last_group_sync_duration;
        after.last_group_sync_bytes = status.last_group_sync_bytes;
    }
    let captured = status.kube_object_protection.capture_to_recover_from.and_then(|capture| capture.end_time);
    after.last_kube_object_protection_time = captured.or(after.last_kube_object_protection_time.take());
}

/// The version of the reported VRG changes with each of its writes and tells nobody anything.
fn same_but_for_update_time(a: &DRPlacementControlStatus, b: &DRPlacementControlStatus) -> bool {
    let without = |status: &DRPlacementControlStatus| {
        let mut status = DRPlacementControlStatus { last_update_time: None, ..status.clone() };
        status.resource_conditions.resource_meta.resource_version.clear();
        status
    };
    without(a) == without(b) && a.last_update_time.is_some()
}

fn whole_second(time: Timestamp) -> Timestamp {
    kaedama_shared::clock::whole_seconds(time)
}
