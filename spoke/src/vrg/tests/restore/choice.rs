//! Which set is restored, and when none is.

use kaedama_shared::record::{ActionKind, ActionRecord};

use super::*;
use crate::vrg::plan::Action;
use crate::vrg::snapshot::{EpochClaim, StoreRead, Volume};

#[test]
fn each_change_of_sides_restores_once_and_an_edit_does_not() {
    let condition = |status: &str, reason: &str, generation: i64| {
        json!({"status": {"conditions": [{
            "type": "ClusterDataReady", "status": status, "reason": reason, "message": "m", "observedGeneration": generation,
            "lastTransitionTime": "2026-03-01T00:00:00Z",
        }]}})
    };
    let table = [
        (json!({}), true),
        (condition("False", "Error", 2), true),
        (condition("True", "Restored", 2), false),
        (condition("True", "Restored", 1), false),
        (condition("True", "Unused", 1), true),
    ];
    for (with, reads) in table {
        assert_eq!(decide(&snapshot(group(with.clone()), vec![])).needs.recovery, reads, "{with}");
    }
    let relocating = decide(&snapshot(group(json!({"spec": {"prepareForFinalSync": true}})), vec![]));
    assert!(!relocating.needs.recovery && settled(&relocating));
}

#[test]
fn silence_is_never_nothing() {
    let full = || read(set(&["a"]));
    let empty = || StoreRead::Empty;
    let table = [
        // action, stores, goes on
        (None, vec![("s1", empty()), ("s2", empty())], true),
        (None, vec![("s1", empty()), ("s2", unreadable())], true),
        (None, vec![("s1", unreadable()), ("s2", unreadable())], false),
        (Some("Failover"), vec![("s1", empty()), ("s2", empty())], false),
        (Some("Relocate"), vec![("s1", empty()), ("s2", empty())], false),
        (Some("Failover"), vec![("s1", empty()), ("s2", unreadable())], false),
        (Some("Failover"), vec![("s1", full()), ("s2", unreadable())], true),
        (Some("Relocate"), vec![("s1", full()), ("s2", unreadable())], false),
        (Some("Relocate"), vec![("s1", full()), ("s2", empty())], true),
    ];
    for (action, stores, goes_on) in table {
        let case = format!("{action:?} {stores:?}");
        let plan = decide(&with(action, recovery(stores)));
        let blocked = plan.is_idle() && ready(&plan).0 == "False";
        assert_eq!(!blocked, goes_on, "{case}");
        if blocked {
            assert_eq!(ready(&plan).1, "Error");
            assert!(plan.outlook.retry, "{case}");
        }
    }
}

#[test]
fn without_a_store_nothing_is_moved_onto_empty_volumes() {
    let plan = |action: Option<&str>, consent: bool, volumes: Vec<Volume>| {
        let mut vrg = group(json!({"spec": {"s3Profiles": ["NoS3"], "action": action}}));
        if consent {
            vrg.metadata.annotations = Some([(names::ACCEPT_EMPTY_S3.to_owned(), "true".to_owned())].into());
        }
        decide(&Snapshot { stores: vec![], ..snapshot(vrg, volumes) })
    };
    assert!(settled(&plan(None, false, vec![])), "a first placement has nothing to bring");
    for action in ["Failover", "Relocate"] {
        let (status, _, message) = ready(&plan(Some(action), false, vec![]));
        assert_eq!(status, "False");
        assert!(message.contains("without a store") && message.contains(names::ACCEPT_EMPTY_S3), "{message}");
        assert!(settled(&plan(Some(action), true, vec![])), "somebody has said that this is right");
        assert!(settled(&plan(Some(action), false, vec![volume("a", json!({}))])), "somebody has made the claims");
    }
}

