//! Ledger against volume: what is lost, doubled, out of order, or written by two at a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Acknowledged, AppId, Record};

/// What an application's volumes hold of what was acknowledged to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// The application.
    pub app: AppId,
    /// The cluster whose volumes were read.
    pub cluster: String,
    /// Records that were acknowledged: each was on all volumes when it was.
    pub acknowledged: u64,
    /// Acknowledged records that are on all volumes.
    pub present: u64,
    /// Acknowledged records that are missing from a volume.
    pub lost: u64,
    /// Seconds of work that are lost: for each gap from the last record before it to the last record in it.
    pub lost_seconds: f64,
    /// When the first lost record was written.
    pub first_lost: Option<Timestamp>,
    /// When the last acknowledged record was written.
    pub last_written: Option<Timestamp>,
    /// Numbers that occur more than once on a volume, and how often beyond the first; the worst volume.
    pub duplicated: u64,
    /// Records that follow one with a higher number; the worst volume.
    pub out_of_order: u64,
    /// Records on a volume that were never acknowledged, such as the last one before a crash; the worst volume.
    pub unacknowledged: u64,
    /// Lines that are not records of this application; the worst volume.
    pub damaged: u64,
    /// Seconds during which two clusters had writes acknowledged, each between its own.
    pub concurrent_seconds: f64,
    /// Clusters that had writes acknowledged, in order of their first.
    pub writers: Vec<String>,
    /// Starts of the application of which nobody knows whether they wrote more than is known of them: the end of their log
    /// was never read. Records that are lost with their lines are not counted.
    pub unknown_ends: u64,
    /// Each volume by itself, by the name of its claim.
    pub volumes: BTreeMap<String, VolumeAudit>,
}

impl Audit {
    /// Whether nothing is lost, doubled, out of order, damaged or written by two at a time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.out_of_order == 0
            && self.damaged == 0
            && self.concurrent_seconds == 0.0
    }
}

/// What one volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeAudit {
    /// Records on it.
    pub records: u64,
    /// Acknowledged records that are not on it.
    pub lost: u64,
    /// Numbers that occur again.
    pub duplicated: u64,
    /// Records that follow one with a higher number.
    pub out_of_order: u64,
    /// Records that were never acknowledged.
    pub unacknowledged: u64,
    /// Lines that are not records of this application.
    pub damaged: u64,
}

/// Compares what was acknowledged with the bytes of the volumes (by claim). Pure.
#[must_use]
pub fn compare(
    app: &AppId,
    cluster: &str,
    acknowledged: &[Acknowledged],
    volumes: &BTreeMap<String, Vec<u8>>,
) -> Audit {
    let volumes = volumes.iter().map(|(claim, bytes)| (claim.clone(), Record::read_all(bytes))).collect();
    judge(app, cluster, acknowledged, &volumes, &|_, _| false)
}

/// Compares what was acknowledged with the records of the volumes (by claim), and with their lines that are none. Of two
/// writers that `ordered` knows to have written one after the other, the times are not compared. Pure.
pub(super) fn judge(
    app: &AppId,
    cluster: &str,
    acknowledged: &[Acknowledged],
    volumes: &BTreeMap<String, (Vec<Record>, u64)>,
    ordered: &dyn Fn(&str, &str) -> bool,
) -> Audit {
    let known: BTreeSet<&Record> = acknowledged.iter().map(|ack| &ack.record).collect();
    let mut missing: BTreeSet<&Record> = BTreeSet::new();
    let mut audits = BTreeMap::new();
    for (claim, (records, damaged)) in volumes {
        let mut audit = look(app, records, &known);
        audit.damaged += *damaged;
        let there: BTreeSet<&Record> = records.iter().collect();
        let lost: Vec<&Record> = known.iter().copied().filter(|record| !there.contains(record)).collect();
        audit.lost = lost.len() as u64;
        missing.extend(lost);
        audits.insert(claim.clone(), audit);
    }
    let (lost_seconds, first_lost) = gaps(acknowledged, &missing);
    let worst = |count: fn(&VolumeAudit) -> u64| audits.values().map(count).max().unwrap_or(0);
    Audit {
        app: app.clone(),
        cluster: cluster.to_owned(),
        acknowledged: known.len() as u64,
        present: (known.len() - missing.len()) as u64,
        lost: missing.len() as u64,
        lost_seconds,
        first_lost,
        last_written: acknowledged.last().map(|ack| ack.record.at),
        duplicated: worst(|audit| audit.duplicated),
        out_of_order: worst(|audit| audit.out_of_order),
        unacknowledged: worst(|audit| audit.unacknowledged),
        damaged: worst(|audit| audit.damaged),
        concurrent_seconds: concurrent(acknowledged, ordered),
        writers: writers(acknowledged),
        unknown_ends: 0,
        volumes: audits,
    }
}

