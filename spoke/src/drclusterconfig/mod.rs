//! DRClusterConfig: what this cluster offers for disaster recovery, published for the hub.
//!
//! | module | what lives there |
//! |---|---|
//! | [`offer`] | the decision: the status from the classes that are there, pure |
//! | [`controller`] | watching the classes, writing the status |
//!
//! Every kind but StorageClass may be missing: the cluster then offers none of it.

pub mod controller;
pub mod offer;
