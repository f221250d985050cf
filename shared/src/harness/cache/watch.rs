//! The list-and-watch loop.
//!
//! ```text
//!   list (all pages) ──► replace the view ──► watch from the list's version ───┐
//!     ▲                                         ▲ the server ended it at its   │
//!     │                                         │ time: resume                 │
//!     │                                         ├──────────────────────────────┤
//!     │                                         │ the version is in the past   │
//!     │   the version is of the future          │                              │
//!     ├───────────────────────────────── look back ◄── it failed, or ended ────┤
//!     │                                                before its time         │
//!     └── 410, an error event, a line that is no event: begin anew ────────────┘
//! ```
//!
//! An API server whose etcd was restored from a backup breaks its watches, and takes one from a version that it has not come
//! to yet without a word: the view would stay as it was in a past that is no more. So it is asked how far it is, with a
//! list of one object, before a watch that was cut off goes on.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{DeserializeGuard, Status};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep, timeout};

use super::installed::{Definitions, Installations};
use super::view::{Raw, View};
use super::{MetricsHandle, Scope, events};

/// How long the end of a watch may lag behind the time that the server was asked to end it at.
const LAG: Duration = Duration::from_secs(5);
/// A watch that ends sooner than this without an event counts as failed: a broken server would be asked in a spin.
const SHORT: Duration = Duration::from_secs(1);
/// A watch that was opened brings what was missed at once. When this long nothing came, nothing was missed, and the view
/// is known to be current. (The opening alone proves nothing: the view may be an hour behind until the events are in.)
const SETTLE: Duration = Duration::from_secs(1);
/// Between two looks for a kind that is not installed, where nobody tells when one was; and for one that may not be listed.
const NOT_SERVED: Duration = Duration::from_secs(30);
/// The same where somebody does.
const NOT_TOLD: Duration = Duration::from_secs(600);
/// A definition has changed: its kind is served a moment later, at the latest after these.
const TOLD: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];
/// Objects per page of a list; the page size of Kubernetes' own clients.
const PAGE: u32 = 500;

/// What a list or a watch came to.
enum Turn {
    /// Go on (or begin) watching after this version.
    WatchFrom(String),
    /// The watch was cut off before its time; go on after this version if the API server has come that far.
    CutOff(String),
    /// It failed; try the same again, after a delay.
    Retry { from: Option<String>, why: String },
    /// Only a new list tells what is there.
    Relist { why: String },
    /// The kind is not installed.
    NotServed,
    /// The kind may not be listed, and can be done without.
    NotAllowed { why: String },
}

/// Keeps the view until it is dropped.
pub(super) async fn keep<K>(view: Arc<View<K>>, api: Api<DeserializeGuard<K>>, scope: Scope)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut from: Option<String> = None;
    // Failures in a row. A list alone does not end the row: where listing works and watching does not, the loop
    // would otherwise list the cluster without a pause.
    let mut failures = 0_u32;
    let mut absence = Absence::new(&scope);
    // Something happened to the last watch: its version may be of a past that was rewritten meanwhile.
    let mut cut_off = false;
    loop {
        let listing = from.is_none();
        let turn = match from.take() {
            None => list(&view, &api, &scope).await,
            Some(version) if cut_off => look_back(&api, version).await,
            Some(version) => watch(&view, &api, &scope, version, &mut failures).await,
        };
        cut_off = matches!(turn, Turn::CutOff(_) | Turn::Retry { .. });
        if let Some(MetricsHandle(metrics)) = &scope.metrics {
            metrics.view_undecodable(view.name(), view.undecodable().len());
        }
        let why = match turn {
            Turn::WatchFrom(version) | Turn::CutOff(version) => {
                from = Some(version);
                continue;
            }
            Turn::NotServed => {
                tracing::debug!(view = view.name(), "kind is not installed");
                absence.pass(&view).await;
                continue;
            }
            Turn::NotAllowed { why } => {
                tracing::info!(view = view.name(), why, "kind may not be listed, and is done without");
                sleep(NOT_SERVED).await;
                continue;
            }
            Turn::Retry { from: version, why } => {
                from = version;
                why
            }
            Turn::Relist { why } => why,
        };
        failures = failures.saturating_add(1);
        if let Some(MetricsHandle(metrics)) = &scope.metrics {
            metrics.view_error(view.name());
        }
        tracing::warn!(view = view.name(), listing, failures, why, "view could not be kept up to date");
        sleep(scope.backoff.delay(failures)).await;
    }
}

/// Waits while a kind is not installed.
struct Absence {
    told: Option<Receiver<Definitions>>,
    known: u64,
    soon: std::slice::Iter<'static, Duration>,
}

impl Absence {
    fn new(scope: &Scope) -> Self {
        let told = scope.installations.as_ref().map(Installations::subscribe);
        Absence { told, known: 0, soon: [].iter() }
    }

    /// Returns when it is time to look again. What tells of definitions also tells that the API server is there: the
    /// kind is known to be missing as long as it does.
    async fn pass<K: Resource>(&mut self, view: &View<K>) {
        if let Some(soon) = self.soon.next() {
            return sleep(*soon).await;
        }
        let Some(told) = &mut self.told else { return sleep(NOT_SERVED).await };
        loop {
            let definitions = *told.borrow_and_update();
            if definitions.changes != self.known {
                // At first only what was installed before anybody listened can have been missed.
                self.soon = if self.known == 0 { [].iter() } else { TOLD.iter() };
                self.known = definitions.changes;
                return;
            }
            let heard = definitions.contact.is_some_and(|at| at.elapsed() < NOT_SERVED * 3);
            if heard {
                view.contact();
            }
            match timeout(if heard { NOT_TOLD } else { NOT_SERVED }, told.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return sleep(NOT_SERVED).await,
                Err(_) => return,
            }
        }
    }
}

