//! The scenarios on real clusters, in real time: see `docs/testing.md`.
//!
//! Without a name only the few that say most run; all of them with `--include-ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "refusals/mod.rs"]
mod refusals;
#[path = "scenarios/mod.rs"]
mod scenarios;

use std::process::ExitCode;

use kaedama_e2e::suite;

/// Those that also run when nobody asks for more.
const CORE: [&str; 1] =
    ["scenarios::relocate::a_dead_cluster_costs_what_came_after_the_last_snapshot_and_comes_back_clean"];

fn main() -> ExitCode {
    let mut all = scenarios::every!(kaedama_e2e::real_scenarios);
    all.extend(refusals::every!(kaedama_e2e::real_scenarios));
    for scenario in &mut all {
        scenario.core = CORE.contains(&scenario.name);
    }
    suite::main(env!("CARGO_BIN_EXE_real"), &all)
}
