//! A secondary.

use std::sync::Arc;

use kaedama_shared::names;
use serde_json::json;

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::evidence::Proven;
use crate::vrg::plan::Action;
use crate::vrg::snapshot::{Replication, Volume};

fn primary(name: &str) -> Volume {
    replicated(name, reached("Primary", false, false))
}

#[test]
fn a_relocation_demotes_what_the_application_let_go_and_nothing_else() {
    let plan = decide(&secondary(Some("Relocate"), vec![primary("a")]));
    assert!(plan.is_idle());
    assert!(verdict(&plan, "a", "DataReady").2.contains("waiting for the application to delete the claim"));
    let plan = decide(&secondary(Some("Relocate"), vec![primary("a").letting(deleting())]));
    assert!(plan.needs.unused.contains(&key("a")));
    assert_eq!(actions(&plan, "a"), [""; 0]);
    let plan = decide(&secondary(Some("Relocate"), vec![primary("a").letting(deleting()).proven_unused()]));
    assert_eq!(actions(&plan, "a"), ["Demote"]);
}

#[test]
fn after_a_failover_a_claim_that_stays_is_demoted_too_but_never_one_in_use() {
    assert_eq!(actions(&decide(&secondary(Some("Failover"), vec![primary("a").proven_unused()])), "a"), ["Demote"]);
    let cached = Volume { users: vec!["pod shop/x".into()], ..primary("a").proven_unused() };
    let uncached = Volume { unused: Proven::No("in use by pod shop/x".into()), ..primary("a") };
    let silent = Volume { unused: Proven::Unknown("time-out".into()), ..primary("a") };
    for volume in [cached, uncached, silent] {
        let plan = decide(&secondary(Some("Failover"), vec![volume]));
        assert!(plan.is_idle());
        assert_eq!(verdict(&plan, "a", "DataReady").1, "Progressing");
    }
}

#[test]
fn local_writes_are_discarded_after_a_failover_only() {
    let discards = |action: &str, annotations: serde_json::Value| {
        let vrg = group(
            json!({"metadata": {"annotations": annotations}, "spec": {"replicationState": "secondary", "action": action}}),
        );
        let plan = decide(&snapshot(vrg, vec![primary("a").letting(deleting()).proven_unused()]));
        match of(&plan, "a").unwrap().actions.first() {
            Some(Action::Demote { auto_resync, .. }) => *auto_resync,
            other => panic!("{other:?}"),
        }
    };
    assert!(discards("Failover", json!({})));
    assert!(!discards("Relocate", json!({})));
    assert!(discards("Relocate", json!({names::TEST_FAILOVER_DRY_RUN: "true"})), "the end of a test failover");
    let mut lasting = reached("Secondary", true, true);
    lasting.auto_resync = true;
    let plan = decide(&secondary(Some("Relocate"), vec![replicated("a", lasting)]));
    assert_eq!(actions(&plan, "a"), ["SetAutoResync"], "a planned move must not discard anything");
}

#[test]
fn at_rest_the_replication_goes_then_the_claim() {
    let mut rest = reached("Secondary", false, false);
    rest.auto_resync = true;
    let at_rest = replicated("a", rest);
    assert_eq!(actions(&decide(&secondary(Some("Failover"), vec![at_rest.clone()])), "a"), ["StopReplication"]);
    let mut leaving = at_rest.clone();
    leaving.replication.as_mut().unwrap().deleting = true;
    assert!(decide(&secondary(Some("Failover"), vec![leaving])).is_idle());
    let gone = Volume { replication: None, ..at_rest.clone() };
    let plan = decide(&secondary(Some("Failover"), vec![gone]));
    assert!(plan.needs.let_go.contains(&key("a")) && actions(&plan, "a").is_empty());
    assert_eq!(
        actions(&decide(&secondary(Some("Failover"), vec![at_rest.proven_gone()])), "a"),
        ["ReleaseVolume", "ReleaseClaim"]
    );
}

#[test]
fn a_secondary_starts_nothing() {
    let plan = decide(&secondary(None, vec![volume("a", json!({}))]));
    assert!(plan.is_idle() && plan.volumes.is_empty());
    assert_eq!(plan.outlook.cluster_data_ready.unwrap().reason, "Unused");
}

#[test]
fn on_shared_storage_the_volume_keeps_its_policy() {
    let mut vrg = group(json!({"spec": {"replicationState": "secondary", "action": "Relocate"}}));
    vrg.spec.async_ = None;
    vrg.spec.sync = Some(Default::default());
    let ready = volume("a", protected()).letting(deleting());
    let plan = decide(&snapshot(vrg.clone(), vec![ready.clone()]));
    assert!(plan.needs.unused.contains(&key("a")));
    let plan = decide(&snapshot(vrg, vec![ready.proven_unused()]));
    assert_eq!(actions(&plan, "a"), ["ReleaseClaim"]);
}

