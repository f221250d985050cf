//! An embedded Kubernetes API server, in memory: a test environment for any kube-rs project.

pub mod apply;
pub mod openapi;
pub mod patch;
pub mod schema;
pub mod table;
