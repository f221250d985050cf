//! Carries a plan out: in order, each write on the version that it was decided on, and no further after a failure.
//! `placement` holds what is written to the Placement and its decisions.

mod placement;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_shared::api::ocm::view::{ManagedClusterViewSpec, ViewScope};
use kaedama_shared::api::ocm::{ManagedClusterView, ManifestWork, Placement};
use kaedama_shared::api::{DRPlacementControl, DRPlacementControlStatus, VolumeReplicationGroup};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::caches::Caches;
use crate::{status_write, unlabelled, works};

use super::counters;
use super::plan::{Action, DrpcMarks};
use super::snapshot::{ObjectId, Snapshot};

/// Field manager of everything that the hub operator applies.
pub const FIELD_MANAGER: &str = "kaedama-hub";

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The object is not the one that the plan was decided on: look again.
    #[error("{what} changed meanwhile")]
    Stale {
        /// What was to be written.
        what: String,
    },
    /// The API server refused, or did not answer.
    #[error("cannot {what}: {source}")]
    Api {
        /// What was attempted.
        what: String,
        /// Its answer.
        #[source]
        source: kube::Error,
    },
    /// The object cannot be written as JSON.
    #[error("cannot write {what} as JSON: {source}")]
    Json {
        /// What was to be written.
        what: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
}

/// Writes for one DRPC.
pub struct Actor<'a> {
    /// Client of the hub.
    pub client: &'a Client,
    /// The caches; a work is rewritten from the copy that the plan was decided on.
    pub caches: &'a Caches,
    /// The snapshot that the plan was made from.
    pub s: &'a Snapshot,
}

