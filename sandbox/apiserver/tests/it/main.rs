//! The server through `kube::Client`, in process, and through kubectl, on HTTP.

mod common;
mod crud;
