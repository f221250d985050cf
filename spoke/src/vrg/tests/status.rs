//! The status.

use std::sync::Arc;

use kaedama_shared::api::{VRGState, condition, conditions};
use kaedama_shared::harness::ObjectKey;
use serde_json::json;

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::order::Order;
use crate::vrg::snapshot::Snapshot;
use crate::vrg::status::{OVERDUE, Outcome, status};

fn written(snapshot: &Snapshot) -> kaedama_shared::api::VolumeReplicationGroupStatus {
    status(snapshot, &decide(snapshot), &Outcome::default()).status
}

fn after(mut snapshot: Snapshot) -> Snapshot {
    let status = written(&snapshot);
    Arc::make_mut(&mut snapshot.vrg).status = Some(status);
    snapshot
}

#[test]
fn the_eight_conditions_are_there_from_the_first_sight_in_their_order() {
    let mut vrg = group(json!({"spec": {"replicationState": "both"}}));
    vrg.status = None;
    let status = written(&snapshot(vrg, vec![]));
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, conditions::vrg::INITIAL);
    for condition in &status.conditions {
        let expected = if condition.type_ == "DataReady" { ("False", "Error") } else { ("Unknown", "Initializing") };
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), expected, "{}", condition.type_);
    }
    assert_eq!(status.state, VRGState::Unknown);
}

#[test]
fn the_state_follows_what_was_reached() {
    let healthy = || replicated("a", reached("Primary", false, false));
    assert_eq!(written(&settled_primary(vec![healthy()])).state, VRGState::Primary);
    assert_eq!(written(&settled_primary(vec![volume("a", json!({}))])).state, VRGState::Unknown);
    assert_eq!(written(&settled_primary(vec![])).state, VRGState::Primary);
    assert_eq!(written(&secondary(Some("Relocate"), vec![])).state, VRGState::Secondary);
    assert_eq!(written(&secondary(Some("Relocate"), vec![healthy()])).state, VRGState::Unknown);
    let resyncing = || replicated("a", reached("Secondary", true, true));
    assert_eq!(
        written(&secondary(Some("Relocate"), vec![resyncing()])).state,
        VRGState::Unknown,
        "not everything has arrived"
    );
    // The same on the way back: the hub would make it the primary again while its claims are on their way out.
    for action in ["Relocate", "Failover"] {
        let mut back = secondary(Some(action), vec![resyncing()]);
        let vrg = Arc::make_mut(&mut back.vrg);
        returning(vrg);
        back.order = Order::of(vrg, &settings());
        assert_eq!(written(&back).state, VRGState::Unknown, "{action}");
    }
}

#[test]
fn a_primary_waits_for_its_cluster_data() {
    let plan = decide(&snapshot(group(json!({})), vec![volume("a", json!({}))]));
    assert!(plan.needs.recovery);
    let blocked = Snapshot {
        recovery: Some(recovery(vec![("s1", unreadable()), ("s2", unreadable())])),
        ..snapshot(group(json!({})), vec![])
    };
    let status = written(&blocked);
    assert_eq!(status.state, VRGState::Unknown);
    let ready = condition::find(&status.conditions, "ClusterDataReady").unwrap();
    assert_eq!((ready.is_false(), ready.reason.as_str()), (true, "Error"));
    assert!(ready.message.contains("time-out"), "{}", ready.message);
}

#[test]
fn writing_it_again_changes_nothing() {
    let cases = [
        settled_primary(vec![
            replicated("a", reached("Primary", false, false)),
            volume("b", json!({"status": {"phase": "Pending"}})),
        ]),
        secondary(Some("Failover"), vec![replicated("a", reached("Secondary", true, true))]),
        secondary(None, vec![]),
        snapshot(group(json!({"spec": {"sync": {}, "async": {"schedulingInterval": "5m"}}})), vec![]),
    ];
    for snapshot in cases {
        let mut once = after(snapshot);
        once.now = "2026-03-01T00:03:00Z".parse().unwrap();
        assert_eq!(Some(written(&once)), once.vrg.status.clone());
    }
}

