//! Taken over from the reference product: at rest, in the middle of an action, and back from a spell of it between two of
//! ours. It changes groups and works, and leaves records where they are.

use std::collections::BTreeMap;

use kaedama_shared::api::{DRAction, DRState, Progression, ReplicationState, VolumeReplicationGroup};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::world::{CLUSTERS, World};
use crate::drpc::decide::decide;
use crate::drpc::plan::Action;

type Annotations = Option<BTreeMap<String, String>>;

fn strip(annotations: &mut Annotations) {
    annotations.as_mut().unwrap().remove(names::ACTION_RECORD);
}

/// Changes the group of a cluster wherever it is: in its work, on the cluster, and in what is reported.
fn change(world: &mut World, cluster: &str, change: impl Fn(&mut VolumeReplicationGroup)) {
    let work = world.works.get_mut(cluster).unwrap();
    work.vrg.iter_mut().chain(&mut work.report).for_each(&change);
    let cluster = world.cluster(cluster);
    cluster.vrg.iter_mut().chain(&mut cluster.reported).for_each(&change);
}

/// As if nothing of ours had ever been there.
fn without_records(mut world: World) -> World {
    strip(&mut world.drpc.as_mut().unwrap().metadata.annotations);
    for cluster in CLUSTERS {
        change(&mut world, cluster, |vrg| strip(&mut vrg.metadata.annotations));
    }
    world
}

fn told(world: &World, cluster: &str) -> VolumeReplicationGroup {
    world.works[cluster].vrg.clone().unwrap()
}

#[test]
fn an_application_of_the_reference_product_is_taken_over_without_a_change() {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.settle();
    let mut world = without_records(world);
    let specs = |world: &World| -> Vec<_> { world.clusters.values().map(|c| c.vrg.clone().unwrap().spec).collect() };
    let before = specs(&world);
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
    assert_eq!(specs(&world), before);
    let record = world.record().unwrap();
    assert_eq!((record.kind, record.from.as_str(), record.to.as_str()), (ActionKind::Failover, "dr1", "dr2"));
}

/// A relocate to dr2 whose application has been told to stop.
fn stopping() -> World {
    let mut world = World::deployed();
    world.relocate("dr2");
    while !world.clusters["dr1"].vrg.as_ref().unwrap().spec.run_final_sync {
        world.tick();
    }
    world
}

#[test]
fn a_relocate_of_the_reference_product_goes_on_from_its_final_sync() {
    for action in [None, Some(DRAction::Failover), Some(DRAction::Relocate)] {
        let mut world = without_records(stopping());
        for cluster in CLUSTERS {
            change(&mut world, cluster, |vrg| vrg.spec.action.clone_from(&action));
        }
        while world.asked("dr1") == "primary" {
            assert!(told(&world, "dr1").spec.run_final_sync, "its claims are on their way out: {:?}", world.writes);
            world.tick();
        }
        world.settle();
        world.assert_at_rest("dr2", DRState::Relocated);
    }
}

#[test]
fn a_relocate_of_the_reference_product_goes_on_from_its_demotion() {
    let mut world = stopping();
    while world.clusters.values().any(|cluster| cluster.is_primary()) {
        world.tick();
    }
    let mut world = without_records(world);
    world.settle();
    world.assert_at_rest("dr2", DRState::Relocated);
}

/// A failover to dr2 that has been told to promote it; dr1 is primary still.
fn promoting() -> World {
    let mut world = World::deployed();
    world.fail_over("dr2");
    world.pass();
    world.agent("dr2");
    world.spoke("dr2");
    world.agent("dr2");
    assert!(world.clusters.values().all(|cluster| cluster.is_primary()));
    world
}

#[test]
fn a_failover_of_the_reference_product_goes_on() {
    let mut world = without_records(promoting());
    world.settle();
    world.assert_at_rest("dr2", DRState::FailedOver);
}

#[test]
fn a_failover_of_the_reference_product_counts_before_an_old_record() {
    let record = World::deployed().record().unwrap();
    let mut world = with_record(promoting(), &record);
    world.drpc.as_mut().unwrap().status.as_mut().unwrap().phase = DRState::WaitForUser;
    world.settle();
    assert!(!world.writes.iter().any(|write| write == "update dr2 secondary"), "{:?}", world.writes);
    assert!(world.clusters["dr2"].is_primary());
}

#[test]
fn a_test_failover_of_the_reference_product_is_left_alone() {
    let mut world = without_records(promoting());
    change(&mut world, "dr2", |vrg| vrg.spec.dry_run = true);
    world.settle();
    assert_eq!(world.progression(), Progression::Paused);
    assert!(told(&world, "dr2").spec.dry_run && world.clusters.values().all(|cluster| cluster.is_primary()));
}

