//! Carries a plan out. Claims at the same time, the steps of each in order; each write carries the version that it was
//! decided on, and a conflict means: look again.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::api::csiaddons::{DataSource, DesiredState, VolumeReplication, VolumeReplicationSpec};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::decide::replication::ALLOW_FORCE;
use super::observe::{Asked, Observer};
use super::order::{Order, Writer};
use super::owner;
use super::plan::{Action, Plan, VolumePlan};
use super::snapshot::{EpochClaim, ObjectId, Snapshot};
use super::status::Outcome;
use crate::cluster::Kept;

/// Claims that are worked on at the same time.
const PARALLEL: usize = 16;
/// Who writes, in `managedFields`.
pub const FIELD_MANAGER: &str = "kaedama-spoke";

/// How a plan went.
#[derive(Debug, Default)]
pub struct Acted {
    /// What failed.
    pub outcome: Outcome,
    /// Somebody else wrote an object first: what was decided may no longer hold.
    pub again: bool,
    /// The group was let go.
    pub released: bool,
}

/// Why a step was not made.
#[derive(Debug)]
enum Obstacle {
    /// Somebody else was faster.
    Overtaken,
    /// It failed.
    Failed(String),
}

type Step = Result<(), Obstacle>;

impl Observer {
    /// Carries the plan out.
    pub async fn act(&self, snapshot: &Snapshot, plan: &Plan, asked: &mut Asked) -> Acted {
        let mut acted = Acted::default();
        for action in &plan.first {
            if !self.group_step(snapshot, action, asked, &mut acted).await {
                return acted;
            }
        }
        let mut chains = Vec::new();
        for volume in &plan.volumes {
            if !volume.actions.is_empty() {
                chains.push(self.chain(snapshot, volume));
            }
        }
        let claims: Vec<(ObjectKey, Step)> = stream::iter(chains).buffered(PARALLEL).collect().await;
        for (claim, result) in claims {
            match result {
                Ok(()) => {}
                Err(Obstacle::Overtaken) => acted.again = true,
                Err(Obstacle::Failed(why)) => acted.outcome.volumes.push((claim, why)),
            }
        }
        if acted.outcome.is_clean() && !acted.again {
            for action in &plan.last {
                if !self.group_step(snapshot, action, asked, &mut acted).await {
                    break;
                }
            }
        }
        acted
    }

    /// The steps of one claim, in order, to the first that fails.
    async fn chain(&self, snapshot: &Snapshot, volume: &VolumePlan) -> (ObjectKey, Step) {
        for action in &volume.actions {
            if let Err(obstacle) = self.step(snapshot, action).await {
                return (volume.claim.clone(), Err(obstacle));
            }
        }
        (volume.claim.clone(), Ok(()))
    }

    /// A step for the group as a whole; whether to go on.
    async fn group_step(&self, snapshot: &Snapshot, action: &Action, asked: &mut Asked, acted: &mut Acted) -> bool {
        let result = match (action, &snapshot.order) {
            (Action::ClaimEpoch, Ok(order)) => {
                let claim = self.claim_epoch(&snapshot.key(), order, asked).await;
                let refused = matches!(claim, EpochClaim::Refused(_));
                asked.claim = Some(claim);
                return !refused;
            }
            (Action::PurgeStores { profiles }, _) => {
                // Also for an order that is not valid; but never as a writer that nobody recorded.
                asked.purged = Some(match Writer::recorded(&snapshot.vrg) {
                    Ok(writer) => self.stores.purge(&snapshot.key(), profiles, &writer).await,
                    Err(why) => profiles.iter().map(|profile| (profile.clone(), Err(why.to_string()))).collect(),
                });
                return true;
            }
            (Action::WithdrawClaim { profiles }, Ok(order)) => {
                asked.purged = Some(self.stores.withdraw(&snapshot.key(), profiles, &order.writer).await);
                return true;
            }
            (action, _) => self.step(snapshot, action).await,
        };
        match result {
            Ok(()) => {
                acted.released |= matches!(action, Action::ReleaseGroup { .. });
                true
            }
            Err(Obstacle::Overtaken) => {
                acted.again = true;
                false
            }
            Err(Obstacle::Failed(why)) => {
                acted.outcome.group = Some(why);
                false
            }
        }
    }

