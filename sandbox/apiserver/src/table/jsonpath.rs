//! JSONPath, the subset that printer columns and kubectl use.
/// A parsed path.
#[derive(Debug, Clone)]
pub struct JsonPath;
