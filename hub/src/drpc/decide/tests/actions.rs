//! What each kind of action does, step by step, and what an edit in the middle means.

use kaedama_shared::api::{DRAction, DRState, Progression};
use kaedama_shared::record::{ActionKind, Step};

use super::world::{Crash, World};

/// Ticks until `until` holds.
fn run(world: &mut World, until: impl Fn(&World) -> bool) {
    for _ in 0..40 {
        if until(world) {
            return;
        }
        world.tick();
    }
    panic!("never came about; {}/{} {:?}", world.phase(), world.progression(), world.writes);
}

#[test]
fn a_first_placement_asks_both_clusters_and_then_deploys() {
    let mut world = World::new();
    world.settle();
    world.assert_at_rest("dr1", DRState::Deployed);
    assert_eq!(world.available().message, "Initial deployment completed");
    let status = world.drpc().status.clone().unwrap();
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Available", "PeerReady", "Protected"]);
    assert!(status.conditions[2].is_true(), "{:?}", status.conditions[2]);
    assert_eq!(status.preferred_decision.cluster_name, "dr1");
    assert!(status.action_duration.is_some());
    let order: Vec<&str> =
        world.writes.iter().map(String::as_str).filter(|write| !write.starts_with("status")).collect();
    assert_eq!(
        order,
        [
            "mark",
            "claim",
            "ask dr1",
            "ask dr2",
            "mark Promoting",
            "namespace dr1",
            "create dr1 primary",
            "decide dr1",
            "mark Placed",
            "namespace dr2",
            "create dr2 secondary",
            "mark Completed",
        ]
    );
}

#[test]
fn a_failover_is_few_writes_and_keeps_the_old_home_until_it_is_a_secondary() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
    // Eight, and a status for each thing that the clusters report.
    assert!(world.writes.len() <= 14, "{}: {:?}", world.writes.len(), world.writes);
    let order: Vec<&str> =
        world.writes.iter().map(String::as_str).filter(|write| !write.starts_with("status")).collect();
    assert_eq!(
        order,
        [
            "mark Promoting",
            "decide (dr1)",
            "update dr2 primary",
            "mark Placed",
            "decide (dr1) dr2",
            "update dr1 secondary",
            "decide dr2",
            "mark Completed",
        ]
    );
}

