//! Request accounting: who asked for what, how often, with which outcome.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The User-Agent up to the first `/`.
    pub user_agent: String,
    /// Verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for paths that are no
    /// resources the HTTP method in lower case.
    pub verb: String,
    /// `pods`, `deployments.apps/status`; the path when it names no resource.
    pub resource: String,
    /// HTTP status code of the answer.
    pub code: u16,
}

/// Counts of requests. A watch is counted once, when it is answered.
#[derive(Debug, Default)]
pub struct Accounting {
    counts: Mutex<BTreeMap<RequestKey, u64>>,
}

impl Accounting {
    pub(crate) fn count(&self, key: RequestKey) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(key).or_default() += 1;
    }

    /// The counts so far.
    pub fn read(&self) -> BTreeMap<RequestKey, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the counts and sets them back to nothing.
    pub fn take(&self) -> BTreeMap<RequestKey, u64> {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
