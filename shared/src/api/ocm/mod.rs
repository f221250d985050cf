//! Kinds of Open Cluster Management that we write and read: only the fields that we use.
//!
//! | module | kinds |
//! |---|---|
//! | [`work`] | ManifestWork, AppliedManifestWork |
//! | [`cluster`] | ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, ClusterClaim |
//! | [`placement`] | Placement, PlacementDecision, PlacementRule |
//! | [`view`] | ManagedClusterView |
//! | [`addon`] | ManagedClusterAddOn, ClusterManagementAddOn |
//! | [`argocd`] | ApplicationSet, which is Argo CD's and follows a Placement |
//!
//! Reading is tolerant: a missing or `null` list, map, string or struct is its empty value, enumerations are strings
//! (one value that a newer version adds must not hide the whole object), unknown fields are ignored. Writing leaves
//! out what is empty, so that an object made here can be sent by server-side apply without claiming fields that
//! nobody set. These types do not carry every field: never `replace` an object of somebody else with one of them.

mod kind;
mod work_status;

pub mod addon;
pub mod argocd;
pub mod cluster;
pub mod placement;
pub mod view;
pub mod work;

pub use addon::{ClusterManagementAddOn, ManagedClusterAddOn};
pub use argocd::ApplicationSet;
pub use cluster::{ClusterClaim, ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding};
pub use placement::{Placement, PlacementDecision, PlacementRule};
pub use view::ManagedClusterView;
pub use work::{AppliedManifestWork, ManifestWork};

#[cfg(test)]
mod tests;
