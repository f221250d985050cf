//! The operator on the Open Cluster Management hub.
//!
//! | module | what lives there |
//! |---|---|
//! | [`operator`] | the whole operator: [`operator::run`] is what the binary and the sandbox call |
//! | [`drpc`] | DRPlacementControl: one application's disaster recovery |
//! | [`drpolicy`] | DRPolicy: which clusters and classes belong together |
//! | [`drcluster`] | DRCluster: a managed cluster that takes part |
//! | [`caches`], [`configuration`] | what is read: the hub's objects, the settings and the stores |
//! | [`works`], [`unlabelled`] | ManifestWorks as we write them, and those that were there before |
//! | [`status_write`] | how a status is written |
//! | [`metrics`] | the gauges `ramen_…` |

pub mod caches;
pub mod configuration;
pub mod drcluster;
pub mod drpc;
pub mod drpolicy;
pub mod error;
pub mod metrics;
pub mod operator;
pub mod status_write;
pub mod unlabelled;
pub mod works;
