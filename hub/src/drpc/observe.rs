//! All the reading for one pass: from the caches, and from the stores where the clusters leave it open.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kaedama_shared::api::ocm::work::{APPLIED, AVAILABLE, ManifestStatus};
use kaedama_shared::api::ocm::{ManagedClusterView, ManifestWork, cluster as cluster_types, view as view_types};
use kaedama_shared::api::{DRPlacementControl, VolumeReplicationGroup, condition};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::report;
use kaedama_shared::seen::Seen;
use kube::Resource;

use crate::caches::Caches;
use crate::configuration::Configuration;
use crate::works;

use super::decoded::Decoded;
use super::snapshot::{Decision, Decisions, ObjectId, PlacementSite, Settings, Site, Snapshot, VrgWork};

/// A spoke that has applied a VRG and said nothing for this long is taken for one that writes no reports.
const MUTE_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// Takes the snapshot; the stores are not read.
pub fn observe(caches: &Caches, configuration: &Configuration, drpc: &DRPlacementControl, now: Timestamp) -> Snapshot {
    let policy_key = ObjectKey::cluster(drpc.spec.dr_policy_ref.name.clone().unwrap_or_default());
    let policy = lasting(caches.policies.seen(&policy_key).map(|policy| policy.as_ref().clone()));
    let (vrg_namespace, conflict) = match vrg_namespace(caches, drpc) {
        Seen::Present(namespace) => (Seen::Present(namespace), None),
        Seen::Absent => (Seen::Absent, Some(templated(drpc))),
        Seen::Unknown(why) => (Seen::Unknown(stable(why)), None),
    };
    let placement = match vrg_namespace.unknown() {
        Some(why) => Seen::Unknown(why.to_owned()),
        None => placement(caches, drpc),
    };
    let vrg_namespace = vrg_namespace.present().cloned().unwrap_or_default();
    let name = drpc.metadata.name.clone().unwrap_or_default();
    let mut clusters: Vec<String> = policy.present().map(|policy| policy.spec.dr_clusters.clone()).unwrap_or_default();
    // What was made for this DRPC stays in sight although its policy is gone.
    let of_vrg = names::vrg_work(&name, &vrg_namespace);
    let delivered: BTreeSet<String> = caches
        .works
        .grouped(&of_vrg)
        .iter()
        .filter(|work| belongs(work, drpc))
        .filter_map(|work| work.metadata.namespace.clone())
        .collect();
    clusters.extend(delivered.into_iter().filter(|cluster| !clusters.contains(cluster)).collect::<Vec<_>>());
    let sites = clusters.iter().map(|cluster| site(caches, cluster, &name, &vrg_namespace, now)).collect();
    Snapshot {
        now,
        drpc: drpc.clone(),
        config: configuration.settings().map(|config| Settings {
            ops_namespace: config.ramen_ops_namespace.clone(),
            volsync_disabled: config.vol_sync.disabled,
            kube_objects_disabled: config.kube_object_protection.disabled,
        }),
        placement,
        policy,
        conflict,
        vrg_namespace,
        sites,
        doubt: caches.works.doubt().map(stable),
        stored: Seen::Unknown("the stores were not read".to_owned()),
    }
}

/// The namespace of the VRG: cached in an annotation, else where an ApplicationSet that follows the Placement deploys to,
/// else the Placement's. Absent where an ApplicationSet leaves it to each cluster.
fn vrg_namespace(caches: &Caches, drpc: &DRPlacementControl) -> Seen<String> {
    let cached = drpc.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::APP_NAMESPACE));
    if let Some(cached) = cached.filter(|namespace| !namespace.is_empty()) {
        return Seen::Present(cached.clone());
    }
    if let Some(why) = caches.application_sets.doubt() {
        return Seen::Unknown(why);
    }
    let own = drpc.metadata.namespace.clone().unwrap_or_default();
    let placement = drpc.spec.placement_ref.name.as_deref().unwrap_or_default();
    // Decisions are looked for in the ApplicationSet's own namespace.
    let following = caches.application_sets.filter(|set| {
        set.metadata.namespace.as_ref() == Some(&own) && set.follows(placement) && !set.namespace().is_empty()
    });
    match following.first() {
        None => Seen::Present(own),
        Some(set) if set.namespace().contains("{{") => Seen::Absent,
        Some(set) => Seen::Present(set.namespace().to_owned()),
    }
}

