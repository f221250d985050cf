//! [`Logs`]: the lines of all pods, and the audit that follows from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::super::audit::judge;
use super::super::{Acknowledged, AppId, Audit, Books, Record};

/// What begins a line that is meant for us.
const OURS: &str = "kaedama";

/// What the pods of applications have told. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    apps: Arc<Mutex<BTreeMap<AppId, Told>>>,
}

/// What was told of one application.
#[derive(Debug, Default)]
struct Told {
    /// The cluster of each pod, by its uid.
    pods: BTreeMap<String, String>,
    starts: BTreeMap<String, Start>,
    /// Those that wrote, by their first record that was seen.
    writers: Vec<String>,
}

/// What one start of a pod's container told.
#[derive(Debug, Default)]
struct Start {
    cluster: String,
    /// A report that is being read.
    reading: Option<Found>,
    /// What it found on the volumes. None where that part of the log was never seen.
    found: Option<Found>,
    /// Its records, and when they were told.
    wrote: BTreeMap<u64, Timestamp>,
    /// It said that it wrote no more.
    has_ended: bool,
}

/// What a start found, by claim.
#[derive(Clone, Debug, Default)]
struct Found {
    at: Timestamp,
    volumes: BTreeMap<String, Volume>,
}

#[derive(Clone, Debug, Default)]
struct Volume {
    /// In the order in which they lie there.
    runs: Vec<Run>,
    damaged: u64,
}

/// Records of one start, one number after the other.
#[derive(Clone, Debug)]
struct Run {
    start: String,
    from: u64,
    to: u64,
}

/// A record, by who wrote it and its number.
type Key<'a> = (&'a str, u64);

impl Volume {
    fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        self.runs.iter().flat_map(|run| (run.from..=run.to).map(|number| (run.start.as_str(), number)))
    }

    fn has(&self, start: &str, number: u64) -> bool {
        self.runs.iter().any(|run| run.start == start && (run.from..=run.to).contains(&number))
    }
}

impl Found {
    /// Records that are on all volumes: they were written, whether their log was read to its end or not.
    fn whole(&self) -> impl Iterator<Item = Key<'_>> {
        let first = self.volumes.values().next();
        let on_all = |(start, number): &Key<'_>| self.volumes.values().all(|volume| volume.has(start, *number));
        first.into_iter().flat_map(Volume::keys).filter(on_all)
    }
}

impl Logs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppId, Told>> {
        // Entries are whole between calls.
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes on which cluster a pod of an application is.
    pub(super) fn pod(&self, app: &AppId, cluster: &str, uid: &str) {
        self.lock().entry(app.clone()).or_default().pods.insert(uid.to_owned(), cluster.to_owned());
    }

    /// Reads a line of a pod's log, with its time in front. Reading it again changes nothing. Others' lines are none of ours.
    pub(super) fn line(&self, app: &AppId, cluster: &str, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(Ok(at)), Some(OURS)) = (words.next().map(str::parse::<Timestamp>), words.next()) else { return };
        let words: Vec<&str> = words.collect();
        let [what, id, rest @ ..] = words.as_slice() else { return };
        let mut apps = self.lock();
        let told = apps.entry(app.clone()).or_default();
        let start = told.starts.entry((*id).to_owned()).or_default();
        start.cluster = cluster.to_owned();
        match (*what, rest) {
            ("begins", []) => start.reading = Some(Found { at, ..Found::default() }),
            ("found", [claim, of, from, to]) => {
                if let (Some(found), Ok(from), Ok(to)) = (&mut start.reading, from.parse(), to.parse()) {
                    let runs = &mut found.volumes.entry((*claim).to_owned()).or_default().runs;
                    runs.push(Run { start: (*of).to_owned(), from, to });
                }
            }
            ("damaged", [claim, count]) => {
                if let (Some(found), Ok(count)) = (&mut start.reading, count.parse()) {
                    found.volumes.entry((*claim).to_owned()).or_default().damaged = count;
                }
            }
            ("ready", []) => start.found = start.reading.take().or(start.found.take()),
            ("wrote", [number]) => {
                let Ok(number) = number.parse() else { return };
                // Whatever of its report was not read by now will not come.
                start.reading = None;
                // Also where the end was read before: that knows no times.
                start.wrote.insert(number, at);
                note(&mut told.writers, id);
            }
            // What it wrote altogether: none, if it begins behind its end.
            ("ended", [first, last]) => {
                let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else { return };
                start.has_ended = true;
                for number in first..=last {
                    start.wrote.entry(number).or_insert(at);
                }
                if !start.wrote.is_empty() {
                    note(&mut told.writers, id);
                }
            }
            _ => {}
        }
    }
}

fn note(writers: &mut Vec<String>, id: &str) {
    if !writers.iter().any(|known| known == id) {
        writers.push(id.to_owned());
    }
}

