//! A primary whose cluster data is there.

use std::sync::Arc;

use kaedama_shared::names;
use serde_json::json;

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::recovery::PartKey;
use crate::vrg::snapshot::{Replication, StoreFailure, StoreView, Volume};

const READY: &str = "DataReady";
const STORED: &str = "ClusterDataProtected";

#[test]
fn a_new_claim_is_retained_marked_and_replicated_in_this_order() {
    let mut volume = volume("a", json!({}));
    volume.pv = Some(Arc::new(pv("a", json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}))));
    let plan = decide(&settled_primary(vec![volume]));
    assert_eq!(actions(&plan, "a"), ["RetainVolume", "ProtectClaim", "StartReplication"]);
    assert_eq!(verdict(&plan, "a", READY).1, "Progressing");
}

#[test]
fn an_unbound_claim_waits_and_is_listed() {
    let plan = decide(&settled_primary(vec![volume("a", json!({"status": {"phase": "Pending"}}))]));
    assert_eq!(actions(&plan, "a"), [""; 0]);
    assert_eq!(verdict(&plan, "a", READY).1, "Progressing");
    assert!(plan.is_idle());
}

#[test]
fn a_protected_and_stored_claim_needs_nothing() {
    let mut healthy = replicated("a", reached("Primary", false, false));
    let mut snapshot = settled_primary(vec![healthy.clone()]);
    snapshot.stores = vec![holding("s1", &[&healthy]), holding("s2", &[&healthy])];
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), ["MarkClaimStored", "MarkVolumeStored"], "the markers are all that is missing");
    let marker = crate::vrg::recovery::claim_marker(&healthy.claim, &["s1".into(), "s2".into()]);
    healthy = healthy.letting(json!({"metadata": {"annotations": {names::VR_ARCHIVED: marker}}}));
    healthy.pv = Some(Arc::new(pv("a", json!({"metadata": {"annotations": {names::VR_ARCHIVED: "archiveV1-0"}}}))));
    snapshot.volumes = vec![healthy];
    let plan = decide(&snapshot);
    assert!(plan.is_idle(), "{plan:?}");
    assert_eq!(verdict(&plan, "a", READY), ("True".into(), "Ready", "the volume is primary and replicates".into()));
    assert_eq!(verdict(&plan, "a", STORED).1, "Uploaded");
    // A profile that was added, or that leads to another bucket, makes the markers out of date.
    snapshot.stores.push(store("s3"));
    assert_eq!(verdict(&decide(&snapshot), "a", STORED).1, "Uploading");
}

#[test]
fn a_store_that_fails_is_named_and_replication_goes_on() {
    let volume = replicated("a", reached("Secondary", false, false));
    let mut snapshot = settled_primary(vec![volume.clone()]);
    let failure = StoreFailure { message: "unreachable".into(), since: snapshot.now, stale: false };
    snapshot.stores = vec![holding("s1", &[&volume]), StoreView { failure: Some(failure), ..store("s2") }];
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), ["Promote"]);
    let (_, reason, message) = verdict(&plan, "a", STORED);
    assert_eq!((reason, message.as_str()), ("UploadError", "store s2: unreachable"));
    let group = plan.outlook.cluster_data_protected.unwrap();
    assert_eq!(group.reason, "UploadError");
    assert!(group.message.contains("s2") && !group.message.contains("s1"), "{}", group.message);
}

#[test]
fn one_bad_claim_does_not_hold_up_the_others() {
    let volumes = vec![
        volume("foreign", others("db")),
        volume("classless", json!({"spec": {"storageClassName": null}})),
        volume("unknown", json!({"spec": {"storageClassName": "nfs"}})),
        volume("good", json!({})),
    ];
    assert!(is_foreign(&volumes[0]));
    let plan = decide(&settled_primary(volumes));
    for bad in ["foreign", "classless", "unknown"] {
        assert_eq!(actions(&plan, bad), [""; 0], "{bad}");
        assert_eq!(verdict(&plan, bad, READY).1, "Error", "{bad}");
    }
    assert!(verdict(&plan, "foreign", READY).2.contains("shop/db"));
    assert_eq!(actions(&plan, "good"), ["ProtectClaim", "StartReplication"]);
}

