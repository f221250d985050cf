//! Why a pass over a DRCluster or DRPolicy was not carried out to its end.

/// A failed write: what was attempted, and the answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct PassError {
    what: String,
    #[source]
    source: kube::Error,
}

impl PassError {
    /// The object is not the version that the write was decided on.
    pub fn is_conflict(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.code == 409)
    }

    /// Wraps an answer of the API server; `what` is said in words that follow "cannot".
    pub fn api(what: impl FnOnce() -> String) -> impl FnOnce(kube::Error) -> Self {
        |source| PassError { what: what(), source }
    }
}
