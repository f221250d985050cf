//! The S3 store: where what is needed to bring an application back outlives its cluster.
//!
//! | module | what lives there |
//! |---|---|
//! | [`connect`] | credentials, time-outs, clock and HTTP transport: what a client is built from |
//! | [`store`] | [`S3Store`]: one bucket of one profile, and the operations on it |
//! | [`set`] | [`StoreSet`]: several stores asked in parallel, a result for each; [`StorePool`]: clients kept between passes |
//! | [`layout`] | Ramen's keys, and ours beside them |
//! | [`codec`] | gzip JSON, as Ramen writes and reads it |
//! | [`capture`] | the capture set: everything of one application, complete, of one moment and of one epoch |
//! | [`error`] | failures, told apart by what they mean |
//!
//! Hub and spoke call this; nothing else of the crate does.

pub mod capture;
pub mod codec;
pub mod connect;
pub mod error;
pub mod layout;
pub mod set;
pub mod store;

pub use connect::{Credentials, HttpConnector, S3Options, ca_bundle_of_environment};
pub use error::{Operation, S3Error, S3ErrorKind};
pub use layout::{AppId, ObjectRef, S3Key};
pub use set::{PerStore, StorePool, StoreSet};
pub use store::{S3Store, StoredObject};
