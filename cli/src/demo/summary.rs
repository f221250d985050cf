//! The table at the end, and the document for scripts. Pure.

use serde::Serialize;

use super::paint::Paint;
use super::screen::{folded, seconds};
use super::tale::{Action, Kind, Tale};

/// The table, the checks and the verdict, within 80 columns.
pub fn table(tale: &Tale, paint: &Paint) -> String {
    let mut text = String::new();
    if !tale.actions.is_empty() {
        let row = |cells: [&str; 7]| {
            let [kind, from, to, running, clean, acknowledged, lost] = cells;
            format!("  {kind:<9} {from:<5} {to:<5} {running:>8} {clean:>8} {acknowledged:>13}   {lost}")
        };
        let head = row(["ACTION", "FROM", "TO", "RUNNING", "CLEAN", "ACKNOWLEDGED", "LOST"]);
        text.push_str(&format!("\n{}\n", paint.bold(&head)));
        for action in &tale.actions {
            let lost = lost(action);
            let lost = if action.lost == 0 { paint.green(&lost) } else { paint.yellow(&lost) };
            let (running, clean) = (seconds(action.running), seconds(action.clean));
            let acknowledged = action.acknowledged.to_string();
            let cells = [action.kind.name(), &action.from, &action.to, &running, &clean, &acknowledged, &lost];
            text.push_str(&format!("{}\n", row(cells)));
        }
        for line in [
            "RUNNING: from the edit of the DRPlacementControl to the application writing.",
            "CLEAN: until the other cluster follows (after the failover: from its return).",
        ] {
            text.push_str(&format!("  {}\n", paint.dim(line)));
        }
    }
    let checks = tale.checks();
    if !checks.is_empty() {
        text.push('\n');
    }
    for check in checks {
        let sign = if check.held { paint.good() } else { paint.bad() };
        text.push_str(&format!("  {sign} {}\n     {}\n", check.what, paint.dim(&check.measured)));
    }
    let took = tale.took.as_secs();
    if tale.passed() {
        text.push_str(&format!("\n  {}  everything held, in {took} s\n", paint.green("PASS")));
    } else {
        text.push_str(&format!("\n  {}  after {took} s:\n", paint.red("FAIL")));
        for line in tale.broken().iter().flat_map(|broken| folded(broken, 74)) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

fn lost(action: &Action) -> String {
    match action {
        Action { lost: 0, .. } => "0".to_owned(),
        Action { lost, late: 0, lost_seconds, .. } => format!("{lost} ({lost_seconds:.1} s of work)"),
        Action { lost, late, lost_seconds, .. } => format!("{} ({lost_seconds:.1} s) + {late} late", lost - late),
    }
}

/// The document for scripts. `broken` is there only when something is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    actions: Vec<Moved<'a>>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Moved<'a> {
    kind: Kind,
    from: &'a str,
    to: &'a str,
    seconds: f64,
    records_acknowledged: u64,
    records_lost: u64,
}

impl<'a> From<&'a Action> for Moved<'a> {
    fn from(action: &'a Action) -> Self {
        Moved {
            kind: action.kind,
            from: &action.from,
            to: &action.to,
            seconds: (action.running.as_secs_f64() * 1000.0).round() / 1000.0,
            records_acknowledged: action.acknowledged,
            records_lost: action.lost,
        }
    }
}

/// The document for scripts, as one line of JSON.
///
/// # Errors
/// None in practice: numbers and strings always have a JSON form.
pub fn json(tale: &Tale) -> serde_json::Result<String> {
    serde_json::to_string(&Document {
        actions: tale.actions.iter().map(Moved::from).collect(),
        verdict: if tale.passed() { "pass" } else { "fail" },
        broken: tale.broken(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::demo::invariants::tests::good;

    fn document(tale: &Tale) -> Value {
        serde_json::from_str(&json(tale).unwrap()).unwrap()
    }

    fn tale() -> Tale {
        let (actions, facts) = good();
        Tale { actions, facts: Some(facts), failure: None, took: Duration::from_secs(41) }
    }

    #[test]
    fn the_table_fits_a_plain_terminal_and_tells_what_was_lost() {
        let text = table(&tale(), &Paint::PLAIN);
        assert!(text.is_ascii(), "{text}");
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        let failover = text.lines().find(|line| line.contains("Failover ")).unwrap();
        let words: Vec<&str> = failover.split_whitespace().collect();
        assert_eq!(words[..8], ["Failover", "dr1", "dr2", "1.2", "s", "3.4", "s", "100"]);
        assert!(failover.ends_with("38 (1.9 s of work)"), "{failover}");
        assert!(text.contains("PASS  everything held, in 41 s"), "{text}");
    }

    #[test]
    fn a_broken_invariant_is_said_in_words() {
        let mut tale = tale();
        tale.actions[1].lost = 3;
        let text = table(&tale, &Paint::PLAIN);
        assert!(text.contains("FAIL") && text.contains("A relocate loses nothing: lost 3 and 0 records"), "{text}");
        let document = document(&tale);
        assert_eq!(document["verdict"], "fail");
        assert_eq!(document["broken"], json!(["A relocate loses nothing: lost 3 and 0 records"]));
    }

    #[test]
    fn records_of_the_returned_home_are_told_apart() {
        let mut tale = tale();
        (tale.actions[0].lost, tale.actions[0].late) = (39, 1);
        assert!(table(&tale, &Paint::PLAIN).contains("38 (1.9 s) + 1 late"));
    }

    #[test]
    fn the_document_has_what_scripts_read() {
        assert_eq!(
            document(&tale()),
            json!({
                "actions": [
                    { "kind": "Failover", "from": "dr1", "to": "dr2", "seconds": 1.25, "recordsAcknowledged": 100, "recordsLost": 38 },
                    { "kind": "Relocate", "from": "dr2", "to": "dr1", "seconds": 1.25, "recordsAcknowledged": 100, "recordsLost": 0 },
                    { "kind": "Relocate", "from": "dr1", "to": "dr2", "seconds": 1.25, "recordsAcknowledged": 100, "recordsLost": 0 },
                ],
                "verdict": "pass",
            })
        );
    }

    #[test]
    fn a_story_that_broke_off_fails_with_what_it_has() {
        let tale = Tale { actions: Vec::new(), facts: None, failure: Some("Fail over: no".to_owned()), ..tale() };
        assert!(table(&tale, &Paint::PLAIN).contains("FAIL  after 41 s:\n    Fail over: no\n"));
        assert_eq!(document(&tale), json!({ "actions": [], "verdict": "fail", "broken": ["Fail over: no"] }));
    }
}
