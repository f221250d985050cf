//! The decision of a pass. Pure: no client, no clock, no randomness, no logging.
//!
//! | module | what lives there |
//! |---|---|
//! | [`primary`], [`secondary`], [`delete`] | one for each course that a group can take |
//! | [`restore`], [`adopt`] | cluster data: whether and how it is brought back, and whether what is there already is right |
//! | `choice` | which of the stored sets that is |
//! | [`leave`] | how a claim leaves protection |
//! | [`replication`] | what a VolumeReplication's status says |
//! | [`classify`] | by which mechanism and class a claim is protected |
//! | [`capture`] | what the stores are to hold, and whether they do |
//! | [`entry`] | a claim as the status lists it |
//! | [`quantity`] | sizes as Kubernetes writes them |
//!
//! ```text
//!               ┌──────────── deletion asked for ──────────────► delete
//!  group ───────┤ order not valid: say so, touch nothing
//!               ├──────────── primary ──► restore ──► protect ──► store
//!               └──────────── secondary ► demote ───► release
//! ```

pub mod adopt;
pub mod capture;
mod choice;
pub mod classify;
pub mod delete;
pub mod entry;
pub mod leave;
pub mod primary;
pub mod quantity;
pub mod replication;
pub mod restore;
pub mod secondary;

use kaedama_shared::api::reasons::vrg as reason;

use super::order::{Order, Role};
use super::plan::{Plan, Verdict};
use super::snapshot::Replication;
use super::snapshot::Snapshot;

/// Decides what a pass does.
#[must_use]
pub fn decide(snapshot: &Snapshot) -> Plan {
    if snapshot.deleting() {
        return delete::decide(snapshot);
    }
    if let Err(why) = &snapshot.settings {
        return refused(format!("the operator's configuration cannot be read: {why}"), true);
    }
    match &snapshot.order {
        Err(why) => refused(why.clone(), false),
        Ok(order) => match order.role {
            Role::Primary => primary::decide(snapshot, order),
            Role::Secondary => secondary::decide(snapshot, order),
        },
    }
}

/// Nothing is touched, and everybody can see why.
fn refused(why: String, retry: bool) -> Plan {
    let mut plan = Plan::default();
    plan.outlook.data_ready = Some(Verdict::no(reason::ERROR, why));
    plan.outlook.keep_entries = true;
    plan.outlook.retry = retry;
    plan
}

/// Claims that are no longer selected may be released. With an unreadable configuration they may not.
fn unprotection(snapshot: &Snapshot) -> bool {
    snapshot.settings.as_ref().is_ok_and(|settings| settings.unprotection)
}

/// Kubernetes objects: what is asked for and not there is said.
fn kube_objects(order: &Order, plan: &mut Plan) {
    plan.outlook.kube_objects_ready = Some(match order.kube_objects {
        false => {
            Verdict::yes(reason::KUBE_OBJECTS_RESTORED, "nothing to restore: Kubernetes objects are not protected")
        }
        true => Verdict::no(reason::ERROR, NO_KUBE_OBJECTS),
    });
}

/// Said where Kubernetes objects were asked for.
const NO_KUBE_OBJECTS: &str = "protection of Kubernetes objects is not built yet: spec.kubeObjectProtection has no effect, volumes and claims are protected";