async fn list<K>(view: &View<K>, api: &Api<DeserializeGuard<K>>, scope: &Scope) -> Turn
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut params = ListParams {
        label_selector: scope.labels.clone(),
        field_selector: scope.fields.clone(),
        limit: Some(PAGE),
        ..ListParams::default()
    };
    let mut objects = Vec::new();
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            Err(kube::Error::Api(status)) if status.code == 404 && scope.optional => {
                view.replace(Vec::new(), "", false);
                return Turn::NotServed;
            }
            Err(kube::Error::Api(status)) if status.code == 403 && scope.dispensable => {
                view.replace(Vec::new(), "", false);
                return Turn::NotAllowed { why: status.message };
            }
            // A continue token that has expired is a failure like others: the next list begins at the first page.
            Err(error) => {
                return Turn::Retry { from: None, why: error.to_string() };
            }
        };
        objects.extend(page.items.into_iter().map(|object| trim(object, scope)));
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_some() {
            continue;
        }
        let Some(version) = page.metadata.resource_version.filter(|version| !version.is_empty()) else {
            return Turn::Retry { from: None, why: "the list has no resourceVersion".to_owned() };
        };
        view.replace(objects, &version, true);
        return Turn::WatchFrom(version);
    }
}

/// Asks how far the API server is, and goes on watching after `version` where that is behind it.
async fn look_back<K>(api: &Api<DeserializeGuard<K>>, version: String) -> Turn
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let found = match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(list) => list.metadata.resource_version.unwrap_or_default(),
        Err(kube::Error::Api(status)) => return refused(&status, version),
        Err(error) => return Turn::Retry { from: Some(version), why: error.to_string() },
    };
    match went_back(&version, &found) {
        true => Turn::Relist { why: restored(&version, &found) },
        false => Turn::WatchFrom(version),
    }
}

async fn watch<K>(
    view: &View<K>,
    api: &Api<DeserializeGuard<K>>,
    scope: &Scope,
    mut version: String,
    failures: &mut u32,
) -> Turn
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    // The API server refuses 295 s and more to clients with the usual proxies' limits in mind.
    let seconds = u32::try_from(scope.watch_timeout.as_secs()).unwrap_or(290).min(290);
    let params = WatchParams {
        label_selector: scope.labels.clone(),
        field_selector: scope.fields.clone(),
        timeout: Some(seconds),
        bookmarks: true,
        ..WatchParams::default()
    };
    let opened = Instant::now();
    let mut events = match events::open(api, &params, &version, scope.keep_managed_fields).await {
        Ok(events) => events.boxed(),
        Err(kube::Error::Api(status)) => return refused(&status, version),
        Err(error) => {
            return Turn::Retry { from: Some(version), why: error.to_string() };
        }
    };
    let mut heard = false;
    let mut settled = false;
    loop {
        let patience = if settled { scope.watch_timeout + LAG } else { SETTLE };
        let event = match timeout(patience, events.try_next()).await {
            Err(_) if !settled => {
                settled = true;
                view.contact();
                continue;
            }
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) if heard || opened.elapsed() >= SHORT => {
                *failures = 0;
                let in_time = opened.elapsed() + LAG >= Duration::from_secs(seconds.into());
                return if in_time { Turn::WatchFrom(version) } else { Turn::CutOff(version) };
            }
            Ok(Ok(None)) => {
                return Turn::Retry { from: Some(version), why: "the watch ended at once".to_owned() };
            }
            Ok(Err(kube::Error::Api(status))) => return refused(&status, version),
            // A line that is no event: an object without metadata, for one. Only a list tells what it was about.
            Ok(Err(error @ kube::Error::SerdeError(_))) => {
                return Turn::Relist { why: error.to_string() };
            }
            Ok(Err(error)) => {
                return Turn::Retry { from: Some(version), why: error.to_string() };
            }
            Err(_) => {
                return Turn::Retry { from: Some(version), why: "the watch fell silent".to_owned() };
            }
        };
        let came = match &event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                object.meta().resource_version.clone().unwrap_or_default()
            }
            WatchEvent::Bookmark(bookmark) => bookmark.metadata.resource_version.clone(),
            WatchEvent::Error(status) => return refused(status, version),
        };
        if came.is_empty() {
            return Turn::Relist { why: "an event has no resourceVersion".to_owned() };
        }
        if went_back(&version, &came) {
            return Turn::Relist { why: restored(&version, &came) };
        }
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => view.apply(trim(object, scope)),
            WatchEvent::Deleted(object) => view.delete(&object),
            WatchEvent::Bookmark(_) => view.bookmark(&came),
            WatchEvent::Error(_) => {}
        }
        heard = true;
        *failures = 0;
        version = came;
    }
}

/// Versions of one watch only grow, unless the API server was restored from a backup under it.
fn went_back(from: &str, to: &str) -> bool {
    matches!((from.parse::<u64>(), to.parse::<u64>()), (Ok(from), Ok(to)) if to < from)
}

fn restored(from: &str, to: &str) -> String {
    format!("the API server went back from version {from} to {to}")
}

/// What an answer of the API server that is an error means for the watch.
fn refused(status: &Status, version: String) -> Turn {
    let why = format!("{} ({}): {}", status.reason, status.code, status.message);
    match status.code {
        // Overloaded or out of order: the version is as good as before.
        429 | 500..=599 => Turn::Retry { from: Some(version), why },
        // 410: too old. Whatever else it is, the watch cannot be resumed.
        _ => Turn::Relist { why },
    }
}

fn trim<K: Resource>(mut object: Raw<K>, scope: &Scope) -> Raw<K> {
    if !scope.keep_managed_fields {
        object.meta_mut().managed_fields = None;
    }
    object
}
