use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::step::{Action, Election, Loss, Observation, Record, Stored, Timings};

const S: Duration = Duration::from_secs(1);

fn wall() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn candidate(identity: &str) -> Election {
    Election::new("ns", super::HUB_LEASE, identity, Timings::default()).unwrap()
}

fn stored(holder: &str, version: &str, renewal: i64) -> Stored {
    let record = Record {
        holder: holder.into(),
        duration: 15 * S,
        acquired: Some(wall()),
        renewed: Some(Timestamp::from_second(renewal).unwrap()),
        transitions: 3,
    };
    Stored { record, version: version.into() }
}

fn leader(now: Instant) -> Election {
    let mut election = candidate("me");
    assert_eq!(election.step(Observation::Due, now, wall()), Action::Read);
    let Action::Create(record) = election.step(Observation::Read(None), now, wall()) else { panic!("no create") };
    let stored = Stored { record, version: "1".into() };
    let action = election.step(Observation::Written { stored, sent: now }, now, wall());
    assert_eq!(action, Action::Wait(now + 2 * S));
    assert_eq!(election.leads_until(), Some(now + 10 * S));
    election
}

#[test]
fn timings_that_do_not_keep_leaders_apart_are_refused() {
    let with = |lease, renew_deadline, retry| Election::new("ns", "x", "me", Timings { lease, renew_deadline, retry });
    assert!(with(15 * S, 10 * S, 2 * S).is_ok());
    assert!(with(10 * S, 10 * S, 2 * S).is_err(), "others would take over while the leader leads");
    assert!(with(15 * S, 2 * S, 2 * S).is_err(), "no renewal would come in time");
    assert!(with(15 * S, 10 * S, Duration::ZERO).is_err());
    assert!(with(Duration::from_millis(15_500), 10 * S, 2 * S).is_err(), "the Lease has whole seconds");
}

#[test]
fn a_held_lease_is_taken_when_it_was_seen_unchanged_for_its_duration_and_not_before() {
    let (mut election, start) = (candidate("me"), Instant::now());
    // Its times are years old, which says nothing: the holder's clock may be wrong.
    let held = stored("other", "7", 0);
    for second in 0..15 {
        let action = election.step(Observation::Read(Some(held.clone())), start + second * S, wall());
        assert!(matches!(action, Action::Wait(_)), "after {second} s: {action:?}");
    }
    // A renewal starts the wait anew.
    let renewed = stored("other", "8", 14);
    assert!(matches!(election.step(Observation::Read(Some(renewed.clone())), start + 14 * S, wall()), Action::Wait(_)));
    assert!(matches!(election.step(Observation::Read(Some(renewed.clone())), start + 28 * S, wall()), Action::Wait(_)));
    // A change of something else than the record does not.
    let labelled = Stored { version: "9".into(), ..renewed };
    let action = election.step(Observation::Read(Some(labelled)), start + 29 * S, wall());
    let Action::Update(Stored { record, version }) = action else { panic!("{action:?}") };
    assert_eq!((record.holder.as_str(), version.as_str(), record.transitions), ("me", "9", 4));
    assert_eq!((record.acquired, record.renewed, record.duration), (Some(wall()), Some(wall()), 15 * S));
    assert_eq!(election.leads_until(), None, "not before the write is accepted");
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut election = candidate("me");
    let action = election.step(Observation::Read(Some(stored("", "7", 0))), Instant::now(), wall());
    assert!(matches!(action, Action::Update(_)), "{action:?}");
}

#[test]
fn a_process_that_was_started_again_goes_on_with_its_lease_when_what_it_sent_before_has_arrived() {
    let (mut election, now) = (candidate("me"), Instant::now());
    let left = stored("me", "7", 0);
    let Action::Wait(until) = election.step(Observation::Read(Some(left.clone())), now, wall()) else {
        panic!("no wait")
    };
    assert!(until >= now + 2 * S && until <= now + Duration::from_millis(2400));
    let action = election.step(Observation::Read(Some(left)), until, wall());
    let Action::Update(Stored { record, .. }) = action else { panic!("{action:?}") };
    assert_eq!(record.transitions, 3, "the lease does not change hands");
    // Nobody else may do so.
    let mut other = candidate("other");
    other.step(Observation::Read(Some(stored("me", "7", 0))), now, wall());
    assert!(matches!(other.step(Observation::Read(Some(stored("me", "7", 0))), until, wall()), Action::Wait(_)));
}

#[test]
fn only_a_pods_uid_makes_a_candidate_that_outlives_its_process() {
    let clock = crate::clock::Clock::system();
    assert_eq!(super::identity("hub-0", Some("5f1c"), clock), "hub-0_5f1c");
    for none in [None, Some("")] {
        assert_ne!(super::identity("hub-0", none, clock), super::identity("hub-0", none, clock));
    }
}

