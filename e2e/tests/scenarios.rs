//! What happens to applications in disasters, told in bytes and objects.
//!
//! Each scenario is a whole world in virtual time: hub, two clusters, storage, stores, and applications that write.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "scenarios/disable.rs"]
mod disable;
#[path = "scenarios/interrupted.rs"]
mod interrupted;
#[path = "scenarios/links.rs"]
mod links;
#[path = "scenarios/metro.rs"]
mod metro;
#[path = "scenarios/moves.rs"]
mod moves;
#[path = "scenarios/relocate.rs"]
mod relocate;
#[path = "scenarios/stores.rs"]
mod stores;
