//! Entries travel as blocks: one table, one contiguous payload, never an allocation per entry.
//!
//! A leader builds one block per loop turn ([`BlockBuilder`]), copying each command once into the payload. The same
//! table and payload then go to disk behind a batch header, to peers behind a message header, to the followers' disks
//! unchanged, and to laggards straight from the map. A sub-range is a [`Block::slice`]: reference counts, no copy.
//!
//! ```text
//! header  first u64 | entries u32 | payload bytes u32 | runs u32 | runs × (first u64, term u64)
//! table   entries × (payload length u32 | payload CRC-32 u32 | kind u8 | zero u8 × 3)
//! payload the entries' bytes, one after the other
//! ```
//! All numbers little-endian. The layout is part of the disk format and of the wire format.
//!
//! Invariant (block): at least one entry; runs start at `first`, strictly ascend in index and term, and lie within the
//! block; the table's lengths add up to the payload's. [`Block::from_parts`] is the one gateway that checks it.
//! The payload's checksums are *not* checked there: whoever takes a block from outside calls [`Block::verify`].

mod builder;
mod header;
#[cfg(test)]
mod tests;

pub use builder::BlockBuilder;
pub use header::BlockHeader;

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::configuration::Configuration;
use crate::fingerprint::Mixer;
use crate::types::{EntryId, LogIndex, Term};

/// Bytes of one table row.
pub const ROW_BYTES: usize = 12;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A command of the application.
    Normal = 0,
    /// The first entry of a leader's term: it carries nothing and lets earlier terms commit. `[Raft §8]`
    NoOp = 1,
    /// A [`Configuration`], in force from the moment it is appended. `[Raft §6]`
    Configuration = 2,
}

impl EntryKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Normal),
            1 => Some(Self::NoOp),
            2 => Some(Self::Configuration),
            _ => None,
        }
    }
}

/// The entries from `first` on, up to the next run or the end of the block, are of `term`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TermRun {
    /// First index of the run.
    pub first: LogIndex,
    /// Term of each of its entries.
    pub term: Term,
}

/// A few runs; nearly always one.
pub type TermRuns = SmallVec<[TermRun; 1]>;

/// Blocks in order, each going on where the one before it ends; nearly always one.
pub type Blocks = SmallVec<[Block; 2]>;

/// A contiguous range of log entries. One pointer, because a block is in many places at once: log, cache, messages, the
/// queue of what to apply. See the module for layout and invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// Asked for all the time; they follow from the runs and the table.
    first: LogIndex,
    last: EntryId,
    runs: TermRuns,
    table: Bytes,
    payload: Bytes,
}

/// One entry inside a [`Block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// Its identity.
    pub id: EntryId,
    /// What it is for.
    pub kind: EntryKind,
    /// CRC-32 (IEEE) of the payload, as computed where the entry was made.
    pub crc: u32,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A block that breaks the invariant of this module, or whose payload rotted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Fewer header bytes than the header announces.
    #[error("block header: {found} bytes (expected {expected})")]
    TruncatedHeader {
        /// Bytes there.
        found: usize,
        /// Bytes announced or needed.
        expected: usize,
    },
    /// No entries, or none of the runs an entry needs, or an absurd number of runs.
    #[error(
        "block at index {first}: {entries} entries in {runs} term runs (expected at least one of each, and no more runs than entries)"
    )]
    Shape {
        /// First index of the block.
        first: LogIndex,
        /// Entries announced.
        entries: u32,
        /// Runs announced.
        runs: u32,
    },
    /// A run out of order or out of the block.
    #[error("block at index {first}: run of term {term} at index {run} is out of order or outside the block")]
    Runs {
        /// First index of the block.
        first: LogIndex,
        /// Where the bad run starts.
        run: LogIndex,
        /// Its term.
        term: Term,
    },
    /// Table or payload is not as long as the header says.
    #[error("block at index {first}: {part} is {found} bytes (expected {expected})")]
    Length {
        /// First index of the block.
        first: LogIndex,
        /// "table" or "payload".
        part: &'static str,
        /// Bytes there.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// A table row with an unknown kind or non-zero padding.
    #[error("block entry {index}: unknown kind {kind} or non-zero padding in its table row")]
    Row {
        /// The entry's index.
        index: LogIndex,
        /// The kind byte.
        kind: u8,
    },
    /// The payload is not the one that was proposed.
    #[error("block entry {id}: payload crc is {found:#010x} (expected {expected:#010x})")]
    PayloadChecksum {
        /// The entry.
        id: EntryId,
        /// CRC of the bytes there.
        found: u32,
        /// CRC in the table.
        expected: u32,
    },
}

