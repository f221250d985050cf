//! Whether volumes and claims have to be restored before anything else, and how.
//!
//! The condition ClusterDataReady is the memory: each change from secondary to primary restores once, edits of a
//! primary do not. Nothing is promoted without the [`ClusterData`] that is made here.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::api::conditions::vrg as condition_type;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::api::{Condition, condition};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;

use super::adopt;
use super::choice::{self, is_own};
use crate::vrg::evidence::{ClusterData, LetGo, Proven};
use crate::vrg::order::{Mode, Order};
use crate::vrg::owner::Owner;
use crate::vrg::plan::{Action, Verdict, VolumePlan};
use crate::vrg::recovery;
use crate::vrg::snapshot::{EpochClaim, ObjectId, Recovery, Snapshot, StoreRead, StoredSet, Volume, annotation};

/// What is to be done about the cluster data.
#[derive(Clone, Debug, PartialEq)]
pub enum Restore {
    /// It is there: go on.
    Settled(ClusterData, Verdict),
    /// The stores have to be read first.
    Read,
    /// Whether the replications of these claims are gone has to be read first.
    Ask(BTreeSet<ObjectKey>),
    /// These steps bring it.
    Act {
        /// Before the volumes.
        first: Vec<Action>,
        /// Volume and claim of each pair.
        pairs: Vec<VolumePlan>,
        /// What is reported while they run.
        verdict: Verdict,
    },
    /// It cannot be brought now.
    Blocked(Verdict),
}

/// Decides about the cluster data of a primary.
#[must_use]
pub fn restore(snapshot: &Snapshot, order: &Order) -> Restore {
    let settled = |text: &str| Restore::Settled(ClusterData::settled(), Verdict::yes(reason::RESTORED, text));
    let last = condition::find(snapshot.conditions(), condition_type::CLUSTER_DATA_READY);
    if order.final_sync.any() {
        return settled("not restored while a relocation is being prepared");
    }
    if !is_needed(last, snapshot.generation()) {
        return settled(last.map_or("restored", |condition| condition.message.as_str()));
    }
    if let Some(why) = volsync(snapshot) {
        return Restore::Blocked(Verdict::no(reason::ERROR, why));
    }
    if order.without_store {
        let is_fit = order.deploys || is_consented(snapshot, order) || snapshot.volumes.iter().any(|it| it.selected);
        if is_fit {
            return settled("nothing to restore: the group is kept without a store");
        }
        let why = format!(
            "the group is kept without a store, and none of its claims is here: the application would start on empty volumes. \
             Make its volumes and claims here by hand; or, to start without them, annotate the group with {}={}",
            names::ACCEPT_EMPTY_S3,
            choice::consent(order)
        );
        return Restore::Blocked(Verdict::waits(reason::ERROR, why));
    }
    if order.profiles.is_empty() {
        let why = "spec.s3Profiles is empty: there is no store to restore from";
        return Restore::Blocked(Verdict::no(reason::ERROR, why));
    }
    match &snapshot.recovery {
        None => Restore::Read,
        Some(recovery) => from_stores(snapshot, order, recovery),
    }
}

/// What permits a promotion outside of the normal course: only what an earlier pass has recorded.
#[must_use]
pub fn settled_before(snapshot: &Snapshot) -> Option<ClusterData> {
    let last = condition::find(snapshot.conditions(), condition_type::CLUSTER_DATA_READY);
    (!is_needed(last, snapshot.generation()) && last.is_some_and(|last| last.reason == reason::RESTORED))
        .then(ClusterData::settled)
}

fn is_needed(last: Option<&Condition>, generation: i64) -> bool {
    match last {
        Some(condition) if condition.is_true() => {
            condition.observed_generation != generation && condition.reason != reason::RESTORED
        }
        _ => true,
    }
}

/// Claims that VolSync received here are in no store: a primary without them would start empty.
fn volsync(snapshot: &Snapshot) -> Option<String> {
    let received = &snapshot.vrg.spec.vol_sync.rd_spec;
    let claims: Vec<&str> = received.iter().map(|destination| destination.protected_pvc.name.as_str()).collect();
    (!received.is_empty()).then(|| {
        format!(
            "spec.volSync.rdSpec: restoring with VolSync is not built yet; what it received here of claims {} would be \
             left aside. Let RamenDR's operator do this action; or make these claims from their ReplicationDestinations by \
             hand and then remove spec.volSync.rdSpec",
            claims.join(", ")
        )
    })
}

/// A person has said that the application may start without its data.
fn is_consented(snapshot: &Snapshot, order: &Order) -> bool {
    snapshot.annotation(names::ACCEPT_EMPTY_S3) == Some(choice::consent(order))
}

