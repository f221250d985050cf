use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SPACING: Duration = Duration::from_millis(10);

fn queue() -> WorkQueue<&'static str> {
    WorkQueue::new(Backoff::PASSES, SPACING)
}

#[test]
fn many_changes_of_one_object_cost_one_pass() {
    let (mut queue, now) = (queue(), Instant::now());
    for _ in 0..100 {
        queue.add("a", now);
    }
    queue.add("b", now);
    assert_eq!((queue.take(now), queue.take(now), queue.take(now)), (Some("a"), Some("b"), None));
}

#[test]
fn an_idle_object_is_ready_at_once_and_a_change_during_its_pass_means_one_more() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.add("a", now);
    assert_eq!(queue.take(now), Some("a"));
    queue.add("a", now);
    queue.add("a", now);
    assert_eq!(queue.take(now + 50 * MS), None, "never two passes of one object at a time");
    queue.done(&"a", Wish::Rest, now + 50 * MS);
    assert_eq!(queue.take(now + 50 * MS), Some("a"), "the change is not lost");
    queue.done(&"a", Wish::Rest, now + 51 * MS);
    assert_eq!(queue.take(now + 500 * MS), None);
    assert_eq!(queue.known_count(), 0, "nothing is remembered of an object at rest");
}

#[test]
fn a_hot_object_is_passed_again_and_again_and_does_not_starve_the_others() {
    let (mut queue, start) = (queue(), Instant::now());
    let (mut hot, mut other) = (0, 0);
    // The hot object changes every millisecond for one second; the other changes every 100 ms.
    for tick in 0..1000 {
        let now = start + tick * MS;
        queue.add("hot", now);
        if tick % 100 == 0 {
            queue.add("other", now);
        }
        while let Some(key) = queue.take(now) {
            *(if key == "hot" { &mut hot } else { &mut other }) += 1;
            queue.done(&key, Wish::Rest, now);
        }
    }
    assert_eq!((hot, other), (100, 10), "one pass per spacing, and every change of the other seen");
}

#[test]
fn failures_back_off_and_success_forgets_them() {
    let (mut queue, mut now) = (queue(), Instant::now());
    queue.add("a", now);
    let mut delays = Vec::new();
    for _ in 0..10 {
        assert_eq!(queue.take(now), Some("a"));
        queue.done(&"a", Wish::BackOff, now);
        let due = queue.next_due(now).unwrap();
        assert_eq!(queue.take(due - MS), None);
        delays.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(queue.take(now), Some("a"));
    queue.done(&"a", Wish::Again(Duration::from_secs(3)), now);
    assert_eq!(queue.failures(&"a"), 0);
    assert_eq!(queue.next_due(now), Some(now + Duration::from_secs(3)));
    assert_eq!(queue.take(now + Duration::from_secs(3)), Some("a"));
    queue.done(&"a", Wish::BackOff, now + Duration::from_secs(3));
    assert_eq!(queue.next_due(now), Some(now + Duration::from_secs(3) + 50 * MS), "the series starts anew");
}

#[test]
fn a_change_ends_a_long_wait_but_a_failing_object_cannot_spin() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.add("a", now);
    queue.take(now);
    queue.done(&"a", Wish::Again(Duration::from_secs(600)), now);
    queue.add("a", now + 20 * MS);
    assert_eq!(queue.take(now + 20 * MS), Some("a"), "a change is not made to wait for a requeue");

    // It fails for the tenth time, and writes its own status while it fails: the change comes with the pass.
    let mut now = now + 20 * MS;
    for _ in 0..10 {
        queue.done(&"a", Wish::BackOff, now);
        now = queue.next_due(now).unwrap();
        queue.take(now);
    }
    queue.add("a", now);
    queue.done(&"a", Wish::BackOff, now);
    assert_eq!(queue.next_due(now), Some(now + 50 * MS), "at once would spin, ten seconds would hide the change");
}

#[test]
fn finishing_what_is_not_running_changes_nothing() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.done(&"a", Wish::Again(MS), now);
    queue.add("a", now);
    queue.done(&"a", Wish::Rest, now);
    assert_eq!((queue.ready_count(), queue.running_count()), (1, 0));
    assert_eq!(queue.take(now), Some("a"));
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Take,
    Done(usize, Wish),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..4).prop_map(Step::Add),
        4 => Just(Step::Take),
        4 => (0_usize..4, prop_oneof![
            Just(Wish::Rest),
            Just(Wish::BackOff),
            (0_u64..2000).prop_map(|ms| Wish::Again(Duration::from_millis(ms))),
        ]).prop_map(|(index, wish)| Step::Done(index, wish)),
        2 => (0_u64..200).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens: an object is never worked on twice at a time, the counts agree with what is in the queue,
    /// no change is lost (each is followed by a start of a pass within the longest hold-back), and in the end it empties.
    #[test]
    fn no_change_is_lost_and_no_object_runs_twice(steps in prop::collection::vec(step(), 1..200)) {
        let mut queue = WorkQueue::new(Backoff::PASSES, SPACING);
        let mut now = Instant::now();
        let mut running: Vec<u8> = Vec::new();
        // Objects with a change that no pass was started after.
        let mut unseen = BTreeSet::new();
        let take = |queue: &mut WorkQueue<u8>, running: &mut Vec<u8>, unseen: &mut BTreeSet<u8>, now| {
            let taken = queue.take(now);
            if let Some(key) = taken {
                assert!(!running.contains(&key), "{key} runs twice");
                running.push(key);
                unseen.remove(&key);
            }
            taken
        };
        for step in steps {
            match step {
                Step::Add(key) => {
                    queue.add(key, now);
                    unseen.insert(key);
                }
                Step::Take => drop(take(&mut queue, &mut running, &mut unseen, now)),
                Step::Done(index, wish) => {
                    if !running.is_empty() {
                        let key = running.remove(index % running.len());
                        queue.done(&key, wish, now);
                    }
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
            }
            prop_assert_eq!(queue.running_count(), running.len());
        }
        for key in running.drain(..) {
            queue.done(&key, Wish::Rest, now);
        }
        now += Backoff::PASSES.delay(1).max(SPACING);
        while let Some(key) = take(&mut queue, &mut running, &mut unseen, now) {
            queue.done(&key, Wish::Rest, now);
            running.clear();
        }
        prop_assert!(unseen.is_empty(), "changes without a pass: {:?}", unseen);
        // What is left are wishes for later; once they are served, nothing is kept.
        now += Duration::from_secs(20);
        while let Some(key) = queue.take(now) {
            queue.done(&key, Wish::Rest, now);
            now += SPACING;
        }
        queue.take(now);
        prop_assert_eq!((queue.known_count(), queue.delayed_count(), queue.ready_count()), (0, 0, 0));
    }
}
