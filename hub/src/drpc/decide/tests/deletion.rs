//! Protection ends: the application stays, what we made goes, in an order that loses nothing.

use kaedama_shared::api::DRState;
use kaedama_shared::names;
use kaedama_shared::seen::Seen;

use super::world::World;
use crate::drpc::decide::decide;
use crate::drpc::plan::Action;

fn run(world: &mut World, ticks: usize) {
    for _ in 0..ticks {
        if world.drpc.is_some() {
            world.tick();
        }
    }
}

#[test]
fn secondaries_go_before_the_primary_and_the_application_stays() {
    let mut world = World::deployed();
    world.delete();
    run(&mut world, 20);
    assert!(world.drpc.is_none(), "{:?}", world.writes);
    let deletions: Vec<&String> = world.writes.iter().filter(|write| write.starts_with("delete")).collect();
    assert_eq!(deletions, ["delete dr2", "delete dr1"]);
    assert!(world.works.is_empty() && world.namespaces.is_empty() && world.placement.finalizers.is_empty());
    assert_eq!(world.decided(), ["dr1"], "ending the protection does not stop the application");
    assert!(world.clusters["dr1"].app);
}

#[test]
fn a_cluster_that_is_away_holds_the_deletion_up_and_is_named() {
    let mut world = World::deployed();
    world.lose("dr2");
    world.delete();
    run(&mut world, 20);
    assert_eq!(world.phase(), DRState::Deleting);
    assert!(world.available().message.contains("dr2"), "{:?}", world.available());
    assert_eq!(world.asked("dr1"), "primary", "the primary outlives its secondary");
    world.restore("dr2");
    run(&mut world, 20);
    assert!(world.drpc.is_none());
}

#[test]
fn a_drpc_that_was_never_deployed_just_goes() {
    let mut world = World::new();
    world.pass();
    world.delete();
    run(&mut world, 3);
    assert!(world.drpc.is_none() && world.works.is_empty(), "{:?}", world.writes);
}

#[test]
fn a_drpc_without_policy_and_placement_goes_by_its_works() {
    let mut world = World::deployed();
    world.delete();
    let mut s = world.snapshot();
    s.policy = Seen::Absent;
    s.placement = Seen::Absent;
    let plan = decide(&s);
    assert!(matches!(plan.actions.as_slice(), [Action::DeleteVrgWork { cluster, .. }] if cluster == "dr2"), "{plan:?}");
    s.sites.iter_mut().for_each(|site| site.work = Seen::Absent);
    let mut status = s.drpc.status.clone().unwrap();
    status.phase = DRState::Deleting;
    s.drpc.status = Some(status);
    assert_eq!(decide(&s).actions.last(), Some(&Action::ReleaseDrpc));
}

#[test]
fn nothing_is_released_on_a_view_that_cannot_be_believed() {
    let mut world = World::deployed();
    world.delete();
    let mut blind = world.snapshot();
    blind.sites.clear();
    blind.doubt = Some("works are not known".to_owned());
    assert!(decide(&blind).actions.is_empty());
    let mut unplaced = world.snapshot();
    unplaced.sites.iter_mut().for_each(|site| site.work = Seen::Absent);
    unplaced.placement = Seen::Unknown("stale".to_owned());
    let plan = decide(&unplaced);
    assert!(plan.actions.is_empty(), "the Placement would keep our finalizer for ever: {plan:?}");
    assert!(plan.outlook.waiting.is_some());
}

#[test]
fn a_placement_that_goes_takes_the_protection_with_it() {
    let mut world = World::deployed();
    world.placement.deleting = true;
    run(&mut world, 20);
    assert!(world.drpc.is_none() && world.placement.finalizers.is_empty());
}

#[test]
fn a_hub_without_memory_leaves_no_orphan() {
    let mut world = World::deployed();
    world.forget();
    world.delete();
    world.lose("dr2");
    run(&mut world, 10);
    assert!(world.available().message.contains("dr2"), "{:?}", world.available());
    assert_eq!(world.phase(), DRState::Unset, "it is not being deleted before everybody was asked");
    world.restore("dr2");
    run(&mut world, 30);
    assert!(world.drpc.is_none(), "{:?}", world.writes);
    assert!(world.clusters.values().all(|cluster| cluster.vrg.is_none()));
}

#[test]
fn without_our_finalizer_nothing_is_done() {
    let mut world = World::deployed();
    world.delete();
    let mut s = world.snapshot();
    s.drpc.metadata.finalizers = Some(vec!["somebody.else/finalizer".to_owned()]);
    assert!(decide(&s).actions.is_empty());
    assert!(world.drpc().metadata.finalizers.iter().flatten().any(|name| name == names::DRPC_FINALIZER));
}

