//! Decision tables and properties of the pure parts.

mod build;
mod delete;
mod primary;
mod properties;
mod replication;
mod restore;
mod secondary;
mod status;
