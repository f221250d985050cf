//! What is refused, and what holds a gate shut: nothing is done, and the condition says why and what helps.

use kaedama_shared::api::conditions::{drcluster as drcluster_types, drpolicy, vrg as vrg_types};
use kaedama_shared::api::{
    ClusterMaintenanceMode, Condition, ConditionStatus, DRAction, DRClusterStatus, DRState, MMode, PeerClass,
    Progression, ProtectedPVC, VolumeReplicationGroup, condition,
};
use kaedama_shared::names;
use kaedama_shared::seen::Seen;

use super::world::World;
use crate::drpc::decide::decide;
use crate::drpc::plan::{Action, Plan};
use crate::drpc::snapshot::{Decision, Decisions, ObjectId, Snapshot};

fn refusal(change: impl FnOnce(&mut Snapshot)) -> String {
    let mut s = World::deployed().snapshot();
    change(&mut s);
    refused(&decide(&s))
}

fn refused(plan: &Plan) -> String {
    assert!(plan.actions.is_empty(), "a refusal does nothing: {:?}", plan.actions);
    let available = plan.outlook.available.clone().unwrap();
    assert_eq!((available.status, available.reason.as_str()), ("False", "Error"));
    available.message
}

#[test]
fn what_makes_no_sense_is_refused_with_the_field_and_the_remedy() {
    let message = refusal(|s| s.drpc.spec.placement_ref.namespace = Some("other".into()));
    assert!(message.contains("spec.placementRef.namespace must be shop"), "{message}");
    let message = refusal(|s| s.placement = Seen::Absent);
    assert!(message.contains("there is no Placement place in namespace shop; create it"), "{message}");
    let message = refusal(|s| {
        let Seen::Present(placement) = &mut s.placement else { unreachable!() };
        placement.annotations.remove(names::SCHEDULING_DISABLE);
    });
    assert!(message.contains(names::SCHEDULING_DISABLE), "{message}");
    let message = refusal(|s| {
        let Seen::Present(placement) = &mut s.placement else { unreachable!() };
        placement.annotations.insert(names::DRPC_NAME.into(), "rival".into());
    });
    assert!(message.contains("shop/rival"), "{message}");
    let message = refusal(|s| s.drpc.spec.protected_namespaces = vec!["a".into()]);
    assert!(message.contains("spec.protectedNamespaces"), "{message}");
    let message = refusal(|s| s.conflict = Some("another one".into()));
    assert!(message.contains("another one"), "{message}");
    let message = refusal(|s| s.policy = Seen::Absent);
    assert!(message.contains("there is no DRPolicy gold; create it"), "{message}");
    let message = refusal(|s| s.sites[1].drcluster = Seen::Absent);
    assert!(message.contains("there is no DRCluster dr2"), "{message}");
    let message = refusal(|s| s.drpc.spec.preferred_cluster.clear());
    assert!(message.contains("spec.preferredCluster is missing"), "{message}");
    let message = refusal(|s| s.drpc.spec.preferred_cluster = "dr3".into());
    assert!(message.contains("choose one of dr1, dr2"), "{message}");
    let message = refusal(|s| s.drpc.spec.action = Some(DRAction::Failover));
    assert!(message.contains("missing value for spec.failoverCluster"), "{message}");
    let message = refusal(|s| {
        s.drpc.spec.action = Some(DRAction::Failover);
        s.drpc.spec.failover_cluster = "dr3".into();
    });
    assert!(message.contains("spec.failoverCluster is dr3"), "{message}");
    let message = refusal(|s| s.config = Err("no ConfigMap".into()));
    assert!(message.contains("no ConfigMap"), "{message}");
    let message = refusal(|s| s.drpc.spec.dry_run = true);
    assert!(message.contains("spec.dryRun"), "{message}");
}

