//! The view agent of one cluster: shows objects of the cluster on the hub, as ManagedClusterViews ask for them.
//!
//! As the real one: a result at once, then one live read per interval; a failed read turns the condition False and
//! keeps the old result; absence is a failed read whose message ends in `not found`; nothing tells how old a result
//! is. Secrets are refused. A cluster that does not answer at all is taken for dead, agent included: its views stay
//! as they are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kaedama_shared::api::condition::{Condition, ConditionStatus, set};
use kaedama_shared::api::ocm::ManagedClusterView;
use kaedama_shared::api::ocm::view::{
    DEFAULT_INTERVAL_SECONDS, GET_RESOURCE_FAILED, GET_RESOURCE_PROCESSING, ManagedClusterViewSpec, PROCESSING,
    RESOURCE_GVK_INVALID, RESOURCE_NAME_INVALID, RESOURCE_TYPE_INVALID, ViewScope,
};
use kaedama_shared::clock::Clock;
use kube::api::{Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::runtime::kinds::{Kinds, Served};
use super::runtime::{
    Attempt, Change, Error, Guarded, ObjectKey, Pass, Queue, Store, follow, is_not_found, is_silence, serve, to_json,
};

/// How a view agent behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where times in objects come from.
    pub clock: Clock,
    /// Pause between two reads of a view that names none.
    pub default_interval: Duration,
}

impl Options {
    /// The usual interval of 30 s, with this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, default_interval: Duration::from_secs(u64::from(DEFAULT_INTERVAL_SECONDS.unsigned_abs())) }
    }
}

/// Runs the view agent of a cluster until the future is dropped.
pub async fn run(hub: Client, spoke: Client, cluster: &str, options: Options) {
    let agent = Agent {
        views: Store::new(),
        queue: Queue::new(),
        reads: Mutex::default(),
        kinds: Kinds::new(spoke.clone()),
        cluster: cluster.to_owned(),
        options,
        hub,
        spoke,
    };
    let views: Api<Guarded<ManagedClusterView>> = Api::namespaced(agent.hub.clone(), cluster);
    tokio::join!(
        follow(views, Config::default(), &agent.views, |change: Change<'_, ManagedClusterView>| {
            agent.queue.add(ObjectKey::of(change.object()).name);
        }),
        async {
            agent.views.ready().await;
            serve("view-agent", &agent.queue, |name| agent.pass(name)).await;
        },
    );
}

struct Agent {
    hub: Client,
    spoke: Client,
    cluster: String,
    options: Options,
    views: Store<ManagedClusterView>,
    queue: Queue<String>,
    kinds: Kinds,
    /// What was read last for each view, and when.
    reads: Mutex<BTreeMap<String, (ManagedClusterViewSpec, Instant)>>,
}

