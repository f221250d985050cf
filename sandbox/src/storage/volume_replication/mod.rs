//! Controller of VolumeReplication, and of the groups above it, as csi-addons behaves, over the storage fabric.
//!
//! | file | what |
//! |---|---|
//! | `reconcile.rs` | one pass of a VolumeReplication: the order of work |
//! | `source.rs` | from a VolumeReplication to its class and to the unit on the storage |
//! | `states.rs` | primary, secondary, resync: which calls are made, and what follows from the answers |
//! | `report.rs` | pure: the conditions and messages of each outcome |
//! | `parameters.rs` | pure: class parameters |
//! | `release.rs` | deletion |
//! | `group/` | VolumeGroupReplication and its content |
//!
//! It departs from csi-addons where that only polls: storage events wake it, so `lastSyncTime` moves when a transfer
//! completes. A secondary that was seen in sync is not looked at again until its spec changes, as there.

mod group;
mod parameters;
mod reconcile;
mod release;
mod report;
mod source;
mod states;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kaedama_shared::{
    api::csiaddons::{
        VolumeGroupReplication, VolumeGroupReplicationContent, VolumeReplication, VolumeReplicationClass,
    },
    harness::{
        ObjectKey,
        cache::{Cache, Change},
        controller::Controller,
    },
};
use kube::Resource;
use tokio_util::sync::CancellationToken;

use super::{
    array::{Event, UnitId, What},
    fabric::Driver,
    kit::{Cluster, News, annotation, is_deleting, news, settings},
};

/// How long the controller waits before it looks again at what the storage refused.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After a demotion, before the storage is asked for the first time whether both sides agree. Storage events end
    /// this wait early.
    pub settle: Duration,
    /// After a refusal, unless a storage event comes first.
    pub retry: Duration,
}

impl Default for Timing {
    /// csi-addons' fixed 15 s for both.
    fn default() -> Self {
        Self { settle: Duration::from_secs(15), retry: Duration::from_secs(15) }
    }
}

/// What every pass needs.
struct Context {
    cluster: Cluster,
    driver: Driver,
    timing: Timing,
    classes: Cache<VolumeReplicationClass>,
    /// Which VolumeReplications speak for a unit on the storage.
    units: Mutex<BTreeMap<UnitId, BTreeSet<ObjectKey>>>,
}

impl Context {
    fn remember(&self, unit: &UnitId, key: &ObjectKey) {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.entry(unit.clone()).or_default().insert(key.clone());
    }

    fn forget(&self, key: &ObjectKey) {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
    }

    /// The VolumeReplications that a storage event may concern.
    fn concerned(&self, event: &Event) -> Vec<ObjectKey> {
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        match event.what {
            // These are what the passes themselves bring about.
            What::Promoted { .. } | What::Demoted | What::Enabled | What::Disabled | What::Members => Vec::new(),
            What::Created | What::Deleted { .. } | What::Fence { .. } | What::Discarded(_) => Vec::new(),
            What::Power { .. } => units.values().flatten().cloned().collect(),
            What::Synced(_) | What::PeerPromoted | What::SplitBrain | What::Link { .. } => {
                units.get(&event.unit).into_iter().flatten().cloned().collect()
            }
        }
    }
}

/// Runs the controllers of VolumeReplication, VolumeGroupReplication and VolumeGroupReplicationContent for one cluster
/// and one driver, until `stop` is cancelled or the future is dropped.
pub async fn run(cluster: Cluster, driver: Driver, timing: Timing, stop: CancellationToken) {
    let groups = group::run(cluster.clone(), driver.clone(), timing, stop.clone());
    futures::join!(volumes(cluster, driver, timing, stop), groups);
}