fn from_stores(snapshot: &Snapshot, order: &Order, recovery: &Recovery) -> Restore {
    if let EpochClaim::Refused(why) = &recovery.claim {
        return Restore::Blocked(Verdict::no(reason::ERROR, why.clone()));
    }
    let chosen = match choice::choose(order, recovery, is_consented(snapshot, order) || lives_here(snapshot)) {
        Ok(chosen) => chosen,
        Err(verdict) => return Restore::Blocked(verdict),
    };
    let unclaimed = matches!(recovery.claim, EpochClaim::Open) && !order.dry_run;
    let claim = (unclaimed && order.writer.takes_over).then_some(Action::ClaimEpoch);
    let (pairs, problems, asks) = match chosen.set {
        None => (Vec::new(), Vec::new(), BTreeSet::new()),
        Some(set) => pairs(snapshot, order, recovery, set),
    };
    if !asks.is_empty() {
        return Restore::Ask(asks);
    }
    let unfinished = pairs.iter().any(|pair| !pair.actions.is_empty());
    if claim.is_none() && !unfinished {
        return match problems.is_empty() {
            true => Restore::Settled(ClusterData::settled(), Verdict::yes(reason::RESTORED, chosen.describe(recovery))),
            false => Restore::Blocked(Verdict::waits(reason::ERROR, problems.join(". "))),
        };
    }
    let verdict = match problems.is_empty() {
        true => Verdict::no(reason::ERROR, format!("being restored {}", chosen.origin())),
        false => Verdict::waits(reason::ERROR, problems.join(". ")),
    };
    Restore::Act { first: claim.into_iter().collect(), pairs, verdict }
}

/// The claim that a volume is for.
#[must_use]
pub fn claim_of(volume: &PersistentVolume) -> Option<ObjectKey> {
    let reference = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey::namespaced(reference.namespace.clone()?, reference.name.clone()?))
}

/// The group was made anew around an application that runs here: its claims are bound, and older than the group.
fn lives_here(snapshot: &Snapshot) -> bool {
    let made = snapshot.vrg.metadata.creation_timestamp.as_ref();
    let mut selected = snapshot.volumes.iter().filter(|volume| volume.selected).peekable();
    selected.peek().is_some()
        && selected.all(|volume| {
            let of_claim = volume.claim.metadata.creation_timestamp.as_ref();
            let older = made.zip(of_claim).is_some_and(|(made, of_claim)| of_claim.0 < made.0);
            older && volume.bound() && !volume.deleting()
        })
}

/// The steps of each pair of volume and claim, what stands in the way of others, and the claims of which it has to be
/// read whether their replication is gone.
fn pairs(
    snapshot: &Snapshot,
    order: &Order,
    recovery: &Recovery,
    set: &StoredSet,
) -> (Vec<VolumePlan>, Vec<String>, BTreeSet<ObjectKey>) {
    let group = snapshot.key();
    let (mut problems, mut asks) = (Vec::new(), BTreeSet::new());
    let mut plans: BTreeMap<ObjectKey, VolumePlan> = BTreeMap::new();
    let everywhere = is_everywhere(recovery, set);
    let stores: Vec<String> = snapshot.stores.iter().map(|store| store.fingerprint.clone()).collect();
    let stored: BTreeMap<ObjectKey, &PersistentVolumeClaim> =
        set.claims.iter().map(|claim| (ObjectKey::of(claim), claim)).collect();
    let mut with_volume: BTreeSet<ObjectKey> = BTreeSet::new();
    for volume in &set.volumes {
        let name = volume.metadata.name.clone().unwrap_or_default();
        let Some(claim) = claim_of(volume) else {
            problems.push(format!("stored PersistentVolume {name} names no claim"));
            continue;
        };
        with_volume.insert(claim.clone());
        let live_claim = recovery.live_claims.get(&claim).map(|claim| &**claim);
        let own = is_own(order, set);
        if stored.contains_key(&claim)
            && let Some(dying) = dying(snapshot, order, recovery, volume, own)
        {
            match let_go(order, dying) {
                Proven::Yes(evidence) => {
                    let finalizers = dying.claim.metadata.finalizers.clone().unwrap_or_default();
                    let release = Action::ReleaseClaim { id: ObjectId::of(&*dying.claim), finalizers, evidence };
                    plans.insert(claim.clone(), VolumePlan { claim, actions: vec![release], entry: None });
                }
                Proven::NotAsked => drop(asks.insert(claim)),
                Proven::No(why) | Proven::Unknown(why) => {
                    problems.push(format!("{}: {why}", adopt::dying(&dying.claim)));
                }
            }
            continue;
        }
        let mut steps = match volume_steps(snapshot, order, recovery, volume, live_claim, own, everywhere) {
            Ok(steps) => steps,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        match (stored.get(&claim), live_claim) {
            // Data of an older release: volumes are stored, the claims live on in the cluster.
            (None, Some(live)) if adopt::is_bound_to(live, &name) => {}
            (None, _) => problems.push(format!(
                "claim {claim} of stored PersistentVolume {name} is not stored and is not bound to it here"
            )),
            (Some(_), Some(live)) => problems.extend(adopt::claim(live, &name).err()),
            (Some(stored), None) => {
                let fitted = recovery::fit_claim(stored, &group);
                let noted = if everywhere { recovery::noted_claim(fitted, stored, &stores) } else { fitted };
                steps.push(Action::CreateClaim(Box::new(noted)));
            }
        }
        plans.insert(claim.clone(), VolumePlan { claim, actions: steps, entry: None });
    }
    for (key, claim) in stored.iter().filter(|(key, _)| !with_volume.contains(*key)) {
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
        if !recovery.live_claims.get(key).is_some_and(|live| adopt::is_bound_to(live, volume)) {
            problems.push(format!("PersistentVolume {volume} of stored claim {key} is not stored"));
        }
    }
    (plans.into_values().collect(), problems, asks)
}

/// The group's own claim of a stored volume, if somebody deleted it before all is restored. It comes back from the store
/// and must not be held meanwhile, provided that its volume survives it and can be taken again.
fn dying<'a>(
    snapshot: &'a Snapshot,
    order: &Order,
    recovery: &Recovery,
    stored: &PersistentVolume,
    own: bool,
) -> Option<&'a Volume> {
    let claim = claim_of(stored)?;
    let name = stored.metadata.name.as_deref()?;
    let volume = snapshot.volumes.iter().find(|volume| volume.key() == claim)?;
    let live = recovery.live_volumes.get(name)?;
    let survives = live.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref() == Some("Retain");
    let restored = annotation(&live.metadata, names::RESTORED) == Some("True");
    let adoptable = own || restored || matches!(order.mode, Mode::Sync { .. });
    let grouped = volume.consistency_group().is_some();
    let held = volume.owner == Owner::Us && volume.has_finalizer() && volume.deleting() && !grouped;
    (held && volume.pv_name() == name && survives && adoptable).then_some(volume)
}

