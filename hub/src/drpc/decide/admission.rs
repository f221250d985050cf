//! Whether the DRPC makes sense at all: an ordered list of named checks. A refusal names the field and the remedy, and
//! nothing is done until it is mended.

use kaedama_shared::api::conditions::drpolicy::VALIDATED;
use kaedama_shared::api::reasons::drpolicy as reasons;
use kaedama_shared::api::{DRAction, condition};
use kaedama_shared::names;
use kaedama_shared::seen::Seen;

use super::super::plan::{Action, Ownership};
use super::super::snapshot::Snapshot;
use super::draft::Draft;

/// Reasons of a policy that is not valid because its clusters or their stores do not answer.
const LOST_WITH_A_CLUSTER: [&str; 2] = [reasons::DR_CLUSTER_DETAILS_FAILED, reasons::DR_CLUSTERS_UNAVAILABLE];

/// Why nothing is done.
pub(super) struct Refusal {
    /// Names the field and the remedy.
    pub(super) message: String,
    /// Comes of a view that cannot be believed at the moment: nobody has to do anything, and no event will tell.
    pub(super) passing: bool,
}

impl Refusal {
    /// Somebody has to mend it.
    pub(super) fn by_user(message: String) -> Self {
        Refusal { message, passing: false }
    }
}

type Check = fn(&Snapshot) -> Result<(), String>;

/// In the order in which a user would mend them.
const CHECKS: [Check; 9] =
    [configuration, placement, namespaces, conflict, policy, clusters, decisions, action, not_built];

/// All checks.
pub(super) fn check(s: &Snapshot) -> Result<(), Refusal> {
    let passing = !s.placement.is_conclusive()
        || !s.policy.is_conclusive()
        || s.sites.iter().any(|site| !site.drcluster.is_conclusive());
    CHECKS.iter().try_for_each(|check| check(s)).map_err(|message| Refusal { message, passing })
}

/// The application has been placed by this hub, or by the one before it. What is refused to a newcomer must not keep such
/// an application from being failed over.
fn is_established(s: &Snapshot) -> bool {
    s.annotation(names::ACTION_RECORD).is_some_and(|record| !record.is_empty())
        || s.annotation(names::LAST_APP_DEPLOYMENT_CLUSTER).is_some_and(|cluster| !cluster.is_empty())
}

fn configuration(s: &Snapshot) -> Result<(), String> {
    s.config.as_ref().map(|_| ()).map_err(|why| format!("the operator's configuration cannot be read: {why}"))
}

fn placement(s: &Snapshot) -> Result<(), String> {
    let reference = &s.drpc.spec.placement_ref;
    let name = reference.name.as_deref().unwrap_or_default();
    let own = s.drpc.metadata.namespace.as_deref().unwrap_or_default();
    if reference.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty() && namespace != own) {
        return Err(format!(
            "spec.placementRef.namespace must be {own}, the namespace of the DRPlacementControl, or be left out"
        ));
    }
    let placement = match &s.placement {
        Seen::Present(placement) => placement,
        Seen::Absent => {
            return Err(format!("spec.placementRef: there is no Placement {name} in namespace {own}; create it"));
        }
        Seen::Unknown(why) => return Err(format!("spec.placementRef: Placement {name} is not known: {why}")),
    };
    let disabled = placement.annotations.get(names::SCHEDULING_DISABLE).is_some_and(|value| value != "false");
    if !disabled {
        return Err(format!(
            "Placement {name} is scheduled by Open Cluster Management, which would fight over its decisions: annotate it \
             with {}: \"true\"",
            names::SCHEDULING_DISABLE
        ));
    }
    let owner = |key: &str| placement.annotations.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let drpc = s.drpc.metadata.name.as_deref().unwrap_or_default();
    for (key, mine) in [(names::DRPC_NAME, drpc), (names::DRPC_NAMESPACE, own)] {
        if owner(key).is_some_and(|theirs| theirs != mine) {
            return Err(format!(
                "Placement {name} is not owned by this DRPC but by {}/{}; use another Placement, or delete that DRPC",
                owner(names::DRPC_NAMESPACE).unwrap_or_default(),
                owner(names::DRPC_NAME).unwrap_or_default()
            ));
        }
    }
    Ok(())
}

fn namespaces(s: &Snapshot) -> Result<(), String> {
    let ops = s.config.as_ref().map(|settings| settings.ops_namespace.as_str()).unwrap_or_default();
    let discovered = s.drpc.metadata.namespace.as_deref() == Some(ops);
    let protected = &s.drpc.spec.protected_namespaces;
    if discovered && protected.is_empty() {
        return Err(format!("spec.protectedNamespaces must name the application's namespaces in namespace {ops}"));
    }
    if discovered && protected.iter().any(|namespace| namespace == ops) {
        return Err(format!("spec.protectedNamespaces must not contain {ops}"));
    }
    if !discovered && !protected.is_empty() {
        return Err(format!("spec.protectedNamespaces is allowed in namespace {ops} only; remove it"));
    }
    Ok(())
}

fn conflict(s: &Snapshot) -> Result<(), String> {
    s.conflict.clone().map_or(Ok(()), Err)
}

