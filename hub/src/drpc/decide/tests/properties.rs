//! Random histories: clusters that die, return and lag, agents and spokes in any order, edits at any time, a hub that
//! crashes between any two writes or decides on what it saw a while ago. The invariants are checked by the world at every
//! write and step; here is what has to hold in the end.

use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::record::ActionKind;
use proptest::prelude::*;

use super::world::{CLUSTERS, Crash, World};
use crate::drpc::snapshot::Snapshot;

#[derive(Clone, Debug)]
enum Event {
    /// The hub looks; what it decides on may be what an earlier look saw.
    Look,
    /// A pass on the present, or in part on the last look, which may crash after some writes.
    Pass {
        stale: Stale,
        crash: Option<usize>,
    },
    Agent(usize),
    Spoke(usize),
    Gitops(usize),
    Write(usize),
    /// The cluster dies; Open Cluster Management notices at once or later.
    Die(usize, bool),
    Notice(usize),
    Return(usize),
    Disconnect(usize),
    Edit(Edit),
    Forget,
}

/// What a pass sees as it was at the last look. Each kind of object has a cache of its own, and each lags by itself.
#[derive(Clone, Copy, Debug)]
enum Stale {
    Nothing,
    Drpc,
    Sites,
    Placement,
    All,
}

fn stale() -> impl Strategy<Value = Stale> {
    prop_oneof![Just(Stale::Drpc), Just(Stale::Sites), Just(Stale::Placement), Just(Stale::All), Just(Stale::Nothing)]
}

#[derive(Clone, Debug)]
enum Edit {
    Failover(usize),
    Relocate(usize),
    None(usize),
}

fn cluster() -> impl Strategy<Value = usize> {
    0..CLUSTERS.len()
}

fn events(failover: bool, forget: bool) -> impl Strategy<Value = Vec<Event>> {
    let edit = move |edit: Edit| match edit {
        Edit::Failover(to) if !failover => Event::Edit(Edit::Relocate(to)),
        edit => Event::Edit(edit),
    };
    let event = prop_oneof![
        2 => Just(Event::Look),
        8 => Just(Event::Pass { stale: Stale::Nothing, crash: None }),
        2 => (stale(), 0_usize..5).prop_map(|(stale, crash)| Event::Pass { stale, crash: Some(crash) }),
        3 => stale().prop_map(|stale| Event::Pass { stale, crash: None }),
        8 => cluster().prop_map(Event::Agent),
        10 => cluster().prop_map(Event::Spoke),
        5 => cluster().prop_map(Event::Gitops),
        3 => cluster().prop_map(Event::Write),
        1 => (cluster(), any::<bool>()).prop_map(|(cluster, noticed)| Event::Die(cluster, noticed)),
        1 => cluster().prop_map(Event::Notice),
        2 => cluster().prop_map(Event::Return),
        1 => cluster().prop_map(Event::Disconnect),
        2 => prop_oneof![
            cluster().prop_map(Edit::Failover), cluster().prop_map(Edit::Relocate), cluster().prop_map(Edit::None)
        ].prop_map(edit),
    ];
    let forget = if forget { 1 } else { 0 };
    let event = prop_oneof![200 => event, forget => Just(Event::Forget)];
    proptest::collection::vec(event, 1..250)
}

fn view(present: Snapshot, last: Option<&Snapshot>, stale: Stale) -> Snapshot {
    let Some(last) = last.cloned() else { return present };
    match stale {
        Stale::Nothing => present,
        Stale::Drpc => Snapshot { drpc: last.drpc, ..present },
        Stale::Sites => Snapshot { sites: last.sites, ..present },
        Stale::Placement => Snapshot { placement: last.placement, ..present },
        Stale::All => last,
    }
}

fn play(world: &mut World, events: &[Event]) {
    let mut last: Option<Snapshot> = None;
    for event in events {
        match event {
            Event::Look => last = Some(world.snapshot()),
            Event::Pass { stale, crash } => {
                let snapshot = view(world.snapshot(), last.as_ref(), *stale);
                world.pass_on(&snapshot, crash.map_or(Crash::Never, Crash::After));
            }
            Event::Agent(at) => world.agent(CLUSTERS[*at]),
            Event::Spoke(at) => world.spoke(CLUSTERS[*at]),
            Event::Gitops(at) => world.gitops(CLUSTERS[*at]),
            Event::Write(at) => world.write(CLUSTERS[*at]),
            Event::Die(at, noticed) => {
                world.cluster(CLUSTERS[*at]).alive = false;
                if *noticed {
                    world.lose(CLUSTERS[*at]);
                }
            }
            Event::Notice(at) => {
                let silent = !world.clusters[CLUSTERS[*at]].alive || !world.clusters[CLUSTERS[*at]].connected;
                if silent {
                    world.lost.push(CLUSTERS[*at].to_owned());
                }
            }
            Event::Return(at) => world.restore(CLUSTERS[*at]),
            Event::Disconnect(at) => world.cluster(CLUSTERS[*at]).connected = false,
            Event::Edit(Edit::Failover(to)) => world.fail_over(CLUSTERS[*to]),
            Event::Edit(Edit::Relocate(to)) => world.relocate(CLUSTERS[*to]),
            Event::Edit(Edit::None(to)) => world.order(None, CLUSTERS[*to], ""),
            Event::Forget => {
                last = None;
                world.forget();
            }
        }
    }
}

