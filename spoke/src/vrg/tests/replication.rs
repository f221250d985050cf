//! What a VolumeReplication's status says.

use super::build::*;
use crate::vrg::decide::replication::{as_primary, as_secondary};
use crate::vrg::order::Intent;
use crate::vrg::snapshot::Replication;

fn failed(type_: &str, message: &str) -> Replication {
    let mut found = reached("Primary", false, false);
    found.conditions.retain(|condition| condition.type_ != type_);
    let mut condition = said(type_, "False", "X");
    condition.message = message.into();
    found.conditions.push(condition);
    found
}

#[test]
fn a_primary_is_judged_at_its_generation_only() {
    let table = [
        (reached("Primary", false, false), "True", "Ready"),
        (Replication { observed_generation: 0, ..reached("Primary", false, false) }, "False", "Progressing"),
        (
            Replication { generation: 2, observed_generation: 2, ..reached("Primary", false, false) },
            "False",
            "Progressing",
        ),
        (failed("Completed", "no space"), "False", "Error"),
        (failed("Validated", "not flattened"), "False", "Error"),
    ];
    for (found, status, reason) in table {
        let judgement = as_primary(&found, false);
        assert_eq!((judgement.data_ready.status.as_str(), judgement.data_ready.reason), (status, reason), "{found:?}");
        assert!(judgement.at_rest.is_none(), "a primary that stays is never at rest");
    }
    assert!(as_primary(&failed("Completed", "no space"), false).data_ready.message.contains("no space"));
}

#[test]
fn one_that_can_never_complete_may_go_and_one_that_may_still_may_not() {
    assert!(as_primary(&failed("Validated", ""), true).at_rest.is_some());
    assert!(as_primary(&failed("Completed", ""), true).at_rest.is_none());
    assert!(as_primary(&reached("Primary", false, false), true).at_rest.is_some());
    assert!(
        as_primary(&Replication { observed_generation: 0, ..reached("Primary", false, false) }, true).at_rest.is_none()
    );
}

#[test]
fn a_relocation_waits_until_the_copy_is_in_step_and_a_failover_does_not() {
    let table = [
        // resyncing, degraded, ready reason, at rest in a failover, in a relocation, called off or not
        (true, true, "Replicating", true, false),
        (false, false, "Replicated", true, true),
        (false, true, "Progressing", false, false),
        (true, false, "Error", false, false),
    ];
    for (resyncing, degraded, reason, failover, relocation) in table {
        let found = reached("Secondary", resyncing, degraded);
        let after = |intent| as_secondary(&found, intent);
        assert_eq!(after(Intent::Failover).data_ready.reason, reason);
        assert_eq!(after(Intent::Failover).at_rest.is_some(), failover, "{resyncing} {degraded}");
        assert_eq!(after(Intent::Relocate).at_rest.is_some(), relocation, "{resyncing} {degraded}");
        assert_eq!(after(Intent::Return).at_rest.is_some(), relocation, "{resyncing} {degraded}");
    }
    let unreported =
        Replication { conditions: vec![said("Completed", "True", "Demoted")], ..reached("Secondary", false, false) };
    assert!(as_secondary(&unreported, Intent::Failover).at_rest.is_none());
}

#[test]
fn what_was_demoted_and_claims_to_be_primary_is_not_at_rest() {
    let found = Replication { state: "Primary".into(), ..reached("Secondary", false, false) };
    for intent in [Intent::Failover, Intent::Return] {
        assert!(as_secondary(&found, intent).at_rest.is_none());
    }
}
