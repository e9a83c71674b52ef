//! Which batch holds an entry: one position per batch, none per entry.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use raft_core::LogIndex;

use crate::batch::BatchKind;

/// A batch and the entries of it that are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// First entry.
    pub(crate) first: LogIndex,
    /// Last entry (inclusive) that is still in the log; the batch may hold more.
    pub(crate) last: LogIndex,
    /// Sequence number of the segment.
    pub(crate) segment: u64,
    /// Start of the batch in the segment.
    pub(crate) offset: u64,
    /// Length of its table section.
    pub(crate) table_bytes: u64,
}

/// What a durable batch does to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) kind: BatchKind,
    /// The entry before the first one of the batch.
    pub(crate) base: LogIndex,
    /// The batch, if it holds entries.
    pub(crate) position: Option<Position>,
}

impl Change {
    /// How many entries the batch holds; `None` without any.
    pub(crate) fn entries(&self) -> Option<u64> {
        self.position.map(|position| position.last.since(position.first) + 1)
    }
}

/// The positions of all entries in the log.
///
/// Invariant (index): positions follow one another without gap from `base` on, and never go back in segment or
/// offset.
#[derive(Debug)]
pub(crate) struct Index {
    base: LogIndex,
    positions: VecDeque<Position>,
}

impl Index {
    pub(crate) const fn new(base: LogIndex) -> Self {
        Self { base, positions: VecDeque::new() }
    }

    /// The entry before the first one.
    pub(crate) const fn base(&self) -> LogIndex {
        self.base
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change.kind {
            BatchKind::Reset => self.reset(change.base),
            BatchKind::Truncate if change.base < self.base => self.reset(change.base),
            BatchKind::Truncate => self.truncate_after(change.base),
            BatchKind::Append | BatchKind::Fill | BatchKind::Mark => {}
        }
        self.positions.extend(change.position);
    }

    fn reset(&mut self, base: LogIndex) {
        self.positions.clear();
        self.base = base;
    }

    fn truncate_after(&mut self, base: LogIndex) {
        self.positions.truncate(self.positions.partition_point(|position| position.first <= base));
        if let Some(last) = self.positions.back_mut() {
            last.last = last.last.min(base);
        }
    }

    /// The batch of entry `index`; `None` if the entry is not in the log.
    pub(crate) fn find(&self, index: LogIndex) -> Option<Position> {
        let at = self.positions.partition_point(|position| position.last < index);
        self.positions.get(at).filter(|position| position.first <= index).copied()
    }

    /// The last entry in this segment, which is the oldest; `None` if none of its entries is in the log.
    pub(crate) fn last_in_oldest(&self, segment: u64) -> Option<LogIndex> {
        let end = self.positions.partition_point(|position| position.segment <= segment);
        end.checked_sub(1).map(|at| self.positions[at].last)
    }

    /// Forgets the entries of the oldest segment; the answer is the base now.
    pub(crate) fn forget_oldest(&mut self, segment: u64) -> LogIndex {
        let end = self.positions.partition_point(|position| position.segment <= segment);
        if let Some(last) = self.positions.drain(..end).next_back() {
            self.base = last.last;
        }
        self.base
    }
}
