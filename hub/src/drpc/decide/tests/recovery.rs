//! What a hub without memory makes of what it finds: of a first placement, and after a restore from a backup.

use kaedama_shared::api::conditions::drpolicy;
use kaedama_shared::api::reasons::drpolicy as reasons;
use kaedama_shared::api::{Condition, ConditionStatus, DRAction, DRPolicyStatus, DRState, Progression};
use kaedama_shared::names;
use kaedama_shared::record::Step;
use kaedama_shared::seen::Seen;

use super::world::{Crash, World};

fn paused(world: &World) -> bool {
    world.progression() == Progression::Paused
}

#[test]
fn a_first_placement_with_the_peer_down_needs_stores_that_are_proven_empty() {
    let mut world = World::new();
    world.lose("dr2");
    world.stored = Seen::Unknown("timed out".into());
    world.settle();
    assert!(paused(&world) && world.asked("dr1").is_empty());
    assert!(world.available().message.contains("timed out"), "{:?}", world.available());
    world.stored = Seen::Absent;
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::Deployed, vec!["dr1".to_owned()]));
    assert_eq!(world.asked("dr2"), "", "what may be there is not overwritten unseen");
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

#[test]
fn a_first_placement_with_the_home_down_waits() {
    let mut world = World::new();
    world.lose("dr1");
    world.settle();
    assert!(paused(&world) && world.available().message.contains("dr1"), "{:?}", world.available());
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

#[test]
fn while_answers_are_on_their_way_nothing_is_wrong() {
    let mut world = World::new();
    world.pass();
    assert_eq!((world.phase(), world.progression()), (DRState::Unset, Progression::Unset));
    assert!(world.peer_ready().is_true() && !world.available().is_false());
}

#[test]
fn a_restored_hub_takes_over_what_runs_and_changes_nothing() {
    for home in ["dr1", "dr2"] {
        let mut world = World::deployed();
        if home == "dr2" {
            world.fail_over("dr2");
            world.settle();
        }
        let generations = |world: &World| -> Vec<_> {
            world.clusters.values().map(|cluster| cluster.vrg.as_ref().unwrap().metadata.generation).collect()
        };
        let before = generations(&world);
        world.forget();
        world.settle();
        world.assert_at_rest(home, if home == "dr1" { DRState::Deployed } else { DRState::FailedOver });
        assert_eq!(generations(&world), before, "first contact is no change for the spokes");
    }
}

#[test]
fn an_interrupted_relocate_goes_on_after_a_restore() {
    let mut world = World::deployed();
    world.relocate("dr2");
    for _ in 0..30 {
        world.tick();
        if world.clusters.values().all(|cluster| !cluster.is_primary()) {
            break;
        }
    }
    world.forget();
    world.settle();
    world.assert_at_rest("dr2", DRState::Relocated);
}

#[test]
fn a_spec_out_of_a_backup_moves_nothing_before_it_is_confirmed() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.settle();
    // The backup is from before the failover, when a relocate to dr1 had been the last order.
    world.order(Some(DRAction::Relocate), "dr1", "");
    world.forget();
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::WaitForUser, Progression::Paused), "{:?}", world.writes);
    assert_eq!(world.decided(), ["dr2"], "the application is tended where it is");
    assert!(world.clusters["dr2"].app && !world.clusters["dr1"].app);
    // A crash of the hub before it has shown that it waits is no confirmation either.
    let mut world = world.clone();
    world.drpc.as_mut().unwrap().status = None;
    world.settle();
    assert_eq!(world.phase(), DRState::WaitForUser);
    world.order(None, "dr2", "");
    world.relocate("dr1");
    world.settle();
    world.assert_at_rest("dr1", DRState::Relocated);
}

#[test]
fn with_the_home_silent_a_failover_is_allowed_and_nothing_else_happens() {
    let mut world = World::deployed();
    world.forget();
    world.lose("dr1");
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::WaitForUser, Progression::Paused));
    assert_eq!(world.peer_ready().message, "Failover allowed");
    assert!(world.decided().is_empty() && world.asked("dr2").is_empty());
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::FailedOver, vec!["dr2".to_owned()]));
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

