//! VolumeReplicationGroup: what this cluster does with an application's volumes.
//!
//! | module | what lives there |
//! |---|---|
//! | [`order`], [`owner`] | what the group orders; whose an object is |
//! | [`snapshot`] | everything that one pass knows |
//! | [`evidence`] | proofs without which nothing destructive is planned |
//! | [`decide`] | the decision, pure |
//! | [`plan`] | what a pass may do |
//! | [`recovery`] | the stored form of objects, and how a stored one is made fit for this cluster |
//! | [`status`] | the status, pure |
//! | [`told`] | what the hub was last told |

pub mod act;
pub mod controller;
pub mod decide;
pub mod evidence;
pub mod observe;
pub mod order;
pub mod owner;
pub mod plan;
pub mod recovery;
pub mod snapshot;
pub mod status;
pub mod told;

#[cfg(test)]
mod tests;
