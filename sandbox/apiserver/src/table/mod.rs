//! `meta.k8s.io/v1` Tables, which `kubectl get` asks for.
//!
//! [`Columns`] says which columns a kind has; [`table`] makes the Table of some objects.

mod builtin;
mod duration;
mod jsonpath;
mod render;

#[cfg(test)]
mod tests;

pub use duration::human_duration;
pub use jsonpath::JsonPath;
pub use render::{Columns, IncludeObject, table};
