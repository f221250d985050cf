//! What a world costs, asked of whoever counts it there.

use std::collections::BTreeMap;
use std::sync::Arc;

use kaedama_apiserver::RequestKey;
use kaedama_sandbox::world::World;

use super::access;
use super::audit;
use super::requests::Requests;
use super::tail::Tail;
use super::usage::{self, Running, Sample};
use crate::real::{HUB, Part, Real};

/// Who counts.
pub enum Meter {
    /// The API servers and stores of this process do.
    Embedded,
    /// The servers' logs tell.
    Real(RealMeter),
    /// Nobody: the servers are somebody else's.
    Uncounted,
}

/// The logs of real servers, each read from where it was left off.
pub struct RealMeter {
    real: Arc<Real>,
    audit: Vec<Tail>,
    access: Vec<Tail>,
}

/// The parts of a cluster, and under which name the report sums them up. Operators have their own.
const GROUPS: [(Part, &str); 6] = [
    (Part::Etcd, "etcd, Kubernetes"),
    (Part::ApiServer, "etcd, Kubernetes"),
    (Part::ControllerManager, "etcd, Kubernetes"),
    (Part::WorkAgent, "Open Cluster Management"),
    (Part::Placement, "Open Cluster Management"),
    (Part::S3, "S3 servers"),
];

impl RealMeter {
    /// Of these clusters.
    pub fn new(real: Arc<Real>) -> anyhow::Result<Self> {
        let (mut audit, mut access) = (Vec::new(), Vec::new());
        for cluster in real.names() {
            audit.push(Tail::new(real.audit_log(&cluster)?));
        }
        for cluster in real.managed() {
            access.push(Tail::new(real.s3_access_log(&cluster)?));
        }
        Ok(Self { real, audit, access })
    }

    async fn running(&self) -> Vec<Running> {
        let mut all = Vec::new();
        for cluster in self.real.names() {
            let operator = if cluster == HUB { usage::HUB.to_owned() } else { format!("{} {cluster}", usage::SPOKE) };
            let own = (Part::Operator, operator.as_str());
            for (part, name) in GROUPS.into_iter().chain([own]) {
                // Not every cluster has every part, and a dead one has none that runs.
                let Ok(process) = self.real.process(&cluster, part) else { continue };
                if let Some(id) = process.id().await {
                    all.push(Running { name: name.to_owned(), id });
                }
            }
        }
        all
    }
}

impl Meter {
    /// API requests since the last call; none where nobody counts them.
    pub fn requests(&mut self, world: &World) -> anyhow::Result<Option<Requests>> {
        let mut all: BTreeMap<RequestKey, u64> = BTreeMap::new();
        match self {
            Meter::Embedded => {
                let clusters = world.clusters().iter().filter_map(|cluster| world.server(cluster).ok());
                for server in clusters.chain([world.hub_server()]) {
                    for (key, count) in server.accounting().take() {
                        *all.entry(key).or_default() += count;
                    }
                }
            }
            Meter::Uncounted => return Ok(None),
            Meter::Real(real) => {
                for log in &mut real.audit {
                    for key in log.lines()?.lines().filter_map(audit::request) {
                        *all.entry(key).or_default() += 1;
                    }
                }
            }
        }
        Ok(Some(Requests::of(all)))
    }

    /// Requests to all stores by operation since the last call; none where nobody counts them.
    pub fn s3(&mut self, world: &World) -> anyhow::Result<Option<BTreeMap<String, u64>>> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        match self {
            Meter::Embedded => {
                for store in world.clusters().iter().filter_map(|cluster| world.store(cluster)) {
                    for (operation, count) in store.requests() {
                        *all.entry(operation.to_owned()).or_default() += count;
                    }
                    store.reset_requests();
                }
            }
            Meter::Uncounted => return Ok(None),
            Meter::Real(real) => {
                for log in &mut real.access {
                    for operation in log.lines()?.lines().filter_map(access::operation) {
                        *all.entry(operation.to_owned()).or_default() += 1;
                    }
                }
            }
        }
        Ok(Some(all))
    }

    /// Processor time and memory, now.
    pub async fn usage(&self) -> Sample {
        match self {
            Meter::Embedded => Sample::of_threads(),
            Meter::Real(real) => Sample::of_programs(&real.running().await),
            // Those that run elsewhere are nobody's here.
            Meter::Uncounted => Sample::of_programs(&usage::held_operators()),
        }
    }
}
