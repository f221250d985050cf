//! Failover, relocation, split-brain and the way back.

use super::*;

#[test]
fn a_replica_holds_the_last_complete_snapshot_and_no_more() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "one ").unwrap();
    assert_eq!(pair.text(&b()), "");
    pair.pass(5 * MINUTE);
    pair.write(&a(), "two ").unwrap();
    pair.pass(MINUTE);
    assert_eq!(pair.text(&b()), "one ");
    let info = pair.arrays.info(&a(), &unit(), pair.now).unwrap();
    assert_eq!(info.last.bytes, 4);
    assert_eq!(info.last.at, "2030-01-01T00:05:00Z".parse().unwrap());
    assert_eq!(info.health, Health::Healthy);
}

#[test]
fn a_transfer_under_way_is_invisible_until_it_is_complete_and_lost_when_promoted() {
    // 4 bytes per second: the first snapshot with data takes two seconds.
    let slow = LinkSettings { bytes_per_second: Some(4), overhead: Duration::ZERO };
    let mut pair = Pair::replicated(slow);
    pair.write(&a(), "12345678").unwrap();
    pair.pass(5 * MINUTE + Duration::from_secs(1));
    assert_eq!(pair.text(&b()), "");
    let mut promoted = Pair { arrays: pair.arrays.clone(), now: pair.now };
    assert_eq!(promoted.promote(&b(), true), Ok(Promotion::Forced));
    promoted.pass(MINUTE);
    assert_eq!(promoted.text(&b()), "");
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.text(&b()), "12345678");
    let info = pair.arrays.info(&a(), &unit(), pair.now).unwrap();
    assert_eq!((info.last.duration, info.last.bytes), (Duration::from_secs(2), 8));
}

#[test]
fn a_secondary_cannot_be_written() {
    let mut pair = Pair::replicated(LinkSettings::default());
    assert_eq!(code(pair.write(&b(), "x")), Code::FailedPrecondition);
    pair.demote(&a());
    assert_eq!(code(pair.write(&a(), "x")), Code::FailedPrecondition);
}

#[test]
fn a_relocation_carries_the_last_write_and_needs_no_force() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "one two three").unwrap();
    assert_eq!(code(pair.promote(&b(), false)), Code::FailedPrecondition);
    pair.demote(&a());
    assert_eq!(pair.resync(&a(), false), Ok(true));
    assert_eq!(pair.promote(&b(), false), Ok(Promotion::Clean));
    assert_eq!(pair.text(&b()), "one two three");
    pair.write(&b(), " four").unwrap();
    pair.pass(5 * MINUTE);
    assert_eq!(pair.text(&a()), "one two three four");
    assert_eq!(pair.state(&a()), SideState::Replaying);
    assert_eq!(code(pair.promote(&a(), false)), Code::FailedPrecondition);
}

#[test]
fn a_demotion_over_a_cut_link_travels_when_the_link_is_back() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.link(false);
    pair.write(&a(), "tail").unwrap();
    pair.demote(&a());
    assert_eq!(pair.resync(&a(), false), Ok(false));
    assert_eq!(pair.resync(&a(), true), Ok(false));
    assert_eq!(code(pair.promote(&b(), false)), Code::FailedPrecondition);
    pair.link(true);
    assert_eq!(pair.resync(&a(), false), Ok(true));
    assert_eq!(pair.promote(&b(), false), Ok(Promotion::Clean));
    assert_eq!(pair.text(&b()), "tail");
}

#[test]
fn a_re_promoted_primary_takes_its_demotion_back() {
    let slow = LinkSettings { bytes_per_second: None, overhead: MINUTE };
    let mut pair = Pair::replicated(slow);
    pair.pass(2 * MINUTE);
    pair.demote(&a());
    assert_eq!(pair.promote(&a(), false), Ok(Promotion::Clean));
    pair.pass(10 * MINUTE);
    // The demotion was still on its way: it must not make the peer promotable now.
    assert_eq!(code(pair.promote(&b(), false)), Code::FailedPrecondition);
}