#[test]
fn a_dead_home_is_failed_over_at_once_and_cleaned_up_when_it_returns() {
    let mut world = World::deployed();
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    assert_eq!((world.phase(), world.progression()), (DRState::FailedOver, Progression::CleaningUp));
    assert!(world.available().is_true() && world.peer_ready().is_false());
    assert_eq!(world.decided(), ["(dr1)", "dr2"], "the old home's decision is kept while nobody knows what it does");
    assert_eq!(world.asked("dr1"), "secondary", "the demotion lies ready for its return");
    assert!(world.clusters["dr1"].is_primary(), "nobody has told it yet");
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

/// The time of the last synchronisation says what a failover may cost, when it is wanted most.
#[test]
fn a_failover_keeps_the_time_of_the_last_synchronisation_in_sight() {
    let mut world = World::deployed();
    let synced = |world: &World| world.drpc().status.as_ref().and_then(|status| status.last_group_sync_time.clone());
    let before = synced(&world);
    assert!(before.is_some());
    world.lose("dr1");
    world.fail_over("dr2");
    run(&mut world, |world| world.phase() == DRState::FailingOver);
    assert_eq!(synced(&world), before);
}

/// The target of a relocate waits for every store: where the source is lost with its own, somebody has to give it up.
#[test]
fn a_relocate_whose_source_is_lost_while_its_target_is_promoted_becomes_a_failover() {
    let mut world = World::deployed();
    world.relocate("dr2");
    run(&mut world, |world| world.record().unwrap().step == Step::Promoting);
    let relocate = world.record().unwrap();
    world.lose("dr1");
    world.fail_over("dr2");
    run(&mut world, |world| world.record().unwrap().kind == ActionKind::Failover);
    let failover = world.record().unwrap();
    assert_eq!((failover.from.as_str(), failover.to.as_str()), ("dr1", "dr2"));
    assert!(failover.epoch > relocate.epoch);
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
    assert_eq!(world.decided(), ["dr2"]);
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

#[test]
fn a_relocate_loses_no_write() {
    let mut world = World::deployed();
    world.relocate("dr2");
    world.settle();
    world.assert_at_rest("dr2", DRState::Relocated);
    let order: Vec<&str> =
        world.writes.iter().map(String::as_str).filter(|write| !write.starts_with("status")).collect();
    assert_eq!(
        order,
        [
            "mark Quiescing",
            "update dr1 primary prepare",
            "decide ",
            "update dr1 primary final-sync",
            "update dr1 secondary",
            "mark Promoting",
            "update dr2 primary",
            "mark Completed",
            "decide dr2",
        ]
    );
}

#[test]
fn ten_actions_in_a_row() {
    let mut world = World::deployed();
    for round in 0..10 {
        let to = if round % 2 == 0 { "dr2" } else { "dr1" };
        if round % 3 == 0 {
            world.relocate(to)
        } else {
            world.fail_over(to)
        }
        world.settle();
        let phase = if round % 3 == 0 { DRState::Relocated } else { DRState::FailedOver };
        world.assert_at_rest(to, phase);
        assert_eq!(world.record().unwrap().epoch, round + 2);
    }
}

#[test]
fn clearing_the_action_at_home_shows_a_deployment() {
    let mut world = World::deployed();
    world.relocate("dr2");
    world.settle();
    world.order(None, "dr2", "");
    world.settle();
    world.assert_at_rest("dr2", DRState::Deployed);
    world.order(None, "dr1", "");
    world.settle();
    assert_eq!(world.decided(), ["dr2"], "without an action nothing moves");
    assert!(world.available().message.contains("Relocate"), "{:?}", world.available());
}

#[test]
fn a_relocate_to_where_it_is_needs_nobody_and_stops_nothing() {
    let mut world = World::deployed();
    world.lose("dr2");
    world.relocate("dr1");
    for _ in 0..20 {
        world.tick();
        assert_eq!(world.decided(), ["dr1"]);
        assert!(world.clusters["dr1"].app);
    }
    assert_eq!(world.phase(), DRState::Relocated);
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::Relocated);
}

#[test]
fn a_failover_back_while_the_first_is_being_cleaned_up() {
    let mut world = World::deployed();
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    // dr1 comes back, and is on its way to a secondary when dr2 dies.
    world.restore("dr1");
    world.agent("dr1");
    world.lose("dr2");
    world.fail_over("dr1");
    world.pass();
    assert_eq!(world.progression(), Progression::CheckingFailoverPrerequisites);
    assert_eq!(world.asked("dr1"), "secondary", "half a demotion is finished before it is promoted again");
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
    assert_eq!(world.decided(), ["(dr2)", "dr1"]);
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::FailedOver);
}

#[test]
fn the_way_back_from_a_failover_whose_target_died_keeps_the_old_home_running() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.pass();
    world.lose("dr2");
    world.fail_over("dr1");
    for _ in 0..20 {
        world.tick();
        assert!(world.clusters["dr1"].app, "its decision was dropped: {:?}", world.decided());
    }
    assert_eq!((world.phase(), world.decided()), (DRState::FailedOver, vec!["dr1".to_owned()]));
}

#[test]
fn a_relocate_is_called_off_before_the_application_stops() {
    for (order, lost) in [(None, false), (Some(DRAction::Failover), false), (Some(DRAction::Failover), true)] {
        let mut world = World::deployed();
        world.relocate("dr2");
        run(&mut world, |world| world.progression() == Progression::PreparingFinalSync);
        if lost {
            world.lose("dr2");
        }
        world.order(order.clone(), "dr1", "dr1");
        for _ in 0..30 {
            world.tick();
            assert!(world.clusters["dr1"].app, "{order:?}, dr2 lost: {lost}");
        }
        assert!(!world.works["dr1"].vrg.as_ref().unwrap().spec.prepare_for_final_sync, "it goes on as it was");
        if lost {
            world.restore("dr2");
        }
        world.settle();
        world.assert_at_rest("dr1", way_back_ends(&order));
    }
}

