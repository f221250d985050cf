//! The gates of an action: ordered, named checks over the snapshot.
//!
//! Each gate states one safety rule. The permits that allow a VRG to change sides can be made here only, after every
//! gate of the action was passed.

use kaedama_shared::api::conditions::maintenance_mode::FAILOVER_ACTIVATED;
use kaedama_shared::api::conditions::{drcluster as drcluster_types, vrg as vrg_types};
use kaedama_shared::api::{DRAction, DRState, MMode, Progression, VolumeReplicationGroup, condition};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::dr_type::DrType;
use super::super::facts::{self, Says};
use super::super::plan::{DemotePermit, Owner, Permit, PromotePermit, Waiting};
use super::super::snapshot::{Site, Snapshot};

/// A gate that is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// The progression to show.
    pub progression: Progression,
    /// What opens it.
    pub waiting: Waiting,
}

impl Shut {
    fn new(progression: Progression, owner: Owner, what: impl Into<String>) -> Self {
        Shut { progression, waiting: Waiting::on(owner, what) }
    }

    /// Shut by a cluster that is away.
    fn absent(progression: Progression, owner: Owner, what: impl Into<String>) -> Self {
        Shut { progression, waiting: Waiting::on_absent(owner, what) }
    }
}

/// The gates that an action has to pass before its record is written, and the step that it then begins with.
pub(super) fn entry(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<Step, Shut> {
    match record.kind {
        // Its first half has been through the gates.
        _ if record.is_way_back() => Ok(Step::Quiescing),
        ActionKind::Failover | ActionKind::Relocate if stays_home(s, record) => Ok(Step::Promoting),
        ActionKind::Failover => failover(s, record, dr_type).map(|_| Step::Promoting),
        ActionKind::Relocate => relocate_may_begin(s, record, dr_type).map(|()| Step::Quiescing),
        // The first placement has no gate of its own.
        ActionKind::Deploy => Ok(Step::Promoting),
    }
}

/// A relocate to where the application is: its VRG was never told to let go, so nothing has to be brought to rest.
fn stays_home(s: &Snapshot, record: &ActionRecord) -> bool {
    record.from.is_empty()
        && s.site(&record.to)
            .and_then(Site::asked)
            .is_some_and(|work| facts::is_primary(&work.vrg) && !work.vrg.spec.run_final_sync)
}

/// The target's site; a record never names a cluster outside of the policy, unless the policy was replaced.
fn site<'a>(s: &'a Snapshot, cluster: &str) -> Result<&'a Site, Shut> {
    s.site(cluster).ok_or_else(|| {
        Shut::new(
            Progression::CheckingFailoverPrerequisites,
            Owner::User,
            format!("cluster {cluster} is not part of the DRPolicy any more"),
        )
    })
}

/// The target answers, and is settled on one side (rule S1).
fn target_is_settled(s: &Snapshot, record: &ActionRecord) -> Result<(), Shut> {
    let progression = Progression::CheckingFailoverPrerequisites;
    let target = site(s, &record.to)?;
    if let Err(why) = &target.reachable {
        return Err(Shut::absent(
            progression,
            Owner::User,
            format!("target cluster {} cannot be reached: {why}", record.to),
        ));
    }
    match &target.vrg {
        Seen::Present(_) if !target.in_step() => Err(Shut::new(
            progression,
            Owner::System,
            format!("{} has not yet taken up the last change of its VolumeReplicationGroup", record.to),
        )),
        Seen::Present(vrg) if facts::is_primary(vrg) || facts::is_settled_secondary(vrg) => Ok(()),
        Seen::Present(vrg) => Err(Shut::new(
            progression,
            Owner::Storage,
            format!(
                "the VolumeReplicationGroup on {} is not a settled secondary: {}",
                record.to,
                facts::unsettled(vrg)
            ),
        )),
        Seen::Absent => Err(Shut::new(
            progression,
            Owner::System,
            format!("there is no VolumeReplicationGroup on {}: the application was never protected there", record.to),
        )),
        Seen::Unknown(why) => Err(Shut::new(
            progression,
            Owner::System,
            format!("the VolumeReplicationGroup on {} is not known: {why}", record.to),
        )),
    }
}

