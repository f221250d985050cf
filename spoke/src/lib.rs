//! The operator on each managed cluster: VolumeReplicationGroup and DRClusterConfig.

pub mod cluster;
pub mod stores;
pub mod vrg;