#[test]
fn with_the_home_silent_its_return_resumes() {
    let mut world = World::deployed();
    world.forget();
    world.lose("dr1");
    world.settle();
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

#[test]
fn with_the_peer_silent_the_home_counts_where_everything_agrees() {
    let mut world = World::deployed();
    world.forget();
    world.lose("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::Deployed, vec!["dr1".to_owned()]));
    assert_eq!(world.asked("dr2"), "");
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

#[test]
fn an_old_primary_does_not_count_while_a_later_one_may_be_silent() {
    // Failed over to dr2 with dr1 away; the hub is lost, dr2 too, and dr1 is back as it was.
    let failed_over = || {
        let mut world = World::deployed();
        world.lose("dr1");
        world.fail_over("dr2");
        world.settle();
        world.forget();
        world.restore("dr1");
        world.lose("dr2");
        world
    };
    let mut world = failed_over();
    world.settle();
    assert_eq!(world.phase(), DRState::WaitForUser);
    assert!(world.decided().is_empty(), "the spec asks for dr2");
    // The backup is even older: spec and annotation know of no failover. The stores do.
    let mut world = failed_over();
    world.order(None, "dr1", "");
    let carried = world.clusters["dr1"].vrg.clone().unwrap().metadata.annotations.unwrap();
    let record = carried[names::ACTION_RECORD].clone();
    world.drpc.as_mut().unwrap().metadata.annotations.as_mut().unwrap().insert(names::ACTION_RECORD.into(), record);
    world.stored = Seen::Present(world.clusters["dr2"].vrg.clone().unwrap());
    world.settle();
    assert_eq!(world.phase(), DRState::WaitForUser, "{:?}", world.available());
    world.fail_over("dr1");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::FailedOver, vec!["dr1".to_owned()]));
    assert!(world.record().unwrap().epoch > 2, "the order wins over what dr2 was told");
    // When dr2 comes back it is an old primary now, and becomes a secondary.
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::FailedOver);
}

#[test]
fn stores_that_cannot_be_read_agree_with_no_primary() {
    // Everything else agrees with dr1. But as above: dr2 may have been failed over to since the backup.
    let mut world = World::deployed();
    world.forget();
    world.lose("dr2");
    world.stored = Seen::Unknown("timed out".into());
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::WaitForUser, Progression::Paused));
    assert!(world.available().message.contains("timed out"), "{:?}", world.available());
    assert!(world.decided().is_empty(), "a second copy could start");
    // A store that answers is enough, and so is the cluster; nobody has to say anything.
    let mut answered = world.clone();
    answered.stored = Seen::Absent;
    answered.settle();
    assert_eq!((answered.phase(), answered.decided()), (DRState::Deployed, vec!["dr1".to_owned()]));
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
}

/// Failed over to dr2 after the backup from which the hub is restored; dr1 is back as it was.
fn restored_from_before_a_failover() -> World {
    let mut world = World::deployed();
    let old = world.clone();
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    let later = world.clusters["dr2"].clone();
    let mut world = old;
    world.failover_ordered = true;
    world.clusters.insert("dr2".to_owned(), later);
    world.forget();
    world
}

#[test]
fn an_adoption_that_is_cut_off_is_no_memory_of_the_backups_action() {
    for writes in 1..6 {
        let mut world = restored_from_before_a_failover();
        for _ in 0..3 {
            let snapshot = world.snapshot();
            world.pass_on(&snapshot, Crash::After(writes));
            world.clusters_answer();
        }
        world.settle();
        assert_eq!(world.decided(), ["dr2"], "after {writes} writes: {:?}", world.writes);
        let stale = world.writes.iter().find(|write| write.starts_with("decide") && write.contains("dr1"));
        assert_eq!(stale, None, "after {writes} writes");
    }
}

#[test]
fn an_order_out_of_a_backup_moves_nothing_while_the_home_is_silent() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.settle();
    world.relocate("dr1");
    world.settle();
    // The backup is from before the relocate.
    world.order(Some(DRAction::Failover), "dr1", "dr2");
    world.forget();
    world.lose("dr1");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::WaitForUser, Vec::new()), "{:?}", world.writes);
    assert!(world.available().message.contains("remove spec.action, and set it again"), "{:?}", world.available());
    world.order(None, "dr1", "");
    world.settle();
    assert_eq!(world.phase(), DRState::WaitForUser);
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::FailedOver, vec!["dr2".to_owned()]));
}

#[test]
fn the_way_back_of_a_relocate_is_not_gone_again_by_a_hub_that_forgot_it() {
    let mut world = World::deployed();
    world.relocate("dr2");
    while !world.clusters["dr1"].vrg.as_ref().unwrap().spec.run_final_sync {
        world.tick();
    }
    world.order(None, "dr1", "");
    world.settle();
    assert!(world.record().is_some_and(|record| record.from == record.to), "{:?}", world.record());
    world.drpc.as_mut().unwrap().metadata.annotations.as_mut().unwrap().remove(names::ACTION_RECORD);
    for _ in 0..30 {
        world.tick();
        assert!(world.clusters["dr1"].app && world.decided() == ["dr1"], "{:?}", world.writes);
    }
}

