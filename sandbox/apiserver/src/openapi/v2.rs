//! OpenAPI v2 (Swagger).
use super::ResourceDoc;
use serde_json::Value;
/// `/openapi/v2` as JSON.
pub fn v2_document(docs: &[ResourceDoc]) -> Value { let _ = docs; unimplemented!() }
