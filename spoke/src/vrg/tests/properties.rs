//! What must hold for every snapshot: all combinations of a small world.

use kaedama_shared::api::{DRAction, ReplicationState};
use kaedama_shared::seen::Seen;
use serde_json::{Value, json};

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::evidence::{self, Proven};
use crate::vrg::plan::Action;
use crate::vrg::snapshot::{Replication, Snapshot, StoreRead, Volume};

fn groups() -> Vec<Value> {
    let mut all = Vec::new();
    for role in ["primary", "secondary"] {
        for action in [None, Some("Failover"), Some("Relocate")] {
            for mode in [json!({"async": {"schedulingInterval": "5m"}}), json!({"async": null, "sync": {}})] {
                for deleting in [false, true] {
                    for restored in [false, true] {
                        let mut spec = json!({"replicationState": role, "action": action});
                        spec.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
                        let mut with = json!({"spec": spec});
                        if deleting {
                            with["metadata"] = json!({"deletionTimestamp": "2026-03-01T00:00:00Z"});
                        }
                        if restored {
                            with["status"] = super::build::restored()["status"].clone();
                        }
                        all.push(with);
                    }
                }
            }
        }
    }
    all
}

fn replications() -> Vec<Option<Replication>> {
    let mut all = vec![None];
    for state in ["Primary", "Secondary"] {
        for (resyncing, degraded) in [(false, false), (true, true), (false, true)] {
            for deleting in [false, true] {
                for ours in [false, true] {
                    all.push(Some(Replication { deleting, ours, id: id("a"), ..reached(state, resyncing, degraded) }));
                }
            }
        }
    }
    for deleting in [false, true] {
        for ours in [false, true] {
            let mut refused = Replication { deleting, ours, id: id("a"), destination_id: "h-peer".into(), ..refused() };
            refused.conditions.push(said("DestinationInfoAvailable", "True", "DestinationInfoUpdated"));
            all.push(Some(refused));
        }
    }
    all
}

fn volumes() -> Vec<Volume> {
    let mut all = Vec::new();
    for base in [volume("a", json!({})), volume("a", protected()), volume("a", others("db"))] {
        for going in [false, true] {
            let base = if going { base.clone().letting(deleting()) } else { base.clone() };
            for replication in replications() {
                let base = Volume { replication: replication.clone(), ..base.clone() };
                for selected in [false, true] {
                    all.push(Volume { selected, ..base.clone() });
                    all.push(Volume { selected, ..base.clone().proven_unused() });
                    all.push(Volume {
                        selected,
                        unused: Proven::Unknown("time-out".into()),
                        let_go: Proven::Unknown("time-out".into()),
                        ..base.clone()
                    });
                    if replication.is_none() {
                        all.push(Volume { selected, ..base.clone().proven_gone() });
                    }
                }
            }
        }
    }
    all
}

fn reads() -> Vec<Option<Vec<(&'static str, StoreRead)>>> {
    vec![
        None,
        Some(vec![("s1", unreadable()), ("s2", unreadable())]),
        Some(vec![("s1", StoreRead::Empty), ("s2", unreadable())]),
        Some(vec![("s1", StoreRead::Empty), ("s2", StoreRead::Empty)]),
    ]
}

#[test]
fn nothing_destructive_without_proof_and_no_promotion_from_ignorance() {
    let mut seen = 0;
    let volumes = volumes();
    for with in groups() {
        for volume in &volumes {
            // What the stores say matters only to a primary that was not restored.
            let restored = with.get("status").is_some() || with["spec"]["replicationState"] == "secondary";
            for read in reads().into_iter().take(if restored { 1 } else { 4 }) {
                let mut snapshot = snapshot(group(with.clone()), vec![volume.clone()]);
                snapshot.recovery = read.map(recovery);
                check(&snapshot);
                seen += 1;
                if snapshot.deleting() {
                    let none = Seen::Present(Vec::new());
                    snapshot.nothing_held = evidence::nothing_held(&snapshot.key(), &none);
                    check(&snapshot);
                    seen += 1;
                    check(&Snapshot { order: Err("the configuration cannot be read".to_owned()), ..snapshot });
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50_000, "{seen} snapshots");
}

fn check(snapshot: &Snapshot) {
    let plan = decide(snapshot);
    assert_eq!(plan, decide(snapshot), "the same snapshot, the same plan");
    let volume = &snapshot.volumes[0];
    let foreign = is_foreign(volume);
    let restored = snapshot.vrg.status.is_some();
    let secondary = snapshot.vrg.spec.replication_state == ReplicationState::Secondary;
    let shared = snapshot.vrg.spec.async_.is_none();
    let known = snapshot
        .recovery
        .as_ref()
        .is_some_and(|recovery| recovery.stores.iter().any(|(_, read)| !matches!(read, StoreRead::Unreadable(_))));
    for action in plan.actions() {
        match action {
            Action::Demote { evidence, auto_resync, .. } => {
                assert!(matches!(volume.unused, Proven::Yes(_)));
                assert_eq!(Some(evidence.claim_uid()), volume.claim.metadata.uid.as_deref());
                let failover = snapshot.vrg.spec.action == Some(DRAction::Failover);
                assert_eq!(*auto_resync, failover);
                assert!(failover || volume.deleting());
            }
            Action::StopReplication { id, evidence } => {
                assert_eq!(evidence.replication_uid(), id.uid);
                let found = volume.replication.as_ref().unwrap();
                assert!(found.ours);
                assert!(!secondary || found.wanted == "secondary", "a secondary is demoted before it is stopped");
            }
            Action::ReleaseClaim { evidence, .. } | Action::ReleaseVolume { evidence, .. } => {
                assert_eq!(*evidence.claim(), volume.key());
                assert!(shared || matches!(volume.let_go, Proven::Yes(_)));
                assert!(!foreign);
                if secondary && shared {
                    assert!(matches!(volume.unused, Proven::Yes(_)), "the other side may use it");
                    assert!(
                        !matches!(action, Action::ReleaseVolume { delete: true, .. }),
                        "the image is the primary's"
                    );
                }
            }
            Action::StartReplication { .. } | Action::Promote { .. } => {
                assert!(!foreign);
                assert_eq!(snapshot.role(), Some(crate::vrg::order::Role::Primary));
                assert!(restored || known, "promoted without knowing the cluster data");
            }
            Action::AllowForce { .. } | Action::NoteDestination { .. } => {
                let found = volume.replication.as_ref().unwrap();
                assert!(found.ours && !found.deleting, "nobody knows what that one says");
                assert!(restored || known);
                let failover = snapshot.vrg.spec.action == Some(DRAction::Failover);
                assert!(failover || matches!(action, Action::NoteDestination { .. }));
            }
            Action::PurgeStores { .. } | Action::WithdrawClaim { .. } | Action::ReleaseGroup { .. } => {
                assert!(matches!(snapshot.nothing_held, Proven::Yes(_)));
                assert!(restored || !matches!(action, Action::PurgeStores { .. }), "it may be the only copy");
            }
            Action::ProtectClaim { .. } | Action::RetainVolume(_) => assert!(!foreign),
            _ => {}
        }
    }
    if foreign {
        assert!(plan.volumes.iter().all(|volume| volume.actions.is_empty()));
    }
    if secondary {
        assert!(plan.capture.is_none(), "only a primary writes to the stores");
    }
}
