//! Controllers of VolumeGroupReplication and of its content.
//!
//! | file | what |
//! |---|---|
//! | `members.rs` | which claims belong to a group, and how they are marked |
//! | `reconcile.rs` | one pass of a VolumeGroupReplication: its content, its VolumeReplication, its status |
//! | `content.rs` | one pass of a content: the group on the storage |

mod content;
mod members;
mod reconcile;

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kaedama_shared::{
    api::csiaddons::{
        VGR_NAME_ANNOTATION, VGR_REF_ANNOTATION, VolumeGroupReplication, VolumeGroupReplicationClass,
        VolumeGroupReplicationContent, VolumeReplication,
    },
    harness::{
        ObjectKey,
        cache::{Cache, Change},
        controller::Controller,
    },
};
use kube::Resource;
use tokio_util::sync::CancellationToken;

use super::Timing;
use crate::storage::{
    fabric::Driver,
    kit::{Cluster, annotation, settings},
};

/// What every pass needs.
struct Context {
    cluster: Cluster,
    driver: Driver,
    timing: Timing,
}

pub(super) async fn run(cluster: Cluster, driver: Driver, timing: Timing, stop: CancellationToken) {
    let groups: Cache<VolumeGroupReplication> = cluster.optional_cache("volumegroupreplications");
    let classes: Cache<VolumeGroupReplicationClass> = cluster.optional_cache("volumegroupreplicationclasses");
    let contents: Cache<VolumeGroupReplicationContent> = cluster.optional_cache("volumegroupreplicationcontents");
    let vrs: Cache<VolumeReplication> = cluster.optional_cache("volumereplications of groups");
    let claims: Cache<PersistentVolumeClaim> = cluster.cache("persistentvolumeclaims of groups");
    let names = ["volumegroupreplication", "volumegroupreplicationcontent"];
    let [group_name, content_name] = names.map(|name| format!("{name} {}", cluster.name));
    let context = Arc::new(Context { cluster, driver, timing });

    let of_class = {
        let groups = groups.clone();
        move |change: &Change<VolumeGroupReplicationClass>| {
            let class = change.key.name.clone();
            keys(groups.filter(|group| group.spec.volume_group_replication_class_name == class))
        }
    };
    let of_claim = {
        let groups = groups.clone();
        move |change: &Change<PersistentVolumeClaim>| {
            let namespace = change.key.namespace.clone();
            // Every group of the namespace: a claim may have left the one and joined the other.
            keys(groups.filter(|group| group.metadata.namespace == namespace))
        }
    };
    let group_controller = Controller::new(group_name)
        .settings(settings())
        .primary(&groups)
        .watches(&classes, of_class)
        .watches(&claims, of_claim)
        .watches(&contents, |change| change.latest().and_then(|content| referred(&**content)))
        .watches(&vrs, |change| change.latest().and_then(|vr| referred(&**vr)));
    let content_controller = Controller::new(content_name)
        .settings(settings())
        .primary(&contents)
        .watches(&groups, |change| {
            let content = change.latest().map(|group| group.spec.volume_group_replication_content_name.clone());
            content.filter(|name| !name.is_empty()).map(ObjectKey::cluster)
        })
        .watches(&claims, {
            let groups = groups.clone();
            // A claim that is bound gives its volume a place in the content's lists.
            move |change| {
                let owner =
                    change.latest().and_then(|claim| annotation(&**claim, VGR_NAME_ANNOTATION).map(str::to_owned));
                let key = owner.map(|owner| ObjectKey::namespaced(change.key.namespace(), owner));
                let group = key.and_then(|key| groups.get(&key));
                let content = group.map(|group| group.spec.volume_group_replication_content_name.clone());
                content.filter(|name| !name.is_empty()).map(ObjectKey::cluster)
            }
        });
    let for_content = context.clone();
    futures::join!(
        group_controller.run(stop.clone(), move |key| reconcile::pass(context.clone(), key)),
        content_controller.run(stop, move |key| content::pass(for_content.clone(), key)),
    );
}

fn keys(groups: Vec<Arc<VolumeGroupReplication>>) -> Vec<ObjectKey> {
    groups.iter().map(|group| ObjectKey::of(&**group)).collect()
}

/// The group that an object of it names in its annotation.
fn referred<K: Resource>(object: &K) -> Option<ObjectKey> {
    let (namespace, name) = annotation(object, VGR_REF_ANNOTATION)?.split_once('/')?;
    Some(ObjectKey::namespaced(namespace, name))
}
