//! One suite against any Kubernetes API server.
//!
//! A case is a script of requests in `cases/*.case`, and below each request stands what a kube-apiserver answers to it:
//! code, warnings and body, with what differs from run to run replaced. A server conforms when its answers are the same.
//!
//! | module | what |
//! |---|---|
//! | `script` | the text of a case, read and written |
//! | `server` | a server: requests in, whole answers out; kubectl |
//! | `run` | a case on a server |
//! | `normal` | what an answer looks like without uids, revisions and times |
//! | `report` | differences as text; the figures of the document |
//!
//! `sandbox/apiserver/tests/conformance` tells the cases to the embedded server, `e2e/tests/conformance.rs` to a
//! kube-apiserver, from which it also writes what is expected.

pub mod normal;
pub mod report;
pub mod run;
pub mod script;
pub mod server;
