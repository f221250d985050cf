//! Three-valued observation.
//!
//! A time-out, a stale view or an error of a store says nothing about the thing that was asked for. It is
//! [`Seen::Unknown`], never [`Seen::Absent`], and nothing is deleted, demoted, promoted or moved because of it.

use std::fmt;

/// What an observation of something outside of this process gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there, and this is it.
    Present(T),
    /// It was proven not to be there.
    Absent,
    /// Nobody can say; the reason is for a person to read.
    Unknown(String),
}

impl<T> Seen<T> {
    /// The value, where it was seen.
    pub fn present(&self) -> Option<&T> {
        match self {
            Seen::Present(value) => Some(value),
            Seen::Absent | Seen::Unknown(_) => None,
        }
    }

    /// True only where absence was proven.
    pub fn is_absent(&self) -> bool {
        matches!(self, Seen::Absent)
    }

    /// Why nothing is known, where nothing is.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Seen::Unknown(why) => Some(why),
            Seen::Present(_) | Seen::Absent => None,
        }
    }

    /// True where the observation is conclusive: present, or proven absent.
    pub fn is_conclusive(&self) -> bool {
        self.unknown().is_none()
    }

    /// Borrows the value.
    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Seen::Present(value) => Seen::Present(value),
            Seen::Absent => Seen::Absent,
            Seen::Unknown(why) => Seen::Unknown(why.clone()),
        }
    }

    /// Changes the value, and keeps absence and ignorance as they are.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Seen::Present(value) => Seen::Present(change(value)),
            Seen::Absent => Seen::Absent,
            Seen::Unknown(why) => Seen::Unknown(why),
        }
    }

    /// Reads the answer of an API server: 404 is absence, every other failure is ignorance.
    pub fn from_api(answer: Result<Option<T>, kube::Error>) -> Self {
        match answer {
            Ok(Some(value)) => Seen::Present(value),
            Ok(None) => Seen::Absent,
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }
}

impl<T> fmt::Display for Seen<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Present(_) => out.write_str("present"),
            Seen::Absent => out.write_str("absent"),
            Seen::Unknown(why) => write!(out, "unknown ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proof_is_conclusive() {
        assert!(Seen::Present(1).is_conclusive());
        assert!(Seen::<i32>::Absent.is_conclusive());
        let unknown = Seen::<i32>::Unknown("timed out".into());
        assert!(!unknown.is_conclusive());
        assert!(!unknown.is_absent());
        assert_eq!(unknown.map(|n| n + 1).unknown(), Some("timed out"));
    }
}
