//! The newest entries with their payloads, for peers, for applying, and until they are durable.
//!
//! Invariant (cache): blocks are contiguous and end at the last entry of the log; what is not durable is never evicted.

use std::collections::VecDeque;

use crate::block::{Block, Blocks};
use crate::fingerprint::Mixer;
use crate::types::LogIndex;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cache {
    blocks: VecDeque<Block>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn push(&mut self, block: Block) {
        self.bytes += block.encoded_bytes();
        self.blocks.push_back(block);
    }

    /// Forgets `from` and what follows.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        while let Some(last) = self.blocks.pop_back() {
            self.bytes -= last.encoded_bytes();
            if last.last_index() < from {
                self.push(last);
                return;
            }
            if last.first_index() < from {
                self.push(last.slice(last.first_index(), from.prev()));
                return;
            }
        }
    }

    /// Drops the oldest blocks that are durable, until at most `limit` bytes are left.
    pub(crate) fn evict(&mut self, limit: usize, durable: LogIndex) {
        while self.bytes > limit && self.blocks.front().is_some_and(|block| block.last_index() <= durable) {
            if let Some(oldest) = self.blocks.pop_front() {
                self.bytes -= oldest.encoded_bytes();
            }
        }
    }

    /// Entries `from..=through`, cut before the block that would exceed `max_bytes` (never before the first);
    /// `None` if `from` is not here.
    pub(crate) fn get(&self, from: LogIndex, through: LogIndex, max_bytes: usize) -> Option<Blocks> {
        if self.blocks.front().is_none_or(|block| block.first_index() > from) {
            return None;
        }
        let mut at = self.block_of(from);
        let mut bytes = 0;
        let mut found = Blocks::new();
        while let Some(block) = self.blocks.get(at).filter(|block| block.first_index() <= through) {
            let block = block.slice(block.first_index().max(from), block.last_index().min(through));
            bytes += block.encoded_bytes();
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(block);
            at += 1;
        }
        Some(found)
    }

    /// Position of the first block that reaches `index`. Nearly always it is one of the newest, which are at hand, while a
    /// search through the whole cache touches memory that is not.
    fn block_of(&self, index: LogIndex) -> usize {
        let end = self.blocks.len();
        let newest = end.saturating_sub(4);
        if self.blocks.get(newest).is_some_and(|block| block.first_index() <= index) {
            return (newest..end).find(|&at| self.blocks[at].last_index() >= index).unwrap_or(end);
        }
        self.blocks.partition_point(|block| block.last_index() < index)
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { blocks, bytes: _ } = self;
        mixer.list(blocks, |mixer, block| block.mix(mixer));
    }

    /// Last index and encoded bytes of each block that reaches behind `after`.
    pub(crate) fn sizes_after(&self, after: LogIndex) -> impl Iterator<Item = (LogIndex, usize)> {
        let start = self.blocks.partition_point(|block| block.last_index() <= after);
        self.blocks.range(start..).map(|block| (block.last_index(), block.encoded_bytes()))
    }
}
