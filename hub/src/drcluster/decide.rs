//! The decision for a DRCluster: pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kaedama_shared::api::conditions::drcluster as types;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::{
    ClusterFence, Condition, ConditionStatus, DRClusterPhase, DRClusterStatus, condition, reasons::drcluster as reasons,
};
use kaedama_shared::names;
use kaedama_shared::report::{CLUSTER_REPORT_PATH, FEEDBACK_REPORT};
use kaedama_shared::seen::Seen;
use serde_json::Value;

use super::manifests;
use super::snapshot::{Snapshot, StoreCheck};

/// What a pass may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Finalizer and backup label.
    Claim,
    /// A work with these manifests.
    WriteWork {
        /// Its name.
        name: &'static str,
        /// All its manifests.
        manifests: Vec<Value>,
        /// The report of the object is fed back.
        feedback: bool,
    },
    /// A work that is not needed any more. Decided on its uid.
    DeleteWork {
        /// Its name.
        name: &'static str,
        /// Its uid.
        uid: String,
    },
    /// VolSync's add-on, where it is not there. It is never changed and never removed.
    EnsureAddOn,
    /// Lets go: the DRCluster is gone afterwards.
    Release,
}

/// What the pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In order.
    pub actions: Vec<Action>,
    /// The status after it; none while nothing is to be said.
    pub status: DRClusterStatus,
    /// Something cannot be known now, and no watch reports when it can: try again after a delay that grows.
    pub retry: bool,
}

/// Decides one pass.
pub fn decide(s: &Snapshot) -> Plan {
    let mut plan = Plan { actions: Vec::new(), status: s.drcluster.status.clone().unwrap_or_default(), retry: false };
    if s.drcluster.metadata.deletion_timestamp.is_some() {
        delete(s, &mut plan);
        return plan;
    }
    let claimed =
        s.drcluster.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRCLUSTER_FINALIZER)
            && s.drcluster
                .metadata
                .labels
                .iter()
                .flatten()
                .any(|(key, value)| key == names::BACKUP && value == names::BACKUP_VALUE);
    if !claimed {
        plan.actions.push(Action::Claim);
    }
    if s.add_on_due {
        plan.actions.push(Action::EnsureAddOn);
    }
    fence(s, &mut plan.status);
    let verdict = deploy(s, &mut plan).and_then(|()| cidrs(s, &mut plan.status));
    let known = condition::find(&plan.status.conditions, types::VALIDATED).cloned();
    let (status, reason, message) = match (verdict, &s.store, known) {
        (Err((reason, message)), ..) => (ConditionStatus::False, reason, message),
        // Until the store has answered, what is known of the cluster holds.
        (Ok(()), StoreCheck::Untried, Some(_)) => return plan,
        (Ok(()), StoreCheck::Untried, None) => {
            (ConditionStatus::Unknown, reasons::INITIALIZING, "Waiting for the store to answer".to_owned())
        }
        (Ok(()), StoreCheck::Good | StoreCheck::Bad { .. }, _) => {
            (ConditionStatus::True, reasons::SUCCEEDED, "Validated the cluster".to_owned())
        }
    };
    set(s, &mut plan.status, types::VALIDATED, status, reason, message);
    plan
}

/// Something could not be delivered to the cluster: what is known to be wrong with the cluster itself goes first.
pub fn undelivered(s: &Snapshot, status: &mut DRClusterStatus, why: String) {
    let why = s.cluster_id.as_ref().err().cloned().unwrap_or(why);
    set(s, status, types::VALIDATED, ConditionStatus::False, reasons::DR_CLUSTERS_DEPLOY_FAILED, why);
}

