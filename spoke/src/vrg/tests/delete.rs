//! A group that is being deleted.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord};
use kaedama_shared::seen::Seen;
use kube::core::PartialObjectMetaExt as _;
use serde_json::{Value, json};

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::evidence::{self, NothingHeld, Proven};
use crate::vrg::plan::{Action, Plan};
use crate::vrg::snapshot::{Snapshot, Volume};

/// A group that is being deleted; the API server says that no claim carries its marks.
fn ending(with: Value, volumes: Vec<Volume>) -> Snapshot {
    let mut vrg = group(with);
    vrg.metadata.deletion_timestamp = from(json!("2026-03-01T00:00:00Z"));
    Snapshot { nothing_held: listed(&[]), ..snapshot(vrg, volumes) }
}

/// The same of a primary whose cluster data was there.
fn ending_primary(with: Value, volumes: Vec<Volume>) -> Snapshot {
    let mut all = restored();
    all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    ending(all, volumes)
}

/// What the API server says where it lists these claims.
fn listed(claims: &[PersistentVolumeClaim]) -> Proven<NothingHeld> {
    let claims = claims.iter().map(|claim| claim.metadata.clone().into_response_partial()).collect();
    evidence::nothing_held(&key("web"), &Seen::Present(claims))
}

fn last(plan: &Plan) -> Vec<&'static str> {
    plan.last.iter().map(Action::name).collect()
}

#[test]
fn a_primary_releases_its_claims_then_clears_the_stores_then_goes() {
    let healthy = replicated("a", reached("Primary", false, false));
    let plan = decide(&ending_primary(json!({}), vec![healthy.clone()]));
    assert_eq!((actions(&plan, "a"), last(&plan)), (vec!["StopReplication"], vec![]));
    let plan = decide(&ending_primary(json!({}), vec![healthy.proven_gone()]));
    assert_eq!((actions(&plan, "a"), last(&plan)), (vec!["ReleaseVolume", "ReleaseClaim"], vec![]));
    let mut snapshot = ending_primary(json!({}), vec![]);
    assert_eq!(last(&decide(&snapshot)), ["PurgeStores"]);
    snapshot.purged = Some(vec![("s1".into(), Ok(())), ("s2".into(), Ok(()))]);
    assert_eq!(last(&decide(&snapshot)), ["ReleaseGroup"]);
}

#[test]
fn a_replication_that_is_not_done_holds_the_group() {
    let mut held = reached("Primary", false, false);
    held.deleting = true;
    let mut failed = reached("Primary", false, false);
    failed.conditions = vec![said("Completed", "False", "FailedToPromote")];
    for found in [held, failed] {
        let plan = decide(&ending(json!({}), vec![replicated("a", found)]));
        assert!(plan.is_idle());
        assert!(of(&plan, "a").unwrap().entry.is_some(), "and says so");
    }
}

#[test]
fn a_secondary_is_demoted_before_it_goes_and_never_touches_the_stores() {
    let with = json!({"spec": {"replicationState": "secondary", "action": "Failover"}});
    let primary = replicated("a", reached("Primary", false, false));
    assert!(decide(&ending(with.clone(), vec![primary.clone()])).needs.unused.contains(&key("a")));
    assert_eq!(actions(&decide(&ending(with.clone(), vec![primary.proven_unused()])), "a"), ["Demote"]);
    let mut demoting = reached("Secondary", false, true);
    demoting.auto_resync = true;
    assert!(decide(&ending(with.clone(), vec![replicated("a", demoting)])).is_idle(), "not ready yet: it waits");
    assert_eq!(last(&decide(&ending(with, vec![]))), ["ReleaseGroup"]);
}

#[test]
fn a_secondary_whose_order_cannot_be_read_goes_no_other_way() {
    let unread = |with: Value, volume: Volume| {
        let order = Err("the operator's configuration cannot be read".to_owned());
        decide(&Snapshot { order, ..ending(with, vec![volume]) })
    };
    let shared = |action: Option<&str>| json!({"spec": {"replicationState": "secondary", "action": action, "async": null, "sync": {}}});
    let claim = || volume("a", protected());
    let asked = unread(shared(Some("Failover")), claim());
    assert!(asked.needs.unused.contains(&key("a")));
    assert!(asked.actions().next().is_none(), "nobody knows yet whether the claim is in use: {asked:?}");
    let relocated = unread(shared(Some("Relocate")), claim().proven_unused());
    assert!(relocated.is_idle(), "the application has to let go first: {relocated:?}");
    let unused = unread(shared(Some("Failover")), claim().proven_unused());
    assert_eq!(actions(&unused, "a"), ["ReleaseClaim"], "the image is the primary's too, its policy stays");
    let replicated_to = |action: &str| json!({"spec": {"replicationState": "secondary", "action": action}});
    let primary = || replicated("a", reached("Primary", false, false));
    for action in ["Failover", "Relocate"] {
        let plan = unread(replicated_to(action), primary());
        assert!(plan.actions().next().is_none(), "it is demoted before it is stopped: {plan:?}");
    }
    assert_eq!(actions(&unread(replicated_to("Failover"), primary().proven_unused()), "a"), ["Demote"]);
}

