//! Which entries are in the log, by identity alone: what the writer checks against and what recovery reports.

#[cfg(test)]
mod tests;

use raft_core::block::TermRun;
use raft_core::{EntryId, LogIndex};

/// The entries after `base`, through `last`.
///
/// Invariant (span): runs start after `base`, ascend strictly in index and term, end at `last`; no entry, no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    base: EntryId,
    last: EntryId,
    runs: Vec<TermRun>,
}

impl Span {
    /// No entry after `base`.
    pub(crate) const fn new(base: EntryId) -> Self {
        Self { base, last: base, runs: Vec::new() }
    }

    pub(crate) const fn base(&self) -> EntryId {
        self.base
    }

    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) fn runs(&self) -> &[TermRun] {
        &self.runs
    }

    /// The entry at `index`; `None` if it is neither the base nor in the span.
    pub(crate) fn entry(&self, index: LogIndex) -> Option<EntryId> {
        if index == self.base.index {
            return Some(self.base);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let started = self.runs.partition_point(|run| run.first <= index);
        Some(EntryId::new(self.runs[started - 1].term, index))
    }

    /// Whether a block that starts with `first` may follow.
    pub(crate) fn is_followed_by(&self, first: EntryId) -> bool {
        first.index == self.last.index.next() && first.term >= self.last.term
    }

    /// Adds entries that [follow](Self::is_followed_by), by the runs and the last entry of their block.
    pub(crate) fn append(&mut self, runs: &[TermRun], last: EntryId) {
        for run in runs {
            if self.runs.last().is_none_or(|newest| newest.term < run.term) {
                self.runs.push(*run);
            }
        }
        self.last = last;
    }

    /// Forgets all entries after `entry`, which is the base or in the span.
    pub(crate) fn truncate_after(&mut self, entry: EntryId) {
        self.runs.truncate(self.runs.partition_point(|run| run.first <= entry.index));
        self.last = entry;
    }

    /// Forgets the entries through `base`, which is the base or in the span.
    pub(crate) fn forget_through(&mut self, base: EntryId) {
        let gone = self.runs.partition_point(|run| run.first <= base.index);
        if let Some(partly) = gone.checked_sub(1) {
            self.runs.drain(..partly);
            self.runs[0].first = base.index.next();
        }
        if base == self.last {
            self.runs.clear();
        }
        self.base = base;
    }
}
