//! Schemas: what the server knows of the shape of an object.
//!
//! * [`StructuralSchema`]: made from a CRD's `openAPIV3Schema`; prunes, defaults and validates.
//! * [`BuiltinSchema`] and [`builtin()`]: the same for the kinds that every API server has.
//! * [`TypeInfo`]: a cursor into either, from which `apply` and `patch` learn list types, keys and merge strategies.
//! * [`FieldError`] and [`invalid_status`]: errors in the form that apimachinery gives them.
//!
//! Everything here is pure: values in, values out.

mod builtin;
mod builtin_lists;
mod cel;
mod cel_check;
mod compile;
mod decode;
mod default;
mod error;
mod format;
mod node;
mod prune;
mod types;
mod validate;
mod validate_value;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_peer;
#[cfg(test)]
mod tests_prop;

pub use builtin::{BuiltinSchema, builtin, builtin_definitions};
pub(crate) use builtin_lists::merge_extensions;
pub use error::{ErrorType, FieldError, invalid_status, strict_decoding_message};
pub use types::{ListKind, MapKind, TypeInfo};

use node::Arena;
use serde_json::Value;

/// A CRD's schema for one version, compiled: structural, with its CEL rules parsed and its patterns built.
#[derive(Debug)]
pub struct StructuralSchema {
    arena: Arena,
    raw: Value,
}

impl StructuralSchema {
    /// Compiles `spec.versions[].schema.openAPIV3Schema` of a CRD.
    ///
    /// # Errors
    /// Every place where the schema is not structural, or a pattern or CEL rule does not compile. Paths are relative
    /// to the schema (`properties[spec].type`), the way the CRD validation of the API server names them below
    /// `spec.validation.openAPIV3Schema`.
    pub fn from_crd(open_api_v3_schema: &Value) -> Result<Self, Vec<FieldError>> {
        let arena = compile::compile_structural(open_api_v3_schema)?;
        Ok(Self { arena, raw: open_api_v3_schema.clone() })
    }

    /// Removes fields that the schema does not know, and returns their paths (`spec.foo`, `spec.list[0].bar`), sorted.
    /// `apiVersion`, `kind` and `metadata` at the root and in embedded resources always stay. `metadata`
    /// is pruned to the fields of ObjectMeta.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.arena, object)
    }

    /// Fills in structural defaults. Nulls of fields that are not nullable and have a default are dropped first, so that
    /// they are defaulted.
    pub fn default(&self, object: &mut Value) {
        default::default(&self.arena, object);
    }

    /// Validates an object: on create with `old` absent, on update with the stored object as `old`, so that transition
    /// rules see it and unchanged invalid values are tolerated (ratcheting).
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        validate::validate(&self.arena, new, old)
    }

    /// A cursor at the root of the schema.
    pub fn type_info(&self) -> TypeInfo<'_> {
        TypeInfo::root(&self.arena)
    }

    /// The schema as the CRD gave it.
    pub fn raw(&self) -> &Value {
        &self.raw
    }
}
