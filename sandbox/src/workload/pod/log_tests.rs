//! What the lines of pods come to.

use super::*;

/// Records that a start finds: whose, from which number to which.
type Runs<'a> = &'a [(&'a str, u64, u64)];

/// Logs of one application, and the second at which the next line is told.
struct Book {
    logs: Logs,
    second: i64,
}

impl Book {
    fn new() -> Self {
        Self { logs: Logs::default(), second: 0 }
    }

    fn app() -> AppId {
        AppId::new("shop", "web")
    }

    fn line(&mut self, cluster: &str, text: &str) {
        let at = Timestamp::from_second(self.second).unwrap();
        self.logs.line(&Self::app(), cluster, &format!("{at} kaedama {text}"));
    }

    /// A start that finds these records on its one volume.
    fn begins(&mut self, cluster: &str, start: &str, found: Runs<'_>) {
        self.begins_with(cluster, start, &[("data", found)]);
    }

    fn begins_with(&mut self, cluster: &str, start: &str, volumes: &[(&str, Runs<'_>)]) {
        self.second += 1;
        self.line(cluster, &format!("begins {start}"));
        for (claim, found) in volumes {
            for (of, from, to) in *found {
                self.line(cluster, &format!("found {start} {claim} {of} {from} {to}"));
            }
            self.line(cluster, &format!("damaged {start} {claim} 0"));
        }
        self.line(cluster, &format!("ready {start}"));
    }

    fn writes(&mut self, cluster: &str, start: &str, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.second += 1;
            self.line(cluster, &format!("wrote {start} {number}"));
        }
    }

    fn audit(&self) -> Audit {
        Books::audit(&self.logs, &Self::app()).unwrap()
    }
}

/// Ten records on dr1.
fn ten() -> Book {
    let mut book = Book::new();
    book.begins("dr1", "a", &[]);
    book.writes("dr1", "a", 1..=10);
    book
}

#[test]
fn a_relocate_that_finds_everything_is_clean_also_where_the_clocks_differ() {
    let mut book = ten();
    // The clock of the other cluster is behind.
    book.second = 5;
    book.begins("dr2", "b", &[("a", 1, 10)]);
    book.writes("dr2", "b", 11..=12);
    let audit = book.audit();
    assert!(audit.is_clean(), "{audit:#?}");
    assert_eq!((audit.cluster.as_str(), audit.acknowledged, audit.present), ("dr2", 12, 12));
    assert_eq!(audit.writers, ["dr1", "dr2"]);
}

#[test]
fn what_the_next_start_does_not_find_is_lost_and_stays_so_when_its_numbers_are_used_again() {
    let mut book = ten();
    book.begins("dr2", "b", &[("a", 1, 6)]);
    book.writes("dr2", "b", 7..=12);
    let audit = book.audit();
    assert_eq!((audit.acknowledged, audit.present, audit.lost), (16, 12, 4), "{audit:#?}");
    // From record 6 at second 7 to record 10 at second 11.
    assert_eq!((audit.lost_seconds, audit.duplicated, audit.out_of_order, audit.damaged), (4.0, 0, 0, 0));
    // Home again, with what dr2 had.
    book.begins("dr1", "c", &[("a", 1, 6), ("b", 7, 12)]);
    book.writes("dr1", "c", 13..=13);
    let home = book.audit();
    assert_eq!((home.cluster.as_str(), home.lost, home.acknowledged), ("dr1", 4, 17), "{home:#?}");
}

#[test]
fn one_volume_that_lacks_a_record_loses_it() {
    let mut book = Book::new();
    book.begins_with("dr1", "a", &[("data", &[]), ("log", &[])]);
    book.writes("dr1", "a", 1..=10);
    book.begins_with("dr2", "b", &[("data", &[("a", 1, 10)]), ("log", &[("a", 1, 7)])]);
    book.writes("dr2", "b", 11..=11);
    let audit = book.audit();
    assert_eq!((audit.lost, audit.volumes["data"].lost, audit.volumes["log"].lost), (3, 0, 3), "{audit:#?}");
}

#[test]
fn a_container_that_is_started_again_in_place_has_lost_nothing() {
    let mut book = ten();
    book.begins("dr1", "a2", &[("a", 1, 10)]);
    assert_eq!(book.audit().cluster, "dr1");
    book.writes("dr1", "a2", 11..=12);
    let audit = book.audit();
    assert!(audit.is_clean() && audit.acknowledged == 12, "{audit:#?}");
}

#[test]
fn lines_that_were_never_read_are_no_loss_and_a_record_that_was_found_can_still_be_lost() {
    let mut book = ten();
    // The last two lines of the first pod never came.
    book.begins("dr2", "b", &[("a", 1, 12)]);
    book.writes("dr2", "b", 13..=13);
    let audit = book.audit();
    assert!(audit.is_clean() && audit.acknowledged == 13 && audit.unacknowledged == 0, "{audit:#?}");
    book.begins("dr1", "c", &[("a", 1, 11)]);
    book.writes("dr1", "c", 12..=12);
    assert_eq!(book.audit().lost, 2);
}

#[test]
fn a_record_that_was_lost_with_its_line_is_known_by_the_end_of_the_log() {
    let mut book = ten();
    assert_eq!(book.audit().unknown_ends, 0, "the last start may write on");
    let mut without = ten();
    for (book, ends) in [(&mut book, true), (&mut without, false)] {
        if ends {
            // The lines of 11 and 12 were never read.
            book.line("dr1", "ended a 1 12");
        }
        book.begins("dr2", "b", &[("a", 1, 9)]);
        book.writes("dr2", "b", 10..=10);
    }
    let (audit, unknown) = (book.audit(), without.audit());
    assert_eq!((audit.acknowledged, audit.lost, audit.unknown_ends), (13, 3, 0), "{audit:#?}");
    assert_eq!((unknown.acknowledged, unknown.lost, unknown.unknown_ends), (11, 1, 1), "{unknown:#?}");
    // One that was ended before it wrote.
    book.begins("dr1", "c", &[("a", 1, 9), ("b", 10, 10)]);
    book.line("dr1", "ended c 11 10");
    assert_eq!(book.audit(), audit);
}

#[test]
fn a_record_that_is_not_on_all_volumes_was_cut_short() {
    let mut book = Book::new();
    book.begins_with("dr1", "a", &[("data", &[]), ("log", &[])]);
    book.writes("dr1", "a", 1..=5);
    book.begins_with("dr1", "a2", &[("data", &[("a", 1, 6)]), ("log", &[("a", 1, 5)])]);
    book.writes("dr1", "a2", 7..=7);
    let audit = book.audit();
    assert!(audit.is_clean(), "{audit:#?}");
    assert_eq!(audit.unacknowledged, 1);
}

#[test]
fn a_log_whose_beginning_is_gone_still_counts_and_judges_nothing_by_itself() {
    let mut book = Book::new();
    book.writes("dr1", "a", 8..=10);
    assert!(Books::audit(&book.logs, &Book::app()).is_none(), "what it found is not known");
    book.begins("dr2", "b", &[("a", 1, 9)]);
    book.writes("dr2", "b", 10..=10);
    let audit = book.audit();
    // Its first seven are known by what the other found.
    assert_eq!((audit.acknowledged, audit.lost), (11, 1), "{audit:#?}");
    // A report whose beginning was not read is none.
    book.line("dr1", "found c data a 1 9");
    book.line("dr1", "ready c");
    book.writes("dr1", "c", 10..=10);
    assert!(Books::audit(&book.logs, &Book::app()).is_none());
}

#[test]
fn a_log_that_is_read_again_changes_nothing() {
    let mut book = ten();
    book.begins("dr2", "b", &[("a", 1, 6)]);
    book.writes("dr2", "b", 7..=8);
    let before = book.audit();
    // The reader of the old pod begins anew, with the times of then; so does that of the new one.
    book.second = 0;
    book.begins("dr1", "a", &[]);
    book.writes("dr1", "a", 1..=10);
    book.begins("dr2", "b", &[("a", 1, 6)]);
    book.writes("dr2", "b", 7..=8);
    assert_eq!(book.audit(), before);
}

#[test]
fn an_old_home_that_writes_on_is_concurrent_and_its_late_records_are_lost() {
    let mut book = ten();
    book.begins("dr2", "b", &[("a", 1, 10)]);
    book.writes("dr2", "b", 11..=12);
    book.writes("dr1", "a", 11..=12);
    book.writes("dr2", "b", 13..=13);
    let audit = book.audit();
    assert_eq!((audit.cluster.as_str(), audit.lost), ("dr2", 2), "{audit:#?}");
    assert!(audit.concurrent_seconds > 0.0, "{audit:#?}");
}

#[test]
fn records_of_a_pod_whose_log_was_never_read_are_its_clusters() {
    let mut book = Book::new();
    book.logs.pod(&Book::app(), "dr1", "uid1");
    book.begins("dr2", "uid2-5-4", &[("uid1-1-1", 1, 3)]);
    book.writes("dr2", "uid2-5-4", 4..=4);
    assert_eq!(book.audit().writers, ["dr1", "dr2"]);
}

#[test]
fn damage_and_disorder_are_told() {
    let mut book = ten();
    book.begins("dr2", "b", &[("a", 5, 10), ("a", 1, 4), ("a", 4, 4)]);
    book.line("dr2", "begins b");
    for line in ["found b data a 5 10", "found b data a 1 4", "found b data a 4 4", "damaged b data 2", "ready b"] {
        book.line("dr2", line);
    }
    book.writes("dr2", "b", 11..=11);
    let audit = book.audit();
    assert_eq!((audit.lost, audit.damaged, audit.duplicated), (0, 2, 1), "{audit:#?}");
    assert!(audit.out_of_order > 0);
}

#[test]
fn lines_of_others_are_none_of_ours() {
    let logs = Logs::default();
    let app = Book::app();
    for line in ["", "2026-03-01T03:00:00Z starting", "kaedama wrote a 1", "2026-03-01T03:00:00Z kaedama wrote a x"] {
        logs.line(&app, "dr1", line);
    }
    assert!(Books::audit(&logs, &app).is_none());
}
