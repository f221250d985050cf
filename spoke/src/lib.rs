//! The operator on each managed cluster: VolumeReplicationGroup and DRClusterConfig.
//!
//! | module | what lives there |
//! |---|---|
//! | [`operator`] | [`operator::run`]: the operator as a whole |
//! | [`vrg`] | what the cluster does with an application's volumes |
//! | [`drclusterconfig`] | what the cluster offers, published for the hub |
//! | [`cluster`] | watched copies of the cluster's objects |
//! | [`stores`] | the S3 stores of the groups |

pub mod cluster;
pub mod drclusterconfig;
pub mod operator;
pub mod stores;
pub mod vrg;
