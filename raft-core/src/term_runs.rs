//! The terms of all entries of the log, as runs: matching, voting and conflict search never touch storage.
//!
//! Invariant (runs): `base` is the entry before the first; runs start at `base.index + 1`, strictly ascend in index and
//! term, with no term below `base.term`; the last run reaches through `last`.

use std::collections::VecDeque;

use crate::block::{Block, TermRun};
use crate::fingerprint::Mixer;
use crate::types::{EntryId, LogIndex, Term};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogTerms {
    base: EntryId,
    runs: VecDeque<TermRun>,
    last: EntryId,
}

impl LogTerms {
    pub(crate) fn new(base: EntryId, runs: &[TermRun], last: LogIndex) -> Self {
        let term = runs.last().map_or(base.term, |run| run.term);
        Self { base, runs: runs.iter().copied().collect(), last: EntryId::new(term, last) }
    }

    /// The entry before the first one.
    pub(crate) const fn base(&self) -> EntryId {
        self.base
    }

    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    /// The term at `index`, from the base to the last entry (both inclusive).
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let after = self.runs.partition_point(|run| run.first <= index);
        Some(after.checked_sub(1).map_or(self.base.term, |at| self.runs[at].term))
    }

    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry that is no later than `other` in index and in term; at least the base.
    ///
    /// Whatever lies behind it up to `other.index` has a later term than `other` and so cannot be in a log that has
    /// `other`. `[Raft §5.3]`, the optimisation at its end, for both sides.
    pub(crate) fn last_not_after(&self, other: EntryId) -> EntryId {
        let mut index = other.index.min(self.last.index);
        let mut after = self.runs.partition_point(|run| run.first <= index);
        while after > 0 && self.runs[after - 1].term > other.term {
            after -= 1;
            index = self.runs[after].first.prev();
        }
        if index <= self.base.index {
            return self.base;
        }
        EntryId::new(self.runs[after - 1].term, index)
    }

    /// Whether `block` has exactly these terms.
    pub(crate) fn matches(&self, block: &Block) -> bool {
        block.last_index() <= self.last.index && self.first_mismatch(block).is_none()
    }

    /// The first entry of `block` that is not in this log; entries before the base count as being there.
    pub(crate) fn first_mismatch(&self, block: &Block) -> Option<LogIndex> {
        let runs = block.runs();
        let ends = runs[1..].iter().map(|run| run.first.prev()).chain([block.last_index()]);
        for (run, through) in runs.iter().zip(ends) {
            let mut index = run.first.max(self.base.index);
            while index <= through {
                if self.term_at(index) != Some(run.term) {
                    return Some(index);
                }
                index = self.run_end(index).next();
            }
        }
        None
    }

    /// Last index of the run that `index` lies in.
    fn run_end(&self, index: LogIndex) -> LogIndex {
        let after = self.runs.partition_point(|run| run.first <= index);
        self.runs.get(after).map_or(self.last.index, |run| run.first.prev())
    }

    /// Takes in the terms of a block that follows the last entry.
    ///
    /// # Panics
    /// If it does not follow, in index or in term.
    pub(crate) fn append(&mut self, block: &Block) {
        assert_eq!(block.first_index(), self.last.index.next(), "blocks are contiguous");
        for &run in block.runs() {
            let last = self.last.term;
            assert!(run.term >= last, "terms ascend: {} after {last}", run.term);
            if run.term > last || self.runs.is_empty() {
                self.runs.push_back(run);
            }
            self.last.term = run.term;
        }
        self.last = block.last_id();
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { base, runs, last } = self;
        mixer.entry(*base);
        mixer.list(runs, |mixer, run| mixer.entry(EntryId::new(run.term, run.first)));
        mixer.index(last.index);
    }

    /// Forgets `from` and what follows.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        assert!(from > self.base.index, "the base stays");
        while self.runs.back().is_some_and(|run| run.first >= from) {
            self.runs.pop_back();
        }
        let term = self.runs.back().map_or(self.base.term, |run| run.term);
        self.last = EntryId::new(term, self.last.index.min(from.prev()));
    }

    /// Forgets everything through `through`, which becomes the base.
    pub(crate) fn compact(&mut self, through: LogIndex) {
        let Some(term) = self.term_at(through) else { return };
        while self.runs.get(1).is_some_and(|next| next.first <= through.next()) {
            self.runs.pop_front();
        }
        if let Some(front) = self.runs.front_mut() {
            front.first = front.first.max(through.next());
        }
        if through == self.last.index {
            self.runs.clear();
        }
        self.base = EntryId::new(term, through);
    }

    /// Forgets everything; the log starts again after `base`.
    pub(crate) fn reset(&mut self, base: EntryId) {
        *self = Self { base, runs: VecDeque::new(), last: base };
    }
}

#[cfg(test)]
mod tests;
