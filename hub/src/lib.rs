//! The operator on the Open Cluster Management hub: DRCluster, DRPolicy, DRPlacementControl.

pub mod drpc;