#[test]
fn a_volume_on_its_way_back_is_kept_also_where_the_order_cannot_be_read() {
    let let_go = |mut vrg: VolumeReplicationGroup| {
        vrg.metadata.deletion_timestamp = from(json!("2026-03-01T00:00:00Z"));
        let at_rest = replicated("a", reached("Secondary", false, false)).letting(deleting()).proven_gone();
        let order = Err("the operator's configuration cannot be read".to_owned());
        let plan = decide(&Snapshot { order, ..snapshot(vrg, vec![at_rest]) });
        assert_eq!(actions(&plan, "a"), ["ReleaseVolume", "ReleaseClaim"]);
        let released = plan.actions().find_map(|action| match action {
            Action::ReleaseVolume { delete, taken_up, .. } => Some((*delete, *taken_up)),
            _ => None,
        });
        released.unwrap()
    };
    let relocated = |action: &str| group(json!({"spec": {"replicationState": "secondary", "action": action}}));
    assert_eq!(let_go(relocated("Relocate")), (true, false), "the other cluster has what counts");
    for action in ["Relocate", "Failover"] {
        let mut vrg = relocated(action);
        returning(&mut vrg);
        assert_eq!(let_go(vrg), (false, true), "{action} home: this is the only good copy");
        let mut vrg = relocated(action);
        vrg.metadata.annotations = Some([(names::ACTION_RECORD.to_owned(), "{".to_owned())].into());
        assert_eq!(let_go(vrg), (false, true), "{action}: nobody knows where it leads");
    }
}

#[test]
fn without_a_readable_record_nothing_that_is_stored_is_deleted() {
    let mut annotations = json!({names::ACTION_RECORD: "{"});
    let snapshot = ending_primary(json!({"metadata": {"annotations": annotations.clone()}}), vec![]);
    assert!(snapshot.order.is_err());
    let plan = decide(&snapshot);
    assert!(plan.last.is_empty() && plan.outlook.retry, "{plan:?}");
    let said = plan.outlook.cluster_data_protected.unwrap();
    assert!(said.waiting && said.message.contains(names::ACTION_RECORD), "{said:?}");
    annotations[names::ABANDON_S3] = json!("s1,s2");
    let plan = decide(&ending_primary(json!({"metadata": {"annotations": annotations}}), vec![]));
    assert_eq!(last(&plan), ["ReleaseGroup"]);
}

#[test]
fn a_group_that_makes_no_sense_can_be_deleted() {
    for with in [
        json!({"spec": {"replicationState": "neither"}}),
        json!({"spec": {"async": null}}),
        json!({"spec": {"s3Profiles": []}}),
    ] {
        let snapshot = ending_primary(with.clone(), vec![]);
        let mut plan = decide(&snapshot);
        if last(&plan) == ["PurgeStores"] {
            let purged = snapshot.vrg.spec.s3_profiles.iter().map(|name| (name.clone(), Ok(()))).collect();
            plan = decide(&Snapshot { purged: Some(purged), ..snapshot });
        }
        assert_eq!(last(&plan), ["ReleaseGroup"], "{with}");
    }
}

#[test]
fn a_store_that_cannot_be_cleared_holds_the_group_until_it_is_given_up() {
    let failed = Some(vec![("s1".into(), Ok(())), ("s2".into(), Err("unreachable".to_owned()))]);
    let mut snapshot = ending_primary(json!({}), vec![]);
    snapshot.purged.clone_from(&failed);
    let plan = decide(&snapshot);
    assert!(plan.last.is_empty() && plan.outlook.retry);
    let said = plan.outlook.cluster_data_protected.unwrap().message;
    assert!(said.contains("s2: unreachable") && said.contains(names::ABANDON_S3), "{said}");
    let mut snapshot = ending_primary(json!({"metadata": {"annotations": {names::ABANDON_S3: "s2"}}}), vec![]);
    snapshot.purged = failed;
    assert_eq!(last(&decide(&snapshot)), ["ReleaseGroup"]);
}

#[test]
fn a_test_failover_deletes_nothing_that_is_stored() {
    assert_eq!(last(&decide(&ending_primary(json!({"spec": {"dryRun": true}}), vec![]))), ["ReleaseGroup"]);
    assert_eq!(last(&decide(&ending_primary(json!({"spec": {"s3Profiles": ["NoS3"]}}), vec![]))), ["ReleaseGroup"]);
}

