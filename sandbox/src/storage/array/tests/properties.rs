//! Whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Step {
    Write(bool),
    Pass(u16),
    Link(bool),
    Alive(bool, bool),
    Promote(bool, bool),
    Demote(bool),
    Resync(bool, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Write),
        3 => (0u16..900).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Link),
        1 => any::<(bool, bool)>().prop_map(|(a, up)| Step::Alive(a, up)),
        1 => any::<(bool, bool)>().prop_map(|(a, force)| Step::Promote(a, force)),
        1 => any::<bool>().prop_map(Step::Demote),
        1 => any::<(bool, bool)>().prop_map(|(a, force)| Step::Resync(a, force)),
    ]
}

fn side(first: bool) -> ArrayId {
    if first { a() } else { b() }
}

fn settings() -> impl Strategy<Value = LinkSettings> {
    (prop::option::of(1u64..50), 0u64..20)
        .prop_map(|(rate, overhead)| LinkSettings { bytes_per_second: rate, overhead: Duration::from_secs(overhead) })
}

fn blocks(pair: &Pair, array: &ArrayId) -> Vec<Bytes> {
    pair.arrays.inspect(array, &vol()).map(|content| content.blocks).unwrap_or_default()
}

proptest! {
    #[test]
    fn a_promoted_replica_is_a_prefix_of_the_acknowledged_log(
        settings in settings(),
        steps in prop::collection::vec(prop_oneof![
            4 => Just(Step::Write(true)),
            3 => (0u16..900).prop_map(Step::Pass),
            1 => any::<bool>().prop_map(Step::Link),
            1 => any::<bool>().prop_map(|up| Step::Alive(true, up)),
        ], 1..80),
    ) {
        let mut pair = Pair::replicated(settings);
        pair.pass(MINUTE);
        let mut log: Vec<(Timestamp, Bytes)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write(_) => {
                    let text = format!("{number};");
                    if pair.write(&a(), &text).is_ok() {
                        log.push((pair.now, Bytes::from(text)));
                    }
                }
                Step::Pass(seconds) => pair.pass(Duration::from_secs(seconds.into())),
                Step::Link(up) => pair.link(up),
                Step::Alive(_, up) => pair.arrays.set_alive(&a(), up, pair.now),
                _ => {}
            }
        }
        pair.arrays.set_alive(&a(), true, pair.now);
        let synced = pair.arrays.info(&a(), &unit(), pair.now).unwrap().last.at;
        pair.arrays.set_alive(&a(), false, pair.now);
        prop_assert!(pair.promote(&b(), true).is_ok());
        let replica = blocks(&pair, &b());
        let acknowledged: Vec<Bytes> = log.iter().map(|(_, block)| block.clone()).collect();
        prop_assert!(acknowledged.starts_with(&replica));
        // What lastSyncTime promises is there: every write before it.
        let promised = log.iter().filter(|(at, _)| *at < synced).count();
        prop_assert!(replica.len() >= promised, "{} of {promised} promised", replica.len());
    }

    #[test]
    fn a_stalling_synchronous_pair_loses_nothing_that_was_acknowledged(
        settings in settings(),
        steps in prop::collection::vec(prop_oneof![
            4 => Just(Step::Write(true)),
            2 => (0u16..60).prop_map(Step::Pass),
            1 => any::<bool>().prop_map(Step::Link),
        ], 1..80),
    ) {
        let mut pair = Pair::plain(settings);
        pair.enable(Mode::Sync { policy: SyncPolicy::Stall });
        pair.pass(MINUTE);
        let mut acknowledged = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write(_) => {
                    let text = format!("{number};");
                    if pair.write(&a(), &text).is_ok() {
                        acknowledged.push(Bytes::from(text));
                    }
                }
                Step::Pass(seconds) => pair.pass(Duration::from_secs(seconds.into())),
                Step::Link(up) => pair.link(up),
                _ => {}
            }
        }
        pair.arrays.set_alive(&a(), false, pair.now);
        pair.promote(&b(), true).unwrap();
        prop_assert_eq!(blocks(&pair, &b()), acknowledged);
    }

    #[test]
    fn without_force_no_acknowledged_write_is_ever_lost(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut pair = Pair::replicated(settings);
        let mut acknowledged = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write(first) => {
                    let text = format!("{number};");
                    if pair.write(&side(first), &text).is_ok() {
                        acknowledged.push(Bytes::from(text));
                    }
                }
                Step::Pass(seconds) => pair.pass(Duration::from_secs(seconds.into())),
                Step::Link(up) => pair.link(up),
                Step::Alive(first, up) => pair.arrays.set_alive(&side(first), up, pair.now),
                Step::Promote(first, _) => drop(pair.promote(&side(first), false)),
                Step::Demote(first) => drop(pair.arrays.demote(&side(first), &unit(), pair.now)),
                Step::Resync(first, _) => drop(pair.resync(&side(first), false)),
            }
            // Losing is impossible while copies are whole: every acknowledged write is on one of the two.
            let (one, other) = (blocks(&pair, &a()), blocks(&pair, &b()));
            for block in &acknowledged {
                prop_assert!(one.contains(block) || other.contains(block));
            }
        }
    }

    #[test]
    fn copies_agree_once_faults_stop_and_one_side_gives_way(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut pair = Pair::replicated(settings);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write(first) => drop(pair.write(&side(first), &format!("{number};"))),
                Step::Pass(seconds) => pair.pass(Duration::from_secs(seconds.into())),
                Step::Link(up) => pair.link(up),
                Step::Alive(first, up) => pair.arrays.set_alive(&side(first), up, pair.now),
                Step::Promote(first, force) => drop(pair.promote(&side(first), force)),
                Step::Demote(first) => drop(pair.arrays.demote(&side(first), &unit(), pair.now)),
                Step::Resync(first, force) => drop(pair.resync(&side(first), force)),
            }
        }
        pair.arrays.set_alive(&a(), true, pair.now);
        pair.arrays.set_alive(&b(), true, pair.now);
        pair.link(true);
        // b is to win: it is made primary, a gives way, and after that they hold the same bytes.
        pair.pass(100 * MINUTE);
        // It has no copy yet when nothing was ever shipped.
        if pair.arrays.inspect(&b(), &vol()).is_some() {
            pair.promote(&b(), true).unwrap();
            pair.demote(&a());
            pair.resync(&a(), true).unwrap();
            pair.pass(100 * MINUTE);
            prop_assert_eq!(pair.state(&a()), SideState::Replaying);
            prop_assert_eq!(blocks(&pair, &a()), blocks(&pair, &b()));
        }
    }
}