    async fn claim_epoch(&self, key: &ObjectKey, order: &Order, asked: &Asked) -> EpochClaim {
        // A store that did not answer a moment ago is not waited for again.
        let silent = |profile: &str| {
            asked
                .recovery
                .iter()
                .flatten()
                .any(|(name, read)| name == profile && matches!(read, super::snapshot::StoreRead::Unreadable(_)))
        };
        self.stores.claim(key, order, &silent).await
    }

    async fn step(&self, snapshot: &Snapshot, action: &Action) -> Step {
        let caches = &self.caches;
        let group = &snapshot.vrg;
        match action {
            Action::HoldGroup(id) => {
                let finalizers = with(group.metadata.finalizers.as_deref().unwrap_or_default(), names::VRG_FINALIZER);
                let body = pinned(id, json!({ "finalizers": finalizers }), None);
                self.patch(&self.groups(id), &caches.groups, id, body, "put the finalizer on").await
            }
            Action::ReleaseGroup { id, evidence: _ } => {
                let finalizers =
                    without(group.metadata.finalizers.as_deref().unwrap_or_default(), names::VRG_FINALIZER);
                let body = pinned(id, json!({ "finalizers": finalizers }), None);
                self.patch(&self.groups(id), &caches.groups, id, body, "take the finalizer off").await
            }
            // These are for the group's stores and handled there.
            Action::ClaimEpoch | Action::PurgeStores { .. } | Action::WithdrawClaim { .. } => Ok(()),
            Action::CreateVolume(volume) => self.create(&self.pvs(), &caches.volumes, volume).await,
            Action::AdoptVolume { id, volume } => {
                let mut volume = (**volume).clone();
                volume.metadata.resource_version = Some(id.resource_version.clone());
                let answer = self.pvs().replace(&id.key.name, &params(), &volume).await;
                caches.volumes.wrote(judged(answer, &format!("prepare PersistentVolume {}", id.key))?);
                Ok(())
            }
            Action::CreateClaim(claim) => {
                let api = Api::namespaced(self.client.clone(), claim.metadata.namespace.as_deref().unwrap_or_default());
                self.create(&api, &caches.claims, claim).await
            }
            Action::RetainVolume(id) => {
                let meta = json!({ "annotations": { names::VR_RETAINED: names::RETAINED } });
                let spec = json!({ "persistentVolumeReclaimPolicy": "Retain" });
                self.patch(&self.pvs(), &caches.volumes, id, pinned(id, meta, Some(spec)), "retain").await
            }
            Action::NoteDestination { id, handle } => {
                let meta =
                    json!({ "annotations": { names::DESTINATION_VOLUME_HANDLE: handle, names::VR_ARCHIVED: null } });
                self.patch(&self.pvs(), &caches.volumes, id, pinned(id, meta, None), "note the peer's handle on").await
            }
            Action::ProtectClaim { id, finalizers, labels, annotations } => {
                let finalizers = with(finalizers, names::PVC_VR_FINALIZER);
                let meta = json!({ "finalizers": finalizers, "labels": labels, "annotations": annotations });
                self.patch(&self.claims(id), &caches.claims, id, pinned(id, meta, None), "mark as protected").await
            }
            Action::StartReplication { claim, class, evidence: _ } => {
                let replication = new_replication(group, claim, class);
                let api = Api::namespaced(self.client.clone(), claim.namespace());
                self.create(&api, &caches.replications, &replication).await
            }
            Action::Promote { id, evidence: _ } => {
                let spec = json!({ "replicationState": "primary", "autoResync": false });
                self.patch(
                    &self.replications(id),
                    &caches.replications,
                    id,
                    pinned(id, json!({}), Some(spec)),
                    "promote",
                )
                .await
            }
            Action::AllowForce { id, generation, evidence: _ } => {
                let meta = json!({ "annotations": { ALLOW_FORCE: generation.to_string() } });
                self.patch(&self.replications(id), &caches.replications, id, pinned(id, meta, None), "allow force on")
                    .await
            }
            Action::Demote { id, auto_resync, evidence: _ } => {
                let spec = json!({ "replicationState": "secondary", "autoResync": auto_resync });
                self.patch(
                    &self.replications(id),
                    &caches.replications,
                    id,
                    pinned(id, json!({}), Some(spec)),
                    "demote",
                )
                .await
            }
            Action::SetAutoResync { id, auto_resync } => {
                let spec = json!({ "autoResync": auto_resync });
                self.patch(
                    &self.replications(id),
                    &caches.replications,
                    id,
                    pinned(id, json!({}), Some(spec)),
                    "set autoResync of",
                )
                .await
            }
            Action::UngroupClaim { id, evidence: _ } => {
                let meta = json!({ "labels": { names::CONSISTENCY_GROUP: null } });
                self.patch(&self.claims(id), &caches.claims, id, pinned(id, meta, None), "take the group's label off")
                    .await
            }
            Action::StopReplication { id, evidence: _ } => self.stop_replication(id).await,
            Action::ReleaseVolume { id, delete, taken_up, evidence: _ } => {
                let mut annotations = json!({ names::VR_ARCHIVED: null });
                if *taken_up {
                    annotations[names::RESTORED] = json!("True");
                }
                let spec = delete.then(|| {
                    annotations[names::VR_RETAINED] = Value::Null;
                    json!({ "persistentVolumeReclaimPolicy": "Delete" })
                });
                let body = pinned(id, json!({ "annotations": annotations }), spec);
                self.patch(&self.pvs(), &caches.volumes, id, body, "release").await
            }
            Action::ReleaseClaim { id, finalizers, evidence: _ } => {
                let meta = json!({
                    "finalizers": without(finalizers, names::PVC_VR_FINALIZER),
                    "labels": { names::OWNER_NAMESPACE: null, names::OWNER_NAME: null, names::CONSISTENCY_GROUP: null },
                    "annotations": {
                        names::VR_PROTECTED: null, names::VR_ARCHIVED: null,
                        owner::FULL_NAME: null, owner::FULL_NAMESPACE: null,
                    },
                });
                self.patch(&self.claims(id), &caches.claims, id, pinned(id, meta, None), "release").await
            }
            Action::MarkClaimStored { id, marker } => {
                let meta = json!({ "annotations": { names::VR_ARCHIVED: marker } });
                self.patch(&self.claims(id), &caches.claims, id, pinned(id, meta, None), "note as stored").await
            }
            Action::MarkVolumeStored { id, marker } => {
                let meta = json!({ "annotations": { names::VR_ARCHIVED: marker } });
                self.patch(&self.pvs(), &caches.volumes, id, pinned(id, meta, None), "note as stored").await
            }
        }
    }

