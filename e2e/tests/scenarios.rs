//! What happens to applications in disasters, told in bytes and objects.
//!
//! Each scenario is a whole world in virtual time: hub, two clusters, storage, stores, and applications that write.

#[path = "scenarios/moves.rs"]
mod moves;
