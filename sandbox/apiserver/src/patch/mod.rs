//! Patches other than apply: JSON merge patch (RFC 7386), JSON patch (RFC 6902) and strategic merge patch.

mod json;
mod order;
mod strategic;

#[cfg(test)]
mod tests;

pub use json::{json_merge_patch, json_patch};
pub use strategic::strategic_merge_patch;

/// Why a patch was refused, with the code that the API server answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not well-formed: 400, reason `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// The patch is well-formed and cannot be applied to this object: 422, reason `Invalid`. The text is the whole
    /// Status message.
    #[error("{0}")]
    Unprocessable(String),
}

impl PatchError {
    /// The HTTP status code: 400 or 422.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unprocessable(_) => 422,
        }
    }

    /// The Status reason: `BadRequest` or `Invalid`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::Unprocessable(_) => "Invalid",
        }
    }
}