#[test]
fn the_newest_complete_set_is_taken_and_the_silent_store_is_named() {
    let older = StoredSet { capture: Some((1, 9)), cluster: "old".into(), ..set(&["a"]) };
    let newer = StoredSet { capture: Some((2, 1)), cluster: "new".into(), ..set(&["a", "b"]) };
    let gaps = StoredSet { capture: Some((3, 1)), gaps: vec!["x".into()], ..set(&["a"]) };
    let plan = decide(&with(
        Some("Failover"),
        recovery(vec![("s1", read(older)), ("s2", read(newer)), ("s3", read(gaps)), ("s4", unreadable())]),
    ));
    assert_eq!(actions(&plan, "b"), ["CreateVolume", "CreateClaim"]);
    let mut done = recovery(vec![("s1", read(set(&["a"]))), ("s4", unreadable())]);
    done.live_volumes.insert("pv-a".into(), Arc::new(pv("a", json!({}))));
    done.live_claims.insert(key("a"), Arc::new(claim("a", json!({}))));
    let said = ready(&decide(&with(Some("Failover"), done))).2;
    assert!(said.contains("from store s1") && said.contains("s4: time-out"), "{said}");
}

#[test]
fn a_relocation_whose_target_is_given_up_does_not_wait_for_its_store() {
    let gone = || live(json!({"status": {"phase": "Released"}}), None);
    for (action, by, goes_on) in [("Failover", "dr2", true), ("Failover", "dr1", false), ("Relocate", "dr2", false)] {
        let mut recovery = stored_last_by(by, set(&["a"]), gone());
        recovery.stores.push(("s2".into(), StoreRead::Unreadable("connection refused".into())));
        let plan = back_by(action, recovery);
        assert_eq!(!plan.volumes.is_empty(), goes_on, "{action}, stored by {by}: {plan:?}");
    }
}

#[test]
fn a_set_with_a_hole_is_an_error_that_names_it_unless_the_claim_lives_here() {
    let mut claimless = set(&["a", "b"]);
    claimless.claims.pop();
    let mut volumeless = set(&["a", "b"]);
    volumeless.volumes.pop();
    for stored in [claimless.clone(), volumeless] {
        let plan = decide(&with(Some("Failover"), recovery(vec![("s1", read(stored))])));
        let (status, _, message) = ready(&plan);
        assert!(status == "False" && message.contains("shop/b") && message.contains("pv-b"), "{message}");
        assert_eq!(actions(&plan, "a"), ["CreateVolume", "CreateClaim"], "the other pair is restored");
    }
    // An upgrade: volumes are stored, the claims are alive in the cluster.
    let mut upgrade = recovery(vec![("s1", read(StoredSet { claims: vec![], ..set(&["a"]) }))]);
    upgrade.live_volumes.insert("pv-a".into(), Arc::new(pv("a", json!({}))));
    upgrade.live_claims.insert(key("a"), Arc::new(claim("a", json!({}))));
    assert!(settled(&decide(&with(None, upgrade))));
}

#[test]
fn damaged_and_doubtful_sets_are_refused_with_a_reason() {
    let two =
        StoredSet { volumes: vec![pv("a", json!({})), pv("a", json!({"metadata": {"name": "pv-a2"}}))], ..set(&["a"]) };
    let nfs = StoredSet { volumes: vec![pv("a", json!({"spec": {"csi": null}}))], ..set(&["a"]) };
    let unbound = StoredSet { volumes: vec![pv("a", json!({"spec": {"claimRef": null}}))], ..set(&["a"]) };
    let classless = StoredSet { volumes: vec![pv("a", json!({"spec": {"storageClassName": "gone"}}))], ..set(&["a"]) };
    for (stored, text) in [(two, "pv-a2"), (nfs, "CSI"), (unbound, "names no claim"), (classless, "gone")] {
        let plan = decide(&with(Some("Failover"), recovery(vec![("s1", read(stored))])));
        let (status, reason, message) = ready(&plan);
        assert!(status == "False" && reason == "Error" && message.contains(text), "{text}: {message}");
    }
}

#[test]
fn the_stores_are_told_of_the_new_primary_before_it_is_one() {
    let mut snapshot = recorded(with(Some("Failover"), recovery(vec![("s1", read(set(&["a"])))])), "dr2");
    let first = |plan: &Plan| plan.first.iter().map(Action::name).collect::<Vec<_>>();
    assert_eq!(first(&decide(&snapshot)), ["ClaimEpoch"]);
    snapshot.recovery.as_mut().unwrap().claim = EpochClaim::Refused("epoch 5 by dr1".into());
    let plan = decide(&snapshot);
    assert!(plan.is_idle() && ready(&plan).2.contains("epoch 5 by dr1"));
    snapshot.recovery.as_mut().unwrap().claim = EpochClaim::Made(None);
    assert_eq!(first(&decide(&snapshot)), [""; 0]);
}

