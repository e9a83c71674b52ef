//! A disk in a few lines: what a crash would leave.

use crate::block::{Block, EntryKind, TermRun};
use crate::configuration::Configuration;
use crate::fingerprint::Mixer;
use crate::storage::{Recovered, Write};
use crate::types::{EntryId, HardState, LogIndex, Term};

/// What an entry is, to those who compare logs: commands are all alike here, so index and term name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) term: Term,
    pub(super) kind: EntryKind,
}

/// Term, vote and log, each entry in a block of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    log: Vec<Block>,
}

impl Disk {
    pub(super) fn new(hard_state: HardState, log: Vec<Block>) -> Self {
        Self { hard_state, log }
    }

    /// Carries out a write, all of it.
    pub(super) fn perform(&mut self, write: &Write) {
        self.perform_hard_state(write);
        if let Some(from) = write.truncate_from {
            self.log.truncate(length_before(from));
        }
        for block in &write.append {
            self.append(block);
        }
    }

    /// Carries out a write's first part only.
    pub(super) fn perform_hard_state(&mut self, write: &Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
    }

    fn append(&mut self, block: &Block) {
        self.log.truncate(length_before(block.first_index()));
        let entries = block.first_index().0..=block.last_index().0;
        self.log.extend(entries.map(LogIndex).map(|index| block.slice(index, index)));
    }

    /// Entries `from..=through`, as far as they are here.
    pub(super) fn read(&self, from: LogIndex, through: LogIndex) -> Vec<Block> {
        let inside = |block: &&Block| (from..=through).contains(&block.first_index());
        self.log.iter().filter(inside).cloned().collect()
    }

    pub(super) fn tags(&self) -> Vec<Tag> {
        let entries = self.log.iter().flat_map(Block::entries);
        entries.map(|entry| Tag { term: entry.id.term, kind: entry.kind }).collect()
    }

    /// What a log store would find here.
    pub(super) fn recovered(&self) -> Recovered {
        let mut runs: Vec<TermRun> = self.log.iter().flat_map(|block| block.runs().iter().copied()).collect();
        runs.dedup_by_key(|run| run.term);
        Recovered {
            hard_state: self.hard_state,
            last: self.log.last().map_or(EntryId::ZERO, Block::last_id),
            runs,
            configurations: self.configurations(),
            ..Recovered::default()
        }
    }

    fn configurations(&self) -> Vec<(LogIndex, Configuration)> {
        let entries = self.log.iter().flat_map(Block::entries);
        let configurations = entries.filter(|entry| entry.kind == EntryKind::Configuration);
        let decoded = configurations.map(|entry| {
            Configuration::decode(entry.payload).map(|configuration| (entry.id.index, configuration))
        });
        decoded.collect::<Result<_, _>>().expect("a leader's own encoding")
    }

    pub(super) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { hard_state, log } = self;
        mixer.hard_state(*hard_state);
        mixer.list(log, |mixer, block| block.mix(mixer));
    }
}

/// How many entries lie before `from`.
fn length_before(from: LogIndex) -> usize {
    usize::try_from(from.prev().0).expect("explored logs are short")
}