fn look(app: &AppId, records: &[Record], known: &BTreeSet<&Record>) -> VolumeAudit {
    let mut audit = VolumeAudit { records: records.len() as u64, ..VolumeAudit::default() };
    let mut numbers = BTreeSet::new();
    let mut highest = None;
    for record in records {
        if record.app != app.to_string() {
            audit.damaged += 1;
            continue;
        }
        audit.duplicated += u64::from(!numbers.insert(record.seq));
        audit.out_of_order += u64::from(highest.is_some_and(|highest| record.seq < highest));
        audit.unacknowledged += u64::from(!known.contains(record));
        highest = highest.max(Some(record.seq));
    }
    audit
}

/// The time covered by runs of lost records, and when the first of them was written.
fn gaps(acknowledged: &[Acknowledged], missing: &BTreeSet<&Record>) -> (f64, Option<Timestamp>) {
    let mut total = SignedDuration::ZERO;
    let mut first = None;
    // Where the present gap began: at the last record that is there, or at the first lost one.
    let mut since: Option<Timestamp> = None;
    let mut last_kept: Option<Timestamp> = None;
    for ack in acknowledged {
        let at = ack.record.at;
        if !missing.contains(&ack.record) {
            since = None;
            last_kept = Some(at);
            continue;
        }
        first = first.or(Some(at));
        let start = since.unwrap_or_else(|| last_kept.unwrap_or(at));
        total += at.duration_since(start);
        since = Some(at);
    }
    (total.as_secs_f64(), first)
}

fn writers(acknowledged: &[Acknowledged]) -> Vec<String> {
    let mut writers: Vec<String> = Vec::new();
    for ack in acknowledged {
        if !writers.contains(&ack.cluster) {
            writers.push(ack.cluster.clone());
        }
    }
    writers
}

/// How long two clusters wrote at the same time: the overlaps of the times from the first to the last acknowledged
/// write of each start of the application, on different clusters.
fn concurrent(acknowledged: &[Acknowledged], ordered: &dyn Fn(&str, &str) -> bool) -> f64 {
    let mut runs: BTreeMap<&str, (&str, Timestamp, Timestamp)> = BTreeMap::new();
    for ack in acknowledged {
        let at = ack.record.at;
        let run = runs.entry(&ack.record.writer).or_insert((&ack.cluster, at, at));
        run.1 = run.1.min(at);
        run.2 = run.2.max(at);
    }
    let runs: Vec<_> = runs.into_iter().collect();
    let mut total = 0.0;
    for (index, (writer, one)) in runs.iter().enumerate() {
        for (_, other) in runs.iter().skip(index + 1).filter(|(by, other)| other.0 != one.0 && !ordered(writer, by)) {
            let (start, end) = (one.1.max(other.1), one.2.min(other.2));
            if start <= end {
                // Two single writes at one moment are concurrent too, however short that is.
                total += end.duration_since(start).as_secs_f64().max(f64::MIN_POSITIVE);
            }
        }
    }
    total
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
