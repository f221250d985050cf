//! When a kind that is not installed may have been: a watch of the definitions, by their metadata alone.
//!
//! Views of optional kinds would otherwise have to ask from time to time, forever. Where the operator may not watch
//! definitions, they do.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::super::backoff::Backoff;

/// Seconds after which the server ends a watch, which proves contact when nothing changes.
const WATCH_SECONDS: u32 = 60;
/// How long the end of a watch may lag behind.
const LAG: Duration = Duration::from_secs(5);
/// Until it is tried again where definitions may not be watched.
const FORBIDDEN: Duration = Duration::from_secs(300);

/// What is known of the definitions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Definitions {
    /// How often something changed, or may have.
    pub changes: u64,
    /// When the API server was last heard from.
    pub contact: Option<Instant>,
}

/// The watch. Cheap to clone; it ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Installations {
    definitions: Receiver<Definitions>,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Installations {
    /// Starts watching. Must be called within a tokio runtime; the client should be one for watches.
    #[must_use]
    pub fn start(client: Client) -> Self {
        let (sender, definitions) = channel(Definitions::default());
        let driver = tokio::spawn(keep(Api::all(client), sender));
        Self { definitions, _driver: Arc::new(AbortOnDropHandle::new(driver)) }
    }

    pub(super) fn subscribe(&self) -> Receiver<Definitions> {
        self.definitions.clone()
    }
}

/// Never ends, so that who waits for news may rely on it.
async fn keep(api: Api<CustomResourceDefinition>, sender: Sender<Definitions>) {
    let contact = |changed: bool| {
        sender.send_modify(|definitions| {
            definitions.changes += u64::from(changed);
            definitions.contact = Some(Instant::now());
        });
    };
    let mut failures = 0_u32;
    loop {
        let why = match api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(list) => {
                // What changed before this is not known.
                contact(true);
                let version = list.metadata.resource_version.unwrap_or_default();
                follow(&api, version, &mut failures, &contact).await
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::info!(message = status.message, "definitions may not be watched; missing kinds are asked for");
                sleep(FORBIDDEN).await;
                continue;
            }
            Err(error) => error.to_string(),
        };
        failures = failures.saturating_add(1);
        tracing::debug!(failures, why, "definitions could not be watched");
        sleep(Backoff::WATCHES.delay(failures)).await;
    }
}

/// Watches from `version` on until it fails; why it failed.
async fn follow(
    api: &Api<CustomResourceDefinition>,
    mut version: String,
    failures: &mut u32,
    contact: &impl Fn(bool),
) -> String {
    let params = WatchParams { timeout: Some(WATCH_SECONDS), bookmarks: true, ..WatchParams::default() };
    loop {
        let opened = Instant::now();
        let mut events = match api.watch_metadata(&params, &version).await {
            Ok(events) => events.boxed(),
            Err(error) => return error.to_string(),
        };
        loop {
            let patience = Duration::from_secs(WATCH_SECONDS.into()) + LAG;
            match timeout(patience, events.try_next()).await {
                Ok(Ok(Some(WatchEvent::Bookmark(bookmark)))) => {
                    version = bookmark.metadata.resource_version;
                    contact(false);
                }
                Ok(Ok(Some(WatchEvent::Error(status)))) => return status.message,
                Ok(Ok(Some(
                    WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object),
                ))) => {
                    version = object.metadata.resource_version.unwrap_or(version);
                    contact(true);
                }
                // What comes next may be of another past: see `watch`.
                Ok(Ok(None)) if opened.elapsed() + LAG < Duration::from_secs(WATCH_SECONDS.into()) => {
                    return "the watch ended before its time".to_owned();
                }
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the watch fell silent".to_owned(),
            }
        }
        *failures = 0;
        contact(false);
    }
}
