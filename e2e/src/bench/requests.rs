//! API requests: who made them, and of what sort.

use std::collections::BTreeMap;

use kaedama_apiserver::RequestKey;
use serde::Serialize;

/// The hub operator among the agents.
pub const HUB: &str = "kaedama-hub";
/// The spoke operators, all of them together.
pub const SPOKE: &str = "kaedama-spoke";
/// The operators whose requests the targets are about.
pub const OURS: [&str; 2] = [HUB, SPOKE];

/// This program: the person that it plays, its watches, and what it waits with until a cluster serves.
const OWN: [&str; 3] = ["kaedama-sandbox", "kaedama-bench", "kaedama-real"];

/// Counts of requests of all API servers, by what they were.
#[derive(Clone, Debug, Default)]
pub struct Requests(BTreeMap<RequestKey, u64>);

/// Requests of one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Count {
    /// get and list.
    pub reads: u64,
    /// create, update, patch, delete, whatever came of it.
    pub writes: u64,
    /// Watches that were opened.
    pub watches: u64,
    /// Requests about leases, of either sort.
    pub leases: u64,
    /// Writes among the above that were answered with 409.
    pub conflicts: u64,
}

/// One line of the detailed list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Who.
    pub agent: String,
    /// Verb.
    pub verb: String,
    /// What, with its subresource.
    pub resource: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// How often.
    pub count: u64,
}

impl Requests {
    /// These.
    pub fn of(counts: BTreeMap<RequestKey, u64>) -> Self {
        Requests(counts)
    }

    /// By agent, without this program and the person that it plays.
    pub fn by_agent(&self) -> BTreeMap<String, Count> {
        let mut agents: BTreeMap<String, Count> = BTreeMap::new();
        for (key, count) in self.theirs() {
            let agent = agents.entry(key.user_agent.clone()).or_default();
            if key.resource.starts_with("leases.") {
                agent.leases += count;
                continue;
            }
            match key.verb.as_str() {
                "watch" => agent.watches += count,
                "create" | "update" | "patch" | "delete" | "deletecollection" => {
                    agent.writes += count;
                    agent.conflicts += if key.code == 409 { *count } else { 0 };
                }
                _ => agent.reads += count,
            }
        }
        agents
    }

    /// One line per sort of request, watches and leases left out.
    pub fn lines(&self) -> Vec<Line> {
        self.theirs()
            .filter(|(key, _)| key.verb != "watch" && !key.resource.starts_with("leases."))
            .map(|(key, count)| Line {
                agent: key.user_agent.clone(),
                verb: key.verb.clone(),
                resource: key.resource.clone(),
                code: key.code,
                count: *count,
            })
            .collect()
    }

    fn theirs(&self) -> impl Iterator<Item = (&RequestKey, &u64)> {
        self.0.iter().filter(|(key, _)| !OWN.contains(&key.user_agent.as_str()))
    }
}

/// The sum of the agents that `wanted` names.
pub fn sum(agents: &BTreeMap<String, Count>, wanted: impl Fn(&str) -> bool) -> Count {
    agents.iter().filter(|(agent, _)| wanted(agent)).fold(Count::default(), |sum, (_, count)| Count {
        reads: sum.reads + count.reads,
        writes: sum.writes + count.writes,
        watches: sum.watches + count.watches,
        leases: sum.leases + count.leases,
        conflicts: sum.conflicts + count.conflicts,
    })
}