impl Block {
    fn new(runs: TermRuns, table: Bytes, payload: Bytes) -> Self {
        let first = runs[0].first;
        let last_index = first.plus((table.len() / ROW_BYTES) as u64).prev();
        let last = EntryId::new(runs[runs.len() - 1].term, last_index);
        Self(Arc::new(Parts { first, last, runs, table, payload }))
    }

    /// Puts a block together from its parts, checking the block invariant (not the payload checksums).
    ///
    /// # Errors
    /// Says which part breaks the invariant. The bytes are not a block: drop the connection, or treat the place on
    /// disk as damaged.
    pub fn from_parts(header: BlockHeader, table: Bytes, payload: Bytes) -> Result<Self, BlockError> {
        header.check()?;
        let first = header.first;
        let length = |part, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(BlockError::Length { first, part, found: found as u64, expected: expected as u64 }),
        };
        length("table", table.len(), header.table_bytes())?;
        length("payload", payload.len(), header.payload_bytes as usize)?;
        let mut sum = 0u64;
        for (row, index) in table.chunks_exact(ROW_BYTES).zip(first.0..) {
            let row = Row::read(row);
            if EntryKind::from_byte(row.kind).is_none() || row.padding != [0; 3] {
                return Err(BlockError::Row { index: LogIndex(index), kind: row.kind });
            }
            sum += u64::from(row.length);
        }
        if sum != payload.len() as u64 {
            let (found, expected) = (sum, payload.len() as u64);
            return Err(BlockError::Length { first, part: "sum of the table's lengths", found, expected });
        }
        Ok(Self::new(header.runs, table, payload))
    }

    /// Index of the first entry.
    #[must_use]
    pub fn first_index(&self) -> LogIndex {
        self.0.first
    }

    /// Index of the last entry (inclusive).
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.0.last.index
    }

    /// Identity of the last entry.
    #[must_use]
    pub fn last_id(&self) -> EntryId {
        self.0.last
    }

    /// Number of entries, at least 1.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.0.table.len() / ROW_BYTES
    }

    /// Bytes of the header, table and payload together: what the block costs on a wire or disk, near enough.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        BlockHeader::len_with(self.0.runs.len()) + self.0.table.len() + self.0.payload.len()
    }

    /// The term runs, first to last; never empty.
    #[must_use]
    pub fn runs(&self) -> &[TermRun] {
        &self.0.runs
    }

    /// The table, in the layout of the module.
    #[must_use]
    pub fn table(&self) -> &Bytes {
        &self.0.table
    }

    /// All payloads, one after the other.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The header that, with [`table`](Self::table) and [`payload`](Self::payload), makes this block again.
    #[must_use]
    pub fn header(&self) -> BlockHeader {
        BlockHeader {
            first: self.first_index(),
            entries: u32::try_from(self.entry_count()).expect("a block holds fewer than 2^32 entries"),
            payload_bytes: u32::try_from(self.0.payload.len()).expect("a payload is below 2^32 bytes"),
            runs: self.0.runs.clone(),
        }
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { block: self, row: 0, run: 0, offset: 0 }
    }

    /// Whether any entry is a configuration.
    pub(crate) fn holds_configuration(&self) -> bool {
        let configuration = EntryKind::Configuration as u8;
        self.0.table.chunks_exact(ROW_BYTES).any(|row| Row::read(row).kind == configuration)
    }

    /// The entries `from..=through`, sharing this block's bytes.
    ///
    /// # Panics
    /// If the range is empty or not inside the block.
    ///
    /// Costs a walk over the table rows before `through`.
    #[must_use]
    pub fn slice(&self, from: LogIndex, through: LogIndex) -> Self {
        let first = self.first_index();
        assert!(
            first <= from && from <= through && through <= self.last_index(),
            "slice {from}..={through} of block {first}..={}",
            self.last_index()
        );
        if from == first && through == self.last_index() {
            return self.clone();
        }
        let rows = (from.since(first) as usize)..(through.since(first) as usize + 1);
        let bytes_of = |rows: &[u8]| {
            rows.chunks_exact(ROW_BYTES).map(|row| Row::read(row).length as usize).sum::<usize>()
        };
        let start = bytes_of(&self.0.table[..rows.start * ROW_BYTES]);
        let table = self.0.table.slice(rows.start * ROW_BYTES..rows.end * ROW_BYTES);
        let payload = self.0.payload.slice(start..start + bytes_of(&table));
        let started = self.0.runs.iter().take_while(|run| run.first <= from).count();
        let mut runs = TermRuns::new();
        runs.push(TermRun { first: from, term: self.0.runs[started - 1].term });
        runs.extend(self.0.runs[started..].iter().take_while(|run| run.first <= through).copied());
        Self::new(runs, table, payload)
    }

    /// The entries from `from` on; see [`slice`](Self::slice).
    pub(crate) fn into_tail(self, from: LogIndex) -> Self {
        if from == self.first_index() { self } else { self.slice(from, self.last_index()) }
    }

    /// What a configuration says counts, not its bytes: they hold names and addresses.
    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        mixer.list(self.entries(), |mixer, entry| {
            mixer.entry(entry.id);
            mixer.add(entry.kind as u64);
            match Configuration::decode(entry.payload) {
                Ok(configuration) if entry.kind == EntryKind::Configuration => configuration.mix(mixer),
                _ => mixer.add(u64::from(entry.crc)),
            }
        });
    }

    /// Checks each payload against the checksum made where the entry was proposed.
    ///
    /// # Errors
    /// [`BlockError::PayloadChecksum`] names the first entry that differs: the bytes rotted on the way or at rest.
    pub fn verify(&self) -> Result<(), BlockError> {
        for entry in self.entries() {
            let found = crc32fast::hash(entry.payload);
            if found != entry.crc {
                return Err(BlockError::PayloadChecksum { id: entry.id, found, expected: entry.crc });
            }
        }
        Ok(())
    }
}

/// Iterator over a block's entries, in order. Made by [`Block::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    block: &'a Block,
    row: usize,
    run: usize,
    offset: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = EntryRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.block;
        let row = block.0.table.get(self.row * ROW_BYTES..(self.row + 1) * ROW_BYTES)?;
        let row = Row::read(row);
        let index = block.first_index().plus(self.row as u64);
        if block.0.runs.get(self.run + 1).is_some_and(|next| next.first == index) {
            self.run += 1;
        }
        let end = self.offset + row.length as usize;
        let payload = &block.0.payload[self.offset..end];
        self.row += 1;
        self.offset = end;
        Some(EntryRef {
            id: EntryId::new(block.0.runs[self.run].term, index),
            kind: EntryKind::from_byte(row.kind).expect("checked by the gateway"),
            crc: row.crc,
            payload,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.block.entry_count() - self.row;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// One decoded table row.
struct Row {
    length: u32,
    crc: u32,
    kind: u8,
    padding: [u8; 3],
}

impl Row {
    const fn read(bytes: &[u8]) -> Self {
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind, p0, p1, p2] =
            *bytes.first_chunk().expect("rows are 12 bytes");
        Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            kind,
            padding: [p0, p1, p2],
        }
    }
}
