//! The v3 index and documents.
use super::ResourceDoc;
use serde_json::Value;
/// `/openapi/v3`: `{"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=..."}}}`.
pub fn index(docs: &[ResourceDoc]) -> Value { let _ = docs; unimplemented!() }
/// `/openapi/v3/apis/{group}/{version}` or `/openapi/v3/api/v1` (group empty); `None` when nothing of that group and
/// version is served.
pub fn document(group: &str, version: &str, docs: &[ResourceDoc]) -> Option<Value> { let _ = (group, version, docs); unimplemented!() }
