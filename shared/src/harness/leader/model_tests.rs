//! Candidates, one lease, and a network that delays, loses and reorders: never two leaders.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tokio::time::Instant;

use super::step::{Action, Election, Observation, Stored, Timings};

const S: Duration = Duration::from_secs(1);

/// What the network and the scheduler do next.
#[derive(Clone, Debug)]
enum Move {
    /// The candidate looks at its timer, if it waits for one that has come.
    Wake(usize),
    /// The candidate's request reaches the server, which answers it.
    Serve(usize),
    /// The answer reaches the candidate.
    Deliver(usize),
    /// The request or its answer is lost, or gives a time-out; the server may still carry a request out later.
    Fail { candidate: usize, linger: bool },
    /// A request whose sender has given up reaches the server after all.
    Straggle,
    /// The leader ends its work and hands the lease back.
    Release(usize),
    /// The process is killed and started anew, under its identity or a new one.
    Restart { candidate: usize, renamed: bool },
    /// Somebody edits a label of the lease.
    Touch,
    /// The process stands still (suspended, starved), or goes on.
    Stall(usize, bool),
    /// Time passes, in which processes that do not stand still are served at once.
    Pass(u64),
}

fn moves(candidates: usize) -> impl Strategy<Value = Move> {
    let who = 0..candidates;
    prop_oneof![
        6 => who.clone().prop_map(Move::Wake),
        6 => who.clone().prop_map(Move::Serve),
        4 => who.clone().prop_map(Move::Deliver),
        3 => (who.clone(), any::<bool>()).prop_map(|(candidate, linger)| Move::Fail { candidate, linger }),
        4 => (who.clone(), any::<bool>()).prop_map(|(candidate, still)| Move::Stall(candidate, still)),
        1 => Just(Move::Straggle),
        1 => who.clone().prop_map(Move::Release),
        1 => (who, any::<bool>()).prop_map(|(candidate, renamed)| Move::Restart { candidate, renamed }),
        1 => Just(Move::Touch),
        4 => (1_u64..3000).prop_map(Move::Pass),
        2 => (3000_u64..9000).prop_map(Move::Pass),
    ]
}

enum Pending {
    Timer(Instant),
    Request { action: Action, sent: Instant },
    Answer(Observation),
    Nothing,
}

struct Candidate {
    election: Election,
    pending: Pending,
    still: bool,
}

struct World {
    now: Instant,
    started: Instant,
    lease: Option<Stored>,
    version: u64,
    candidates: Vec<Candidate>,
    stragglers: Vec<Action>,
    restarts: u64,
    reigns: usize,
}

