//! The election as a pure transition: an observation in, an action out.
//!
//! ```text
//!   Candidate ── its write was accepted ──► Leader ── its renewal was accepted ──► Leader
//!       ▲                                     │ another holder, no lease, or the deadline passed
//!       └── anything else                     ▼
//!                                            Lost  (the end: the process starts anew)
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::harness::backoff::spread;

/// Durations of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long others wait after the last change that they saw, before they take over.
    pub lease: Duration,
    /// How long the holder leads on after its last successful renewal.
    pub renew_deadline: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Timings {
    /// Those of controller-runtime: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// The timings do not keep two leaders apart.
#[derive(Debug, thiserror::Error)]
#[error("leader election needs lease > renew deadline > 1.2 × retry > 0, whole seconds of lease; got {0:?}")]
pub struct InvalidTimings(Timings);

/// What a Lease says; its resourceVersion and whatever else is in the object are kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The holder's identity; empty when the lease was released.
    pub holder: String,
    /// How long the holder asks others to wait.
    pub duration: Duration,
    /// When this holder took it.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed it.
    pub renewed: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
}

/// A record as it was read, with the version that a write to it must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the lease says.
    pub record: Record,
    /// `metadata.resourceVersion`.
    pub version: String,
}

/// What has happened since the last action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The time that was waited for has come (and: the first observation of all).
    Due,
    /// The lease was read; `None`: there is none.
    Read(Option<Stored>),
    /// Our write was accepted. It had been sent at `sent`.
    Written {
        /// The lease after the write.
        stored: Stored,
        /// When the request was made.
        sent: Instant,
    },
    /// Our write was refused because the lease is not what we took it for.
    Conflict,
    /// A read or write failed, or nobody knows how it ended.
    Failed,
}

/// What to do next. Each is answered by an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the lease.
    Read,
    /// Create it, failing if it is there.
    Create(Record),
    /// Replace it, failing if its version is another.
    Update(Stored),
    /// Do nothing until then.
    Wait(Instant),
    /// Leadership is lost. Nothing follows.
    Stop(Loss),
}

/// Why leadership was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The lease could not be renewed in time.
    #[error("the lease could not be renewed within the deadline")]
    Deadline,
    /// Somebody else holds it.
    #[error("the lease is held by {0:?} now")]
    Taken(String),
    /// Somebody deleted it.
    #[error("the lease was deleted")]
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Candidate,
    Leader { renewed: Instant },
    Lost(Loss),
}

/// One candidate's election: its settings, what it saw last, and its role.
#[derive(Clone, Debug)]
pub struct Election {
    namespace: String,
    name: String,
    identity: String,
    timings: Timings,
    role: Role,
    /// The last lease that was seen, and when its record last changed in our eyes.
    seen: Option<(Stored, Instant)>,
    /// How often it was tried; spreads the candidates' attempts.
    attempts: u64,
}

