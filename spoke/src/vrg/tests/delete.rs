//! A group that is being deleted.

use kaedama_shared::names;
use serde_json::{Value, json};

use super::build::*;
use crate::vrg::decide::decide;
use crate::vrg::plan::{Action, Plan};
use crate::vrg::snapshot::{Snapshot, Volume};

fn ending(with: Value, volumes: Vec<Volume>) -> Snapshot {
    let mut vrg = group(with);
    vrg.metadata.deletion_timestamp = from(json!("2026-03-01T00:00:00Z"));
    snapshot(vrg, volumes)
}

fn last(plan: &Plan) -> Vec<&'static str> {
    plan.last.iter().map(Action::name).collect()
}

#[test]
fn a_primary_releases_its_claims_then_clears_the_stores_then_goes() {
    let healthy = replicated("a", reached("Primary", false, false));
    let plan = decide(&ending(json!({}), vec![healthy.clone()]));
    assert_eq!((actions(&plan, "a"), last(&plan)), (vec!["StopReplication"], vec![]));
    let plan = decide(&ending(json!({}), vec![healthy.proven_gone()]));
    assert_eq!((actions(&plan, "a"), last(&plan)), (vec!["ReleaseVolume", "ReleaseClaim"], vec![]));
    let mut snapshot = ending(json!({}), vec![]);
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
fn without_a_readable_record_nothing_that_is_stored_is_deleted() {
    let mut annotations = json!({names::ACTION_RECORD: "{"});
    let snapshot = ending(json!({"metadata": {"annotations": annotations.clone()}}), vec![]);
    assert!(snapshot.order.is_err());
    let plan = decide(&snapshot);
    assert!(plan.last.is_empty() && plan.outlook.retry, "{plan:?}");
    let said = plan.outlook.cluster_data_protected.unwrap();
    assert!(said.waiting && said.message.contains(names::ACTION_RECORD), "{said:?}");
    annotations[names::ABANDON_S3] = json!("s1,s2");
    let plan = decide(&ending(json!({"metadata": {"annotations": annotations}}), vec![]));
    assert_eq!(last(&plan), ["ReleaseGroup"]);
}

#[test]
fn a_group_that_makes_no_sense_can_be_deleted() {
    for with in [
        json!({"spec": {"replicationState": "neither"}}),
        json!({"spec": {"async": null}}),
        json!({"spec": {"s3Profiles": []}}),
    ] {
        let snapshot = ending(with.clone(), vec![]);
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
    let mut snapshot = ending(json!({}), vec![]);
    snapshot.purged.clone_from(&failed);
    let plan = decide(&snapshot);
    assert!(plan.last.is_empty() && plan.outlook.retry);
    let said = plan.outlook.cluster_data_protected.unwrap().message;
    assert!(said.contains("s2: unreachable") && said.contains(names::ABANDON_S3), "{said}");
    let mut snapshot = ending(json!({"metadata": {"annotations": {names::ABANDON_S3: "s2"}}}), vec![]);
    snapshot.purged = failed;
    assert_eq!(last(&decide(&snapshot)), ["ReleaseGroup"]);
}

#[test]
fn a_test_failover_deletes_nothing_that_is_stored() {
    assert_eq!(last(&decide(&ending(json!({"spec": {"dryRun": true}}), vec![]))), ["ReleaseGroup"]);
    assert_eq!(last(&decide(&ending(json!({"spec": {"s3Profiles": ["NoS3"]}}), vec![]))), ["ReleaseGroup"]);
}

#[test]
fn without_our_finalizer_nothing_is_done() {
    let with = json!({"metadata": {"finalizers": ["other"]}});
    let plan = decide(&ending(with, vec![replicated("a", reached("Primary", false, false))]));
    assert!(plan.is_idle() && plan.volumes.is_empty());
}
