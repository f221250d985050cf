//! The scenarios on real clusters, in real time: see `docs/testing.md`.
//!
//! Without a name only the few that say most run; all of them with `--include-ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "only_real/mod.rs"]
mod only_real;
#[path = "refusals/mod.rs"]
mod refusals;
#[path = "scenarios/mod.rs"]
mod scenarios;
#[path = "yaml/mod.rs"]
mod yaml;

use std::process::ExitCode;

use kaedama_e2e::suite;

/// Those that also run when nobody asks for more.
const CORE: [&str; 4] = [
    "scenarios::moves::a_dead_cluster_costs_what_came_after_the_last_snapshot_and_comes_back_clean",
    "scenarios::relocate::a_relocate_while_writing_loses_nothing_in_either_direction",
    "scenarios::metro::a_failover_waits_for_the_fence_and_loses_nothing",
    "only_real::stores::a_store_that_dies_in_a_capture_holds_nothing_that_is_half",
];

fn main() -> ExitCode {
    let mut all = scenarios::every!(kaedama_e2e::real_scenarios);
    all.extend(refusals::every!(kaedama_e2e::real_scenarios));
    all.extend(yaml::every!(kaedama_e2e::real_scenarios));
    all.extend(only_real::every!(kaedama_e2e::real_scenarios));
    for name in CORE {
        let scenario = all.iter_mut().find(|scenario| scenario.name == name);
        scenario.unwrap_or_else(|| panic!("there is no scenario {name}")).core = true;
    }
    suite::main(env!("CARGO_BIN_EXE_real"), &all)
}
