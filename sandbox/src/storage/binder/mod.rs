//! Provisions, binds, protects and reclaims PersistentVolumes for one cluster.
//!
//! | file | what | stands for |
//! |---|---|---|
//! | `claim.rs` | one pass of a claim: bound or unbound | kube-controller-manager's persistentvolume-binder |
//! | `volume.rs` | one pass of a volume: phases, release, reclaim | persistentvolume-binder, external-provisioner |
//! | `matching.rs` | pure: which volume fits which claim | persistentvolume-binder |
//! | `bind.rs` | the four writes that bind a volume and a claim | persistentvolume-binder |
//! | `provision.rs` | a new volume for a claim | external-provisioner |
//! | `protection.rs` | the finalizers of claims and volumes in use | the two protection controllers |
//!
//! On a cluster whose own controller manager binds and protects, [`Settings::provisioner_only`] leaves only the
//! provisioner.

mod bind;
mod claim;
mod matching;
mod protection;
mod provision;
mod volume;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kaedama_shared::harness::{
    ObjectKey,
    cache::{Cache, Change},
    controller::Controller,
};
use tokio_util::sync::CancellationToken;

use super::{
    array::What,
    fabric::Driver,
    kit::{Cluster, News, annotation, has_finalizer, is_deleting, news, settings},
};

/// Annotation of a claim: it was bound completely once.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Annotation of a claim or volume: the binder chose the other side, not the user.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Annotation of a volume: the driver that made it, and that may delete it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Annotation of a claim: the driver that is asked to make its volume.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

/// Which parts run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bind claims and volumes, and set their phases.
    pub bind: bool,
    /// Set and remove the protection finalizers.
    pub protect: bool,
    /// How long to wait before something that the storage refused is tried again, unless a storage event comes first.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bind: true, protect: true, retry: Duration::from_secs(15) }
    }
}

impl Settings {
    /// For a cluster with a kube-controller-manager: only volumes are made and deleted.
    #[must_use]
    pub fn provisioner_only() -> Self {
        Self { bind: false, protect: false, ..Self::default() }
    }
}

/// What every pass needs.
struct Context {
    cluster: Cluster,
    driver: Driver,
    settings: Settings,
    claims: Cache<PersistentVolumeClaim>,
    /// Grouped by claim.
    volumes: Cache<PersistentVolume>,
    pods: Cache<Pod>,
    classes: Cache<StorageClass>,
}

/// Runs for one cluster and one driver until `stop` is cancelled or the future is dropped.
pub async fn run(cluster: Cluster, driver: Driver, binder: Settings, stop: CancellationToken) {
    let events = driver.fabric().subscribe();
    let context = Arc::new(Context {
        claims: cluster.cache("persistentvolumeclaims"),
        volumes: cluster.grouped_cache("persistentvolumes", |volume: &PersistentVolume| {
            claim_of(volume).iter().map(ObjectKey::to_string).collect()
        }),
        pods: cluster.cache("pods"),
        classes: cluster.cache("storageclasses"),
        settings: binder,
        cluster,
        driver,
    });
    let name = |what: &str| format!("{what} {}", context.cluster.name);

    let of_volume = |change: &Change<PersistentVolume>| change.latest().and_then(|volume| claim_of(volume));
    let of_class = {
        let context = context.clone();
        move |_: &Change<StorageClass>| pending(&context)
    };
    let claims = Controller::new(name("claim binder"))
        .settings(settings())
        .primary(&context.claims)
        .watches(&context.volumes, of_volume)
        .watches(&context.pods, |change| used_by(change.latest().map(|pod| &**pod)))
        .watches(&context.classes, of_class);

    let told = {
        let context = context.clone();
        news(events).flat_map(move |news| stream::iter(released(&context, &news)))
    };
    let volumes = Controller::new(name("volume binder"))
        .settings(settings())
        .primary(&context.volumes)
        .watches(&context.claims, {
            let context = context.clone();
            move |change| volumes_of(&context, change)
        })
        .keys(told);

    let (one, other) = (context.clone(), context.clone());
    futures::join!(
        claims.run(stop.clone(), move |key| claim::pass(one.clone(), key)),
        volumes.run(stop, move |key| volume::pass(other.clone(), key)),
    );
}