async fn volumes(cluster: Cluster, driver: Driver, timing: Timing, stop: CancellationToken) {
    // Subscribed before anything is read, so that nothing falls between.
    let events = driver.fabric().subscribe();
    let vrs: Cache<VolumeReplication> = cluster.cache("volumereplications");
    let classes: Cache<VolumeReplicationClass> = cluster.cache("volumereplicationclasses");
    let claims: Cache<PersistentVolumeClaim> = cluster.cache("persistentvolumeclaims");
    let groups: Cache<VolumeGroupReplication> = cluster.optional_cache("volumegroupreplications");
    let contents: Cache<VolumeGroupReplicationContent> = cluster.optional_cache("volumegroupreplicationcontents");
    let name = format!("volumereplication {}", cluster.name);
    let context = Arc::new(Context { cluster, driver, timing, classes: classes.clone(), units: Mutex::default() });

    let told = {
        let (context, vrs) = (context.clone(), vrs.clone());
        news(events).flat_map(move |news| {
            stream::iter(match news {
                News::Event(event) => context.concerned(&event),
                News::Everything => vrs.list().iter().map(|vr| ObjectKey::of(&**vr)).collect(),
            })
        })
    };
    Controller::new(name)
        .settings(settings())
        .watches(&vrs, |change| concerns_us(change).then(|| change.key.clone()))
        .watches(&classes, using(&vrs, |vr, class| vr.spec.volume_replication_class == class.name))
        .watches(&claims, {
            let of_claim = using_near(&vrs, |vr, claim| names(vr, claim, "PersistentVolumeClaim"));
            move |change| if binding_changed(change) { of_claim(change) } else { Vec::new() }
        })
        .watches(&groups, using_near(&vrs, |vr, group| names(vr, group, VolumeGroupReplication::KIND)))
        .watches(&contents, of_content(&vrs))
        .keys(told)
        .run(stop, move |key| reconcile::pass(context.clone(), key))
        .await;
}

/// Creation, deletion, a new spec, and consent to a forced promotion. What passes themselves write (status, marks) is
/// no reason for another pass: a refusal would be repeated at once.
fn concerns_us(change: &Change<VolumeReplication>) -> bool {
    let (Some(before), Some(after)) = (&change.before, change.after.present()) else { return true };
    let seen = |vr: &VolumeReplication| {
        let consent = annotation(vr, states::ALLOW_FORCE).map(str::to_owned);
        (vr.metadata.uid.clone(), vr.metadata.generation, is_deleting(vr), consent)
    };
    seen(before) != seen(after)
}

/// Whether a claim came, went, or was bound: its marks are what passes write.
fn binding_changed(change: &Change<PersistentVolumeClaim>) -> bool {
    let (Some(before), Some(after)) = (&change.before, change.after.present()) else { return true };
    let seen = |claim: &PersistentVolumeClaim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
        (claim.metadata.uid.clone(), phase, volume, is_deleting(claim))
    };
    seen(before) != seen(after)
}

/// Maps a change of some object to the VolumeReplications that use it.
fn using<O: Resource>(
    vrs: &Cache<VolumeReplication>,
    uses: impl Fn(&VolumeReplication, &ObjectKey) -> bool + Send + 'static,
) -> impl Fn(&Change<O>) -> Vec<ObjectKey> + Send + 'static {
    let vrs = vrs.clone();
    move |change| vrs.filter(|vr| uses(vr, &change.key)).iter().map(|vr| ObjectKey::of(&**vr)).collect()
}

/// The same, where both are in one namespace.
fn using_near<O: Resource>(
    vrs: &Cache<VolumeReplication>,
    uses: impl Fn(&VolumeReplication, &ObjectKey) -> bool + Send + 'static,
) -> impl Fn(&Change<O>) -> Vec<ObjectKey> + Send + 'static {
    let vrs = vrs.clone();
    move |change| {
        let using = vrs.within(change.key.namespace(), |vr| uses(vr, &change.key));
        using.iter().map(|vr| ObjectKey::of(&**vr)).collect()
    }
}

/// Maps a change of a group's content to the VolumeReplications of that group.
fn of_content(
    vrs: &Cache<VolumeReplication>,
) -> impl Fn(&Change<VolumeGroupReplicationContent>) -> Vec<ObjectKey> + Send + 'static {
    let vrs = vrs.clone();
    move |change| {
        let reference = change.latest().and_then(|content| content.spec.volume_group_replication_ref.clone());
        let Some(group) =
            reference.map(|r| ObjectKey::namespaced(r.namespace.unwrap_or_default(), r.name.unwrap_or_default()))
        else {
            return Vec::new();
        };
        let of_group = |vr: &VolumeReplication| names(vr, &group, VolumeGroupReplication::KIND);
        vrs.filter(of_group).iter().map(|vr| ObjectKey::of(&**vr)).collect()
    }
}

fn names(vr: &VolumeReplication, source: &ObjectKey, kind: &str) -> bool {
    vr.metadata.namespace == source.namespace
        && vr.spec.data_source.kind == kind
        && vr.spec.data_source.name == source.name
}
