//! A watched copy of the objects of one kind.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Cache`] | the handle: reading, changes, freshness |
//! | `view` | the copy itself, and what a change of it looks like |
//! | `watch` | the list-and-watch loop that keeps it |
//! | `events` | the lines of a watch, decoded |
//! | [`Installations`] | when a kind that is not installed may have been |
//!
//! Three things set it apart from kube's reflector. It knows when it last heard from the API server (lists, events,
//! bookmarks and a watch that was opened and stays quiet count), and a view that has heard nothing for too long answers
//! [`Seen::Unknown`]. An object that cannot be decoded is set aside by name, counted and answered as unknown; it neither
//! stalls the watch nor looks absent. And a change carries the object before and after, so that a controller can
//! say which changes concern it without keeping copies of its own.

mod events;
mod installed;
mod view;
mod watch;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use kube::core::DeserializeGuard;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::ObjectKey;
use super::backoff::Backoff;
use super::metrics::HarnessMetrics;
use crate::seen::Seen;
pub use events::decode;
pub use installed::Installations;
use view::View;
pub use view::{Change, Freshness, is_gone};

/// The stream of a cache's changes. It loses none: what is not taken waits in memory.
pub type Changes<K> = UnboundedReceiver<Change<K>>;

/// Which objects a cache holds, and how it behaves.
#[derive(Clone, Debug)]
pub struct Scope {
    labels: Option<String>,
    fields: Option<String>,
    optional: bool,
    dispensable: bool,
    installations: Option<Installations>,
    keep_managed_fields: bool,
    watch_timeout: Duration,
    stale_after: Duration,
    backoff: Backoff,
    metrics: Option<MetricsHandle>,
}

#[derive(Clone)]
struct MetricsHandle(HarnessMetrics);

impl Debug for MetricsHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HarnessMetrics")
    }
}

impl Default for Scope {
    /// Every object that the `Api` covers. A watch is opened anew every minute, which proves contact when nothing
    /// changes; a view is stale after a minute and a half of silence.
    fn default() -> Self {
        Self {
            labels: None,
            fields: None,
            optional: false,
            dispensable: false,
            installations: None,
            keep_managed_fields: false,
            watch_timeout: Duration::from_secs(60),
            stale_after: Duration::from_secs(90),
            backoff: Backoff::WATCHES,
            metrics: None,
        }
    }
}

impl Scope {
    /// Only objects that this label selector matches.
    #[must_use]
    pub fn labels(self, selector: impl Into<String>) -> Self {
        Self { labels: Some(selector.into()), ..self }
    }

    /// Only objects that this field selector matches.
    #[must_use]
    pub fn fields(self, selector: impl Into<String>) -> Self {
        Self { fields: Some(selector.into()), ..self }
    }

    /// The kind need not be installed: while the API server does not know it, the view is ready and empty, and
    /// [`Freshness::served`] is false. It is looked for again every half minute.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// As [`Scope::optional`], and the kind is looked for when a definition has changed, instead of all the time.
    #[must_use]
    pub fn optional_by(self, installations: &Installations) -> Self {
        Self { optional: true, installations: Some(installations.clone()), ..self }
    }

    /// A kind that may not be listed counts as one that is not installed. Only for kinds of which no decision depends:
    /// elsewhere a right that is missing must not read as an object that is missing.
    #[must_use]
    pub fn dispensable(self) -> Self {
        Self { optional: true, dispensable: true, ..self }
    }

    /// Keeps `metadata.managedFields`, which are dropped otherwise: they are often the larger part of an object.
    #[must_use]
    pub fn keep_managed_fields(self) -> Self {
        Self { keep_managed_fields: true, ..self }
    }

    /// The longest silence of a healthy watch (whole seconds, at least one), and the age at which the view stops
    /// answering. The age should be the greater by some seconds.
    #[must_use]
    pub fn silence(self, watch_timeout: Duration, stale_after: Duration) -> Self {
        Self { watch_timeout: watch_timeout.max(Duration::from_secs(1)), stale_after, ..self }
    }

    /// Delays between attempts to list or watch.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Writes the view's age, errors and undecodable objects there.
    #[must_use]
    pub fn metrics(self, metrics: &HarnessMetrics) -> Self {
        Self { metrics: Some(MetricsHandle(metrics.clone())), ..self }
    }
}

/// A watched copy of the objects of one kind. Cheap to clone; the watch ends when the last clone is dropped.
pub struct Cache<K> {
    view: Arc<View<K>>,
    stale_after: Duration,
    keep_managed_fields: bool,
    narrowed: bool,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            stale_after: self.stale_after,
            keep_managed_fields: self.keep_managed_fields,
            narrowed: self.narrowed,
            _driver: self._driver.clone(),
        }
    }
}

