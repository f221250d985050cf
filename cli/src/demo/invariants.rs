//! What has to be true of it all. Pure.

use super::tale::{Action, Facts, Kind};

/// How far the times of records and of snapshots may be apart on a busy machine: between the moment that a record
/// carries and its arrival on the last volume.
const SLACK_SECONDS: f64 = 0.5;
/// How long a home that comes back may write before it is stopped: nothing fences it in this setup.
const RETURN_SECONDS: f64 = 5.0;
/// How far behind the other side may be at the end: three shipments, and the pause of a move before them.
const LAG_SECONDS: f64 = 12.0;
/// Less than this is rounding.
const NOTHING: f64 = 0.001;

/// Something that has to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it is.
    pub held: bool,
    /// What was measured.
    pub measured: String,
}

/// All checks, whether they hold or not.
pub fn checks(actions: &[Action], facts: &Facts) -> Vec<Check> {
    vec![tail(facts), relocates(actions), rest(actions, facts), order(facts), one_writer(facts), protected(facts)]
}

fn tail(facts: &Facts) -> Check {
    let what = "The failover lost only what came after the last sync";
    let audit = &facts.failed_over;
    let Some(synced) = facts.synced_until else {
        return Check { what, held: false, measured: "there never was a complete sync".to_owned() };
    };
    let unsynced = facts.killed_at.duration_since(synced).as_secs_f64();
    // Work that is lost, and the time of its first record: a gap in the middle would show in the second one only.
    let early = audit.first_lost.map(|first| synced.duration_since(first).as_secs_f64());
    let held = facts.before.lost == 0
        && audit.lost_seconds <= unsynced + SLACK_SECONDS
        && early.is_none_or(|early| early <= SLACK_SECONDS);
    let lost = format!("lost {:.2} s of work; the last sync was {unsynced:.2} s before the end", audit.lost_seconds);
    let measured = match early.filter(|early| *early > SLACK_SECONDS) {
        Some(early) => format!("{lost}; its first record had been written {early:.2} s before that sync"),
        None if facts.before.lost > 0 => format!("{} records were lost before anything happened", facts.before.lost),
        None => lost,
    };
    Check { what, held, measured }
}

fn relocates(actions: &[Action]) -> Check {
    let relocates: Vec<&Action> = actions.iter().filter(|action| action.kind == Kind::Relocate).collect();
    let lost: Vec<String> = relocates.iter().map(|action| action.lost.to_string()).collect();
    Check {
        what: "A relocate loses nothing",
        held: relocates.iter().all(|action| action.lost == 0),
        measured: format!("lost {} records", lost.join(" and ")),
    }
}

fn rest(actions: &[Action], facts: &Facts) -> Check {
    let accounted: u64 = actions.iter().map(|action| action.lost).sum();
    let last = &facts.last;
    Check {
        what: "Every other record is on every volume",
        held: last.lost <= accounted && last.present > 0,
        measured: format!("{} of {} there, {} lost by the failover", last.present, last.acknowledged, accounted),
    }
}

fn order(facts: &Facts) -> Check {
    let last = &facts.last;
    Check {
        what: "Nothing doubled, out of order or damaged",
        held: last.duplicated == 0 && last.out_of_order == 0 && last.damaged == 0,
        measured: format!("{} doubled, {} out of order, {} damaged", last.duplicated, last.out_of_order, last.damaged),
    }
}

fn one_writer(facts: &Facts) -> Check {
    let return_ = facts.returned.concurrent_seconds - facts.failed_over.concurrent_seconds;
    let other = facts.last.concurrent_seconds - return_;
    let measured = if return_ < NOTHING && other < NOTHING {
        "at no time".to_owned()
    } else if other < NOTHING {
        format!("but {return_:.2} s of the old home's return, thrown away")
    } else {
        format!("{other:.2} s, and {return_:.2} s when the old home returned")
    };
    Check { what: "Never two clusters writing", held: other < NOTHING && return_ <= RETURN_SECONDS, measured }
}

