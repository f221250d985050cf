//! Peer classes: which storage classes of two clusters belong together, and by which mechanism they are replicated.

use std::collections::BTreeSet;

use kaedama_shared::api::PeerClass;
use kaedama_shared::names;
use kaedama_shared::report::{ClassFacts, ClusterReport};

/// A cluster with its identity and what it reports.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Claim `id.k8s.io` of the ManagedCluster.
    pub cluster_id: &'a str,
    /// Its classes.
    pub report: &'a ClusterReport,
}

/// The peer classes of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Backed by the same storage.
    pub sync: Vec<PeerClass>,
    /// Replicated by schedule.
    pub asynchronous: Vec<PeerClass>,
}

/// Pairs the classes of two clusters. `interval` is the policy's, empty for none.
pub fn pair(a: Side<'_>, b: Side<'_>, interval: &str) -> Peers {
    let mut peers = Peers::default();
    for class in &a.report.storage_classes {
        let Some(twin) = b.report.storage_classes.iter().find(|twin| twin.name == class.name) else { continue };
        let (Some(left), Some(right)) = (storage_id(class), storage_id(twin)) else { continue };
        let base = PeerClass {
            storage_class_name: class.name.clone(),
            cluster_ids: vec![a.cluster_id.to_owned(), b.cluster_id.to_owned()],
            ..Default::default()
        };
        if left == right {
            peers.sync.push(PeerClass { storage_id: vec![left.to_owned()], ..base });
        } else if !interval.is_empty() {
            let storage_id = vec![left.to_owned(), right.to_owned()];
            peers.asynchronous.extend(asynchronous(a, b, class, twin, interval, PeerClass { storage_id, ..base }));
        }
    }
    peers
}

/// By which mechanism a pair of classes on different storage is replicated, if by any.
fn asynchronous(
    a: Side<'_>,
    b: Side<'_>,
    class: &ClassFacts,
    twin: &ClassFacts,
    interval: &str,
    base: PeerClass,
) -> Option<PeerClass> {
    let offloaded = class.labels.contains_key(names::OFFLOADED);
    if offloaded != twin.labels.contains_key(names::OFFLOADED) {
        return None;
    }
    let group = common_id(
        (&a.report.volume_group_replication_classes, class),
        (&b.report.volume_group_replication_classes, twin),
        names::GROUP_REPLICATION_ID,
        interval,
        class.labels.get(names::GROUP_REPLICATION_ID).map(String::as_str),
    );
    if offloaded {
        let group = group?;
        return Some(PeerClass {
            grouping: true,
            offloaded: true,
            global: group.global,
            group_replication_id: group.id,
            ..base
        });
    }
    let replication = common_id(
        (&a.report.volume_replication_classes, class),
        (&b.report.volume_replication_classes, twin),
        names::REPLICATION_ID,
        interval,
        None,
    );
    if let Some(replication) = replication {
        return Some(PeerClass {
            replication_id: replication.id,
            grouping: group.is_some(),
            group_replication_id: group.map(|group| group.id).unwrap_or_default(),
            ..base
        });
    }
    let snapshots = |of: fn(&ClusterReport) -> &Vec<ClassFacts>| {
        let fits = |report: &ClusterReport, class: &ClassFacts| {
            of(report).iter().any(|snapshot| same_storage(snapshot, class))
        };
        fits(a.report, class) && fits(b.report, twin)
    };
    if snapshots(|report| &report.volume_group_snapshot_classes) {
        return Some(PeerClass { grouping: true, ..base });
    }
    snapshots(|report| &report.volume_snapshot_classes).then_some(base)
}

struct CommonId {
    id: String,
    global: bool,
}

/// An identity that a replication class on each side carries, both for the storage and the interval at hand.
fn common_id(
    (left, class): (&[ClassFacts], &ClassFacts),
    (right, twin): (&[ClassFacts], &ClassFacts),
    label: &str,
    interval: &str,
    wanted: Option<&str>,
) -> Option<CommonId> {
    let candidates = |classes: &[ClassFacts], of: &ClassFacts| -> BTreeSet<(String, bool)> {
        classes
            .iter()
            .filter(|replication| same_storage(replication, of) && replication.scheduling_interval == interval)
            .filter_map(|replication| {
                let global = replication.labels.get(names::GLOBAL).is_some_and(|value| value == "true");
                Some((replication.labels.get(label)?.clone(), global))
            })
            .filter(|(id, _)| wanted.is_none_or(|wanted| wanted == id))
            .collect()
    };
    let (left, right) = (candidates(left, class), candidates(right, twin));
    let id = left.iter().map(|(id, _)| id).find(|id| right.iter().any(|(other, _)| other == *id))?.clone();
    let global = left.contains(&(id.clone(), true)) && right.contains(&(id.clone(), true));
    Some(CommonId { id, global })
}

fn same_storage(class: &ClassFacts, storage: &ClassFacts) -> bool {
    class.provisioner == storage.provisioner && storage_id(class).is_some() && storage_id(class) == storage_id(storage)
}

