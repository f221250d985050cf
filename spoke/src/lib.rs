//! The operator on each managed cluster: VolumeReplicationGroup and DRClusterConfig.

pub mod vrg;
