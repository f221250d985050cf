//! Bringing cluster data back.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use serde_json::{Value, json};

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::evidence::Proven;
use crate::vrg::owner::Owner;
use crate::vrg::plan::{Action, Plan};
use crate::vrg::snapshot::{EpochClaim, Recovery, Snapshot, StoreRead, StoredSet, Volume};

fn with(action: Option<&str>, recovery: Recovery) -> Snapshot {
    let mut vrg = group(json!({"spec": {"action": action}}));
    vrg.metadata.annotations = Some([(names::DESTINATION_CLUSTER.to_owned(), "dr2".to_owned())].into());
    Snapshot { recovery: Some(recovery), ..snapshot(vrg, vec![]) }
}

fn ready(plan: &Plan) -> (String, &'static str, String) {
    let verdict = plan.outlook.cluster_data_ready.clone().unwrap();
    (verdict.status.to_string(), verdict.reason, verdict.message)
}

fn settled(plan: &Plan) -> bool {
    ready(plan).0 == "True"
}

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
        (Some("Failover"), vec![("s1", empty()), ("s2", empty())], true),
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
fn what_is_restored_is_marked_and_waits_for_its_claim() {
    let plan = decide(&with(Some("Failover"), recovery(vec![("s1", read(set(&["a"])))])));
    let steps = &of(&plan, "a").unwrap().actions;
    let (Action::CreateVolume(volume), Action::CreateClaim(claim)) = (&steps[0], &steps[1]) else {
        panic!("{steps:?}")
    };
    let reference = volume.spec.as_ref().unwrap().claim_ref.as_ref().unwrap();
    assert_eq!((reference.uid.as_ref(), reference.name.as_deref()), (None, Some("a")));
    for meta in [&volume.metadata, &claim.metadata] {
        assert_eq!(meta.annotations.as_ref().unwrap()[names::RESTORED], "True");
        assert!(meta.uid.is_none() && meta.resource_version.is_none());
    }
    assert_eq!(claim.metadata.finalizers.as_deref(), Some(&[names::PVC_VR_FINALIZER.to_owned()][..]));
    assert_eq!(claim.spec.as_ref().unwrap().volume_name.as_deref(), Some("pv-a"));
}

#[test]
fn the_handle_and_secrets_are_those_of_this_cluster() {
    let mut stored = set(&["a"]);
    stored.volumes[0]
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(names::DESTINATION_VOLUME_HANDLE.into(), "h-here".into());
    let mut snapshot = with(Some("Failover"), recovery(vec![("s1", read(stored))]));
    let class = Arc::make_mut(snapshot.classes.storage.get_mut("rbd").unwrap());
    class.parameters = Some(from(json!({
        "clusterID": "ceph-2",
        "csi.storage.k8s.io/controller-publish-secret-name": "pub", "csi.storage.k8s.io/controller-publish-secret-namespace": "rook",
    })));
    let plan = decide(&snapshot);
    let Action::CreateVolume(volume) = &of(&plan, "a").unwrap().actions[0] else { panic!() };
    let csi = volume.spec.as_ref().unwrap().csi.as_ref().unwrap();
    assert_eq!(csi.volume_handle, "h-here");
    assert_eq!(csi.volume_attributes.as_ref().unwrap()["clusterID"], "ceph-2");
    assert_eq!(csi.controller_publish_secret_ref.as_ref().unwrap().name.as_deref(), Some("pub"));
    assert!(csi.controller_expand_secret_ref.is_none(), "not where the publish secret belongs");
    assert!(!volume.metadata.annotations.as_ref().unwrap().contains_key(names::DESTINATION_VOLUME_HANDLE));
}

/// A recovery with a live volume and claim of the stored one's names.
fn live(volume: Value, claim_with: Option<Value>) -> Recovery {
    let mut found = recovery(vec![("s1", read(set(&["a"])))]);
    found.live_volumes.insert("pv-a".into(), Arc::new(pv("a", volume)));
    if let Some(with) = claim_with {
        found.live_claims.insert(key("a"), Arc::new(claim("a", with)));
    }
    found
}

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

/// What `cluster` stored last.
fn stored_last_by(cluster: &str, stored: StoredSet, live: Recovery) -> Recovery {
    let newest = StoredSet { capture: Some((1, 4)), cluster: cluster.into(), ..stored };
    Recovery { stores: vec![("s1".into(), read(newest))], ..live }
}

