//! Group commit: which writes share a sync, and in what order their parts become durable.
//!
//! Invariant (hard state first): a write's hard state is durable before a byte of its entries, or of a later
//! write's, is written. So no entry of a term survives a crash that the term itself does not survive.
//!
//! Invariant (queue order): a hard state is not stored while entries of an earlier write wait for their sync: what
//! survives a crash is always a prefix of the queue. Hard states in a row without entries between them become one.

use std::sync::Arc;

use raft_core::block::Block;
use raft_core::fs::Fs;
use raft_core::storage::Write;
use raft_core::{EntryId, HardState, LogIndex};

use crate::batch::{BatchKind, Draft};
use crate::durable::Durable;
use crate::error::{IoFailure, WriteError};
use crate::folder::Folder;
use crate::metadata::{Metadata, SYNCS_PER_STORE};
use crate::page::PAGE;
use crate::span::Span;
use crate::stats::LogStats;
use crate::tail::Tail;

/// Turns writes into metadata and batches.
pub(crate) struct Writer<F: Fs> {
    pub(crate) folder: Folder<F>,
    pub(crate) durable: Arc<Durable<F>>,
    pub(crate) stats: Arc<LogStats>,
    pub(crate) metadata: Metadata<F>,
    pub(crate) tail: Tail<F>,
    /// The entries as they are after all writes that were added.
    pub(crate) span: Span,
    pub(crate) group_bytes: usize,
    /// What the writes of this group have been added to.
    pub(crate) group: Group,
}

/// The part of a group commit that is still in memory only and not framed.
#[derive(Debug, Default)]
pub(crate) struct Group {
    hard_state: Option<HardState>,
    draft: Option<Draft>,
    /// Bytes of entries and of batches, framed or not.
    bytes: usize,
}

impl<F: Fs> Writer<F> {
    /// Whether the group must be committed before `write` can be added.
    pub(crate) fn must_commit_before(&self, write: &Write) -> bool {
        let dirty = self.group.draft.is_some() || self.tail.is_dirty();
        let full = self.group.bytes >= self.group_bytes;
        dirty && (full || write.hard_state.is_some_and(|state| state != self.hard_state()))
    }

    /// Adds a write to the group.
    pub(crate) fn add(&mut self, write: Write) -> Result<(), WriteError> {
        if let Some(fill) = write.fill.first() {
            return Err(WriteError::CannotMend { index: fill.first_index() });
        }
        if let Some(state) = write.hard_state.filter(|&state| state != self.hard_state()) {
            self.group.hard_state = Some(state);
        }
        if let Some(base) = write.reset {
            self.begin(BatchKind::Reset, base)?;
            self.span = Span::new(base);
        }
        if let Some(from) = write.truncate_from.filter(|&from| from <= self.span.last().index) {
            let base = self.span.entry(from.prev());
            let base = base.ok_or(WriteError::TruncatesBase { from, base: self.span.base() })?;
            self.begin(BatchKind::Truncate, base)?;
            self.span.truncate_after(base);
        }
        for block in write.append {
            self.append(block)?;
        }
        Ok(())
    }

    /// Makes the group durable: the hard state if there is one, then the entries, by one sync.
    pub(crate) fn commit(&mut self) -> Result<(), IoFailure> {
        self.frame()?;
        self.tail.commit()?;
        self.group.bytes = 0;
        Ok(())
    }

    /// The hard state after all writes that were added.
    fn hard_state(&self) -> HardState {
        self.group.hard_state.unwrap_or(self.metadata.hard_state())
    }

    fn append(&mut self, block: Block) -> Result<(), WriteError> {
        let last = self.span.last();
        let found = EntryId::new(block.runs()[0].term, block.first_index());
        if !self.span.is_followed_by(found) {
            return Err(WriteError::NotContiguous { found, last });
        }
        if self.group.draft.is_none() {
            self.begin(BatchKind::Append, last)?;
        }
        self.span.append(block.runs(), block.last_id());
        self.group.bytes += block.encoded_bytes();
        self.group.draft.as_mut().expect("begun above").blocks.push(block);
        Ok(())
    }

    /// Begins a batch. What comes before it in the queue goes first.
    pub(crate) fn begin(&mut self, kind: BatchKind, base: EntryId) -> Result<(), IoFailure> {
        self.frame()?;
        self.group.bytes += PAGE;
        self.group.draft = Some(Draft { kind, sealed: false, base, blocks: Vec::new() });
        Ok(())
    }

    /// Makes the hard state durable, then frames the batch: framing writes when a segment is full.
    fn frame(&mut self) -> Result<(), IoFailure> {
        if let Some(state) = self.group.hard_state.take() {
            self.metadata.store(state)?;
            self.stats.metadata_syncs.add(SYNCS_PER_STORE);
        }
        self.group.draft.take().map_or(Ok(()), |draft| self.tail.frame(&draft))
    }

    /// The entry before the first one is now the one at `base`.
    pub(crate) fn forget_through(&mut self, base: LogIndex) {
        if let Some(base) = self.span.entry(base) {
            self.span.forget_through(base);
        }
    }
}
