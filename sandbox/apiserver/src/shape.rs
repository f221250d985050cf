//! What a resource's schema does to an object: decoding, defaults, validation, field ownership.

use crate::apply::{self, ApplyError, Writer};
use crate::protobuf;
use crate::registry::{Resource, Shape};
use crate::schema::{self, BuiltinSchema, FieldError, TypeInfo};
use serde_json::{Value, json};

impl Resource {
    fn builtin_schema(&self) -> Option<&'static BuiltinSchema> {
        match self.shape {
            Shape::Builtin => schema::builtin(&self.group, &self.version, &self.kind),
            Shape::Custom(_) => None,
        }
    }

    /// Removes fields that the kind does not have and returns their paths.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        match &self.shape {
            Shape::Builtin => self.builtin_schema().map(|s| s.prune(object)).unwrap_or_default(),
            Shape::Custom(Some(schema)) => schema.prune(object),
            Shape::Custom(None) => Vec::new(),
        }
    }

    /// Why an object of a built-in kind cannot be decoded.
    pub(crate) fn decode_error(&self, object: &Value) -> Option<String> {
        let schema = self.builtin_schema()?;
        schema.decode_error(object).or_else(|| crate::kinds::not_base64(&self.kind, object))
    }

    /// Fills in defaults.
    pub(crate) fn default(&self, object: &mut Value) {
        match &self.shape {
            Shape::Builtin => {
                crate::kinds::default(self, object);
                crate::kinds::early(self, object);
            }
            Shape::Custom(Some(schema)) => schema.default(object),
            Shape::Custom(None) => {}
        }
    }

    /// Validates against the schema.
    pub(crate) fn schema_errors(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        match &self.shape {
            Shape::Builtin => self.builtin_schema().map(|s| s.validate(new)).unwrap_or_default(),
            Shape::Custom(Some(schema)) => schema.validate(new, old),
            Shape::Custom(None) => Vec::new(),
        }
    }

    /// The types of the kind's fields; absent when there is no schema.
    pub(crate) fn types(&self) -> Option<TypeInfo<'_>> {
        match &self.shape {
            Shape::Builtin => self.builtin_schema().map(BuiltinSchema::type_info),
            Shape::Custom(schema) => schema.as_ref().map(|s| s.type_info()),
        }
    }

    /// Records in `managedFields` what a create, update or patch changes.
    pub(crate) fn track(&self, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
        let Some(types) = self.types() else {
            return;
        };
        match (old, &self.shape) {
            (None, Shape::Builtin) => {
                let blank = protobuf::blank(&self.api_version(), &self.kind).unwrap_or_else(|| json!({}));
                apply::track_create(types, &blank, new, writer);
            }
            _ => apply::track_update(types, old, new, writer),
        }
    }

    /// Server-side apply.
    pub(crate) fn apply(
        &self,
        live: Option<&Value>,
        config: &Value,
        writer: Writer<'_>,
        force: bool,
    ) -> Result<Value, ApplyError> {
        match self.types() {
            Some(types) => apply::apply(types, live, config, writer, force),
            None => Err(ApplyError::BadRequest(format!("{} has no schema to apply by", self.kind))),
        }
    }
}
