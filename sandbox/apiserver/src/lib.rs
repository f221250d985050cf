//! An embedded Kubernetes API server, in memory: a test environment for any kube-rs project.
//!
//! [`ApiServer`] answers as kube-apiserver does, in this process: [`ApiServer::client`] is a `kube::Client` without a socket,
//! [`ApiServer::serve`] is the same server on HTTP for kubectl. It works under `tokio::time::pause`.
//!
//! There is no authentication and no authorization: RBAC objects are stored and not enforced, access reviews allow all.
//! Admission webhooks and policies, aggregated API servers and conversion webhooks are not called (501 says so). No pods run,
//! and of the controller manager only what the API's own semantics need is here: garbage collection, namespace deletion, default service accounts, definitions of custom resources.
//!
//! * `server`: [`ApiServer`] and its builder; `service`: the `tower` service; `router`, `request`, `status`: HTTP.
//! * `verbs`: what requests do; `kinds`, `metadata`, `admission`, `convert`, `shape`: the rules they follow.
//! * `protobuf`: bodies of Go clients. `discovery`: everything that is no resource. `duration`: Go's.
//! * `store`: objects, history and watches; `registry`: what is served; `controllers`: what runs beside.
//! * [`schema`], [`apply`], [`patch`], [`openapi`], [`table`]: pure parts, values in and values out.

mod account;
mod admission;
pub mod apply;
mod controllers;
mod convert;
mod discovery;
mod duration;
mod http_server;
mod ids;
mod kinds;
mod meta;
mod metadata;
mod names;
pub mod openapi;
pub mod patch;
mod protobuf;
mod registry;
mod request;
mod router;
pub mod schema;
mod selector;
mod server;
mod service;
mod shape;
mod status;
mod store;
pub mod table;
mod verbs;

pub use account::{Accounting, RequestKey};
pub use http_server::kubeconfig;
pub use server::{ApiServer, ApiServerBuilder, Clock, Options};
pub use service::{ApiService, ResponseBody};
