//! Turns reports of Kubernetes' own tests into the table of docs/embedded-api-server.md, between its two markers:
//!
//! `cargo run -p kaedama-apiserver --example conformance_table -- docs/embedded-api-server.md reasons.txt report.json …`
//!
//! Reports are those of `--ginkgo.json-report`; where a test is in several of them, the last counts. A line of the file of
//! reasons is a part of a test's name, ` = `, and why that test does not pass.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Error, Result};

const START: &str = "<!-- conformance table: made by examples/conformance_table.rs -->\n";
const END: &str = "<!-- end of the conformance table -->";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    spec_reports: Option<Vec<Spec>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
}

/// Tests that ran: by area and name, whether they passed.
type Outcomes = BTreeMap<(String, String), bool>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [document, reasons, reports @ ..] = args.as_slice() else {
        return Err(Error::other("usage: conformance_table DOCUMENT REASONS REPORT…"));
    };
    let mut outcomes = Outcomes::new();
    for report in reports {
        let suites: Vec<Suite> = serde_json::from_str(&std::fs::read_to_string(report)?)?;
        suites.into_iter().filter_map(|s| s.spec_reports).flatten().for_each(|spec| record(&mut outcomes, spec));
    }
    let reasons = std::fs::read_to_string(reasons)?;
    let reasons: Vec<(&str, &str)> = reasons.lines().filter_map(|l| l.split_once(" = ")).collect();
    let text = std::fs::read_to_string(document)?;
    let place = text.split_once(START).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = place.ok_or_else(|| Error::other(format!("{document} has no markers for the table")))?;
    std::fs::write(document, format!("{head}{START}{}{END}{tail}", table(&outcomes, &reasons)?))
}

/// Takes in a test that ran; one that was left out or skipped itself says nothing.
fn record(outcomes: &mut Outcomes, spec: Spec) {
    let passed = spec.state == "passed";
    if spec.leaf_node_type != "It" || matches!(spec.state.as_str(), "skipped" | "pending") {
        return;
    }
    let texts = spec.container_hierarchy_texts.unwrap_or_default();
    let area = texts.first().map(|t| t.trim_start_matches("[sig-api-machinery]").trim()).unwrap_or_default();
    outcomes.insert((area.to_owned(), spec.leaf_node_text), passed);
}

fn table(outcomes: &Outcomes, reasons: &[(&str, &str)]) -> Result<String> {
    let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((area, _), passed) in outcomes {
        let counts = areas.entry(area).or_default();
        counts.0 += 1;
        counts.1 += usize::from(*passed);
    }
    let passed = outcomes.values().filter(|p| **p).count();
    let mut out = format!("{passed} of {} pass.\n\n| Tests | run | pass |\n|---|---|---|\n", outcomes.len());
    for (area, (run, pass)) in areas {
        // Writing to a string does not fail.
        let _ = writeln!(out, "| {area} | {run} | {pass} |");
    }
    let mut rows = String::new();
    for (area, name) in outcomes.iter().filter(|(_, passed)| !**passed).map(|(key, _)| key) {
        let full = format!("{area} {name}");
        let (_, reason) = reasons
            .iter()
            .find(|(part, _)| full.contains(part))
            .ok_or_else(|| Error::other(format!("no reason is given why this test does not pass: {full}")))?;
        let _ = writeln!(rows, "| {area}: {name} | {reason} |");
    }
    if !rows.is_empty() {
        let _ = write!(out, "\n| Does not pass | Why |\n|---|---|\n{rows}");
    }
    Ok(out)
}