type Step = Result<(), (&'static str, String)>;

/// Works first, so that a store which is down does not keep a cluster from being supplied; then the checks, in the order
/// in which a user would mend them.
fn deploy(s: &Snapshot, plan: &mut Plan) -> Step {
    let bundle = s.bundle.clone().map_err(|why| (reasons::CONFIG_MAP_GET_FAILED, why))?;
    let delivered = s.operator_work.present().map(|work| work.spec.workload.manifests.as_slice()).unwrap_or_default();
    let bundle = manifests::keep_subscription(delivered, bundle);
    let bundle = manifests::without_loss(s.operator_work.present(), bundle);
    work(&s.operator_work, names::DRCLUSTER_WORK, bundle, false, plan)?;
    let name = s.drcluster.metadata.name.as_deref().unwrap_or_default();
    if let Ok(id) = &s.cluster_id {
        let manifest = manifests::drclusterconfig(name, id, &s.schedules);
        work(&s.config_work, names::DRCLUSTERCONFIG_WORK, vec![manifest], true, plan)?;
    }
    if let StoreCheck::Bad { reason, message } = &s.store {
        return Err((reason, message.clone()));
    }
    let applied = s.operator_work.present().is_some_and(ManifestWork::is_applied);
    if !applied {
        return Err((
            reasons::DR_CLUSTERS_DEPLOY_STATUS_CHECK_FAILED,
            format!(
                "ManifestWork {} is not applied on the cluster yet{}",
                names::DRCLUSTER_WORK,
                failure(&s.operator_work)
            ),
        ));
    }
    if let Err(why) = &s.cluster_id {
        return Err((reasons::DR_CLUSTER_CONFIG_IN_PROGRESS, why.clone()));
    }
    if !s.config_work.present().is_some_and(ManifestWork::is_applied) {
        return Err((
            reasons::DR_CLUSTER_CONFIG_IN_PROGRESS,
            format!(
                "ManifestWork {} is not applied on the cluster yet{}",
                names::DRCLUSTERCONFIG_WORK,
                failure(&s.config_work)
            ),
        ));
    }
    Ok(())
}

/// What the work agent says about a work that it could not apply.
fn failure(work: &Seen<ManifestWork>) -> String {
    let applied = work.present().and_then(|work| condition::find(work.conditions(), "Applied"));
    applied.filter(|applied| applied.is_false()).map(|applied| format!(": {}", applied.message)).unwrap_or_default()
}

fn work(seen: &Seen<ManifestWork>, name: &'static str, wanted: Vec<Value>, feedback: bool, plan: &mut Plan) -> Step {
    match seen {
        Seen::Unknown(why) => {
            Err((reasons::DR_CLUSTERS_DEPLOY_FAILED, format!("ManifestWork {name} is not known: {why}")))
        }
        Seen::Present(work) if work.metadata.deletion_timestamp.is_some() => {
            Err((reasons::DR_CLUSTERS_DEPLOY_FAILED, format!("ManifestWork {name} is being deleted")))
        }
        Seen::Present(work)
            if work.spec.workload.manifests == wanted
                && match feedback {
                    true => feeds_back(work),
                    false => work.spec.delete_option == manifests::left_behind(&wanted),
                } =>
        {
            Ok(())
        }
        Seen::Present(_) | Seen::Absent => {
            plan.actions.push(Action::WriteWork { name, manifests: wanted, feedback });
            Ok(())
        }
    }
}

/// A work that the reference product made carries the same object and reports nothing back.
fn feeds_back(work: &ManifestWork) -> bool {
    let rules = work.spec.manifest_configs.iter().flat_map(|config| &config.feedback_rules);
    rules.flat_map(|rule| &rule.json_paths).any(|path| path.name == FEEDBACK_REPORT && path.path == CLUSTER_REPORT_PATH)
}

/// `clusterFence` as the conditions `Fenced` and `Clean`, and the phase. A manual fence is believed at once: the user
/// asserts it. Fencing by NetworkFence is not built yet, and says so.
fn fence(s: &Snapshot, status: &mut DRClusterStatus) {
    use ConditionStatus::{False, True};
    let not_built = "fencing by NetworkFence is not supported by this version yet; fence the cluster by other means, then set \
                     spec.clusterFence to ManuallyFenced";
    let not_lifted = "fences by NetworkFence are not lifted by this version yet; lift the fence by other means, then set \
                      spec.clusterFence to ManuallyUnfenced";
    let (phase, fenced, clean, reason, message) = match &s.drcluster.spec.cluster_fence {
        None => (DRClusterPhase::Available, False, True, reasons::CLEAN, "Cluster is not fenced".to_owned()),
        Some(ClusterFence::ManuallyFenced) => {
            (DRClusterPhase::Fenced, True, False, reasons::FENCED, "Cluster was fenced by its administrator".to_owned())
        }
        Some(ClusterFence::ManuallyUnfenced) => (
            DRClusterPhase::Unfenced,
            False,
            True,
            reasons::CLEAN,
            "Cluster was unfenced by its administrator".to_owned(),
        ),
        // The reference product has fenced it; the fence stands, and nothing here could lift it.
        Some(ClusterFence::Fenced)
            if status.phase == DRClusterPhase::Fenced && condition::is_true(&status.conditions, types::FENCED) =>
        {
            let message = format!("Cluster was fenced before; the fence is kept. spec.clusterFence: {not_built}");
            (DRClusterPhase::Fenced, True, False, reasons::FENCED, message)
        }
        Some(ClusterFence::Fenced) => {
            (DRClusterPhase::Fencing, False, True, reasons::FENCE_ERROR, format!("spec.clusterFence: {not_built}"))
        }
        // Never fenced, or the fence was lifted before.
        Some(ClusterFence::Unfenced) if !condition::is_true(&status.conditions, types::FENCED) => {
            (DRClusterPhase::Unfenced, False, True, reasons::CLEAN, "Cluster is not fenced".to_owned())
        }
        Some(ClusterFence::Unfenced) => {
            (DRClusterPhase::Unfencing, True, False, reasons::UNFENCE_ERROR, format!("spec.clusterFence: {not_lifted}"))
        }
        Some(ClusterFence::Other(other)) => (
            status.phase.clone(),
            condition::find(&status.conditions, types::FENCED).map(|fenced| fenced.status.clone()).unwrap_or_default(),
            condition::find(&status.conditions, types::CLEAN).map(|clean| clean.status.clone()).unwrap_or_default(),
            reasons::FENCE_ERROR,
            format!(
                "spec.clusterFence is {other}, which is not known; it is ManuallyFenced, ManuallyUnfenced or left out"
            ),
        ),
    };
    status.phase = phase;
    set(s, status, types::FENCED, fenced, reason, message.clone());
    set(s, status, types::CLEAN, clean, reason, message);
}

/// Networks to fence, compared as networks.
fn cidrs(s: &Snapshot, status: &mut DRClusterStatus) -> Step {
    let configured = &s.drcluster.spec.cidrs;
    if configured.is_empty() {
        condition::remove(&mut status.conditions, types::CIDRS_VALIDATED);
        return Ok(());
    }
    let malformed: Vec<&str> = configured.iter().map(String::as_str).filter(|cidr| network(cidr).is_none()).collect();
    if !malformed.is_empty() {
        let message = format!("spec.cidrs: not in CIDR notation: {}", malformed.join(", "));
        set(s, status, types::CIDRS_VALIDATED, ConditionStatus::False, reasons::INVALID_CIDRS_FORMAT, message.clone());
        return Err((reasons::VALIDATION_FAILED, message));
    }
    let Some(report) = s.report.present() else { return Ok(()) };
    let networks = |cidrs: &[String]| cidrs.iter().filter_map(|cidr| network(cidr)).collect::<BTreeSet<_>>();
    let (configured, detected) = (networks(configured), networks(&report.cidrs));
    let list = |networks: Vec<&(IpAddr, u8)>| {
        networks.iter().map(|(address, length)| format!("{address}/{length}")).collect::<Vec<_>>().join(", ")
    };
    let missing: Vec<_> = detected.difference(&configured).collect();
    let extra: Vec<_> = configured.difference(&detected).collect();
    if !missing.is_empty() {
        let message = format!("spec.cidrs lacks networks that the cluster's nodes use: {}", list(missing));
        set(
            s,
            status,
            types::CIDRS_VALIDATED,
            ConditionStatus::False,
            reasons::DETECTED_CIDRS_UNCONFIGURED,
            message.clone(),
        );
        return Err((reasons::VALIDATION_FAILED, message));
    }
    let (reason, message) = if extra.is_empty() {
        (reasons::SUCCEEDED, "The networks of the cluster are configured".to_owned())
    } else {
        (reasons::UNDETECTED_CIDRS_FOUND, format!("spec.cidrs holds networks that no node uses: {}", list(extra)))
    };
    set(s, status, types::CIDRS_VALIDATED, ConditionStatus::True, reason, message);
    Ok(())
}

/// Address and prefix length of a network in CIDR notation, host bits cut off.
fn network(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = cidr.trim().split_once('/')?;
    let length: u8 = length.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Some((IpAddr::V4((u32::from(address) & mask).into()), length))
        }
        IpAddr::V6(address) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Some((IpAddr::V6((u128::from(address) & mask).into()), length))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Refused while a policy names the cluster (rule S23); then what was delivered is taken back.
fn delete(s: &Snapshot, plan: &mut Plan) {
    if !s.policies.is_empty() {
        let message = format!("the cluster cannot be deleted while it is part of DRPolicy {}", s.policies.join(", "));
        set(s, &mut plan.status, types::VALIDATED, ConditionStatus::False, reasons::VALIDATION_FAILED, message);
        return;
    }
    let mut gone = true;
    for (name, work) in [(names::DRCLUSTERCONFIG_WORK, &s.config_work), (names::DRCLUSTER_WORK, &s.operator_work)] {
        match work {
            Seen::Present(work) => {
                if work.metadata.deletion_timestamp.is_none() {
                    let uid = work.metadata.uid.clone().unwrap_or_default();
                    plan.actions.push(Action::DeleteWork { name, uid });
                }
                // The roles stay until the configuration has gone: the work agent needs them for that.
                return;
            }
            Seen::Unknown(_) => {
                gone = false;
                plan.retry = true;
            }
            Seen::Absent => {}
        }
    }
    if gone {
        plan.actions.push(Action::Release);
    }
}

fn set(s: &Snapshot, status: &mut DRClusterStatus, type_: &str, value: ConditionStatus, reason: &str, message: String) {
    let generation = s.drcluster.metadata.generation.unwrap_or_default();
    let now = kaedama_shared::clock::whole_seconds(s.now);
    condition::set(&mut status.conditions, Condition::new(type_, value, reason, message, generation), now);
}

#[cfg(test)]
mod tests;
