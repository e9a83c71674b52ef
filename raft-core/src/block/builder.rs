//! Building a block: one copy per command, one checksum per command.

use bytes::{BufMut, BytesMut};
use smallvec::smallvec;

use super::{Block, EntryKind, ROW_BYTES, TermRun};
use crate::types::{LogIndex, Term};

/// Collects entries until the leader gives them their first index and term.
#[derive(Clone, Debug, Default)]
pub struct BlockBuilder {
    table: BytesMut,
    payload: BytesMut,
    /// Whether an entry of another kind than [`EntryKind::Normal`] is among them.
    holds_other_kinds: bool,
}

impl BlockBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder with room for `entries` entries of `payload_bytes` bytes together.
    #[must_use]
    pub fn with_capacity(entries: usize, payload_bytes: usize) -> Self {
        Self {
            table: BytesMut::with_capacity(entries * ROW_BYTES),
            payload: BytesMut::with_capacity(payload_bytes),
            holds_other_kinds: false,
        }
    }

    /// Appends an entry whose payload is the concatenation of `parts`.
    ///
    /// # Panics
    /// If the entry is 4 GiB or longer; callers bound commands far below.
    pub fn push(&mut self, kind: EntryKind, parts: &[&[u8]]) {
        let mut crc = crc32fast::Hasher::new();
        let mut length = 0usize;
        self.holds_other_kinds |= kind != EntryKind::Normal;
        for part in parts {
            crc.update(part);
            self.payload.put_slice(part);
            length += part.len();
        }
        self.table.put_u32_le(u32::try_from(length).expect("an entry is below 4 GiB"));
        self.table.put_u32_le(crc.finalize());
        self.table.put_u32_le(u32::from(kind as u8));
    }

    /// What was collected so far. Collecting goes on in the memory that is left, so that many small blocks share one
    /// allocation; it is free again when the last of them is.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let holds_other_kinds = std::mem::take(&mut self.holds_other_kinds);
        Self { table: self.table.split(), payload: self.payload.split(), holds_other_kinds }
    }

    /// Number of entries so far.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.table.len() / ROW_BYTES
    }

    /// Bytes of table and payload so far.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.table.len() + self.payload.len()
    }

    /// Whether every entry so far is a command of the application.
    #[must_use]
    pub const fn holds_only_commands(&self) -> bool {
        !self.holds_other_kinds
    }

    /// Whether there is no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The block of these entries from index `first` on, all of `term`; `None` if there are none.
    ///
    /// # Panics
    /// If the payload is 4 GiB or longer.
    #[must_use]
    pub fn finish(self, first: LogIndex, term: Term) -> Option<Block> {
        if self.is_empty() {
            return None;
        }
        assert!(u32::try_from(self.payload.len()).is_ok(), "a block's payload is below 4 GiB");
        let runs = smallvec![TermRun { first, term }];
        Some(Block::new(runs, self.table.freeze(), self.payload.freeze()))
    }
}
