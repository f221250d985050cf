//! DRCluster: a managed cluster that takes part, checked and supplied.
//!
//! Its store is tried, its spoke gets roles, configuration and DRClusterConfig by ManifestWork, and its fence is kept.
//! A fence is handled before everything that needs a healthy cluster: the cluster being fenced is usually the broken one.

pub mod controller;
pub mod decide;
pub mod manifests;
pub mod snapshot;
pub mod stores;
