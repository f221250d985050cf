//! The benchmark, as its users run it: on real clusters beside the sandbox, and what it says where it cannot.
//!
//! Skipped, loudly, where the programs are not there; with `CI=true` that is a failure. See `docs/testing.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

use std::path::Path;
use std::process::{Command, Output};

use clap::Parser as _;
use kaedama_e2e::bench::report::{Size, WorldReport};
use kaedama_e2e::bench::{Args, run, text};
use kaedama_e2e::real::Options;
use kaedama_e2e::real::programs::Program;

/// The program that holds the others.
const KEEPER: &str = env!("CARGO_BIN_EXE_real");

/// Each action, and what an application comes to in its course.
const ACTIONS: [(&str, &[&str]); 7] = [
    ("protect", &["decision moved", "VRG ready", "placed", "completed", "protected"]),
    ("failover, source alive", &["decision moved", "VRG ready", "placed", "completed"]),
    ("relocate back", &["decision moved", "VRG ready", "placed", "completed"]),
    ("failover, source dead", &["decision moved", "VRG ready", "placed"]),
    ("source comes back", &["completed"]),
    ("relocate after it", &["decision moved", "VRG ready", "placed", "completed"]),
    ("unprotect", &["gone"]),
];

#[test]
fn real_clusters_are_measured_as_the_sandbox_is_and_compared_with_it() {
    let options = Options::new(KEEPER).unwrap();
    let mut needed = options.needed();
    needed.push(Program::Kubectl);
    if !options.programs.there_or_skipped(&needed) {
        return;
    }
    let args = Args::parse_from(["bench", "--world", "real", "--apps", "1", "--rest", "0", "--claims", "2"]);
    let report = run(&args, Path::new(KEEPER)).unwrap_or_else(|error| panic!("{error:#}"));
    let [sandbox, real] = report.worlds.as_slice() else { panic!("two worlds: {report:#?}") };
    assert_eq!((sandbox.world.as_str(), real.world.as_str()), ("sandbox", "real"));
    for world in [sandbox, real] {
        let [size] = world.sizes.as_slice() else { panic!("one size: {world:#?}") };
        the_same_is_reported(size, world);
    }
    for operator in ["hub", "spoke dr1", "spoke dr2"] {
        let memory = real.sizes[0].memory.iter().find(|memory| memory.name == operator);
        assert!(memory.is_some_and(|memory| memory.peak_mib > 1.0), "{operator}: {real:#?}");
    }

    let ratios = report.ratios.as_ref().expect("the worlds are compared");
    for (action, marks) in ACTIONS {
        for mark in marks {
            let step = ratios.steps.iter().find(|step| step.phase == action && step.until == *mark);
            let step = step.unwrap_or_else(|| panic!("{action} until {mark} is compared: {ratios:#?}"));
            assert!(step.p50.other > 0.0 && step.p50.ratio.is_some_and(|ratio| ratio > 0.0), "{step:?}");
        }
        let cost = ratios.costs.iter().find(|cost| cost.phase == action).unwrap();
        assert!(cost.writes.is_some_and(|writes| writes.ratio.is_some()), "{cost:?}");
    }
    let text = text(&report, false);
    assert!(text.contains("== real, and as a multiple of the sandbox =="), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    serde_json::to_string(&report).unwrap();
}

/// Durations, requests by agent and verb, S3 requests, processor time.
fn the_same_is_reported(size: &Size, world: &WorldReport) {
    let says = &world.world;
    assert_eq!(size.phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>(), ACTIONS.map(|(name, _)| name));
    for (action, marks) in ACTIONS {
        let phase = size.phase(action).unwrap();
        for mark in marks {
            assert!(phase.took(mark).is_some_and(|took| took.p50 > 0.0), "{says}: {action} until {mark}: {phase:#?}");
        }
        let calls = phase.requests.as_ref().unwrap_or_else(|| panic!("{says}: requests of {action} are counted"));
        for operator in ["kaedama-hub", "kaedama-spoke"] {
            assert!(calls.of(operator).writes > 0, "{says}: {operator} writes in {action}: {calls:#?}");
        }
        assert!(calls.others().writes > 0, "{says}: others write in {action}: {calls:#?}");
        let patches = calls.lines.iter().find(|line| line.agent == "kaedama-hub" && line.verb == "patch");
        assert!(patches.is_some_and(|line| line.resource.contains('.') && line.code == 200), "{says}: {calls:#?}");
    }
    let s3 = |action: &str, operation: &str| {
        let operations = size.phase(action).unwrap().s3.clone();
        operations.unwrap_or_else(|| panic!("{says}: S3 is counted")).get(operation).copied().unwrap_or_default()
    };
    assert!(s3("protect", "PutObject") > 0, "{says}: {world:#?}");
    assert!(s3("failover, source dead", "GetObject") > 0, "{says}: {world:#?}");
    assert!(s3("unprotect", "DeleteObject") + s3("unprotect", "DeleteObjects") > 0, "{says}: {world:#?}");
    let spent = |of: fn(&kaedama_e2e::bench::usage::Cpu) -> Option<u64>| -> u64 {
        size.phases.iter().map(|phase| of(&phase.cpu).unwrap_or_default()).sum()
    };
    assert!(spent(|cpu| cpu.hub()) > 0 && spent(|cpu| cpu.spokes()) > 0, "{says}: {world:#?}");
    assert!(size.server.read.p50 > 0.0 && size.server.write.p50 > 0.0, "{says}: {world:#?}");
}

fn bench(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    for module in ["KUBEBUILDER_ASSETS", "KAEDAMA_OCM_ASSETS", "KAEDAMA_S3_ASSETS"] {
        command.env_remove(module);
    }
    command.args(arguments).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line_that_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for (arguments, says) in [
        (vec!["--world", "reel"], "--world real"),
        (vec!["--world", "real", "--apps", "0"], "from 1 on"),
        (vec!["--world", "real", "--apps", "1"], "--bin real -- build"),
    ] {
        let refused = bench(&arguments, &[("KAEDAMA_TOOLS", empty)]);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.starts_with("bench: ") && told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(refused.stdout.is_empty(), "nothing was measured");
    }
}
