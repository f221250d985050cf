//! All the reading for one pass: from the caches, and from the stores where the clusters leave it open.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kaedama_shared::api::ocm::{ManagedClusterView, ManifestWork, cluster as cluster_types, view as view_types};
use kaedama_shared::api::{DRPlacementControl, VolumeReplicationGroup, condition};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::report;
use kaedama_shared::seen::Seen;
use kube::Resource;

use crate::caches::Caches;
use crate::configuration::Configuration;

use super::snapshot::{Decision, Decisions, ObjectId, PlacementSite, Settings, Site, Snapshot, VrgWork};

/// A spoke that has applied a VRG and said nothing for this long is taken for one that writes no reports.
const MUTE_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// Takes the snapshot; the stores are not read.
pub fn observe(caches: &Caches, configuration: &Configuration, drpc: &DRPlacementControl, now: Timestamp) -> Snapshot {
    let policy_key = ObjectKey::cluster(drpc.spec.dr_policy_ref.name.clone().unwrap_or_default());
    let policy = caches.policies.seen(&policy_key).map(|policy| policy.as_ref().clone());
    let placement = placement(caches, drpc);
    let vrg_namespace = vrg_namespace(drpc);
    let name = drpc.metadata.name.clone().unwrap_or_default();
    let mut clusters: Vec<String> = policy.present().map(|policy| policy.spec.dr_clusters.clone()).unwrap_or_default();
    // What was made for this DRPC stays in sight although its policy is gone.
    let delivered: BTreeSet<String> = caches
        .works
        .filter(|work| work.metadata.name.as_deref() == Some(&names::vrg_work(&name, &vrg_namespace)) && belongs(work, drpc))
        .iter()
        .filter_map(|work| work.metadata.namespace.clone())
        .collect();
    clusters.extend(delivered.into_iter().filter(|cluster| !clusters.contains(cluster)).collect::<Vec<_>>());
    let remembered = drpc.status.as_ref().is_some_and(|status| !status.phase.is_unset());
    let sites = clusters.iter().map(|cluster| site(caches, cluster, &name, &vrg_namespace, remembered, now)).collect();
    Snapshot {
        now,
        drpc: drpc.clone(),
        config: configuration.settings().map(|config| Settings {
            ops_namespace: config.ramen_ops_namespace.clone(),
            volsync_disabled: config.vol_sync.disabled,
        }),
        placement,
        policy,
        conflict: None,
        vrg_namespace,
        sites,
        stored: Seen::Unknown("the stores were not read".to_owned()),
    }
}

/// The namespace of the VRG: cached in an annotation, else the Placement's.
fn vrg_namespace(drpc: &DRPlacementControl) -> String {
    let cached = drpc.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::APP_NAMESPACE));
    cached.filter(|namespace| !namespace.is_empty()).or(drpc.metadata.namespace.as_ref()).cloned().unwrap_or_default()
}

fn placement(caches: &Caches, drpc: &DRPlacementControl) -> Seen<PlacementSite> {
    let namespace = drpc.metadata.namespace.clone().unwrap_or_default();
    let name = drpc.spec.placement_ref.name.clone().unwrap_or_default();
    let found = match caches.placements.seen(&ObjectKey::namespaced(namespace.clone(), name.clone())) {
        Seen::Present(placement) => placement,
        Seen::Absent => return Seen::Absent,
        Seen::Unknown(why) => return Seen::Unknown(why),
    };
    if let Some(why) = caches.decisions.doubt() {
        return Seen::Unknown(why);
    }
    let objects = caches.decisions_of(&namespace, &name);
    let decisions = match objects.as_slice() {
        [] => Decisions::None,
        [one] => Decisions::One {
            id: object_id(one.as_ref()),
            entries: one
                .decisions()
                .iter()
                .map(|entry| Decision { cluster: entry.cluster_name.clone(), reason: entry.reason.clone() })
                .collect(),
        },
        several => Decisions::Ambiguous(several.iter().filter_map(|object| object.metadata.name.clone()).collect()),
    };
    Seen::Present(PlacementSite {
        id: object_id(found.as_ref()),
        annotations: found.metadata.annotations.clone().unwrap_or_default(),
        finalizers: found.metadata.finalizers.clone().unwrap_or_default(),
        deleting: found.metadata.deletion_timestamp.is_some(),
        decisions,
    })
}