/// What a relocate that was called off by this order ends as.
fn way_back_ends(order: &Option<DRAction>) -> DRState {
    match order {
        None => DRState::Deployed,
        Some(DRAction::Failover) => DRState::FailedOver,
        Some(_) => DRState::Relocated,
    }
}

#[test]
fn a_way_back_that_waits_for_a_lost_peer_is_turned_into_one_that_gives_it_up() {
    let mut world = World::deployed();
    world.relocate("dr2");
    run(&mut world, |world| world.writes.iter().any(|write| write.contains("final-sync")));
    world.lose("dr2");
    world.relocate("dr1");
    run(&mut world, |world| world.asked("dr1") == "secondary");
    let first = world.record().unwrap();
    assert_eq!((first.kind, first.from.as_str(), first.to.as_str()), (ActionKind::Relocate, "dr1", "dr1"));
    world.fail_over("dr1");
    world.pass();
    let turned = world.record().unwrap();
    assert_eq!((turned.kind, turned.from.as_str(), turned.to.as_str()), (ActionKind::Failover, "dr1", "dr1"));
    assert_eq!((turned.step, turned.epoch), (Step::Quiescing, first.epoch + 1));
    assert_eq!(world.works["dr1"].vrg.as_ref().unwrap().spec.action, Some(DRAction::Failover));
    // The volumes are let go one by one as those of a primary: what dr2 has of them may be gone.
    world.fail_over("dr2");
    for _ in 0..5 {
        world.tick();
        assert_eq!(world.record().unwrap().epoch, turned.epoch, "one order, one action");
    }
    world.fail_over("dr1");
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr1", DRState::FailedOver);
}

#[test]
fn a_relocate_called_off_after_the_application_was_stopped_comes_to_rest_before_it_goes_on() {
    for order in [None, Some(DRAction::Relocate), Some(DRAction::Failover)] {
        let mut world = World::deployed();
        world.relocate("dr2");
        run(&mut world, |world| world.writes.iter().any(|write| write.contains("final-sync")));
        world.lose("dr2");
        world.order(order.clone(), "dr1", "dr1");
        run(&mut world, |world| world.asked("dr1") == "secondary");
        assert_eq!(world.decided(), [""; 0]);
        world.restore("dr2");
        world.settle();
        world.assert_at_rest("dr1", way_back_ends(&order));
    }
}

#[test]
fn a_relocate_called_off_between_the_decision_and_the_final_sync_comes_to_rest_too() {
    for order in [None, Some(DRAction::Relocate), Some(DRAction::Failover)] {
        let mut world = World::deployed();
        world.relocate("dr2");
        run(&mut world, |world| world.progression() == Progression::PreparingFinalSync);
        // The hub dies when the application has lost its decision, and nothing else was written.
        while world.decided() == ["dr1"] {
            let snapshot = world.snapshot();
            world.pass_on(&snapshot, Crash::After(1));
            world.clusters_answer();
        }
        let told = world.works["dr1"].vrg.clone().unwrap().spec;
        assert!(world.decided().is_empty() && told.prepare_for_final_sync && !told.run_final_sync, "{told:#?}");
        for cluster in super::world::CLUSTERS {
            world.gitops(cluster);
        }
        assert!(!world.clusters["dr1"].app, "its claims are on their way out");
        world.order(order.clone(), "dr1", "dr1");
        run(&mut world, |world| world.asked("dr1") == "secondary");
        world.settle();
        world.assert_at_rest("dr1", way_back_ends(&order));
    }
}