#[test]
fn a_replication_of_somebody_else_is_left_alone() {
    let foreign = Replication { ours: false, ..reached("Secondary", false, false) };
    let plan = decide(&settled_primary(vec![replicated("a", foreign)]));
    assert_eq!(actions(&plan, "a"), [""; 0]);
    assert_eq!(verdict(&plan, "a", READY).1, "Error");
}

#[test]
fn a_policy_that_somebody_changed_back_is_put_right() {
    let mut volume = replicated("a", reached("Primary", false, false));
    volume.pv = Some(Arc::new(pv("a", json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}))));
    assert_eq!(actions(&decide(&settled_primary(vec![volume])), "a"), ["RetainVolume"]);
}

#[test]
fn a_forced_promotion_is_allowed_in_a_failover_only_and_once() {
    let decided = |action: &str, found: Replication| {
        let mut vrg = group(restored());
        vrg.spec.action = Some(action.into());
        actions(&decide(&snapshot(vrg, vec![replicated("a", found)])), "a")
    };
    let with =
        |action: &str, consent: &str| decided(action, Replication { force_consent: consent.into(), ..refused() });
    assert_eq!(with("Failover", ""), ["AllowForce"]);
    assert_eq!(with("Failover", "1"), [""; 0], "given already");
    assert_eq!(with("Relocate", ""), [""; 0]);
    for (ours, deleting) in [(false, false), (true, true), (false, true)] {
        let found = Replication { ours, deleting, ..refused() };
        assert_eq!(decided("Failover", found), [""; 0], "ours: {ours}, being deleted: {deleting}");
    }
}

#[test]
fn a_class_is_found_or_the_claim_says_why_not() {
    let peer = |with: serde_json::Value| {
        let mut base = json!({"storageClassName": "rbd", "storageID": ["st"], "replicationID": "re"});
        base.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        group(
            json!({"spec": {"async": {"schedulingInterval": "5m", "peerClasses": [base]}}, "status": restored()["status"]}),
        )
    };
    let labelled = replication_class("vrc", "5m", &[(names::STORAGE_ID, "st"), (names::REPLICATION_ID, "re")]);
    let plain = || replication_class("plain", "5m", &[]);
    let mut default = plain();
    default.default = true;
    let other = replication_class("other", "1h", &[]);
    let none = json!({});
    let table = [
        ("fits", group(restored()), vec![plain()], Ok("plain")),
        ("schedule differs as text", group(restored()), vec![other], Err("Error")),
        (
            "one default of two",
            group(restored()),
            vec![plain(), {
                let mut d = default.clone();
                d.name = "def".into();
                d
            }],
            Ok("def"),
        ),
        ("two, no default", group(restored()), vec![plain(), plain()], Err("Error")),
        ("two defaults", group(restored()), vec![default.clone(), default], Err("Error")),
        ("no class: VolSync", group(restored()), vec![], Err("Error")),
        ("peer class", peer(none.clone()), vec![labelled.clone()], Ok("vrc")),
        ("class without identities", peer(none), vec![plain()], Err("Error")),
        ("other storage", peer(json!({"storageID": ["elsewhere"]})), vec![labelled.clone()], Err("Error")),
        (
            "no peer of that name",
            peer(json!({"storageClassName": "fs"})),
            vec![labelled.clone()],
            Err("PeerClassNotFound"),
        ),
        ("snapshots only: VolSync", peer(json!({"replicationID": ""})), vec![labelled.clone()], Err("Error")),
        ("group", peer(json!({"grouping": true})), vec![labelled.clone()], Err("Error")),
        ("offloaded", peer(json!({"offloaded": true})), vec![labelled], Err("Error")),
    ];
    for (case, vrg, classes, expected) in table {
        let mut snapshot = snapshot(vrg, vec![volume("a", json!({}))]);
        snapshot.classes.replication = classes;
        let plan = decide(&snapshot);
        match expected {
            Ok(class) => {
                assert_eq!(actions(&plan, "a"), ["ProtectClaim", "StartReplication"], "{case}");
                assert!(format!("{:?}", of(&plan, "a")).contains(&format!("class: {class:?}")), "{case}");
            }
            Err(reason) => {
                assert_eq!(actions(&plan, "a"), [""; 0], "{case}");
                assert_eq!(verdict(&plan, "a", READY).1, reason, "{case}");
            }
        }
    }
}