/// The plan of dr2 that is to be the primary again by a relocation that never left it.
fn called_off(recovery: Recovery) -> Plan {
    let now = "2026-03-01T03:00:00Z".parse().unwrap();
    let back = ActionRecord::accept("u", 2, ActionKind::Relocate, "dr2", "dr2", 5, now);
    let mut snapshot = with(Some("Relocate"), recovery);
    let vrg = Arc::make_mut(&mut snapshot.vrg);
    vrg.metadata.annotations.get_or_insert_default().insert(names::ACTION_RECORD.to_owned(), back.to_annotation());
    snapshot.order = crate::vrg::order::Order::of(vrg, &settings());
    decide(&snapshot)
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
    snapshot.order = crate::vrg::order::Order::of(vrg, &settings());
    let plan = decide(&snapshot);
    assert_eq!(actions(&plan, "a"), ["AdoptVolume", "CreateClaim"]);
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

fn recorded(mut snapshot: Snapshot, to: &str) -> Snapshot {
    let record = ActionRecord::accept("u", 4, ActionKind::Failover, "dr1", to, 1, snapshot.now);
    let vrg = Arc::make_mut(&mut snapshot.vrg);
    vrg.metadata.annotations.get_or_insert_default().insert(names::ACTION_RECORD.into(), record.to_annotation());
    snapshot.order = crate::vrg::order::Order::of(vrg, &settings());
    snapshot
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

#[test]
fn a_restored_volume_has_the_digest_of_its_stored_copy() {
    let volume = volume("a", protected());
    let stored = crate::vrg::recovery::store_claim(&volume.claim);
    let back = crate::vrg::recovery::fit_claim(&from(stored.object.clone()), &key("web"));
    let bound = json!({"metadata": {"uid": "new", "resourceVersion": "77", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    let mut live = serde_json::to_value(&back).unwrap();
    merge(&mut live, bound);
    assert_eq!(crate::vrg::recovery::store_claim(&from(live)).digest, stored.digest);
    let stored = crate::vrg::recovery::store_volume(volume.pv.as_ref().unwrap());
    let class = classes().storage["rbd"].clone();
    let mut fitted = crate::vrg::recovery::fit_volume(&from(stored.object.clone()), &class, true).unwrap();
    fitted.metadata.annotations.as_mut().unwrap().remove("pv.kubernetes.io/provisioned-by");
    fitted.status = from(json!({"phase": "Bound"}));
    fitted.metadata.uid = Some("new".into());
    assert_eq!(crate::vrg::recovery::store_volume(&fitted).digest, stored.digest);
}

#[test]
fn what_every_store_holds_is_noted_as_stored_and_what_one_lacks_is_not() {
    let volume = volume("a", protected());
    let mut pv = (**volume.pv.as_ref().unwrap()).clone();
    let provisioner = classes().storage["rbd"].provisioner.clone();
    pv.metadata.annotations.get_or_insert_default().insert("pv.kubernetes.io/provisioned-by".into(), provisioner);
    let stored = |number: i64| {
        let volumes = vec![from(crate::vrg::recovery::store_volume(&pv).object)];
        let claims = vec![from(crate::vrg::recovery::store_claim(&volume.claim).object)];
        read(StoredSet { capture: Some((2, number)), volumes, claims, ..set(&[]) })
    };
    let table = [
        (vec![("s1", stored(1)), ("s2", stored(1))], true),
        (vec![("s1", stored(2)), ("s2", stored(1))], false),
        (vec![("s1", stored(1)), ("s2", unreadable())], false),
        (vec![("s1", stored(1)), ("s2", StoreRead::Empty)], false),
    ];
    for (stores, noted) in table {
        let case = format!("{stores:?}");
        let plan = decide(&with(Some("Failover"), recovery(stores)));
        let [Action::CreateVolume(volume), Action::CreateClaim(claim)] = &of(&plan, "a").unwrap().actions[..] else {
            panic!("{plan:?}")
        };
        for meta in [&volume.metadata, &claim.metadata] {
            assert_eq!(meta.annotations.as_ref().unwrap().contains_key(names::VR_ARCHIVED), noted, "{case}");
        }
    }
}

fn merge(base: &mut Value, with: Value) {
    match (base, with) {
        (Value::Object(base), Value::Object(with)) => {
            with.into_iter().for_each(|(k, v)| merge(base.entry(k).or_insert(Value::Null), v))
        }
        (base, with) => *base = with,
    }
}