/// Puts an old record back everywhere: what was done since, the reference product has done.
fn with_record(mut world: World, record: &ActionRecord) -> World {
    let put_back = |annotations: &mut Annotations| {
        annotations.as_mut().unwrap().insert(names::ACTION_RECORD.into(), record.to_annotation());
    };
    put_back(&mut world.drpc.as_mut().unwrap().metadata.annotations);
    for cluster in CLUSTERS {
        change(&mut world, cluster, |vrg| put_back(&mut vrg.metadata.annotations));
    }
    world.writes.clear();
    world
}

/// Brought to dr1 by us, relocated to dr2 by the reference product.
fn relocated_by_the_reference_product(mut world: World) -> World {
    let record = world.record().unwrap();
    assert_eq!((record.to.as_str(), record.step), ("dr1", Step::Completed));
    world.relocate("dr2");
    world.settle();
    with_record(world, &record)
}

/// Relocated to dr2 and back by us.
fn relocated() -> World {
    let mut world = World::deployed();
    for to in ["dr2", "dr1"] {
        world.relocate(to);
        world.settle();
    }
    world
}

#[test]
fn an_old_record_is_not_believed_after_a_spell_of_the_reference_product() {
    // It tells its home by an annotation, and what it has done to the works would do as well; with new works of its own,
    // which carry no record, the annotation has to.
    let kinds = [World::deployed(), relocated()];
    let cases = [("dr2", true), ("dr1", true), ("dr2", false)];
    for (world, (last, recorded)) in kinds.iter().flat_map(|world| cases.map(|case| (world.clone(), case))) {
        let epoch = world.record().unwrap().epoch;
        let mut world = relocated_by_the_reference_product(world);
        let annotations = world.drpc.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(names::LAST_APP_DEPLOYMENT_CLUSTER.into(), last.into());
        if !recorded {
            for cluster in CLUSTERS {
                strip(&mut world.works.get_mut(cluster).unwrap().vrg.as_mut().unwrap().metadata.annotations);
            }
        }
        world.settle();
        assert!(!world.writes.iter().any(|write| write.starts_with("update dr1 primary")), "{:?}", world.writes);
        world.assert_at_rest("dr2", DRState::Relocated);
        let record = world.record().unwrap();
        assert_eq!((record.to.as_str(), record.epoch), ("dr2", epoch + 1), "it wins over the old one");
    }
}

#[test]
fn an_old_record_of_the_same_home_is_not_believed_either() {
    for restored in [false, true] {
        let mut world = relocated();
        let record = world.record().unwrap();
        for to in ["dr2", "dr1"] {
            world.fail_over(to);
            world.settle();
        }
        let mut world = with_record(world, &record);
        if restored {
            world.forget();
        }
        world.settle();
        world.assert_at_rest("dr1", DRState::FailedOver);
    }
}

#[test]
fn a_hub_that_was_restored_does_not_believe_an_old_record_either() {
    for world in [World::deployed(), relocated()] {
        let mut world = relocated_by_the_reference_product(world);
        world.forget();
        world.settle();
        assert!(!world.writes.iter().any(|write| write.contains("dr1 primary")), "{:?}", world.writes);
        world.assert_at_rest("dr2", DRState::Relocated);
    }
}

#[test]
fn a_relocate_of_the_reference_product_is_seen_behind_an_old_record() {
    let record = World::deployed().record().unwrap();
    for demoted in [false, true] {
        let mut world = stopping();
        while demoted && world.clusters.values().any(|cluster| cluster.is_primary()) {
            world.tick();
        }
        let mut world = with_record(world, &record);
        while world.asked("dr1") == "primary" {
            assert!(told(&world, "dr1").spec.run_final_sync, "its claims are on their way out: {:?}", world.writes);
            world.tick();
        }
        world.settle();
        assert!(!world.writes.iter().any(|write| write == "update dr1 primary"), "{:?}", world.writes);
        world.assert_at_rest("dr2", DRState::Relocated);
    }
}

#[test]
fn a_completed_record_is_no_permit_to_promote() {
    let mut s = World::deployed().snapshot();
    let Seen::Present(work) = &mut s.sites[0].work else { unreachable!() };
    work.vrg.spec.replication_state = ReplicationState::Secondary;
    strip(&mut work.vrg.metadata.annotations);
    let plan = decide(&s);
    assert!(!plan.actions.iter().any(|action| matches!(action, Action::UpdateVrgWork { .. })), "{plan:?}");
    assert!(plan.outlook.available.unwrap().message.contains("dr1"));
}