impl<K> Cache<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Starts watching what `api` covers, within the `scope`. `name` is how the view is called in logs and metrics. Must
    /// be called within a tokio runtime; `api` should be of a client with
    /// [`Profile::WATCHES`](super::client::Profile::WATCHES).
    ///
    /// ```no_run
    /// # use kaedama_shared::harness::cache::{Cache, Scope};
    /// # use k8s_openapi::api::core::v1::Secret;
    /// # use kube::Api;
    /// # fn start(client: kube::Client) {
    /// let secrets: Cache<Secret> = Cache::start("secrets", Api::namespaced(client, "ramen-system"), Scope::default());
    /// # }
    /// ```
    #[must_use]
    pub fn start(name: &str, api: Api<DeserializeGuard<K>>, scope: Scope) -> Self {
        Self::begin(View::new(name, None), api, scope)
    }

    /// As [`Cache::start`], with an index: `groups` names the groups that an object belongs to, and
    /// [`Cache::grouped`] finds the objects of a group without looking at the others. It must depend on the object alone.
    #[must_use]
    pub fn start_grouped(
        name: &str,
        api: Api<DeserializeGuard<K>>,
        scope: Scope,
        groups: fn(&K) -> Vec<String>,
    ) -> Self {
        Self::begin(View::new(name, Some(groups)), api, scope)
    }

    fn begin(view: View<K>, api: Api<DeserializeGuard<K>>, scope: Scope) -> Self {
        let view = Arc::new(view);
        if let Some(MetricsHandle(metrics)) = &scope.metrics {
            let seen = Arc::downgrade(&view);
            metrics.view(view.name(), move || seen.upgrade().and_then(|view| view.freshness().last_contact));
        }
        let (stale_after, keep_managed_fields) = (scope.stale_after, scope.keep_managed_fields);
        let narrowed = scope.labels.is_some() || scope.fields.is_some();
        let driver = tokio::spawn(watch::keep(view.clone(), api, scope));
        Self { view, stale_after, keep_managed_fields, narrowed, _driver: Arc::new(AbortOnDropHandle::new(driver)) }
    }

    /// How the view is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.view.name()
    }

    /// Waits for the first complete list. Waits for as long as there is none.
    pub async fn ready(&self) {
        self.view.ready().await;
    }

    /// The object of this name as it was seen last, however long ago.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.view.get(key)
    }

    /// All objects as they were seen last, in order of their keys.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<K>> {
        self.view.filter(|_| true)
    }

    /// The objects that `wanted` accepts, in order of their keys. The view is locked meanwhile.
    #[must_use]
    pub fn filter(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.view.filter(wanted)
    }

    /// The objects of a namespace that `wanted` accepts, in order of their keys; others are not looked at.
    #[must_use]
    pub fn within(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.view.within(namespace, wanted)
    }

    /// The objects that belong to a group, in order of their keys: none where the cache was started without groups.
    #[must_use]
    pub fn grouped(&self, group: &str) -> Vec<Arc<K>> {
        self.view.grouped(group)
    }

    /// The object of this name, if the view can be believed: unknown when nothing was listed yet, when the view is
    /// stale, and when the object cannot be decoded.
    #[must_use]
    pub fn seen(&self, key: &ObjectKey) -> Seen<Arc<K>> {
        match self.doubt() {
            Some(why) => Seen::Unknown(why),
            None => self.view.seen(key),
        }
    }

    /// All objects, if the view can be believed and every one of them could be decoded.
    #[must_use]
    pub fn seen_all(&self) -> Seen<Vec<Arc<K>>> {
        if let Some(why) = self.doubt() {
            return Seen::Unknown(why);
        }
        match self.view.undecodable().first() {
            Some((key, error)) => Seen::Unknown(format!("{} {key} cannot be decoded: {error}", self.name())),
            None => Seen::Present(self.list()),
        }
    }

    /// Why the view cannot be believed at present; `None` when it can.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let freshness = self.view.freshness();
        let Some(last_contact) = freshness.last_contact.filter(|_| freshness.synced) else {
            return Some(format!("{} have not been listed yet", self.name()));
        };
        let age = last_contact.elapsed();
        (age > self.stale_after)
            .then(|| format!("view of {} is stale: last contact {} s ago", self.name(), age.as_secs()))
    }

    /// When the API server was last heard from about these objects.
    #[must_use]
    pub fn last_contact(&self) -> Option<Instant> {
        self.view.freshness().last_contact
    }

    /// What is known about how current the view is.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.view.freshness()
    }

    /// The objects that could not be decoded, with the decoder's words.
    #[must_use]
    pub fn undecodable(&self) -> Vec<(ObjectKey, String)> {
        self.view.undecodable()
    }

    /// Takes in what a write of our own returned, ahead of the watch: the next pass then decides on it, and not on the
    /// version before it. Left aside where the watch has come that far already (it knows better, also of a deletion).
    ///
    /// Only for objects that the cache covers. Where a selector narrows it, an object that is not in the view yet is
    /// left to the watch.
    pub fn note_written(&self, mut object: K) {
        if !self.keep_managed_fields {
            object.meta_mut().managed_fields = None;
        }
        self.view.note_written(object, self.narrowed);
    }

    /// Every change from here on, beginning with the present objects as additions.
    #[must_use]
    pub fn changes(&self) -> Changes<K> {
        self.view.subscribe()
    }
}

#[cfg(test)]
mod tests;
