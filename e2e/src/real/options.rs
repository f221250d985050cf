//! What a world is made of, and what its parts are called.

use std::path::PathBuf;
use std::time::Duration;

use super::cluster::CONTROLLERS;
use super::error::RealError;
use super::ocm::definitions::Definitions;
use super::operator::Operators;
use super::programs::{Program, Programs};

/// What a real world is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary `real`, which is run as keeper: `env!("CARGO_BIN_EXE_real")` in a test of this package.
    pub keeper: PathBuf,
    /// The programs.
    pub programs: Programs,
    /// Names of the managed clusters.
    pub clusters: Vec<String>,
    /// Open Cluster Management's work agents and placement controller run.
    pub ocm: bool,
    /// How often a second each work agent may ask an API server; its own 50 where it is none.
    pub agent_qps: Option<u32>,
    /// The clusters are joined, and their leases kept, by the sandbox's stand-ins for registration.
    pub registration: bool,
    /// Whose definitions of Open Cluster Management's kinds are served.
    pub definitions: Definitions,
    /// Seconds between two renewals of a cluster's lease; a cluster counts as lost after five of them.
    pub lease_seconds: i32,
    /// Each managed cluster has an S3 server.
    pub s3: bool,
    /// The S3 servers serve HTTPS, with a certificate of their cluster's authority.
    pub s3_tls: bool,
    /// Kaedama's operators, deployed as `deploy/` says. They are started one by one, when configuration and secrets
    /// are in place.
    pub operators: Option<Operators>,
    /// The controllers that kube-controller-manager runs.
    pub controllers: Vec<String>,
    /// etcd waits for the disk with each write: slow, and without effect unless the machine itself fails.
    pub fsync: bool,
    /// How often the API servers drop their history, at most an interval older; their own five minutes where it is none.
    pub compaction: Option<Duration>,
    /// Folder for logs and audit logs, which is kept. Where it is none: what [`super::LOGS`] names, else a folder below the
    /// temporary one, which is removed when the world ended without an error or a panic.
    pub logs: Option<PathBuf>,
    /// The first of the ports, which then follow each other; free ports where it is none.
    pub first_port: Option<u16>,
    /// How long each part may take until it serves.
    pub patience: Duration,
}

impl Options {
    /// Clusters `dr1` and `dr2`, with every part.
    ///
    /// # Errors
    /// As [`Programs::find`].
    pub fn new(keeper: impl Into<PathBuf>) -> Result<Self, RealError> {
        Ok(Self {
            keeper: keeper.into(),
            programs: Programs::find()?,
            clusters: vec!["dr1".to_owned(), "dr2".to_owned()],
            ocm: true,
            agent_qps: None,
            registration: true,
            definitions: Definitions::default(),
            lease_seconds: 4,
            s3: true,
            s3_tls: false,
            operators: None,
            controllers: CONTROLLERS.map(str::to_owned).to_vec(),
            fsync: false,
            compaction: None,
            logs: None,
            first_port: None,
            patience: Duration::from_secs(120),
        })
    }

    /// The programs that a world with these options runs.
    #[must_use]
    pub fn needed(&self) -> Vec<Program> {
        let mut needed = vec![Program::Etcd, Program::ApiServer, Program::ControllerManager];
        if self.ocm {
            needed.extend([Program::Work, Program::Placement]);
        }
        if self.s3 {
            needed.push(Program::S3);
        }
        if self.operators.is_some() {
            needed.push(Program::Kubectl);
        }
        needed
    }
}

/// A program of the world, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A cluster's storage.
    Etcd,
    /// A cluster's API server.
    ApiServer,
    /// A cluster's controller manager.
    ControllerManager,
    /// A managed cluster's work agent.
    WorkAgent,
    /// The hub's placement controller.
    Placement,
    /// A managed cluster's S3 server.
    S3,
    /// Kaedama's operator of a cluster, the hub's included.
    Operator,
}

impl std::fmt::Display for Part {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "API server",
            Self::ControllerManager => "controller manager",
            Self::WorkAgent => "work agent",
            Self::Placement => "placement controller",
            Self::S3 => "S3 server",
            Self::Operator => "operator",
        })
    }
}

/// What bring-up took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Until the API servers, their controllers and the S3 servers served.
    pub clusters: Duration,
    /// From there until all kinds were served, and all roles written.
    pub definitions: Duration,
    /// From there until the agents ran and the clusters had joined.
    pub agents: Duration,
}