#[test]
fn a_failover_ends_in_split_brain_and_a_forced_resync_counts_what_it_throws_away() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "kept ").unwrap();
    pair.pass(5 * MINUTE);
    pair.write(&a(), "lost ").unwrap();
    pair.arrays.set_alive(&a(), false, pair.now);
    assert_eq!(code(pair.write(&a(), "x")), Code::Unavailable);
    assert_eq!(code(pair.promote(&b(), false)), Code::FailedPrecondition);
    assert_eq!(pair.promote(&b(), true), Ok(Promotion::Forced));
    pair.write(&b(), "new").unwrap();

    pair.arrays.set_alive(&a(), true, pair.now);
    assert_eq!(pair.state(&a()), SideState::Primary);
    pair.write(&a(), "more").unwrap();
    pair.pass(10 * MINUTE);
    assert_eq!((pair.text(&a()), pair.text(&b())), ("kept lost more".to_owned(), "kept new".to_owned()));

    pair.demote(&a());
    assert_eq!(pair.state(&a()), SideState::SplitBrain);
    assert_eq!(code(pair.resync(&a(), false)), Code::FailedPrecondition);
    assert_eq!(pair.text(&a()), "kept lost more");
    assert_eq!(code(pair.promote(&a(), false)), Code::FailedPrecondition);

    pair.arrays.take_events();
    assert_eq!(pair.resync(&a(), true), Ok(false));
    let discarded = pair.arrays.take_events().into_iter().find_map(|event| match event.what {
        What::Discarded(discarded) => Some((event.array, discarded)),
        _ => None,
    });
    assert_eq!(discarded, Some((a(), Discarded { blocks: 2, bytes: 9 })));
    assert_eq!(pair.text(&a()), "kept new");
    assert_eq!(pair.state(&a()), SideState::Replaying);
}

#[test]
fn an_old_primary_that_wrote_nothing_follows_without_force() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "all").unwrap();
    pair.pass(5 * MINUTE);
    pair.arrays.set_alive(&a(), false, pair.now);
    pair.promote(&b(), true).unwrap();
    pair.write(&b(), " new").unwrap();
    pair.arrays.set_alive(&a(), true, pair.now);
    pair.demote(&a());
    assert_eq!(pair.state(&a()), SideState::Replaying);
    assert_eq!(pair.text(&a()), "all new");
}

#[test]
fn a_forced_resync_of_a_healthy_or_unsent_copy_discards_nothing() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "data").unwrap();
    pair.link(false);
    pair.demote(&a());
    assert_eq!(pair.resync(&a(), true), Ok(false));
    assert_eq!(pair.text(&a()), "data");
    pair.link(true);
    assert_eq!(pair.resync(&a(), true), Ok(true));
    assert_eq!((pair.text(&a()), pair.text(&b())), ("data".to_owned(), "data".to_owned()));
}

#[test]
fn both_demoted_after_both_wrote_is_split_brain_until_one_gives_way() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.link(false);
    pair.promote(&b(), true).unwrap();
    pair.write(&a(), "A").unwrap();
    pair.write(&b(), "B").unwrap();
    pair.demote(&a());
    pair.demote(&b());
    pair.link(true);
    assert_eq!((pair.state(&a()), pair.state(&b())), (SideState::SplitBrain, SideState::SplitBrain));
    assert_eq!(pair.resync(&b(), true), Ok(false));
    assert_eq!((pair.text(&a()), pair.text(&b())), ("A".to_owned(), "A".to_owned()));
    assert_eq!(pair.resync(&b(), false), Ok(true));
    assert_eq!(pair.promote(&b(), false), Ok(Promotion::Clean));
}

#[test]
fn a_cut_link_lags_and_then_catches_up_at_once() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.link(false);
    pair.write(&a(), "late").unwrap();
    pair.pass(60 * MINUTE);
    assert_eq!(pair.text(&b()), "");
    let info = pair.arrays.info(&a(), &unit(), pair.now).unwrap();
    assert_eq!(info.last.at, "2030-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(info.health, Health::Degraded(_)));
    pair.link(true);
    assert_eq!(pair.text(&b()), "late");
}