/// Whether nothing replicates a claim any more; storage that is shared has nothing to ask for.
fn let_go(order: &Order, volume: &Volume) -> Proven<LetGo> {
    match order.mode {
        Mode::Sync { .. } => Proven::Yes(LetGo::unprotected_on_shared_storage(volume.key())),
        Mode::Async { .. } => volume.let_go.clone(),
    }
}

/// Every store was read and holds this very set.
fn is_everywhere(recovery: &Recovery, set: &StoredSet) -> bool {
    let same = |read: &StoreRead| matches!(read, StoreRead::Set(other) if other.capture == set.capture);
    set.capture.is_some() && recovery.stores.iter().all(|(_, read)| same(read))
}

fn volume_steps(
    snapshot: &Snapshot,
    order: &Order,
    recovery: &Recovery,
    stored: &PersistentVolume,
    claim: Option<&PersistentVolumeClaim>,
    own: bool,
    everywhere: bool,
) -> Result<Vec<Action>, String> {
    let name = stored.metadata.name.clone().unwrap_or_default();
    let asynchronous = matches!(order.mode, Mode::Async { .. });
    let class = stored.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    let fit = |volume: &PersistentVolume, with_cluster: bool| {
        let class = snapshot.classes.storage.get(class).ok_or_else(|| {
            format!("StorageClass {class:?} of stored PersistentVolume {name} does not exist on this cluster")
        })?;
        recovery::fit_volume(volume, class, with_cluster)
    };
    let Some(live) = recovery.live_volumes.get(&name) else {
        let fitted = match own {
            true => fit(&recovery::at_home(stored), asynchronous)?,
            false => fit(stored, asynchronous)?,
        };
        let noted = if everywhere { recovery::noted_volume(fitted, stored) } else { fitted };
        return Ok(vec![Action::CreateVolume(Box::new(noted))]);
    };
    match adopt::volume(live, stored, claim, asynchronous, own)? {
        adopt::Live::AsItIs => Ok(Vec::new()),
        // Shared storage: the volume of this cluster is what counts, not the stored copy.
        adopt::Live::MadeToWait => {
            let mut volume = fit(&recovery::at_home(live), false)?;
            volume.metadata.finalizers.clone_from(&live.metadata.finalizers);
            let annotations = volume.metadata.annotations.get_or_insert_default();
            annotations.insert(names::RESTORED.to_owned(), "True".to_owned());
            let policy = live.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
            // One that is retained without our marker is its user's, and stays so when the group is gone.
            if asynchronous && policy != Some("Retain") {
                // It was left to be reclaimed. The storage deletes no secondary, and until this is written nothing is promoted.
                annotations.insert(names::VR_RETAINED.to_owned(), names::RETAINED.to_owned());
                volume.spec.get_or_insert_default().persistent_volume_reclaim_policy = Some("Retain".to_owned());
            }
            Ok(vec![Action::AdoptVolume { id: ObjectId::of(&**live), volume: Box::new(volume) }])
        }
    }
}