#[test]
fn who_does_not_know_where_the_application_lives_does_not_move_it() {
    let message = refusal(|s| {
        let Seen::Present(placement) = &mut s.placement else { unreachable!() };
        placement.decisions = Decisions::Ambiguous(vec!["a".into(), "b".into()]);
    });
    assert!(message.contains("a, b"), "{message}");
    let message = refusal(|s| {
        let Seen::Present(placement) = &mut s.placement else { unreachable!() };
        let entry = |cluster: &str| Decision { cluster: cluster.into(), reason: cluster.into() };
        let id = ObjectId { name: "d".into(), uid: "u".into(), resource_version: "1".into() };
        placement.decisions = Decisions::One { id, entries: vec![entry("dr1"), entry("dr2")] };
    });
    assert!(message.contains("more than one live decision"), "{message}");
}

#[test]
fn an_invalid_policy_is_refused_and_one_that_is_going_away_keeps_what_it_has() {
    let invalid = |s: &mut Snapshot, reason: &str| {
        let Seen::Present(policy) = &mut s.policy else { unreachable!() };
        let invalid = Condition::new(drpolicy::VALIDATED, ConditionStatus::False, reason, "none", 1);
        policy.status.as_mut().unwrap().conditions = vec![invalid];
    };
    let message = refusal(|s| invalid(s, "DRPolicyConflictFound"));
    assert!(message.contains("DRPolicyConflictFound"), "{message}");
    // Stores that do not answer keep newcomers out, and stop nobody who has to leave the cluster that they died with.
    let mut newcomer = World::new().snapshot();
    invalid(&mut newcomer, "DRClustersUnavailable");
    assert!(refused(&decide(&newcomer)).contains("DRClustersUnavailable"));
    let mut established = World::deployed().snapshot();
    invalid(&mut established, "DRClustersUnavailable");
    assert!(decide(&established).outlook.available.unwrap().status == "True");
    // A policy waits for its applications before it goes: meanwhile they have to be able to fail over.
    let world = World::deployed();
    let mut s = world.snapshot();
    let going = |s: &mut Snapshot| {
        let Seen::Present(policy) = &mut s.policy else { unreachable!() };
        policy.metadata.deletion_timestamp = Some(kaedama_shared::api::Time(world.now));
    };
    going(&mut s);
    assert!(decide(&s).outlook.available.unwrap().status == "True");
    let mut newcomer = World::new().snapshot();
    going(&mut newcomer);
    assert!(refused(&decide(&newcomer)).contains("being deleted"));
}

#[test]
fn what_would_hang_a_failover_is_refused_before_the_first_placement() {
    let mut s = World::new().snapshot();
    s.drpc.spec.kube_object_protection = Some(Default::default());
    assert!(refused(&decide(&s)).contains("spec.kubeObjectProtection"));
    s.config.as_mut().unwrap().kube_objects_disabled = true;
    let available = decide(&s).outlook.available;
    assert!(available.as_ref().is_none_or(|available| available.reason != "Error"), "{available:?}");
    // What is placed already is not left alone for it.
    let mut s = World::deployed().snapshot();
    s.drpc.spec.kube_object_protection = Some(Default::default());
    assert!(decide(&s).outlook.available.unwrap().status == "True");
}

#[test]
fn a_view_that_cannot_be_believed_is_looked_at_again() {
    let mut s = World::deployed().snapshot();
    s.policy = Seen::Unknown("view of drpolicies is stale".into());
    let plan = decide(&s);
    refused(&plan);
    assert!(plan.outlook.waiting.is_some(), "no event tells that a view can be believed again");
    s.policy = Seen::Absent;
    assert!(decide(&s).outlook.waiting.is_none(), "what an edit mends is watched");
}

#[test]
fn a_new_drpc_does_not_move_what_is_placed_elsewhere() {
    let mut world = World::new();
    let id = ObjectId { name: "d".into(), uid: "u".into(), resource_version: "1".into() };
    let entries = vec![Decision { cluster: "dr2".into(), reason: "dr2".into() }];
    world.placement.decisions = Decisions::One { id, entries };
    world.settle();
    assert!(world.available().message.contains("set spec.preferredCluster to dr2"), "{:?}", world.available());
    assert_eq!(world.asked("dr1"), "");
}

