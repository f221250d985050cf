//! The server through `kube::Client`, in process, and through kubectl, on HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;
mod crud;
mod definitions;
mod forms;
mod gc;
mod kinds;
mod kubectl;
mod lists;
mod load;
mod program;
mod transport;
mod watches;
mod writes;
