//! Storage and applications against embedded API servers, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails where its world does not answer")]

#[path = "storage/binding.rs"]
mod binding;
#[path = "storage/failures.rs"]
mod failures;
#[path = "storage/groups.rs"]
mod groups;
#[path = "storage/recovery.rs"]
mod recovery;
#[path = "storage/world.rs"]
mod world;
