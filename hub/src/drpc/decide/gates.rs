//! The gates of an action: ordered, named checks over the snapshot.
//!
//! Each gate states one safety rule. The permits that allow a VRG to change sides can be made here only, after every
//! gate of the action was passed.

use kaedama_shared::api::conditions::maintenance_mode::FAILOVER_ACTIVATED;
use kaedama_shared::api::conditions::{drcluster as drcluster_types, vrg as vrg_types};
use kaedama_shared::api::{MMode, Progression, condition};
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kaedama_shared::seen::Seen;

use super::super::facts::{self, Says};
use super::super::plan::{DemotePermit, Owner, Permit, PromotePermit, Waiting};
use super::super::dr_type::DrType;
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
        return Err(Shut::new(progression, Owner::User, format!("target cluster {} cannot be reached: {why}", record.to)));
    }
    match &target.vrg {
        Seen::Present(vrg) if facts::is_primary(vrg) || facts::is_settled_secondary(vrg) => Ok(()),
        Seen::Present(_) => Err(Shut::new(
            progression,
            Owner::Storage,
            format!("the VolumeReplicationGroup on {} is not a settled secondary yet", record.to),
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
    let needs = s
        .sites
        .iter()
        .filter(|site| site.cluster != record.to)
        .filter_map(|site| site.work.present().map(|work| &work.last_report).and_then(|report| report.as_ref()))
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

/// All gates of a failover, in order.
pub fn failover(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<PromotePermit, Shut> {
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
        return Err(Shut::new(
            Progression::PreparingFinalSync,
            Owner::System,
            format!("a relocate needs every cluster, and {} cannot be asked: {why}", site.cluster),
        ));
    }
    Ok(())
}

/// At most one primary: otherwise nobody knows which data are the right ones (rule S5).
fn one_source(s: &Snapshot) -> Result<(), Shut> {
    let primaries: Vec<&str> = s
        .sites
        .iter()
        .filter(|site| {
            site.vrg.present().is_some_and(|vrg| facts::is_primary(vrg) && !vrg.spec.dry_run)
        })
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
pub fn relocate_may_begin(s: &Snapshot, record: &ActionRecord, dr_type: DrType) -> Result<(), Shut> {
    all_clusters_answer(s)?;
    one_source(s)?;
    let target = site(s, &record.to)?;
    if dr_type == DrType::Sync {
        let fenced = target.drcluster.present().and_then(|drcluster| drcluster.status.as_ref()).is_some_and(|status| {
            condition::find(&status.conditions, drcluster_types::FENCED).is_some_and(|fenced| !fenced.is_false())
        });
        if fenced {
            return Err(Shut::new(
                Progression::PreparingFinalSync,
                Owner::User,
                format!(
                    "target cluster {0} is fenced: set spec.clusterFence of DRCluster {0} to ManuallyUnfenced first",
                    record.to
                ),
            ));
        }
    }
    let Some(source) = s.site(&record.from).and_then(|site| site.vrg.present()) else {
        return Ok(());
    };
    for type_ in [vrg_types::DATA_READY, vrg_types::CLUSTER_DATA_PROTECTED] {
        let why = match facts::says(source, type_) {
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

/// The source of a relocate has come to rest: the application has let go, the last sync is done.
pub fn source_may_be_demoted(record: &ActionRecord, source: &Site) -> Result<DemotePermit, Shut> {
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

/// Every cluster is a settled secondary, and every one but the target has handed all data over (rule S10).
pub fn relocate_may_promote(s: &Snapshot, record: &ActionRecord) -> Result<PromotePermit, Shut> {
    all_clusters_answer(s)?;
    for site in &s.sites {
        let is_target = site.cluster == record.to;
        let what = match &site.vrg {
            Seen::Absent if is_target => continue,
            Seen::Present(vrg) if is_target && (facts::is_settled_secondary(vrg) || facts::is_primary(vrg)) => continue,
            Seen::Present(_) if !is_target => match site.answer(record) {
                Some(vrg) if facts::is_settled_secondary(vrg) && facts::holds(vrg, vrg_types::DATA_PROTECTED) => continue,
                Some(vrg) => match facts::says(vrg, vrg_types::DATA_READY) {
                    Says::False(condition) => condition.message.clone(),
                    Says::True | Says::Nothing => "its volumes are not yet secondary and in sync".to_owned(),
                },
                None => "it has not yet taken up the demotion".to_owned(),
            },
            Seen::Present(_) => "its VolumeReplicationGroup is not a settled secondary".to_owned(),
            Seen::Absent => "its VolumeReplicationGroup is gone, so nobody can tell whether its data arrived".to_owned(),
            Seen::Unknown(why) => why.clone(),
        };
        return Err(Shut::new(
            Progression::EnsuringVolumesAreSecondary,
            Owner::Storage,
            format!("waiting for {}: {what}", site.cluster),
        ));
    }
    Ok(PromotePermit { action: record.id.clone() })
}

/// An action is recorded as promoting only after its gates were passed (a first placement: after recovery found that
/// no cluster has anything to promote), so the record is the proof.
pub fn passed(record: &ActionRecord) -> Permit {
    match record.step {
        Step::Promoting | Step::Placed | Step::Completed => {
            Permit::Promote(PromotePermit { action: record.id.clone() })
        }
        Step::Accepted | Step::Quiescing => Permit::SameSide,
    }
}

/// The application lives on the action's target: every other cluster may become, or stay, a secondary.
pub fn former_home_may_be_demoted(record: &ActionRecord, target: &Site) -> Option<DemotePermit> {
    target.answer(record).filter(|vrg| facts::is_ready_primary(vrg)).map(|_| DemotePermit { action: record.id.clone() })
}
