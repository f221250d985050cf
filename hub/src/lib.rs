//! The operator on the Open Cluster Management hub: DRCluster, DRPolicy, DRPlacementControl.

pub mod caches;
pub mod configuration;
pub mod drpc;
pub mod works;
