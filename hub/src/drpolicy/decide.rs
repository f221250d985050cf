//! The decision for a DRPolicy: pure. Computed first, validated after: a valid policy has its peer classes.

use jiff::Timestamp;
use kaedama_shared::api::conditions::drpolicy::VALIDATED;
use kaedama_shared::api::{
    Condition, ConditionStatus, DRCluster, DRPolicy, DRPolicyStatus, condition, conditions::drcluster,
    reasons::drpolicy as reasons,
};
use kaedama_shared::names;
use kaedama_shared::report::ClusterReport;
use kaedama_shared::seen::Seen;

use super::peers::{self, Side};

/// One pass's knowledge.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Timestamp,
    /// The policy.
    pub policy: DRPolicy,
    /// The operator's configuration can be read; the text says why not.
    pub config: Result<(), String>,
    /// Its clusters, in its order.
    pub clusters: Vec<Member>,
    /// The other policies.
    pub others: Vec<DRPolicy>,
    /// Names of all clusters by their identity.
    pub cluster_names: std::collections::BTreeMap<String, String>,
    /// The DRPCs that use it.
    pub users: Seen<Vec<String>>,
}

/// A cluster of the policy.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The DRCluster.
    pub drcluster: Seen<DRCluster>,
    /// The identity of the managed cluster; the text says why there is none.
    pub cluster_id: Result<String, String>,
    /// What it reports.
    pub report: Seen<ClusterReport>,
}

/// What a pass may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Finalizer and backup label.
    Claim,
    /// Lets go.
    Release,
}

/// What the pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// At most one.
    pub action: Option<Action>,
    /// The status after it.
    pub status: DRPolicyStatus,
    /// A view cannot be believed now, and nothing tells when it can.
    pub retry: bool,
}

/// Decides one pass.
pub fn decide(s: &Snapshot) -> Plan {
    let mut status = s.policy.status.clone().unwrap_or_default();
    if s.policy.metadata.deletion_timestamp.is_some() {
        return delete(s, status);
    }
    let mut action = None;
    let verdict = members(s).and_then(|()| {
        let claimed = s.policy.metadata.finalizers.iter().flatten().any(|name| name == names::DRPOLICY_FINALIZER);
        action = (!claimed).then_some(Action::Claim);
        peer_classes(s, &mut status)?;
        conflicts(s, &status)
    });
    let (value, reason, message) = match verdict {
        Ok(()) => (ConditionStatus::True, reasons::SUCCEEDED, "drpolicy validated".to_owned()),
        Err((reason, message)) => (ConditionStatus::False, reason, message),
    };
    set(s, &mut status, value, reason, message);
    let unknown = s.clusters.iter().any(|member| !member.drcluster.is_conclusive());
    Plan { action, status, retry: unknown }
}

