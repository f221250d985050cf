//! The I/O of the election, and the run of an operator under a lease.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Leadership;
use super::step::{Action, Election, Loss, Observation, Record, Stored};
use crate::clock::Clock;

/// How a run under a lease ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// Leadership was lost; the work was dropped where it was. The process has to end or start from the beginning.
    #[error("leadership of {lease} lost")]
    Lost {
        /// `namespace/name` of the lease.
        lease: String,
        /// How it was lost.
        source: Loss,
    },
    /// Shutdown was asked for before the lease was won. Nothing was run.
    #[error("stopped while waiting for the lease {lease}")]
    Stopped {
        /// `namespace/name` of the lease.
        lease: String,
    },
}

/// Waits for the lease, runs `work` while it is held, and hands it back when `work` has ended.
///
/// `work` is handed the [`Leadership`] and should end when `stop` is cancelled; the lease is renewed until it has, so
/// that its last writes are those of a leader. When the lease is lost, `work` is dropped at once and the result is
/// [`LeadError::Lost`]. Renewal runs in a task of its own: a busy `work` cannot starve it. `lease` should be a client of
/// [`Profile::LEASE`](super::super::client::Profile::LEASE).
///
/// # Errors
///
/// [`LeadError::Lost`] when leadership was lost, [`LeadError::Stopped`] when `stop` was cancelled before it was won.
pub async fn lead<T, F, W>(
    mut election: Election,
    lease: Client,
    clock: Clock,
    stop: CancellationToken,
    work: W,
) -> Result<T, LeadError>
where
    W: FnOnce(Leadership) -> F,
    F: Future<Output = T>,
{
    let label = format!("{}/{}", election.namespace(), election.name());
    let mut desk = Desk::new(&election, lease, clock);
    tracing::info!(lease = label, identity = election.identity(), "waiting for the lease");
    let lost = |source| LeadError::Lost { lease: label.clone(), source };
    let first = match desk.campaign(&mut election, &stop).await {
        Campaign::Won(action) => action,
        Campaign::Stopped => return Err(LeadError::Stopped { lease: label }),
        Campaign::Lost(loss) => return Err(lost(loss)),
    };
    tracing::info!(lease = label, identity = election.identity(), "leading");

    let leadership = Leadership::unheld();
    note(&leadership, &election);
    let finished = CancellationToken::new();
    let renewal = desk.renew(election, first, leadership.clone(), finished.clone());
    let mut renewal = AbortOnDropHandle::new(tokio::spawn(renewal));
    let done = {
        let work = work(leadership.clone());
        tokio::pin!(work);
        tokio::select! {
            biased;
            ended = &mut renewal => Err(ended),
            done = &mut work => Ok(done),
        }
    };
    let (ended, done) = match done {
        Ok(done) => {
            finished.cancel();
            (renewal.await, Some(done))
        }
        Err(ended) => (ended, None),
    };
    leadership.drop_hold();
    match (ended, done) {
        // What `work` did last was under the lease; that it cannot be handed back does not undo it.
        (ended, Some(done)) => {
            if let Ok(Ok((desk, election))) = ended {
                desk.release(election).await;
            }
            Ok(done)
        }
        (Ok(Err(loss)), None) => {
            tracing::error!(lease = label, reason = %loss, "leadership lost");
            Err(lost(loss))
        }
        // A renewal that panicked or was cut off renews nothing: the same as a missed deadline.
        (_, None) => Err(lost(Loss::Deadline)),
    }
}

enum Campaign {
    /// The lease is held; the action is what the renewal begins with.
    Won(Action),
    Stopped,
    Lost(Loss),
}

fn note(leadership: &Leadership, election: &Election) {
    match election.leads_until() {
        Some(until) => leadership.hold_until(until),
        None => leadership.drop_hold(),
    }
}

/// Carries the election's actions out.
struct Desk {
    api: Api<Lease>,
    clock: Clock,
    namespace: String,
    name: String,
    /// The Lease as it was last seen, for what is in it beside the record.
    last: Option<Lease>,
}

impl Desk {
    fn new(election: &Election, client: Client, clock: Clock) -> Self {
        Self {
            api: Api::namespaced(client, election.namespace()),
            clock,
            namespace: election.namespace().to_owned(),
            name: election.name().to_owned(),
            last: None,
        }
    }

