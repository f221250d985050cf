//! What a run has come to.

use std::fmt::Write as _;

use serde::Serialize;

/// What a run has come to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the run: what its namespaces and keys begin with.
    pub run: String,
    /// The sum of it.
    pub verdict: Verdict,
    /// Why nothing could be told, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it began.
    pub began: String,
    /// What it took, in seconds, with installing and cleaning up.
    pub seconds: f64,
    /// The scenarios, in their order.
    pub scenarios: Vec<Told>,
    /// What is left on the clusters and in the stores.
    pub left_behind: Vec<String>,
    /// The folder of the logs.
    pub logs: String,
}

/// The sum of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every scenario passed, and nothing is left.
    Accepted,
    /// A scenario failed, could not be told, or something is left.
    Rejected,
    /// Somebody ended the run.
    Interrupted,
}

/// A scenario of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What it took, in seconds, without cleaning up.
    pub seconds: f64,
    /// Acknowledged records that the applications' last home does not hold. A failover may lose what was written since
    /// the last sync; the scenario itself states what is too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_lost: Option<u64>,
    /// Records that were acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_written: Option<u64>,
    /// Containers of which nobody read the end of the log: records that were lost with their lines there are not counted,
    /// and nothing is accepted by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_without_end: Option<u64>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// Somebody ended the run.
    Interrupted,
    /// It was not begun.
    NotBegun,
}

impl Told {
    /// How many logs were not read to their end.
    pub(super) fn unread(&self) -> u64 {
        self.logs_without_end.unwrap_or_default()
    }
}

impl Report {
    /// As text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let width = self.scenarios.iter().map(|told| told.name.len()).max().unwrap_or(0);
        let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        if !self.scenarios.is_empty() {
            let _ = writeln!(
                out,
                "{:width$}  {:11} {:>8} {:>8} {:>6}",
                "scenario", "outcome", "seconds", "written", "lost"
            );
        }
        for told in &self.scenarios {
            let outcome = match told.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "FAILED",
                Outcome::Interrupted => "interrupted",
                Outcome::NotBegun => "not begun",
            };
            let (written, lost) = (number(told.records_written), number(told.records_lost));
            let _ = writeln!(out, "{:width$}  {outcome:11} {:8.1} {written:>8} {lost:>6}", told.name, told.seconds);
        }
        for told in self.scenarios.iter().filter(|told| told.unread() > 0) {
            let _ = writeln!(
                out,
                "\n{}: the end of {} of its logs was not read, so that a record that was lost with its line there is not \
                 counted: tell it again",
                told.name,
                told.unread()
            );
        }
        for told in &self.scenarios {
            if let Some(why) = &told.why {
                let _ = writeln!(out, "\n{}: {why}", told.name);
            }
        }
        if let Some(why) = &self.why {
            let _ = writeln!(out, "\n{why}");
        }
        let _ = match self.left_behind.as_slice() {
            [] => writeln!(out, "\nleft behind: nothing"),
            left => writeln!(out, "\nleft behind (`accept clean` removes it):\n  {}", left.join("\n  ")),
        };
        let passed = self.scenarios.iter().filter(|told| told.outcome == Outcome::Passed).count();
        let verdict = match self.verdict {
            Verdict::Accepted => "ACCEPTED",
            Verdict::Rejected => "NOT ACCEPTED",
            Verdict::Interrupted => "INTERRUPTED",
        };
        let of = self.scenarios.len();
        let _ = writeln!(out, "{verdict}: {passed} of {of} passed, {:.0} s; logs: {}", self.seconds, self.logs);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_failed_and_what_is_left() {
        let told = |name: &str, outcome, why: Option<&str>| Told {
            name: name.into(),
            outcome,
            seconds: 1.25,
            records_lost: Some(0),
            records_written: Some(120),
            logs_without_end: Some(u64::from(name == "a")),
            why: why.map(str::to_owned),
        };
        let report = Report {
            run: "kaedama-accept-1".into(),
            verdict: Verdict::Rejected,
            why: None,
            began: "2026-03-01T03:00:00Z".into(),
            seconds: 90.4,
            scenarios: vec![told("a", Outcome::Passed, None), told("b", Outcome::Failed, Some("it lost 3"))],
            left_behind: vec!["dr1: Namespace x".into()],
            logs: "/logs".into(),
        };
        let text = report.text();
        assert!(text.contains("b: it lost 3") && text.contains("dr1: Namespace x"), "{text}");
        assert_eq!(text.matches("was not read").count(), 1, "{text}");
        assert!(text.contains("a: the end of 1 of its logs was not read"), "{text}");
        assert!(text.contains("NOT ACCEPTED: 1 of 2 passed, 90 s; logs: /logs"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["verdict"], &json["scenarios"][1]["outcome"]), (&"rejected".into(), &"failed".into()));
        assert_eq!(json["scenarios"][0]["recordsLost"], 0);
    }
}
