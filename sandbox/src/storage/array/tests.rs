//! What the arrays promise, asserted on bytes.

mod failover;
mod lifecycle;
mod properties;

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::*;

/// Two linked arrays, a clock, and short names for what the tests do.
pub(super) struct Pair {
    pub(super) arrays: Arrays,
    pub(super) now: Timestamp,
}

pub(super) fn a() -> ArrayId {
    "a".into()
}

pub(super) fn b() -> ArrayId {
    "b".into()
}

pub(super) fn vol() -> VolumeHandle {
    "vol-1".into()
}

pub(super) fn unit() -> UnitId {
    (&vol()).into()
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);

impl Pair {
    /// Arrays `a` and `b`, and `vol-1` replicated from a to b every five minutes.
    pub(super) fn replicated(settings: LinkSettings) -> Self {
        let mut pair = Self::plain(settings);
        pair.enable(Mode::Async { interval: 5 * MINUTE });
        pair
    }

    /// Arrays `a` and `b`, and `vol-1` on a, not replicated.
    pub(super) fn plain(settings: LinkSettings) -> Self {
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let mut arrays = Arrays::new();
        arrays.add_array(&a());
        arrays.add_array(&b());
        arrays.link(&a(), &b(), settings);
        arrays.create(&a(), &vol(), 1 << 30, now).unwrap();
        Self { arrays, now }
    }

    pub(super) fn enable(&mut self, mode: Mode) {
        let replication = Replication { mode, peer: None };
        self.arrays.enable(&a(), &unit(), &[vol()], &replication, self.now).unwrap();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.checked_add(SignedDuration::try_from(time).unwrap()).unwrap();
        self.arrays.advance(self.now);
    }

    pub(super) fn write(&mut self, array: &ArrayId, text: &str) -> Result<(), StorageError> {
        self.arrays.write(array, &vol(), Bytes::from(text.to_owned()), &[], self.now)
    }

    pub(super) fn text(&self, array: &ArrayId) -> String {
        let content = self.arrays.inspect(array, &vol()).map(|content| content.to_bytes()).unwrap_or_default();
        String::from_utf8(content).unwrap()
    }

    pub(super) fn promote(&mut self, array: &ArrayId, force: bool) -> Result<Promotion, StorageError> {
        self.arrays.promote(array, &unit(), force, self.now)
    }

    pub(super) fn demote(&mut self, array: &ArrayId) {
        self.arrays.demote(array, &unit(), self.now).unwrap();
    }

    pub(super) fn resync(&mut self, array: &ArrayId, force: bool) -> Result<bool, StorageError> {
        self.arrays.resync(array, &unit(), force, self.now)
    }

    pub(super) fn link(&mut self, up: bool) {
        self.arrays.set_link(&a(), &b(), up, self.now);
    }

    pub(super) fn state(&self, array: &ArrayId) -> SideState {
        self.arrays.state(array, &unit())
    }
}

pub(super) fn code<T: std::fmt::Debug>(result: Result<T, StorageError>) -> Code {
    result.unwrap_err().code
}
