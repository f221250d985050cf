//! What is there already.

use k8s_openapi::api::core::v1::PersistentVolume;

use super::*;
use crate::vrg::evidence::Proven;
use crate::vrg::owner::Owner;
use crate::vrg::plan::Action;
use crate::vrg::snapshot::Volume;

#[test]
fn a_live_bound_claim_is_never_touched() {
    let plan = decide(&with(Some("Failover"), live(json!({}), Some(json!({"metadata": {"finalizers": ["app/own"]}})))));
    assert!(settled(&plan) && plan.volumes.is_empty(), "{plan:?}");
}

#[test]
fn what_is_not_the_stored_volume_is_refused() {
    let released = json!({"status": {"phase": "Released"}});
    let table = [
        ("claim deleting", live(json!({}), Some(deleting()))),
        ("claim missing", live(json!({}), None)),
        ("foreign unbound volume", live(released, None)),
        ("other handle", live(json!({"spec": {"csi": {"volumeHandle": "x"}}}), Some(json!({})))),
        ("other claim's volume", live(json!({}), Some(json!({"spec": {"volumeName": "pv-z"}})))),
        ("claim not bound", live(json!({}), Some(json!({"status": {"phase": "Pending"}})))),
    ];
    for (case, recovery) in table {
        let plan = decide(&with(Some("Failover"), recovery));
        assert!(!settled(&plan) && plan.is_idle(), "{case}: {plan:?}");
        assert_eq!(ready(&plan).1, "Error", "{case}");
    }
}

#[test]
fn a_volume_of_an_earlier_recovery_is_taken_again() {
    let ours = json!({"status": {"phase": "Released"}, "metadata": {"annotations": {names::RESTORED: "True"}}});
    let plan = decide(&with(Some("Failover"), live(ours, None)));
    assert_eq!(actions(&plan, "a"), ["AdoptVolume", "CreateClaim"]);
    let gone = json!({"status": {"phase": "Released"}, "metadata": {"annotations": {names::RESTORED: "True"}, "deletionTimestamp": "2026-03-01T00:00:00Z"}});
    assert!(!settled(&decide(&with(Some("Failover"), live(gone, None)))));
    let pending = json!({"status": {"phase": "Pending"}, "metadata": {"annotations": {names::RESTORED: "True"}}});
    let waiting = json!({"status": {"phase": "Available"}, "metadata": {"annotations": {names::RESTORED: "True"}}, "spec": {"claimRef": {"uid": null}}});
    assert!(
        settled(&decide(&with(Some("Failover"), live(waiting, Some(pending))))),
        "created a moment ago, binds soon"
    );
}

#[test]
fn a_released_volume_that_this_cluster_stored_last_is_taken_back_and_kept() {
    let released = json!({"status": {"phase": "Released"}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}});
    let captured_by = |cluster: &str| stored_last_by(cluster, set(&["a"]), live(released.clone(), None));
    let plan = called_off(captured_by("dr2"));
    assert_eq!(actions(&plan, "a"), ["AdoptVolume", "CreateClaim"]);
    let volume = prepared(&plan);
    assert_eq!(volume.spec.as_ref().unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
    assert_eq!(volume.metadata.annotations.as_ref().unwrap()[names::VR_RETAINED], names::RETAINED);
    for other in ["dr1", ""] {
        let plan = called_off(captured_by(other));
        assert!(!settled(&plan) && plan.volumes.is_empty(), "stored by {other:?}: {plan:?}");
    }
}

#[test]
fn a_volume_that_its_user_retains_is_never_marked_as_retained_by_us() {
    let table = [
        (json!({"status": {"phase": "Released"}, "metadata": {"annotations": null}}), false),
        (json!({"status": {"phase": "Released"}}), true),
    ];
    for (found, marked) in table {
        let plan = called_off(stored_last_by("dr2", set(&["a"]), live(found.clone(), None)));
        let volume = prepared(&plan);
        assert_eq!(volume.spec.as_ref().unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
        let annotations = volume.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations.contains_key(names::VR_RETAINED), marked, "{found}");
    }
}