impl World {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let candidates = (0..count).map(|i| fresh(&format!("c{i}"), now)).collect();
        Self { now, started: now, lease: None, version: 0, candidates, stragglers: Vec::new(), restarts: 0, reigns: 0 }
    }

    fn wall(&self) -> Timestamp {
        let ms = i64::try_from((self.now - self.started).as_millis()).unwrap();
        Timestamp::from_millisecond(1_893_456_000_000 + ms).unwrap()
    }

    fn apply(&mut self, what: Move) {
        match what {
            Move::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Move::Stall(i, still) => self.candidates[i].still = still,
            Move::Touch => {
                self.version += 1;
                let version = self.version.to_string();
                if let Some(lease) = &mut self.lease {
                    lease.version = version;
                }
            }
            Move::Straggle => {
                if !self.stragglers.is_empty() {
                    let action = self.stragglers.remove(0);
                    self.serve(&action, self.now);
                }
            }
            Move::Wake(i) => {
                if matches!(self.candidates[i].pending, Pending::Timer(at) if at <= self.now) {
                    self.observe(i, Observation::Due);
                }
            }
            Move::Serve(i) => {
                if let Pending::Request { action, sent } = &self.candidates[i].pending {
                    let (action, sent) = (action.clone(), *sent);
                    self.candidates[i].pending = Pending::Answer(self.serve(&action, sent));
                }
            }
            Move::Deliver(i) => {
                if let Pending::Answer(observation) = &self.candidates[i].pending {
                    let observation = observation.clone();
                    self.observe(i, observation);
                }
            }
            Move::Fail { candidate: i, linger } => match &self.candidates[i].pending {
                Pending::Request { action, .. } => {
                    if linger {
                        self.stragglers.push(action.clone());
                    }
                    self.observe(i, Observation::Failed);
                }
                Pending::Answer(_) => self.observe(i, Observation::Failed),
                Pending::Timer(_) | Pending::Nothing => {}
            },
            Move::Release(i) => {
                let (now, wall) = (self.now, self.wall());
                // As `lead` does it: not while a request is under way.
                if matches!(self.candidates[i].pending, Pending::Timer(_))
                    && let Some(action) = self.candidates[i].election.release(now, wall)
                {
                    self.serve(&action, now);
                    self.candidates[i].pending = Pending::Nothing;
                }
            }
            Move::Restart { candidate: i, renamed } => {
                if let Pending::Request { action, .. } = &self.candidates[i].pending {
                    self.stragglers.push(action.clone());
                }
                self.restarts += 1;
                let identity = match renamed {
                    true => format!("c{i}-{}", self.restarts),
                    false => self.candidates[i].election.identity().to_owned(),
                };
                self.candidates[i] = fresh(&identity, self.now);
            }
        }
    }

    fn observe(&mut self, i: usize, observation: Observation) {
        let (now, wall) = (self.now, self.wall());
        let candidate = &mut self.candidates[i];
        let led = candidate.election.leads_until().is_some();
        candidate.pending = match candidate.election.step(observation, now, wall) {
            Action::Wait(until) => Pending::Timer(until),
            Action::Stop(_) => Pending::Nothing,
            action => Pending::Request { action, sent: now },
        };
        self.reigns += usize::from(!led && candidate.election.leads_until().is_some());
    }

    fn serve(&mut self, action: &Action, sent: Instant) -> Observation {
        let (known, record) = match action {
            Action::Read => return Observation::Read(self.lease.clone()),
            Action::Create(record) => (None, record),
            Action::Update(Stored { record, version }) => (Some(version), record),
            Action::Wait(_) | Action::Stop(_) => unreachable!("not a request"),
        };
        if self.lease.as_ref().map(|lease| &lease.version) != known {
            return Observation::Conflict;
        }
        self.version += 1;
        let stored = Stored { record: record.clone(), version: self.version.to_string() };
        self.lease = Some(stored.clone());
        Observation::Written { stored, sent }
    }

    fn leaders(&self) -> Vec<&str> {
        let leads = |c: &&Candidate| c.election.leads_until().is_some_and(|until| self.now < until);
        self.candidates.iter().filter(leads).map(|c| c.election.identity()).collect()
    }

    /// Lets time pass, in which every process that does not stand still is served at once.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + S / 5);
            for i in 0..self.candidates.len() {
                if self.candidates[i].still {
                    continue;
                }
                self.apply(Move::Wake(i));
                while matches!(self.candidates[i].pending, Pending::Request { .. } | Pending::Answer(_)) {
                    self.apply(Move::Serve(i));
                    self.apply(Move::Deliver(i));
                }
            }
            let leaders = self.leaders();
            assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
        }
    }

    /// Everything works from here on: nobody stands still, and ended processes start anew.
    fn calm(&mut self, time: Duration) {
        for i in 0..self.candidates.len() {
            self.candidates[i].still = false;
        }
        for _ in 0..time.as_secs() {
            for i in 0..self.candidates.len() {
                if matches!(self.candidates[i].pending, Pending::Nothing) {
                    self.apply(Move::Restart { candidate: i, renamed: false });
                }
            }
            self.pass(S);
        }
    }
}

fn fresh(identity: &str, now: Instant) -> Candidate {
    let election = Election::new("ns", "lease", identity, Timings::default()).unwrap();
    Candidate { election, pending: Pending::Timer(now), still: false }
}

proptest! {
    #[test]
    fn never_two_leaders_and_always_one_in_the_end(moves in prop::collection::vec(moves(3), 0..300)) {
        let mut world = World::new(3);
        for what in moves {
            world.apply(what.clone());
            let leaders = world.leaders();
            prop_assert!(leaders.len() <= 1, "two leaders after {:?}: {:?}", what, leaders);
        }
        world.calm(40 * S);
        prop_assert_eq!(world.leaders().len(), 1, "once the network works somebody leads");
    }
}

/// The property above says something only if the moves make leaders change.
#[test]
fn the_model_reaches_changes_of_leadership() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(moves(3), 300);
    let (mut reigns, mut contested) = (0, 0);
    for _ in 0..100 {
        let mut world = World::new(3);
        for what in strategy.new_tree(&mut runner).unwrap().current() {
            world.apply(what);
        }
        reigns += world.reigns;
        contested += usize::from(world.reigns >= 2);
    }
    assert!(reigns > 100 && contested > 30, "{reigns} reigns, {contested} runs with a change");
}
