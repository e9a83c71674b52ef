//! Admission: how many bytes of a leader's log wait to be committed.

use std::collections::VecDeque;

use crate::fingerprint::Mixer;
use crate::types::LogIndex;

/// Blocks that are not committed yet, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncommitted {
    blocks: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Uncommitted {
    /// What a new leader inherits and adds.
    pub(crate) fn push(&mut self, last: LogIndex, bytes: usize) {
        self.blocks.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything through `commit_index` is committed.
    pub(crate) fn committed(&mut self, commit_index: LogIndex) {
        while let Some((_, bytes)) = self.blocks.pop_front_if(|(last, _)| *last <= commit_index) {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { blocks, bytes: _ } = self;
        mixer.list(blocks, |mixer, (last, bytes)| {
            mixer.index(*last);
            mixer.count(*bytes);
        });
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}