fn storage_id(class: &ClassFacts) -> Option<&str> {
    class.labels.get(names::STORAGE_ID).map(String::as_str).filter(|id| !id.is_empty())
}

/// The stored list brought up to date: entries keep their place, refreshed; what is gone is removed, what is new comes
/// last.
pub fn merge(stored: &[PeerClass], computed: Vec<PeerClass>) -> Vec<PeerClass> {
    let same = |a: &PeerClass, b: &PeerClass| {
        let ids = |class: &PeerClass| class.cluster_ids.iter().cloned().collect::<BTreeSet<_>>();
        let groups_agree = a.group_replication_id.is_empty()
            || b.group_replication_id.is_empty()
            || a.group_replication_id == b.group_replication_id;
        a.storage_class_name == b.storage_class_name && ids(a) == ids(b) && groups_agree
    };
    let mut rest = computed;
    let mut merged = Vec::new();
    for old in stored {
        if let Some(at) = rest.iter().position(|new| same(old, new)) {
            merged.push(rest.remove(at));
        }
    }
    merged.extend(rest);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, labels: &[(&str, &str)], interval: &str) -> ClassFacts {
        ClassFacts {
            name: name.into(),
            provisioner: "csi.example".into(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            scheduling_interval: interval.into(),
        }
    }

    fn report(storage: &str, replication: &[(&str, &str)]) -> ClusterReport {
        ClusterReport {
            storage_classes: vec![class("block", &[(names::STORAGE_ID, storage)], "")],
            volume_replication_classes: replication
                .iter()
                .map(|(id, interval)| {
                    class("vrc", &[(names::STORAGE_ID, storage), (names::REPLICATION_ID, id)], interval)
                })
                .collect(),
            ..Default::default()
        }
    }

    fn paired(a: &ClusterReport, b: &ClusterReport, interval: &str) -> Peers {
        pair(Side { cluster_id: "A", report: a }, Side { cluster_id: "B", report: b }, interval)
    }

    #[test]
    fn one_storage_is_a_sync_peer_whatever_the_interval() {
        let peers = paired(&report("s", &[]), &report("s", &[]), "5m");
        assert_eq!(peers.sync[0].storage_id, ["s"]);
        assert_eq!(peers.sync[0].cluster_ids, ["A", "B"]);
        assert!(peers.asynchronous.is_empty());
    }

    #[test]
    fn two_storages_need_a_replication_class_of_the_interval_on_both_sides() {
        let (a, b) = (report("s1", &[("r", "5m")]), report("s2", &[("r", "5m")]));
        assert_eq!(paired(&a, &b, "5m").asynchronous[0].replication_id, "r");
        assert!(paired(&a, &b, "10m").asynchronous.is_empty());
        assert!(paired(&a, &b, "").asynchronous.is_empty());
        let other = report("s2", &[("q", "5m")]);
        assert!(paired(&a, &other, "5m").asynchronous.is_empty());
    }

    #[test]
    fn snapshots_pair_without_a_replication_id() {
        let (mut a, mut b) = (report("s1", &[]), report("s2", &[]));
        a.volume_snapshot_classes = vec![class("vsc", &[(names::STORAGE_ID, "s1")], "")];
        assert!(paired(&a, &b, "5m").asynchronous.is_empty());
        b.volume_snapshot_classes = vec![class("vsc", &[(names::STORAGE_ID, "s2")], "")];
        let peer = &paired(&a, &b, "5m").asynchronous[0];
        assert!(peer.replication_id.is_empty() && !peer.grouping);
    }

    #[test]
    fn an_offloaded_class_needs_both_sides_and_a_group() {
        let offload = |report: &mut ClusterReport| {
            report.storage_classes[0].labels.insert(names::OFFLOADED.into(), String::new());
        };
        let group = |storage: &str| {
            let labels = [(names::STORAGE_ID, storage), (names::GROUP_REPLICATION_ID, "g"), (names::GLOBAL, "true")];
            vec![class("vgrc", &labels, "5m")]
        };
        let (mut a, mut b) = (report("s1", &[("r", "5m")]), report("s2", &[("r", "5m")]));
        offload(&mut a);
        assert!(paired(&a, &b, "5m").asynchronous.is_empty());
        offload(&mut b);
        assert!(paired(&a, &b, "5m").asynchronous.is_empty());
        a.volume_group_replication_classes = group("s1");
        b.volume_group_replication_classes = group("s2");
        let peer = &paired(&a, &b, "5m").asynchronous[0];
        assert!(peer.offloaded && peer.grouping && peer.global && peer.replication_id.is_empty());
    }

    #[test]
    fn the_stored_order_is_kept() {
        let named = |name: &str| PeerClass { storage_class_name: name.into(), ..Default::default() };
        let merged = merge(&[named("b"), named("gone"), named("a")], vec![named("a"), named("b"), named("new")]);
        let names: Vec<&str> = merged.iter().map(|class| class.storage_class_name.as_str()).collect();
        assert_eq!(names, ["b", "a", "new"]);
    }
}
