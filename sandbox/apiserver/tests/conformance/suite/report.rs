//! Differences as text, and the figures of the document.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::script::{Case, File, folder};

const START: &str = "<!-- conformance cases: written with the goldens -->\n";
const END: &str = "<!-- end of the conformance cases -->";

/// What is expected and what came, where they differ; nothing where they do not.
pub fn differences(case: &Case, came: &[Vec<String>]) -> Option<String> {
    let mut out = String::new();
    for (step, came) in case.steps().zip(came) {
        let came: Vec<String> = came.iter().map(|line| line.trim_end().to_owned()).collect();
        if step.golden != came {
            let _ = writeln!(out, "  {}", step.source[0]);
            out.push_str(&diff(&step.golden, &came));
        }
    }
    (!out.is_empty()).then(|| format!("== {}\n{out}", case.title))
}

/// Lines that were expected (`-`) and that came (`+`), with the keys that they stand below.
pub fn diff(expected: &[String], came: &[String]) -> String {
    // The longest common subsequence; answers have some hundred lines at most.
    let (n, m) = (expected.len(), came.len());
    let mut common = vec![vec![0_usize; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            common[i][j] =
                if expected[i] == came[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut out = String::new();
    while i < n || j < m {
        if i < n && j < m && expected[i] == came[j] {
            (i, j) = (i + 1, j + 1);
        } else if j >= m || (i < n && common[i + 1][j] >= common[i][j + 1]) {
            let _ = writeln!(out, "    - {}", expected[i]);
            i += 1;
        } else {
            let _ = writeln!(out, "    + {}", came[j]);
            j += 1;
        }
    }
    out
}

/// The document that shows the figures.
pub fn document() -> PathBuf {
    folder().join("../../../../docs/embedded-api-server.md")
}

/// The document with its figures as the cases have them.
pub fn with_figures(document: &str, files: &[File]) -> String {
    let place = document.split_once(START).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = place.expect("the document has markers for the figures");
    format!("{head}{START}{}{END}{tail}", figures(files))
}

fn figures(files: &[File]) -> String {
    let mut rows = String::new();
    let (mut cases, mut steps) = (0, 0);
    let mut excepts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for file in files {
        let of_file: usize = file.cases.iter().map(|case| case.steps().count()).sum();
        let _ = writeln!(rows, "| {} | {} | {of_file} |", file.area(), file.cases.len());
        (cases, steps) = (cases + file.cases.len(), steps + of_file);
        let of_steps = file.cases.iter().flat_map(Case::steps).flat_map(|step| &step.excepts);
        for except in file.cases.iter().flat_map(|case| &case.excepts).chain(of_steps) {
            *excepts.entry((&except.path, &except.reason)).or_default() += 1;
        }
    }
    let mut out = format!("{cases} cases of {steps} steps.\n\n| Area | cases | steps |\n|---|---|---|\n{rows}");
    if !excepts.is_empty() {
        out.push_str("\n| Left out of the comparison | times | Why |\n|---|---|---|\n");
        for ((path, reason), count) in excepts {
            let _ = writeln!(out, "| `{path}` | {count} | {reason} |");
        }
    }
    out
}
