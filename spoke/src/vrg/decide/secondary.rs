//! A secondary: every claim that was protected here is demoted, brought to rest and released. It starts nothing.
//!
//! ```text
//! application lets go ─► nobody uses the claim (proven) ─► demoted ─► at rest ─► replication deleted ─► released
//! ```

use kaedama_shared::api::condition;
use kaedama_shared::api::conditions::vrg as group_condition;
use kaedama_shared::api::reasons::vrg as reason;

use super::classify::classify;
use super::leave;
use super::primary::{consent, describe, drive, only};
use super::replication;
use crate::vrg::evidence::{ClusterData, LetGo, NotInUse, Proven};
use crate::vrg::order::{Intent, Mode, Order};
use crate::vrg::owner::Owner;
use crate::vrg::plan::{Action, Plan, Verdict, VolumePlan};
use crate::vrg::snapshot::{ObjectId, Replication, Snapshot, Volume};

/// Decides for a secondary.
#[must_use]
pub fn decide(snapshot: &Snapshot, order: &Order) -> Plan {
    let mut plan = Plan::default();
    if !snapshot.has_finalizer() {
        plan.first.push(Action::HoldGroup(ObjectId::of(&*snapshot.vrg)));
    }
    let unused = || Some(Verdict::yes(reason::UNUSED, "not used as secondary"));
    plan.outlook.cluster_data_ready = unused();
    plan.outlook.kube_objects_ready = unused();
    plan.outlook.cluster_data_protected = unused();
    plan.outlook.no_conflict = conflict(snapshot, order);
    for volume in &snapshot.volumes {
        let decided = step(snapshot, volume, &mut plan);
        plan.volumes.extend(decided);
    }
    plan
}

/// How a secondary lets a claim go.
#[derive(Clone, Copy)]
struct Terms {
    /// Both clusters share the storage.
    shared: bool,
    intent: Intent,
    auto_resync: bool,
}

impl Terms {
    /// From the order; where that is not valid, from what the spec says all the same, in doubt the stricter.
    fn of(snapshot: &Snapshot, volume: &Volume) -> Self {
        match &snapshot.order {
            Ok(order) => Self {
                shared: matches!(order.mode, Mode::Sync { .. }),
                intent: order.intent,
                auto_resync: leave::auto_resync(order),
            },
            Err(_) => {
                let spec = &snapshot.vrg.spec;
                let intent = Intent::of(snapshot);
                let shared = spec.async_.is_none() && volume.replication.is_none();
                Self { shared, intent, auto_resync: intent == Intent::Failover }
            }
        }
    }
}

/// What becomes of one claim.
pub(super) fn step(snapshot: &Snapshot, volume: &Volume, plan: &mut Plan) -> Option<VolumePlan> {
    if matches!(volume.owner, Owner::Other(_)) || !volume.has_finalizer() {
        return None;
    }
    let terms = Terms::of(snapshot, volume);
    let planned = match (terms.shared, &volume.replication) {
        (true, _) => match gate(terms.intent, volume, plan) {
            Ok(unused) => {
                let evidence = LetGo::unused_on_shared_storage(volume.key(), &unused);
                leave::release(snapshot, volume, evidence, false)
            }
            Err(verdict) => only(snapshot, volume, None, verdict),
        },
        (false, None) => leave::when_gone(snapshot, volume, false, plan),
        (false, Some(found)) => replicated(snapshot, terms, volume, found, plan),
    };
    Some(planned)
}

