//! The record on the cluster of what a work brought: its AppliedManifestWork.

use kaedama_shared::api::ocm::work::{
    APPLIED_WORK_FINALIZER, AppliedManifestWork, AppliedManifestWorkSpec, AppliedResource,
};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::super::runtime::{Attempt, Error};
use super::apply::Outcome;
use super::manifest::Manifest;
use super::{Agent, owner};

impl Agent {
    /// The AppliedManifestWork of a work, made where it is missing, with an eviction called off.
    pub(super) async fn applied_work(&self, work: &str) -> Result<AppliedManifestWork, Error> {
        let api = self.applied_api();
        let name = self.applied_name(work);
        let doing = || format!("making AppliedManifestWork {name}");
        let Some(found) = api.get_opt(&name).await.attempt(doing)? else {
            let mut new = AppliedManifestWork::new(
                &name,
                AppliedManifestWorkSpec {
                    hub_hash: self.hub_hash.clone(),
                    agent_id: self.options.agent_id.clone(),
                    manifest_work_name: work.to_owned(),
                },
            );
            new.metadata.finalizers = Some(vec![APPLIED_WORK_FINALIZER.into()]);
            return api.create(&PostParams::default(), &new).await.attempt(doing);
        };
        if found.metadata.deletion_timestamp.is_some() {
            return Err(Error::Object { doing: doing(), why: "an earlier one is still being removed".into() });
        }
        if found.status.as_ref().is_some_and(|status| status.eviction_start_time.is_some()) {
            let change = json!({"status": {"evictionStartTime": null}});
            let written = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
            return written.attempt(|| format!("calling off the eviction of {name}"));
        }
        Ok(found)
    }

    /// Records what was applied, and lets go of what was applied before and is not named any more. Tells whether
    /// nothing is left to let go of.
    pub(super) async fn record_and_prune(
        &self,
        applied: &AppliedManifestWork,
        outcomes: &[(Manifest, Outcome)],
    ) -> Result<bool, Error> {
        let before = applied.status.as_ref().map_or(&[][..], |status| &status.applied_resources);
        let mut record = Vec::new();
        for (manifest, outcome) in outcomes.iter().filter(|(manifest, _)| !manifest.options.read_only()) {
            let meta = &manifest.meta;
            let known = before.iter().find(|known| is(known, manifest));
            match outcome {
                Outcome::Applied { uid } => record.push(AppliedResource {
                    group: meta.group.clone(),
                    resource: meta.resource.clone(),
                    version: meta.version.clone(),
                    namespace: meta.namespace.clone(),
                    name: meta.name.clone(),
                    uid: uid.clone(),
                }),
                Outcome::Failed { .. } => record.extend(known.cloned()),
            }
        }
        let ours = owner::reference(applied);
        let mut settled = true;
        for gone in before.iter().filter(|known| !outcomes.iter().any(|(manifest, _)| is(known, manifest))) {
            if !owner::release(&self.spoke, gone, &ours, false).await? {
                settled = false;
                record.push(gone.clone());
            }
        }
        record.sort();
        if record != before {
            let name = applied.metadata.name.clone().unwrap_or_default();
            let change = json!({"status": {"appliedResources": record}});
            let written = self.applied_api().patch_status(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
            written.attempt(|| format!("recording what {name} applied"))?;
        }
        Ok(settled)
    }
}

/// A recorded resource is the object of a manifest.
fn is(resource: &AppliedResource, manifest: &Manifest) -> bool {
    let meta = &manifest.meta;
    // The kind of a manifest may be unknown at the moment; then its plural is, too, and group and name have to do:
    // an object must not be deleted because its CRD is missing for a while.
    resource.group == meta.group
        && (resource.resource == meta.resource || meta.resource.is_empty())
        && resource.namespace == meta.namespace
        && resource.name == meta.name
}
