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
    let plan =
        decide(&snapshot(DRClusterSpec { cluster_fence: Some(ClusterFence::ManuallyFenced), ..Default::default() }));
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
fn a_fence_of_the_reference_product_stands() {
    let mut s = snapshot(DRClusterSpec { cluster_fence: Some(ClusterFence::Fenced), ..Default::default() });
    let condition = |type_: &str, status| Condition::new(type_, status, "Fenced", "Cluster successfully fenced", 2);
    s.drcluster.status = Some(DRClusterStatus {
        phase: DRClusterPhase::Fenced,
        conditions: vec![
            condition(types::FENCED, ConditionStatus::True),
            condition(types::CLEAN, ConditionStatus::False),
        ],
        ..Default::default()
    });
    for _ in 0..2 {
        let plan = decide(&s);
        assert_eq!(plan.status.phase, DRClusterPhase::Fenced);
        assert!(condition_of(&plan, types::FENCED).is_true_at(3) && condition_of(&plan, types::CLEAN).is_false());
        assert!(condition_of(&plan, types::FENCED).message.contains("ManuallyFenced"));
        s.drcluster.status = Some(plan.status);
    }
    // One that was being lifted is none.
    s.drcluster.status.as_mut().unwrap().phase = DRClusterPhase::Unfencing;
    assert!(condition_of(&decide(&s), types::FENCED).is_false());
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

/// A work with these manifests, applied.
fn applied(manifests: Vec<Value>, feedback: bool) -> Seen<ManifestWork> {
    let condition = |type_: &str| Condition::new(type_, ConditionStatus::True, "Done", "", 1);
    let path = serde_json::json!({ "name": FEEDBACK_REPORT, "path": CLUSTER_REPORT_PATH });
    let configs = serde_json::json!([{ "feedbackRules": [{ "type": "JSONPaths", "jsonPaths": [path] }] }]);
    let mut work = ManifestWork::default();
    work.metadata.generation = Some(1);
    work.metadata.uid = Some("u".into());
    work.spec.workload.manifests = manifests;
    work.spec.manifest_configs = if feedback { serde_json::from_value(configs).unwrap() } else { vec![] };
    work.status.get_or_insert_default().conditions = vec![condition("Applied"), condition("Available")];
    Seen::Present(work)
}

fn validated_snapshot() -> Snapshot {
    let mut s = snapshot(DRClusterSpec::default());
    s.drcluster.metadata.finalizers = Some(vec![names::DRCLUSTER_FINALIZER.to_owned()]);
    s.drcluster.metadata.labels = Some([(names::BACKUP.to_owned(), names::BACKUP_VALUE.to_owned())].into());
    s.operator_work = applied(vec![], false);
    s.config_work = applied(vec![manifests::drclusterconfig("dr1", "id-1", &[])], true);
    s.drcluster.status = Some(decide(&s).status);
    s
}

#[test]
fn a_valid_cluster_is_at_rest() {
    let mut s = validated_snapshot();
    s.now = "2026-03-01T09:00:00Z".parse().unwrap();
    let plan = decide(&s);
    assert!(condition_of(&plan, types::VALIDATED).is_true());
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    assert_eq!(Some(plan.status), s.drcluster.status);
}

#[test]
fn a_fence_does_not_wait_for_the_store_and_what_is_known_holds_meanwhile() {
    let mut s = validated_snapshot();
    s.store = StoreCheck::Untried;
    s.drcluster.spec.cluster_fence = Some(ClusterFence::ManuallyFenced);
    let plan = decide(&s);
    assert!(condition_of(&plan, types::FENCED).is_true());
    assert!(condition_of(&plan, types::VALIDATED).is_true());
    s.drcluster.status = None;
    assert_eq!(condition_of(&decide(&s), types::VALIDATED).status, ConditionStatus::Unknown);
}

#[test]
fn a_cluster_that_is_down_stays_valid() {
    // Nothing about its works changes while it is away.
    let mut s = validated_snapshot();
    s.report = Seen::Unknown("away".into());
    assert!(condition_of(&decide(&s), types::VALIDATED).is_true());
}

#[test]
fn a_work_of_the_reference_product_is_given_its_feedback_rule() {
    let mut s = validated_snapshot();
    s.config_work = applied(vec![manifests::drclusterconfig("dr1", "id-1", &[])], false);
    assert!(matches!(decide(&s).actions.as_slice(), [Action::WriteWork { feedback: true, .. }]));
}

#[test]
fn lifting_a_fence_that_was_never_there_is_done_at_once() {
    let mut s = validated_snapshot();
    s.drcluster.spec.cluster_fence = Some(ClusterFence::Unfenced);
    assert!(condition_of(&decide(&s), types::FENCED).is_false());
    // One that is there is not lifted by words.
    s.drcluster.spec.cluster_fence = Some(ClusterFence::ManuallyFenced);
    s.drcluster.status = Some(decide(&s).status);
    s.drcluster.spec.cluster_fence = Some(ClusterFence::Unfenced);
    let kept = condition_of(&decide(&s), types::FENCED).clone();
    assert!(kept.is_true() && kept.message.contains("ManuallyUnfenced"), "{kept:?}");
    s.drcluster.spec.cluster_fence = Some(ClusterFence::ManuallyUnfenced);
    assert!(condition_of(&decide(&s), types::FENCED).is_false());
}

#[test]
fn networks_are_checked_against_those_that_the_nodes_use() {
    let mut s = validated_snapshot();
    let detected = |cidrs: &[&str]| {
        let cidrs = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
        Seen::Present(kaedama_shared::report::ClusterReport { cidrs, ..Default::default() })
    };
    for (configured, found, holds, reason) in [
        (vec!["10.0.0.0/16"], detected(&["10.0.5.5/16"]), true, reasons::SUCCEEDED),
        (vec!["10.0.0.0/16", "10.9.0.0/16"], detected(&["10.0.0.0/16"]), true, reasons::UNDETECTED_CIDRS_FOUND),
        (vec!["10.0.0.0/16"], detected(&["10.1.0.0/16"]), false, reasons::DETECTED_CIDRS_UNCONFIGURED),
        (vec!["10.0.0.0"], Seen::Absent, false, reasons::INVALID_CIDRS_FORMAT),
    ] {
        s.drcluster.spec.cidrs = configured.iter().map(|cidr| (*cidr).to_owned()).collect();
        s.report = found;
        let plan = decide(&s);
        let condition = condition_of(&plan, types::CIDRS_VALIDATED);
        assert_eq!((condition.is_true(), condition.reason.as_str()), (holds, reason));
        assert_eq!(condition_of(&plan, types::VALIDATED).is_true(), holds);
    }
    s.drcluster.spec.cidrs.clear();
    assert!(condition::find(&decide(&s).status.conditions, types::CIDRS_VALIDATED).is_none());
}

#[test]
fn the_configuration_goes_before_the_roles_that_its_removal_needs() {
    let mut s = validated_snapshot();
    s.drcluster.metadata.deletion_timestamp = Some(kaedama_shared::api::Time(s.now));
    let deleted = |s: &Snapshot| match decide(s).actions.as_slice() {
        [Action::DeleteWork { name, .. }] => *name,
        [Action::Release] => "released",
        other => panic!("{other:?}"),
    };
    assert_eq!(deleted(&s), names::DRCLUSTERCONFIG_WORK);
    s.config_work = Seen::Absent;
    assert_eq!(deleted(&s), names::DRCLUSTER_WORK);
    s.operator_work = Seen::Unknown("stale".into());
    assert!(decide(&s).actions.is_empty() && decide(&s).retry);
    s.operator_work = Seen::Absent;
    assert_eq!(deleted(&s), "released");
}