/// What a read came to: the object, or reason and message of the condition.
type Answer = Result<Value, (&'static str, String)>;

impl Agent {
    async fn pass(&self, name: String) -> Result<Pass, Error> {
        let view = self.views.get(&ObjectKey::new(&self.cluster, &name));
        let Some(view) = view.filter(|view| view.metadata.deletion_timestamp.is_none()) else {
            self.reads.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            return Ok(Pass::Done);
        };
        let interval = match view.spec.scope.update_interval_seconds {
            Some(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds.unsigned_abs())),
            _ => self.options.default_interval,
        };
        let last = self.reads.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some((spec, at)) = last
            && spec == view.spec
            && at.elapsed() < interval
        {
            return Ok(Pass::Again(interval - at.elapsed()));
        }
        let answer = self.read(&view.spec.scope).await?;
        self.report(&view, &name, answer).await?;
        let read = (view.spec.clone(), Instant::now());
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).insert(name, read);
        Ok(Pass::Again(interval))
    }

    async fn read(&self, scope: &ViewScope) -> Result<Answer, Error> {
        if scope.name.is_empty() {
            return Ok(Err((RESOURCE_NAME_INVALID, "the scope names no object".into())));
        }
        let served = match self.served(scope).await? {
            Ok(served) => served,
            Err(why) => return Ok(Err(why)),
        };
        if served.resource.group.is_empty() && served.resource.plural == "secrets" {
            return Ok(Err((RESOURCE_TYPE_INVALID, "secrets cannot be viewed".into())));
        }
        match served.api(&self.spoke, &scope.namespace).get(&scope.name).await {
            Ok(object) => Ok(Ok(to_json(&object))),
            Err(source) if is_silence(&source) => {
                Err(Error::Request { doing: format!("reading {} {}", served.resource.kind, scope.name), source })
            }
            Err(kube::Error::Api(status)) => {
                if !status.message.ends_with(" not found") {
                    self.kinds.forget(&served.resource);
                }
                Ok(Err((GET_RESOURCE_FAILED, format!("failed to get resource with err: {}", status.message))))
            }
            Err(error) => Ok(Err((GET_RESOURCE_FAILED, format!("failed to get resource with err: {error}")))),
        }
    }

    /// The resource that a scope names.
    async fn served(&self, scope: &ViewScope) -> Result<Result<Served, (&'static str, String)>, Error> {
        if scope.resource.is_empty() {
            if scope.kind.is_empty() || scope.version.is_empty() {
                let why = "the scope names neither a resource nor a kind with its version";
                return Ok(Err((RESOURCE_TYPE_INVALID, why.into())));
            }
            let gvk = GroupVersionKind::gvk(&scope.api_group, &scope.version, &scope.kind);
            let unknown =
                || (RESOURCE_GVK_INVALID, format!("the server doesn't have a resource type {:?}", scope.kind));
            return Ok(self.kinds.of(&gvk).await?.ok_or_else(unknown));
        }
        // `resource`, or `resource.version.group`.
        let mut parts = scope.resource.splitn(3, '.');
        let plural = parts.next().unwrap_or_default();
        let version = parts.next().unwrap_or(&scope.version);
        let group = parts.next().unwrap_or(&scope.api_group);
        let version = if version.is_empty() && group.is_empty() { "v1" } else { version };
        if version.is_empty() {
            let why = format!("the scope names the resource {plural} of group {group} without a version");
            return Ok(Err((RESOURCE_TYPE_INVALID, why)));
        }
        let unknown = || (RESOURCE_TYPE_INVALID, format!("the server doesn't have a resource type {plural:?}"));
        Ok(self.kinds.of_plural(group, version, plural).await?.ok_or_else(unknown))
    }

    async fn report(&self, view: &ManagedClusterView, name: &str, answer: Answer) -> Result<(), Error> {
        let before = view.status.clone().unwrap_or_default();
        let mut conditions = before.conditions.clone();
        conditions.retain(|condition| condition.type_ == PROCESSING);
        let mut change = serde_json::Map::new();
        let condition = match answer {
            Ok(object) => {
                if before.result.as_ref() != Some(&object) {
                    // A merge patch would keep members that the object has lost, so the result is replaced as a whole.
                    change.insert("result".into(), object);
                }
                Condition::new(
                    PROCESSING,
                    ConditionStatus::True,
                    GET_RESOURCE_PROCESSING,
                    "Watching resources successfully",
                    0,
                )
            }
            Err((reason, message)) => Condition::new(PROCESSING, ConditionStatus::False, reason, message, 0),
        };
        let changed = set(&mut conditions, condition, self.options.clock.now_seconds());
        if changed || conditions.len() != before.conditions.len() {
            change.insert("conditions".into(), json!(conditions));
        }
        if change.is_empty() {
            return Ok(());
        }
        let api: Api<ManagedClusterView> = Api::namespaced(self.hub.clone(), &self.cluster);
        let operations = operations(view.status.is_some(), change);
        let patch: json_patch::Patch = serde_json::from_value(operations)
            .map_err(|error| Error::Object { doing: format!("reporting view {name}"), why: error.to_string() })?;
        match api.patch_status(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(|_| ()).attempt(|| format!("reporting view {name}")),
        }
    }
}

/// A JSON patch that sets these members of the status, each as a whole.
fn operations(has_status: bool, members: serde_json::Map<String, Value>) -> Value {
    if !has_status {
        return json!([{"op": "add", "path": "/status", "value": members}]);
    }
    let set = |(member, value)| json!({"op": "add", "path": format!("/status/{member}"), "value": value});
    members.into_iter().map(set).collect()
}
