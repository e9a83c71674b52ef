//! What a log is by its contract, in the plainest form: the suite's own idea, shared with no implementation.

use bytes::Bytes;

use crate::block::{Block, EntryKind, TermRun};
use crate::configuration::Configuration;
use crate::storage::{Recovered, Write};
use crate::types::{EntryId, HardState, LogIndex};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    pub(super) kind: EntryKind,
    pub(super) payload: Bytes,
}

/// The entries of `blocks`.
pub(super) fn entries_of(blocks: &[Block]) -> Vec<Entry> {
    let entries = blocks.iter().flat_map(Block::entries);
    entries
        .map(|entry| Entry { id: entry.id, kind: entry.kind, payload: Bytes::copy_from_slice(entry.payload) })
        .collect()
}

/// A log as a list of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) hard_state: HardState,
    pub(super) base: EntryId,
    pub(super) entries: Vec<Entry>,
}

impl Model {
    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// Carries out a write whole.
    pub(super) fn apply(&mut self, write: &Write) {
        *self = self.stages(write).pop().expect("a write has a last stage");
    }

    /// The log before `write` and after each part of it: hard state, reset, truncation, each entry.
    pub(super) fn stages(&self, write: &Write) -> Vec<Self> {
        let mut stages = vec![self.clone()];
        let mut log = self.clone();
        if let Some(hard_state) = write.hard_state {
            log.hard_state = hard_state;
            stages.push(log.clone());
        }
        if let Some(base) = write.reset {
            (log.base, log.entries) = (base, Vec::new());
            stages.push(log.clone());
        }
        if let Some(from) = write.truncate_from {
            log.entries.retain(|entry| entry.id.index < from);
            stages.push(log.clone());
        }
        for entry in entries_of(&write.append) {
            log.entries.push(entry);
            stages.push(log.clone());
        }
        stages
    }

    /// The same log, started again after `base`, if it does not hold that entry: what a published snapshot allows.
    pub(super) fn reset_to(&self, base: EntryId) -> Option<Self> {
        let holds = base.index <= self.base.index || self.entries.iter().any(|entry| entry.id == base);
        (!holds).then(|| Self { base, entries: Vec::new(), ..*self })
    }

    /// The same log without the entries through `index`; `None` if it does not reach that far back or ahead.
    pub(super) fn without(&self, index: LogIndex) -> Option<Self> {
        if index == self.base.index {
            return Some(self.clone());
        }
        let at = self.entries.iter().position(|entry| entry.id.index == index)?;
        let (base, entries) = (self.entries[at].id, self.entries[at + 1..].to_vec());
        Some(Self { base, entries, ..*self })
    }

    /// The entries `from..=through`.
    pub(super) fn range(&self, from: LogIndex, through: LogIndex) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.id.index < from);
        let end = self.entries.partition_point(|entry| entry.id.index <= through);
        &self.entries[start..end.max(start)]
    }

    /// What opening this log tells.
    pub(super) fn recovered(&self) -> Recovered {
        let mut runs: Vec<TermRun> = Vec::new();
        for id in self.entries.iter().map(|entry| entry.id) {
            if runs.last().is_none_or(|run| run.term != id.term) {
                runs.push(TermRun { first: id.index, term: id.term });
            }
        }
        let configurations = self.entries.iter().filter(|entry| entry.kind == EntryKind::Configuration);
        let decode = |entry: &Entry| Configuration::decode(&entry.payload).expect("the suite encoded it");
        Recovered {
            hard_state: self.hard_state,
            base: self.base,
            last: self.last(),
            runs,
            configurations: configurations.map(|entry| (entry.id.index, decode(entry))).collect(),
            ..Recovered::default()
        }
    }
}
