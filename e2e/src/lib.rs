//! The scenarios, each stating its outcome in bytes and objects; and the benchmark.
//!
//! What lives here is shared by the scenarios: starting a world, and reading what it has come to.
//!
//! | module | what |
//! |---|---|
//! | [`start`] | worlds, and applications that are protected in them |
//! | [`objects`] | the facts of objects, on the hub and on a cluster |
//! | [`bytes`] | the content of volumes, and the keys of the stores |
//! | [`real`] | real clusters, Open Cluster Management and S3, on loopback |

pub mod bytes;
pub mod objects;
pub mod real;
pub mod start;
