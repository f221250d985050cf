//! What is particular to kinds: what is set and kept when they are written, defaults, validation, deletion.
//!
//! * [`prepare`]: status and generation, immutable by construction. [`defaults`]: the defaults of built-in kinds.
//! * [`validate`]: rules beyond the schema, those of storage in [`volumes`], some more in [`rules`]. [`definition`]: CustomResourceDefinitions.

mod defaults;
pub(crate) mod definition;
mod prepare;
mod rules;
mod validate;
mod volumes;

pub(crate) use defaults::default;
pub(crate) use prepare::{early, mark_container, prepare_create, prepare_update};
pub(crate) use rules::not_base64;
pub(crate) use validate::{validate_create, validate_update};