fn site(caches: &Caches, cluster: &str, drpc: &str, namespace: &str, remembered: bool, now: Timestamp) -> Site {
    let reachable = reachable(caches, cluster);
    let key = |name: String| ObjectKey::namespaced(cluster, name);
    let work = caches.works.seen(&key(names::vrg_work(drpc, namespace)));
    let view = match caches.views.seen(&key(names::view(drpc, namespace, "vrg"))) {
        Seen::Present(view) => Some(view),
        Seen::Absent | Seen::Unknown(_) => None,
    };
    let viewed = view.as_ref().map(|view| read_view(view));
    let report = work.present().map(|work| read_report(work));
    let last = report.as_ref().and_then(|report| report.present().cloned());
    let reported = last.is_some();
    let last = last.or_else(|| viewed.as_ref().and_then(|viewed| viewed.present().cloned()));
    let vrg = match (&reachable, &work, report, viewed) {
        (Err(why), _, _, _) => Seen::Unknown(why.clone()),
        (Ok(()), Seen::Unknown(why), _, _) => Seen::Unknown(why.clone()),
        (Ok(()), _, Some(Seen::Present(vrg)), _) => Seen::Present(vrg),
        (Ok(()), _, _, Some(viewed)) => viewed,
        (Ok(()), Seen::Present(_), Some(report), None) => report,
        // A work goes only after its cluster has taken its objects away; a hub that lost its memory cannot tell.
        (Ok(()), Seen::Absent, _, None) if remembered => Seen::Absent,
        (Ok(()), _, _, None) => Seen::Unknown(format!("{cluster} has not been asked yet")),
    };
    let mute = work.present().is_some_and(|work| !reported && applied_since(work).is_some_and(|at| now.duration_since(at) > MUTE_AFTER));
    Site {
        cluster: cluster.to_owned(),
        drcluster: caches.drclusters.seen(&ObjectKey::cluster(cluster)).map(|drcluster| drcluster.as_ref().clone()),
        reachable,
        namespace_work: caches
            .works
            .seen(&key(names::namespace_work(drpc, namespace)))
            .map(|work| object_id(work.as_ref())),
        work: match work {
            Seen::Present(work) => read_work(&work, last, reported),
            Seen::Absent => Seen::Absent,
            Seen::Unknown(why) => Seen::Unknown(why),
        },
        vrg,
        view: view.map(|view| object_id(view.as_ref())),
        mute,
    }
}

/// A cluster counts as heard from while Open Cluster Management renews its lease.
fn reachable(caches: &Caches, cluster: &str) -> Result<(), String> {
    let managed = match caches.managed_clusters.seen(&ObjectKey::cluster(cluster)) {
        Seen::Present(managed) => managed,
        Seen::Absent => return Err(format!("there is no ManagedCluster {cluster}")),
        Seen::Unknown(why) => return Err(why),
    };
    match condition::find(managed.conditions(), cluster_types::CLUSTER_AVAILABLE) {
        Some(available) if available.is_true() => Ok(()),
        Some(available) => Err(available.message.clone()),
        None => Err(format!("ManagedCluster {cluster} has never been available")),
    }
}

fn read_work(work: &ManifestWork, last_report: Option<VolumeReplicationGroup>, reported: bool) -> Seen<VrgWork> {
    let Some(manifest) = work.spec.workload.manifests.first() else {
        return Seen::Unknown(format!("ManifestWork {} holds no manifest", work.metadata.name.as_deref().unwrap_or_default()));
    };
    match serde_json::from_value(manifest.clone()) {
        Ok(vrg) => Seen::Present(VrgWork {
            id: object_id(work),
            vrg,
            last_report,
            reported,
            deleting: work.metadata.deletion_timestamp.is_some(),
        }),
        Err(error) => Seen::Unknown(format!(
            "the manifest of ManifestWork {} cannot be read: {error}",
            work.metadata.name.as_deref().unwrap_or_default()
        )),
    }
}

/// What the work agent fed back. Values outlive their object, so they count only while it is there.
fn read_report(work: &ManifestWork) -> Seen<VolumeReplicationGroup> {
    let Some(manifest) = work.manifest_status(0) else {
        return Seen::Unknown("its work has not been applied yet".to_owned());
    };
    if !manifest.is_available() {
        return Seen::Unknown("its VolumeReplicationGroup is not there yet".to_owned());
    }
    match manifest.value(report::FEEDBACK_REPORT).and_then(|value| value.string.as_deref()) {
        Some(text) => match report::decode(text) {
            Ok(vrg) => Seen::Present(vrg),
            Err(error) => Seen::Unknown(error.to_string()),
        },
        None => Seen::Unknown("its spoke operator has not reported yet".to_owned()),
    }
}

fn applied_since(work: &ManifestWork) -> Option<Timestamp> {
    let applied = condition::find(work.conditions(), "Applied").filter(|applied| applied.is_true())?;
    applied.last_transition_time.as_ref().map(|time| time.0)
}

/// What a view says. Nothing in a view tells how old it is: the caller has to know that the cluster is heard from.
fn read_view(view: &ManagedClusterView) -> Seen<VolumeReplicationGroup> {
    let status = view.status.clone().unwrap_or_default();
    let [condition] = status.conditions.as_slice() else {
        return Seen::Unknown("its view has no answer yet".to_owned());
    };
    if condition.type_ != view_types::PROCESSING {
        return Seen::Unknown(format!("its view has the unexpected condition {}", condition.type_));
    }
    if condition.is_true() {
        let result = status.result.unwrap_or_default();
        return match serde_json::from_value(result) {
            Ok(vrg) => Seen::Present(vrg),
            Err(error) => Seen::Unknown(format!("its view cannot be read: {error}")),
        };
    }
    let missing = ["not found", "the server could not find the requested resource"];
    if condition.reason == view_types::GET_RESOURCE_FAILED && missing.iter().any(|end| condition.message.ends_with(end)) {
        return Seen::Absent;
    }
    Seen::Unknown(format!("its view failed: {}", condition.message))
}

fn belongs(work: &ManifestWork, drpc: &DRPlacementControl) -> bool {
    let annotation = |key: &str| work.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    annotation(names::DRPC_NAME) == drpc.metadata.name.as_ref()
        && annotation(names::DRPC_NAMESPACE) == drpc.metadata.namespace.as_ref()
}

fn object_id<K: Resource>(object: &K) -> ObjectId {
    let metadata = object.meta();
    ObjectId {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}