fn policy(s: &Snapshot) -> Result<(), String> {
    let name = s.drpc.spec.dr_policy_ref.name.as_deref().unwrap_or_default();
    let policy = match &s.policy {
        Seen::Present(policy) => policy,
        Seen::Absent => return Err(format!("spec.drPolicyRef: there is no DRPolicy {name}; create it")),
        Seen::Unknown(why) => return Err(format!("spec.drPolicyRef: DRPolicy {name} is not known: {why}")),
    };
    if policy.metadata.deletion_timestamp.is_some() {
        // It waits for its applications, and until it goes says that it is not valid. They must be able to fail over.
        return if is_established(s) {
            Ok(())
        } else {
            Err(format!("spec.drPolicyRef: DRPolicy {name} is being deleted"))
        };
    }
    let conditions = policy.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match condition::find(conditions, VALIDATED) {
        Some(validated) if validated.is_true() => Ok(()),
        // What a cluster that is lost takes with it must not keep its applications from leaving it: its storage classes,
        // which a restored hub does not know, and its store. Their groups carry the classes that they were made with.
        Some(validated) if LOST_WITH_A_CLUSTER.contains(&validated.reason.as_str()) && is_established(s) => Ok(()),
        Some(validated) => Err(format!("DRPolicy {name} is not valid: {} ({})", validated.message, validated.reason)),
        None => Err(format!("DRPolicy {name} has not been validated yet")),
    }
}

fn clusters(s: &Snapshot) -> Result<(), String> {
    for site in &s.sites {
        match &site.drcluster {
            Seen::Present(_) => {}
            Seen::Absent => {
                return Err(format!("there is no DRCluster {}, which the DRPolicy names; create it", site.cluster));
            }
            Seen::Unknown(why) => return Err(format!("DRCluster {} is not known: {why}", site.cluster)),
        }
    }
    Ok(())
}

/// Rule S25: who does not know where the application lives must not move it.
fn decisions(s: &Snapshot) -> Result<(), String> {
    s.placement.present().and_then(|placement| placement.decisions.ambiguity()).map_or(Ok(()), Err)
}

fn action(s: &Snapshot) -> Result<(), String> {
    let spec = &s.drpc.spec;
    let known: Vec<&str> = s.sites.iter().map(|site| site.cluster.as_str()).collect();
    let member = |field: &str, cluster: &str| {
        if known.contains(&cluster) {
            Ok(())
        } else {
            Err(format!(
                "spec.{field} is {cluster}, which is not a cluster of the DRPolicy; choose one of {}",
                known.join(", ")
            ))
        }
    };
    if spec.preferred_cluster.is_empty() {
        return Err(format!(
            "spec.preferredCluster is missing: name the cluster where the application lives, one of {}",
            known.join(", ")
        ));
    }
    member("preferredCluster", &spec.preferred_cluster)?;
    match &spec.action {
        Some(DRAction::Failover) if spec.failover_cluster.is_empty() => Err(format!(
            "missing value for spec.failoverCluster: name the cluster to fail over to, one of {}",
            known.join(", ")
        )),
        Some(DRAction::Failover) => member("failoverCluster", &spec.failover_cluster),
        Some(DRAction::Other(other)) => Err(format!("spec.action is {other}; it is Failover, Relocate or left out")),
        Some(DRAction::Relocate) | None => Ok(()),
    }
}

/// What the API has and this version does not do yet is refused, not half done.
fn not_built(s: &Snapshot) -> Result<(), String> {
    let spec = &s.drpc.spec;
    if spec.dry_run {
        return Err("spec.dryRun: test failover is not supported by this version yet; remove it".to_owned());
    }
    if !spec.protected_namespaces.is_empty() {
        return Err(
            "spec.protectedNamespaces: discovered applications are not supported by this version yet".to_owned()
        );
    }
    // An application that has its volumes in groups already stays in charge; its clusters say what they cannot do.
    if s.annotation(names::IS_CG_ENABLED) == Some("true") && !is_established(s) {
        return Err(format!(
            "annotation {}: consistency groups are not supported by this version yet; remove it, and each claim is replicated \
             by itself",
            names::IS_CG_ENABLED
        ));
    }
    let captured = spec.kube_object_protection.is_some()
        && s.config.as_ref().is_ok_and(|settings| !settings.kube_objects_disabled);
    if captured && !is_established(s) {
        return Err(
            "spec.kubeObjectProtection: capture of Kubernetes objects is not supported by this version yet, and a \
                    failover would wait for what was never captured; remove it"
                .to_owned(),
        );
    }
    Ok(())
}

/// Finalizers, identity annotations, backup label and owner: whatever is missing.
pub(super) fn take_ownership(draft: &mut Draft<'_>) {
    let s = draft.s;
    let Some(placement) = s.placement.present() else { return };
    let metadata = &s.drpc.metadata;
    let owned = metadata.owner_references.iter().flatten().any(|owner| owner.uid == placement.id.uid);
    let finalized = metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRPC_FINALIZER);
    let labelled =
        metadata.labels.iter().flatten().any(|(key, value)| key == names::BACKUP && value == names::BACKUP_VALUE);
    if !(owned && finalized && labelled) {
        draft.marks.ownership = Some(Ownership { placement: placement.id.name.clone(), uid: placement.id.uid.clone() });
    }
    if s.annotation(names::APP_NAMESPACE).is_none() {
        draft.marks.app_namespace = Some(s.vrg_namespace.clone());
    }
    let claimed = placement.finalizers.iter().any(|finalizer| finalizer == names::DRPC_FINALIZER)
        && placement.annotations.get(names::DRPC_NAME) == metadata.name.as_ref()
        && placement.annotations.get(names::DRPC_NAMESPACE) == metadata.namespace.as_ref();
    if !claimed {
        draft.actions.push(Action::ClaimPlacement(placement.id.clone()));
    }
}
