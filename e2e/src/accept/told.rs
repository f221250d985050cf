//! Which scenarios are told on clusters that belong to somebody else, and why the others are not.

use super::file::Choice;
use crate::suite::{self, Scenario};

/// What a scenario needs that is not to be had there: a scenario's name, or the module whose name it begins with.
const NOT_TOLD: [(&str, &str); 19] = [
    ("scenarios::definitions::", "it takes definitions and rights away"),
    ("scenarios::interrupted::a_hub_that_restarts", RESTARTS),
    ("scenarios::interrupted::a_source_that_dies", KILLS),
    ("scenarios::interrupted::a_target_that_dies", KILLS),
    ("scenarios::interrupted::a_failover_whose_target_dies", KILLS),
    ("scenarios::interrupted::a_promotion_that_the_storage_refuses", KILLS),
    ("scenarios::links::a_relocate_waits_for_a_cluster_that_the_hub_cannot_reach", CUTS),
    ("scenarios::links::a_link_that_breaks", CUTS),
    ("scenarios::metro::", "it needs one storage system under both clusters"),
    ("scenarios::moves::a_dead_cluster_costs", KILLS),
    ("scenarios::relocate::a_relocate_asked_for_during_a_failovers_cleanup", KILLS),
    ("scenarios::stores::a_store_that_is_away", STORES),
    ("scenarios::stores::a_failover_restores_from_the_store_that_is_left", KILLS),
    ("scenarios::stores::a_failover_without_any_store", STORES),
    ("refusals::claims::a_claim_without_a_replication_class", "it makes a storage class and changes it"),
    ("refusals::policies::", "it makes and deletes policies and DRClusters of these clusters"),
    ("refusals::stores::", "it breaks the configuration of the operators"),
    ("yaml::", "its clusters, policies and kinds have names that are fixed"),
    ("only_real::", "it kills programs of the clusters"),
];

const KILLS: &str = "it kills a cluster";
const CUTS: &str = "it cuts a cluster off";
const RESTARTS: &str = "it kills an operator, or a cluster";
const STORES: &str = "it takes a store away";

/// Why a scenario is not told there, with this storage.
#[must_use]
pub fn not_told(name: &str, storage: Choice) -> Option<&'static str> {
    let why =
        |table: &[(&str, &'static str)]| table.iter().find(|(start, _)| name.starts_with(start)).map(|(_, why)| *why);
    let of_storage = || if storage == Choice::Installed { why(&NOT_TOLD_ON_STORAGE) } else { None };
    why(&NOT_TOLD).or_else(of_storage)
}

/// What a scenario needs of the sandbox's storage, as [`NOT_TOLD`].
const NOT_TOLD_ON_STORAGE: [(&str, &str); 4] = [
    ("scenarios::interrupted::a_demotion_that_the_storage_refuses", BREAKS),
    ("scenarios::links::a_relocate_waits_for_data_that_cannot_get_across", BREAKS),
    ("scenarios::relocate::a_relocate_edited_back", BREAKS),
    ("scenarios::moves::the_time_of_the_last_sync", "it compares times with those that the sandbox's storage tells"),
];

const BREAKS: &str = "it breaks the storage, or its replication";

/// What breaks the storage that others share for as long as it lasts.
const BREAKS_STORAGE: [&str; 3] = [
    "scenarios::interrupted::a_demotion_that_the_storage_refuses",
    "scenarios::links::a_relocate_waits_for_data_that_cannot_get_across",
    "scenarios::relocate::a_relocate_edited_back",
];

/// Whether a scenario has to be told alone.
#[must_use]
pub fn breaks_storage(name: &str) -> bool {
    BREAKS_STORAGE.into_iter().any(|start| name.starts_with(start))
}

/// Names here, and of those that do not share clusters with all others, that fit no scenario: it was renamed or removed.
#[must_use]
pub fn stale(scenarios: &[Scenario]) -> Vec<&'static str> {
    let fits = |start: &str| scenarios.iter().any(|scenario| scenario.name.starts_with(start));
    let reasons = NOT_TOLD.into_iter().chain(NOT_TOLD_ON_STORAGE).map(|(start, _)| start);
    let names = reasons.chain(BREAKS_STORAGE).chain(suite::TOGETHER).chain(suite::OWN);
    names.filter(|start| !fits(start)).collect()
}
