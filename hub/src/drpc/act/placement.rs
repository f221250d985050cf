//! Writes to the user's Placement, and to the decisions in its name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_shared::api::ocm::placement::{Decision as OcmDecision, PlacementDecisionStatus};
use kaedama_shared::api::ocm::{Placement, PlacementDecision};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ObjectMeta};

use super::{ActError, Actor, checked, post_params};
use crate::drpc::snapshot::{Decision, ObjectId};

/// How many names are tried for a PlacementDecision.
const DECISION_NAMES: u32 = 5;

impl Actor<'_> {
    pub(super) async fn claim(&self, placement: &ObjectId) -> Result<(), ActError> {
        let Some(current) = self.s.placement.present() else { return Ok(()) };
        let mut finalizers = current.finalizers.clone();
        if !finalizers.iter().any(|finalizer| finalizer == names::DRPC_FINALIZER) {
            finalizers.push(names::DRPC_FINALIZER.to_owned());
        }
        let mut claimed = self.placement(placement)?;
        claimed.metadata.finalizers = Some(finalizers);
        let annotations = claimed.metadata.annotations.get_or_insert_default();
        annotations.insert(names::DRPC_NAME.to_owned(), self.name().to_owned());
        annotations.insert(names::DRPC_NAMESPACE.to_owned(), self.namespace().to_owned());
        self.put_placement(claimed).await
    }

    pub(super) async fn release_placement(&self, placement: &ObjectId) -> Result<(), ActError> {
        let mut released = self.placement(placement)?;
        if let Some(finalizers) = &mut released.metadata.finalizers {
            finalizers.retain(|finalizer| finalizer != names::DRPC_FINALIZER);
        }
        if let Some(annotations) = &mut released.metadata.annotations {
            annotations.remove(names::DRPC_NAME);
            annotations.remove(names::DRPC_NAMESPACE);
        }
        self.put_placement(released).await
    }

    /// The Placement that the plan was decided on, and no other version of it.
    fn placement(&self, id: &ObjectId) -> Result<Placement, ActError> {
        let found = self.caches.placements.get(&ObjectKey::namespaced(self.namespace(), id.name.clone()));
        found
            .filter(|placement| placement.metadata.resource_version.as_deref() == Some(&id.resource_version))
            .map(|placement| placement.as_ref().clone())
            .ok_or_else(|| ActError::Stale { what: format!("Placement {}", id.name) })
    }

    /// Annotations and finalizers only. RamenDR's role on the hub may update Placements and not patch them, so the whole
    /// of it is read, with the fields that are not modelled here, and written back on the resourceVersion.
    async fn put_placement(&self, placement: Placement) -> Result<(), ActError> {
        let name = placement.metadata.name.clone().unwrap_or_default();
        let resource = ApiResource::erase::<Placement>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace(), &resource);
        let mut whole = checked(api.get(&name).await, || format!("read Placement {name}"))?;
        if whole.metadata.resource_version != placement.metadata.resource_version {
            return Err(ActError::Stale { what: format!("Placement {name}") });
        }
        whole.metadata.annotations = placement.metadata.annotations;
        whole.metadata.finalizers = placement.metadata.finalizers;
        let written = api.replace(&name, &post_params(), &whole).await;
        let written = checked(written, || format!("write Placement {name}"))?;
        // Otherwise it is read through the watch.
        if let Ok(written) = written.try_parse() {
            self.caches.placements.note_written(written);
        }
        Ok(())
    }

    pub(super) async fn decide(
        &self,
        decision: Option<&ObjectId>,
        placement: &ObjectId,
        entries: &[Decision],
    ) -> Result<(), ActError> {
        let api: Api<PlacementDecision> = self.api(self.namespace());
        let mut object = match decision {
            Some(id) => {
                let key = ObjectKey::namespaced(self.namespace(), id.name.clone());
                let stale = || ActError::Stale { what: format!("PlacementDecision {key}") };
                let current = self.caches.decisions.get(&key).ok_or_else(stale)?;
                if current.metadata.resource_version.as_deref() != Some(&id.resource_version) {
                    return Err(stale());
                }
                current.as_ref().clone()
            }
            None => self.create_decision(&api, placement).await?,
        };
        tracing::info!(drpc = %ObjectKey::of(self.drpc()), ?entries, "deciding the placement");
        object.status = Some(PlacementDecisionStatus {
            decisions: entries.iter().map(|entry| OcmDecision::new(&entry.cluster, &entry.reason)).collect(),
        });
        let name = object.metadata.name.clone().unwrap_or_default();
        let written = api.replace_status(&name, &post_params(), &object).await;
        self.caches.decisions.note_written(checked(written, || format!("write PlacementDecision {name}"))?);
        Ok(())
    }

    /// The name is the first of `<placement>-decision-<n>` that is not somebody else's. One of ours that the cache has not
    /// seen yet is never doubled: two objects would leave nobody knowing where the application lives (rule S25).
    async fn create_decision(
        &self,
        api: &Api<PlacementDecision>,
        placement: &ObjectId,
    ) -> Result<PlacementDecision, ActError> {
        let what = || format!("create the PlacementDecision of {}", placement.name);
        for n in 1..=DECISION_NAMES {
            match api.create(&post_params(), &self.new_decision(placement, n)).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let name = names::placement_decision(&placement.name, n);
                    let found = checked(api.get_opt(&name).await, what)?;
                    let labels = found.and_then(|found| found.metadata.labels).unwrap_or_default();
                    if labels.get(names::PLACEMENT) == Some(&placement.name) {
                        break;
                    }
                }
                answer => return checked(answer, what),
            }
        }
        Err(ActError::Stale { what: what() })
    }

    fn new_decision(&self, placement: &ObjectId, n: u32) -> PlacementDecision {
        let labels = [
            (names::PLACEMENT, placement.name.as_str()),
            (names::EXCLUDE_FROM_BACKUP, "true"),
            (names::CREATED_BY, "true"),
        ];
        PlacementDecision {
            metadata: ObjectMeta {
                name: Some(names::placement_decision(&placement.name, n)),
                namespace: Some(self.namespace().to_owned()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                owner_references: Some(vec![OwnerReference {
                    api_version: Placement::API_VERSION.to_owned(),
                    kind: Placement::KIND.to_owned(),
                    name: placement.name.clone(),
                    uid: placement.uid.clone(),
                    controller: Some(true),
                    block_owner_deletion: Some(true),
                }]),
                ..Default::default()
            },
            ..Default::default()
        }
    }
}