    async fn stop_replication(&self, id: &ObjectId) -> Step {
        let preconditions =
            Preconditions { uid: Some(id.uid.clone()), resource_version: Some(id.resource_version.clone()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let answer = self.replications(id).delete(&id.key.name, &params).await;
        match answer.map(|answer| {
            answer.left().filter(|object| object.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty()))
        }) {
            Ok(Some(mut object)) => {
                if object.metadata.deletion_timestamp.is_none() {
                    // Some servers answer with the object as it was.
                    object.metadata.deletion_timestamp = Some(self.clock.time());
                }
                self.caches.replications.wrote(object);
                Ok(())
            }
            Ok(None) => {
                self.caches.replications.gone(id.key.clone(), &id.uid);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.caches.replications.gone(id.key.clone(), &id.uid);
                Ok(())
            }
            Err(error) => judged(Err(error), &format!("delete VolumeReplication {}", id.key)),
        }
    }

    async fn create<K>(&self, api: &Api<K>, kept: &Kept<K>, object: &K) -> Step
    where
        K: Resource<DynamicType = ()>
            + Clone
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let what = format!("create {} {}", K::kind(&()), ObjectKey::of(object));
        let answer = api.create(&params(), object).await;
        kept.created(judged(answer, &what)?);
        Ok(())
    }