impl Election {
    /// A candidate for the Lease `namespace/name`.
    ///
    /// # Errors
    ///
    /// [`InvalidTimings`] when the durations do not keep two leaders apart.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
        timings: Timings,
    ) -> Result<Self, InvalidTimings> {
        let Timings { lease, renew_deadline, retry } = timings;
        let ordered = lease > renew_deadline && renew_deadline > retry * 6 / 5 && !retry.is_zero();
        if !ordered || lease.subsec_nanos() != 0 {
            return Err(InvalidTimings(timings));
        }
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            timings,
            role: Role::Candidate,
            seen: None,
            attempts: 0,
        })
    }

    /// Namespace of the Lease.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of the Lease.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This candidate's identity.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The durations in use.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Who held the lease when it was last seen; empty when nobody did.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.seen.as_ref().map_or("", |(stored, _)| &stored.record.holder)
    }

    /// Until when this candidate leads, if it does not renew before. `None`: it does not lead.
    #[must_use]
    pub fn leads_until(&self) -> Option<Instant> {
        match &self.role {
            Role::Leader { renewed } => Some(*renewed + self.timings.renew_deadline),
            Role::Candidate | Role::Lost(_) => None,
        }
    }

    /// Takes in what happened, and says what to do. `now` is the monotonic time, `wall` what is written in the lease.
    pub fn step(&mut self, observation: Observation, now: Instant, wall: Timestamp) -> Action {
        match &self.role {
            Role::Lost(loss) => Action::Stop(loss.clone()),
            Role::Leader { renewed } if now >= *renewed + self.timings.renew_deadline => self.lose(Loss::Deadline),
            Role::Leader { .. } => self.step_leader(observation, now, wall),
            Role::Candidate => self.step_candidate(observation, now, wall),
        }
    }

    /// The write that hands the lease back, for a leader that has stopped its work: others need not wait. This
    /// candidate no longer leads from here on, however the write ends. `None`: there is nothing to hand back.
    pub fn release(&mut self, now: Instant, wall: Timestamp) -> Option<Action> {
        let leads = self.leads_until().is_some_and(|until| now < until);
        self.role = Role::Candidate;
        let (stored, _) = self.seen.as_ref().filter(|_| leads)?;
        // Like client-go: no holder, and a duration of a second because the API refuses zero.
        let record = Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: stored.record.transitions,
        };
        Some(Action::Update(Stored { record, version: stored.version.clone() }))
    }

    fn step_candidate(&mut self, observation: Observation, now: Instant, wall: Timestamp) -> Action {
        match observation {
            Observation::Due => Action::Read,
            Observation::Read(None) => match &self.seen {
                // It was held a moment ago, and its holder may not know yet that somebody deleted it.
                Some((stored, since)) if is_held(stored, *since, now) => self.wait(now),
                _ => Action::Create(self.record(None, wall)),
            },
            Observation::Read(Some(stored)) => {
                let since = self.see(stored.clone(), now);
                let ours = stored.record.holder == self.identity;
                if !ours && is_held(&stored, since, now) {
                    return self.wait(now);
                }
                // Ours, and we have written nothing: a process of this pod that is dead held it, and what it sent last
                // may still be on its way. Otherwise a write of our own got through and its answer did not.
                if ours && self.attempts == 0 {
                    return self.wait(now);
                }
                Action::Update(Stored { record: self.record(Some(&stored.record), wall), version: stored.version })
            }
            Observation::Written { stored, sent } => {
                self.see(stored, now);
                if now < sent + self.timings.renew_deadline {
                    self.role = Role::Leader { renewed: sent };
                    Action::Wait(now + self.timings.retry)
                } else {
                    self.wait(now)
                }
            }
            Observation::Conflict | Observation::Failed => self.wait(now),
        }
    }

    fn step_leader(&mut self, observation: Observation, now: Instant, wall: Timestamp) -> Action {
        match observation {
            Observation::Due => match &self.seen {
                Some((stored, _)) => Action::Update(Stored {
                    record: self.record(Some(&stored.record), wall),
                    version: stored.version.clone(),
                }),
                None => Action::Read,
            },
            Observation::Read(None) => self.lose(Loss::Deleted),
            Observation::Read(Some(stored)) if stored.record.holder != self.identity => {
                let holder = stored.record.holder.clone();
                self.see(stored, now);
                self.lose(Loss::Taken(holder))
            }
            Observation::Read(Some(stored)) => {
                self.see(stored.clone(), now);
                Action::Update(Stored { record: self.record(Some(&stored.record), wall), version: stored.version })
            }
            Observation::Written { stored, sent } => {
                self.see(stored, now);
                self.role = Role::Leader { renewed: sent };
                Action::Wait(now + self.timings.retry)
            }
            // Somebody wrote to it: a label perhaps, or our own write whose answer was lost. Or a usurper.
            Observation::Conflict => Action::Read,
            Observation::Failed => {
                // The version that we know may be out of date by our own write.
                let deadline = self.leads_until().unwrap_or(now);
                Action::Wait((now + self.timings.retry).min(deadline))
            }
        }
    }

    fn lose(&mut self, loss: Loss) -> Action {
        self.role = Role::Lost(loss.clone());
        Action::Stop(loss)
    }

    fn wait(&mut self, now: Instant) -> Action {
        self.attempts += 1;
        let mut hasher = DefaultHasher::new();
        (&self.identity, self.attempts).hash(&mut hasher);
        Action::Wait(now + spread(self.timings.retry, hasher.finish()))
    }

    /// Remembers a lease; the result is since when its record has been unchanged.
    fn see(&mut self, stored: Stored, now: Instant) -> Instant {
        let since = match &self.seen {
            Some((known, since)) if known.record == stored.record => *since,
            _ => now,
        };
        self.seen = Some((stored, since));
        since
    }

    /// What we write: a renewal when we are the holder already, else a change of hands.
    fn record(&self, old: Option<&Record>, wall: Timestamp) -> Record {
        let (acquired, transitions) = match old {
            Some(old) if old.holder == self.identity => (old.acquired.or(Some(wall)), old.transitions),
            Some(old) => (Some(wall), old.transitions.saturating_add(1)),
            None => (Some(wall), 0),
        };
        Record {
            holder: self.identity.clone(),
            duration: self.timings.lease,
            acquired,
            renewed: Some(wall),
            transitions,
        }
    }
}

fn is_held(stored: &Stored, since: Instant, now: Instant) -> bool {
    !stored.record.holder.is_empty() && now < since + stored.record.duration
}
