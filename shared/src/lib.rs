//! What hub and spoke share.
//!
//! | module | what lives there |
//! |---|---|
//! | [`api`] | types of our own kinds and of the peers' kinds that we talk to; the CRD generator |
//! | [`names`] | labels, annotations, finalizers, object names: the wire contract in one place |
//! | [`seen`] | three-valued observation: present, absent, unknown |
//! | [`record`] | the action record: what an action is, decided once and written before its first step |
//! | [`report`] | how a VolumeReplicationGroup's state travels back to the hub |
//! | [`config`] | the operators' configuration, Ramen's ConfigMap as it is |
//! | [`s3`] | the S3 store: Ramen's layout, and the capture set beside it |
//! | [`harness`] | what an operator process stands on: clients, leader election, the reconcile runner, health, metrics |
//! | [`clock`] | the only place where time comes from |
//! | [`yaml`] | the only place that knows the YAML library |

pub mod api;
pub mod clock;
pub mod config;
pub mod harness;
pub mod names;
pub mod record;
pub mod report;
pub mod s3;
pub mod seen;
pub mod yaml;
