//! Strategic merge patch.
use super::PatchError;
use crate::schema::TypeInfo;
use serde_json::Value;
/// Strategic merge patch, with the merge keys of the built-in schema. (For custom resources the server answers 415
/// before it comes here.)
///
/// # Errors
/// `BadRequest` for unknown directives or a list element without its merge key; `Unprocessable` for types that do not fit.
pub fn strategic_merge_patch(types: TypeInfo<'_>, target: &Value, patch: &Value) -> Result<Value, PatchError> { let _ = (types, target, patch); unimplemented!() }
