//! JSON merge patch and JSON patch.
use super::PatchError;
use serde_json::Value;
/// RFC 7386: merges `patch` into `target`; a null removes.
pub fn json_merge_patch(target: &Value, patch: &Value) -> Value { let _ = (target, patch); unimplemented!() }
/// RFC 6902.
///
/// # Errors
/// `BadRequest` for a document that is not a JSON patch, `Unprocessable` for a failed test or a path that is not there.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, PatchError> { let _ = (target, patch); unimplemented!() }