/// Faults stop. Everything that was ordered comes to its end, and nothing is done or waited for any more.
fn comes_to_rest(world: &mut World) {
    for cluster in CLUSTERS {
        world.restore(cluster);
    }
    world.settle();
    if world.phase() == DRState::WaitForUser {
        // The user says what they want, as the message asks them to.
        world.order(None, "dr1", "");
        world.settle();
    }
    let record = world.record().unwrap();
    let home = record.to.clone();
    let asked = world.drpc().spec.clone();
    let wanted = match asked.action {
        Some(DRAction::Failover) => asked.failover_cluster,
        Some(_) => asked.preferred_cluster,
        None => home.clone(),
    };
    assert_eq!(home, wanted, "{:?} {:?} {:?}", world.record(), world.available(), world.writes);
    let refused = world.available().reason == "ValidationFailed";
    if refused {
        world.order(None, &home, "");
        world.settle();
    }
    let phase = match record.kind {
        _ if world.drpc().spec.action.is_none() && world.drpc().spec.preferred_cluster == home => DRState::Deployed,
        ActionKind::Deploy => DRState::Deployed,
        ActionKind::Failover => DRState::FailedOver,
        ActionKind::Relocate => DRState::Relocated,
    };
    world.assert_at_rest(&home, phase);
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 60 };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..default }
}

/// Found by the properties: after the loss of a hub, a pass on an old view makes the decision of a home anew that has just
/// been handed another record.
#[test]
fn an_old_view_gives_the_home_its_decision_back() {
    let pass = |stale, crash| Event::Pass { stale, crash };
    let mut world = World::deployed();
    let events = [
        Event::Forget,
        pass(Stale::Nothing, None),
        Event::Agent(1),
        Event::Agent(0),
        pass(Stale::Nothing, None),
        Event::Look,
        Event::Edit(Edit::Relocate(0)),
        pass(Stale::Drpc, Some(2)),
        pass(Stale::Nothing, None),
        Event::Agent(0),
        pass(Stale::All, Some(1)),
    ];
    play(&mut world, &events);
    comes_to_rest(&mut world);
}

/// Found by the properties: the new home is recorded as placed, and is lost before the pass that saw an old view of the
/// Placement decides for it.
#[test]
fn a_decision_on_an_old_view_is_made_again_though_the_new_home_is_silent() {
    let pass = |stale, crash| Event::Pass { stale, crash };
    let mut world = World::deployed();
    let events = [
        Event::Look,
        Event::Edit(Edit::Failover(1)),
        pass(Stale::Nothing, None),
        Event::Agent(1),
        Event::Spoke(1),
        Event::Spoke(1),
        Event::Spoke(1),
        Event::Agent(1),
        pass(Stale::Nothing, None),
        Event::Die(1, true),
        pass(Stale::Placement, Some(1)),
    ];
    play(&mut world, &events);
    assert_eq!(world.decided(), ["(dr1)", "dr2"]);
    comes_to_rest(&mut world);
}

/// Found by the properties: a hub that lost its decisions knows the home from its record, and the home is lost as well
/// before it has answered for its new work.
#[test]
fn a_hub_that_lost_its_decisions_makes_them_anew_though_the_home_is_silent() {
    let pass = |stale, crash| Event::Pass { stale, crash };
    let mut world = World::deployed();
    let events = [
        Event::Edit(Edit::Relocate(0)),
        pass(Stale::Nothing, None),
        Event::Die(1, true),
        Event::Agent(0),
        Event::Spoke(0),
        Event::Spoke(0),
        Event::Agent(0),
        pass(Stale::Nothing, None),
        Event::Forget,
        pass(Stale::Nothing, None),
        Event::Agent(0),
        pass(Stale::Nothing, None),
        Event::Die(0, true),
        pass(Stale::Nothing, None),
    ];
    play(&mut world, &events);
    assert_eq!(world.decided(), ["dr1"]);
    comes_to_rest(&mut world);
}

/// Found by the properties: a pass on an old view would still complete an action after which another has been accepted.
/// Its write is refused, and nothing comes after it.
#[test]
fn a_pass_on_an_old_view_does_not_bring_back_the_action_before() {
    let pass = |stale, crash| Event::Pass { stale, crash };
    let mut world = World::deployed();
    let events = [
        Event::Edit(Edit::Relocate(0)),
        pass(Stale::Nothing, None),
        Event::Agent(0),
        Event::Spoke(0),
        Event::Spoke(0),
        Event::Agent(0),
        pass(Stale::Nothing, None),
        Event::Agent(1),
        Event::Spoke(1),
        Event::Die(0, true),
        Event::Spoke(1),
        Event::Agent(1),
        Event::Look,
        pass(Stale::Nothing, None),
        Event::Edit(Edit::Relocate(1)),
        Event::Return(0),
        pass(Stale::Nothing, None),
    ];
    play(&mut world, &events);
    let accepted = world.record().unwrap();
    assert_eq!(accepted.to, "dr2");
    let mut again = events.to_vec();
    again.push(pass(Stale::All, None));
    let mut world = World::deployed();
    play(&mut world, &again);
    assert_eq!(world.record().unwrap(), accepted);
    comes_to_rest(&mut world);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn planned_moves_never_make_two_primaries_and_lose_nothing(events in events(false, false)) {
        let mut world = World::deployed();
        play(&mut world, &events);
        comes_to_rest(&mut world);
        prop_assert!(world.clusters.values().any(|cluster| cluster.data >= world.acknowledged));
    }

    #[test]
    fn failovers_and_relocates_in_any_order_come_to_rest(events in events(true, false)) {
        let mut world = World::deployed();
        play(&mut world, &events);
        comes_to_rest(&mut world);
    }

    #[test]
    fn a_first_placement_comes_to_rest_whatever_happens_on_the_way(events in events(true, false)) {
        let mut world = World::new();
        play(&mut world, &events);
        comes_to_rest(&mut world);
    }

    #[test]
    fn a_hub_that_forgets_finds_its_way(events in events(true, true)) {
        let mut world = World::deployed();
        play(&mut world, &events);
        comes_to_rest(&mut world);
    }
}