#[test]
fn a_deleted_lease_is_not_recreated_while_its_holder_may_still_lead() {
    let (mut election, start) = (candidate("me"), Instant::now());
    election.step(Observation::Read(Some(stored("other", "7", 0))), start, wall());
    assert!(matches!(election.step(Observation::Read(None), start + 14 * S, wall()), Action::Wait(_)));
    assert!(matches!(election.step(Observation::Read(None), start + 15 * S, wall()), Action::Create(_)));
}

#[test]
fn a_candidate_that_loses_the_race_waits() {
    let (mut election, now) = (candidate("me"), Instant::now());
    election.step(Observation::Read(None), now, wall());
    let Action::Wait(until) = election.step(Observation::Conflict, now, wall()) else { panic!("no wait") };
    assert!(until >= now + 2 * S && until <= now + Duration::from_millis(2400));
    assert_eq!(election.leads_until(), None);
}

#[test]
fn an_acceptance_that_comes_too_late_does_not_make_a_leader() {
    let (mut election, now) = (candidate("me"), Instant::now());
    let written = Observation::Written { stored: stored("me", "1", 0), sent: now };
    assert!(matches!(election.step(written, now + 10 * S, wall()), Action::Wait(_)));
    assert_eq!(election.leads_until(), None);
    // It finds itself as the holder, and renews.
    let action = election.step(Observation::Read(Some(stored("me", "1", 0))), now + 12 * S, wall());
    let Action::Update(Stored { record, .. }) = action else { panic!("{action:?}") };
    assert_eq!(record.transitions, 3, "the lease does not change hands");
}

#[test]
fn a_leader_renews_and_its_deadline_counts_from_when_the_renewal_was_sent() {
    let start = Instant::now();
    let mut election = leader(start);
    let action = election.step(Observation::Due, start + 2 * S, wall());
    let Action::Update(renewal) = action else { panic!("{action:?}") };
    assert_eq!((renewal.version.as_str(), renewal.record.transitions), ("1", 0));
    let written = Observation::Written { stored: Stored { version: "2".into(), ..renewal }, sent: start + 2 * S };
    assert_eq!(election.step(written, start + 5 * S, wall()), Action::Wait(start + 7 * S));
    assert_eq!(election.leads_until(), Some(start + 12 * S));
}

#[test]
fn a_leader_that_cannot_renew_tries_until_the_deadline_and_stops() {
    let start = Instant::now();
    let mut election = leader(start);
    for second in [2, 4, 6] {
        assert_eq!(
            election.step(Observation::Failed, start + second * S, wall()),
            Action::Wait(start + (second + 2) * S)
        );
    }
    assert_eq!(election.step(Observation::Failed, start + 9 * S, wall()), Action::Wait(start + 10 * S), "not beyond");
    assert_eq!(election.step(Observation::Due, start + 10 * S, wall()), Action::Stop(Loss::Deadline));
    assert_eq!(election.leads_until(), None);
    let late = Observation::Written { stored: stored("me", "2", 0), sent: start + 9 * S };
    assert_eq!(election.step(late, start + 10 * S, wall()), Action::Stop(Loss::Deadline), "lost is lost");
}

#[test]
fn a_leader_in_conflict_looks_before_it_writes() {
    let start = Instant::now();
    let table = [
        (Observation::Read(Some(stored("other", "5", 0))), Action::Stop(Loss::Taken("other".into()))),
        (Observation::Read(Some(stored("", "5", 0))), Action::Stop(Loss::Taken(String::new()))),
        (Observation::Read(None), Action::Stop(Loss::Deleted)),
    ];
    for (observation, expected) in table {
        let mut election = leader(start);
        assert_eq!(election.step(Observation::Conflict, start + S, wall()), Action::Read);
        assert_eq!(election.step(observation, start + S, wall()), expected);
    }
    // Its own earlier write, whose answer was lost.
    let mut election = leader(start);
    election.step(Observation::Conflict, start + S, wall());
    let action = election.step(Observation::Read(Some(stored("me", "5", 0))), start + S, wall());
    assert!(matches!(action, Action::Update(Stored { ref version, .. }) if version == "5"), "{action:?}");
    assert!(election.leads_until().is_some());
}

#[test]
fn release_hands_back_what_is_held_and_nothing_else() {
    let start = Instant::now();
    let mut election = leader(start);
    let Some(Action::Update(Stored { record, version })) = election.release(start + S, wall()) else { panic!() };
    assert_eq!((record.holder.as_str(), record.duration, version.as_str()), ("", S, "1"));
    assert_eq!(election.leads_until(), None);
    assert_eq!(election.release(start + S, wall()), None, "once");
    assert_eq!(leader(start).release(start + 10 * S, wall()), None, "it may be somebody else's by now");
    assert_eq!(candidate("me").release(start, wall()), None);
}
