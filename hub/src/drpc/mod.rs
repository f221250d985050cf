//! DRPlacementControl: one application's disaster recovery.
//!
//! ```text
//! observe ──► Snapshot ──► decide ──► Plan ──► act
//!                 └────────────┴────► status
//! ```
//!
//! `decide` and `status` are pure; `observe` does all the reading, `act` all the writing.

pub mod act;
pub mod controller;
pub mod counters;
pub mod decide;
pub mod decoded;
pub mod dr_type;
pub mod facts;
pub mod generate;
pub mod observe;
pub mod peer_classes;
pub mod plan;
pub mod protected;
pub mod snapshot;
pub mod status;
pub mod stored;