#[test]
fn a_failover_to_where_it_lives_changes_nothing() {
    let mut world = World::deployed();
    world.fail_over("dr1");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::Deployed, vec!["dr1".to_owned()]));
    assert_eq!(world.available().reason, "ValidationFailed");
    assert!(world.available().message.contains("dr2"), "{:?}", world.available());
    assert!(world.peer_ready().is_true());
}

#[test]
fn a_failover_waits_for_a_target_that_can_take_over() {
    let mut world = World::deployed();
    world.lose("dr2");
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::Initiating, Progression::CheckingFailoverPrerequisites));
    assert_eq!((world.available().is_false(), world.available().reason.as_str()), (true, "Initiating"));
    assert!(world.clusters["dr1"].app && world.asked("dr2") == "secondary");
    // It comes back, and its volumes are not at rest.
    world.restore("dr2");
    let report = world.works.get_mut("dr2").unwrap().report.as_mut().unwrap();
    condition::set(
        &mut report.status.as_mut().unwrap().conditions,
        Condition::new(vrg_types::DATA_READY, ConditionStatus::False, "Progressing", "resyncing", 1),
        world.now,
    );
    report.status.as_mut().unwrap().state = kaedama_shared::api::VRGState::Unknown;
    world.pass();
    assert!(world.available().message.contains("resyncing"), "{:?}", world.available());
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

fn on_shared_storage() -> World {
    let mut world = World::new();
    let status = world.policy.status.as_mut().unwrap();
    status.async_.peer_classes.clear();
    status.sync.peer_classes = vec![PeerClass { storage_class_name: "fast".into(), ..Default::default() }];
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
    world
}

fn fence(world: &mut World, cluster: &str, fenced: ConditionStatus) {
    let drcluster = world.drclusters.get_mut(cluster).unwrap();
    let fenced = Condition::new(drcluster_types::FENCED, fenced, "Fenced", "by the user", 1);
    drcluster.status = Some(DRClusterStatus { conditions: vec![fenced], ..Default::default() });
}

#[test]
fn shared_storage_is_taken_over_only_from_a_fenced_home() {
    let mut world = on_shared_storage();
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::FailingOver, Progression::WaitForFencing));
    assert!(world.available().message.contains("ManuallyFenced"), "{:?}", world.available());
    // A fence of an earlier generation proves nothing about the present one.
    fence(&mut world, "dr1", ConditionStatus::True);
    world.drclusters.get_mut("dr1").unwrap().metadata.generation = Some(2);
    world.settle();
    assert_eq!(world.asked("dr2"), "secondary");
    world.drclusters.get_mut("dr1").unwrap().metadata.generation = Some(1);
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
    world.restore("dr1");
    world.settle();
    // Back to a cluster that is fenced is no way.
    world.relocate("dr1");
    world.settle();
    assert!(world.available().message.contains("fenced"), "{:?}", world.available());
    assert!(world.clusters["dr2"].app);
    fence(&mut world, "dr1", ConditionStatus::False);
    world.settle();
    world.assert_at_rest("dr1", DRState::Relocated);
}

#[test]
fn a_failover_back_asks_for_the_fence_of_the_cluster_that_it_leaves() {
    let mut world = on_shared_storage();
    fence(&mut world, "dr1", ConditionStatus::True);
    world.fail_over("dr2");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
    fence(&mut world, "dr1", ConditionStatus::False);
    world.lose("dr2");
    world.fail_over("dr1");
    world.settle();
    assert!(world.available().message.contains("cluster dr2 must be fenced"), "{:?}", world.available());
}

fn with_modes(vrg: &mut VolumeReplicationGroup) {
    let mut pvc = ProtectedPVC { name: "data".into(), csi_provisioner: "csi".into(), ..Default::default() };
    pvc.replication_id.id = "pair".into();
    pvc.replication_id.modes = vec![MMode::Failover];
    vrg.status.as_mut().unwrap().protected_pvcs = vec![pvc];
}

