//! The pass over one group: observe, decide, act, until nothing is left to do; then the status, once.

use std::sync::Arc;
use std::time::Duration;

use kaedama_shared::api::conditions::vrg as condition_type;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::api::{
    VRGState, VolumeReplicationGroup, VolumeReplicationGroupReport, VolumeReplicationGroupStatus, condition,
};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::controller::Next;
use kaedama_shared::harness::events::{Note, Recorder};
use kaedama_shared::harness::news::{GATHER, GATHER_UNDER_WAY, News};
use kaedama_shared::report;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::json;

use super::act::{Acted, FIELD_MANAGER};
use super::decide::{self, capture};
use super::observe::{Asked, Observer};
use super::plan::Plan;
use super::snapshot::Snapshot;
use super::status::{self, Written};
use super::told::{same, still_holds};

/// How often a pass looks again before it leaves the rest to the next one. A plan gets further with each look; what
/// it cannot finish in this many waits for something.
const LOOKS: usize = 12;

/// For how long the status of a group that is under way follows what the hub is told, which is what the hub acts on.
const FOLLOW: Duration = Duration::from_secs(10);

/// Why a pass failed. Not-ready is not a failure; this is for what could not be read or written at all.
#[derive(Debug, thiserror::Error)]
pub enum PassFailed {
    /// The watched copies are too old to decide on.
    #[error("nothing is decided: {0}")]
    Stale(String),
    /// The hub could not be told.
    #[error("cannot write the report on VolumeReplicationGroup {group}")]
    Report {
        /// The group.
        group: ObjectKey,
        /// What the API server said.
        source: kube::Error,
    },
    /// The status could not be written.
    #[error("cannot write the status of VolumeReplicationGroup {group}")]
    Status {
        /// The group.
        group: ObjectKey,
        /// What the API server said.
        source: kube::Error,
    },
}

/// The passes over groups.
#[derive(Clone)]
pub struct Groups {
    observer: Observer,
    recorder: Recorder,
    news: News<ObjectKey>,
    rest: News<ObjectKey>,
}

impl Groups {
    /// Passes with these eyes and hands.
    #[must_use]
    pub fn new(observer: Observer, recorder: Recorder) -> Self {
        Self { observer, recorder, news: News::default(), rest: News::default() }
    }

    /// One pass.
    ///
    /// # Errors
    /// [`PassFailed`]; it is tried again with back-off.
    pub async fn pass(self, key: ObjectKey) -> Result<Next, PassFailed> {
        if let Some(why) = self.observer.caches.doubt() {
            return Err(PassFailed::Stale(why));
        }
        self.observer.stores.configure(self.observer.config());
        let mut asked = Asked::default();
        for look in 1..=LOOKS {
            let Some(snapshot) = self.observer.snapshot(&key, &asked) else {
                self.forget(&key).await?;
                return Ok(Next::Await);
            };
            let plan = decide::decide(&snapshot);
            if !plan.needs.is_empty() && look < LOOKS {
                self.observer.read(&snapshot, &plan.needs, &mut asked).await;
                continue;
            }
            let idle = plan.is_idle();
            let acted = match idle {
                true => Acted::default(),
                false => {
                    log(&snapshot, &plan);
                    self.observer.act(&snapshot, &plan, &mut asked).await
                }
            };
            if acted.released {
                self.forget(&key).await?;
                let gone = Note::normal("VRGDeleteSuccess", "the VolumeReplicationGroup was released");
                self.recorder.publish(&snapshot.vrg.object_ref(&()), gone).await;
                return Ok(Next::Await);
            }
            let went_well = acted.outcome.is_clean() && !acted.again;
            if !idle && went_well && look < LOOKS {
                continue;
            }
            return self.conclude(&key, snapshot, plan, acted).await;
        }
        Ok(Next::BackOff)
    }