#[test]
fn what_is_not_built_says_so() {
    let mut snapshot = settled_primary(vec![volume("a", json!({}))]);
    snapshot.classes.replication.clear();
    assert!(verdict(&decide(&snapshot), "a", READY).2.contains("VolSync protection is not built yet"));
    let vrg = group(json!({"spec": {"kubeObjectProtection": {}}, "status": restored()["status"]}));
    let plan = decide(&super::build::snapshot(vrg, vec![volume("a", json!({}))]));
    assert!(plan.outlook.kube_objects_ready.unwrap().message.contains("not built yet"));
    assert_eq!(actions_len(&plan.volumes), 2, "volumes are protected all the same");
}

fn actions_len(volumes: &[crate::vrg::plan::VolumePlan]) -> usize {
    volumes.iter().map(|volume| volume.actions.len()).sum()
}

#[test]
fn shared_storage_has_no_replication_objects() {
    let mut vrg = group(restored());
    vrg.spec.async_ = None;
    vrg.spec.sync = Some(Default::default());
    let plan = decide(&snapshot(vrg, vec![volume("a", json!({}))]));
    assert_eq!(actions(&plan, "a"), ["ProtectClaim"]);
    assert_eq!(verdict(&plan, "a", READY).1, "Ready");
    assert_eq!(verdict(&plan, "a", "DataProtected").0, "False");
}

#[test]
fn the_peers_handle_is_noted_and_nothing_is_stored_before_it_is() {
    let mut found = reached("Primary", false, false);
    found.conditions.push(said("DestinationInfoAvailable", "False", "DestinationInfoPending"));
    let pending = replicated("a", found.clone());
    let plan = decide(&settled_primary(vec![pending]));
    assert_eq!(verdict(&plan, "a", "DestinationInfoAvailable").0, "False");
    assert!(plan.capture.unwrap().parts.is_empty());
    found.conditions.pop();
    found.conditions.push(said("DestinationInfoAvailable", "True", "DestinationInfoUpdated"));
    found.destination_id = "h-peer".into();
    let known = replicated("a", found);
    assert_eq!(actions(&decide(&settled_primary(vec![known.clone()])), "a"), ["NoteDestination"]);
    for (ours, deleting) in [(false, false), (true, true)] {
        let found = Replication { ours, deleting, ..known.replication.clone().unwrap() };
        let plan = decide(&settled_primary(vec![replicated("a", found)]));
        assert_eq!(actions(&plan, "a"), [""; 0], "ours: {ours}, being deleted: {deleting}");
        assert!(!of(&plan, "a").unwrap().entry.as_ref().unwrap().verdicts.contains_key("DestinationInfoAvailable"));
    }
    let noted = Volume {
        pv: Some(Arc::new(pv("a", json!({"metadata": {"annotations": {names::DESTINATION_VOLUME_HANDLE: "h-peer"}}})))),
        ..known
    };
    assert_eq!(decide(&settled_primary(vec![noted])).capture.unwrap().parts.len(), 2);
}

#[test]
fn before_the_storage_has_answered_no_set_goes_without_the_peers_handle() {
    let unanswered = Replication { observed_generation: 0, conditions: vec![], ..reached("Primary", false, false) };
    let stored = |volume: Volume| decide(&settled_primary(vec![volume])).capture.map(|capture| capture.parts.len());
    assert_eq!(stored(replicated("a", unanswered.clone())), Some(0));
    assert_eq!(stored(volume("a", protected())), Some(0), "not even asked yet");
    let known = json!({"metadata": {"annotations": {names::DESTINATION_VOLUME_HANDLE: "h-peer"}}});
    let noted = Volume { pv: Some(Arc::new(pv("a", known))), ..replicated("a", unanswered.clone()) };
    assert_eq!(stored(noted), Some(2));
    let kept = replicated("a", unanswered).letting(json!({"metadata": {"annotations": {names::VR_ARCHIVED: "x"}}}));
    assert_eq!(stored(kept), None, "what is stored of it stays");
    assert_eq!(stored(replicated("a", reached("Primary", false, false))), Some(2), "storage that never names it");
    let mut vrg = group(restored());
    vrg.spec.async_ = None;
    vrg.spec.sync = Some(Default::default());
    let shared = decide(&snapshot(vrg, vec![volume("a", protected())])).capture.unwrap();
    assert_eq!(shared.parts.len(), 2, "shared storage names nothing");
}

