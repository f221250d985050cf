//! By which mechanism a claim is protected, and with which class.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_shared::api::PeerClass;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::names;
use kube::core::SelectorExt as _;

use crate::vrg::order::{Mode, Order};
use crate::vrg::plan::Verdict;
use crate::vrg::snapshot::{Classes, ReplicationClass, Volume};

/// How a claim is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism<'a> {
    /// A VolumeReplication of this class.
    Replication(&'a ReplicationClass),
    /// Storage that both clusters share: nothing is replicated.
    Shared,
}

/// Finds the mechanism.
///
/// # Errors
/// What the claim's DataReady says when there is none. Other claims go on.
pub fn classify<'a>(order: &Order, classes: &'a Classes, volume: &Volume) -> Result<Mechanism<'a>, Verdict> {
    let class = storage_class(classes, volume)?;
    match &order.mode {
        Mode::Sync { peers } => shared(peers, class).map(|()| Mechanism::Shared),
        Mode::Async { interval, peers, classes: wanted } => {
            let listed: Vec<&ReplicationClass> =
                classes.replication.iter().filter(|candidate| wanted.matches(&candidate.labels)).collect();
            if peers.is_empty() {
                by_provisioner(order, &listed, class)?;
            } else {
                by_peer(order, peers, &listed, class)?;
            }
            choose(&listed, class, interval, !peers.is_empty()).map(Mechanism::Replication)
        }
    }
}

/// The claim's storage class.
///
/// # Errors
/// As [`classify`].
pub fn storage_class<'a>(classes: &'a Classes, volume: &Volume) -> Result<&'a StorageClass, Verdict> {
    let name = volume.storage_class();
    if name.is_empty() {
        return Err(Verdict::no(reason::ERROR, "the claim names no StorageClass"));
    }
    let found = classes.storage.get(name).map(|class| &**class);
    found.ok_or_else(|| Verdict::waits(reason::ERROR, format!("waiting for StorageClass {name}, which does not exist")))
}

/// A label of a storage class.
#[must_use]
pub fn label<'a>(class: &'a StorageClass, key: &str) -> Option<&'a str> {
    let labels: Option<&BTreeMap<String, String>> = class.metadata.labels.as_ref();
    labels.and_then(|all| all.get(key)).map(String::as_str).filter(|value| !value.is_empty())
}

fn named(class: &StorageClass) -> &str {
    class.metadata.name.as_deref().unwrap_or_default()
}

/// The peer class of a storage class: the last one of that name, and it must know the class's storage.
fn peer<'a>(peers: &'a [PeerClass], class: &StorageClass) -> Result<&'a PeerClass, Verdict> {
    let name = named(class);
    let Some(storage) = label(class, names::STORAGE_ID) else {
        let text = format!("StorageClass {name} has no label {}", names::STORAGE_ID);
        return Err(Verdict::unknown(reason::STORAGE_ID_NOT_FOUND, text));
    };
    let Some(peer) = peers.iter().rfind(|peer| peer.storage_class_name == name) else {
        let text = format!("no peer class for StorageClass {name}: the other cluster has no storage paired with it");
        return Err(Verdict::unknown(reason::PEER_CLASS_NOT_FOUND, text));
    };
    if !peer.storage_id.iter().any(|id| id == storage) {
        let text = format!(
            "storage {storage} of StorageClass {name} is not one of its peer class ({})",
            peer.storage_id.join(", ")
        );
        return Err(Verdict::no(reason::ERROR, text));
    }
    Ok(peer)
}

fn shared(peers: &[PeerClass], class: &StorageClass) -> Result<(), Verdict> {
    if peers.is_empty() { Ok(()) } else { peer(peers, class).map(drop) }
}

fn volsync(why: &str) -> Verdict {
    Verdict::no(reason::ERROR, format!("VolSync protection is not built yet: this claim is not protected ({why})"))
}

