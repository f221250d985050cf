//! API types: every kind of `ramendr.openshift.io/v1alpha1`, the one kind of our own, and the peers' kinds that we talk to.
//!
//! The types read what RamenDR and its users write, and write what they read: see [`tolerant`] for the wire rules.
//! Everything of our group is re-exported here flat. Conventions: a string, number or list that is absent on the wire
//! is empty or zero; `Option` is used where absence means something of its own; enums keep values they do not know.

pub mod condition;
pub mod conditions;
pub mod crdgen;
pub mod csiaddons;
pub mod docgen;
pub mod duration;
pub mod ocm;
pub mod reasons;
pub mod tolerant;

pub(crate) mod open_enum;
mod schema;

mod drcluster;
mod drclusterconfig;
mod drpc;
mod drpc_state;
mod drpolicy;
mod group_report;
mod kube_objects;
mod maintenance_mode;
mod peer_class;
mod protected_list;
mod protected_pvc;
mod recipe;
mod recipe_group;
mod recipe_hook;
mod replication_group;
mod static_ip;
mod volsync;
mod vrg;

pub use condition::{Condition, ConditionStatus};
pub use drcluster::*;
pub use drclusterconfig::*;
pub use drpc::*;
pub use drpc_state::{DRState, Progression};
pub use drpolicy::*;
pub use duration::{GoDuration, InvalidDuration, parse_scheduling_interval};
pub use group_report::*;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use kube_objects::*;
pub use maintenance_mode::*;
pub use peer_class::*;
pub use protected_list::*;
pub use protected_pvc::*;
pub use recipe::*;
pub use recipe_group::*;
pub use recipe_hook::*;
pub use replication_group::*;
pub use static_ip::*;
pub use tolerant::{StoredObjectError, from_stored_json};
pub use volsync::*;
pub use vrg::*;

/// The API group of all kinds in this module but those of [`OWN_GROUP`].
pub const GROUP: &str = "ramendr.openshift.io";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Group and version as `apiVersion` has them.
pub const API_VERSION: &str = "ramendr.openshift.io/v1alpha1";
