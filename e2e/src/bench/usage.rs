//! Memory and processor time of this process, from `/proc`. Where there is no `/proc` all figures are zero.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

/// Name of the threads that the world runs on: API servers, Open Cluster Management, storage, applications, stores.
pub const WORLD: &str = "world";
/// Name of the hub operator's threads.
pub const HUB: &str = "hub";
/// Name of the spoke operators' threads, all of them together.
pub const SPOKE: &str = "spoke";

/// The kernel counts processor time in hundredths of a second on every Linux there is.
const TICK_MS: u64 = 10;

/// Processor time in milliseconds, of user and system together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// The whole process.
    pub all_ms: u64,
    /// By the name of threads that live.
    pub threads_ms: BTreeMap<String, u64>,
}

impl Cpu {
    /// Until now.
    pub fn now() -> Self {
        let mut threads_ms: BTreeMap<String, u64> = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let spent = fs::read_to_string(task.path().join("stat")).ok().and_then(|stat| spent(&stat));
            *threads_ms.entry(name.trim().to_owned()).or_default() += spent.unwrap_or_default();
        }
        let all = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| spent(&stat));
        Cpu { all_ms: all.unwrap_or_default(), threads_ms }
    }

    /// What was spent since `before`.
    pub fn since(&self, before: &Cpu) -> Cpu {
        let of =
            |name: &String, now: &u64| (name.clone(), now.saturating_sub(*before.threads_ms.get(name).unwrap_or(&0)));
        Cpu {
            all_ms: self.all_ms.saturating_sub(before.all_ms),
            threads_ms: self.threads_ms.iter().map(|(name, now)| of(name, now)).collect(),
        }
    }

    /// Of the threads of this name.
    pub fn of(&self, name: &str) -> u64 {
        self.threads_ms.get(name).copied().unwrap_or_default()
    }
}

/// utime and stime of a `stat` line; the name before them may hold anything, blanks and brackets too.
fn spent(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * TICK_MS)
}

/// Resident memory in KiB: now, and at its peak.
pub fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Lets the peak begin at what is in use now.
pub fn reset_peak() {
    // Refused in some containers: then the peak is that of all sizes so far, which is the largest anyway.
    let _ = fs::write("/proc/self/clear_refs", "5");
}