// ---- leaving --------------------------------------------------------------------------------------------------------

#[test]
fn a_claim_that_is_released_leaves_the_stores_first() {
    let gone = replicated("a", reached("Primary", false, false)).letting(deleting());
    let mut snapshot = settled_primary(vec![gone.clone()]);
    snapshot.stores = vec![holding("s1", &[&gone]), holding("s2", &[])];
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), [""; 0]);
    assert!(verdict(&plan, "a", READY).2.contains("store s1"));
    let capture = plan.capture.unwrap();
    assert!(capture.parts.is_empty());
    assert!(
        capture.forget.contains(&PartKey::Claim(key("a"))) && capture.forget.contains(&PartKey::Volume("pv-a".into()))
    );
    snapshot.stores = vec![holding("s1", &[]), holding("s2", &[])];
    assert_eq!(actions(&decide(&snapshot), "a"), ["StopReplication"]);
    snapshot.volumes = vec![Volume { replication: None, ..gone.clone() }];
    assert!(decide(&snapshot).needs.let_go.contains(&key("a")), "gone from the cache proves nothing");
    snapshot.volumes = vec![gone.proven_gone()];
    assert_eq!(actions(&decide(&snapshot), "a"), ["ReleaseVolume", "ReleaseClaim"]);
}

#[test]
fn during_a_final_sync_a_deleted_claim_stays_protected_and_stored() {
    let gone = replicated("a", reached("Primary", false, false)).letting(deleting());
    for flag in ["prepareForFinalSync", "runFinalSync"] {
        let vrg = group(json!({"spec": {flag: true}, "status": restored()["status"]}));
        let plan = decide(&snapshot(vrg, vec![gone.clone()]));
        assert_eq!(actions(&plan, "a"), [""; 0]);
        let capture = plan.capture.unwrap();
        assert_eq!((capture.parts.len(), capture.forget.len()), (2, 0), "{flag}");
        assert_eq!(
            (plan.outlook.prepared, plan.outlook.final_sync_done),
            (flag == "prepareForFinalSync", flag == "runFinalSync")
        );
    }
}

#[test]
fn a_deselected_claim_leaves_only_if_that_is_allowed() {
    let deselected = replicated("a", reached("Primary", false, false));
    let deselected = Volume { selected: false, ..deselected };
    let mut snapshot = settled_primary(vec![deselected]);
    snapshot.stores = vec![holding("s1", &[]), holding("s2", &[])];
    assert_eq!(actions(&decide(&snapshot), "a"), ["StopReplication"]);
    snapshot.settings.as_mut().unwrap().unprotection = false;
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), [""; 0]);
    assert_eq!(plan.capture.unwrap().parts.len(), 2, "it stays protected");
}

#[test]
fn the_stored_set_never_shrinks_by_accident() {
    let whole = replicated("a", reached("Primary", false, false));
    let stored = whole.clone().letting(json!({"metadata": {"annotations": {names::VR_ARCHIVED: "x"}}}));
    let blind = Volume { pv: None, ..stored.clone() };
    let resizing = stored.letting(json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}));
    for broken in [blind, resizing] {
        let plan = decide(&settled_primary(vec![whole.clone(), Volume { claim: broken.claim.clone(), ..broken }]));
        assert!(plan.capture.is_none());
    }
    // One that was never stored takes nothing away.
    let plan = decide(&settled_primary(vec![whole, volume("b", json!({"status": {"phase": "Pending"}}))]));
    assert_eq!(plan.capture.unwrap().parts.len(), 2);
}

#[test]
fn a_test_failover_leaves_the_stores_alone() {
    let vrg = group(json!({"spec": {"dryRun": true, "action": "Failover"}, "status": restored()["status"]}));
    let plan = decide(&snapshot(vrg, vec![replicated("a", reached("Primary", false, false))]));
    assert!(plan.capture.is_none());
}