fn protected(facts: &Facts) -> Check {
    let fresh = facts.lag.is_some_and(|lag| lag <= LAG_SECONDS);
    let measured = match (facts.protected, facts.lag) {
        (false, _) => "not Protected".to_owned(),
        (true, None) => "Protected, but nothing was shipped".to_owned(),
        (true, Some(lag)) => format!("Protected, the peer ready and {lag:.1} s behind"),
    };
    Check { what: "Protected again at the end", held: facts.protected && fresh, measured }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use jiff::Timestamp;
    use kaedama_sandbox::workload::{AppId, Audit};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn audit(acknowledged: u64, lost: u64, lost_seconds: f64) -> Audit {
        Audit {
            app: AppId::new("shop", "orders"),
            cluster: "dr2".to_owned(),
            acknowledged,
            present: acknowledged - lost,
            lost,
            lost_seconds,
            first_lost: (lost > 0).then(|| at(100)),
            last_written: None,
            duplicated: 0,
            out_of_order: 0,
            unacknowledged: 0,
            damaged: 0,
            concurrent_seconds: 0.0,
            writers: vec!["dr1".to_owned(), "dr2".to_owned()],
            unknown_ends: 0,
            volumes: BTreeMap::new(),
        }
    }

    pub fn action(kind: Kind, from: &str, to: &str, lost: u64) -> Action {
        Action {
            kind,
            from: from.to_owned(),
            to: to.to_owned(),
            running: Duration::from_millis(1250),
            clean: Duration::from_millis(3400),
            acknowledged: 100,
            lost,
            lost_seconds: lost as f64 / 20.0,
            late: 0,
        }
    }

    /// A failover that lost 38 records, 1.9 s of work, and two relocates that lost nothing.
    pub fn good() -> (Vec<Action>, Facts) {
        let actions = vec![
            action(Kind::Failover, "dr1", "dr2", 38),
            action(Kind::Relocate, "dr2", "dr1", 0),
            action(Kind::Relocate, "dr1", "dr2", 0),
        ];
        let facts = Facts {
            before: audit(200, 0, 0.0),
            killed_at: at(102),
            synced_until: Some(at(100)),
            failed_over: audit(260, 38, 1.9),
            returned: audit(300, 38, 1.9),
            last: audit(500, 38, 1.9),
            protected: true,
            lag: Some(1.5),
        };
        (actions, facts)
    }

    /// What is broken after `change`.
    fn broken(change: impl FnOnce(&mut Vec<Action>, &mut Facts)) -> Vec<&'static str> {
        let (mut actions, mut facts) = good();
        change(&mut actions, &mut facts);
        checks(&actions, &facts).into_iter().filter(|check| !check.held).map(|check| check.what).collect()
    }

    #[test]
    fn a_good_story_breaks_nothing() {
        assert!(broken(|_, _| {}).is_empty());
    }

    #[test]
    fn a_failover_that_loses_more_than_the_tail_is_found() {
        let what = "The failover lost only what came after the last sync";
        assert_eq!(broken(|_, facts| facts.failed_over.lost_seconds = 2.6), [what]);
        assert_eq!(broken(|_, facts| facts.failed_over.first_lost = Some(at(99))), [what]);
        assert_eq!(broken(|_, facts| facts.synced_until = None), [what]);
        assert_eq!(broken(|_, facts| facts.before.lost = 1), [what]);
    }

    #[test]
    fn a_relocate_that_loses_a_record_is_found() {
        assert_eq!(broken(|actions, _| actions[2].lost = 1), ["A relocate loses nothing"]);
    }

    #[test]
    fn records_that_vanish_between_the_actions_are_found() {
        assert_eq!(broken(|_, facts| facts.last.lost = 39), ["Every other record is on every volume"]);
        assert_eq!(broken(|_, facts| facts.last.present = 0), ["Every other record is on every volume"]);
    }

    #[test]
    fn damage_is_found() {
        let what = "Nothing doubled, out of order or damaged";
        assert_eq!(broken(|_, facts| facts.last.duplicated = 1), [what]);
        assert_eq!(broken(|_, facts| facts.last.out_of_order = 1), [what]);
        assert_eq!(broken(|_, facts| facts.last.damaged = 1), [what]);
    }

    #[test]
    fn two_writers_are_found_and_the_return_of_the_old_home_is_told_apart() {
        let what = "Never two clusters writing";
        let returned = |facts: &mut Facts, seconds: f64| {
            facts.returned.concurrent_seconds = seconds;
            facts.last.concurrent_seconds = seconds;
        };
        assert!(broken(|_, facts| returned(facts, 0.3)).is_empty());
        assert_eq!(broken(|_, facts| returned(facts, 6.0)), [what]);
        assert_eq!(broken(|_, facts| facts.last.concurrent_seconds = 0.2), [what]);
        let during_failover = |facts: &mut Facts| {
            for audit in [&mut facts.failed_over, &mut facts.returned, &mut facts.last] {
                audit.concurrent_seconds = 0.2;
            }
        };
        assert_eq!(broken(|_, facts| during_failover(facts)), [what]);
    }

    #[test]
    fn an_application_without_protection_is_found() {
        let what = "Protected again at the end";
        assert_eq!(broken(|_, facts| facts.protected = false), [what]);
        assert_eq!(broken(|_, facts| facts.lag = Some(60.0)), [what]);
        assert_eq!(broken(|_, facts| facts.lag = None), [what]);
    }
}
