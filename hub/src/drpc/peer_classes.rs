//! Which peer classes a VRG carries.
//!
//! Silently changing the scheme by which a running volume is replicated would make its replica worthless, so an entry
//! of an existing VRG is replaced only by one of the same scheme (rule S20), and never pruned. A secondary has the
//! peer classes of the primary (rule S21).

use std::collections::BTreeSet;

use kaedama_shared::api::{PeerClass, VolumeReplicationGroup};
use kaedama_shared::names;

use super::facts;
use super::snapshot::{Site, Snapshot};

/// The peer classes for a site's VRG that has `has` now, while the policy has `policy`.
pub fn for_vrg(s: &Snapshot, site: &Site, has: Option<Vec<PeerClass>>, policy: &[PeerClass]) -> Vec<PeerClass> {
    if let Some(primary) = primary_elsewhere(s, site) {
        return peer_classes(primary);
    }
    let grouped = s.annotation(names::IS_CG_ENABLED) == Some("true");
    let Some(mut classes) = has else {
        return policy.iter().cloned().map(|class| ungrouped_unless(grouped, class)).collect();
    };
    let Some(seen) = site.vrg.present() else {
        return classes;
    };
    let used: BTreeSet<&str> = seen
        .status
        .iter()
        .flat_map(|status| &status.protected_pvcs)
        .map(|pvc| pvc.storage_class_name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    for offered in policy.iter().filter(|class| used.contains(class.storage_class_name.as_str())) {
        let mut offered = ungrouped_unless(grouped, offered.clone());
        offered.grouping |= grouped && seen.spec.async_.is_some();
        match classes.iter_mut().find(|class| same_pair(class, &offered)) {
            Some(class) if same_scheme(class, &offered) => *class = offered,
            Some(_) => {}
            None => classes.push(offered),
        }
    }
    classes
}

/// A policy says of each class whether groups can be had. Volumes are put into groups only where that was asked for; storage
/// that replicates by itself knows nothing else.
fn ungrouped_unless(grouped: bool, class: PeerClass) -> PeerClass {
    PeerClass { grouping: class.grouping && (grouped || class.offloaded), ..class }
}

/// The VRG in the work of the one cluster that is primary, where it is another than this.
fn primary_elsewhere<'a>(s: &'a Snapshot, site: &'a Site) -> Option<&'a VolumeReplicationGroup> {
    s.others(&site.cluster).filter_map(Site::asked).map(|work| &work.vrg).find(|vrg| facts::is_primary(vrg))
}

fn peer_classes(vrg: &VolumeReplicationGroup) -> Vec<PeerClass> {
    match (&vrg.spec.async_, &vrg.spec.sync) {
        (Some(spec), _) => spec.peer_classes.clone(),
        (None, Some(sync)) => sync.peer_classes.clone(),
        (None, None) => Vec::new(),
    }
}

fn same_pair(a: &PeerClass, b: &PeerClass) -> bool {
    let set = |class: &PeerClass| class.cluster_ids.iter().cloned().collect::<BTreeSet<_>>();
    a.storage_class_name == b.storage_class_name && set(a) == set(b)
}

fn same_scheme(a: &PeerClass, b: &PeerClass) -> bool {
    a.offloaded == b.offloaded
        && a.global == b.global
        && a.grouping == b.grouping
        && a.replication_id.is_empty() == b.replication_id.is_empty()
}