#[test]
fn without_our_finalizer_nothing_is_done() {
    let with = json!({"metadata": {"finalizers": ["other"]}});
    let plan = decide(&ending(with, vec![replicated("a", reached("Primary", false, false))]));
    assert!(plan.is_idle() && plan.volumes.is_empty());
}

#[test]
fn a_primary_that_restored_nothing_yet_leaves_the_stores_alone() {
    let said = |status: &str, reason: &str, generation: i64| {
        json!({"status": {"conditions": [{
            "type": "ClusterDataReady", "status": status, "reason": reason, "message": "m",
            "observedGeneration": generation, "lastTransitionTime": "2026-03-01T00:00:00Z",
        }]}})
    };
    let table = [
        (json!({}), "ReleaseGroup"),
        (said("False", "Error", 2), "ReleaseGroup"),
        // It was the secondary until a moment ago.
        (said("True", "Unused", 1), "ReleaseGroup"),
        (said("True", "Restored", 2), "PurgeStores"),
        (said("True", "Restored", 1), "PurgeStores"),
    ];
    for (with, step) in table {
        assert_eq!(last(&decide(&ending(with.clone(), vec![]))), [step], "{with}");
    }
}

#[test]
fn a_first_placement_that_never_settled_takes_its_claim_of_the_stores_back() {
    let ordered = |kind: ActionKind, to: &str| {
        let record = ActionRecord::accept("u", 1, kind, "", to, 1, "2026-03-01T00:00:00Z".parse().unwrap());
        let annotations = json!({names::DESTINATION_CLUSTER: "dr1", names::ACTION_RECORD: record.to_annotation()});
        let action = (kind != ActionKind::Deploy).then(|| kind.as_spec());
        json!({"metadata": {"annotations": annotations}, "spec": {"action": action}})
    };
    let first = ordered(ActionKind::Deploy, "dr1");
    let mut snapshot = ending(first.clone(), vec![]);
    assert_eq!(last(&decide(&snapshot)), ["WithdrawClaim"]);
    snapshot.purged = Some(vec![("s1".into(), Ok(())), ("s2".into(), Err("unreachable".into()))]);
    assert_eq!(last(&decide(&snapshot)), ["ReleaseGroup"], "a store that is silent holds nobody");
    // What is stored of a placement that settled goes as a whole; of any other action it may be the only copy.
    assert_eq!(last(&decide(&ending_primary(first.clone(), vec![]))), ["PurgeStores"]);
    let mut secondary = first;
    secondary["spec"] = json!({"replicationState": "secondary"});
    for with in [secondary, ordered(ActionKind::Failover, "dr1"), ordered(ActionKind::Deploy, "dr2")] {
        assert_eq!(last(&decide(&ending(with.clone(), vec![]))), ["ReleaseGroup"], "{with}");
    }
}

#[test]
fn a_group_goes_only_when_the_api_server_says_that_it_holds_no_claim() {
    let decided =
        |nothing_held: Proven<NothingHeld>| decide(&Snapshot { nothing_held, ..ending_primary(json!({}), vec![]) });
    let asked = decided(Proven::NotAsked);
    assert!(asked.needs.nothing_held && asked.actions().next().is_none(), "the copy may be behind: {asked:?}");
    let held = claim("new", protected());
    let silent = evidence::nothing_held(&key("web"), &Seen::Unknown("time-out".into()));
    for (answer, text) in [(listed(&[held]), "shop/new"), (silent, "time-out")] {
        let plan = decided(answer);
        assert!(plan.is_idle() && plan.outlook.retry, "{plan:?}");
        let said = plan.outlook.data_ready.unwrap();
        assert!(said.waiting && said.message.contains(text), "{said:?}");
    }
    let mut unheld = protected();
    unheld["metadata"]["finalizers"] = json!([]);
    let mut foreign = protected();
    foreign["metadata"]["labels"] = others("db")["metadata"]["labels"].clone();
    assert_eq!(last(&decided(listed(&[claim("a", unheld), claim("b", foreign)]))), ["PurgeStores"]);
}

#[test]
fn a_claim_of_a_consistency_group_holds_the_group() {
    for role in ["primary", "secondary"] {
        let with = json!({"spec": {"replicationState": role}});
        let plan = decide(&ending(with, vec![volume("a", protected()).letting(grouped()).proven_gone()]));
        assert!(plan.is_idle(), "{role}: {plan:?}");
        let (status, reason, message) = verdict(&plan, "a", "DataReady");
        assert!(status == "False" && reason == "Error" && message.contains("consistency group cg"), "{message}");
    }
}
