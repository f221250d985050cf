//! The end of a work on its cluster.

use kaedama_shared::api::condition::{Condition, ConditionStatus, set};
use kaedama_shared::api::ocm::work::{
    APPLIED_WORK_FINALIZER, AppliedManifestWork, AppliedManifestWorkStatus, AppliedResource, DELETING, DeleteOption,
    ManifestWork, ResourceMeta, WORK_FINALIZER,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::super::runtime::{Attempt, Error, ObjectKey, Pass, is_not_found};
use super::manifest::orphaned;
use super::{Agent, lock, owner};

impl Agent {
    /// A work that is being deleted: its objects go first, then the record of them, then the work.
    pub(super) async fn remove(&self, work: &ManifestWork, name: &str) -> Result<Pass, Error> {
        let finalizers = work.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == WORK_FINALIZER) {
            return Ok(Pass::Done);
        }
        self.forget(name);
        let mut status = work.status.clone().unwrap_or_default();
        let generation = work.metadata.generation.unwrap_or_default();
        let deleting =
            Condition::new(DELETING, ConditionStatus::True, "WorkDeleting", "the work is being removed", generation);
        if set(&mut status.conditions, deleting, self.options.clock.now_seconds()) {
            self.write_status(name, &status).await?;
        }
        if !self.remove_applied(name, work.spec.delete_option.as_ref()).await? {
            return Ok(Pass::Pending);
        }
        let others: Vec<String> = finalizers.into_iter().filter(|finalizer| finalizer != WORK_FINALIZER).collect();
        // The work in the store may be older than the status just written; finalizers are changed against the hub's.
        let current = self.works_api().get_opt(name).await.attempt(|| format!("reading work {name}"))?;
        if let Some(current) = current {
            self.set_work_finalizers(&current, name, &others).await?;
        }
        Ok(Pass::Done)
    }

    /// A work that the hub does not know: what it brought is evicted after the grace period.
    pub(super) async fn missing(&self, name: &str) -> Result<Pass, Error> {
        self.forget(name);
        let applied_name = self.applied_name(name);
        let Some(applied) = self.applied.get(&ObjectKey::new("", &applied_name)) else { return Ok(Pass::Done) };
        // The watch may be behind: only the hub itself proves that there is no such work.
        if self.works_api().get_opt(name).await.attempt(|| format!("reading work {name}"))?.is_some() {
            return Ok(Pass::Pending);
        }
        let started = applied.status.as_ref().and_then(|status| status.eviction_start_time.clone());
        let Some(started) = started else {
            let change = json!({"status": {"evictionStartTime": self.options.clock.time()}});
            let api = self.applied_api();
            let written = api.patch_status(&applied_name, &PatchParams::default(), &Patch::Merge(&change)).await;
            written.attempt(|| format!("starting the eviction of {applied_name}"))?;
            return Ok(Pass::Again(self.options.eviction_grace));
        };
        let age = self.options.clock.now().duration_since(started.0).unsigned_abs();
        if age < self.options.eviction_grace {
            return Ok(Pass::Again(self.options.eviction_grace - age));
        }
        Ok(if self.remove_applied(name, None).await? { Pass::Done } else { Pass::Pending })
    }

    fn forget(&self, name: &str) {
        lock(&self.progress).remove(name);
        lock(&self.refresh).remove(name);
        lock(&self.disowned).remove(name);
        self.informers.set(name, &[]);
    }

    /// Lets go of everything that a work brought, and of the record. Tells whether nothing is left.
    async fn remove_applied(&self, work: &str, option: Option<&DeleteOption>) -> Result<bool, Error> {
        let api = self.applied_api();
        let name = self.applied_name(work);
        let doing = || format!("removing AppliedManifestWork {name}");
        let Some(applied) = api.get_opt(&name).await.attempt(doing)? else { return Ok(true) };
        let ours = owner::reference(&applied);
        let resources = applied.status.clone().map(|status: AppliedManifestWorkStatus| status.applied_resources);
        let mut settled = true;
        for resource in resources.into_iter().flatten() {
            let orphan = orphaned(&meta(&resource), option);
            settled &= owner::release(&self.spoke, &resource, &ours, orphan).await?;
        }
        if !settled {
            return Ok(false);
        }
        let change = json!({"metadata": {
            "resourceVersion": applied.metadata.resource_version,
            "finalizers": without_ours(&applied),
        }});
        match api.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await {
            Err(error) if is_not_found(&error) => return Ok(true),
            patched => patched.map(|_| ()).attempt(doing)?,
        }
        match api.delete(&name, &DeleteParams::default()).await {
            Err(error) if is_not_found(&error) => Ok(true),
            deleted => deleted.map(|_| true).attempt(doing),
        }
    }
}

fn without_ours(applied: &AppliedManifestWork) -> Vec<String> {
    let finalizers = applied.metadata.finalizers.iter().flatten();
    finalizers.filter(|finalizer| *finalizer != APPLIED_WORK_FINALIZER).cloned().collect()
}

fn meta(resource: &AppliedResource) -> ResourceMeta {
    ResourceMeta {
        group: resource.group.clone(),
        resource: resource.resource.clone(),
        namespace: resource.namespace.clone(),
        name: resource.name.clone(),
        ..ResourceMeta::default()
    }
}
