//! Bringing cluster data back: which set, how it is made fit, and what is there already.

mod adoption;
mod choice;
mod form;

use std::sync::Arc;

use kaedama_shared::names;
use serde_json::{Value, json};

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::order::Order;
use crate::vrg::plan::Plan;
use crate::vrg::snapshot::{Recovery, Snapshot, StoredSet};

fn with(action: Option<&str>, recovery: Recovery) -> Snapshot {
    let mut vrg = group(json!({"spec": {"action": action}}));
    vrg.metadata.annotations = Some([(names::DESTINATION_CLUSTER.to_owned(), "dr2".to_owned())].into());
    Snapshot { recovery: Some(recovery), ..snapshot(vrg, vec![]) }
}

fn ready(plan: &Plan) -> (String, &'static str, String) {
    let verdict = plan.outlook.cluster_data_ready.clone().unwrap();
    (verdict.status.to_string(), verdict.reason, verdict.message)
}

fn settled(plan: &Plan) -> bool {
    ready(plan).0 == "True"
}

/// A recovery with a live volume and claim of the stored one's names.
fn live(volume: Value, claim_with: Option<Value>) -> Recovery {
    let mut found = recovery(vec![("s1", read(set(&["a"])))]);
    found.live_volumes.insert("pv-a".into(), Arc::new(pv("a", volume)));
    if let Some(with) = claim_with {
        found.live_claims.insert(key("a"), Arc::new(claim("a", with)));
    }
    found
}

/// What `cluster` stored last.
fn stored_last_by(cluster: &str, stored: StoredSet, live: Recovery) -> Recovery {
    let newest = StoredSet { capture: Some((1, 4)), cluster: cluster.into(), ..stored };
    Recovery { stores: vec![("s1".into(), read(newest))], ..live }
}

/// The plan of dr2 that is to be the primary again by a relocation that never left it.
fn called_off(recovery: Recovery) -> Plan {
    back_by("Relocate", recovery)
}

/// The same by this order; a Failover gives the peer up.
fn back_by(action: &str, recovery: Recovery) -> Plan {
    let mut snapshot = with(Some(action), recovery);
    let vrg = Arc::make_mut(&mut snapshot.vrg);
    returning(vrg);
    snapshot.order = Order::of(vrg, &settings());
    decide(&snapshot)
}

fn merge(base: &mut Value, with: Value) {
    match (base, with) {
        (Value::Object(base), Value::Object(with)) => {
            with.into_iter().for_each(|(k, v)| merge(base.entry(k).or_insert(Value::Null), v))
        }
        (base, with) => *base = with,
    }
}