impl Told {
    /// The cluster of a start, also of one whose log was never read.
    fn cluster(&self, start: &str) -> String {
        let known = self.starts.get(start).map(|start| &start.cluster);
        let of_pod = || self.pods.iter().find(|(uid, _)| start.starts_with(&format!("{uid}-"))).map(|(_, name)| name);
        known.or_else(of_pod).cloned().unwrap_or_else(|| "an unknown cluster".to_owned())
    }

    /// Every start that wrote, each after those whose records it found.
    fn in_order(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for writer in &self.writers {
            let found = self.starts.get(writer).and_then(|start| start.found.as_ref());
            let before = found.iter().flat_map(|found| found.volumes.values()).flat_map(|volume| &volume.runs);
            for start in before.map(|run| run.start.as_str()).chain([writer.as_str()]) {
                if !all.contains(&start) {
                    all.push(start);
                }
            }
        }
        all
    }

    /// All records that were told as written, or found on all volumes by a later start.
    fn acknowledged(&self, app: &AppId) -> Vec<Acknowledged> {
        let mut times: BTreeMap<&str, BTreeMap<u64, Timestamp>> = BTreeMap::new();
        for (id, start) in &self.starts {
            times.entry(id.as_str()).or_default().extend(&start.wrote);
        }
        for found in self.starts.values().filter_map(|start| start.found.as_ref()) {
            for (start, number) in found.whole() {
                let known = times.entry(start).or_default();
                if !known.contains_key(&number) {
                    // Nobody saw when. It was after the one before it, and before it was found.
                    let before = known.range(..number).next_back().map(|(_, at)| *at);
                    known.insert(number, before.unwrap_or(found.at));
                }
            }
        }
        let mut all = Vec::new();
        for start in self.in_order() {
            let cluster = self.cluster(start);
            for (seq, at) in times.remove(start).unwrap_or_default() {
                let record = Record { app: app.to_string(), seq, at, writer: start.to_owned() };
                all.push(Acknowledged { record, cluster: cluster.clone() });
            }
        }
        all
    }

    /// Whether one start wrote nothing any more when another looked at the volumes: it found all of it. Of a start whose log
    /// was never read no times are known, and so none are compared.
    fn is_before(&self, one: &str, other: &str) -> bool {
        let mut wrote = self.starts.get(one).into_iter().flat_map(|start| start.wrote.keys());
        let found = self.starts.get(other).and_then(|start| start.found.as_ref());
        found.is_some_and(|found| wrote.all(|number| found.volumes.values().all(|volume| volume.has(one, *number))))
    }

    /// The last start: of those whose records no other found, the one that was seen last.
    fn last(&self) -> Option<&String> {
        let found = |writer: &&String| {
            let later = self.writers.iter().filter_map(|start| self.starts.get(start)?.found.as_ref());
            let mut runs = later.flat_map(|found| found.volumes.values()).flat_map(|volume| &volume.runs);
            runs.any(|run| run.start == **writer)
        };
        self.writers.iter().rev().find(|writer| !found(writer)).or(self.writers.last())
    }

    fn audit(&self, app: &AppId) -> Option<Audit> {
        let home = self.last()?;
        let start = self.starts.get(home)?;
        // What it did not tell cannot be judged.
        let found = start.found.as_ref()?;
        let acknowledged = self.acknowledged(app);
        let known: BTreeMap<Key<'_>, &Record> =
            acknowledged.iter().map(|ack| ((ack.record.writer.as_str(), ack.record.seq), &ack.record)).collect();
        let record = |(start, seq): Key<'_>| match known.get(&(start, seq)) {
            Some(record) => (*record).clone(),
            None => Record { app: app.to_string(), seq, at: found.at, writer: start.to_owned() },
        };
        let volumes = found.volumes.iter().map(|(claim, volume)| {
            let since = start.wrote.keys().map(|number| (home.as_str(), *number));
            (claim.clone(), (volume.keys().chain(since).map(record).collect(), volume.damaged))
        });
        let ordered = |one: &str, other: &str| self.is_before(one, other) || self.is_before(other, one);
        let audit = judge(app, &self.cluster(home), &acknowledged, &volumes.collect(), &ordered);
        let ended = |start: &str| start == home || self.starts.get(start).is_some_and(|start| start.has_ended);
        let unknown_ends = self.in_order().into_iter().filter(|start| !ended(start)).count() as u64;
        Some(Audit { unknown_ends, ..audit })
    }
}

impl Books for Logs {
    fn audit(&self, app: &AppId) -> Option<Audit> {
        self.lock().get(app)?.audit(app)
    }

    fn audit_on(&self, app: &AppId, cluster: &str) -> Option<Audit> {
        // What lies on a volume that no pod has mounted, nobody can tell.
        self.audit(app).filter(|audit| audit.cluster == cluster)
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
