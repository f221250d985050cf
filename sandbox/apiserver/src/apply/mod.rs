//! Server-side apply and the tracking of field managers, as structured-merge-diff does them.
//!
//! * [`apply`]: an apply patch (`application/apply-patch+yaml`) onto the live object.
//! * [`track_update`]: what every other write (create, update, patch) does to `metadata.managedFields`.
//! * [`FieldSet`]: a set of field paths, and its FieldsV1 form.

mod fieldset;
mod managed;
mod merge;
mod request;
mod typed;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_prop;

pub use fieldset::{FieldSet, PathElement};
pub use managed::{ManagedEntry, Operation};
pub(crate) use request::track_create;
pub use request::{ApplyError, Conflict, Writer, apply, track_update};