/// Without peer classes any class of the same provisioner decides for VolumeReplication.
fn by_provisioner(order: &Order, listed: &[&ReplicationClass], class: &StorageClass) -> Result<(), Verdict> {
    if order.force_volsync {
        return Err(volsync("the VRG is annotated to use it"));
    }
    match listed.iter().any(|candidate| candidate.provisioner == class.provisioner) {
        true => Ok(()),
        false => Err(volsync(&format!("no VolumeReplicationClass of provisioner {}", class.provisioner))),
    }
}

fn by_peer(
    order: &Order,
    peers: &[PeerClass],
    listed: &[&ReplicationClass],
    class: &StorageClass,
) -> Result<(), Verdict> {
    let name = named(class);
    let peer = peer(peers, class)?;
    let offloaded = class.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(names::OFFLOADED));
    if offloaded || peer.offloaded {
        let text = format!(
            "replication of StorageClass {name} is offloaded to the storage, which is not built yet: this claim is not protected"
        );
        return Err(Verdict::no(reason::ERROR, text));
    }
    if order.force_volsync {
        return Err(volsync("the VRG is annotated to use it"));
    }
    if peer.replication_id.is_empty() {
        return Err(volsync(&format!("the peer class of StorageClass {name} has no replicationID")));
    }
    if peer.grouping {
        let text = format!(
            "consistency groups (VolumeGroupReplication) are not built yet, and the peer class of StorageClass {name} asks for one: this claim is not protected"
        );
        return Err(Verdict::no(reason::ERROR, text));
    }
    let storage = label(class, names::STORAGE_ID);
    let fits = |candidate: &&ReplicationClass| {
        candidate.provisioner == class.provisioner
            && candidate.labels.get(names::STORAGE_ID).map(String::as_str) == storage
            && candidate.labels.get(names::REPLICATION_ID) == Some(&peer.replication_id)
    };
    match listed.iter().any(fits) {
        true => Ok(()),
        false => Err(Verdict::waits(
            reason::ERROR,
            format!(
                "waiting for a VolumeReplicationClass with replicationID {} for StorageClass {name}",
                peer.replication_id
            ),
        )),
    }
}

/// Chooses the class: provisioner and schedule must be equal, with peer classes the identities as well. Of several,
/// exactly one must be marked as the default.
fn choose<'a>(
    listed: &[&'a ReplicationClass],
    class: &StorageClass,
    interval: &str,
    identities: bool,
) -> Result<&'a ReplicationClass, Verdict> {
    let same = |candidate: &ReplicationClass, key: &str| {
        candidate.labels.get(key).map(String::as_str).is_some_and(|value| label(class, key) == Some(value))
    };
    let fits = |candidate: &&&'a ReplicationClass| {
        candidate.provisioner == class.provisioner
            && candidate.parameters.get("schedulingInterval").map(String::as_str) == Some(interval)
            && (!identities || (same(candidate, names::STORAGE_ID) && same(candidate, names::REPLICATION_ID)))
    };
    let fitting: Vec<&'a ReplicationClass> = listed.iter().filter(fits).copied().collect();
    let described =
        || format!("StorageClass {}, provisioner {}, schedulingInterval {interval}", named(class), class.provisioner);
    match fitting.as_slice() {
        [] => Err(Verdict::waits(
            reason::ERROR,
            format!("waiting for a VolumeReplicationClass that fits {}", described()),
        )),
        [one] => Ok(one),
        several => {
            let defaults: Vec<&'a ReplicationClass> = several.iter().filter(|class| class.default).copied().collect();
            match defaults.as_slice() {
                [one] => Ok(one),
                _ => {
                    let names: Vec<&str> = several.iter().map(|class| class.name.as_str()).collect();
                    Err(Verdict::no(
                        reason::ERROR,
                        format!(
                            "{} VolumeReplicationClasses fit {} ({}), and {} of them are marked as default; exactly one must be",
                            several.len(),
                            described(),
                            names.join(", "),
                            defaults.len()
                        ),
                    ))
                }
            }
        }
    }
}