#[test]
fn a_relocate_whose_source_dies_becomes_a_failover() {
    let mut world = World::deployed();
    world.relocate("dr2");
    run(&mut world, |world| world.progression() == Progression::RunningFinalSync);
    world.lose("dr1");
    world.fail_over("dr2");
    world.settle();
    assert_eq!(world.phase(), DRState::FailedOver);
    assert!(world.decided().contains(&"dr2".to_owned()));
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

#[test]
fn the_application_is_not_stopped_for_a_target_that_is_gone() {
    let mut world = World::deployed();
    world.relocate("dr2");
    run(&mut world, |world| world.record().unwrap().step == Step::Quiescing);
    world.lose("dr2");
    for _ in 0..20 {
        world.tick();
        assert_eq!(world.decided(), ["dr1"]);
    }
    assert!(world.available().message.contains("dr2"), "{:?}", world.available());
    world.restore("dr2");
    world.settle();
    world.assert_at_rest("dr2", DRState::Relocated);
}

#[test]
fn an_edit_in_the_middle_of_a_promotion_waits_for_its_end() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.pass();
    world.relocate("dr1");
    world.pass();
    assert_eq!(world.record().unwrap().kind, ActionKind::Failover);
    assert!(world.available().message.contains("taken up when it has ended"), "{:?}", world.available());
    world.settle();
    world.assert_at_rest("dr1", DRState::Relocated);
}

#[test]
fn a_crash_between_any_two_writes_changes_nothing_in_the_end() {
    for action in ["failover", "relocate"] {
        for crash in 0..30 {
            let mut world = World::deployed();
            if action == "failover" {
                world.fail_over("dr2")
            } else {
                world.relocate("dr2")
            }
            let mut left = crash;
            for _ in 0..40 {
                let snapshot = world.snapshot();
                let before = world.writes.len();
                world.pass_on(&snapshot, Crash::After(left));
                left = left.saturating_sub(world.writes.len() - before);
                if left == 0 {
                    break;
                }
                for cluster in super::world::CLUSTERS {
                    world.agent(cluster);
                    world.spoke(cluster);
                    world.agent(cluster);
                    world.gitops(cluster);
                }
            }
            world.settle();
            world.assert_at_rest("dr2", if action == "failover" { DRState::FailedOver } else { DRState::Relocated });
        }
    }
}

#[test]
fn a_relocate_to_where_a_failover_has_put_it_does_not_stop_the_failovers_cleanup() {
    let mut world = World::deployed();
    world.lose("dr1");
    world.fail_over("dr2");
    run(&mut world, |world| world.record().is_some_and(|record| record.step == Step::Placed));
    world.relocate("dr2");
    for _ in 0..5 {
        world.tick();
    }
    let record = world.record().unwrap();
    assert_eq!((record.kind, record.step), (ActionKind::Failover, Step::Placed), "{record:?}");
    assert!(world.available().message.contains("is on dr2 already"), "{:?}", world.available());
    world.restore("dr1");
    world.settle();
    world.assert_at_rest("dr2", DRState::Relocated);
}

#[test]
fn the_application_is_not_stopped_while_a_claim_that_came_late_is_not_protected() {
    use kaedama_shared::api::conditions::vrg as vrg_types;
    use kaedama_shared::api::{Condition, ConditionStatus, condition};
    use kaedama_shared::seen::Seen;
    for type_ in [vrg_types::DATA_READY, vrg_types::CLUSTER_DATA_PROTECTED] {
        let mut world = World::deployed();
        world.relocate("dr2");
        let prepared = |world: &World| {
            let snapshot = world.snapshot();
            snapshot.sites[0].vrg.present().is_some_and(|vrg| {
                vrg.spec.prepare_for_final_sync
                    && vrg.status.as_ref().is_some_and(|status| status.prepare_for_final_sync_complete)
            })
        };
        run(&mut world, prepared);
        assert_eq!(world.decided(), ["dr1"]);
        let mut snapshot = world.snapshot();
        let Seen::Present(vrg) = &mut snapshot.sites[0].vrg else { unreachable!() };
        let late =
            Condition::new(type_, ConditionStatus::False, "Progressing", "waiting", vrg.metadata.generation.unwrap());
        condition::set(&mut vrg.status.as_mut().unwrap().conditions, late, world.now);
        let plan = crate::drpc::decide::decide(&snapshot);
        let said = plan.outlook.available.unwrap().message;
        assert!(said.contains(type_), "{said}");
        assert!(!plan.actions.iter().any(|action| matches!(action, crate::drpc::plan::Action::Decide { .. })));
    }
}