/// Both clusters use one storage: the old home must be fenced off first (rule S2).
fn source_is_fenced(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<(), Shut> {
    if dr_type == DrType::Async || record.from.is_empty() {
        return Ok(());
    }
    let fenced = s.site(&record.from).and_then(|site| site.drcluster.present()).is_some_and(|drcluster| {
        drcluster.status.as_ref().is_some_and(|status| {
            let generation = drcluster.metadata.generation.unwrap_or_default();
            condition::is_true_at(&status.conditions, drcluster_types::FENCED, generation)
        })
    });
    if fenced {
        return Ok(());
    }
    Err(Shut::new(
        Progression::WaitForFencing,
        Owner::User,
        format!(
            "cluster {0} must be fenced before its storage may be taken over: set spec.clusterFence of DRCluster {0} to \
             ManuallyFenced once it is certain that nothing there can write",
            record.from
        ),
    ))
}

/// Storage that needs a maintenance mode has to be in it before any volume is promoted by force (rule S8).
fn maintenance_is_active(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<(), Shut> {
    if dr_type == DrType::Sync {
        return Ok(());
    }
    // The source's last report is good enough to learn which storage is involved, however old it is: the work keeps it.
    // One that was demoted since lists its claims without their replication ids.
    let mut sources: Vec<&VolumeReplicationGroup> = s.others(&record.to).filter_map(last_as_primary).collect();
    if sources.is_empty() {
        match &s.stored {
            Seen::Present(vrg) => sources.push(vrg),
            Seen::Absent => {}
            // Evidence that cannot be had is no permission.
            Seen::Unknown(why) => {
                return Err(Shut::new(
                    Progression::WaitForStorageMaintenanceActivation,
                    Owner::System,
                    format!(
                        "which storage the application's volumes are on is not known, so nobody can tell whether it needs \
                         a maintenance mode: no report of the former home as primary is left, and the stores: {why}"
                    ),
                ));
            }
        }
    }
    let needs = sources
        .iter()
        .filter_map(|vrg| vrg.status.as_ref())
        .flat_map(|status| &status.protected_pvcs)
        .filter(|pvc| pvc.replication_id.modes.contains(&MMode::Failover));
    let target = site(s, &record.to)?;
    let active = target.drcluster.present().and_then(|drcluster| drcluster.status.as_ref());
    for pvc in needs {
        let (provisioner, id) = (&pvc.csi_provisioner, &pvc.replication_id.id);
        let activated = active.is_some_and(|status| {
            status.maintenance_modes.iter().any(|mode| {
                mode.storage_provisioner == *provisioner
                    && mode.target_id == *id
                    && condition::is_true(&mode.conditions, FAILOVER_ACTIVATED)
            })
        });
        if !activated {
            return Err(Shut::new(
                Progression::WaitForStorageMaintenanceActivation,
                Owner::Storage,
                format!(
                    "storage {provisioner} (replication {id}) asks for maintenance mode Failover on {} before a \
                     failover; it is not active there, and this version does not activate it",
                    record.to
                ),
            ));
        }
    }
    Ok(())
}

/// What a cluster last said of its VRG, however long ago, if it was primary then.
fn last_as_primary(site: &Site) -> Option<&VolumeReplicationGroup> {
    let last = site.vrg.present().or_else(|| site.work.present()?.last_report.as_ref());
    last.filter(|vrg| facts::is_primary(vrg))
}

/// A failover that has no report of the former home has to learn from the stores which storage is involved.
pub(super) fn needs_stores(s: &Snapshot) -> bool {
    let spec = &s.drpc.spec;
    let placed = s.drpc.status.as_ref().is_some_and(|status| status.phase == DRState::FailedOver);
    spec.action == Some(DRAction::Failover)
        && !placed
        && !s.sites.is_empty()
        && s.others(&spec.failover_cluster).all(|site| last_as_primary(site).is_none())
}

/// All gates of a failover, in order.
fn failover(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<PromotePermit, Shut> {
    debug_assert_eq!(record.kind, ActionKind::Failover);
    target_is_settled(s, record)?;
    source_is_fenced(s, record, dr_type)?;
    maintenance_is_active(s, record, dr_type)?;
    Ok(PromotePermit { action: record.id.clone() })
}

/// A relocate needs to know where every cluster stands (rule S4).
fn all_clusters_answer(s: &Snapshot) -> Result<(), Shut> {
    for site in &s.sites {
        let why = match (&site.reachable, &site.vrg) {
            (Err(why), _) | (Ok(()), Seen::Unknown(why)) => why,
            (Ok(()), Seen::Present(_) | Seen::Absent) => continue,
        };
        let what = format!("a relocate needs every cluster, and {} cannot be asked: {why}", site.cluster);
        return Err(match site.reachable {
            Ok(()) => Shut::new(Progression::PreparingFinalSync, Owner::System, what),
            Err(_) => Shut::absent(Progression::PreparingFinalSync, Owner::System, what),
        });
    }
    Ok(())
}

/// At most one primary: otherwise nobody knows which data are the right ones (rule S5).
fn one_source(s: &Snapshot) -> Result<(), Shut> {
    let primaries: Vec<&str> = s
        .sites
        .iter()
        .filter(|site| site.vrg.present().is_some_and(|vrg| facts::is_primary(vrg) && !vrg.spec.dry_run))
        .map(|site| site.cluster.as_str())
        .collect();
    if primaries.len() <= 1 {
        return Ok(());
    }
    Err(Shut::new(
        Progression::PreparingFinalSync,
        Owner::User,
        format!("the application is primary on more than one cluster ({})", primaries.join(", ")),
    ))
}

/// What has to hold before the source of a relocate is touched at all (rules S3 to S7).
fn relocate_may_begin(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<(), Shut> {
    let shut = |owner, what: String| Err(Shut::new(Progression::PreparingFinalSync, owner, what));
    all_clusters_answer(s)?;
    one_source(s)?;
    target_may_take_over(s, record)?;
    let target = site(s, &record.to)?;
    if dr_type == DrType::Sync {
        let fenced = target.drcluster.present().and_then(|drcluster| drcluster.status.as_ref()).is_some_and(|status| {
            condition::find(&status.conditions, drcluster_types::FENCED).is_some_and(|fenced| !fenced.is_false())
        });
        if fenced {
            return shut(
                Owner::User,
                format!(
                    "target cluster {0} is fenced: set spec.clusterFence of DRCluster {0} to ManuallyUnfenced first",
                    record.to
                ),
            );
        }
    }
    if record.from.is_empty() {
        return Ok(());
    }
    let source = site(s, &record.from)?;
    let Some(vrg) = source.vrg.present() else {
        return shut(
            Owner::System,
            format!("there is no VolumeReplicationGroup on {}, where the application lives", record.from),
        );
    };
    source_is_protected(record, vrg)
}

/// All of the source's claims are replicated and stored (rule S7). What is not, the target would start without.
fn source_is_protected(record: &ActionRecord, vrg: &VolumeReplicationGroup) -> Result<(), Shut> {
    for type_ in [vrg_types::DATA_READY, vrg_types::CLUSTER_DATA_PROTECTED] {
        let why = match facts::says(vrg, type_) {
            Says::True => continue,
            Says::False(condition) => format!("{} ({})", condition.message, condition.reason),
            Says::Nothing => "not known for the current generation".to_owned(),
        };
        return Err(Shut::new(
            Progression::PreparingFinalSync,
            Owner::Storage,
            format!("{} does not report {type_}: {why}", record.from),
        ));
    }
    Ok(())
}

/// The target of a relocate stands by. One without a VRG holds no replica, one that is on its way to being a secondary
/// may not have it yet.
fn target_may_take_over(s: &Snapshot, record: &ActionRecord) -> Result<(), Shut> {
    let target = site(s, &record.to)?;
    let shut = |owner, what: String| Err(Shut::new(Progression::PreparingFinalSync, owner, what));
    match &target.vrg {
        Seen::Present(_) if !target.in_step() => shut(
            Owner::System,
            format!("{} has not yet taken up the last change of its VolumeReplicationGroup", record.to),
        ),
        Seen::Present(vrg) if facts::is_settled_secondary(vrg) => Ok(()),
        Seen::Present(vrg) if facts::is_primary(vrg) && record.from.is_empty() => Ok(()),
        Seen::Present(vrg) => {
            shut(Owner::Storage, format!("{} is not a settled secondary: {}", record.to, facts::unsettled(vrg)))
        }
        Seen::Absent => {
            shut(Owner::System, format!("there is no VolumeReplicationGroup on {}: it holds no replica", record.to))
        }
        Seen::Unknown(why) => {
            shut(Owner::System, format!("the VolumeReplicationGroup on {} is not known: {why}", record.to))
        }
    }
}

/// The last look before the application is stopped: the way back from there is long. The source has prepared, and the
/// target is still there to take over; and a claim that was added since the relocate began is protected as well.
pub(super) fn source_may_be_stopped(s: &Snapshot, record: &ActionRecord, source: &Site) -> Result<(), Shut> {
    let prepared = source.answer(record).filter(|vrg| {
        vrg.spec.prepare_for_final_sync
            && facts::is_observed(vrg)
            && vrg.status.as_ref().is_some_and(|status| status.prepare_for_final_sync_complete)
    });
    let Some(vrg) = prepared else {
        let what = format!("{} prepares the final sync", source.cluster);
        return Err(Shut::new(Progression::PreparingFinalSync, Owner::Storage, what));
    };
    if record.is_way_back() {
        return Ok(());
    }
    source_is_protected(record, vrg)?;
    all_clusters_answer(s)?;
    target_may_take_over(s, record)
}

/// The source of a relocate has come to rest: the application has let go, the last sync is done.
pub(super) fn source_may_be_demoted(record: &ActionRecord, source: &Site) -> Result<DemotePermit, Shut> {
    let done = source.answer(record).is_some_and(|vrg| {
        vrg.spec.run_final_sync
            && facts::is_observed(vrg)
            && vrg.status.as_ref().is_some_and(|status| status.final_sync_complete)
    });
    if done {
        return Ok(DemotePermit { action: record.id.clone() });
    }
    Err(Shut::new(
        Progression::RunningFinalSync,
        Owner::Storage,
        format!("the final sync on {} is not complete", source.cluster),
    ))
}

/// What to do where the way back waits for a peer that may never come.
fn way_out(s: &Snapshot, record: &ActionRecord) -> String {
    let lost = s.others(&record.to).find(|site| site.reachable.is_err());
    match lost.filter(|_| record.kind == ActionKind::Relocate) {
        Some(lost) => format!(
            "; {} cannot be reached: if it is lost, set spec.action to Failover and spec.failoverCluster to {}",
            lost.cluster, record.to
        ),
        None => String::new(),
    }
}

/// Every cluster is a settled secondary, and every one but the target has handed all data over (rule S10).
pub(super) fn relocate_may_promote(s: &Snapshot, record: &ActionRecord) -> Result<PromotePermit, Shut> {
    let shut = |site: &Site, what: &str| {
        Err(Shut::new(
            Progression::EnsuringVolumesAreSecondary,
            Owner::Storage,
            format!("waiting for {}: {what}", site.cluster),
        ))
    };
    if record.is_way_back() {
        // Called off on the way: no other cluster was ever told to be primary, so only this one has to be at rest.
        let home = site(s, &record.to)?;
        return match home.answer(record) {
            Some(vrg) if facts::is_settled_secondary(vrg) => Ok(PromotePermit { action: record.id.clone() }),
            Some(vrg) => shut(home, &format!("{}{}", facts::unsettled(vrg), way_out(s, record))),
            None => shut(home, "it has not yet taken up the change"),
        };
    }
    all_clusters_answer(s)?;
    target_may_take_over(s, record)?;
    for site in s.others(&record.to) {
        let why = match (site.answer(record), site.vrg.is_absent()) {
            (Some(vrg), _) if facts::is_settled_secondary(vrg) && facts::holds(vrg, vrg_types::DATA_PROTECTED) => {
                continue;
            }
            (Some(vrg), _) => match facts::says(vrg, vrg_types::DATA_READY) {
                Says::False(condition) => condition.message.clone(),
                Says::True | Says::Nothing => "its volumes are not yet secondary and in sync".to_owned(),
            },
            (None, false) => "it has not yet taken up the demotion".to_owned(),
            (None, true) => {
                "its VolumeReplicationGroup is gone, so nobody can tell whether its data arrived".to_owned()
            }
        };
        return shut(site, &why);
    }
    Ok(PromotePermit { action: record.id.clone() })
}

/// An action is recorded as promoting only after its gates were passed (a first placement: after recovery found that
/// no cluster has anything to promote), so the record is the proof.
pub(super) fn passed(record: &ActionRecord) -> Permit {
    match record.step {
        Step::Promoting | Step::Placed | Step::Completed => {
            Permit::Promote(PromotePermit { action: record.id.clone() })
        }
        Step::Accepted | Step::Quiescing => Permit::SameSide,
    }
}

/// The application lives on the action's target: every other cluster may become, or stay, a secondary.
pub(super) fn former_home_may_be_demoted(record: &ActionRecord, target: &Site) -> Option<DemotePermit> {
    target.answer(record).filter(|vrg| facts::is_ready_primary(vrg)).map(|_| DemotePermit { action: record.id.clone() })
}
