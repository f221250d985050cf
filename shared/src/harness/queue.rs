//! The work queue of a controller: a plain value that is told the time.
//!
//! One entry per object, so that a thousand events of an object cost one pass, and a pass never runs beside another
//! of the same object. The *leading* edge counts: an object that was idle is ready at once, and one that changes all
//! the time is passed over and over again, `spacing` apart, instead of being put off by each change (a trailing-edge
//! debounce hides it for ever).
//!
//! ```text
//!            add                    take                 done
//!   idle ───────────► ready ───────────────► running ───────────► idle
//!                       ▲                       │ add: once more
//!                       │ due                   ▼
//!                    delayed ◄──────────── requeue, back-off, once more
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// What a finished pass asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing until something changes. Ends a series of failures.
    Rest,
    /// Another pass after this long, unless something changes first. Ends a series of failures.
    Again(Duration),
    /// Another pass after a delay that grows with each of these in a row: the pass failed, or waits for something
    /// that no watch reports.
    BackOff,
}

/// The pending and running work of one controller.
#[derive(Debug)]
pub struct WorkQueue<Key> {
    backoff: Backoff,
    spacing: Duration,
    entries: BTreeMap<Key, Entry>,
    /// Keys in state ready, first come first served.
    ready: VecDeque<Key>,
    /// Keys in state delayed, by the time that they are due. The number keeps the order of equal times.
    delayed: BTreeSet<(Instant, u64)>,
    by_number: BTreeMap<u64, Key>,
    next_number: u64,
    /// Idle keys whose last pass still holds the next one back.
    cooling: VecDeque<Key>,
    running: usize,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Wishes to back off in a row.
    failures: u32,
    /// When the present or last pass was started.
    started: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Idle,
    Ready,
    Running {
        /// Something changed since the pass was started.
        again: bool,
    },
    Delayed {
        due: Instant,
        number: u64,
        /// The delay is the spacing between passes, not a wish: a change does not bring the pass forward.
        spaced: bool,
    },
}

impl<Key: Ord + Clone> WorkQueue<Key> {
    /// An empty queue. `spacing` is the least time between the starts of two passes of one object. While an object's
    /// passes fail, changes of it bring the next pass no nearer than the first step of `backoff`.
    #[must_use]
    pub fn new(backoff: Backoff, spacing: Duration) -> Self {
        Self {
            backoff,
            spacing,
            entries: BTreeMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeSet::new(),
            by_number: BTreeMap::new(),
            next_number: 0,
            cooling: VecDeque::new(),
            running: 0,
        }
    }

    /// Something changed that concerns `key`.
    pub fn add(&mut self, key: Key, now: Instant) {
        let entry = self.entries.entry(key.clone()).or_insert(Entry { state: State::Idle, failures: 0, started: None });
        match entry.state {
            State::Ready | State::Delayed { spaced: true, .. } => {}
            State::Running { ref mut again } => *again = true,
            State::Idle | State::Delayed { spaced: false, .. } => self.schedule_change(key, now),
        }
    }

    /// Takes the object whose turn it is, if there is one. It is running until [`WorkQueue::done`].
    pub fn take(&mut self, now: Instant) -> Option<Key> {
        self.wake(now);
        self.forget_idle(now);
        let key = self.ready.pop_front()?;
        let entry = self.entries.get_mut(&key)?;
        entry.state = State::Running { again: false };
        entry.started = Some(now);
        self.running += 1;
        Some(key)
    }

    /// A pass of `key` has ended. A key that is not running is ignored.
    pub fn done(&mut self, key: &Key, wish: Wish, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let State::Running { again } = entry.state else {
            return;
        };
        self.running -= 1;
        entry.state = State::Idle;
        entry.failures = match wish {
            Wish::BackOff => entry.failures.saturating_add(1),
            Wish::Rest | Wish::Again(_) => 0,
        };
        let failures = entry.failures;
        match wish {
            _ if again => self.schedule_change(key.clone(), now),
            Wish::Rest => self.cooling.push_back(key.clone()),
            Wish::Again(after) => self.delay(key.clone(), now + after, false),
            Wish::BackOff => self.delay(key.clone(), now + self.backoff.delay(failures), false),
        }
    }

    /// How many objects the queue remembers anything of.
    #[must_use]
    pub fn known_count(&self) -> usize {
        self.entries.len()
    }

    /// When [`WorkQueue::take`] has something to give: the past if it has now, `None` if it waits for a change.
    #[must_use]
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.ready.is_empty() { self.delayed.first().map(|(due, _)| *due) } else { Some(now) }
    }

    /// How many objects are ready and not yet taken.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// How many objects wait for a time.
    #[must_use]
    pub fn delayed_count(&self) -> usize {
        self.delayed.len()
    }

    /// How many objects are being worked on.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.running
    }

    /// How many passes of `key` in a row asked to back off.
    #[must_use]
    pub fn failures(&self, key: &Key) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.failures)
    }

    /// Schedules a pass for a change: at once, or when the spacing from the last pass allows it.
    fn schedule_change(&mut self, key: Key, now: Instant) {
        let Some(entry) = self.entries.get(&key) else {
            return;
        };
        let spacing = if entry.failures > 0 { self.spacing.max(self.backoff.delay(1)) } else { self.spacing };
        let earliest = entry.started.map_or(now, |started| started + spacing);
        if earliest > now {
            self.delay(key, earliest, true);
        } else {
            self.make_ready(key);
        }
    }

    fn make_ready(&mut self, key: Key) {
        self.forget_delay(&key);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.state = State::Ready;
            self.ready.push_back(key);
        }
    }

    fn delay(&mut self, key: Key, due: Instant, spaced: bool) {
        self.forget_delay(&key);
        if let Some(entry) = self.entries.get_mut(&key) {
            let number = self.next_number;
            self.next_number += 1;
            entry.state = State::Delayed { due, number, spaced };
            self.delayed.insert((due, number));
            self.by_number.insert(number, key);
        }
    }

    fn forget_delay(&mut self, key: &Key) {
        if let Some(Entry { state: State::Delayed { due, number, .. }, .. }) = self.entries.get(key) {
            self.delayed.remove(&(*due, *number));
            self.by_number.remove(number);
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some((due, number)) = self.delayed.first().copied()
            && due <= now
        {
            match self.by_number.get(&number).cloned() {
                Some(key) => self.make_ready(key),
                None => {
                    self.delayed.remove(&(due, number));
                }
            }
        }
    }

    /// Drops the entries of idle objects, once their last pass no longer holds the next one back.
    fn forget_idle(&mut self, now: Instant) {
        while let Some(key) = self.cooling.front() {
            match self.entries.get(key) {
                Some(Entry { state: State::Idle, started: Some(started), .. }) if *started + self.spacing > now => {
                    return;
                }
                Some(Entry { state: State::Idle, .. }) => drop(self.entries.remove(key)),
                _ => {}
            }
            self.cooling.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