    /// Writes the status, hands the stores their work, and says when to look again.
    async fn conclude(
        &self,
        key: &ObjectKey,
        seen: Snapshot,
        mut plan: Plan,
        acted: Acted,
    ) -> Result<Next, PassFailed> {
        // Writes of this pass have changed the group's version; what was decided stays.
        let vrg = self.observer.caches.groups.get(key).unwrap_or_else(|| seen.vrg.clone());
        let written = status::status(&seen, &plan, &acted.outcome);
        let mut wakes: Vec<Duration> = Vec::new();
        if vrg.metadata.generation == seen.vrg.metadata.generation {
            let report = self.observer.report(key);
            let Some(left) = self.say(key, &vrg, report.as_deref(), &seen, &written).await? else {
                return Ok(Next::BackOff);
            };
            wakes.extend(left);
        }
        capture::with_group(&seen, &mut plan, &written.status);
        if let (Some(capture), Ok(order)) = (&plan.capture, &seen.order) {
            let uid = vrg.metadata.uid.clone().unwrap_or_default();
            wakes.extend(self.observer.stores.keep(key, &uid, order, capture));
        }
        if !acted.outcome.is_clean() || acted.again || plan.outlook.retry {
            return Ok(Next::BackOff);
        }
        if let Some(at) = written.next_deadline {
            let left = at.duration_since(seen.now);
            wakes.push(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1));
        }
        Ok(wakes.into_iter().min().map_or(Next::Await, Next::After))
    }

    /// Tells the hub, where it asks for a report, and writes the status. What may wait waits, for the time that is returned.
    /// None: group or report have changed meanwhile.
    ///
    /// A report is never older than the status, so that the next process learns from it all that was said.
    async fn say(
        &self,
        key: &ObjectKey,
        vrg: &Arc<VolumeReplicationGroup>,
        report: Option<&VolumeReplicationGroupReport>,
        seen: &Snapshot,
        written: &Written,
    ) -> Result<Option<Vec<Duration>>, PassFailed> {
        let last = vrg.status.clone().unwrap_or_default();
        let differs = !same(&last, &written.status);
        let now = self.observer.clock.time();
        let object = || {
            let status = VolumeReplicationGroupStatus { last_update_time: Some(now.clone()), ..written.status.clone() };
            let mut object = VolumeReplicationGroup { status: Some(status), ..(**vrg).clone() };
            object.metadata.managed_fields = None;
            object
        };
        let mut wakes = Vec::new();
        let (gather, follow) = match is_settled(&written.status) {
            true => (GATHER, GATHER),
            false => (GATHER_UNDER_WAY, FOLLOW),
        };
        let patience = |urgent: bool| if urgent { Duration::ZERO } else { gather };
        let waits = |news: &News<ObjectKey>, patience: Duration, wakes: &mut Vec<Duration>| {
            let left = news.hold(key, patience);
            wakes.extend(left);
            left.is_some()
        };
        let due = match report {
            None => differs && !waits(&self.news, patience(is_urgent(&last, &written.status)), &mut wakes),
            Some(report) => {
                let due = differs && !waits(&self.rest, follow, &mut wakes);
                let told = self.observer.told.of(vrg, report);
                let holds = told.as_ref().is_some_and(|told| still_holds(told, vrg, &written.status));
                // Who orders the same anew waits for an answer that names the new order.
                let answers = |told: &VolumeReplicationGroup| {
                    told.metadata.generation != vrg.metadata.generation
                        || told.metadata.annotations == vrg.metadata.annotations
                };
                let before = told.as_deref().filter(|told| answers(told)).and_then(|told| told.status.as_ref());
                let urgent = due || before.is_none_or(|before| is_urgent(before, &written.status));
                if !holds && !waits(&self.news, patience(urgent), &mut wakes) {
                    let object = object();
                    let sent = self.send(report, Some(report::encode(&object))).await;
                    if !sent.map_err(|source| PassFailed::Report { group: key.clone(), source })? {
                        return Ok(None);
                    }
                    self.observer.told.set(object);
                }
                due
            }
        };
        if due {
            if !self.write(key, &object()).await? {
                return Ok(None);
            }
            self.tell(seen, &last, written).await;
        }
        Ok(Some(wakes))
    }

    /// Writes the status on the version of the group that it was made for. False: the group has changed meanwhile.
    async fn write(&self, key: &ObjectKey, object: &VolumeReplicationGroup) -> Result<bool, PassFailed> {
        let api: Api<VolumeReplicationGroup> = Api::namespaced(self.observer.client.clone(), key.namespace());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.replace_status(&key.name, &params, object).await {
            Ok(object) => {
                self.observer.caches.groups.wrote(object);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(source) => Err(PassFailed::Status { group: key.clone(), source }),
        }
    }

    /// Writes a report, on the version of its object that was seen. False: it has changed meanwhile.
    async fn send(&self, report: &VolumeReplicationGroupReport, text: Option<String>) -> Result<bool, kube::Error> {
        let key = ObjectKey::of(report);
        let api: Api<VolumeReplicationGroupReport> = Api::all(self.observer.client.clone());
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let version = &report.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": { "report": text } });
        match api.patch_status(&key.name, &params, &Patch::Merge(&patch)).await {
            Ok(object) => self.observer.caches.reports.wrote(object),
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.observer.caches.reports.gone(key, report.metadata.uid.as_deref().unwrap_or_default());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// There is no such group, or none any more.
    async fn forget(&self, key: &ObjectKey) -> Result<(), PassFailed> {
        self.observer.stores.forget(key);
        self.news.forget(key);
        self.rest.forget(key);
        self.observer.told.forget(key);
        let stale = self
            .observer
            .report(key)
            .filter(|report| report.status.as_ref().is_some_and(|status| !status.report.is_empty()));
        if let Some(report) = stale {
            let sent = self.send(&report, None).await;
            sent.map_err(|source| PassFailed::Report { group: key.clone(), source })?;
        }
        Ok(())
    }

    /// Events for people, about what the status newly says.
    async fn tell(&self, snapshot: &Snapshot, last: &VolumeReplicationGroupStatus, written: &Written) {
        let object = snapshot.vrg.object_ref(&());
        for note in notes(snapshot, last, written) {
            self.recorder.publish(&object, note).await;
        }
    }
}

fn notes(snapshot: &Snapshot, last: &VolumeReplicationGroupStatus, written: &Written) -> Vec<Note> {
    let mut notes = Vec::new();
    let new = &written.status;
    if new.state != last.state || new.observed_generation != last.observed_generation {
        match new.state {
            VRGState::Primary => notes.push(Note::normal("PrimaryVRGProcessSuccess", "the group is primary")),
            VRGState::Secondary => notes.push(Note::normal("SecondaryVRGProcessSuccess", "the group is secondary")),
            VRGState::Unset | VRGState::Unknown | VRGState::Other(_) => {}
        }
    }
    let newly_false = |type_: &str, reasons: &[&str]| {
        let found = condition::find(&new.conditions, type_)
            .filter(|found| found.is_false() && reasons.contains(&found.reason.as_str()))?;
        let before = condition::find(&last.conditions, type_);
        before
            .is_none_or(|before| before.reason != found.reason || before.message != found.message)
            .then(|| found.message.clone())
    };
    if snapshot.order.is_err() {
        notes.extend(
            newly_false(condition_type::DATA_READY, &[reason::ERROR])
                .map(|text| Note::warning("FailedValidation", text)),
        );
    } else {
        notes.extend(
            newly_false(condition_type::DATA_READY, &[reason::ERROR])
                .map(|text| Note::warning("ProtectPVCFailed", text)),
        );
    }
    let upload = [reason::UPLOAD_ERROR, reason::ANNOTATION_FAILED];
    notes.extend(
        newly_false(condition_type::CLUSTER_DATA_PROTECTED, &upload).map(|text| Note::warning("UploadFailed", text)),
    );
    notes.extend(written.overdue.iter().map(|text| Note::warning("Overdue", text.clone())));
    notes
}

/// What the hub, or a person, waits for: the group has come to its role, its data are there or protected, a final sync is
/// done. Everything else in a status only tells how that goes.
fn milestones(status: &VolumeReplicationGroupStatus) -> Vec<bool> {
    let generation = status.observed_generation;
    let awaited = [
        condition_type::CLUSTER_DATA_READY,
        condition_type::DATA_READY,
        condition_type::DATA_PROTECTED,
        condition_type::CLUSTER_DATA_PROTECTED,
    ];
    let reached = awaited.into_iter().map(|type_| condition::is_true_at(&status.conditions, type_, generation));
    let at_role = matches!(status.state, VRGState::Primary | VRGState::Secondary);
    let steps = [at_role, status.prepare_for_final_sync_complete, status.final_sync_complete];
    steps.into_iter().chain(reached).collect()
}

/// Whether the group has come to its role, and its data are where they belong.
fn is_settled(status: &VolumeReplicationGroupStatus) -> bool {
    let holds = |type_| condition::is_true_at(&status.conditions, type_, status.observed_generation);
    match status.state {
        VRGState::Primary => holds(condition_type::DATA_READY) && holds(condition_type::CLUSTER_DATA_PROTECTED),
        VRGState::Secondary => holds(condition_type::DATA_READY),
        VRGState::Unset | VRGState::Unknown | VRGState::Other(_) => false,
    }
}

/// Whether a status says of the generation that it observed that something awaited has come to be, or is lost again.
fn is_urgent(last: &VolumeReplicationGroupStatus, new: &VolumeReplicationGroupStatus) -> bool {
    let (before, after) = (milestones(last), milestones(new));
    let observed = last.observed_generation == new.observed_generation;
    before.iter().zip(&after).any(|(before, after)| if *after { !(*before && observed) } else { *before && observed })
}

fn log(snapshot: &Snapshot, plan: &Plan) {
    for action in plan.actions() {
        tracing::info!(group = %snapshot.key(), action = action.name(), object = action.target(), "acting");
    }
}
