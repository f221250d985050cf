//! Creating, deleting, groups, synchronous relations, fences, snapshots.

use super::*;

#[test]
fn deleting_a_primary_deletes_both_copies_really() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "gone").unwrap();
    pair.pass(5 * MINUTE);
    pair.link(false);
    assert_eq!(pair.arrays.delete(&a(), &vol(), pair.now), Ok(DeleteOutcome::Deleted));
    assert_eq!(pair.arrays.inspect(&a(), &vol()), None);
    assert_eq!(pair.text(&b()), "gone");
    pair.link(true);
    assert_eq!(pair.arrays.inspect(&b(), &vol()), None);
    let deleted = pair.arrays.take_events().into_iter().filter(|e| e.what == What::Deleted { bytes: 4 }).count();
    assert_eq!(deleted, 2);
}

#[test]
fn deleting_a_replica_never_deletes_bytes() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "data").unwrap();
    pair.demote(&a());
    assert_eq!(code(pair.arrays.delete(&a(), &vol(), pair.now)), Code::FailedPrecondition);
    pair.promote(&b(), false).unwrap();
    assert_eq!(pair.arrays.delete(&a(), &vol(), pair.now), Ok(DeleteOutcome::LeftToPrimary));
    assert_eq!((pair.text(&a()), pair.text(&b())), ("data".to_owned(), "data".to_owned()));
    assert_eq!(pair.arrays.delete(&b(), &"other".into(), pair.now), Ok(DeleteOutcome::Absent));
}

#[test]
fn disabling_on_the_primary_leaves_the_data_and_removes_the_replica() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "data").unwrap();
    pair.arrays.disable(&a(), &unit(), pair.now).unwrap();
    assert_eq!(pair.arrays.inspect(&b(), &vol()), None);
    assert_eq!(pair.state(&a()), SideState::Unreplicated);
    pair.write(&a(), "!").unwrap();
    assert_eq!(pair.text(&a()), "data!");
    pair.arrays.disable(&a(), &unit(), pair.now).unwrap();
    pair.enable(Mode::Async { interval: MINUTE });
    assert_eq!(pair.text(&b()), "data!");
}

#[test]
fn disabling_on_a_secondary_is_refused_unless_it_is_healthy() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.arrays.disable(&b(), &unit(), pair.now).unwrap();
    assert_eq!(pair.state(&b()), SideState::Replaying);
    pair.link(false);
    assert_eq!(code(pair.arrays.disable(&b(), &unit(), pair.now)), Code::FailedPrecondition);
}

#[test]
fn enabling_again_before_the_peer_heard_of_the_disabling_keeps_the_replica() {
    let mut pair = Pair::replicated(LinkSettings::default());
    pair.write(&a(), "one").unwrap();
    pair.pass(5 * MINUTE);
    pair.link(false);
    pair.arrays.disable(&a(), &unit(), pair.now).unwrap();
    pair.write(&a(), " two").unwrap();
    pair.enable(Mode::Async { interval: MINUTE });
    pair.link(true);
    assert_eq!(pair.text(&b()), "one two");
}

#[test]
fn a_group_is_exposed_on_the_peer_all_at_once_and_promoted_as_one() {
    let slow = LinkSettings { bytes_per_second: Some(1), overhead: Duration::ZERO };
    let mut pair = Pair::plain(slow);
    let (one, two): (VolumeHandle, VolumeHandle) = (vol(), "vol-2".into());
    pair.arrays.create(&a(), &two, 1 << 30, pair.now).unwrap();
    let group: UnitId = "group".into();
    let replication = Replication { mode: Mode::Async { interval: 5 * MINUTE }, peer: Some(b()) };
    pair.arrays.enable(&a(), &group, &[one.clone(), two.clone()], &replication, pair.now).unwrap();
    pair.arrays.write(&a(), &one, Bytes::from_static(b"1"), &[], pair.now).unwrap();
    pair.arrays.write(&a(), &two, Bytes::from_static(b"22"), &[], pair.now).unwrap();
    // Three bytes at one a second.
    pair.pass(5 * MINUTE + Duration::from_secs(2));
    let sizes = |pair: &Pair| [&one, &two].map(|h| pair.arrays.inspect(&b(), h).map(|c| c.size()));
    assert_eq!(sizes(&pair), [Some(0), Some(0)]);
    pair.pass(Duration::from_secs(1));
    assert_eq!(sizes(&pair), [Some(1), Some(2)]);
    assert_eq!(pair.arrays.promote(&b(), &group, true, pair.now), Ok(Promotion::Forced));
    for handle in [&one, &two] {
        pair.arrays.write(&b(), handle, Bytes::from_static(b"n"), &[], pair.now).unwrap();
    }
}

