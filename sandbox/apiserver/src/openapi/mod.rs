//! OpenAPI documents: the v3 index and its document per group and version, and v2 in one piece.
//!
//! The documents are pure functions of the list of served resources: make them again when that list changes, and cache
//! them in between.

mod components;
mod paths;
mod v2;
mod v3;

#[cfg(test)]
mod tests;

pub use v2::v2_document;
pub(crate) use v3::content_hash;
pub use v3::{document, index};

use serde_json::Value;
use std::sync::Arc;

/// One served resource (a kind at a version).
#[derive(Debug, Clone)]
pub struct ResourceDoc {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, `v1`.
    pub version: String,
    /// Kind, `Pod`.
    pub kind: String,
    /// Plural name of the resource, `pods`.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the resource (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`).
    pub verbs: Vec<String>,
    /// Subresources that are served.
    pub subresources: Vec<SubresourceDoc>,
    /// Where the schema comes from.
    pub schema: SchemaSource,
}

/// A subresource, `status` or `scale`.
#[derive(Debug, Clone)]
pub struct SubresourceDoc {
    /// Its name, `status`.
    pub name: String,
    /// Its verbs.
    pub verbs: Vec<String>,
}

/// Where the schema of a resource comes from.
#[derive(Debug, Clone)]
pub enum SchemaSource {
    /// From the schemas of the built-in kinds.
    Builtin,
    /// The `openAPIV3Schema` of a CRD version.
    Crd(Arc<Value>),
}

impl ResourceDoc {
    /// `v1` for the core group, `group/version` otherwise.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}
