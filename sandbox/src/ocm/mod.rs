//! A stand-in for Open Cluster Management, complete enough to carry disaster recovery.
//!
//! | module | stands for | runs |
//! |---|---|---|
//! | [`registration`] | registration controller and agent | once on the hub; once per cluster |
//! | [`work_agent`] | work agent | once per cluster |
//! | [`view_agent`] | ManagedClusterView agent | once per cluster |
//! | [`placement`] | placement controller | once on the hub |
//! | [`gitops`] | what carries applications to the clusters of a decision | once on the hub |
//! | [`crds`] | the definitions of the kinds | – |
//!
//! Every controller is a future that runs until it is dropped, and speaks to clusters only through a [`kube::Client`]:
//! it works the same against the embedded API server and against real ones. All follow watches; what they do by the
//! clock is renewing leases, refreshing views, and the rare resync of works. Connections that fail are tried again
//! after 2 s at most, so a cluster that comes back is taken up within that time.
//!
//! A cluster whose API server does not answer at all is taken for dead as a whole, its agents included: nothing is
//! reported of it, and its lease is not renewed.

mod runtime;
mod selector;

pub mod crds;
pub mod gitops;
pub mod placement;
pub mod registration;
pub mod view_agent;
pub mod work_agent;
