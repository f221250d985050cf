//! JSON merge patch and JSON patch.

use super::PatchError;
use serde_json::{Map, Value};

/// What the server says of every JSON patch or strategic merge patch that does not fit the object.
pub(super) const REJECTED: &str = "the server rejected our request due to an error in our request";

/// RFC 7386: merges `patch` into `target`; a null removes. The result shares nothing with `target`.
pub fn json_merge_patch(target: &Value, patch: &Value) -> Value {
    let Some(fields) = patch.as_object() else {
        return patch.clone();
    };
    let mut out: Map<String, Value> = target.as_object().cloned().unwrap_or_default();
    for (name, value) in fields {
        if value.is_null() {
            out.remove(name);
        } else {
            let merged = json_merge_patch(out.get(name).unwrap_or(&Value::Null), value);
            out.insert(name.clone(), merged);
        }
    }
    Value::Object(out)
}

/// RFC 6902: applies a list of operations, all of them or none.
///
/// # Errors
/// `BadRequest` for a document that is not a JSON patch, `Unprocessable` for a failed test or a path that is not there.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_array() {
        let found = if patch.is_object() { "object" } else { "value" };
        return Err(PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )));
    }
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|_| PatchError::Unprocessable(REJECTED.to_owned()))?;
    let mut out = target.clone();
    json_patch::patch(&mut out, &operations).map_err(|_| PatchError::Unprocessable(REJECTED.to_owned()))?;
    Ok(out)
}