    async fn patch<K>(&self, api: &Api<K>, kept: &Kept<K>, id: &ObjectId, body: Value, verb: &str) -> Step
    where
        K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    {
        let what = format!("{verb} {} {}", K::kind(&()), id.key);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&id.key.name, &params, &Patch::Merge(body)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                kept.gone(id.key.clone(), &id.uid);
                return Err(Obstacle::Overtaken);
            }
            answer => kept.wrote(judged(answer, &what)?),
        }
        Ok(())
    }

    fn groups(&self, id: &ObjectId) -> Api<VolumeReplicationGroup> {
        scoped(&self.client, id)
    }

    fn claims(&self, id: &ObjectId) -> Api<PersistentVolumeClaim> {
        scoped(&self.client, id)
    }

    fn replications(&self, id: &ObjectId) -> Api<VolumeReplication> {
        scoped(&self.client, id)
    }

    fn pvs(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }
}

fn scoped<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(client: &Client, id: &ObjectId) -> Api<K> {
    Api::namespaced(client.clone(), id.key.namespace())
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// A merge patch that only succeeds on the object and version that it was decided on.
fn pinned(id: &ObjectId, meta: Value, spec: Option<Value>) -> Value {
    let mut meta = meta;
    meta["uid"] = json!(id.uid);
    meta["resourceVersion"] = json!(id.resource_version);
    match spec {
        Some(spec) => json!({ "metadata": meta, "spec": spec }),
        None => json!({ "metadata": meta }),
    }
}

fn with(finalizers: &[String], ours: &str) -> Vec<String> {
    let mut all = without(finalizers, ours);
    all.push(ours.to_owned());
    all
}

fn without(finalizers: &[String], ours: &str) -> Vec<String> {
    finalizers.iter().filter(|finalizer| *finalizer != ours).cloned().collect()
}

/// 409 is a conflict or an object that is there already; 404 an object that has gone meanwhile: in each case what was
/// decided on is no longer so.
fn judged<T>(answer: Result<T, kube::Error>, what: &str) -> Result<T, Obstacle> {
    answer.map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 409 => {
            tracing::debug!(what, error = status.message, "overtaken");
            Obstacle::Overtaken
        }
        kube::Error::Api(status) => Obstacle::Failed(format!("cannot {what}: {}", status.message)),
        error => Obstacle::Failed(format!("cannot {what}: {error}")),
    })
}

/// The replication of a claim. It belongs to the group, unless that lives in another namespace: then only labels say so.
fn new_replication(group: &VolumeReplicationGroup, claim: &ObjectKey, class: &str) -> VolumeReplication {
    let key = ObjectKey::of(group);
    let mut labels = owner::labels(&key);
    labels.insert(names::CREATED_BY.to_owned(), "true".to_owned());
    let owned = key.namespace() == claim.namespace();
    let metadata = ObjectMeta {
        name: Some(claim.name.clone()),
        namespace: claim.namespace.clone(),
        labels: Some(labels),
        annotations: Some(owner::annotations(&key)).filter(|all| !all.is_empty()),
        owner_references: owned.then(|| group.controller_owner_ref(&()).into_iter().collect()),
        ..ObjectMeta::default()
    };
    let data_source =
        DataSource { kind: "PersistentVolumeClaim".to_owned(), name: claim.name.clone(), ..DataSource::default() };
    let spec = VolumeReplicationSpec {
        volume_replication_class: class.to_owned(),
        replication_state: DesiredState::Primary,
        data_source,
        ..VolumeReplicationSpec::default()
    };
    VolumeReplication { metadata, spec, status: None }
}
