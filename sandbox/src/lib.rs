//! A whole disaster-recovery world in one process: clusters, OCM, S3, storage arrays, applications, faults.
//!
//! It is a stand-in and never the product: the operators that run in it are the real ones, and everything that passes
//! on it has to pass on real components as well. `ocm`, `storage` and `workload` speak to a cluster through a
//! `kube::Client` only, so that they run against real API servers unchanged.
//!
//! | module | what lives there |
//! |---|---|
//! | [`world`] | the whole, put together: start it, break it, mend it |
//! | [`network`] | connections that can be cut |
//! | [`ocm`] | Open Cluster Management: work, registration, placement, views; and GitOps |
//! | [`s3`] | an S3 server in memory |
//! | [`storage`] | arrays that replicate real bytes, the VolumeReplication controller over them, the volume binder |
//! | [`workload`] | applications that write numbered records, and the ledger that counts them |

pub mod network;
pub mod ocm;
pub mod s3;
pub mod storage;
pub mod workload;
pub mod world;