    async fn campaign(&mut self, election: &mut Election, stop: &CancellationToken) -> Campaign {
        let mut observation = Observation::Due;
        let mut holder = String::new();
        loop {
            let action = election.step(observation, Instant::now(), self.clock.now());
            if election.leads_until().is_some() {
                return Campaign::Won(action);
            }
            if election.holder() != holder {
                election.holder().clone_into(&mut holder);
                tracing::info!(lease = self.name, holder, "the lease has this holder");
            }
            observation = match action {
                Action::Stop(loss) => return Campaign::Lost(loss),
                Action::Wait(until) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return Campaign::Stopped,
                    () = tokio::time::sleep_until(until) => Observation::Due,
                },
                // Not cut off by `stop`: a write of which nobody knows how it ended would keep the others waiting.
                request => self.request(request, Instant::now() + election.timings().renew_deadline).await,
            };
        }
    }

    /// Renews until leadership is lost, or until `finished` is cancelled: then the lease can be handed back.
    async fn renew(
        mut self,
        mut election: Election,
        first: Action,
        leadership: Leadership,
        finished: CancellationToken,
    ) -> Result<(Self, Election), Loss> {
        let mut action = first;
        loop {
            let observation = match action {
                Action::Stop(loss) => {
                    leadership.drop_hold();
                    return Err(loss);
                }
                Action::Wait(until) => tokio::select! {
                    biased;
                    () = finished.cancelled() => return Ok((self, election)),
                    () = tokio::time::sleep_until(until) => Observation::Due,
                },
                request => {
                    let deadline = election.leads_until().unwrap_or_else(Instant::now);
                    self.request(request, deadline).await
                }
            };
            action = election.step(observation, Instant::now(), self.clock.now());
            note(&leadership, &election);
        }
    }

    async fn release(mut self, mut election: Election) {
        let Some(action) = election.release(Instant::now(), self.clock.now()) else {
            return;
        };
        match self.request(action, Instant::now() + election.timings().renew_deadline).await {
            Observation::Written { .. } => tracing::info!(lease = self.name, "lease handed back"),
            _ => tracing::warn!(lease = self.name, "lease not handed back; others wait until it has run out"),
        }
    }

    /// Makes the request of `action`, giving it up at `deadline`.
    async fn request(&mut self, action: Action, deadline: Instant) -> Observation {
        let sent = Instant::now();
        let answer = tokio::time::timeout_at(deadline, self.send(action, sent)).await;
        answer.unwrap_or_else(|_| {
            tracing::warn!(lease = self.name, "no answer about the lease in time");
            Observation::Failed
        })
    }

    async fn send(&mut self, action: Action, sent: Instant) -> Observation {
        let params = PostParams::default();
        let written = match action {
            Action::Read => return self.read().await,
            Action::Create(record) => {
                let metadata = ObjectMeta {
                    namespace: Some(self.namespace.clone()),
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                };
                self.api.create(&params, &Lease { metadata, spec: Some(write_record(&record, None)) }).await
            }
            Action::Update(Stored { record, version }) => {
                let mut lease = self.last.clone().unwrap_or_default();
                lease.metadata.namespace = Some(self.namespace.clone());
                lease.metadata.name = Some(self.name.clone());
                lease.metadata.resource_version = Some(version);
                lease.spec = Some(write_record(&record, lease.spec));
                self.api.replace(&self.name, &params, &lease).await
            }
            Action::Wait(_) | Action::Stop(_) => return Observation::Due,
        };
        match written {
            Ok(lease) => Observation::Written { stored: self.keep(lease), sent },
            // 404 to an update: it is gone. Reading it will tell.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Observation::Conflict,
            Err(error) => {
                tracing::warn!(lease = self.name, %error, "writing the lease failed");
                Observation::Failed
            }
        }
    }

    async fn read(&mut self) -> Observation {
        match self.api.get_opt(&self.name).await {
            Ok(Some(lease)) => Observation::Read(Some(self.keep(lease))),
            Ok(None) => Observation::Read(None),
            Err(error) => {
                tracing::warn!(lease = self.name, %error, "reading the lease failed");
                Observation::Failed
            }
        }
    }

    fn keep(&mut self, lease: Lease) -> Stored {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let record = read_record(lease.spec.as_ref());
        self.last = Some(lease);
        Stored { record, version }
    }
}

fn read_record(spec: Option<&LeaseSpec>) -> Record {
    let Some(spec) = spec else {
        return Record::default();
    };
    Record {
        holder: spec.holder_identity.clone().unwrap_or_default(),
        duration: Duration::from_secs(spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0)),
        acquired: spec.acquire_time.as_ref().map(|time| time.0),
        renewed: spec.renew_time.as_ref().map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

/// The record in the Lease; other fields of `old` are kept.
fn write_record(record: &Record, old: Option<LeaseSpec>) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(record.holder.clone()),
        lease_duration_seconds: Some(i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: record.acquired.map(micro),
        renew_time: record.renewed.map(micro),
        lease_transitions: Some(record.transitions),
        ..old.unwrap_or_default()
    }
}

fn micro(at: Timestamp) -> MicroTime {
    // The API keeps microseconds; the record that comes back has to equal the one that was sent.
    MicroTime(Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at))
}