#[test]
fn the_source_of_a_move_writes_under_the_action_before() {
    let snapshot = recorded(with(None, recovery(vec![])), "dr1");
    let writer = snapshot.order.unwrap().writer;
    assert_eq!(
        (writer.epoch, writer.cluster.as_str(), writer.action.as_str(), writer.takes_over),
        (3, "dr2", "u-3", false)
    );
}

fn recorded(mut snapshot: Snapshot, to: &str) -> Snapshot {
    let record = ActionRecord::accept("u", 4, ActionKind::Failover, "dr1", to, 1, snapshot.now);
    let vrg = Arc::make_mut(&mut snapshot.vrg);
    vrg.metadata.annotations.get_or_insert_default().insert(names::ACTION_RECORD.into(), record.to_annotation());
    snapshot.order = Order::of(vrg, &settings());
    snapshot
}

/// The same as if it were a copy of Ramen's layout of which something is missing.
fn incomplete(set: StoredSet) -> StoredSet {
    StoredSet { gaps: vec!["PersistentVolume pv-z without its claim shop/z".into()], ..set }
}

#[test]
fn a_newer_set_with_gaps_is_not_passed_over_for_what_the_complete_one_lacks() {
    let at = |time: &str, names: &[&str]| StoredSet { capture: None, time: Some(time.parse().unwrap()), ..set(names) };
    let whole = || at("2026-03-01T01:00:00Z", &["a"]);
    let (older, newer) = ("2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z");
    let mut half = set(&["a", "b"]);
    half.claims.pop();
    let mut other_volume = at(newer, &["a"]);
    other_volume.volumes[0].metadata.name = Some("pv-a2".into());
    let table = [
        (at(newer, &["a", "b"]), false, "claim shop/b"),
        (other_volume, false, "pv-a2"),
        (at(newer, &["a"]), true, ""),
        (at(older, &["a", "b"]), true, ""),
        (StoredSet { capture: None, time: Some(newer.parse().unwrap()), ..half }, true, ""),
    ];
    for (later, goes_on, named) in table {
        let two_stores = vec![("s1", read(whole())), ("s2", read(incomplete(later.clone())))];
        let one_store = vec![("s2", read(StoredSet { passed_over: vec![incomplete(later)], ..whole() }))];
        for (action, stores) in
            ["Relocate", "Failover"].into_iter().flat_map(|action| [(action, &two_stores), (action, &one_store)])
        {
            let plan = decide(&with(Some(action), recovery(stores.clone())));
            assert_eq!(!plan.volumes.is_empty(), goes_on, "{action}: {plan:?}");
            if !goes_on {
                let (status, reason, message) = ready(&plan);
                assert!(status == "False" && reason == "Error" && plan.is_idle(), "{plan:?}");
                for part in ["store s2", "pv-z", "newer and incomplete", named] {
                    assert!(message.contains(part), "{part}: {message}");
                }
            }
        }
    }
    let capture = |number: i64, names: &[&str]| StoredSet { capture: Some((2, number)), ..set(names) };
    let stores = vec![("s1", read(incomplete(capture(8, &["b"])))), ("s2", read(capture(7, &["a"])))];
    assert!(decide(&with(Some("Failover"), recovery(stores))).volumes.is_empty(), "by number where there is one");
}

#[test]
fn what_volsync_received_is_not_left_aside() {
    let received = json!([{"protectedPVC": {"name": "files", "namespace": "shop"}}]);
    let with = |status: Value| {
        let mut with = json!({"spec": {"action": "Failover", "volSync": {"rdSpec": received.clone()}}});
        merge(&mut with, status);
        let full = recovery(vec![("s1", read(set(&["a"])))]);
        decide(&Snapshot { recovery: Some(full), ..snapshot(group(with), vec![volume("b", json!({}))]) })
    };
    let plan = with(json!({}));
    let (status, reason, message) = ready(&plan);
    assert_eq!((status.as_str(), reason), ("False", "Error"));
    assert!(message.contains("spec.volSync.rdSpec") && message.contains("files"), "{message}");
    assert!(plan.is_idle() && plan.volumes.is_empty() && plan.outlook.data_ready.is_some(), "{plan:?}");
    assert!(settled(&with(restored())), "where nothing is to be restored it is in nobody's way");
}