fn templated(drpc: &DRPlacementControl) -> String {
    format!(
        "the ApplicationSet that follows Placement {} has a template for its destination namespace, so the namespace cannot be \
         read from it: annotate this DRPlacementControl with {}: the namespace on the clusters",
        drpc.spec.placement_ref.name.as_deref().unwrap_or_default(),
        names::APP_NAMESPACE
    )
}

fn placement(caches: &Caches, drpc: &DRPlacementControl) -> Seen<PlacementSite> {
    let namespace = drpc.metadata.namespace.clone().unwrap_or_default();
    let name = drpc.spec.placement_ref.name.clone().unwrap_or_default();
    let found = match caches.placements.seen(&ObjectKey::namespaced(namespace.clone(), name.clone())) {
        Seen::Present(placement) => placement,
        Seen::Absent => return Seen::Absent,
        Seen::Unknown(why) => return Seen::Unknown(stable(why)),
    };
    if let Some(why) = caches.decisions.doubt() {
        return Seen::Unknown(stable(why));
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

fn site(caches: &Caches, cluster: &str, drpc: &str, namespace: &str, now: Timestamp) -> Site {
    let reachable = reachable(caches, cluster);
    let key = |name: String| ObjectKey::namespaced(cluster, name);
    let of_vrg = key(names::vrg_work(drpc, namespace));
    let found = lasting(caches.works.seen(&of_vrg));
    if found.is_absent() {
        caches.decoded.forget(&of_vrg);
    }
    let decoded = &caches.decoded;
    let view = match caches.views.seen(&key(names::view(drpc, namespace, "vrg"))) {
        Seen::Present(view) => Some(view),
        Seen::Absent | Seen::Unknown(_) => None,
    };
    let question = found.present().filter(|work| works::is_question(work)).cloned();
    let viewed = view.as_ref().map(|view| read_view(view));
    let report = found.present().map(|work| match question {
        Some(_) => read_answer(work, decoded),
        None => read_report(work, decoded),
    });
    let fed_back = report.as_ref().and_then(|report| report.present().cloned());
    let reported = fed_back.is_some();
    let last = fed_back.or_else(|| viewed.as_ref().and_then(|viewed| viewed.present().cloned()));
    let vrg = match (&reachable, &found, report, viewed) {
        (Err(why), ..) => Seen::Unknown(why.clone()),
        (Ok(()), Seen::Unknown(why), ..) => Seen::Unknown(why.clone()),
        (Ok(()), _, Some(Seen::Present(vrg)), _) => Seen::Present(vrg),
        // An answer is current: the agent follows the object.
        (Ok(()), _, Some(Seen::Absent), _) => Seen::Absent,
        (Ok(()), _, _, Some(viewed)) => viewed,
        (Ok(()), _, Some(report), None) => report,
        (Ok(()), _, None, None) => Seen::Unknown(format!("{cluster} has not been asked yet")),
    };
    let mute = found.present().is_some_and(|work| {
        is_there(work) && !reported && applied_since(work).is_some_and(|at| now.duration_since(at) > MUTE_AFTER)
    });
    let work = match &found {
        Seen::Present(_) if question.is_some() => Seen::Absent,
        Seen::Present(work) => read_work(work, decoded, last, reported),
        Seen::Absent => Seen::Absent,
        Seen::Unknown(why) => Seen::Unknown(why.clone()),
    };
    let namespace_work = caches.works.seen(&key(names::namespace_work(drpc, namespace)));
    Site {
        cluster: cluster.to_owned(),
        drcluster: lasting(
            caches.drclusters.seen(&ObjectKey::cluster(cluster)).map(|drcluster| drcluster.as_ref().clone()),
        ),
        reachable,
        detached: caches.managed_clusters.seen(&ObjectKey::cluster(cluster)).is_absent(),
        namespace_work: lasting(namespace_work.map(|work| object_id(work.as_ref()))),
        work,
        question: question.map(|work| object_id(work.as_ref())),
        vrg,
        view: view.map(|view| object_id(view.as_ref())),
        mute,
    }
}

/// The same, with a reason that stays as it is while nothing changes: reasons end up in conditions, and an age in them
/// would have the status written on every look.
fn lasting<T>(seen: Seen<T>) -> Seen<T> {
    match seen {
        Seen::Unknown(why) => Seen::Unknown(stable(why)),
        Seen::Present(_) | Seen::Absent => seen,
    }
}

fn stable(why: String) -> String {
    why.split_once(": last contact").map(|(before, _)| before.to_owned()).unwrap_or(why)
}

/// A cluster counts as heard from while Open Cluster Management renews its lease.
fn reachable(caches: &Caches, cluster: &str) -> Result<(), String> {
    let managed = match caches.managed_clusters.seen(&ObjectKey::cluster(cluster)) {
        Seen::Present(managed) => managed,
        Seen::Absent => return Err(format!("there is no ManagedCluster {cluster}")),
        Seen::Unknown(why) => return Err(stable(why)),
    };
    match condition::find(managed.conditions(), cluster_types::CLUSTER_AVAILABLE) {
        Some(available) if available.is_true() => Ok(()),
        Some(available) => Err(available.message.clone()),
        None => Err(format!("ManagedCluster {cluster} has never been available")),
    }
}

fn read_work(
    work: &ManifestWork,
    decoded: &Decoded,
    last_report: Option<VolumeReplicationGroup>,
    reported: bool,
) -> Seen<VrgWork> {
    let Some(delivered) = decoded.delivered(work) else {
        return Seen::Unknown(format!(
            "ManifestWork {} holds no manifest",
            work.metadata.name.as_deref().unwrap_or_default()
        ));
    };
    match delivered {
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
fn read_report(work: &ManifestWork, decoded: &Decoded) -> Seen<VolumeReplicationGroup> {
    let Some(manifest) = work.manifest_status(0) else {
        return Seen::Unknown("its work has not been applied yet".to_owned());
    };
    if !manifest.is_available() {
        return Seen::Unknown("its VolumeReplicationGroup is not there yet".to_owned());
    }
    let report = works::report_status(work).filter(|report| report.is_available());
    match report.and_then(|report| report.value(report::FEEDBACK_REPORT)?.string.as_deref()) {
        Some(text) => match decoded.reported(work, text) {
            Ok(vrg) => Seen::Present(vrg),
            Err(error) => Seen::Unknown(error.to_string()),
        },
        None => Seen::Unknown("its spoke operator has not reported yet".to_owned()),
    }
}

/// What a question was answered with. A cluster that has no such VRG says so by the manifest's `Available`. OCM's agent
/// gives that condition no generation, and is believed once it has applied the question: this manifest of it, for the
/// other one is of a kind that RamenDR's clusters do not have.
fn read_answer(work: &ManifestWork, decoded: &Decoded) -> Seen<VolumeReplicationGroup> {
    let generation = work.metadata.generation.unwrap_or_default();
    let manifest = work.manifest_status(0).map(|manifest| manifest.conditions.as_slice()).unwrap_or_default();
    let available = condition::find(manifest, AVAILABLE);
    let applied =
        [work.conditions(), manifest].iter().any(|conditions| condition::is_true_at(conditions, APPLIED, generation));
    match available {
        Some(available)
            if available.is_false()
                && (available.is_at(generation) || applied && available.observed_generation == 0) =>
        {
            Seen::Absent
        }
        Some(_) | None => match read_report(work, decoded) {
            Seen::Unknown(_) if available.is_none() => Seen::Unknown("the cluster has not answered yet".to_owned()),
            // The agent cannot look: the kind is not installed, or it may not read it.
            Seen::Unknown(why) => match available.filter(|available| !available.is_true()) {
                Some(available) => Seen::Unknown(available.message.clone()),
                None => Seen::Unknown(why),
            },
            answer @ (Seen::Present(_) | Seen::Absent) => answer,
        },
    }
}

fn is_there(work: &ManifestWork) -> bool {
    work.manifest_status(0).is_some_and(ManifestStatus::is_available)
}

fn applied_since(work: &ManifestWork) -> Option<Timestamp> {
    let conditions = &work.manifest_status(0)?.conditions;
    let applied = condition::find(conditions, APPLIED).filter(|applied| applied.is_true())?;
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
    if condition.reason == view_types::GET_RESOURCE_FAILED && missing.iter().any(|end| condition.message.ends_with(end))
    {
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

#[cfg(test)]
mod tests {
    use kaedama_shared::api::Condition;
    use kaedama_shared::api::ocm::work::ManifestWorkStatus;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_stays_the_same_while_nothing_changes() {
        let at = |age: u32| stable(format!("view of drpolicies is stale: last contact {age} s ago"));
        assert_eq!(at(91), at(101));
        assert_eq!(stable("the cluster is not heard from".to_owned()), "the cluster is not heard from");
    }

    fn answered(status: &str, observed: i64, values: serde_json::Value) -> ManifestWork {
        let conditions = |status: &str| json!([{ "type": "Available", "status": status, "reason": "R", "message": "m", "observedGeneration": observed }]);
        let status: ManifestWorkStatus = serde_json::from_value(json!({ "resourceStatus": { "manifests": [
            { "resourceMeta": { "ordinal": 0 }, "conditions": conditions(status) },
            {
                "resourceMeta": { "ordinal": 1 },
                "conditions": conditions("True"),
                "statusFeedback": { "values": values },
            },
        ]}}))
        .unwrap();
        let vrg = VolumeReplicationGroup::new("web", Default::default());
        let mut work = works::question("w", "dr1", &vrg, Default::default());
        work.status = Some(status);
        work.metadata.generation = Some(2);
        work
    }

    fn answer(work: &ManifestWork) -> Seen<VolumeReplicationGroup> {
        read_answer(work, &Decoded::default())
    }

    #[test]
    fn only_a_present_no_proves_that_there_is_no_vrg() {
        assert!(answer(&answered("False", 2, json!([]))).is_absent());
        assert!(!answer(&answered("False", 1, json!([]))).is_conclusive(), "the answer to another question");
        let mut undated = answered("False", 0, json!([]));
        assert!(!answer(&undated).is_conclusive(), "nobody knows what it answers");
        let applied = |status: &str, generation: i64| -> Condition {
            let applied = json!({ "type": "Applied", "status": status, "reason": "R", "message": "", "observedGeneration": generation });
            serde_json::from_value(applied).unwrap()
        };
        let mut of_work = undated.clone();
        of_work.status.as_mut().unwrap().conditions = vec![applied("True", 2)];
        assert!(answer(&of_work).is_absent());
        // The cluster does not know the kind of reports: the work is not applied, its VRG is.
        undated.status.as_mut().unwrap().conditions = vec![applied("False", 2)];
        for (generation, proven) in [(1, false), (2, true)] {
            let mut of_manifest = undated.clone();
            let manifests = &mut of_manifest.status.as_mut().unwrap().resource_status.manifests;
            manifests[0].conditions.push(applied("True", generation));
            assert_eq!(answer(&of_manifest).is_absent(), proven, "{generation}");
        }
        assert!(!answer(&answered("Unknown", 2, json!([]))).is_conclusive(), "the agent cannot look");
        assert!(!answer(&answered("True", 2, json!([]))).is_conclusive(), "it is there, and says nothing");
        assert!(!answer(&ManifestWork::default()).is_conclusive(), "nobody has answered");
        let vrg = VolumeReplicationGroup::new("web", Default::default());
        let text = report::encode(&vrg);
        let value = json!([{ "name": "report", "fieldValue": { "type": "String", "string": text } }]);
        assert!(answer(&answered("True", 2, value.clone())).present().is_some());
        assert!(!answer(&answered("Unknown", 2, value)).is_conclusive(), "a report outlives its group");
    }
}
