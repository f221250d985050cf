//! The scenarios on clusters that belong to somebody else: how an installation is accepted.
//!
//! | module | what lives there |
//! |---|---|
//! | [`mod@file`] | the file that describes clusters and stores |
//! | [`clusters`] | reaching them |
//! | [`mark`] | a label on whatever is made there, by which it is found again |
//! | [`check`], `check_operators`, `check_storage` | what has to be true before anything is made |
//! | [`ground`] | the clusters as what a world stands on |
//! | [`operators`] | our operators as processes, with their rights |
//! | [`find`], [`sweep`] | finding and removing what was made |
//! | [`tidy`] | removing it in order, while everything still runs |
//! | [`told`] | which scenarios are told there, and why the others are not |
//! | [`run`], [`report`] | the run, and what it has come to |

pub mod check;
mod check_operators;
mod check_storage;
pub mod clusters;
mod disks;
pub mod file;
pub mod find;
pub mod ground;
pub mod mark;
pub mod operators;
pub mod report;
pub mod run;
pub mod sweep;
pub mod tidy;
pub mod told;

/// Why something is not done: one line that says what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Refusal {
    what: String,
    remedy: String,
}

impl Refusal {
    /// What is wrong, and what to do.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        // What others said may have lines of its own.
        let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { what: line(what.into()), remedy: line(remedy.into()) }
    }

    /// The same, with where it is.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        Self { what: format!("{place}: {}", self.what), ..self }
    }
}

/// What an API server answered, without the object around it.
pub(crate) fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => {
            let mut said = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                let more = error.to_string();
                if !said.contains(&more) {
                    said = format!("{said}: {more}");
                }
                cause = error.source();
            }
            said
        }
    }
}