#[test]
fn a_wait_says_since_when_and_becomes_overdue() {
    let mut snapshot = after(settled_primary(vec![volume("a", json!({"status": {"phase": "Pending"}}))]));
    let of_claim = |snapshot: &Snapshot| {
        let status = snapshot.vrg.status.clone().unwrap();
        condition::find(&status.protected_pvcs[0].conditions, "DataReady").unwrap().message.clone()
    };
    assert_eq!(of_claim(&snapshot), "waiting for the claim to be bound (since 2026-03-01T00:00:00Z)");
    snapshot.now += OVERDUE;
    let made = status(&snapshot, &decide(&snapshot), &Outcome::default());
    assert!(made.overdue.iter().any(|text| text.contains("longer than it should take")), "{made:?}");
    let later = after(snapshot);
    assert!(of_claim(&later).contains("(since 2026-03-01T00:00:00Z)"), "it remembers since when");
}

#[test]
fn an_error_is_not_hidden_by_a_claim_that_merely_waits() {
    let volumes = vec![volume("a", json!({"status": {"phase": "Pending"}})), volume("b", others("db"))];
    let status = written(&settled_primary(volumes));
    let ready = condition::find(&status.conditions, "DataReady").unwrap();
    assert_eq!(ready.reason, "Error");
    assert!(ready.message.contains("claim shop/b"), "{}", ready.message);
}

#[test]
fn a_step_that_failed_is_told_on_its_claim() {
    let snapshot = settled_primary(vec![volume("a", json!({}))]);
    let outcome =
        Outcome { volumes: vec![(key("a"), "cannot create VolumeReplication shop/a: denied".into())], group: None };
    let made = status(&snapshot, &decide(&snapshot), &outcome).status;
    assert!(condition::find(&made.conditions, "DataReady").unwrap().message.contains("denied"));
    let restoring = Snapshot {
        recovery: Some(recovery(vec![("s1", read(set(&["a"])))])),
        ..super::build::snapshot(group(json!({})), vec![])
    };
    let made = status(&restoring, &decide(&restoring), &outcome).status;
    let ready = condition::find(&made.conditions, "ClusterDataReady").unwrap();
    assert!(ready.is_false() && ready.message.contains("denied"), "{}", ready.message);
}

#[test]
fn synchronisation_is_added_up() {
    let synced = |name: &str, time: &str, bytes: i64| {
        let mut found = reached("Primary", false, false);
        found.last_sync_time = from(json!(time));
        found.last_sync_duration = Some(kaedama_shared::api::GoDuration::from_secs(bytes));
        found.last_sync_bytes = Some(bytes);
        replicated(name, found)
    };
    let both = vec![synced("a", "2026-02-01T00:05:00Z", 7), synced("b", "2026-02-01T00:01:00Z", 5)];
    let status = written(&settled_primary(both.clone()));
    assert_eq!(status.last_group_sync_time, from(json!("2026-02-01T00:01:00Z")));
    assert_eq!(
        (status.last_group_sync_bytes, status.last_group_sync_duration),
        (Some(12), Some(kaedama_shared::api::GoDuration::from_secs(7)))
    );
    let mut one_missing = both;
    one_missing.push(replicated("c", reached("Primary", false, false)));
    assert_eq!(written(&settled_primary(one_missing)).last_group_sync_time, None);
}

#[test]
fn entries_of_an_older_release_get_their_namespace() {
    let vrg = group(json!({"status": {"protectedPVCs": [{"name": "a"}]}}));
    let blocked = Snapshot { recovery: Some(recovery(vec![("s1", unreadable())])), ..snapshot(vrg, vec![]) };
    let status = written(&blocked);
    assert_eq!(ObjectKey::namespaced(status.protected_pvcs[0].namespace.clone(), "a"), key("a"));
}