fn replicated(snapshot: &Snapshot, terms: Terms, volume: &Volume, found: &Replication, plan: &mut Plan) -> VolumePlan {
    let Terms { intent, auto_resync, .. } = terms;
    if intent == Intent::Reclaim && found.ours && !found.deleting {
        return reclaimed(snapshot, volume, found, plan);
    }
    if !found.ours || found.deleting {
        return leave::stop(snapshot, volume, replication::as_secondary(found, intent));
    }
    if found.wanted != "secondary" {
        return match gate(intent, volume, plan) {
            Ok(evidence) => VolumePlan {
                actions: vec![Action::Demote { id: found.id.clone(), auto_resync, evidence }],
                ..only(
                    snapshot,
                    volume,
                    None,
                    Verdict::waits(reason::PROGRESSING, "waiting for the storage to make it secondary"),
                )
            },
            Err(verdict) => only(snapshot, volume, None, verdict),
        };
    }
    if found.auto_resync != auto_resync {
        return VolumePlan {
            actions: vec![Action::SetAutoResync { id: found.id.clone(), auto_resync }],
            ..only(
                snapshot,
                volume,
                None,
                Verdict::waits(reason::PROGRESSING, "waiting for the storage to make it secondary"),
            )
        };
    }
    let judgement = replication::as_secondary(found, intent);
    if judgement.at_rest.is_some() {
        return leave::stop(snapshot, volume, judgement);
    }
    let order = snapshot.order.as_ref().ok();
    let mechanism = order.and_then(|order| classify(order, &snapshot.classes, volume).ok());
    match &mechanism {
        Some(mechanism) => VolumePlan {
            claim: volume.key(),
            actions: Vec::new(),
            entry: Some(describe(snapshot, volume, mechanism, &judgement)),
        },
        None => leave::stop(snapshot, volume, judgement),
    }
}

/// The volume stays here, and its peer is given up: replication ends as that of a primary does. A secondary that is not in
/// step, and cannot come into step with a peer that is lost, is nothing that every storage lets go.
fn reclaimed(snapshot: &Snapshot, volume: &Volume, found: &Replication, plan: &mut Plan) -> VolumePlan {
    if let Err(verdict) = gate(Intent::Reclaim, volume, plan) {
        return only(snapshot, volume, None, verdict);
    }
    let never_left = ClusterData::never_left();
    let (verdict, mut steps) = drive(found, &never_left);
    steps.extend(consent(found, &never_left));
    if steps.is_empty() {
        return leave::stop(snapshot, volume, replication::as_primary(found, true));
    }
    let verdict = verdict.map_or_else(
        || Verdict::waits(reason::PROGRESSING, "waiting for the storage to make it primary"),
        |judgement| judgement.data_ready,
    );
    VolumePlan { actions: steps, ..only(snapshot, volume, None, verdict) }
}

/// May the claim be demoted? Only what the application has let go of, unless the other side took over already; and in
/// any case only what nobody uses. The caches can say no; yes is said by the API server alone.
fn gate(intent: Intent, volume: &Volume, plan: &mut Plan) -> Result<NotInUse, Verdict> {
    let waits = |text: String| Err(Verdict::waits(reason::PROGRESSING, text));
    if intent != Intent::Failover && !volume.deleting() {
        return waits("waiting for the application to delete the claim".to_owned());
    }
    if !volume.users.is_empty() {
        return waits(format!("waiting for the claim to be free, in use by {}", volume.users.join(", ")));
    }
    match &volume.unused {
        Proven::Yes(evidence) => Ok(evidence.clone()),
        Proven::NotAsked => {
            plan.needs.unused.insert(volume.key());
            waits("checking that nobody uses the claim".to_owned())
        }
        Proven::No(why) => {
            plan.outlook.retry = true;
            waits(format!("waiting for the claim to be free, {why}"))
        }
        Proven::Unknown(why) => {
            plan.outlook.retry = true;
            waits(why.clone())
        }
    }
}

/// On a secondary that has settled, a claim that the group selects should not be there: it would be in the way of the
/// next recovery.
fn conflict(snapshot: &Snapshot, order: &Order) -> Option<Verdict> {
    let status = snapshot.vrg.status.clone().unwrap_or_default();
    let settled = status.state == kaedama_shared::api::VRGState::Secondary
        && condition::is_true_at(snapshot.conditions(), group_condition::DATA_READY, snapshot.generation());
    let acting = status.observed_generation != snapshot.generation();
    let selected: Vec<String> =
        snapshot.volumes.iter().filter(|volume| volume.selected).map(|volume| volume.key().to_string()).collect();
    if !settled || acting || selected.is_empty() {
        return None;
    }
    let volsync = order.force_volsync && matches!(order.mode, Mode::Async { .. });
    (!volsync).then(|| {
        let text = format!("claims that the group protects exist on this secondary: {}", selected.join(", "));
        Verdict::no(reason::CLUSTER_DATA_CONFLICT_SECONDARY, text)
    })
}