#[test]
fn at_home_the_volume_keeps_its_own_handle() {
    let known_as = |handle: &str| json!({"metadata": {"annotations": {names::DESTINATION_VOLUME_HANDLE: handle}}});
    let stored = || StoredSet { volumes: vec![pv("a", known_as("h-peer"))], ..set(&["a"]) };
    let mut released = known_as("h-peer");
    merge(&mut released, json!({"status": {"phase": "Released"}}));
    let there = stored_last_by("dr2", stored(), live(released, None));
    let gone = Recovery { live_volumes: Default::default(), ..there.clone() };
    for (recovery, first) in [(there, "AdoptVolume"), (gone, "CreateVolume")] {
        let plan = called_off(recovery);
        assert_eq!(actions(&plan, "a"), [first, "CreateClaim"]);
        assert_eq!(handle(prepared(&plan)), "h-a", "{first}");
        assert!(!prepared(&plan).metadata.annotations.as_ref().unwrap().contains_key(names::DESTINATION_VOLUME_HANDLE));
    }
    // A set of the peer names this cluster's volume; what the live one says of its peer is of no use here.
    let mut restored = known_as("h-a");
    merge(
        &mut restored,
        json!({"status": {"phase": "Released"}, "metadata": {"annotations": {names::RESTORED: "True"}},
               "spec": {"csi": {"volumeHandle": "h-peer"}}}),
    );
    let plan = called_off(stored_last_by("dr1", stored(), live(restored, None)));
    assert_eq!((actions(&plan, "a"), handle(prepared(&plan))), (vec!["AdoptVolume", "CreateClaim"], "h-peer"));
    // The peer's volume under the name of this cluster's own is somebody else's.
    let foreign = live(json!({"status": {"phase": "Released"}, "spec": {"csi": {"volumeHandle": "h-peer"}}}), None);
    let plan = called_off(stored_last_by("dr2", stored(), foreign));
    assert!(!settled(&plan) && plan.volumes.is_empty() && ready(&plan).2.contains("volume handle"), "{plan:?}");
}

#[test]
fn a_claim_that_is_deleted_before_all_is_restored_may_go_and_is_restored_again() {
    let restored = json!({"metadata": {"annotations": {names::RESTORED: "True"}}});
    let mut dying = protected();
    merge(&mut dying, deleting());
    let found = |with: Value| Recovery {
        stores: vec![("s1".into(), read(set(&["a", "b"])))],
        ..live(with, Some(dying.clone()))
    };
    let decided = |recovery: Recovery, volume: Volume| decide(&Snapshot { volumes: vec![volume], ..called(recovery) });
    let asked = decided(found(restored.clone()), volume("a", dying.clone()));
    assert!(asked.needs.let_go.contains(&key("a")), "gone from the cache proves nothing: {asked:?}");
    let free = || volume("a", dying.clone()).proven_gone();
    let plan = decided(found(restored.clone()), free());
    assert_eq!(actions(&plan, "a"), ["ReleaseClaim"]);
    assert_eq!(actions(&plan, "b"), ["CreateVolume", "CreateClaim"], "the others are not held up");
    let foreign = Volume { owner: Owner::Other("shop/db".to_owned()), ..free() };
    let held = Volume { let_go: Proven::No("its VolumeReplication is still there".into()), ..free() };
    let mut gone_with_it = restored.clone();
    merge(&mut gone_with_it, json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
    for (case, recovery, volume) in [
        ("another group's", found(restored.clone()), foreign),
        ("still replicated", found(restored), held),
        ("its volume would go with it", found(gone_with_it), free()),
        ("its volume could not be taken again", found(json!({})), free()),
    ] {
        let plan = decided(recovery, volume);
        assert!(actions(&plan, "a").is_empty() && plan.needs.is_empty(), "{case}: {plan:?}");
        let verdict = plan.outlook.cluster_data_ready.clone().unwrap();
        assert!(verdict.waiting && verdict.message.contains("shop/a"), "{case}: {verdict:?}");
        assert!(verdict.message.contains(names::PVC_VR_FINALIZER), "says what holds it, {case}: {verdict:?}");
    }
}

/// A failover that found this.
fn called(recovery: Recovery) -> Snapshot {
    with(Some("Failover"), recovery)
}

#[test]
fn on_shared_storage_the_volume_that_is_there_is_taken() {
    let mut snapshot = with(Some("Failover"), live(json!({"status": {"phase": "Released"}}), None));
    let vrg = Arc::make_mut(&mut snapshot.vrg);
    vrg.spec.async_ = None;
    vrg.spec.sync = Some(Default::default());
    snapshot.order = Order::of(vrg, &settings());
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), ["AdoptVolume", "CreateClaim"]);
}

