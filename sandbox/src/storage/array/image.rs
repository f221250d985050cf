//! One volume's content: an append-only log of blocks, and its snapshots.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::UnitId;

/// A copy of a volume's content at one moment. Cheap: the blocks are shared, not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The blocks in the order in which they were written.
    pub blocks: Vec<Bytes>,
}

impl Content {
    /// All bytes, one block after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(usize::try_from(self.size()).unwrap_or(0));
        for block in &self.blocks {
            all.extend_from_slice(block);
        }
        all
    }

    /// How many bytes these are.
    #[must_use]
    pub fn size(&self) -> u64 {
        size_of_blocks(&self.blocks)
    }
}

/// What a forced resync threw away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Blocks (writes) after the point of divergence.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A volume on one array.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) capacity: u64,
    pub(super) log: Vec<Bytes>,
    pub(super) unit: Option<UnitId>,
    pub(super) snapshots: BTreeMap<String, Content>,
}

impl Image {
    pub(super) fn new(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(super) fn size(&self) -> u64 {
        size_of_blocks(&self.log)
    }

    pub(super) fn content(&self) -> Content {
        Content { blocks: self.log.clone() }
    }

    /// Throws away everything after the first `keep` blocks.
    pub(super) fn truncate(&mut self, keep: usize) -> Discarded {
        let tail = self.log.get(keep..).unwrap_or_default();
        let discarded = Discarded { blocks: tail.len() as u64, bytes: size_of_blocks(tail) };
        self.log.truncate(keep);
        discarded
    }
}

/// How many bytes `blocks` hold together.
pub(super) fn size_of_blocks(blocks: &[Bytes]) -> u64 {
    blocks.iter().map(|block| block.len() as u64).sum()
}

/// How many blocks the two logs have in common, counted from their beginning.
pub(super) fn common_prefix(one: &[Bytes], other: &[Bytes]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}
