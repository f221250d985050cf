//! Uids and generated names, from a seeded generator so that a run can be replayed.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The source of all randomness in a server.
#[derive(Debug)]
pub(crate) struct Ids {
    state: AtomicU64,
}

/// The letters that Kubernetes generates names from: no vowels, no digits that look like letters.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Ids {
    /// With a seed; without one every server is different.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("kaedama"));
        Self { state: AtomicU64::new(seed) }
    }

    /// The next number of splitmix64.
    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }

    /// A name with the prefix and five more letters; the prefix is cut so that it fits a label.
    pub(crate) fn name(&self, prefix: &str) -> String {
        const MAX: usize = 63 - 5;
        let mut name: String = prefix.chars().take(MAX).collect();
        let mut bits = self.next();
        for _ in 0..5 {
            let index = usize::try_from(bits % ALPHABET.len() as u64).unwrap_or_default();
            name.push(char::from(ALPHABET[index]));
            bits /= ALPHABET.len() as u64;
        }
        name
    }
}
