//! Memory and processor time, from `/proc`. Where there is no `/proc` all figures are zero.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

/// Name of the threads that the sandbox's world runs on: API servers, Open Cluster Management, storage, applications,
/// stores.
pub const WORLD: &str = "world";
/// Name of the hub operator, and of its threads in the sandbox.
pub const HUB: &str = "hub";
/// What the names of spoke operators begin with; in the sandbox that of their threads, all of them together.
pub const SPOKE: &str = "spoke";
/// This program, where the operators and servers are others.
pub const OWN: &str = "this program";
/// This program, where it is all there is.
const WHOLE: &str = "hub, spokes, API servers, stores and storage in one process";

/// The kernel counts processor time in hundredths of a second on every Linux there is.
const TICK_MS: u64 = 10;

/// A program that runs.
pub struct Running {
    /// What the report calls it; several may be called the same.
    pub name: String,
    /// Its process id.
    pub id: u32,
}

/// Processor time so far, and memory, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// By name, and by thread or process: one that was started again begins at nothing.
    spent_ms: BTreeMap<(String, u32), u64>,
    /// The whole process, where the others are its threads: those that have ended count too.
    whole_ms: Option<u64>,
    /// Peaks of resident memory by name; several of one name added up.
    pub peaks_kib: BTreeMap<String, u64>,
}

/// Processor time in milliseconds, of user and system together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Everything.
    pub all_ms: u64,
    /// By operator, and by what else there is.
    pub by_ms: BTreeMap<String, u64>,
}

impl Sample {
    /// Of this process, by the name of its threads.
    pub fn of_threads() -> Self {
        let mut spent_ms = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let id = task.file_name().to_string_lossy().parse().unwrap_or_default();
            let spent = fs::read_to_string(task.path().join("stat")).ok().and_then(|stat| spent(&stat));
            spent_ms.insert((name.trim().to_owned(), id), spent.unwrap_or_default());
        }
        let whole_ms = Some(of_process("self").0);
        Sample { spent_ms, whole_ms, peaks_kib: BTreeMap::from([(WHOLE.to_owned(), of_process("self").1)]) }
    }

    /// Of these programs, and of this one.
    pub fn of_programs(programs: &[Running]) -> Self {
        let mut sample = Self::default();
        let own = Running { name: OWN.to_owned(), id: std::process::id() };
        for program in programs.iter().chain([&own]) {
            let (spent, peak) = of_process(&program.id.to_string());
            sample.spent_ms.insert((program.name.clone(), program.id), spent);
            *sample.peaks_kib.entry(program.name.clone()).or_default() += peak;
        }
        sample
    }

    /// What was spent since `before`.
    pub fn since(&self, before: &Sample) -> Cpu {
        let mut by_ms: BTreeMap<String, u64> = BTreeMap::new();
        for (key, now) in &self.spent_ms {
            let spent = now.saturating_sub(before.spent_ms.get(key).copied().unwrap_or_default());
            *by_ms.entry(key.0.clone()).or_default() += spent;
        }
        let all_ms = match (self.whole_ms, before.whole_ms) {
            (Some(now), Some(before)) => now.saturating_sub(before),
            _ => by_ms.values().sum(),
        };
        Cpu { all_ms, by_ms }
    }
}

impl Cpu {
    /// Of the hub operator; none where nobody can tell.
    #[must_use]
    pub fn hub(&self) -> Option<u64> {
        self.by_ms.get(HUB).copied()
    }

    /// Of the spoke operators; none where nobody can tell.
    #[must_use]
    pub fn spokes(&self) -> Option<u64> {
        let mut spokes = self.by_ms.iter().filter(|(name, _)| name.starts_with(SPOKE)).map(|(_, ms)| *ms).peekable();
        spokes.peek().is_some().then(|| spokes.sum())
    }
}

/// Operators that this program has started: each is held by a keeper, which is a child of this program.
pub fn held_operators() -> Vec<Running> {
    let own = std::process::id();
    let parent = |id: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    ids.filter(|id| parent(*id).and_then(parent) == Some(own))
        .filter_map(|id| Some(Running { name: operator(id)?, id }))
        .collect()
}

/// What the report calls an operator, by its kubeconfig, which is called after its cluster.
fn operator(id: u32) -> Option<String> {
    let command = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
    let mut words = command.split('\0');
    let program = Path::new(words.next()?).file_name()?.to_str()?;
    let kubeconfig = words.skip_while(|word| *word != "--kubeconfig").nth(1)?;
    match program {
        "kaedama-hub" => Some(HUB.to_owned()),
        "kaedama-spoke" => Some(format!("{SPOKE} {}", Path::new(kubeconfig).file_stem()?.to_str()?)),
        _ => None,
    }
}

/// Processor time in milliseconds and peak of resident memory in KiB of a process, by its folder in `/proc`.
fn of_process(process: &str) -> (u64, u64) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let status = read("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok());
    (spent(&read("stat")).unwrap_or_default(), peak.unwrap_or_default())
}

/// utime and stime of a `stat` line; the name before them may hold anything, blanks and brackets too.
fn spent(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * TICK_MS)
}

/// Lets the peak of this process begin at what is in use now.
pub fn reset_peak() {
    // Refused in some containers: then the peak is that of all sizes so far, which is the largest anyway.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(spent: &[(&str, u32, u64)]) -> Sample {
        let spent_ms = spent.iter().map(|(name, id, ms)| (((*name).to_owned(), *id), *ms)).collect();
        Sample { spent_ms, ..Sample::default() }
    }

    #[test]
    fn what_was_started_again_begins_at_nothing() {
        let before = sample(&[("hub", 1, 500), ("spoke dr1", 2, 800), ("spoke dr2", 3, 100)]);
        let after = sample(&[("hub", 1, 530), ("spoke dr1", 9, 70), ("spoke dr2", 3, 110)]);
        let cpu = after.since(&before);
        assert_eq!((cpu.hub(), cpu.spokes(), cpu.all_ms), (Some(30), Some(80), 110));
    }

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        let (spent_ms, peak) = of_process("self");
        assert!(peak > 1000 && spent_ms < 3_600_000, "{peak} {spent_ms}");
        assert_eq!(spent("7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 3 4 0 0"), Some(70));
    }
}
