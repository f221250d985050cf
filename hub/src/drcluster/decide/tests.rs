use kaedama_shared::api::{DRCluster, DRClusterSpec};

use super::*;

fn snapshot(spec: DRClusterSpec) -> Snapshot {
    let mut drcluster = DRCluster::new("dr1", spec);
    drcluster.metadata.generation = Some(3);
    Snapshot {
        now: "2026-03-01T03:00:00Z".parse().unwrap(),
        drcluster,
        bundle: Ok(vec![]),
        cluster_id: Ok("id-1".into()),
        policies: vec![],
        schedules: vec![],
        store: StoreCheck::Good,
        operator_work: Seen::Absent,
        config_work: Seen::Absent,
        report: Seen::Absent,
        add_on_due: false,
    }
}

fn condition_of<'a>(plan: &'a Plan, type_: &str) -> &'a Condition {
    condition::find(&plan.status.conditions, type_).unwrap()
}

#[test]
fn a_manual_fence_counts_at_once_and_for_its_generation() {
    let plan = decide(&snapshot(DRClusterSpec { cluster_fence: Some(ClusterFence::ManuallyFenced), ..Default::default() }));
    assert!(condition_of(&plan, types::FENCED).is_true_at(3));
    assert!(condition_of(&plan, types::CLEAN).is_false());
    assert_eq!(plan.status.phase, DRClusterPhase::Fenced);
}

#[test]
fn automatic_fencing_never_claims_to_have_fenced() {
    let plan = decide(&snapshot(DRClusterSpec { cluster_fence: Some(ClusterFence::Fenced), ..Default::default() }));
    assert!(condition_of(&plan, types::FENCED).is_false());
    assert!(condition_of(&plan, types::FENCED).message.contains("ManuallyFenced"));
}

#[test]
fn a_bad_store_does_not_keep_the_cluster_from_being_supplied() {
    let mut s = snapshot(DRClusterSpec::default());
    s.store = StoreCheck::Bad { reason: reasons::S3_CONNECTION_FAILED, message: "no".into() };
    let plan = decide(&s);
    assert_eq!(plan.actions.iter().filter(|action| matches!(action, Action::WriteWork { .. })).count(), 2);
    assert_eq!(condition_of(&plan, types::VALIDATED).reason, reasons::S3_CONNECTION_FAILED);
}

#[test]
fn networks_are_compared_as_networks() {
    assert_eq!(network("10.1.2.3/16"), network("10.1.0.0/16"));
    assert_ne!(network("10.1.0.0/16"), network("10.1.0.0/17"));
    assert_eq!(network("0.0.0.0/0"), network("9.9.9.9/0"));
    assert!(network("10.1.0.0").is_none());
    assert!(network("10.1.0.0/33").is_none());
    assert!(network("fd00::1/64").is_some());
}

#[test]
fn a_cluster_of_a_policy_cannot_be_deleted() {
    let mut s = snapshot(DRClusterSpec::default());
    s.drcluster.metadata.deletion_timestamp = Some(kaedama_shared::api::Time(s.now));
    s.policies = vec!["gold".into()];
    let plan = decide(&s);
    assert!(plan.actions.is_empty());
    assert!(condition_of(&plan, types::VALIDATED).message.contains("gold"));
    s.policies.clear();
    assert_eq!(decide(&s).actions, [Action::Release]);
}