#[test]
fn a_claim_on_a_settled_secondary_is_a_conflict() {
    let settled = json!({
        "spec": {"replicationState": "secondary"},
        "status": {"state": "Secondary", "observedGeneration": 2, "conditions": [{
            "type": "DataReady", "status": "True", "reason": "Unused", "message": "x", "observedGeneration": 2,
            "lastTransitionTime": "2026-03-01T00:00:00Z",
        }]},
    });
    let plan = decide(&snapshot(group(settled.clone()), vec![volume("a", json!({}))]));
    assert_eq!(plan.outlook.no_conflict.unwrap().reason, "ClusterDataConflictSecondary");
    assert!(decide(&snapshot(group(settled), vec![])).outlook.no_conflict.is_none());
    assert!(decide(&secondary(None, vec![volume("a", json!({}))])).outlook.no_conflict.is_none(), "still acting");
}

#[test]
fn on_the_way_back_the_volume_is_kept_for_the_primary_to_be() {
    let decided = |returns: bool, volume: Volume| {
        let mut vrg = group(json!({"spec": {"replicationState": "secondary", "action": "Relocate"}}));
        if returns {
            returning(&mut vrg);
        }
        decide(&snapshot(vrg, vec![volume]))
    };
    let free = || primary("a").letting(deleting()).proven_gone();
    assert_eq!(actions(&decided(false, free()), "a"), ["ReleaseVolume", "ReleaseClaim"]);
    let stored = pv("a", json!({"metadata": {"annotations": {names::VR_ARCHIVED: "archiveV1-0"}}}));
    for volume in [free(), Volume { pv: Some(Arc::new(stored)), ..free() }] {
        let plan = decided(true, volume);
        let released = &of(&plan, "a").unwrap().actions;
        assert!(
            matches!(
                released[..],
                [Action::ReleaseVolume { delete: false, taken_up: true, .. }, Action::ReleaseClaim { .. }]
            ),
            "policy and marker stay, and another action may take it up as well: {plan:?}"
        );
    }
}

#[test]
fn a_label_of_a_consistency_group_goes_with_the_replication_that_disproves_it() {
    let leaving = |found: Replication, role: &str| {
        let volume = Volume { selected: false, ..replicated("a", found).letting(grouped()).letting(deleting()) };
        match role {
            "secondary" => decide(&secondary(Some("Relocate"), vec![volume])),
            _ => {
                let mut primary = settled_primary(vec![volume]);
                primary.stores = vec![holding("s1", &[]), holding("s2", &[])];
                decide(&primary)
            }
        }
    };
    for (state, role) in [("Secondary", "secondary"), ("Primary", "primary")] {
        let plan = leaving(reached(state, false, false), role);
        assert_eq!(actions(&plan, "a"), ["UngroupClaim", "StopReplication"], "{role}");
    }
    // What the storage refuses to replicate by itself may well be replicated as one of a group.
    let mut refused = reached("Primary", false, false);
    refused.conditions.push(said("Validated", "False", "PrerequisiteNotMet"));
    assert_eq!(actions(&leaving(refused, "primary"), "a"), ["StopReplication"]);
}

#[test]
fn a_claim_of_a_consistency_group_is_not_released() {
    let claim = || volume("a", protected()).letting(deleting()).letting(grouped());
    for volume in [claim(), claim().proven_unused().proven_gone()] {
        let plan = decide(&secondary(Some("Failover"), vec![volume]));
        assert!(plan.is_idle(), "that no VolumeReplication has its name proves nothing: {plan:?}");
        let (status, reason, message) = verdict(&plan, "a", "DataReady");
        assert_eq!((status.as_str(), reason), ("False", "Error"));
        assert!(message.contains("consistency group cg") && message.contains(names::CONSISTENCY_GROUP), "{message}");
    }
    let taken_out = claim().letting(json!({"metadata": {"labels": {names::CONSISTENCY_GROUP: ""}}})).proven_gone();
    let plan = decide(&secondary(Some("Failover"), vec![taken_out]));
    assert_eq!(actions(&plan, "a"), ["ReleaseVolume", "ReleaseClaim"]);
}

#[test]
fn on_the_way_back_from_a_lost_peer_a_volume_is_let_go_as_a_primary() {
    let ordered = |volume: Volume, readable: bool| {
        let mut vrg = group(json!({"spec": {"replicationState": "secondary", "action": "Failover"}}));
        returning(&mut vrg);
        let mut snapshot = snapshot(vrg, vec![volume]);
        if !readable {
            snapshot.order = Err("spec.async.replicationClassSelector is not valid".to_owned());
        }
        decide(&snapshot)
    };
    let decided = |volume: Volume| ordered(volume, true);
    let at = |found: Replication| Volume { replication: Some(found), ..volume("a", protected()) };
    let leaving = |found: Replication| at(found).letting(deleting()).proven_unused();
    // Whether the copy is in step is nothing that anybody can say any more.
    for degraded in [true, false] {
        assert_eq!(actions(&decided(leaving(reached("Secondary", false, degraded))), "a"), ["Promote"]);
    }
    assert_eq!(actions(&decided(leaving(reached("Primary", false, false))), "a"), ["StopReplication"]);
    // Taken for a failover, an order that is not valid would throw the only good copy away.
    let plan = ordered(leaving(reached("Primary", false, false)), false);
    assert!(!actions(&plan, "a").contains(&"Demote"), "{plan:?}");
    // Not while the application has the claim.
    for volume in [at(reached("Secondary", false, true)), at(reached("Primary", false, false)).proven_unused()] {
        assert!(decided(volume).is_idle());
    }
}