type Step = Result<(), (&'static str, String)>;

/// Both clusters exist, and at least one is validated: an existing policy goes on working when a cluster is down.
fn members(s: &Snapshot) -> Step {
    s.config.clone().map_err(|why| (reasons::CONFIG_MAP_GET_FAILED, why))?;
    if s.clusters.is_empty() {
        return Err((reasons::VALIDATION_FAILED, "spec.drClusters is empty; name two DRClusters".to_owned()));
    }
    if s.policy.spec.network_mapping_ref.as_ref().is_some_and(|reference| !reference.name.is_empty()) {
        return Err((
            reasons::NADS_MISSING,
            "spec.networkMappingRef: network mappings are not supported by this version yet; remove it".to_owned(),
        ));
    }
    for member in &s.clusters {
        match &member.drcluster {
            Seen::Present(_) => {}
            Seen::Absent => {
                return Err((
                    reasons::DR_CLUSTER_NOT_FOUND,
                    format!("spec.drClusters: there is no DRCluster {}; create it", member.name),
                ));
            }
            Seen::Unknown(why) => {
                return Err((
                    reasons::DR_CLUSTER_DETAILS_FAILED,
                    format!("DRCluster {} is not known: {why}", member.name),
                ));
            }
        }
    }
    let problem = |member: &Member| {
        let drcluster = member.drcluster.present()?;
        let conditions = drcluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        match condition::find(conditions, drcluster::VALIDATED) {
            Some(validated) if validated.is_true() => None,
            Some(validated) => Some(format!("{}: {}", member.name, validated.message)),
            None => Some(format!("{}: not validated yet", member.name)),
        }
    };
    let problems: Vec<String> = s.clusters.iter().filter_map(problem).collect();
    if problems.len() == s.clusters.len() {
        return Err((
            reasons::DR_CLUSTERS_UNAVAILABLE,
            format!("none of the DRClusters is valid ({})", problems.join("; ")),
        ));
    }
    Ok(())
}

/// Computed when every cluster reports. While one does not, what is stored stays: a cluster that is away must not turn
/// a regional policy into a metro one. A policy that never had any is not valid before they are known.
fn peer_classes(s: &Snapshot, status: &mut DRPolicyStatus) -> Step {
    let mut sides = Vec::new();
    let mut missing = Vec::new();
    for member in &s.clusters {
        match (&member.cluster_id, &member.report) {
            (Ok(cluster_id), Seen::Present(report)) => sides.push(Side { cluster_id, report }),
            (Err(why), _) => missing.push(format!("{}: {why}", member.name)),
            (Ok(_), Seen::Absent) => missing.push(format!("{}: it has no DRClusterConfig yet", member.name)),
            (Ok(_), Seen::Unknown(why)) => missing.push(format!("{}: {why}", member.name)),
        }
    }
    if let ([a, b], true) = (sides.as_slice(), missing.is_empty()) {
        let peers = peers::pair(*a, *b, &s.policy.spec.scheduling_interval);
        status.sync.peer_classes = peers::merge(&status.sync.peer_classes, peers.sync);
        status.async_.peer_classes = peers::merge(&status.async_.peer_classes, peers.asynchronous);
        return Ok(());
    }
    let validated_before = condition::is_true(&status.conditions, VALIDATED);
    if validated_before {
        return Ok(());
    }
    Err((
        reasons::DR_CLUSTER_DETAILS_FAILED,
        format!("the storage classes of the clusters are not known yet ({})", missing.join("; ")),
    ))
}

/// Of two conflicting policies only the newer is invalid: the older protects workloads (rule S29).
fn conflicts(s: &Snapshot, status: &DRPolicyStatus) -> Step {
    if !status.sync.peer_classes.is_empty() && !status.async_.peer_classes.is_empty() {
        let names = |classes: &[kaedama_shared::api::PeerClass]| {
            classes.iter().map(|class| class.storage_class_name.clone()).collect::<Vec<_>>().join(", ")
        };
        return Err((
            reasons::DR_POLICY_CONFLICT_FOUND,
            format!(
                "the clusters share storage for some classes ({}) and replicate others ({}); one policy can do only one of \
                 the two",
                names(&status.sync.peer_classes),
                names(&status.async_.peer_classes)
            ),
        ));
    }
    let mine: Vec<&String> = s.policy.spec.dr_clusters.iter().collect();
    for other in s.others.iter().filter(|other| !is_newer(other, &s.policy)) {
        let shared: Vec<&String> = other.spec.dr_clusters.iter().filter(|cluster| mine.contains(cluster)).collect();
        if shared.is_empty() || other.spec.dr_clusters.iter().collect::<Vec<_>>() == mine {
            continue;
        }
        let theirs = other.status.clone().unwrap_or_default();
        let metro = metro_clusters(s, status).into_iter().chain(metro_clusters(s, &theirs)).collect::<Vec<_>>();
        if let Some(cluster) = shared.iter().find(|cluster| metro.contains(**cluster)) {
            return Err((
                reasons::DR_POLICY_CONFLICT_FOUND,
                format!(
                    "cluster {cluster} is a metro cluster and part of the older DRPolicy {} as well; a metro cluster belongs \
                     to one pair only",
                    other.metadata.name.as_deref().unwrap_or_default()
                ),
            ));
        }
    }
    Ok(())
}

/// Names of the clusters that share storage by a policy's sync peer classes.
fn metro_clusters(s: &Snapshot, status: &DRPolicyStatus) -> Vec<String> {
    let classes = status.sync.peer_classes.iter().filter(|class| class.storage_id.len() == 1);
    classes.flat_map(|class| &class.cluster_ids).filter_map(|id| s.cluster_names.get(id).cloned()).collect()
}

fn is_newer(a: &DRPolicy, b: &DRPolicy) -> bool {
    // Of two that were made in the same second one has to be the newer, and always the same.
    let age = |policy: &DRPolicy| {
        (policy.metadata.creation_timestamp.as_ref().map(|time| time.0), policy.metadata.name.clone())
    };
    age(a) > age(b)
}

fn delete(s: &Snapshot, mut status: DRPolicyStatus) -> Plan {
    let claimed = s.policy.metadata.finalizers.iter().flatten().any(|name| name == names::DRPOLICY_FINALIZER);
    if !claimed {
        return Plan { action: None, status, retry: false };
    }
    let message = match &s.users {
        Seen::Present(users) if users.is_empty() => {
            return Plan { action: Some(Action::Release), status, retry: false };
        }
        Seen::Present(users) => format!("the policy cannot be deleted while it is used by {}", users.join(", ")),
        Seen::Absent => return Plan { action: Some(Action::Release), status, retry: false },
        Seen::Unknown(_) => return Plan { action: None, status, retry: true },
    };
    set(s, &mut status, ConditionStatus::False, reasons::VALIDATION_FAILED, message);
    Plan { action: None, status, retry: false }
}

fn set(s: &Snapshot, status: &mut DRPolicyStatus, value: ConditionStatus, reason: &str, message: String) {
    let generation = s.policy.metadata.generation.unwrap_or_default();
    let now = kaedama_shared::clock::whole_seconds(s.now);
    condition::set(&mut status.conditions, Condition::new(VALIDATED, value, reason, message, generation), now);
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
