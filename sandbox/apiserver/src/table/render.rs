//! Tables.
use jiff::Timestamp;
use serde_json::Value;
/// What a row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// A PartialObjectMetadata (the default).
    #[default]
    Metadata,
    /// The whole object.
    Object,
}
impl IncludeObject {
    /// Reads the `includeObject` query parameter; absent or empty is `Metadata`; `None` for anything unknown (400).
    pub fn parse(parameter: Option<&str>) -> Option<Self> { let _ = parameter; unimplemented!() }
}
/// The columns of a kind.
#[derive(Debug, Clone)]
pub struct Columns;
impl Columns {
    /// From a CRD version's `additionalPrinterColumns`; Name and Age when absent.
    pub fn from_crd(additional_printer_columns: Option<&Value>) -> Self { let _ = additional_printer_columns; unimplemented!() }
    /// Of a built-in kind; Name and Age when there is nothing special about it.
    pub fn builtin(group: &str, kind: &str) -> Self { let _ = (group, kind); unimplemented!() }
}
/// A `meta.k8s.io/v1` Table. `list_meta` is the list's metadata (resourceVersion, continue, remainingItemCount); for
/// a single object `{"resourceVersion": ...}`. `with_definitions` is false for watch events after the first.
pub fn table(columns: &Columns, objects: &[Value], list_meta: Value, include: IncludeObject, now: Timestamp, with_definitions: bool) -> Value { let _ = (columns, objects, list_meta, include, now, with_definitions); unimplemented!() }