#[test]
fn a_policy_that_cannot_be_validated_without_the_lost_cluster_keeps_nobody_from_failing_over() {
    let mut world = World::deployed();
    world.forget();
    world.lose("dr1");
    world.policy.status = Some(DRPolicyStatus {
        conditions: vec![Condition {
            status: ConditionStatus::False,
            type_: drpolicy::VALIDATED.to_owned(),
            reason: reasons::DR_CLUSTER_DETAILS_FAILED.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    });
    let mut newcomer = world.clone();
    newcomer.drpc.as_mut().unwrap().metadata.annotations = Some(Default::default());
    newcomer.settle();
    assert!(newcomer.available().message.contains("is not valid"), "{:?}", newcomer.available());
    world.settle();
    assert_eq!(world.phase(), DRState::WaitForUser, "{:?}", world.available());
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::FailedOver, vec!["dr2".to_owned()]));
}

#[test]
fn a_later_primary_that_turns_up_is_not_demoted_without_a_word() {
    // The hub finds dr1 only.
    let mut world = restored_from_before_a_failover();
    world.lose("dr2");
    world.settle();
    assert_eq!((world.phase(), world.decided()), (DRState::Deployed, vec!["dr1".to_owned()]));
    world.restore("dr2");
    world.settle();
    assert_eq!(world.asked("dr2"), "", "{:?}", world.writes);
    assert!(world.clusters["dr2"].is_primary());
    world.fail_over("dr2");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

#[test]
fn works_that_are_ahead_of_the_drpc_prove_an_old_view_of_it() {
    let mut world = World::deployed();
    let old = world.drpc().clone();
    world.fail_over("dr2");
    world.pass();
    assert_eq!(world.asked("dr2"), "primary");
    // A new leader lists the DRPC from a cache of the API server that lags.
    let mut snapshot = world.snapshot();
    snapshot.drpc = old;
    world.pass_on(&snapshot, Crash::Never);
    assert_eq!(world.asked("dr2"), "primary", "the order is not taken back");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
    assert_eq!(world.record().unwrap().step, Step::Completed);
}

/// Failed over to dr2; then hub and groups are lost, and the backup knows where the application was.
fn lost_with_its_groups() -> World {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.settle();
    world.order(None, "dr1", "");
    world.settle();
    world.forget();
    for cluster in world.clusters.values_mut() {
        (cluster.vrg, cluster.reported, cluster.app, cluster.writable) = (None, None, false, false);
    }
    world
}

#[test]
fn an_application_that_was_placed_before_is_not_placed_elsewhere() {
    for recorded in [true, false] {
        let mut world = lost_with_its_groups();
        if !recorded {
            world.drpc.as_mut().unwrap().metadata.annotations.as_mut().unwrap().remove(names::ACTION_RECORD);
        }
        world.settle();
        assert!(world.available().message.contains("was placed on dr2 last"), "{:?}", world.available());
        assert_eq!((world.asked("dr1"), world.decided()), (String::new(), Vec::new()));
        world.order(None, "dr2", "");
        world.settle();
        world.assert_at_rest("dr2", DRState::Deployed);
    }
}

#[test]
fn an_application_that_a_store_knows_of_is_no_new_one() {
    let mut world = lost_with_its_groups();
    world.order(None, "dr2", "");
    world.stored = Seen::Unknown("not read".into());
    world.settle();
    assert!(crate::drpc::decide::needs_stores(&world.snapshot()));
    for stored in
        [Seen::Unknown("timed out".into()), Seen::Present(World::deployed().works["dr1"].vrg.clone().unwrap())]
    {
        world.stored = stored;
        world.settle();
        assert!(paused(&world) && world.asked("dr2").is_empty(), "{:?}", world.available());
    }
    world.stored = Seen::Absent;
    world.settle();
    world.assert_at_rest("dr2", DRState::Deployed);
}

#[test]
fn a_first_placement_that_is_cut_off_begins_again() {
    for writes in 0..9 {
        let mut world = World::new();
        for _ in 0..4 {
            let snapshot = world.snapshot();
            assert!(!crate::drpc::decide::needs_stores(&snapshot), "a first placement reads no store");
            world.pass_on(&snapshot, Crash::After(writes));
            world.clusters_answer();
        }
        world.settle();
        world.assert_at_rest("dr1", DRState::Deployed);
    }
}

#[test]
fn an_application_that_was_given_up_is_protected_again_elsewhere() {
    let mut world = World::deployed();
    world.delete();
    for _ in 0..20 {
        world.tick();
    }
    assert!(world.drpc.is_none());
    world.placement.decisions = crate::drpc::snapshot::Decisions::None;
    world.drpc = World::new().drpc;
    world.order(None, "dr2", "");
    world.settle();
    world.assert_at_rest("dr2", DRState::Deployed);
}
