//! Kubernetes events of our objects.
//!
//! kube's own recorder reads the machine's clock and has no suppression window, so this is a recorder of our own: times
//! come from the [`Clock`], the same event on the same object is suppressed for ten seconds, and after that it is
//! counted on the event object that exists instead of making another. Events are written as `v1` events, with the
//! component where consumers of the reference product look for it.
//!
//! An event is for people: one that cannot be written is logged and counted, and never fails a pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use super::metrics::HarnessMetrics;
use crate::clock::Clock;

/// Component of the hub operator's events.
pub const HUB_COMPONENT: &str = "controller_DRPlacementControl";
/// Component of the spoke operator's events.
pub const SPOKE_COMPONENT: &str = "controller_VolumeReplicationGroup";

/// The same event on the same object is not written again within this time.
const SUPPRESSED: Duration = Duration::from_secs(10);
/// After this time an event that comes again is a new one: API servers delete events after an hour.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Writing an event may hold a pass up for this long at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether something went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It did.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Normal or Warning.
    pub severity: Severity,
    /// The reason, one word in upper camel case.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Note {
    /// A normal event.
    pub fn normal(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason: reason.into(), message: message.into() }
    }

    /// A warning.
    pub fn warning(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason: reason.into(), message: message.into() }
    }
}

/// Writes the events of one component. Cheap to clone, and meant to be shared: clones suppress together.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    component: String,
    instance: String,
    clock: Clock,
    metrics: Option<HarnessMetrics>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    written: BTreeMap<Subject, Written>,
    sequence: u64,
}

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    note: Note,
}

#[derive(Clone)]
struct Written {
    at: Instant,
    /// The event object; `None` when the last write of it failed.
    event: Option<String>,
    count: i32,
}

enum Task {
    Nothing,
    Create { name: String },
    Count { name: String, count: i32 },
}

impl Recorder {
    /// A recorder for `component`. `instance` says which process it is (the pod's name).
    #[must_use]
    pub fn new(client: Client, component: impl Into<String>, instance: impl Into<String>, clock: Clock) -> Self {
        Self {
            client,
            component: component.into(),
            instance: instance.into(),
            clock,
            metrics: None,
            memory: Arc::default(),
        }
    }

    /// Counts events that are lost.
    #[must_use]
    pub fn metrics(self, metrics: &HarnessMetrics) -> Self {
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// Writes an event about `object` (see `Resource::object_ref`), unless the same was written in the last ten
    /// seconds. Returns whether the API server has it now. Events about cluster-scoped objects go to `default`.
    pub async fn publish(&self, object: &ObjectReference, note: Note) -> bool {
        let subject = Subject {
            kind: object.kind.clone().unwrap_or_default(),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
            uid: object.uid.clone().unwrap_or_default(),
            note,
        };
        let task = self.decide(&subject);
        let written = match tokio::time::timeout(PATIENCE, self.write(object, &subject, task)).await {
            Ok(Ok(written)) => written,
            Ok(Err(error)) => {
                self.dropped(&subject, &error.to_string());
                None
            }
            Err(_) => {
                self.dropped(&subject, "no answer in time");
                None
            }
        };
        if written.is_none() {
            // Forgotten, so that the next occasion writes it.
            self.lock().written.remove(&subject);
        }
        written.is_some_and(|happened| happened)
    }

    fn decide(&self, subject: &Subject) -> Task {
        let now = Instant::now();
        let mut memory = self.lock();
        memory.written.retain(|_, written| now < written.at + FORGOTTEN);
        let known = memory.written.get(subject).cloned();
        let task = match known {
            Some(written) if now < written.at + SUPPRESSED => return Task::Nothing,
            Some(Written { event: Some(name), count, .. }) => Task::Count { name, count: count + 1 },
            _ => {
                memory.sequence += 1;
                // Unique also where several events are made at one virtual instant.
                let stamp = self.clock.now().as_nanosecond().unsigned_abs();
                let suffix = format!("{:x}{:04x}", stamp, memory.sequence & 0xffff);
                let stem: String = subject.name.chars().take(252 - suffix.len()).collect();
                Task::Create { name: format!("{stem}.{suffix}") }
            }
        };
        let (event, count) = match &task {
            Task::Count { name, count } => (Some(name.clone()), *count),
            Task::Create { name } => (Some(name.clone()), 1),
            Task::Nothing => (None, 0),
        };
        memory.written.insert(subject.clone(), Written { at: now, event, count });
        task
    }

    /// `Some(true)`: written. `Some(false)`: suppressed.
    async fn write(
        &self,
        object: &ObjectReference,
        subject: &Subject,
        task: Task,
    ) -> Result<Option<bool>, kube::Error> {
        let namespace = if subject.namespace.is_empty() { "default" } else { &subject.namespace };
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = self.clock.time();
        let name = match task {
            Task::Nothing => return Ok(Some(false)),
            Task::Create { name } => name,
            Task::Count { name, count } => {
                let patch = Patch::Merge(json!({ "count": count, "lastTimestamp": now }));
                match events.patch(&name, &PatchParams::default(), &patch).await {
                    Ok(_) => return Ok(Some(true)),
                    // The API server has forgotten it: then it is a new one, under the old name.
                    Err(kube::Error::Api(status)) if status.code == 404 => name,
                    Err(error) => return Err(error),
                }
            }
        };
        let event = Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
            involved_object: object.clone(),
            reason: Some(subject.note.reason.clone()),
            message: Some(cut(&subject.note.message)),
            type_: Some(subject.note.severity.as_str().to_owned()),
            source: Some(EventSource { component: Some(self.component.clone()), host: None }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.instance.clone()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        events.create(&PostParams::default(), &event).await?;
        Ok(Some(true))
    }

    fn dropped(&self, subject: &Subject, why: &str) {
        tracing::warn!(
            object = format!("{}/{}", subject.namespace, subject.name),
            reason = subject.note.reason,
            why,
            "event lost"
        );
        if let Some(metrics) = &self.metrics {
            metrics.event_dropped();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The API refuses messages of more than 1024 bytes.
fn cut(message: &str) -> String {
    match message.char_indices().find(|(at, char)| at + char.len_utf8() > 1021) {
        Some((at, _)) if message.len() > 1024 => format!("{}...", &message[..at]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