#[test]
fn an_action_that_is_under_way_ends_before_the_protection_does() {
    for lost in [None, Some("dr1")] {
        let mut world = World::deployed();
        match lost {
            Some(cluster) => {
                world.lose(cluster);
                world.fail_over("dr2");
                world.pass();
            }
            None => {
                world.relocate("dr2");
                while world.clusters.values().any(|cluster| cluster.is_primary()) {
                    world.tick();
                }
            }
        }
        world.delete();
        world.pass();
        assert!(world.available().message.contains("is being deleted"), "{:?}", world.available());
        if let Some(cluster) = lost {
            // Its work still asks for a primary: deleted as it is, the application would go on there as well.
            run(&mut world, 30);
            assert!(!world.writes.iter().any(|write| write.starts_with("delete")), "{:?}", world.writes);
            assert!(world.peer_ready().message.contains(cluster), "{:?}", world.peer_ready());
            world.restore(cluster);
        }
        while !world.writes.iter().any(|write| write.starts_with("delete")) {
            world.tick();
        }
        assert_eq!(world.decided().last().map(String::as_str), Some("dr2"), "{:?}", world.decided());
        run(&mut world, 30);
        assert!(world.drpc.is_none(), "{:?}", world.writes);
        assert!(world.clusters["dr2"].app && !world.clusters["dr1"].app);
    }
}

#[test]
fn an_action_that_cannot_go_on_leaves_no_cluster_without_the_application() {
    let mut world = World::deployed();
    world.relocate("dr2");
    while world.clusters.values().any(|cluster| cluster.is_primary()) {
        world.tick();
    }
    world.delete();
    let mut s = world.snapshot();
    s.policy = Seen::Absent;
    let plan = decide(&s);
    assert!(plan.actions.is_empty(), "{plan:?}");
    assert!(plan.outlook.available.unwrap().message.contains("there is no DRPolicy gold"));
    // One that keeps it is enough.
    let Seen::Present(work) = &mut s.sites[1].work else { unreachable!() };
    work.vrg.spec.replication_state = kaedama_shared::api::ReplicationState::Primary;
    assert!(matches!(decide(&s).actions.as_slice(), [Action::DeleteVrgWork { cluster, .. }] if cluster == "dr1"));
}

#[test]
fn an_action_is_turned_although_the_protection_is_to_end() {
    let mut world = World::deployed();
    world.relocate("dr2");
    while !world.clusters["dr1"].vrg.as_ref().unwrap().spec.run_final_sync {
        world.tick();
    }
    world.delete();
    world.lose("dr2");
    run(&mut world, 10);
    world.order(None, "dr1", "");
    run(&mut world, 10);
    assert_eq!(world.record().unwrap().to, "dr1", "{:?}", world.writes);
    world.restore("dr2");
    run(&mut world, 40);
    assert!(world.drpc.is_none(), "{:?}", world.writes);
    assert!(world.clusters["dr1"].app && world.decided() == ["dr1"]);
}

#[test]
fn a_lost_source_of_a_relocate_is_failed_over_from_although_the_protection_is_to_end() {
    let mut world = World::deployed();
    world.relocate("dr2");
    while !world.clusters["dr1"].vrg.as_ref().unwrap().spec.run_final_sync {
        world.tick();
    }
    world.delete();
    world.lose("dr1");
    world.fail_over("dr2");
    run(&mut world, 20);
    assert!(world.clusters["dr2"].app, "{:?}", world.available());
    world.restore("dr1");
    run(&mut world, 40);
    assert!(world.drpc.is_none() && world.clusters["dr2"].app && !world.clusters["dr1"].app, "{:?}", world.writes);
}

#[test]
fn the_deletion_does_not_wait_for_an_old_home_whose_work_is_gone() {
    let mut world = World::deployed();
    world.lose("dr1");
    world.fail_over("dr2");
    run(&mut world, 20);
    world.delete();
    run(&mut world, 10);
    assert!(world.drpc.is_some() && world.phase() == DRState::FailedOver, "{:?}", world.writes);
    // Its namespace went with it.
    world.detached.push("dr1".to_owned());
    world.works.remove("dr1");
    run(&mut world, 20);
    assert!(world.drpc.is_none(), "{:?}", world.writes);
}

#[test]
fn a_refused_drpc_takes_nothing_of_another_with_it() {
    let mut world = World::deployed();
    world.delete();
    let mut s = world.snapshot();
    s.conflict = Some("another protects it".to_owned());
    // One that has placed the application goes in order, conflict or not.
    assert!(matches!(decide(&s).actions[..], [Action::DeleteVrgWork { .. }]));
    // A copy carries its original's record, and has made nothing.
    s.drpc.metadata.uid = Some("of-the-copy".to_owned());
    let Seen::Present(placement) = &mut s.placement else { unreachable!() };
    placement.annotations.insert(names::DRPC_NAME.to_owned(), "rival".to_owned());
    assert_eq!(decide(&s).actions, [Action::ReleaseDrpc]);
    // Not in conflict, and yet the Placement is another's.
    s.conflict = None;
    s.sites.clear();
    assert_eq!(decide(&s).actions, [Action::ReleaseDrpc]);
}

#[test]
fn nobody_waits_for_the_answer_of_a_cluster_that_was_detached() {
    let mut world = World::deployed();
    world.forget();
    world.delete();
    world.lose("dr2");
    run(&mut world, 10);
    assert!(world.drpc.is_some(), "it may come back");
    world.detached.push("dr2".to_owned());
    run(&mut world, 20);
    assert!(world.drpc.is_none(), "{:?}", world.available());
    assert!(world.clusters["dr1"].vrg.is_none());
}