#[test]
fn a_group_gains_and_loses_members() {
    let mut pair = Pair::plain(LinkSettings::default());
    let (one, two): (VolumeHandle, VolumeHandle) = (vol(), "vol-2".into());
    pair.arrays.create(&a(), &two, 1, pair.now).unwrap();
    let group: UnitId = "group".into();
    let replication = Replication { mode: Mode::Async { interval: MINUTE }, peer: None };
    pair.arrays.enable(&a(), &group, std::slice::from_ref(&one), &replication, pair.now).unwrap();
    pair.arrays.set_members(&a(), &group, &[one.clone(), two.clone()], pair.now).unwrap();
    assert_eq!(pair.arrays.volumes(&b()), [one.clone(), two.clone()]);
    pair.arrays.set_members(&a(), &group, std::slice::from_ref(&two), pair.now).unwrap();
    assert_eq!(pair.arrays.volumes(&b()), [two]);
    assert_eq!(pair.arrays.state(&a(), &(&one).into()), SideState::Unreplicated);
    pair.arrays.set_members(&a(), &group, &[], pair.now).unwrap();
    assert_eq!(pair.arrays.volumes(&b()), []);
    assert_eq!(pair.arrays.state(&a(), &group), SideState::Primary);
}

#[test]
fn a_synchronous_write_is_on_both_arrays_or_not_acknowledged() {
    let mut pair = Pair::plain(LinkSettings::default());
    pair.enable(Mode::Sync { policy: SyncPolicy::Stall });
    pair.write(&a(), "one ").unwrap();
    assert_eq!(pair.text(&b()), "one ");
    pair.link(false);
    assert_eq!(code(pair.write(&a(), "never ")), Code::Unavailable);
    pair.link(true);
    pair.write(&a(), "two").unwrap();
    assert_eq!((pair.text(&a()), pair.text(&b())), ("one two".to_owned(), "one two".to_owned()));
}

#[test]
fn a_forced_promotion_breaks_a_synchronous_relation_and_loses_nothing() {
    let mut pair = Pair::plain(LinkSettings::default());
    pair.enable(Mode::Sync { policy: SyncPolicy::Stall });
    pair.write(&a(), "one ").unwrap();
    pair.arrays.set_alive(&a(), false, pair.now);
    pair.promote(&b(), true).unwrap();
    pair.write(&b(), "two ").unwrap();
    pair.arrays.set_alive(&a(), true, pair.now);
    pair.demote(&a());
    assert_eq!(pair.text(&a()), "one two ");
    pair.write(&b(), "three").unwrap();
    assert_eq!(pair.text(&a()), "one two three");
}

#[test]
fn a_degraded_synchronous_relation_catches_up() {
    let mut pair = Pair::plain(LinkSettings::default());
    pair.enable(Mode::Sync { policy: SyncPolicy::Degrade });
    pair.link(false);
    pair.write(&a(), "alone ").unwrap();
    assert_eq!(pair.text(&b()), "");
    pair.link(true);
    pair.write(&a(), "both").unwrap();
    assert_eq!(pair.text(&b()), "alone both");
}

#[test]
fn a_fenced_client_neither_reads_nor_writes_and_others_do() {
    let mut pair = Pair::plain(LinkSettings::default());
    let (inside, outside) = (["10.1.2.3/32".to_owned()], ["10.2.0.1/32".to_owned()]);
    pair.arrays.fence(&a(), "10.1.0.0/16", true, pair.now).unwrap();
    let block = Bytes::from_static(b"x");
    assert_eq!(code(pair.arrays.write(&a(), &vol(), block.clone(), &inside, pair.now)), Code::Fenced);
    assert_eq!(code(pair.arrays.read(&a(), &vol(), &inside, pair.now)), Code::Fenced);
    pair.arrays.write(&a(), &vol(), block.clone(), &outside, pair.now).unwrap();
    pair.arrays.fence(&a(), "10.1.0.0/16", false, pair.now).unwrap();
    pair.arrays.write(&a(), &vol(), block, &inside, pair.now).unwrap();
    assert_eq!(code(pair.arrays.fence(&a(), "everyone", true, pair.now)), Code::InvalidArgument);
}

#[test]
fn a_snapshot_keeps_its_bytes_and_a_volume_can_be_filled_from_it() {
    let mut pair = Pair::plain(LinkSettings::default());
    pair.write(&a(), "before").unwrap();
    pair.arrays.snapshot(&a(), &[vol()], "s", pair.now).unwrap();
    pair.write(&a(), " after").unwrap();
    let snapshot = pair.arrays.read_snapshot(&a(), &vol(), "s").unwrap();
    assert_eq!(snapshot.to_bytes(), b"before");
    pair.arrays.create(&b(), &"copy".into(), 1, pair.now).unwrap();
    pair.arrays.overwrite(&b(), &"copy".into(), snapshot, pair.now).unwrap();
    assert_eq!(pair.arrays.inspect(&b(), &"copy".into()).unwrap().to_bytes(), b"before");
    assert_eq!(code(pair.arrays.snapshot(&a(), &[vol(), "none".into()], "t", pair.now)), Code::NotFound);
    assert_eq!(code(pair.arrays.read_snapshot(&a(), &vol(), "t")), Code::NotFound);
}