impl Actor<'_> {
    /// Carries the actions out.
    pub async fn carry_out(&self, actions: &[Action]) -> Result<(), ActError> {
        for action in actions {
            self.one(action).await?;
        }
        Ok(())
    }

    fn drpc(&self) -> &DRPlacementControl {
        &self.s.drpc
    }

    fn name(&self) -> &str {
        self.s.drpc.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.s.drpc.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn one(&self, action: &Action) -> Result<(), ActError> {
        match action {
            Action::MarkDrpc(marks) => self.mark(marks).await,
            Action::ClaimPlacement(placement) => self.claim(placement).await,
            Action::EnsureNamespace { cluster, namespace } => self.namespace_work(cluster, namespace).await,
            Action::CreateVrgWork { cluster, question, vrg, permit } => {
                tracing::info!(
                    drpc = %ObjectKey::of(self.drpc()), cluster, state = %vrg.spec.replication_state, ?permit,
                    "creating the VolumeReplicationGroup"
                );
                match question {
                    Some(question) => self.update_vrg_work(cluster, question, vrg).await,
                    None => self.create_vrg_work(cluster, vrg).await,
                }
            }
            Action::UpdateVrgWork { cluster, work, vrg, permit } => {
                tracing::info!(
                    drpc = %ObjectKey::of(self.drpc()), cluster, state = %vrg.spec.replication_state, ?permit,
                    "rewriting the VolumeReplicationGroup"
                );
                self.update_vrg_work(cluster, work, vrg).await
            }
            Action::Decide { decision, placement, entries } => self.decide(decision.as_ref(), placement, entries).await,
            Action::Ask { cluster } => self.ask(cluster).await,
            Action::EnsureView { cluster } => self.view(cluster).await,
            Action::DeleteView { cluster, view } => self.delete::<ManagedClusterView>(cluster, view).await,
            Action::DeleteVrgWork { cluster, work } | Action::DeleteNamespaceWork { cluster, work } => {
                self.delete::<ManifestWork>(cluster, work).await
            }
            Action::ReleasePlacement(placement) => self.release_placement(placement).await,
            Action::ReleaseDrpc => self.release_drpc().await,
        }
    }

    /// One patch with everything that the DRPC carries, on its resourceVersion.
    async fn mark(&self, marks: &DrpcMarks) -> Result<(), ActError> {
        let metadata = &self.drpc().metadata;
        let mut annotations = BTreeMap::new();
        if let Some(namespace) = &marks.app_namespace {
            annotations.insert(names::APP_NAMESPACE, namespace.clone());
        }
        if let Some(record) = &marks.record {
            annotations.insert(names::ACTION_RECORD, record.to_annotation());
            if marks.counted {
                annotations.insert(names::DR_ACTION_COUNT, counters::after(self.drpc(), record));
            }
        }
        if let Some((cluster, action)) = &marks.last {
            annotations.insert(names::LAST_APP_DEPLOYMENT_CLUSTER, cluster.clone());
            annotations.insert(names::LAST_ACTION, action.clone());
        }
        let mut patch = json!({ "metadata": {
            "resourceVersion": metadata.resource_version,
            "annotations": annotations,
        }});
        if let Some(ownership) = &marks.ownership {
            let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
            if !finalizers.iter().any(|finalizer| finalizer == names::DRPC_FINALIZER) {
                finalizers.push(names::DRPC_FINALIZER.to_owned());
            }
            let mut owners = metadata.owner_references.clone().unwrap_or_default();
            // A Placement of the same name that is gone must not stand beside the one that is: there is one controller.
            owners.retain(|owner| {
                owner.uid != ownership.uid && !(owner.kind == Placement::KIND && owner.name == ownership.placement)
            });
            owners.push(OwnerReference {
                api_version: Placement::API_VERSION.to_owned(),
                kind: Placement::KIND.to_owned(),
                name: ownership.placement.clone(),
                uid: ownership.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            });
            patch["metadata"]["finalizers"] = json!(finalizers);
            patch["metadata"]["ownerReferences"] = json!(owners);
            patch["metadata"]["labels"] = json!({ names::BACKUP: names::BACKUP_VALUE });
        }
        let api: Api<DRPlacementControl> = self.api(self.namespace());
        let written = api.patch(self.name(), &patch_params(), &Patch::Merge(&patch)).await;
        let written = checked(written, || format!("mark DRPlacementControl {}/{}", self.namespace(), self.name()))?;
        self.caches.drpcs.note_written(written);
        Ok(())
    }

    async fn namespace_work(&self, cluster: &str, namespace: &str) -> Result<(), ActError> {
        let manifest = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.to_owned()),
                annotations: Some(self.identity()),
                ..Default::default()
            },
            ..Default::default()
        };
        let work =
            works::namespace(&names::namespace_work(self.name(), namespace), cluster, &manifest, self.identity());
        self.create_work(cluster, work).await
    }

    async fn create_vrg_work(&self, cluster: &str, vrg: &VolumeReplicationGroup) -> Result<(), ActError> {
        let name = names::vrg_work(self.name(), &self.s.vrg_namespace);
        let work = works::vrg(&name, cluster, vrg, self.identity())
            .map_err(|source| ActError::Json { what: format!("ManifestWork {cluster}/{name}"), source })?;
        self.create_work(cluster, work).await
    }

    /// Older releases of Open Cluster Management know no works that only read; there a view has to do.
    async fn ask(&self, cluster: &str) -> Result<(), ActError> {
        let name = names::vrg_work(self.name(), &self.s.vrg_namespace);
        let mut vrg = VolumeReplicationGroup::new(self.name(), Default::default());
        vrg.metadata.namespace = Some(self.s.vrg_namespace.clone());
        let question = works::question(&name, cluster, &vrg, self.identity());
        match self.create_work(cluster, question).await {
            Err(ActError::Api { source: kube::Error::Api(status), .. }) if status.code == 422 => {
                self.view(cluster).await
            }
            answer => self.tolerate_nobody(cluster, answer),
        }
    }

    /// A cluster's namespace goes with it: there is nobody to ask then, which what waits for the answer goes on saying.
    fn tolerate_nobody(&self, cluster: &str, answer: Result<(), ActError>) -> Result<(), ActError> {
        match answer {
            Err(ActError::Api { source: kube::Error::Api(status), .. })
                if status.code == 404 || has_cause(&status, "NamespaceTerminating") =>
            {
                tracing::warn!(drpc = %ObjectKey::of(self.drpc()), cluster, why = status.message, "nobody can be asked");
                Ok(())
            }
            answer => answer,
        }
    }

    async fn create_work(&self, cluster: &str, work: ManifestWork) -> Result<(), ActError> {
        let api: Api<ManifestWork> = self.api(cluster);
        let name = work.metadata.name.clone().unwrap_or_default();
        let written = api.create(&post_params(), &work).await;
        if unlabelled::is_taken(&written) {
            let labelled = unlabelled::label_work(self.client, cluster, &work).await;
            checked(labelled, || format!("label ManifestWork {cluster}/{name}"))?;
        }
        self.caches.works.note_written(checked(written, || format!("create ManifestWork {cluster}/{name}"))?);
        Ok(())
    }

    async fn update_vrg_work(
        &self,
        cluster: &str,
        id: &ObjectId,
        vrg: &VolumeReplicationGroup,
    ) -> Result<(), ActError> {
        let key = ObjectKey::namespaced(cluster, id.name.clone());
        let stale = || ActError::Stale { what: format!("ManifestWork {key}") };
        let current = self.caches.works.get(&key).ok_or_else(stale)?;
        if current.metadata.resource_version.as_deref() != Some(&id.resource_version) {
            return Err(stale());
        }
        let work = works::with_vrg(&current, vrg)
            .map_err(|source| ActError::Json { what: format!("ManifestWork {key}"), source })?;
        let api: Api<ManifestWork> = self.api(cluster);
        let written = api.replace(&id.name, &post_params(), &work).await;
        self.caches.works.note_written(checked(written, || format!("rewrite ManifestWork {key}"))?);
        Ok(())
    }

    async fn view(&self, cluster: &str) -> Result<(), ActError> {
        if !self.caches.views.freshness().served {
            // Plain Open Cluster Management has no views; what waits for the answer says that nobody was asked.
            tracing::warn!(drpc = %ObjectKey::of(self.drpc()), cluster, "ManagedClusterView is not installed on this hub");
            return Ok(());
        }
        let name = names::view(self.name(), &self.s.vrg_namespace, "vrg");
        let view = ManagedClusterView {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(cluster.to_owned()),
                labels: Some([(names::CREATED_BY.to_owned(), "true".to_owned())].into()),
                annotations: Some(self.identity()),
                ..Default::default()
            },
            spec: ManagedClusterViewSpec {
                scope: ViewScope {
                    api_group: names::GROUP.to_owned(),
                    version: names::VERSION.to_owned(),
                    kind: "VolumeReplicationGroup".to_owned(),
                    name: self.name().to_owned(),
                    namespace: self.s.vrg_namespace.clone(),
                    update_interval_seconds: Some(5),
                    ..Default::default()
                },
            },
            status: None,
        };
        let api: Api<ManagedClusterView> = self.api(cluster);
        let written = api.create(&post_params(), &view).await;
        if unlabelled::is_taken(&written) {
            let removed = unlabelled::remove_view(&api, &view).await;
            checked(removed, || format!("remove ManagedClusterView {cluster}/{name}"))?;
        }
        let written = checked(written, || format!("create ManagedClusterView {cluster}/{name}"));
        self.tolerate_nobody(cluster, written.map(|view| self.caches.views.note_written(view)))
    }

    async fn delete<K>(&self, namespace: &str, id: &ObjectId) -> Result<(), ActError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(id.uid.clone()),
                resource_version: Some(id.resource_version.clone()),
            }),
            ..Default::default()
        };
        let kind = K::kind(&());
        tracing::info!(drpc = %ObjectKey::of(self.drpc()), %kind, namespace, name = id.name, "deleting");
        match self.api::<K>(namespace).delete(&id.name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => checked(answer, || format!("delete {kind} {namespace}/{}", id.name)).map(|_| ()),
        }
    }

    async fn release_drpc(&self) -> Result<(), ActError> {
        let metadata = &self.drpc().metadata;
        let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != names::DRPC_FINALIZER);
        let patch = json!({ "metadata": { "resourceVersion": metadata.resource_version, "finalizers": finalizers } });
        let api: Api<DRPlacementControl> = self.api(self.namespace());
        match api.patch(self.name(), &patch_params(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => checked(answer, || format!("release DRPlacementControl {}/{}", self.namespace(), self.name()))
                .map(|_| ()),
        }
    }

    /// Writes the status, by server-side apply.
    pub async fn status(&self, status: &DRPlacementControlStatus) -> Result<(), ActError> {
        let api: Api<DRPlacementControl> = self.api(self.namespace());
        let written = status_write::write(&api, self.drpc(), status).await;
        let what = || format!("write the status of DRPlacementControl {}/{}", self.namespace(), self.name());
        self.caches.drpcs.note_written(checked(written, what)?);
        Ok(())
    }

    /// Annotations by which works and views are mapped back.
    fn identity(&self) -> BTreeMap<String, String> {
        [(names::DRPC_NAME, self.name()), (names::DRPC_NAMESPACE, self.namespace())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }
}

/// Whether a refusal names this as a cause.
fn has_cause(status: &kube::core::Status, cause: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|found| found.reason == cause)
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() }
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() }
}

/// 409 is "look again": the object exists already, or is not the version that was decided on.
fn checked<T>(answer: Result<T, kube::Error>, what: impl Fn() -> String) -> Result<T, ActError> {
    answer.map_err(|source| match source {
        kube::Error::Api(status) if status.code == 409 => ActError::Stale { what: what() },
        source => ActError::Api { what: what(), source },
    })
}
