//! The stand-in for Open Cluster Management, on embedded API servers, in virtual time: what a program on the hub sees
//! of it, and what arrives on the clusters.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "ocm/world.rs"]
mod world;

#[path = "ocm/clusters.rs"]
mod clusters;
#[path = "ocm/gitops.rs"]
mod gitops;
#[path = "ocm/views.rs"]
mod views;
#[path = "ocm/works.rs"]
mod works;
