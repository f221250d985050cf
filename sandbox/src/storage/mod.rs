//! Storage of the simulated clusters: arrays that replicate real bytes, and the controllers that make them look like
//! CSI storage with csi-addons.
//!
//! | module | what |
//! |---|---|
//! | [`mod@array`] | the pure model of arrays, links and replication |
//! | [`fabric`] | the shared handle of all arrays: lock, clock, notifications, faults; a [`fabric::Driver`] per cluster |
//! | [`binder`] | provisions, binds, protects and reclaims PersistentVolumes, as kube-controller-manager and external-provisioner do |
//! | [`volume_replication`] | controller of VolumeReplication and VolumeGroupReplication, as csi-addons' |
//! | [`fence`] | controller of NetworkFence |
//! | [`crds`] | the CustomResourceDefinitions of these kinds |
//!
//! The controllers know a cluster only through a `kube::Client` and the storage only through a [`fabric::Driver`]:
//! they run against the embedded API server and against a real one. Each is a future that runs until it is dropped
//! or its token is cancelled.

pub mod array;
pub mod binder;
pub mod crds;
pub mod fabric;
pub mod fence;
pub(crate) mod kit;
pub mod volume_replication;

pub use array::{ArrayId, Code, StorageError, UnitId, VolumeHandle};
pub use fabric::{Driver, StorageFabric};
pub use kit::Cluster;

/// Name of the CSI driver, where nothing else is configured.
pub const DEFAULT_DRIVER: &str = "sandbox.storage.kaedama.dev";
/// Parameter of a VolumeReplicationClass: how often the storage really ships, a Go duration such as `500ms`. Without it
/// that is the `schedulingInterval`, which is whole minutes, and a demonstration cannot wait for minutes.
pub const SHIP_EVERY: &str = "sandbox.kaedama.dev/ship-every";