#[test]
fn storage_that_needs_a_maintenance_mode_is_waited_for() {
    let mut world = World::deployed();
    with_modes(world.cluster("dr1").vrg.as_mut().unwrap());
    world.spoke("dr1");
    world.agent("dr1");
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    assert_eq!(world.progression(), Progression::WaitForStorageMaintenanceActivation);
    let mode = ClusterMaintenanceMode {
        storage_provisioner: "csi".into(),
        target_id: "pair".into(),
        conditions: vec![Condition::new("FailoverActivated", ConditionStatus::True, "Yes", "", 1)],
        ..Default::default()
    };
    world.drclusters.get_mut("dr2").unwrap().status =
        Some(DRClusterStatus { maintenance_modes: vec![mode], ..Default::default() });
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
}

#[test]
fn evidence_that_cannot_be_had_is_no_permission() {
    let mut world = World::deployed();
    world.lose("dr1");
    // Of the former home nothing is left but what the stores have.
    world.works.get_mut("dr1").unwrap().report = None;
    world.stored = Seen::Unknown("timed out".into());
    world.fail_over("dr2");
    assert!(crate::drpc::decide::needs_stores(&world.snapshot()));
    world.settle();
    assert_eq!(world.progression(), Progression::WaitForStorageMaintenanceActivation);
    assert!(world.available().message.contains("timed out"), "{:?}", world.available());
    world.stored = Seen::Absent;
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
    assert!(!crate::drpc::decide::needs_stores(&world.snapshot()), "at rest no store is read");
}

#[test]
fn a_relocate_needs_every_cluster_and_a_protected_source() {
    let mut world = World::deployed();
    world.lose("dr2");
    world.relocate("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::Initiating, vec!["dr1".to_owned()]));
    assert!(world.available().message.contains("dr2 cannot be asked"), "{:?}", world.available());
    world.restore("dr2");
    for type_ in [vrg_types::DATA_READY, vrg_types::CLUSTER_DATA_PROTECTED] {
        let mut s = world.snapshot();
        let Seen::Present(vrg) = &mut s.sites[0].vrg else { unreachable!() };
        // True for another generation.
        let stale = Condition::new(type_, ConditionStatus::True, "Ready", "", 7);
        condition::set(&mut vrg.status.as_mut().unwrap().conditions, stale, world.now);
        let plan = decide(&s);
        assert!(plan.actions.is_empty(), "{plan:?}");
        assert!(plan.outlook.available.unwrap().message.contains(type_));
    }
}

#[test]
fn an_edit_while_another_order_waits_has_one_start_time() {
    let mut world = World::deployed();
    world.lose("dr2");
    world.fail_over("dr2");
    world.settle();
    let started = world.drpc().status.clone().unwrap().action_start_time;
    world.relocate("dr2");
    world.settle();
    assert_ne!(world.drpc().status.clone().unwrap().action_start_time, started, "another order starts anew");
    world.order(None, "dr1", "");
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

#[test]
fn who_was_demoted_does_not_tell_which_storage_is_involved() {
    let mut world = World::deployed();
    let mut primary = world.clusters["dr1"].vrg.clone().unwrap();
    with_modes(&mut primary);
    world.stored = Seen::Present(primary);
    world.relocate("dr2");
    while world.asked("dr1") == "primary" {
        world.tick();
    }
    world.clusters_answer();
    world.lose("dr1");
    world.fail_over("dr2");
    assert!(crate::drpc::decide::needs_stores(&world.snapshot()));
    world.pass();
    assert_eq!(world.progression(), Progression::WaitForStorageMaintenanceActivation, "{:?}", world.available());
}

#[test]
fn a_cluster_that_is_away_is_not_asked_for_a_view() {
    let mut s = World::deployed().snapshot();
    s.sites[1].mute = true;
    let asks = |s: &Snapshot| decide(s).actions.iter().any(|action| matches!(action, Action::EnsureView { .. }));
    assert!(asks(&s));
    s.sites[1].reachable = Err("there is no ManagedCluster dr2".to_owned());
    assert!(!asks(&s));
}