/// The volume that is adopted or created for claim a.
fn prepared(plan: &Plan) -> &PersistentVolume {
    match &of(plan, "a").unwrap().actions[0] {
        Action::AdoptVolume { volume, .. } | Action::CreateVolume(volume) => volume,
        other => panic!("{other:?}"),
    }
}

fn handle(volume: &PersistentVolume) -> &str {
    &volume.spec.as_ref().unwrap().csi.as_ref().unwrap().volume_handle
}

#[test]
fn a_volume_that_was_kept_on_the_way_back_is_taken_back_and_still_goes_with_a_later_move() {
    let mut way_back = group(json!({"spec": {"replicationState": "secondary", "action": "Relocate"}}));
    returning(&mut way_back);
    let leaving = volume("a", protected()).letting(deleting()).proven_gone();
    assert_eq!(actions(&decide(&snapshot(way_back, vec![leaving])), "a"), ["ReleaseVolume", "ReleaseClaim"]);
    // An action that comes first and leads here later finds it marked as one that a recovery may take.
    let marked = json!({"status": {"phase": "Released"}, "metadata": {"annotations": {names::RESTORED: "True"}}});
    let elsewhere = decide(&with(Some("Relocate"), stored_last_by("dr1", set(&["a"]), live(marked, None))));
    assert_eq!(actions(&elsewhere, "a"), ["AdoptVolume", "CreateClaim"]);
    let plan = called_off(stored_last_by("dr2", set(&["a"]), live(json!({"status": {"phase": "Released"}}), None)));
    assert_eq!(actions(&plan, "a"), ["AdoptVolume", "CreateClaim"]);
    let mut taken = prepared(&plan).clone();
    assert_eq!(taken.spec.as_ref().unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
    assert_eq!(taken.metadata.annotations.as_ref().unwrap()[names::VR_RETAINED], names::RETAINED);
    taken.status = from(json!({"phase": "Bound"}));
    let again = Volume { pv: Some(Arc::new(taken)), ..volume("a", protected()) };
    let protects = decide(&settled_primary(vec![again.clone()]));
    assert_eq!(actions(&protects, "a"), ["StartReplication"], "nothing is left to be done to the volume");
    let moved = decide(&secondary(Some("Relocate"), vec![again.letting(deleting()).proven_gone()]));
    let [Action::ReleaseVolume { delete, .. }, Action::ReleaseClaim { .. }] = &of(&moved, "a").unwrap().actions[..]
    else {
        panic!("{moved:?}")
    };
    assert!(delete, "the other side has the data then");
}

#[test]
fn a_dying_claim_of_a_consistency_group_is_not_let_go() {
    let mut dying = protected();
    merge(&mut dying, deleting());
    merge(&mut dying, grouped());
    let restored = json!({"metadata": {"annotations": {names::RESTORED: "True"}}});
    let snapshot = called(live(restored, Some(dying.clone())));
    let plan = decide(&Snapshot { volumes: vec![volume("a", dying).proven_gone()], ..snapshot });
    assert!(actions(&plan, "a").is_empty() && !settled(&plan) && ready(&plan).2.contains("shop/a"), "{plan:?}");
}