impl Context {
    /// Whether a claim and its volume are bound to each other and protected, by the caches. Nearly every change is to such
    /// a pair, and none of the controllers' business. What the caches show too late is told by the change that follows.
    fn at_rest(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
        let bound_to = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        let phases = (
            claim.status.as_ref().and_then(|status| status.phase.as_deref()),
            volume.status.as_ref().and_then(|status| status.phase.as_deref()),
        );
        let taken_by = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.as_deref());
        let protected = !self.settings.protect
            || has_finalizer(claim, protection::PVC_PROTECTION) && has_finalizer(volume, protection::PV_PROTECTION);
        bound_to.is_some()
            && bound_to == volume.metadata.name.as_deref()
            && taken_by == claim.metadata.uid.as_deref()
            && phases == (Some("Bound"), Some("Bound"))
            && annotation(claim, BIND_COMPLETED).is_some()
            && !is_deleting(claim)
            && !is_deleting(volume)
            && protected
    }

    /// The same, of the claim of this name.
    fn claim_at_rest(&self, key: &ObjectKey) -> bool {
        let Some(claim) = self.claims.get(key) else { return false };
        let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
        self.volumes.get(&ObjectKey::cluster(name)).is_some_and(|volume| self.at_rest(&claim, &volume))
    }

    /// The same, of the volume of this name.
    fn volume_at_rest(&self, key: &ObjectKey) -> bool {
        let Some(volume) = self.volumes.get(key) else { return false };
        let claim = claim_of(&volume).and_then(|key| self.claims.get(&key));
        claim.is_some_and(|claim| self.at_rest(&claim, &volume))
    }
}

/// The claim that a volume is bound to, or meant for.
fn claim_of(volume: &PersistentVolume) -> Option<ObjectKey> {
    let reference = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey::namespaced(reference.namespace.clone()?, reference.name.clone()?))
}

/// The claims that a pod mounts.
fn used_by(pod: Option<&Pod>) -> Vec<ObjectKey> {
    let Some(pod) = pod else { return Vec::new() };
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .map(|source| ObjectKey::namespaced(namespace.clone(), source.claim_name.clone()))
        .collect()
}

fn pending(context: &Context) -> Vec<ObjectKey> {
    let waiting = context.claims.filter(|claim| claim.spec.as_ref().is_none_or(|spec| spec.volume_name.is_none()));
    waiting.iter().map(|claim| ObjectKey::of(&**claim)).collect()
}

/// The volumes that a claim's change may concern: the one that it names, and those that name it.
fn volumes_of(context: &Context, change: &Change<PersistentVolumeClaim>) -> Vec<ObjectKey> {
    let named = change.latest().and_then(|claim| claim.spec.as_ref()?.volume_name.clone());
    let naming = context.volumes.grouped(&change.key.to_string());
    let mut keys: Vec<ObjectKey> = naming.iter().map(|volume| ObjectKey::of(&**volume)).collect();
    if let Some(named) = named.map(ObjectKey::cluster).filter(|key| !keys.contains(key)) {
        keys.push(named);
    }
    keys
}

/// Released volumes: the storage may take the deletion of one of them now. They are few, and a group's event does not
/// name its members, so every event that could matter is taken to concern all of them.
fn released(context: &Context, news: &News) -> Vec<ObjectKey> {
    let matters = match news {
        News::Everything => true,
        News::Event(event) => {
            matches!(event.what, What::Synced(_) | What::PeerPromoted | What::Link { .. } | What::Power { .. })
        }
    };
    if !matters {
        return Vec::new();
    }
    let released = |volume: &PersistentVolume| {
        volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released")
    };
    context.volumes.filter(released).iter().map(|volume| ObjectKey::of(&**volume)).collect()
}
