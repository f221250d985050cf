//! What a world is made of.

use std::time::Duration;

use kaedama_shared::clock::Clock;
use tokio::runtime::Handle;

use super::app::Writers;
use super::ground::Ground;

/// How the clusters' storage belongs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Each cluster has storage of its own, which ships its changes by schedule.
    Regional {
        /// `schedulingInterval` of policy and classes, such as `1m`.
        interval: String,
        /// How often the storage really ships. A demonstration cannot wait for minutes.
        every: Duration,
    },
    /// Both clusters use one storage system.
    Metro,
}

/// Runtimes that the operators run on, so that what their threads take can be told apart; that of whoever starts the
/// world where none is given, which virtual time needs.
#[derive(Clone, Debug, Default)]
pub struct Runtimes {
    /// The hub operator's.
    pub hub: Option<Handle>,
    /// That of all spoke operators.
    pub spoke: Option<Handle>,
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the managed clusters.
    pub clusters: Vec<String>,
    /// How their storage belongs together.
    pub replication: Replication,
    /// Name of the DRPolicy; none is made where it is empty.
    pub policy: String,
    /// The world's time.
    pub clock: Clock,
    /// Seconds between two renewals of a cluster's lease; a cluster counts as lost after five of them.
    pub lease_seconds: i32,
    /// What each operation of the storage takes.
    pub storage_latency: Duration,
    /// The operators elect a leader.
    pub leader_election: bool,
    /// Where the operators run.
    pub runtimes: Runtimes,
    /// What the world stands on.
    pub ground: Ground,
    /// Who writes the records of applications. With pods nothing of the sandbox's storage is installed or runs.
    pub writers: Writers,
}

impl Options {
    /// Two clusters, `dr1` and `dr2`, with replication every minute.
    pub fn regional(clock: Clock) -> Self {
        Options {
            clusters: vec!["dr1".to_owned(), "dr2".to_owned()],
            replication: Replication::Regional { interval: "1m".to_owned(), every: Duration::from_secs(60) },
            policy: "dr-policy".to_owned(),
            clock,
            lease_seconds: 4,
            storage_latency: Duration::ZERO,
            leader_election: true,
            runtimes: Runtimes::default(),
            ground: Ground::default(),
            writers: Writers::default(),
        }
    }

    /// Two clusters on one storage system.
    pub fn metro(clock: Clock) -> Self {
        Options { replication: Replication::Metro, ..Options::regional(clock) }
    }
}
